//! Who may have a session, and who has to go so that others may.
//!
//! **A newcomer finds a place.** An eighth of the places is kept free for newcomers:
//! beyond the other seven, each session that begins asks one to leave that waits for
//! its client, the one that has come least far ([`Standing`]) and has been there
//! longest. So clients that are slow on purpose push out each other. **The number of
//! sessions is never over its limit**, those that are about to leave included.
//! **Nobody pays for others**: what a client or a network has is counted by itself.
//!
//! A session enters before its client is known, since a proxy may have to say who it
//! is, and [`Place::admit`] follows when it is.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ipnet::IpNet;
use tokio_util::sync::CancellationToken;

use super::counts::Counts;
use super::limit::{Limit, Notices};
use super::rate::Rates;
use super::source::Source;
use super::waiting::{Standing, Turn, Waiting};
use crate::metrics::Metrics;

#[cfg(test)]
mod tests;

/// The part of the places that is kept free for newcomers. A host with less than eight
/// keeps none.
const KEPT_FREE: usize = 8;

/// What there may be.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Most sessions at one time.
    pub sessions: usize,
    /// Most sessions of one client at one time.
    pub client_sessions: usize,
    /// Most sessions of one network at one time.
    pub network_sessions: usize,
    /// New sessions of one client in a second, on average over ten.
    pub client_session_rate: u32,
    /// New TLS handshakes of one client in a second, on average over ten.
    pub client_handshake_rate: u32,
    /// Clients for whom only the first of these counts.
    pub exempt: Vec<IpNet>,
}

/// Admits sessions.
#[derive(Debug)]
pub struct Admission {
    bounds: Bounds,
    books: Mutex<Books>,
    notices: Notices,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Books {
    /// All that have a place.
    sessions: usize,
    /// Those of them that have been asked to leave.
    leaving: usize,
    clients: Counts,
    networks: Counts,
    begun: Rates,
    handshakes: Rates,
    waiting: Waiting<CancellationToken>,
}

/// The place of one session; free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    admission: Arc<Admission>,
    /// Who is at the other end of the connection: a proxy, until [`Place::admit`].
    client: IpAddr,
    /// None for those who are exempt, or not known yet.
    counted: Option<Source>,
    queue: Queue,
    /// How far the session has come without what is under way.
    reached: Standing,
    asked: CancellationToken,
}

/// Where a session stands in the order of leaving.
#[derive(Debug)]
enum Queue {
    /// The client has to do something.
    Waiting(Turn),
    /// The host has.
    Working,
    /// It has been asked to leave.
    Asked,
}

impl Admission {
    /// Admits within these bounds.
    pub fn new(bounds: Bounds, metrics: Arc<Metrics>) -> Self {
        metrics.sessions_limit(bounds.sessions);
        let books = Books {
            sessions: 0,
            leaving: 0,
            clients: Counts::new(bounds.client_sessions),
            networks: Counts::new(bounds.network_sessions),
            begun: Rates::new(bounds.client_session_rate),
            handshakes: Rates::new(bounds.client_handshake_rate),
            waiting: Waiting::default(),
        };
        Self {
            bounds,
            books: Mutex::new(books),
            notices: Notices::default(),
            metrics,
        }
    }

    /// A place for a connection from this address, who need not be the client yet.
    ///
    /// # Errors
    /// [`Limit::Sessions`].
    pub fn enter(self: &Arc<Self>, peer: IpAddr) -> Result<Place, Limit> {
        let asked = CancellationToken::new();
        let (leaves, turn) = self.books().enter(&self.bounds, &asked);
        if let Some(leaves) = leaves {
            leaves.cancel();
        }
        let Some(turn) = turn else {
            return Err(self.hit(Limit::Sessions, peer));
        };
        Ok(Place {
            admission: Arc::clone(self),
            client: peer.to_canonical(),
            counted: None,
            queue: Queue::Waiting(turn),
            reached: Standing::Connected,
            asked,
        })
    }

    fn is_exempt(&self, client: IpAddr) -> bool {
        self.bounds.exempt.iter().any(|net| net.contains(&client))
    }

    /// Counts it, and says it now and then.
    fn hit(&self, limit: Limit, client: IpAddr) -> Limit {
        self.metrics.limit_hit(limit.word());
        self.notices.notice(limit, client);
        limit
    }

    /// Each change of the books is whole before anything can panic.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bounds {
    /// Most sessions before others are asked to leave; none where no room is kept.
    fn comfortable(&self) -> Option<usize> {
        let kept = self.sessions / KEPT_FREE;
        (kept > 0).then(|| self.sessions - kept)
    }
}

impl Books {
    /// Who has to leave for it, and the turn of one session more if there may be one.
    fn enter(
        &mut self,
        bounds: &Bounds,
        asked: &CancellationToken,
    ) -> (Option<CancellationToken>, Option<Turn>) {
        let leaves = self.make_room(bounds.comfortable());
        if self.sessions >= bounds.sessions {
            return (leaves, None);
        }
        self.sessions += 1;
        let turn = self.waiting.enter(Standing::Connected, asked.clone());
        (leaves, Some(turn))
    }

    /// Takes the session that is to leave, if one more is too many.
    fn make_room(&mut self, comfortable: Option<usize>) -> Option<CancellationToken> {
        let staying = self.sessions - self.leaving;
        if comfortable.is_none_or(|most| staying < most) {
            return None;
        }
        let leaves = self.waiting.take_first();
        self.leaving += usize::from(leaves.is_some());
        leaves
    }

    /// Gives the client one more session.
    fn admit(&mut self, source: Source, now: Instant) -> Result<(), Limit> {
        if !self.begun.take(source.client, now) {
            return Err(Limit::ClientSessionRate);
        }
        if !self.clients.has_room(source.client) {
            return Err(Limit::ClientSessions);
        }
        if !self.networks.has_room(source.network) {
            return Err(Limit::NetworkSessions);
        }
        self.clients.enter(source.client);
        self.networks.enter(source.network);
        Ok(())
    }
}

impl Place {
    /// The client is known: this one. Once for each place.
    ///
    /// # Errors
    /// The limit of the client or its network that is reached.
    pub fn admit(&mut self, client: IpAddr) -> Result<(), Limit> {
        self.client = client.to_canonical();
        if self.admission.is_exempt(self.client) {
            return Ok(());
        }
        let source = Source::of(client);
        let admitted = self.admission.books().admit(source, Instant::now());
        match admitted {
            Ok(()) => {
                self.counted = Some(source);
                Ok(())
            }
            Err(limit) => Err(self.hit(limit)),
        }
    }

    /// The client wants to shake hands.
    ///
    /// # Errors
    /// [`Limit::ClientHandshakeRate`].
    pub fn shake_hands(&self) -> Result<(), Limit> {
        let Some(source) = self.counted else {
            return Ok(());
        };
        let now = Instant::now();
        let admitted = self.admission.books().handshakes.take(source.client, now);
        match admitted {
            true => Ok(()),
            false => Err(self.hit(Limit::ClientHandshakeRate)),
        }
    }

    /// A limit was reached that is judged elsewhere.
    pub fn hit(&self, limit: Limit) -> Limit {
        self.admission.hit(limit, self.client)
    }

    /// The session waits for its client, and has come so far.
    pub fn wait(&mut self, standing: Standing) {
        self.reached = self.reached.max(standing.min(Standing::Proven));
        let standing = standing.max(self.reached);
        match self.queue {
            Queue::Asked => return,
            Queue::Waiting(turn) if turn.standing() == standing => return,
            Queue::Waiting(_) | Queue::Working => {}
        }
        let mut books = self.admission.books();
        if let Queue::Waiting(turn) = self.queue
            && books.waiting.leave(turn).is_none()
        {
            self.queue = Queue::Asked;
            return;
        }
        let turn = books.waiting.enter(standing, self.asked.clone());
        self.queue = Queue::Waiting(turn);
    }

    /// The session does something for its client, who cannot hasten it.
    pub fn work(&mut self) {
        if let Queue::Waiting(turn) = self.queue {
            let left = self.admission.books().waiting.leave(turn);
            self.queue = match left {
                Some(_) => Queue::Working,
                None => Queue::Asked,
            };
        }
    }

    /// Waits until the session is to leave.
    pub async fn asked_to_leave(&self) {
        self.asked.cancelled().await;
    }

    /// Whether the session is to leave.
    pub fn is_asked_to_leave(&self) -> bool {
        self.asked.is_cancelled()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut books = self.admission.books();
        books.sessions -= 1;
        if let Some(source) = self.counted {
            books.clients.leave(source.client);
            books.networks.leave(source.network);
        }
        let is_asked = match self.queue {
            Queue::Waiting(turn) => books.waiting.leave(turn).is_none(),
            Queue::Working => false,
            Queue::Asked => true,
        };
        books.leaving -= usize::from(is_asked);
        drop(books);
        if is_asked {
            self.hit(Limit::MakeRoom);
        }
    }
}
