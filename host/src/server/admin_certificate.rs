//! The certificate at the address of the admin API: loaded at the start, and anew when its
//! files change.
//!
//! It has nothing to do with those that mail is received with, and a fault of it keeps no
//! mail out: nobody can ask at the address then, until it is mended.

use std::time::Instant;

use tokio::time::MissedTickBehavior;

use super::certificates::{Ends, Sources, Watch};
use super::reload::{LOOK, ReloadError, in_background};
use crate::admin::AdminTls;
use crate::config::Config;
use crate::host::Shutdown;

/// The certificate, and what has been made of its files so far.
#[derive(Debug)]
pub(super) struct AdminCertificate {
    sources: Sources,
    watch: Watch,
    ends: Ends,
    tls: AdminTls,
}

impl AdminCertificate {
    /// Loads it; none where the address speaks no TLS.
    pub(super) fn of(config: &Config) -> Option<Self> {
        let files = config.admin.as_ref()?.tls.clone()?;
        let sources = Sources::of_files(config, vec![files]);
        let (stamp, tls) = (sources.stamp(), AdminTls::default());
        let mut ends = Ends::default();
        let watch = match sources.load() {
            Ok(identities) => {
                ends = Ends::of(&identities);
                tls.replace(identities)
                    .expect("what was loaded without a fault has an identity");
                Watch::new(stamp)
            }
            Err(unusable) => {
                for fault in &unusable.faults {
                    tracing::error!(%fault, "the admin API's certificate cannot be used, so nobody can ask at its address");
                }
                Watch::refused(stamp, &unusable, Instant::now())
            }
        };
        Some(Self {
            sources,
            watch,
            ends,
            tls,
        })
    }

    /// What the address speaks TLS with, now and after every change.
    pub(super) fn tls(&self) -> AdminTls {
        self.tls.clone()
    }

    /// Uses the files when they change, until the host stops.
    pub(super) async fn watch(mut self, shutdown: Shutdown) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let look = async {
                looks.tick().await;
                self.look().await
            };
            tokio::select! {
                biased;
                () = shutdown.draining() => return,
                looked = look => if looked.is_err() { return },
            }
        }
    }

    async fn look(&mut self) -> Result<(), ReloadError> {
        self.ends.tell();
        let look = self.sources.clone();
        let stamp = in_background(move || look.stamp()).await?;
        if !self.watch.is_news(&stamp, Instant::now()) {
            return Ok(());
        }
        let read = self.sources.clone();
        match in_background(move || read.load()).await? {
            Ok(identities) => {
                self.watch = Watch::new(stamp);
                self.ends = Ends::of(&identities);
                self.tls
                    .replace(identities)
                    .expect("what was loaded without a fault has an identity");
                tracing::info!("the admin API's new certificate is in use");
            }
            // At first it may be half of what is being written.
            Err(unusable) => {
                if self.watch.is_refused(stamp, &unusable, Instant::now()) {
                    for fault in unusable.faults {
                        tracing::error!(%fault, "the admin API's new certificate cannot be used, and the one that was in use stays");
                    }
                }
            }
        }
        Ok(())
    }
}
