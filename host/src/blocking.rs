//! Threads that may wait, for a disk most of all.
//!
//! The runtime has a bounded number of them for everything that does. **What may hang has a
//! share**: a disk that does not answer holds the threads that wait for it, and everything
//! else still has some.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

/// Most that the process has at one time, of which those that nobody needs end soon. One that
/// hangs costs some pages of memory.
pub(crate) const THREADS: usize = 2048;

/// Part of [`THREADS`]; all clones are the same part.
#[derive(Clone, Debug)]
pub(crate) struct Share(Arc<Semaphore>);

impl Share {
    /// So many of them.
    pub(crate) fn new(threads: usize) -> Self {
        Self(Arc::new(Semaphore::new(threads)))
    }

    /// Starts work that may wait, once each of these shares has a thread for it; none where
    /// that is not so by the deadline. The work goes on whether somebody waits for it or not.
    pub(crate) async fn start<T: Send + 'static>(
        shares: &[&Self],
        deadline: Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<JoinHandle<T>> {
        let mut threads = Vec::with_capacity(shares.len());
        for Self(share) in shares {
            let thread = Arc::clone(share).acquire_owned();
            threads.push(timeout_at(deadline, thread).await.ok()?.ok()?);
        }
        Some(tokio::task::spawn_blocking(move || {
            let done = work();
            drop(threads);
            done
        }))
    }

    /// What comes of work that waits for a disk, if it answers within this time.
    ///
    /// # Errors
    /// Those of the work, or that there was no answer. Work that hangs goes on in its
    /// thread, and has what it was given.
    pub(crate) async fn within<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let deadline = Instant::now() + patience;
        let late = || io::Error::new(io::ErrorKind::TimedOut, "no answer from the disk");
        let started = Self::start(&[self], deadline, work).await;
        let done = timeout_at(deadline, started.ok_or_else(late)?).await;
        done.map_err(|_| late())?
            .unwrap_or_else(|lost| Err(io::Error::other(lost)))
    }

    /// Work that nobody waits for, as soon as there is a thread for it.
    pub(crate) fn by_and_by(self, runtime: &Handle, work: impl FnOnce() + Send + 'static) {
        runtime.spawn(async move {
            // It is never closed.
            if let Ok(thread) = self.0.acquire_owned().await {
                tokio::task::spawn_blocking(move || {
                    work();
                    drop(thread);
                });
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    /// Work that hangs keeps its thread, in each share, though nobody waits for it any more.
    #[tokio::test]
    async fn what_hangs_leaves_threads_to_others() {
        let (all, one, other) = (Share::new(3), Share::new(2), Share::new(2));
        let (answer, disk) = mpsc::channel::<()>();
        let disk = Arc::new(std::sync::Mutex::new(disk));
        for _ in 0..2 {
            let disk = Arc::clone(&disk);
            let hangs = move || disk.lock().expect("no panic").recv();
            let started = Share::start(&[&one, &all], soon(), hangs).await;
            drop(started.expect("there is a thread"));
        }
        let refused = Share::start(&[&one, &all], soon(), || ()).await;
        assert!(refused.is_none(), "it has none left");
        let third = Share::start(&[&other, &all], soon(), || 3).await;
        let third = third.expect("another has").await.expect("it ends");
        assert_eq!(third, 3);
        drop(answer);
        let again = Instant::now() + Duration::from_secs(10);
        let again = Share::start(&[&one, &all], again, || ()).await;
        assert!(again.is_some(), "the disk answers again");
    }
}
