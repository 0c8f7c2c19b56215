//! Enforces a client certificate that is trusted and within the sender's domain.
//!
//! Domains whose mail comes from elsewhere are exceptions; see the README.

use portcullis_sdk::{
    Answer, Domain, DomainMap, DomainPattern, Faults, Message, Requirements, Result, policy,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of certificate-match.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What holds instead for mail from these domains.
    pub exceptions: DomainMap<Exception>,
}

/// What holds instead of a certificate within the sender's domain.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Exception {
    /// TLS where the client uses it.
    Opportunistic,
    /// TLS, with or without a certificate.
    Tls,
    /// A trusted certificate within this domain: that of a provider.
    Within(Domain),
    /// A trusted certificate that covers this host name.
    Name(Domain),
}

policy!(decide, settings = Settings, check = check);

/// Decides by the domain of the envelope sender.
pub fn decide(message: &Message, settings: &Settings) -> Result {
    let Some(sender) = message.sender_domain() else {
        return Ok(Answer::default("the sender has no domain to match"));
    };
    let Some(exception) = settings.exceptions.get(&sender) else {
        let reason = format!("the certificate must be within {sender}");
        let requirements = Requirements::tls().certificate_within(sender);
        return Ok(Answer::enforced(requirements, reason));
    };
    Ok(exception.answer(&sender))
}

impl Exception {
    fn answer(&self, sender: &Domain) -> Answer {
        let tls = Requirements::tls();
        let exception = format!("{sender} is an exception:");
        match self {
            Self::Opportunistic => Answer::opportunistic(format!("{exception} opportunistic")),
            Self::Tls => Answer::enforced(tls, format!("{exception} TLS without certificate")),
            Self::Within(domain) => Answer::enforced(
                tls.certificate_within(domain),
                format!("{exception} the certificate must be within {domain}"),
            ),
            Self::Name(name) => Answer::enforced(
                tls.certificate_covers(name),
                format!("{exception} the certificate must cover {name}"),
            ),
        }
    }
}

/// An exception for everybody would leave nothing of this policy.
fn check(settings: &Settings, faults: &mut Faults) {
    for (pattern, _) in settings.exceptions.iter() {
        if *pattern == DomainPattern::Every {
            faults.add("exceptions.*", "would except everybody: name domains");
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
    fn nobody_excepts_everybody() {
        for (json, expected) in [
            (r#"{"exceptions": {"a.example": "tls"}}"#, &[][..]),
            (
                r#"{"exceptions": {"*": "tls"}}"#,
                &["exceptions.*: would except everybody: name domains"],
            ),
        ] {
            let mut faults = Faults::new();
            check(&parse_settings(json).expect(json), &mut faults);
            assert_eq!(faults.as_slice(), expected);
        }
    }
}
