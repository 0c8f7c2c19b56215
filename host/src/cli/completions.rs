//! `portcullis completions` and `portcullis man`: what shells and `man` know of the
//! command line, made of the same description that reads it.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

use super::Arguments;

/// For which shell.
#[derive(clap::Args)]
pub(super) struct CompletionsArguments {
    /// The shell whose completions are printed.
    shell: Shell,
}

/// Where to.
#[derive(clap::Args)]
pub(super) struct ManArguments {
    /// The directory that gets a page for each subcommand; it is made if it is not there.
    directory: PathBuf,
}

/// Prints what this shell has to read.
pub(super) fn completions(arguments: &CompletionsArguments) -> anyhow::Result<()> {
    // What it writes to must not fail, and a pipe may.
    let mut script = Vec::new();
    let mut command = Arguments::command();
    clap_complete::generate(arguments.shell, &mut command, "portcullis", &mut script);
    let mut out = io::stdout().lock();
    out.write_all(&script)
        .and_then(|()| out.flush())
        .context("standard output")
}

/// Writes the pages.
pub(super) fn man(arguments: &ManArguments) -> anyhow::Result<()> {
    let directory = &arguments.directory;
    let written = fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(Arguments::command(), directory));
    written.with_context(|| directory.display().to_string())
}
