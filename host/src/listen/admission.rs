//! Who may have a session, and who has to go so that others may.
//!
//! **A newcomer finds a place.** An eighth of the places is kept free for newcomers:
//! beyond the other seven, each session that begins asks one to leave that waits for
//! its client: one that has made no progress for long, else the one that has come least
//! far ([`Standing`]) and has been there longest. So clients that are slow on purpose
//! push out each other. **The number of sessions is never over its limit**, those that
//! are about to leave included. **Nobody pays for others**: what a client or a network
//! has is counted by itself, and **nobody has to go for a client that is over its own
//! limit**, which is judged first.
//!
//! A session is told in one way that it is to leave, whether others need its place or the
//! host stops ([`Leave`]): it waits for one thing beside its client.
//!
//! Behind a proxy a session enters before its client is known, and [`Place::admit`]
//! follows when it is.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ipnet::IpNet;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::counts::Counts;
use super::limit::{Limit, Notices};
use super::peer::NoPeer;
use super::rate::Rates;
use super::refusals::Refusals;
use super::source::Source;
use super::waiting::{Standing, Turn, Waiting};
use crate::host::Shutdown;
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
    shutdown: Shutdown,
    books: Mutex<Books>,
    notices: Notices,
    refusals: Refusals,
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

/// Why a session is to leave that did nothing wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// Others need its place.
    MakeRoom,
    /// The host stops, and takes no newcomers.
    Stopping,
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
    /// Admits within these bounds, until the host stops.
    pub fn new(bounds: Bounds, shutdown: Shutdown, metrics: Arc<Metrics>) -> Self {
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
            shutdown,
            books: Mutex::new(books),
            notices: Notices::default(),
            refusals: Refusals::default(),
            metrics,
        }
    }

    /// A place for this client.
    ///
    /// # Errors
    /// The limit that is reached: its own, that of its network, or [`Limit::Sessions`].
    pub fn begin(self: &Arc<Self>, client: IpAddr) -> Result<Place, Limit> {
        let source = self.counted(client);
        self.place(client, source, |books, bounds, asked, now| {
            books.begin(bounds, source, asked, now)
        })
    }

    /// A place for a connection from this proxy, until its client is known.
    ///
    /// # Errors
    /// [`Limit::Sessions`].
    pub fn enter(self: &Arc<Self>, proxy: IpAddr) -> Result<Place, Limit> {
        self.place(proxy, None, Books::enter)
    }

    /// A place, if the books have one.
    fn place(
        self: &Arc<Self>,
        peer: IpAddr,
        counted: Option<Source>,
        enter: impl FnOnce(&mut Books, &Bounds, &CancellationToken, Instant) -> Result<Turn, Limit>,
    ) -> Result<Place, Limit> {
        let asked = self.shutdown.of_session();
        let entered = enter(&mut self.books(), &self.bounds, &asked, Instant::now());
        let turn = entered.map_err(|limit| self.hit(limit, peer))?;
        Ok(Place {
            admission: Arc::clone(self),
            client: peer.to_canonical(),
            counted,
            queue: Queue::Waiting(turn),
            reached: Standing::Connected,
            asked,
        })
    }

    /// As whom limits count this client; none if it is exempt.
    fn counted(&self, client: IpAddr) -> Option<Source> {
        let client = client.to_canonical();
        let is_exempt = self.bounds.exempt.iter().any(|net| net.contains(&client));
        (!is_exempt).then(|| Source::of(client))
    }

    /// A connection is closed before its client is known: counts it, and says it now and
    /// then.
    pub fn no_session(&self, listener: &str, address: SocketAddr, why: &NoPeer) {
        self.metrics.proxy_header_refused(why.word());
        self.refusals.note(listener, address, why);
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
    /// The turn of one session more, of this client.
    fn begin(
        &mut self,
        bounds: &Bounds,
        source: Option<Source>,
        asked: &CancellationToken,
        now: Instant,
    ) -> Result<Turn, Limit> {
        self.judge(source, now)?;
        self.make_room(bounds, self.staying(), now);
        if self.sessions >= bounds.sessions {
            return Err(Limit::Sessions);
        }
        self.count(source);
        Ok(self.add(asked, now))
    }

    /// The turn of one session more, of a client that is not known yet. It makes room
    /// only where there is none at all: then nobody would become known any more.
    fn enter(
        &mut self,
        bounds: &Bounds,
        asked: &CancellationToken,
        now: Instant,
    ) -> Result<Turn, Limit> {
        if self.sessions >= bounds.sessions {
            self.make_room(bounds, self.staying(), now);
            return Err(Limit::Sessions);
        }
        Ok(self.add(asked, now))
    }

    fn add(&mut self, asked: &CancellationToken, now: Instant) -> Turn {
        self.sessions += 1;
        let told = asked.clone();
        self.waiting.enter(Standing::Connected, now, told)
    }

    /// Those that have not been asked to leave.
    fn staying(&self) -> usize {
        self.sessions - self.leaving
    }

    /// Asks the session to leave that has to go first, if one more than are staying is
    /// too many.
    fn make_room(&mut self, bounds: &Bounds, staying: usize, now: Instant) {
        if bounds.comfortable().is_none_or(|most| staying < most) {
            return;
        }
        if let Some(leaves) = self.waiting.take_first(now) {
            self.leaving += 1;
            leaves.cancel();
        }
    }

    /// Whether the client may have one more session.
    fn judge(&mut self, source: Option<Source>, now: Instant) -> Result<(), Limit> {
        let Some(source) = source else {
            return Ok(());
        };
        if !self.begun.take(source.client, now) {
            return Err(Limit::ClientSessionRate);
        }
        if !self.clients.has_room(source.client) {
            return Err(Limit::ClientSessions);
        }
        if !self.networks.has_room(source.network) {
            return Err(Limit::NetworkSessions);
        }
        Ok(())
    }

    /// The client has one more.
    fn count(&mut self, source: Option<Source>) {
        if let Some(source) = source {
            self.clients.enter(source.client);
            self.networks.enter(source.network);
        }
    }

    /// The client of a session that is there is known: it may stay, and others make
    /// room for it. Gives its turn, which is none if it has to leave itself.
    fn admit(
        &mut self,
        bounds: &Bounds,
        source: Option<Source>,
        turn: Turn,
        now: Instant,
    ) -> Result<Option<Turn>, Limit> {
        self.judge(source, now)?;
        self.count(source);
        let Some(told) = self.waiting.leave(turn) else {
            return Ok(None);
        };
        let others = self.staying() - 1;
        self.make_room(bounds, others, now);
        Ok(Some(self.waiting.enter(turn.standing(), now, told)))
    }
}

impl Place {
    /// The client behind the proxy is known: this one. Once for each place that was
    /// entered.
    ///
    /// # Errors
    /// The limit of the client or its network that is reached.
    pub fn admit(&mut self, client: IpAddr) -> Result<(), Limit> {
        self.client = client.to_canonical();
        let Queue::Waiting(turn) = self.queue else {
            return Ok(());
        };
        let source = self.admission.counted(client);
        let (bounds, now) = (&self.admission.bounds, Instant::now());
        let admitted = self.admission.books().admit(bounds, source, turn, now);
        let turn = admitted.map_err(|limit| self.hit(limit))?;
        self.counted = source;
        self.queue = turn.map_or(Queue::Asked, Queue::Waiting);
        Ok(())
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

    /// The client speaks another protocol than SMTP, of this name.
    pub fn hears(&self, protocol: &'static str) {
        self.admission.refusals.foreign(protocol);
    }

    /// The session waits for its client, and has come so far. To have come further, or
    /// to have had the host work for it, is progress.
    pub fn wait(&mut self, standing: Standing) {
        self.reached = self.reached.max(standing.min(Standing::Proven));
        let standing = standing.max(self.reached);
        match self.queue {
            Queue::Asked => return,
            Queue::Waiting(turn) if turn.standing() == standing => return,
            Queue::Waiting(_) | Queue::Working => {}
        }
        let now = Instant::now();
        let progress = match self.queue {
            Queue::Waiting(turn) if turn.standing() > standing => turn.progress(),
            _ => now,
        };
        self.wait_since(standing, progress);
    }

    /// A good part of a message has come.
    pub fn progress(&mut self) {
        if let Queue::Waiting(turn) = self.queue {
            self.wait_since(turn.standing(), Instant::now());
        }
    }

    /// Takes another turn, unless the session is to leave.
    fn wait_since(&mut self, standing: Standing, progress: Instant) {
        let mut books = self.admission.books();
        if let Queue::Waiting(turn) = self.queue
            && books.waiting.leave(turn).is_none()
        {
            self.queue = Queue::Asked;
            return;
        }
        let turn = books.waiting.enter(standing, progress, self.asked.clone());
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

    /// What ends when the session is to leave; [`Self::leave`] then says why.
    pub fn leaving(&self) -> WaitForCancellationFutureOwned {
        self.asked.clone().cancelled_owned()
    }

    /// Why the session is to leave, where it is.
    pub fn leave(&self) -> Leave {
        match self.admission.shutdown.is_draining() {
            true => Leave::Stopping,
            false => Leave::MakeRoom,
        }
    }

    /// Waits until the session is to leave.
    pub async fn asked_to_leave(&self) -> Leave {
        self.asked.cancelled().await;
        self.leave()
    }

    /// Waits until others need its place, which nobody does any more when the host stops.
    pub async fn asked_to_make_room(&self) {
        match self.asked_to_leave().await {
            Leave::MakeRoom => {}
            Leave::Stopping => std::future::pending().await,
        }
    }

    /// Whether others need its place.
    pub fn is_asked_to_make_room(&self) -> bool {
        self.asked.is_cancelled() && self.leave() == Leave::MakeRoom
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
