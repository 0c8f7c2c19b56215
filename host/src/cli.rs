//! The command line: arguments as typed, one module for each subcommand.
//!
//! Exit codes: 0 done, 1 it could not be done (the reason is on standard error), 2
//! the command line is wrong; of what a running host is asked, 4 it is not there, 5 it
//! was changed since it was read. `explain` has one more, 3. A signal that ends a command is
//! 128 and its number.

mod api;
mod apply;
mod audit;
mod backup;
mod bench;
mod build;
mod change;
mod changed;
mod check;
mod columns;
mod completions;
mod demo;
mod document;
mod erase;
mod explain;
mod export;
mod inspect;
mod interrupt;
mod list;
mod module;
mod new;
mod node;
mod openapi;
mod policy;
mod push;
mod receipts;
mod reload;
mod replay;
mod report;
mod rerun;
mod revisions;
mod rows;
mod run;
mod serve;
mod subject;
mod tenant;
mod test;
mod token;
mod trace;
mod warnings;
mod webhook;
mod when;
mod whose;

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Termination};
use std::time::Duration;

use clap::{Parser, Subcommand};

use api::Failure;
use check::counted;
use interrupt::{Interrupted, unless_interrupted};

use crate::blocking;
use crate::log::{self, LogSettings};
use crate::unicode;

/// At the end of the help: where authors begin, and what scripts have to know.
const AFTER: &str = "\
To write a policy, begin with `portcullis new NAME`: `test` tries it on this machine, and `push` \
has a host take it.

Exit codes: 0 done; 1 it could not be done, and standard error says why; 2 the command \
line is wrong; 3 what decided an explained receipt has changed since; 4 there is no such \
thing, or it is another tenant's; 5 it was changed since it was read, or is there already.

Environment: PORTCULLIS_URL is the URL of the admin API to be asked, and PORTCULLIS_TOKEN \
the token that goes with it. What the command line says goes before both.";

/// A policy host for receiving mail: says per customer and route "this mail must
/// arrive over TLS", and means it.
#[derive(Parser)]
#[command(name = "portcullis", version, about, after_long_help = AFTER)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make the crate of a new policy, with settings, cases, and all that it is built with.
    New(new::NewArguments),
    /// Build the policy in this directory: a module that a host takes.
    Build(build::BuildArguments),
    /// Show what a module is made of, and what a host would say of it.
    Inspect(inspect::InspectArguments),
    /// Build, test and upload a policy, and have it decide or tried, in one go.
    Push(push::PushArguments),
    /// Receive mail.
    Serve(ConfigArguments),
    /// Check the configuration, all tenants and their modules; every fault is shown.
    Check(ConfigArguments),
    /// Have the running host load its configuration, tenants and certificates anew.
    Reload(reload::ReloadArguments),
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
    /// Show how a tenant's mail came, by sender: over which TLS, with which certificates.
    Report(report::ReportArguments),
    /// Show what to do before mail breaks: certificates that end, partners who fail.
    Warnings(warnings::WarningsArguments),
    /// Make the secret with which messages to a tenant's webhook are signed.
    Webhook(webhook::WebhookArguments),
    /// Erase a person's address from receipts.
    Erase(erase::EraseArguments),
    /// Show which policy applies to mail, and why no other does.
    Explain(explain::ExplainArguments),
    /// Ask a change about the mail of the past: whom would it refuse?
    Replay(replay::ReplayArguments),
    /// Run the decisions of a receipt again, by what they were made of.
    Rerun(rerun::RerunArguments),
    /// Show and change tenants.
    Tenant(tenant::TenantsArguments),
    /// Show and change policies of a tenant.
    Policy(policy::PolicyArguments),
    /// Show and change lists of a tenant.
    List(list::ListArguments),
    /// Upload modules of a tenant, show and choose their revisions.
    Module(module::ModuleArguments),
    /// Make, show and revoke tokens for the admin API.
    Token(token::TokenArguments),
    /// Show what a running host is.
    Node(node::NodeArguments),
    /// Print the description of the admin API (OpenAPI).
    Openapi,
    /// Print what a shell has to read to complete this command line.
    Completions(completions::CompletionsArguments),
    /// Write manual pages, one for each subcommand.
    Man(completions::ManArguments),
    /// Try a policy's vectors on the compiled module, in the real engine.
    Test(test::TestArguments),
    /// Ask a module about one message, and show all that it did.
    Run(run::RunArguments),
    /// Measure what a module costs, beside a constant.
    Bench(bench::BenchArguments),
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
        Command::New(arguments) => finish(new::new(&arguments)),
        Command::Build(arguments) => quietly(unless_interrupted(build::run(&arguments))),
        Command::Inspect(arguments) => quietly(unless_interrupted(inspect::run(&arguments))),
        Command::Receipts(arguments) => quietly(receipts::receipts(&arguments)),
        Command::Report(arguments) => quietly(report::run(&arguments)),
        Command::Warnings(arguments) => quietly(warnings::run(&arguments)),
        Command::Webhook(arguments) => quietly(webhook::run(&arguments)),
        Command::Explain(arguments) => quietly(explain::run(&arguments)),
        Command::Erase(arguments) => quietly(erase::run(&arguments)),
        Command::Replay(arguments) => quietly(replay::run(&arguments)),
        Command::Rerun(arguments) => quietly(rerun::run(&arguments)),
        Command::Openapi => finish(openapi::openapi()),
        Command::Completions(arguments) => finish(completions::completions(&arguments)),
        Command::Man(arguments) => finish(completions::man(&arguments)),
        Command::Serve(arguments) => ended(serve(&arguments.config)),
        Command::Reload(arguments) => quietly(reload::reload(&arguments)),
        Command::Apply(arguments) => quietly(apply::apply(&arguments)),
        Command::Check(arguments) => quietly(check::check(&arguments.config)),
        Command::Export(arguments) => quietly(export::export(&arguments)),
        Command::Backup(arguments) => quietly(backup::backup(&arguments)),
        Command::Restore(arguments) => quietly(backup::restore(&arguments)),
        Command::Audit(arguments) => quietly(audit::audit(&arguments)),
        Command::Tenant(arguments) => quietly(tenant::run(&arguments)),
        Command::Policy(arguments) => quietly(policy::run(&arguments)),
        Command::List(arguments) => quietly(list::run(&arguments)),
        Command::Module(arguments) => quietly(module::run(&arguments)),
        Command::Push(arguments) => quietly(unless_interrupted(push::run(&arguments))),
        Command::Token(arguments) => quietly(token::run(&arguments)),
        Command::Node(arguments) => quietly(node::run(&arguments)),
        Command::Test(arguments) => quietly(test::run(&arguments)),
        Command::Run(arguments) => quietly(unless_interrupted(run::run(&arguments))),
        Command::Bench(arguments) => quietly(unless_interrupted(bench::run(&arguments))),
        Command::Demo(arguments) => quietly(demo::demo(&arguments)),
    }
}

/// Runs what has no log of its own.
fn quietly(command: impl Future<Output = anyhow::Result<impl Termination>>) -> ExitCode {
    finish(run(command, LogSettings::WARNINGS))
}

/// The configuration says how the log is written, so that its faults come before.
fn serve(path: &Path) -> anyhow::Result<()> {
    let config = check::config(path)?;
    let log = config.log;
    run(serve::serve(config), log)
}

/// Runs what is asynchronous, with the log on standard error.
fn run<T>(
    command: impl Future<Output = anyhow::Result<T>>,
    settings: LogSettings,
) -> anyhow::Result<T> {
    let _log = log::start(settings);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(blocking::THREADS)
        .build()?;
    let result = runtime.block_on(command);
    // A disk that does not answer must not keep the process from ending.
    runtime.shutdown_timeout(Duration::from_secs(5));
    result
}

/// How a command ends that has done, before it tells of it, all that it is for.
fn finish(result: anyhow::Result<impl Termination>) -> ExitCode {
    match result {
        // A reader that has seen enough, such as `head`, is no failure.
        Err(error) if rows::is_broken_pipe(&error) => ExitCode::SUCCESS,
        result => ended(result),
    }
}

/// How any other ends.
fn ended(result: anyhow::Result<impl Termination>) -> ExitCode {
    match result {
        Ok(done) => done.report(),
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    let failure = error.downcast_ref::<Failure>();
    let faults = failure.map(Failure::faults).unwrap_or_default();
    for fault in faults {
        rows::aside(unicode::shown(fault));
    }
    match faults.len() {
        0 => rows::aside(format_args!("portcullis: {}", in_words(error))),
        many => rows::aside(format_args!("portcullis: {}", concluded(error, many))),
    }
    let interrupted = error.downcast_ref::<Interrupted>();
    let code = interrupted.map(Interrupted::exit_code);
    code.or(failure.map(Failure::exit_code))
        .unwrap_or(ExitCode::FAILURE)
}

/// What failed, and why. Some errors say that themselves, and it is said once.
fn in_words(error: &anyhow::Error) -> String {
    let mut words = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !words.ends_with(&cause) {
            words.push_str(": ");
            words.push_str(&cause);
        }
    }
    words
}

/// How many faults, with how things stand: where nothing else is said, as they were.
fn concluded(error: &anyhow::Error, faults: usize) -> String {
    let faults = counted(faults, "fault");
    match error.chain().len() {
        1 => format!("{faults}; nothing was changed"),
        _ => format!("{error}: {faults}"),
    }
}
