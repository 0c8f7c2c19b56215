//! Enforcing by steps: a policy is in force for a share of sender domains that rises, and
//! for all others it is only monitored.
//!
//! **Who is enforced is a function of time and domain alone**, so that every host and every
//! start of one agrees. Each domain has a place of its own in each policy, and it does not
//! move: once it is enforced it stays so while the share rises. **A ramp that was halted
//! stands where it stood then**, and goes on when it is resumed. Nothing here allocates.

use serde::{Deserialize, Serialize};

use super::{Mode, Moment, Policy, Question};
use crate::address::{Domain, MAX_DOMAIN, Mailbox};
use crate::digest::Digest;
use crate::facts::Stage;
use crate::name::{MAX_NAME, Name};
use crate::policy::BasedOn;

/// All sender domains: shares are in millionths.
pub const WHOLE: u32 = 1_000_000;

/// When a policy is enforced for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Ramp {
    start: Moment,
    end: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    halt_above: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    halted: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resumed: Option<Moment>,
}

/// Why there is no such ramp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RampError {
    /// It would rise in no time.
    #[error("{end} is not after {start}, when it starts")]
    Empty {
        /// Its beginning.
        start: Moment,
        /// Its end.
        end: Moment,
    },
    /// It stood still while it did not rise.
    #[error("{halted} is not between {start}, when it starts, and {end}, when it is over")]
    Halted {
        /// When it was halted.
        halted: Moment,
        /// Its beginning.
        start: Moment,
        /// Its end.
        end: Moment,
    },
}

/// Where a ramp stands for the sender of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stand {
    /// Sender domains that are enforced, in millionths of all.
    pub share: u32,
    /// The place of this sender's domain: it is enforced when that is less than the share.
    pub place: u32,
}

impl Ramp {
    /// One that rises from nobody at `start` to everybody at `end`; that is to be halted
    /// when more than so many per cent of the mail in the policy's scope is refused; that
    /// was halted, if it was; and that goes on since it was resumed, if it was.
    ///
    /// # Errors
    /// When it would not rise, or was halted at another time.
    pub fn new(
        start: Moment,
        end: Moment,
        halt_above: Option<u8>,
        halted: Option<Moment>,
        resumed: Option<Moment>,
    ) -> Result<Self, RampError> {
        if start >= end {
            return Err(RampError::Empty { start, end });
        }
        if let Some(halted) = halted.filter(|halted| !(start..=end).contains(halted)) {
            return Err(RampError::Halted { halted, start, end });
        }
        Ok(Self {
            start,
            end,
            halt_above,
            halted,
            resumed,
        })
    }

    /// When it starts.
    pub fn start(&self) -> Moment {
        self.start
    }

    /// When it is over.
    pub fn end(&self) -> Moment {
        self.end
    }

    /// The per cent of refused mail above which it is to be halted.
    pub fn halt_above(&self) -> Option<u8> {
        self.halt_above
    }

    /// Since when it is looked at what it refuses: its start, or when it was resumed, for
    /// what it was halted for is no reason to halt it again.
    pub fn watched_from(&self) -> Moment {
        self.resumed.map_or(self.start, |at| at.max(self.start))
    }

    /// When it was halted, if it was.
    pub fn halted(&self) -> Option<Moment> {
        self.halted
    }

    /// The share of sender domains that are enforced at this time, in millionths.
    pub fn share(&self, now: u64) -> u32 {
        let (start, end) = (self.start.unix_seconds(), self.end.unix_seconds());
        let halted = self.halted.map_or(u64::MAX, Moment::unix_seconds);
        let risen = now.min(halted).clamp(start, end) - start;
        let share = u128::from(risen) * u128::from(WHOLE) / u128::from(end - start);
        // It is at most the whole.
        u32::try_from(share).unwrap_or(WHOLE)
    }

    /// The same in per cent, rounded down.
    pub fn percent(&self, now: u64) -> u32 {
        percent(self.share(now))
    }

    /// Whether it stands still at this time, since it was halted.
    pub fn is_halted(&self, now: u64) -> bool {
        self.halted.is_some_and(|at| at <= Moment::new(now))
    }

    /// Whether it has begun at this time, and is neither over nor halted.
    pub fn is_rising(&self, now: u64) -> bool {
        let at = Moment::new(now);
        self.start <= at && at < self.end && !self.is_halted(now)
    }

    /// The same, halted at this time.
    #[must_use]
    pub fn halted_at(self, now: u64) -> Self {
        Self {
            halted: Some(Moment::new(now).clamp(self.start, self.end)),
            ..self
        }
    }

    /// The same, going on at this time from where it was halted.
    #[must_use]
    pub fn resumed(self, now: u64) -> Self {
        let (start, end) = (self.start.unix_seconds(), self.end.unix_seconds());
        let halted = self.halted.map_or(now, Moment::unix_seconds);
        let stood = now.saturating_sub(halted);
        Self {
            start: Moment::new(start.saturating_add(stood)),
            end: Moment::new(end.saturating_add(stood)),
            halted: None,
            resumed: Some(Moment::new(now)),
            ..self
        }
    }

    /// Where it stands for this sender's domain; none is that of the null sender.
    fn stand(&self, policy: &Name, domain: Option<&Domain>, now: u64) -> Stand {
        Stand {
            share: self.share(now),
            place: place(policy, domain),
        }
    }
}

impl Stand {
    /// The share in per cent, rounded down.
    pub fn percent(&self) -> u32 {
        percent(self.share)
    }

    /// Whether the sender's domain is enforced.
    pub fn is_enforced(&self) -> bool {
        self.place < self.share
    }
}

impl Policy {
    /// What is done with what it decides about anybody's mail at this time, in seconds since
    /// 1970: one that is enforced for nobody yet is only monitored.
    pub fn mode_at(&self, now: u64) -> Mode {
        match &self.ramp {
            Some(ramp) if ramp.share(now) == 0 => Mode::Monitor,
            _ => self.mode,
        }
    }

    /// What is done with what it decides about this question's mail.
    pub(super) fn mode_for(&self, question: &Question<'_>) -> Mode {
        match (self.mode, self.stand(question)) {
            (Mode::Monitor, _) => Mode::Monitor,
            (Mode::Enforce, Some(stand)) if !stand.is_enforced() => Mode::Monitor,
            (Mode::Enforce, _) => Mode::Enforce,
        }
    }

    /// Whether it is enforced whatever the header From is.
    pub(super) fn enforces_every_header(&self, question: &Question<'_>) -> bool {
        self.enforces_by(question, |share| share == WHOLE)
    }

    /// Whether there is a header From for which it is enforced.
    pub(super) fn enforces_some_header(&self, question: &Question<'_>) -> bool {
        self.enforces_by(question, |share| share > 0)
    }

    fn enforces_by(&self, question: &Question<'_>, share: impl Fn(u32) -> bool) -> bool {
        match (self.mode, &self.ramp, self.based_on) {
            (Mode::Enforce, Some(ramp), BasedOn::Header) => share(ramp.share(question.now)),
            _ => self.mode_for(question) == Mode::Enforce,
        }
    }

    /// Where its ramp stands for this question's sender; none where it has none.
    pub fn stand(&self, question: &Question<'_>) -> Option<Stand> {
        let ramp = self.ramp.as_ref()?;
        let sender = match (self.based_on, question.stage) {
            (BasedOn::Header, Stage::Content) => question.header_from.first(),
            _ => question.sender,
        };
        let domain = sender.and_then(Mailbox::domain);
        Some(ramp.stand(&self.name, domain, question.now))
    }
}

fn percent(share: u32) -> u32 {
    share / (WHOLE / 100)
}

/// The place of a domain in a policy's ramp, in millionths: of the SHA-256 of the policy's
/// name, an octet 0 and the domain the first eight octets, as a fraction.
fn place(policy: &Name, domain: Option<&Domain>) -> u32 {
    let parts = [
        policy.as_str().as_bytes(),
        &[0],
        domain.map_or(&[][..], |domain| domain.as_str().as_bytes()),
    ];
    let mut text = [0; MAX_NAME + 1 + MAX_DOMAIN];
    let mut length = 0;
    for part in parts {
        // Neither is longer than it may be.
        if let Some(room) = text.get_mut(length..length + part.len()) {
            room.copy_from_slice(part);
            length += part.len();
        }
    }
    let digest = Digest::of(&text[..length]);
    let mut first = [0; 8];
    first.copy_from_slice(&digest.as_bytes()[..8]);
    let place = (u128::from(u64::from_be_bytes(first)) * u128::from(WHOLE)) >> 64;
    // It is less than the whole.
    u32::try_from(place).unwrap_or(WHOLE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ramp(halted: Option<u64>) -> Ramp {
        let halted = halted.map(Moment::new);
        Ramp::new(
            Moment::new(1_000),
            Moment::new(2_000),
            Some(5),
            halted,
            None,
        )
        .expect("it rises")
    }

    fn name() -> Name {
        "partners".parse().expect("a name")
    }

    #[test]
    fn a_share_rises_from_nobody_to_everybody_and_stands_where_it_was_halted() {
        for (now, rising, halted) in [
            (0, 0, 0),
            (1_000, 0, 0),
            (1_001, 1_000, 1_000),
            (1_250, 250_000, 250_000),
            (1_300, 300_000, 250_000),
            (1_999, 999_000, 250_000),
            (2_000, WHOLE, 250_000),
            (u64::MAX, WHOLE, 250_000),
        ] {
            assert_eq!(ramp(None).share(now), rising, "{now}");
            assert_eq!(ramp(Some(1_250)).share(now), halted, "{now}");
        }
        assert_eq!(ramp(None).halted_at(1_250), ramp(Some(1_250)));
        for (now, is_rising) in [(999, false), (1_000, true), (1_249, true), (1_250, false)] {
            assert_eq!(ramp(Some(1_250)).is_rising(now), is_rising, "{now}");
        }
        let resumed = ramp(Some(1_250)).resumed(1_700);
        assert_eq!(resumed.share(1_700), 250_000);
        assert_eq!(resumed.watched_from(), Moment::new(1_700));
        assert_eq!(ramp(None).watched_from(), Moment::new(1_000));
        assert_eq!(ramp(None).halted_at(5_000).share(9_000), WHOLE);
    }

    #[test]
    fn what_cannot_rise_is_none() {
        let at = Moment::new;
        for (start, end, halted) in [
            (10, 10, None),
            (11, 10, None),
            (10, 20, Some(9)),
            (10, 20, Some(21)),
        ] {
            Ramp::new(at(start), at(end), None, halted.map(at), None).expect_err("no ramp");
        }
        for halted in [10, 20] {
            Ramp::new(at(10), at(20), None, Some(at(halted)), None).expect("a ramp");
        }
    }

    /// Another host, another version, another year: a place is for ever.
    #[test]
    fn a_place_is_what_the_documentation_says() {
        for (domain, expected) in [
            (Some("partner.example"), PLACES[0]),
            (Some("xn--bcher-kva.example"), PLACES[1]),
            (None, PLACES[2]),
        ] {
            let domain: Option<Domain> = domain.map(|domain| domain.parse().expect("a domain"));
            assert_eq!(place(&name(), domain.as_ref()), expected, "{domain:?}");
        }
    }

    /// Worked out elsewhere.
    const PLACES: [u32; 3] = [617_459, 995_416, 59_410];

    #[test]
    fn places_are_spread_evenly() {
        let mut tenths = [0; 10];
        for number in 0..10_000 {
            let domain = format!("d{number}.example").parse().expect("a domain");
            let tenth = place(&name(), Some(&domain)) / (WHOLE / 10);
            tenths[tenth as usize] += 1;
        }
        assert!(
            tenths.iter().all(|count| (850..1_150).contains(count)),
            "{tenths:?}"
        );
    }

    proptest! {
        #[test]
        fn whoever_is_enforced_stays_so(a in 0..3_000_u64, b in 0..3_000_u64, n in 0..10_000) {
            let (before, after) = (a.min(b), a.max(b));
            let domain: Domain = format!("d{n}.example").parse().expect("a domain");
            let enforced = |now| ramp(None).stand(&name(), Some(&domain), now).is_enforced();
            prop_assert!(!enforced(before) || enforced(after));
            prop_assert!(enforced(2_000));
            prop_assert!(!enforced(1_000));
        }
    }
}
