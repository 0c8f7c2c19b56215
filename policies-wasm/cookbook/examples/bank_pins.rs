//! Mail from our banks is taken over TLS 1.3 and with one of their pinned keys only; whoever
//! reads the log knows of the next key before the certificate of this one runs out.

use portcullis_sdk::{
    Answer, Date, DomainMap, Message, Period, Pins, Requirements, Result, TlsVersion, policy,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of bank-pins.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The keys of each bank, by domain of the sender.
    pub banks: DomainMap<Pins>,
    /// How long before a certificate runs out it is warned of.
    #[serde(default = "month")]
    pub warn: Period,
}

fn month() -> Period {
    Period::days(30)
}

policy!(
    decide,
    settings = Settings,
    name = "bank-pins",
    description = "Demands TLS 1.3 and a pinned key of mail from our banks."
);

/// Decides by the domain of the envelope sender.
pub fn decide(message: &Message, settings: &Settings) -> Result {
    let Some(sender) = message.sender_domain() else {
        return Ok(Answer::default("the sender has no domain"));
    };
    let Some(pins) = settings.banks.get(&sender) else {
        return Ok(Answer::default(format!("{sender} is no bank of ours")));
    };
    warn_of_expiry(message, settings.warn);
    let requirements = Requirements::tls()
        .at_least(TlsVersion::Tls13)
        .certificate_pinned(pins);
    Ok(Answer::enforced(
        requirements,
        format!("{sender} is a bank of ours"),
    ))
}

/// With the next certificate there is often a next key.
fn warn_of_expiry(message: &Message, before: Period) {
    let Some(certificate) = message.certificate() else {
        return;
    };
    let Ok(expiry) = u64::try_from(certificate.not_after()) else {
        return;
    };
    if message.now().saturating_add(before.seconds()) >= expiry {
        let (key, day) = (certificate.spki_sha256(), Date::of(expiry));
        message.warn(format!("the certificate of key {key} runs out on {day}"));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn vectors_hold() {
        let vectors = include_str!("../vectors/bank_pins.toml");
        portcullis_sdk::testing::check_vectors(vectors, super::decide);
    }
}
