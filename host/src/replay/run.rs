//! Going over all receipts: a page is decided while the next one is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::available_parallelism;

use tokio::sync::Semaphore;
use tokio::task::{JoinSet, yield_now};

use super::again::again;
use super::candidate::Candidate;
use super::findings::Findings;
use super::tally::{Noted, Tally};
use crate::engine::Engine;
use crate::host::Host;
use crate::receipt::read::{ReadError, Receipt};
use crate::receipt::scan::{Scan, Span};
use crate::receipt::source::Source;

/// Decisions after which others go first: some hundred microseconds.
const BREATH: usize = 8;

/// What is to be done.
pub struct Errand {
    /// Runs modules, and knows who is there.
    pub host: Arc<Host>,
    /// Who is asked.
    pub candidate: Arc<Candidate>,
    /// Where receipts are.
    pub source: Source,
    /// Which.
    pub span: Span,
    /// Whose turn it is to read receipts: one page at a time.
    pub reading: Arc<Semaphore>,
}

/// How far it is.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    all: AtomicU64,
}

/// Why it came to no end.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Receipts cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is nobody's any more.
    #[error("the tenant was removed")]
    Removed,
    /// The host ends.
    #[error("the host is stopping")]
    Stopping,
}

impl Progress {
    /// Receipts that are done.
    pub fn done(&self) -> u64 {
        self.done.load(Relaxed)
    }

    /// How many there were in the period when it began; none where that is not known.
    pub fn all(&self) -> Option<u64> {
        Some(self.all.load(Relaxed)).filter(|all| *all > 0)
    }
}

/// Asks the candidate about all of them. What it was doing ends when this is dropped.
///
/// # Errors
/// Why it came to no end.
pub async fn run(errand: &Errand, progress: &Progress) -> Result<Findings, ReplayError> {
    let Errand {
        host,
        candidate,
        source,
        span,
        ..
    } = errand;
    if let Source::Store(store) = source {
        let all = store.count_receipts(&span.filter()).await;
        progress.all.store(all.map_err(ReadError::from)?, Relaxed);
    }
    let before = host.snapshot.load_full();
    let before = before.tenant(&span.tenant).cloned();
    let mut scan = Scan::new(source.clone(), span.clone());
    let mut tally = Tally::default();
    let mut page = errand.read(&mut scan).await?;
    while let Some(receipts) = page {
        if host.snapshot.load().tenant(&span.tenant).is_none() {
            return Err(ReplayError::Removed);
        }
        let (next, noted) = tokio::join!(errand.read(&mut scan), errand.decide(receipts));
        noted?.into_iter().for_each(|noted| tally.take(noted));
        page = next?;
        let passed_over = scan.erased() + scan.unreadable();
        progress.done.store(tally.receipts() + passed_over, Relaxed);
    }
    Ok(Findings {
        changes: candidate.changes.clone(),
        notes: candidate.notes(before.as_deref()),
        ..tally.finish(scan.erased(), scan.unreadable())
    })
}

impl Errand {
    async fn read(&self, scan: &mut Scan) -> Result<Option<Vec<Receipt>>, ReadError> {
        // It is never closed.
        let _turn = self.reading.acquire().await;
        scan.next().await
    }

    /// A part of the page for each core.
    async fn decide(&self, receipts: Vec<Receipt>) -> Result<Vec<Noted>, ReplayError> {
        let cores = available_parallelism().map_or(1, usize::from);
        let share = receipts.len().div_ceil(cores).max(1);
        let mut parts = JoinSet::new();
        let mut receipts = receipts.into_iter();
        let mut place = 0;
        while receipts.len() > 0 {
            let part: Vec<Receipt> = receipts.by_ref().take(share).collect();
            let candidate = Arc::clone(&self.candidate);
            let engine = Arc::clone(&self.host.engine);
            parts.spawn(async move { (place, decide_part(&candidate, &engine, part).await) });
            place += 1;
        }
        let mut noted = Vec::new();
        while let Some(part) = parts.join_next().await {
            // It does not panic, and only the end of the host aborts it.
            noted.push(part.map_err(|_| ReplayError::Stopping)?);
        }
        // Samples are the first of their kind.
        noted.sort_by_key(|(place, _)| *place);
        Ok(noted.into_iter().flat_map(|(_, part)| part).collect())
    }
}

async fn decide_part(candidate: &Candidate, engine: &Engine, receipts: Vec<Receipt>) -> Vec<Noted> {
    let mut noted = Vec::with_capacity(receipts.len());
    for (index, receipt) in receipts.into_iter().enumerate() {
        if let Receipt::Decided(first, second, _) = receipt {
            let decided = again(candidate, engine, &first, second.as_deref()).await;
            let last = second.as_ref().unwrap_or(&first);
            noted.push(Noted::new(&first, last, decided));
        }
        if index % BREATH == 0 {
            yield_now().await;
        }
    }
    noted
}
