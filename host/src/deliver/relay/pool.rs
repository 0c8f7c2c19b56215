//! The connections of one next hop.
//!
//! **At no time are there more than configured**: whoever opens or uses one holds a
//! place, takes an idle one before it opens another, and puts it back before it leaves
//! its place. **Nobody waits for a place that somebody holds without using it**: who
//! waits asks for it back, of the longest held first. **None stays idle for longer than configured**: while there are idle
//! ones, one task waits for the oldest.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, interval, sleep_until, timeout};

use super::connection::Connection;
use super::error::Fault;

/// Transactions after which a connection is closed: often enough that a hop which joins
/// or leaves behind a balancer's name gets or loses its share, and seldom enough that
/// opening one (with TLS, a handshake) costs each message a hundredth.
const MAX_TRANSACTIONS: u32 = 100;

/// How long a hop may take to see QUIT.
const GOODBYE: Duration = Duration::from_secs(2);

/// How often who waits for a place asks for one: there may be one now that is held, and
/// whoever was asked may have begun to use it. Many round trips to a next hop, and little
/// of what clients wait.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// How long a place is held at least before it is asked for: a client that goes about its
/// work says something within a round trip.
const IDLE: Duration = Duration::from_millis(500);

/// The connections of one next hop.
#[derive(Debug)]
pub(super) struct Pool {
    size: usize,
    keep_idle: Duration,
    places: Arc<Semaphore>,
    /// Of the places that are held without being used; the longest held first. Those whose
    /// other end is gone are not held any more.
    held: Mutex<VecDeque<(Instant, oneshot::Sender<()>)>>,
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    /// The longest idle first.
    connections: VecDeque<(Instant, Connection)>,
    /// Closes them in time; none while there are none.
    closer: Option<AbortHandle>,
}

/// The right to one connection.
#[derive(Debug)]
pub(super) struct Place {
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(super) fn new(size: usize, keep_idle: Duration) -> Arc<Self> {
        // A hop without any place would be one that never answers.
        let size = size.clamp(1, Semaphore::MAX_PERMITS);
        Arc::new(Self {
            size,
            keep_idle,
            places: Arc::new(Semaphore::new(size)),
            held: Mutex::default(),
            idle: Mutex::default(),
        })
    }

    /// Waits for a place.
    pub(super) async fn place(self: &Arc<Self>, limit: Duration) -> Result<Place, Fault> {
        let permit = timeout(limit, self.permit()).await.map_err(|_| {
            let size = self.size;
            Fault::Other(format!("all {size} connections were in use for {limit:?}"))
        })?;
        Ok(Place {
            pool: Arc::clone(self),
            _permit: permit,
        })
    }

    async fn permit(&self) -> OwnedSemaphorePermit {
        let mut free = pin!(Arc::clone(&self.places).acquire_owned());
        let mut again = interval(ASK_AGAIN);
        loop {
            tokio::select! {
                biased;
                permit = &mut free => return permit.expect("the semaphore is never closed"),
                _ = again.tick() => self.ask_back(),
            }
        }
    }

    /// Asks for a place that is held without being used, if there is one.
    fn ask_back(&self) {
        let mut held = self.held();
        let is_idle = |(since, asked): &mut (Instant, oneshot::Sender<()>)| {
            asked.is_closed() || since.elapsed() >= IDLE
        };
        while let Some((_, longest)) = held.pop_front_if(is_idle) {
            if longest.send(()).is_ok() {
                break;
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, VecDeque<(Instant, oneshot::Sender<()>)>> {
        // What is behind it is whole at any time.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        // What is behind it is whole at any time.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out one that was idle for too long, or says when the next will be.
    fn expired(&self) -> Expired {
        let mut idle = self.idle();
        let Some((since, _)) = idle.connections.front() else {
            idle.closer = None;
            return Expired::NoneLeft;
        };
        let due = *since + self.keep_idle;
        if due > Instant::now() {
            return Expired::At(due);
        }
        match idle.connections.pop_front() {
            Some((_, connection)) => Expired::Now(connection),
            None => Expired::NoneLeft,
        }
    }
}

enum Expired {
    Now(Connection),
    At(Instant),
    NoneLeft,
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(closer) = self.idle().closer.take() {
            closer.abort();
        }
    }
}

impl Place {
    /// From now on it is held without being used. Comes to an end when somebody else needs
    /// it; dropped, it says that the place is in use again.
    pub(super) fn hold(&self) -> oneshot::Receiver<()> {
        let (ask, asked) = oneshot::channel();
        let mut held = self.pool.held();
        held.retain(|(_, other)| !other.is_closed());
        held.push_back((Instant::now(), ask));
        asked
    }

    /// The connection that became idle last, if it is not known to be dead.
    pub(super) async fn take_idle(&self) -> Option<Connection> {
        loop {
            let (since, mut connection) = self.pool.idle().connections.pop_back()?;
            let is_fresh = since.elapsed() < self.pool.keep_idle;
            // What has come is there already; there is nothing to wait for.
            let quiet = timeout(Duration::ZERO, connection.check_quiet());
            if is_fresh && matches!(quiet.await, Ok(Ok(()))) {
                return Some(connection);
            }
        }
    }

    /// Closes all that are idle: one of them turned out to be dead, and what ended it
    /// has most likely ended them all.
    pub(super) fn drop_idle(&self) {
        self.pool.idle().connections.clear();
    }

    /// Puts a connection back that has no transaction.
    pub(super) fn put_back(self, connection: Connection) {
        if connection.transactions >= MAX_TRANSACTIONS || self.pool.keep_idle.is_zero() {
            // Not for longer than a goodbye, and one for each place at most.
            tokio::spawn(async move {
                connection.quit(GOODBYE).await;
                drop(self);
            });
            return;
        }
        let mut idle = self.pool.idle();
        idle.connections.push_back((Instant::now(), connection));
        if idle.closer.is_none() {
            let closer = tokio::spawn(close_in_time(Arc::downgrade(&self.pool)));
            idle.closer = Some(closer.abort_handle());
        }
    }
}

/// Runs while there are idle connections. It says goodbye to one only in a place of its
/// own; where there is none, all are busy and the idle one is simply closed.
async fn close_in_time(pool: Weak<Pool>) {
    loop {
        let Some(pool) = pool.upgrade() else { return };
        let place = Arc::clone(&pool.places).try_acquire_owned();
        let expired = pool.expired();
        drop(pool);
        match (expired, place) {
            (Expired::Now(connection), Ok(_place)) => connection.quit(GOODBYE).await,
            (Expired::Now(_), Err(_)) => {}
            (Expired::At(due), place) => {
                drop(place);
                sleep_until(due).await;
            }
            (Expired::NoneLeft, _) => return,
        }
    }
}
