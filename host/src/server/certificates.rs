//! The host's certificates: the files they are in, and whether these have changed.
//!
//! Changes are found by looking, several times a second, at what the files' names lead
//! to. A notification of the kernel would come a little sooner, but for a file that
//! another one is renamed over, or a name below a symbolic link that is swapped
//! (certbot and Kubernetes do the one and the other), it has to watch every directory
//! and link on the way, and it never comes from a file system of another machine.
//!
//! **Files are looked at before they are read**: what is written meanwhile is another
//! change.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::config::{CertificateFiles, Config, Fault, Position};
use crate::tls::{self, Identity, Provenance};

/// Where the host's certificates are.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    configured: Vec<CertificateFiles>,
    /// For the certificate that the host makes itself, where none is configured.
    own: PathBuf,
    hostname: String,
    config_file: Arc<Path>,
}

/// What is to be seen of all files from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp(Vec<Option<FileStamp>>);

/// A file that is written, replaced, or linked elsewhere differs in one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FileStamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Sources {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            configured: config.tls.certificates.clone(),
            own: config.data_dir.join("tls"),
            hostname: config.hostname.to_string(),
            config_file: Arc::clone(&config.file),
        }
    }

    /// The configured certificates, or one that the host makes itself. Reads files.
    ///
    /// # Errors
    /// Every certificate that cannot be used.
    pub(super) fn load(&self) -> Result<Vec<Identity>, Vec<Fault>> {
        if self.configured.is_empty() {
            return self.own().map(|own| vec![own]);
        }
        let (mut identities, mut faults) = (Vec::new(), Vec::new());
        for files in &self.configured {
            match Identity::load(&files.chain.value, &files.key.value) {
                Ok(identity) => identities.push(identity),
                Err(error) => faults.push(files.chain.at.fault(error)),
            }
        }
        if faults.is_empty() {
            Ok(identities)
        } else {
            Err(faults)
        }
    }

    /// What the files look like now. The certificate of the host's own making does not
    /// change.
    pub(super) fn stamp(&self) -> Stamp {
        let files = self.configured.iter();
        let paths = files.flat_map(|files| [&files.chain.value, &files.key.value]);
        Stamp(paths.map(|path| FileStamp::of(path)).collect())
    }

    fn own(&self) -> Result<Identity, Vec<Fault>> {
        let made = tls::host_certificate(&self.own, &self.hostname, SystemTime::now());
        let (identity, origin) =
            made.map_err(|error| vec![Position::file(&self.config_file).fault(error)])?;
        let hostname = &self.hostname;
        match origin {
            Provenance::Reused => {
                tracing::info!(hostname, "using the host's own self-signed certificate");
            }
            made => tracing::warn!(
                hostname,
                ?made,
                path = %self.own.display(),
                "no certificate is configured, so the host made itself a self-signed one"
            ),
        }
        Ok(identity)
    }
}

impl FileStamp {
    /// None while there is no such file.
    fn of(path: &Path) -> Option<Self> {
        let found: Metadata = path.metadata().ok()?;
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

/// What has been made of the files so far.
#[derive(Debug)]
pub(super) struct Watch {
    in_force: Stamp,
    /// Could not be used when it was first seen; it may be half of what is being written.
    doubtful: Option<Stamp>,
    /// Could not be used a second time, unchanged: that was said.
    refused: Option<Stamp>,
}

impl Watch {
    /// These are in force.
    pub(super) fn new(in_force: Stamp) -> Self {
        Self {
            in_force,
            doubtful: None,
            refused: None,
        }
    }

    /// These are in doubt from the start, and that was said.
    pub(super) fn refused(stamp: Stamp) -> Self {
        Self {
            refused: Some(stamp.clone()),
            ..Self::new(stamp)
        }
    }

    /// Whether files that look so are worth reading.
    pub(super) fn is_news(&self, now: &Stamp) -> bool {
        *now != self.in_force && self.refused.as_ref() != Some(now)
    }

    /// Files that looked so cannot be used. True when that is to be said: once, and not
    /// before they have been found like this twice.
    pub(super) fn is_refused(&mut self, now: Stamp) -> bool {
        if self.doubtful.as_ref() == Some(&now) {
            self.doubtful = None;
            self.refused = Some(now);
            return true;
        }
        self.doubtful = Some(now);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(size: u64) -> Stamp {
        Stamp(vec![Some(FileStamp {
            device: 1,
            inode: 1,
            size,
            modified: (1, 0),
            changed: (1, 0),
        })])
    }

    #[test]
    fn a_broken_file_is_told_of_once_and_not_while_it_is_written() {
        let mut watch = Watch::new(stamp(1));
        assert!(!watch.is_news(&stamp(1)));
        for half in [2, 3] {
            assert!(watch.is_news(&stamp(half)));
            assert!(!watch.is_refused(stamp(half)), "it may be half written");
        }
        assert!(watch.is_news(&stamp(3)));
        assert!(watch.is_refused(stamp(3)), "it stays broken");
        assert!(!watch.is_news(&stamp(3)), "that was said");
        assert!(watch.is_news(&stamp(4)), "somebody mends it");
        assert!(!watch.is_news(&stamp(1)), "or puts the old one back");
    }

    #[test]
    fn what_happens_to_a_file_is_seen() {
        let home = tempfile::tempdir().expect("a directory");
        let (path, other) = (home.path().join("one"), home.path().join("other"));
        let link = home.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        let mut stamps = vec![FileStamp::of(&link)];
        assert_eq!(stamps, [None], "there is none yet");
        std::fs::write(&path, "1").expect("written");
        stamps.push(FileStamp::of(&link));
        assert_eq!(FileStamp::of(&link), stamps[1], "nothing happened");
        std::fs::write(&path, "12").expect("written");
        stamps.push(FileStamp::of(&link));
        std::fs::write(&other, "34").expect("written");
        std::fs::rename(&other, &path).expect("renamed");
        stamps.push(FileStamp::of(&link));
        std::fs::write(&other, "34").expect("written");
        std::fs::remove_file(&link).expect("removed");
        std::os::unix::fs::symlink(&other, &link).expect("a link");
        stamps.push(FileStamp::of(&link));
        for (index, stamp) in stamps.iter().enumerate() {
            assert!(!stamps[index + 1..].contains(stamp), "{index}: {stamps:?}");
        }
    }
}
