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
use std::time::{Duration, Instant, SystemTime};

use crate::config::{CertificateFiles, Config, Fault, Position};
use crate::facts::unix_seconds;
use crate::receipt::timestamp;
use crate::tls::{self, Identity, Provenance};

/// When files that could not be read are read again: descriptors run out for seconds, a
/// disk that is far away for longer, and a look costs next to nothing.
const AGAIN: Duration = Duration::from_secs(5);

/// Where the host's certificates are.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    configured: Vec<CertificateFiles>,
    /// For the certificate that the host makes itself, where none is configured.
    own: PathBuf,
    hostname: String,
    config_file: Arc<Path>,
}

/// When certificates in force end, of those that have not yet.
#[derive(Debug, Default)]
pub(super) struct Ends(Vec<End>);

/// When a certificate ends.
#[derive(Clone, Debug, PartialEq, Eq)]
struct End {
    /// Its first name.
    name: String,
    /// In seconds since 1970.
    at: i64,
}

/// What is to be seen of all files from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp(Vec<Option<FileStamp>>);

/// Certificates that cannot be used.
#[derive(Debug)]
pub(super) struct Unusable {
    pub(super) faults: Vec<Fault>,
    cause: Cause,
}

/// Why files could not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// For what is in them, or since one is missing: until they change.
    Content,
    /// One could not be read, which may pass without any change of it.
    Reading,
}

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
        Self::of_files(config, config.tls.certificates.clone())
    }

    /// These, or one that the host makes itself where none is among them.
    pub(super) fn of_files(config: &Config, configured: Vec<CertificateFiles>) -> Self {
        Self {
            configured,
            own: config.data_dir.join("tls"),
            hostname: config.hostname.to_string(),
            config_file: Arc::clone(&config.file),
        }
    }

    /// The configured certificates, or one that the host makes itself. Reads files.
    ///
    /// # Errors
    /// Every certificate that cannot be used.
    pub(super) fn load(&self) -> Result<Vec<Identity>, Unusable> {
        if self.configured.is_empty() {
            return self.own().map(|own| vec![own]);
        }
        let (mut identities, mut faults) = (Vec::new(), Vec::new());
        let mut cause = Cause::Content;
        for files in &self.configured {
            match Identity::load(&files.chain.value, &files.key.value) {
                Ok(identity) => identities.push(identity),
                Err(error) => {
                    if error.is_transient() {
                        cause = Cause::Reading;
                    }
                    faults.push(files.chain.at.fault(error));
                }
            }
        }
        if faults.is_empty() {
            Ok(identities)
        } else {
            Err(Unusable { faults, cause })
        }
    }

    /// What the files look like now. The certificate of the host's own making does not
    /// change.
    pub(super) fn stamp(&self) -> Stamp {
        let files = self.configured.iter();
        let paths = files.flat_map(|files| [&files.chain.value, &files.key.value]);
        Stamp(paths.map(|path| FileStamp::of(path)).collect())
    }

    fn own(&self) -> Result<Identity, Unusable> {
        let made = tls::host_certificate(&self.own, &self.hostname, SystemTime::now());
        let (identity, origin) = made.map_err(|error| Unusable {
            cause: match error.is_transient() {
                true => Cause::Reading,
                false => Cause::Content,
            },
            faults: vec![Position::file(&self.config_file).fault(error)],
        })?;
        let hostname = &self.hostname;
        match origin {
            Provenance::Reused => {
                tracing::info!(hostname, "using the host's own self-signed certificate");
            }
            made => tracing::warn!(
                hostname,
                reason = made.reason(),
                path = %self.own.display(),
                "no certificate is configured, so the host made itself a self-signed one"
            ),
        }
        Ok(identity)
    }
}

impl Ends {
    pub(super) fn of(identities: &[Identity]) -> Self {
        let ends = identities.iter().map(Identity::expiry);
        let end = |(name, at): (&str, i64)| End {
            name: name.to_owned(),
            at,
        };
        Self(ends.map(end).collect())
    }

    /// Says which have passed by now.
    pub(super) fn tell(&mut self) {
        let now = unix_seconds(SystemTime::now());
        for End { name, at } in self.passed(now.cast_signed()) {
            let ended = timestamp(at.max(0).cast_unsigned());
            tracing::error!(name, ended, "a certificate of the host has ended: renew it");
        }
    }

    /// Takes those that have passed by then, in seconds since 1970.
    fn passed(&mut self, now: i64) -> Vec<End> {
        self.0.extract_if(.., |end| end.at < now).collect()
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
    /// None while there are none that can be used.
    in_force: Option<Stamp>,
    /// Could not be used when it was first seen; it may be half of what is being written.
    doubtful: Option<Stamp>,
    /// Could not be used a second time, unchanged: that was said.
    refused: Option<Refused>,
}

/// Files that could not be used.
#[derive(Debug)]
struct Refused {
    stamp: Stamp,
    cause: Cause,
    /// When they were read last.
    read: Instant,
}

impl Watch {
    /// These are in force.
    pub(super) fn new(in_force: Stamp) -> Self {
        Self {
            in_force: Some(in_force),
            doubtful: None,
            refused: None,
        }
    }

    /// These could not be used at the start, at this time, and that was said.
    pub(super) fn refused(stamp: Stamp, unusable: &Unusable, read: Instant) -> Self {
        Self {
            in_force: None,
            doubtful: None,
            refused: Some(Refused {
                stamp,
                cause: unusable.cause,
                read,
            }),
        }
    }

    /// Whether files that look so now are worth reading.
    pub(super) fn is_news(&self, stamp: &Stamp, now: Instant) -> bool {
        let is_known = match self.known(stamp) {
            Some(refused) => refused.cause == Cause::Content || now < refused.read + AGAIN,
            None => self.in_force.as_ref() == Some(stamp),
        };
        !is_known
    }

    /// Files that looked so cannot be used. True when that is to be said: once for each
    /// cause, and not before they have been found like this twice.
    pub(super) fn is_refused(&mut self, stamp: Stamp, unusable: &Unusable, now: Instant) -> bool {
        let cause = unusable.cause;
        let said = self.known(&stamp).map(|refused| refused.cause);
        if said.is_none() && self.doubtful.as_ref() != Some(&stamp) {
            self.doubtful = Some(stamp);
            return false;
        }
        self.doubtful = None;
        self.refused = Some(Refused {
            stamp,
            cause,
            read: now,
        });
        said != Some(cause)
    }

    fn known(&self, stamp: &Stamp) -> Option<&Refused> {
        self.refused
            .as_ref()
            .filter(|refused| refused.stamp == *stamp)
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

    fn unusable(cause: Cause) -> Unusable {
        let faults = Vec::new();
        Unusable { faults, cause }
    }

    #[test]
    fn an_end_is_told_of_once() {
        let end = |name: &str, at| End {
            name: name.to_owned(),
            at,
        };
        let mut ends = Ends(vec![end("b", 7), end("a", 5), end("c", 9)]);
        assert_eq!(ends.passed(5), [], "it is the last second");
        assert_eq!(ends.passed(8), [end("b", 7), end("a", 5)]);
        assert_eq!(ends.passed(9), []);
        assert_eq!(ends.passed(10), [end("c", 9)]);
    }

    #[test]
    fn a_broken_file_is_told_of_once_and_not_while_it_is_written() {
        let (mut watch, now) = (Watch::new(stamp(1)), Instant::now());
        let broken = unusable(Cause::Content);
        let is_news = |watch: &Watch, size| watch.is_news(&stamp(size), now + AGAIN);
        assert!(!is_news(&watch, 1));
        for half in [2, 3] {
            assert!(is_news(&watch, half));
            let is_refused = watch.is_refused(stamp(half), &broken, now);
            assert!(!is_refused, "it may be half written");
        }
        assert!(is_news(&watch, 3));
        assert!(watch.is_refused(stamp(3), &broken, now), "it stays broken");
        assert!(!is_news(&watch, 3), "that was said");
        assert!(is_news(&watch, 4), "somebody mends it");
        assert!(!is_news(&watch, 1), "or puts the old one back");
    }

    /// What cannot be read may be sound: it is read again though nothing about it has
    /// changed, now and then, and told of once.
    #[test]
    fn a_file_that_cannot_be_read_is_read_again() {
        let now = Instant::now();
        let (unread, broken) = (unusable(Cause::Reading), unusable(Cause::Content));
        let mut running = Watch::new(stamp(1));
        assert!(!running.is_refused(stamp(2), &unread, now));
        assert!(running.is_refused(stamp(2), &unread, now));
        let mut started = Watch::refused(stamp(2), &unread, now);
        for watch in [&mut running, &mut started] {
            let mut read = now;
            for _ in 0..3 {
                assert!(!watch.is_news(&stamp(2), read), "it was just read");
                read += AGAIN;
                assert!(watch.is_news(&stamp(2), read));
                assert!(!watch.is_refused(stamp(2), &unread, read), "it was said");
            }
            read += AGAIN;
            assert!(watch.is_refused(stamp(2), &broken, read), "that is new");
            assert!(!watch.is_news(&stamp(2), read + AGAIN), "and for good");
        }
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
