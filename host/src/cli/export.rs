//! `portcullis export`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::check::{counted, data_dir};
use crate::config::{FileContent, TreeFile};
use crate::store::Store;

/// Where to, and from where.
#[derive(clap::Args)]
pub(super) struct ExportArguments {
    /// A directory that is not there yet, or is empty.
    directory: PathBuf,
    #[command(flatten)]
    config: super::ConfigArguments,
}

/// Writes the tenants of the store as files, beside a running host or without one. They
/// get their place when all of them are written.
pub(super) async fn export(arguments: &ExportArguments) -> anyhow::Result<()> {
    let directory = &arguments.directory;
    let store = Store::read_at_this_moment(&data_dir(&arguments.config.config)?).await?;
    if fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{} is not empty: name a new directory", directory.display());
    }
    let versions = store.versions().await?;
    let scratch = beside(directory)?;
    let tenants = scratch.path().join("tenants");
    fs::create_dir(&tenants)?;
    for kept in store.documents(versions.keys(), |_| None).await? {
        for file in kept.document.files()? {
            write(&tenants, &file, &store).await?;
        }
    }
    // It is the user's from now on, as any directory that the user makes.
    fs::set_permissions(scratch.path(), tenants.metadata()?.permissions())?;
    fs::rename(scratch.path(), directory).with_context(|| directory.display().to_string())?;
    println!("exported {}", counted(versions.len(), "tenant"));
    Ok(())
}

fn beside(directory: &Path) -> anyhow::Result<tempfile::TempDir> {
    let directory = std::path::absolute(directory)?;
    let parent = directory.parent().unwrap_or(&directory);
    let made = tempfile::Builder::new()
        .prefix(".export-")
        .tempdir_in(parent);
    made.with_context(|| parent.display().to_string())
}

async fn write(tenants: &Path, file: &TreeFile, store: &Store) -> anyhow::Result<()> {
    let path = tenants.join(&file.path);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let written = match &file.content {
        FileContent::Text(text) => fs::write(&path, text),
        FileContent::Module(digest) => fs::write(&path, store.module(*digest).await?),
    };
    written.with_context(|| path.display().to_string())
}
