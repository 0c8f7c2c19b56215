//! `portcullis new`.

use std::path::PathBuf;

use super::rows;
use crate::author::scaffold::{self, CrateName};

/// Which crate.
#[derive(clap::Args)]
pub(super) struct NewArguments {
    /// Its name, which the module has on a host, too.
    name: CrateName,
    /// The directory that it is made in; without it, one of its name in this directory.
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
}

/// Makes the crate, and says how to go on.
pub(super) fn new(arguments: &NewArguments) -> anyhow::Result<()> {
    let NewArguments { name, path } = arguments;
    let directory = path.clone().unwrap_or_else(|| name.as_str().into());
    let count = scaffold::create(name, &directory)?;
    rows::lines([
        format!("{}: a policy's crate of {count} files", directory.display()),
        format!("  cd {}", directory.display()),
        "  portcullis test     # asks it about the cases in vectors.toml".to_owned(),
        format!("  portcullis build    # makes target/policy/{name}.wasm, which a host takes"),
    ])
}
