//! `portcullis reload`.

use std::path::Path;

use super::check::{self, counted};
use crate::control::{self, Answer, Question};

/// Asks the running host to load everything anew. Done means that it is in force; what
/// has faults is shown, and changes nothing.
pub(super) fn reload(path: &Path) -> anyhow::Result<()> {
    // The host reads it again; read here, it says where the host is.
    let config = check::config(path)?;
    let question = Question::Reload {
        file: std::path::absolute(path)?,
    };
    match control::ask(&config.data_dir, &question)? {
        Answer::Done {
            file,
            tenants,
            waiting,
        } => {
            for key in waiting {
                eprintln!("portcullis: {key} is changed, which waits for a restart");
            }
            let tenants = counted(tenants, "tenant");
            println!("reloaded {}: {tenants}", file.display());
            Ok(())
        }
        other => Err(check::refused(other)),
    }
}
