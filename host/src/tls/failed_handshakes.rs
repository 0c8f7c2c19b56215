//! Whose handshakes failed of late: a client that cannot agree on TLS often comes back
//! in clear, and a policy can tell that from a client that never tries.
//!
//! **Bounded**, however many clients fail: the failures that are longest ago are
//! forgotten first, and all of them after a while. One client has one entry, so that
//! none pushes others out by failing often. What is kept of a failure are words of this
//! program ([`super::failure_reason`]), never of the client.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use crate::facts::HandshakeFailure;

/// How long a failure is remembered, in seconds: the next attempt of a queue comes
/// after half an hour or so (RFC 5321, section 4.5.4.1), and the one after that within
/// four.
const REMEMBERED: u64 = 4 * 60 * 60;

/// Most clients that are remembered, some two megabytes of them.
const CLIENTS: usize = 10_000;

/// Longest reason that is kept, in characters.
const LONGEST_REASON: usize = 200;

/// The last failure of each client.
#[derive(Debug, Default)]
pub struct FailedHandshakes(Mutex<Failures>);

#[derive(Debug, Default)]
struct Failures {
    by_client: HashMap<IpAddr, HandshakeFailure>,
    /// The same by time, the longest ago first.
    by_time: BTreeSet<(u64, IpAddr)>,
}

impl FailedHandshakes {
    /// A handshake with this client failed.
    pub fn note(&self, client: IpAddr, failure: HandshakeFailure) {
        self.lock().note(one(client), shortened(failure));
    }

    /// The last handshake that failed with this client, unless it is long ago. `now` is
    /// in seconds since 1970.
    pub fn last(&self, client: IpAddr, now: u64) -> Option<HandshakeFailure> {
        let mut failures = self.lock();
        failures.forget_before(now.saturating_sub(REMEMBERED));
        failures.by_client.get(&one(client)).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Failures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failures {
    fn note(&mut self, client: IpAddr, failure: HandshakeFailure) {
        self.forget_before(failure.at.saturating_sub(REMEMBERED));
        let at = failure.at;
        if let Some(earlier) = self.by_client.insert(client, failure) {
            self.by_time.remove(&(earlier.at, client));
        }
        self.by_time.insert((at, client));
        if self.by_time.len() > CLIENTS {
            self.forget_first();
        }
    }

    fn forget_before(&mut self, time: u64) {
        while self.by_time.first().is_some_and(|(at, _)| *at < time) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, client)) = self.by_time.pop_first() {
            self.by_client.remove(&client);
        }
    }
}

/// One client: an address of IPv4, a network of IPv6, within which a client chooses its
/// addresses as it likes.
fn one(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    }
}

fn shortened(mut failure: HandshakeFailure) -> HandshakeFailure {
    if let Some((end, _)) = failure.reason.char_indices().nth(LONGEST_REASON) {
        failure.reason.truncate(end);
    }
    failure
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn failure(at: u64) -> HandshakeFailure {
        let reason = "not TLS".into();
        HandshakeFailure { at, reason }
    }

    fn client(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from(number).into()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_client_is_known_by_its_address_or_network() {
        for (failed, asked, known) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
        ] {
            let failed_handshakes = FailedHandshakes::default();
            failed_handshakes.note(address(failed), failure(100));
            let last = failed_handshakes.last(address(asked), 100);
            assert_eq!(last, known.then(|| failure(100)), "{failed} {asked}");
        }
    }

    #[test]
    fn the_last_failure_counts_until_it_is_long_ago() {
        let failed = FailedHandshakes::default();
        failed.note(client(1), failure(100));
        failed.note(client(1), failure(200));
        assert_eq!(failed.last(client(1), 300), Some(failure(200)));
        assert_eq!(failed.last(client(1), 200 + REMEMBERED), Some(failure(200)));
        assert_eq!(failed.last(client(1), 201 + REMEMBERED), None);
        assert!(failed.lock().by_client.is_empty());
    }

    #[test]
    fn whoever_failed_long_ago_is_forgotten_first_and_nobody_is_by_one_client() {
        let failed = FailedHandshakes::default();
        let clients = u32::try_from(CLIENTS).expect("there are few");
        for number in 0..clients {
            failed.note(client(number), failure(u64::from(number)));
        }
        for _ in 0..clients {
            failed.note(client(7), failure(u64::from(clients)));
        }
        assert!(failed.last(client(0), 0).is_some());
        failed.note(client(clients), failure(u64::from(clients)));
        assert_eq!(failed.last(client(0), 0), None);
        assert!(failed.last(client(1), 0).is_some());
    }

    proptest! {
        /// Whatever comes in whatever order, also from a clock that is set back.
        #[test]
        fn both_orders_have_the_same(notes in prop::collection::vec((0..20u32, 0..20_000u64), 0..200)) {
            let failed = FailedHandshakes::default();
            for (number, at) in notes {
                failed.note(client(number), failure(at));
                let failures = failed.lock();
                let by_client: BTreeSet<_> =
                    failures.by_client.iter().map(|(client, failure)| (failure.at, *client)).collect();
                prop_assert_eq!(&by_client, &failures.by_time);
            }
        }
    }

    #[test]
    fn a_long_reason_is_cut() {
        let failed = FailedHandshakes::default();
        let reason = "ü".repeat(LONGEST_REASON + 1);
        failed.note(client(1), HandshakeFailure { at: 1, reason });
        let last = failed.last(client(1), 1).expect("it is known");
        assert_eq!(last.reason.chars().count(), LONGEST_REASON);
    }
}
