//! `portcullis backup` and `portcullis restore`.

use std::os::unix::fs::{MetadataExt, fchown};
use std::path::PathBuf;

use anyhow::Context;

use super::check::data_dir;
use crate::privileges;
use crate::server;
use crate::store::Store;

/// Which file.
#[derive(clap::Args)]
pub(super) struct BackupArguments {
    /// The copy.
    file: PathBuf,
    #[command(flatten)]
    config: super::ConfigArguments,
}

/// Copies the store, beside a running host or without one.
pub(super) async fn backup(arguments: &BackupArguments) -> anyhow::Result<()> {
    let store = Store::read(&data_dir(&arguments.config.config)?).await?;
    store.backup(&arguments.file).await?;
    println!("copied the store to {}", arguments.file.display());
    Ok(())
}

/// Puts a copy in the place of the store. No host may run on it meanwhile.
pub(super) async fn restore(arguments: &BackupArguments) -> anyhow::Result<()> {
    let data_dir = data_dir(&arguments.config.config)?;
    let owner = data_dir.metadata().with_context(|| {
        let shown = data_dir.display();
        format!("data directory {shown}: make it first, and give it to the host's user")
    })?;
    let lock = server::claim(&data_dir)?;
    if privileges::is_root() {
        // Where no host has run it is new, and the host could not open root's.
        fchown(&lock, Some(owner.uid()), Some(owner.gid()))?;
    }
    let replaced = Store::restore(&arguments.file, &data_dir).await?;
    println!("restored the store from {}", arguments.file.display());
    if let Some(replaced) = replaced {
        println!("what was there before is in {}", replaced.display());
    }
    Ok(())
}
