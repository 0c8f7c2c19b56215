//! Where a tenant's mail goes.
//!
//! **Equal targets are one**: two tenants with the same next hop share its
//! connections, and a reload keeps what did not change, with what is under way in it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::maildir::{self, Maildir};
use super::relay::{NextHop, Protocol, Relay};
use crate::blocking::Share;

/// Where a tenant's mail goes.
#[derive(Debug)]
pub enum Target {
    /// To a directory of this machine.
    Maildir(Arc<Maildir>),
    /// To another mail server.
    Relay(Arc<Relay>),
    /// To nowhere: it is accepted and thrown away.
    Discard,
    /// To what a test makes of it.
    #[cfg(test)]
    Scripted(Arc<super::scripted::Script>),
}

/// A target as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetSettings {
    /// A maildir.
    Maildir {
        /// The directory.
        path: PathBuf,
        /// How long the disk may take for a message.
        delivery_timeout: Duration,
    },
    /// A next hop.
    NextHop(NextHop),
    /// Nowhere.
    Discard,
}

/// The targets in use.
#[derive(Debug)]
pub struct Targets {
    known: Mutex<Vec<Known>>,
    /// Of all maildirs.
    threads: Share,
}

#[derive(Debug)]
struct Known {
    settings: TargetSettings,
    hostname: String,
    target: Weak<Target>,
}

impl Default for Targets {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            threads: Share::new(maildir::ALL_THREADS),
        }
    }
}

impl Targets {
    /// The target of these settings: the one that is in use already, if there is one.
    /// `hostname` is how the host introduces itself to next hops.
    pub fn get(&self, settings: TargetSettings, hostname: &str) -> Arc<Target> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|known| known.target.strong_count() > 0);
        let in_use = known
            .iter()
            .find(|known| known.settings == settings && known.hostname == hostname)
            .and_then(|known| known.target.upgrade());
        in_use.unwrap_or_else(|| {
            let target = Arc::new(self.make(settings.clone(), hostname));
            known.push(Known {
                settings,
                hostname: hostname.to_owned(),
                target: Arc::downgrade(&target),
            });
            target
        })
    }

    fn make(&self, settings: TargetSettings, hostname: &str) -> Target {
        match settings {
            TargetSettings::Maildir {
                path,
                delivery_timeout,
            } => {
                let threads = self.threads.clone();
                Target::Maildir(Arc::new(Maildir::new(path, delivery_timeout, threads)))
            }
            TargetSettings::NextHop(hop) => Target::Relay(Relay::new(hop, hostname)),
            TargetSettings::Discard => Target::Discard,
        }
    }
}

impl Target {
    /// What it is, in a word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Maildir(_) => "maildir",
            Self::Relay(relay) => match relay.hop().protocol {
                Protocol::Lmtp => "lmtp",
                Protocol::Smtp => "smtp",
            },
            Self::Discard => "discard",
            #[cfg(test)]
            Self::Scripted(_) => "scripted",
        }
    }

    /// The maildir, where it is one.
    pub fn maildir(&self) -> Option<&Path> {
        match self {
            Self::Maildir(maildir) => Some(maildir.path()),
            _ => None,
        }
    }

    /// Makes what can be made before there is mail. What goes wrong is logged: it will
    /// be tried again, and told to the client, when there is mail.
    pub async fn prepare(&self) {
        if let Self::Maildir(maildir) = self
            && let Err(error) = maildir.look().await
        {
            tracing::error!(%error, "the maildir takes no mail");
        }
    }
}

/// For logs and receipts.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Maildir(maildir) => write!(f, "maildir {}", maildir.path().display()),
            Self::Relay(relay) => relay.fmt(f),
            Self::Discard => f.write_str("discard"),
            #[cfg(test)]
            Self::Scripted(_) => f.write_str("script"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maildir(path: &str) -> TargetSettings {
        TargetSettings::Maildir {
            path: path.into(),
            delivery_timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn equal_targets_are_one_for_as_long_as_they_are_used() {
        let targets = Targets::default();
        let one = targets.get(maildir("/a"), "mx.example");
        assert!(Arc::ptr_eq(&one, &targets.get(maildir("/a"), "mx.example")));
        assert!(!Arc::ptr_eq(
            &one,
            &targets.get(maildir("/b"), "mx.example")
        ));
        assert!(!Arc::ptr_eq(
            &one,
            &targets.get(maildir("/a"), "mx2.example")
        ));
        let weak = Arc::downgrade(&one);
        drop(one);
        assert!(weak.upgrade().is_none(), "nobody uses it any more");
        targets.get(maildir("/a"), "mx.example");
        assert_eq!(targets.known.lock().expect("no panic").len(), 1);
    }
}
