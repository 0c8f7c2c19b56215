//! Partners prove who they are with a certificate within their domain; one that has just
//! expired is still good for a while, if its key is the one we know.

use portcullis_sdk::{
    Answer, Certificate, DomainMap, Fingerprint, Message, Period, Purpose, Requirements, Result,
    policy,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of certificate-grace.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The public key of each partner's certificate, by domain of the sender.
    pub partners: DomainMap<Fingerprint>,
    /// How long an expired certificate is still good for.
    #[serde(default = "fortnight")]
    pub grace: Period,
}

fn fortnight() -> Period {
    Period::days(14)
}

policy!(
    decide,
    settings = Settings,
    name = "certificate-grace",
    description = "Takes a partner's expired certificate for a while, if its key is known."
);

/// Decides by the domain of the envelope sender.
pub fn decide(message: &Message, settings: &Settings) -> Result {
    let Some(sender) = message.sender_domain() else {
        return Ok(Answer::default("the sender has no domain"));
    };
    let Some(key) = settings.partners.get(&sender) else {
        return Ok(Answer::default(format!("{sender} is no partner")));
    };
    let in_grace = message.certificate().is_some_and(|certificate| {
        certificate.spki_sha256() == *key
            && has_just_expired(&certificate, message.now(), settings.grace)
    });
    if in_grace {
        message.warn(format!(
            "the certificate of {sender} has expired: ask for the next"
        ));
        let requirements = Requirements::tls().certificate_pinned([key]);
        return Ok(Answer::enforced(
            requirements,
            format!("{sender} is in its grace"),
        ));
    }
    let requirements = Requirements::tls().certificate_within(&sender);
    Ok(Answer::enforced(
        requirements,
        format!("{sender} is a partner"),
    ))
}

/// It is in its grace, and that it has expired is all that is wrong with it: one that was
/// revoked has no grace.
fn has_just_expired(certificate: &Certificate, now: u64, grace: Period) -> bool {
    let since = i128::from(now) - i128::from(certificate.not_after());
    let purposes = [Purpose::Client, Purpose::Server];
    (1..=i128::from(grace.seconds())).contains(&since)
        && (purposes.into_iter()).all(|purpose| certificate.trust_detail(purpose) == "expired")
}

#[cfg(test)]
mod tests {
    #[test]
    fn vectors_hold() {
        let vectors = include_str!("../vectors/certificate_grace.toml");
        portcullis_sdk::testing::check_vectors(vectors, super::decide);
    }
}
