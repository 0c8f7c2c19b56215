//! What the host costs, beside a floor that does no more than any mail server must.
//!
//! `bench/run` builds all of it optimised and runs it. Read in this order: `arguments`
//! (what can be asked for), `site` (the host under test and
//! how it is configured), `floor` (what it is measured against), `load` (the clients),
//! `decisions`, `mail`, `memory`, `receipts`, `changes` and `replay` (the measurements), `table` (what is shown, and the
//! bounds that `--check` holds it to).
//!
//! **Servers are processes of their own on one core, clients are on another**: what is
//! told of a server is its own processor time, as the kernel counts it. **What is
//! compared was measured in turns**, so that a machine that gets slower or faster
//! meanwhile does so for all.

mod api;
mod arguments;
mod certificate;
mod changes;
mod decisions;
mod floor;
mod load;
mod mail;
mod memory;
mod receipts;
mod replay;
mod server;
mod site;
mod table;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command, ComparisonArguments, Part};
use site::Programs;

/// That of the host: what a message costs in memory is to differ by what is done for it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("portcullis-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    match arguments.command {
        None => compare(&arguments.comparison),
        Some(Command::Load(load)) => load::command(&load).map(|()| ExitCode::SUCCESS),
        Some(Command::Floor(floor)) => floor::command(&floor).map(|()| ExitCode::SUCCESS),
    }
}

fn compare(arguments: &ComparisonArguments) -> anyhow::Result<ExitCode> {
    let programs = Programs::find()?;
    server::leave_servers_core()?;
    let rounds = usize::from(arguments.rounds);
    let (memory, quick) = (arguments.memory.as_path(), arguments.quick);
    let wanted = |part| arguments.only.is_empty() || arguments.only.contains(&part);
    let mut bounds = Vec::new();
    if wanted(Part::Decisions) {
        let costs = decisions::measure(&programs, memory, rounds, quick)?;
        bounds.extend(table::decisions(&costs));
    }
    if wanted(Part::Mail) {
        let directories = (arguments.disk.as_path(), memory);
        let routes = mail::ROUTES
            .iter()
            .map(|route| mail::measure(&programs, *route, directories, rounds, quick));
        bounds.extend(table::mail(&routes.collect::<Result<Vec<_>, _>>()?));
    }
    if wanted(Part::Memory) {
        let idle = memory::measure(&programs, memory, rounds, quick)?;
        bounds.extend(table::memory(&idle));
    }
    if wanted(Part::Receipts) {
        let rounds = receipts::measure(&programs, &arguments.disk, rounds, quick)?;
        table::receipts(&rounds);
    }
    // A thousand modules take some minutes to compile: only for whoever asks.
    if arguments.only.contains(&Part::Changes) {
        let rounds = changes::measure(&programs, memory, rounds, quick)?;
        bounds.extend(table::changes(&rounds));
    }
    // A million receipts take a while to be written.
    if arguments.only.contains(&Part::Replay) {
        let sizes = replay::measure(&programs, &arguments.disk, rounds, quick)?;
        bounds.extend(table::replay(&sizes));
    }
    let all_hold = table::bounds(&bounds);
    Ok(match arguments.check && !all_hold {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}
