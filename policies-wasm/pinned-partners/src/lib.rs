//! Enforces pinned public keys for partners: a current key, a next one for the day it
//! is changed, and a date after which the pins are no longer believed.

use portcullis_sdk::{
    Answer, DAY, Date, Domain, DomainMap, DomainPattern, Faults, Fingerprint, Message,
    Requirements, Result, policy,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// How many days before their expiry pins are warned of: time enough to ask a partner
/// for the next key, holidays included.
const WARNING_DAYS: u64 = 14;

/// Settings of pinned-partners.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The pins of each partner, by domain of the sender.
    pub partners: DomainMap<Pins>,
}

/// The pins of a partner.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pins {
    /// The public key that the partner uses.
    pub current: Fingerprint,
    /// The public key that the partner will use next.
    #[serde(default)]
    pub next: Option<Fingerprint>,
    /// The last day (UTC) on which the pins are believed.
    #[serde(default)]
    pub expires: Option<Date>,
    /// What holds after that day.
    #[serde(default)]
    pub then: Then,
}

/// What holds after pins have expired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// Still the pins: a key that is not among them is refused.
    #[default]
    Refuse,
    /// A trusted certificate within the sender's domain.
    Within,
    /// TLS, with or without a certificate.
    Tls,
    /// TLS where the client uses it.
    Opportunistic,
}

policy!(decide, settings = Settings, check = check);

/// Decides by the domain of the envelope sender.
pub fn decide(message: &Message, settings: &Settings) -> Result {
    let Some(sender) = message.sender_domain() else {
        return Ok(Answer::default("the sender has no domain"));
    };
    let Some(pins) = settings.partners.get(&sender) else {
        return Ok(Answer::default(format!("{sender} has no pins")));
    };
    pins.warn_of_next_key(message, &sender);
    match &pins.expires {
        Some(expires) if message.now() >= expires.end() => {
            message.warn(format!("the pins of {sender} expired on {expires}"));
            Ok(pins.answer_after(expires, &sender))
        }
        Some(expires) => {
            warn_of_expiry(message, &sender, expires);
            Ok(pins.answer(&sender))
        }
        None => Ok(pins.answer(&sender)),
    }
}

impl Pins {
    fn answer(&self, sender: &Domain) -> Answer {
        Answer::enforced(self.requirements(), format!("{sender} is pinned"))
    }

    fn answer_after(&self, expires: &Date, sender: &Domain) -> Answer {
        let expired = format!("the pins of {sender} expired on {expires}:");
        let tls = Requirements::tls();
        match self.then {
            Then::Refuse => {
                Answer::enforced(self.requirements(), format!("{expired} still required"))
            }
            Then::Within => Answer::enforced(
                tls.certificate_within(sender),
                format!("{expired} the certificate must be within {sender}"),
            ),
            Then::Tls => Answer::enforced(tls, format!("{expired} TLS without certificate")),
            Then::Opportunistic => Answer::opportunistic(format!("{expired} opportunistic")),
        }
    }

    fn requirements(&self) -> Requirements {
        let keys = [Some(&self.current), self.next.as_ref()];
        Requirements::tls().certificate_pinned(keys.into_iter().flatten().cloned())
    }

    /// The partner has changed keys: the next one should become the current one.
    fn warn_of_next_key(&self, message: &Message, sender: &Domain) {
        let (Some(next), Some(certificate)) = (&self.next, message.certificate()) else {
            return;
        };
        if certificate.spki_sha256() == *next {
            message.warn(format!(
                "{sender} uses its next key {next}: make it current"
            ));
        }
    }
}

fn warn_of_expiry(message: &Message, sender: &Domain, expires: &Date) {
    let left = expires.end().saturating_sub(message.now());
    if left <= WARNING_DAYS * DAY {
        message.warn(format!("the pins of {sender} expire on {expires}"));
    }
}

/// What would be a mistake, though each value is sound.
fn check(settings: &Settings, faults: &mut Faults) {
    for (pattern, pins) in settings.partners.iter() {
        let path = format!("partners.{pattern}");
        if *pattern == DomainPattern::Every {
            faults.add(&path, "pins everybody to one partner's key: name a domain");
        }
        if pins.next.as_ref() == Some(&pins.current) {
            faults.add(format!("{path}.next"), "is the current key");
        }
        if pins.expires.is_none() && pins.then != Then::Refuse {
            faults.add(format!("{path}.then"), "means nothing without expires");
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_sdk::{parse_settings, testing::check_vectors};

    use super::*;

    #[test]
    fn vectors_hold() {
        check_vectors(include_str!("../vectors.toml"), decide);
    }

    #[test]
    fn mistakes_are_found() {
        let (one, two) = ("aa".repeat(32), "bb".repeat(32));
        for (pins, expected) in [
            (
                format!(r#""a.example": {{"current": "{one}", "next": "{two}"}}"#),
                &[][..],
            ),
            (
                format!(r#""a.example": {{"current": "{one}", "next": "{one}"}}"#),
                &["partners.a.example.next: is the current key"],
            ),
            (
                format!(r#""a.example": {{"current": "{one}", "then": "tls"}}"#),
                &["partners.a.example.then: means nothing without expires"],
            ),
            (
                format!(r#""*": {{"current": "{one}"}}"#),
                &["partners.*: pins everybody to one partner's key: name a domain"],
            ),
        ] {
            let settings = parse_settings(&format!(r#"{{"partners": {{{pins}}}}}"#)).expect(&pins);
            let mut faults = Faults::new();
            check(&settings, &mut faults);
            assert_eq!(faults.as_slice(), expected, "{pins}");
        }
    }
}
