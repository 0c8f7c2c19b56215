//! The `portcullis` binary.

use std::process::ExitCode;

use portcullis::engine::worker;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(worker::SUBCOMMAND) {
        return worker::main();
    }
    ExitCode::SUCCESS
}
