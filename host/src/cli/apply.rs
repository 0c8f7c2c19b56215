//! `portcullis apply`.

use std::path::PathBuf;

use super::check::{self, counted};
use crate::control::{self, Answer, Question};
use crate::unicode;

/// Which tree, and whether to show only.
#[derive(clap::Args)]
pub(super) struct ApplyArguments {
    /// A directory with a directory `tenants` in it, as `export` writes it. The host
    /// has to be able to read it.
    directory: PathBuf,
    /// Show what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    config: super::ConfigArguments,
}

/// Has the running host make its store equal to a tree of files. Done means that it is
/// in force.
pub(super) fn apply(arguments: &ApplyArguments) -> anyhow::Result<()> {
    let data_dir = check::data_dir(&arguments.config.config)?;
    let question = Question::Apply {
        file: std::path::absolute(&arguments.config.config)?,
        directory: std::path::absolute(&arguments.directory)?,
        dry_run: arguments.dry_run,
    };
    match control::ask(&data_dir, &question)? {
        Answer::Applied { changes, micros } => {
            for change in &changes {
                println!("{}", unicode::shown(change));
            }
            let changes = counted(changes.len(), "change");
            match micros {
                None => println!("{changes}; nothing was changed, as asked"),
                Some(micros) => {
                    println!(
                        "{changes}, in force after {}.{:03} ms",
                        micros / 1000,
                        micros % 1000
                    );
                }
            }
            Ok(())
        }
        other => Err(check::refused(other)),
    }
}
