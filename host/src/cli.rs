//! The command line: arguments as typed, one module for each subcommand.
//!
//! Exit codes: 0 done, 1 it could not be done (the reason is on standard error), 2
//! the command line is wrong. `explain` has one more.

mod apply;
mod audit;
mod backup;
mod check;
mod columns;
mod demo;
mod explain;
mod export;
mod openapi;
mod receipts;
mod reload;
mod serve;

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Termination};
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::log::{self, LogSettings};

/// A policy host for receiving mail: says per customer and route "this mail must
/// arrive over TLS", and means it.
#[derive(Parser)]
#[command(name = "portcullis", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Receive mail.
    Serve(ConfigArguments),
    /// Check the configuration, all tenants and their modules; every fault is shown.
    Check(ConfigArguments),
    /// Have the running host load its configuration, tenants and certificates anew.
    Reload(ConfigArguments),
    /// Have the running host make its store equal to a tree of files.
    Apply(apply::ApplyArguments),
    /// Write the tenants of the store as a tree of files.
    Export(export::ExportArguments),
    /// Copy the store into a file, while the host runs or not.
    Backup(backup::BackupArguments),
    /// Put a copy in the place of the store, while no host runs.
    Restore(backup::BackupArguments),
    /// Show every change of the store: when, by whom, and what.
    Audit(audit::AuditArguments),
    /// Show receipts: what was decided, and why.
    Receipts(receipts::ReceiptsArguments),
    /// Show which policy applies to mail, and why no other does.
    Explain(explain::ExplainArguments),
    /// Print the description of the admin API (OpenAPI).
    Openapi,
    /// Show the whole of it at work, on loopback, with throwaway certificates.
    Demo(demo::DemoArguments),
    /// Compile a module from standard input (the host starts this for itself).
    #[command(hide = true)]
    CompileWorker(WorkerArguments),
}

#[derive(clap::Args)]
struct ConfigArguments {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value = "portcullis.toml")]
    config: PathBuf,
}

#[derive(clap::Args)]
struct WorkerArguments {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::CompileWorker(_) => crate::engine::worker::main(),
        Command::Receipts(arguments) => finish(receipts::receipts(&arguments)),
        Command::Explain(arguments) => finish(explain::run(&arguments)),
        Command::Openapi => finish(openapi::openapi()),
        Command::Serve(arguments) => finish(serve(&arguments.config)),
        Command::Reload(arguments) => finish(reload::reload(&arguments.config)),
        Command::Apply(arguments) => finish(apply::apply(&arguments)),
        Command::Check(arguments) => quietly(check::check(&arguments.config)),
        Command::Export(arguments) => quietly(export::export(&arguments)),
        Command::Backup(arguments) => quietly(backup::backup(&arguments)),
        Command::Restore(arguments) => quietly(backup::restore(&arguments)),
        Command::Audit(arguments) => quietly(audit::audit(&arguments)),
        Command::Demo(arguments) => quietly(demo::demo(&arguments)),
    }
}

/// Runs what has no log of its own.
fn quietly(command: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    finish(run(command, LogSettings::WARNINGS))
}

/// The configuration says how the log is written, so that its faults come before.
fn serve(path: &Path) -> anyhow::Result<()> {
    let config = check::config(path)?;
    let log = config.log;
    run(serve::serve(config), log)
}

/// Runs what is asynchronous, with the log on standard error.
fn run(
    command: impl Future<Output = anyhow::Result<()>>,
    settings: LogSettings,
) -> anyhow::Result<()> {
    let _log = log::start(settings);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(command);
    // A disk that does not answer must not keep the process from ending.
    runtime.shutdown_timeout(Duration::from_secs(5));
    result
}

fn finish(result: anyhow::Result<impl Termination>) -> ExitCode {
    match result {
        Ok(done) => done.report(),
        // A reader that has seen enough, such as `head`, is no failure.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("portcullis: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}
