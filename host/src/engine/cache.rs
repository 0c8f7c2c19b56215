//! Compiled modules on disk.
//!
//! Loading an artefact is running it: an artefact that somebody else made is arbitrary
//! code in this process. So there is one door to `Component::deserialize`, and what
//! passes it is a [`Compiled`]: fresh from a worker of ours, or read from a file whose
//! authentication code only this host can have made. A file that does not verify is a
//! file that is not there.
//!
//! ```text
//! magic 8 · HMAC-SHA256 32 · length of the manifest 4 · manifest · artefact
//! ```
//! The code covers the format, the module's digest, the engine's compatibility, the
//! manifest and the artefact, each with its length: neither can be exchanged for
//! another's.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, DirEntry, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::{constant_time, hmac, rand};
use tempfile::NamedTempFile;
use tokio::task::spawn_blocking;
use wasmtime::component::Component;

use super::module::Manifest;
use crate::digest::Digest;

/// The format, with its version.
const MAGIC: &[u8; 8] = b"PCULLIS\x01";
/// Bytes of the code.
const TAG: usize = 32;
/// How the names of compiled modules end.
const EXTENSION: &str = ".module";
/// How the names of files begin that are being written.
const TEMPORARY: &str = ".new-";
/// Longer than any file takes to be written.
const WRITING: Duration = Duration::from_secs(600);
/// How old a compiled module is at least when it goes: whatever is being admitted is
/// younger, and is in the store by then.
const YOUNG: Duration = Duration::from_secs(3600);
/// Most compiled modules that go at one time: the disk is mail's, too.
const AT_ONE_TIME: usize = 1_000;
/// The key's file.
const KEY: &str = "cache.key";
/// Bytes of the key: as many as the digest has (RFC 2104, section 3).
const KEY_LENGTH: usize = 32;

/// A compiled module that may be loaded.
#[derive(Clone)]
pub(super) struct Compiled(Arc<Contents>);

struct Contents {
    manifest: Manifest,
    artefact: Vec<u8>,
}

impl Compiled {
    /// What a compile worker of ours has just written.
    pub(super) fn by_worker(manifest: Manifest, artefact: Vec<u8>) -> Self {
        Self(Arc::new(Contents { manifest, artefact }))
    }

    pub(super) fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    pub(super) fn artefact(&self) -> &[u8] {
        &self.0.artefact
    }
}

/// Loads a compiled module into the engine.
#[expect(
    unsafe_code,
    reason = "the artefact was written by a worker of ours or verified against our key, which is what `deserialize` asks for"
)]
pub(super) fn deserialize(
    engine: &wasmtime::Engine,
    compiled: &Compiled,
) -> wasmtime::Result<Component> {
    // SAFETY: a `Compiled` holds nothing but the unchanged output of wasmtime's own
    // serialisation in a worker started by us: see `by_worker` and `Store::read`.
    unsafe { Component::deserialize(engine, compiled.artefact()) }
}

/// The cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The directory or the key cannot be read or made.
    #[error("the cache of compiled modules at {path} cannot be used: {error}")]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Others may write there.
    #[error(
        "the cache of compiled modules at {path} has mode {mode:o}: only its owner may use it (chmod 700)"
    )]
    Mode {
        /// Which one.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Somebody else's.
    #[error(
        "the cache of compiled modules at {path} belongs to user {owner}, and this host runs as {user}: whoever owns it could put code into the host"
    )]
    Owner {
        /// Which one.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        user: u32,
    },
    /// Not a key.
    #[error("{path} is not a key of {KEY_LENGTH} bytes: remove it, and modules are compiled again")]
    Key {
        /// Where it is.
        path: PathBuf,
    },
}

/// The cache.
#[derive(Clone)]
pub(super) struct Cache(Arc<Store>);

struct Store {
    directory: PathBuf,
    key: hmac::Key,
    compatibility: Digest,
}

impl Cache {
    /// Opens it, making directory and key on first use, and removes what nobody will
    /// read again.
    pub(super) fn open(directory: &Path, compatibility: Digest) -> Result<Self, CacheError> {
        prepare(directory)?;
        let store = Store {
            directory: directory.to_owned(),
            key: key(directory)?,
            compatibility,
        };
        if let Err(error) = store.sweep() {
            // It costs room on the disk and nothing else.
            tracing::warn!(path = %directory.display(), %error, "the cache cannot be cleaned up");
        }
        Ok(Self(Arc::new(store)))
    }

    /// A compiled module, if it is there and verifies.
    pub(super) async fn load(&self, module: Digest) -> Option<Compiled> {
        let store = Arc::clone(&self.0);
        let path = store.path(module);
        let read = spawn_blocking(move || store.read(module)).await.ok()?;
        match read {
            Ok(compiled) => Some(compiled),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(module.digest = %module, path = %path.display(), %error, "a cached module is not used and compiled again");
                None
            }
        }
    }

    /// Removes modules that are none of these, and were not compiled just now; how many, and
    /// whether there may be more.
    pub(super) async fn prune(&self, needed: HashSet<Digest>) -> io::Result<(usize, bool)> {
        let store = Arc::clone(&self.0);
        let removed = spawn_blocking(move || store.prune(&needed)).await;
        let removed = removed.map_err(io::Error::other)??;
        Ok((removed, removed == AT_ONE_TIME))
    }

    /// Keeps a compiled module.
    pub(super) async fn store(&self, module: Digest, compiled: &Compiled) -> io::Result<()> {
        let (store, compiled) = (Arc::clone(&self.0), compiled.clone());
        spawn_blocking(move || store.write(module, &compiled))
            .await
            .map_err(io::Error::other)?
    }
}

impl Store {
    fn path(&self, module: Digest) -> PathBuf {
        self.directory.join(format!("{module}{}", self.suffix()))
    }

    /// How the names of this engine's files end: one of another is as good as none.
    fn suffix(&self) -> String {
        let engine: String = self.compatibility.to_string().chars().take(16).collect();
        format!("-{engine}{EXTENSION}")
    }

    /// Removes modules of other engines, and files that a crash left half written.
    fn sweep(&self) -> io::Result<()> {
        let suffix = self.suffix();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let foreign = name.ends_with(EXTENSION) && !name.ends_with(&suffix);
            let half_written = name.starts_with(TEMPORARY) && is_older(&entry, WRITING)?;
            if foreign || half_written {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn prune(&self, needed: &HashSet<Digest>) -> io::Result<usize> {
        let (suffix, mut removed) = (self.suffix(), 0);
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(&suffix));
            let module: Option<Digest> = name.and_then(|name| name.parse().ok());
            let unneeded = module.is_some_and(|module| !needed.contains(&module));
            if unneeded && is_older(&entry, YOUNG)? {
                fs::remove_file(entry.path())?;
                removed += 1;
            }
            if removed == AT_ONE_TIME {
                break;
            }
        }
        Ok(removed)
    }

    fn read(&self, module: Digest) -> io::Result<Compiled> {
        let mut bytes = Vec::new();
        File::open(self.path(module))?.read_to_end(&mut bytes)?;
        let mut rest = bytes.as_slice();
        if take(&mut rest, MAGIC.len())? != MAGIC {
            return Err(unfit("it has another format"));
        }
        let tag = take(&mut rest, TAG)?;
        let length = take(&mut rest, 4)?.try_into().map_err(io::Error::other)?;
        let manifest = take(&mut rest, u32::from_be_bytes(length) as usize)?;
        let expected = self.tag(module, manifest, rest);
        constant_time::verify_slices_are_equal(expected.as_ref(), tag)
            .map_err(|_| unfit("it is not what this host wrote"))?;
        let manifest = serde_json::from_slice(manifest)?;
        let artefact = bytes.len() - rest.len();
        Ok(Compiled::by_worker(manifest, bytes.split_off(artefact)))
    }

    fn write(&self, module: Digest, compiled: &Compiled) -> io::Result<()> {
        let manifest = serde_json::to_vec(compiled.manifest())?;
        let length = u32::try_from(manifest.len()).map_err(io::Error::other)?;
        let tag = self.tag(module, &manifest, compiled.artefact());
        let mut file = temporary(&self.directory)?;
        for part in [
            MAGIC.as_slice(),
            tag.as_ref(),
            &length.to_be_bytes(),
            &manifest,
            compiled.artefact(),
        ] {
            file.write_all(part)?;
        }
        file.as_file().sync_all()?;
        file.persist(self.path(module))?;
        File::open(&self.directory)?.sync_all()
    }

    fn tag(&self, module: Digest, manifest: &[u8], artefact: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(MAGIC);
        context.update(module.as_bytes());
        context.update(self.compatibility.as_bytes());
        for part in [manifest, artefact] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.sign()
    }
}

/// Whoever writes one at this moment goes on.
fn is_older(entry: &DirEntry, than: Duration) -> io::Result<bool> {
    let modified = entry.metadata()?.modified()?;
    Ok(modified.elapsed().is_ok_and(|age| age > than))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> io::Result<&'a [u8]> {
    let (taken, left) = rest
        .split_at_checked(length)
        .ok_or_else(|| unfit("it is cut short"))?;
    *rest = left;
    Ok(taken)
}

fn unfit(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn prepare(directory: &Path) -> Result<(), CacheError> {
    let fault = |error| CacheError::Io {
        path: directory.to_owned(),
        error,
    };
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(directory).map_err(fault)?;
    let metadata = fs::metadata(directory).map_err(fault)?;
    let path = directory.to_owned();
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(CacheError::Mode { path, mode });
    }
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != user {
        return Err(CacheError::Owner { path, owner, user });
    }
    Ok(())
}

/// The key, made on first use. Two hosts that start at once agree on one.
fn key(directory: &Path) -> Result<hmac::Key, CacheError> {
    let path = directory.join(KEY);
    let fault = |error| CacheError::Io {
        path: path.clone(),
        error,
    };
    if !path.exists() {
        make_key(directory, &path).map_err(fault)?;
    }
    let key = fs::read(&path).map_err(fault)?;
    if key.len() != KEY_LENGTH {
        return Err(CacheError::Key { path });
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &key))
}

fn temporary(directory: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(TEMPORARY)
        .tempfile_in(directory)
}

fn make_key(directory: &Path, path: &Path) -> io::Result<()> {
    let mut key = [0; KEY_LENGTH];
    rand::fill(&mut key).map_err(|_| io::Error::other("the system gives no random bytes"))?;
    let mut file = temporary(directory)?;
    file.as_file()
        .set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(&key)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => File::open(directory)?.sync_all(),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}
