//! The `portcullis` command.

use std::process::ExitCode;

/// A message is many small things that are made and dropped: the system's allocator takes
/// several hundredths of the time of one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    portcullis::cli::main()
}
