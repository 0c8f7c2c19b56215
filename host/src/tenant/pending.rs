//! Modules that are not compiled when the host begins to serve.
//!
//! A start with thousands of modules and nothing in the cache does not wait for them: the
//! snapshot holds a cell for each, which is filled in the background. **A decision that
//! needs one waits for it, and no longer than a bound**, after which the policy has failed
//! as with any module that gives no answer in time: nothing is accepted undecided. **What is
//! refused is its tenant's trouble alone**, as at a load. **Bytes are not kept here** where
//! the store has them.
//!
//! Cells are made at a start alone. What a reload, an apply or a change brings is judged
//! before it is taken, and a tenant that they leave as it is keeps its cells.

mod filling;
mod queue;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::SetOnce;
use tokio::time::{Instant, timeout};

pub use filling::Filling;
pub use queue::Queue;

use super::Refusal;
use crate::config::{ModuleContent, Position, Settings};
use crate::digest::Digest;
use crate::engine::{Failure, Module};
use crate::facts::TenantId;
use crate::name::Name;

/// Longest that a decision waits for its module to be compiled, which takes some ten
/// milliseconds, and a second or two where many are waited for. Clients wait five minutes
/// for the reply to RCPT and ten for the one to the message (RFC 5321, section 4.5.3.2).
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a module is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// As long as clients wait, before those for which nobody waits.
    Mail,
    /// Not at all.
    No,
    /// Until it is there.
    Long,
}

/// A module of a tenant that is not compiled yet, or was not when the host started.
pub(crate) struct Pending {
    tenant: TenantId,
    name: Name,
    digest: Digest,
    /// Where it is named.
    at: Position,
    /// What there is to do.
    work: Mutex<Work>,
    /// What became of it.
    found: SetOnce<Found>,
    queue: Arc<Queue>,
}

/// What a cell is filled from. Afterwards nothing is left of it.
#[derive(Clone)]
pub(super) struct Work {
    pub(super) content: ModuleContent,
    /// Settings that the module has to take, each once.
    pub(super) checks: Arc<[Check]>,
}

/// Settings of a policy.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) digest: Digest,
    pub(super) settings: Settings,
}

/// What became of a module.
#[derive(Debug)]
struct Found {
    /// None where it was refused.
    module: Option<Arc<Module>>,
    /// Settings that it does not take.
    unfit: HashSet<Digest>,
    /// What there is to be mended.
    refused: Vec<Refusal>,
}

/// Where a module is named.
pub(super) struct Place {
    pub(super) tenant: TenantId,
    pub(super) name: Name,
    pub(super) at: Position,
}

impl Pending {
    /// A cell that is filled when it is its turn.
    pub(super) fn new(place: Place, work: Work, queue: &Arc<Queue>) -> Arc<Self> {
        let Place { tenant, name, at } = place;
        let cell = Arc::new(Self {
            tenant,
            name,
            digest: work.content.digest(),
            at,
            work: Mutex::new(work),
            found: SetOnce::new(),
            queue: Arc::clone(queue),
        });
        queue.add(&cell);
        cell
    }

    /// SHA-256 of its bytes.
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether it is known what becomes of it.
    pub(super) fn is_done(&self) -> bool {
        self.found.initialized()
    }

    /// The module, where it was compiled and is not refused.
    pub(super) fn compiled(&self) -> Option<&Arc<Module>> {
        self.found.get()?.module.as_ref()
    }

    /// Why it, or settings for it, were refused.
    pub(super) fn refused(&self) -> &[Refusal] {
        self.found.get().map_or(&[], |found| &found.refused)
    }

    /// The store has its bytes now.
    pub(super) fn is_stored(&self) {
        self.work().content = ModuleContent::Stored(self.digest);
    }

    /// The module, to be asked with such settings.
    ///
    /// # Errors
    /// That it is refused, does not take the settings, or is not there in time.
    pub(super) async fn module(
        &self,
        settings: Digest,
        wait: Wait,
    ) -> Result<&Arc<Module>, Failure> {
        let found = match (self.found.get(), wait) {
            (Some(found), _) => found,
            (None, Wait::No) => return Err(late(Duration::ZERO)),
            (None, Wait::Long) => self.found.wait().await,
            (None, Wait::Mail) => {
                self.queue.put_first(self);
                let began = Instant::now();
                let found = timeout(PATIENCE, self.found.wait());
                let found = tokio::select! {
                    found = found => found.ok(),
                    () = self.queue.closed() => None,
                };
                found.ok_or_else(|| late(began.elapsed()))?
            }
        };
        if found.unfit.contains(&settings) {
            return Err(does_not_fit());
        }
        let module = found.module.as_ref();
        module.ok_or_else(|| Failure::Host("the module is not loaded".into()))
    }

    /// What became of it is known from now on.
    fn settle(&self, found: Found) {
        // It is filled by one at a time, and by nobody once it is.
        let _ = self.found.set(found);
        *self.work() = Work {
            content: ModuleContent::Stored(self.digest),
            checks: Arc::default(),
        };
    }

    /// The work is whole whatever happened to the thread that held it.
    fn work(&self) -> std::sync::MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A policy fails whose settings its module does not take.
pub(super) fn does_not_fit() -> Failure {
    Failure::Host("its module does not take its settings".into())
}

fn late(waited: Duration) -> Failure {
    Failure::NotCompiled { waited }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("tenant", &self.tenant)
            .field("name", &self.name)
            .field("digest", &self.digest)
            .field("found", &self.found.get())
            .finish_non_exhaustive()
    }
}
