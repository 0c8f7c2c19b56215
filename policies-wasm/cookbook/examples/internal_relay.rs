//! Mail that says it is from ourselves comes in from outside through one relay of ours, which
//! proves with its certificate that it is that relay. Somebody else's claim is refused.

use portcullis_sdk::{Answer, Direction, Domain, DomainSet, Message, Requirements, Result, policy};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of internal-relay.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Our own domains.
    pub ours: DomainSet,
    /// Host name of the relay, as its certificate has it.
    pub relay: Domain,
}

policy!(
    decide,
    settings = Settings,
    name = "internal-relay",
    description = "Takes mail from our own domains through our relay only."
);

/// Decides by the domain of the envelope sender, and by those of the header From where they
/// are known.
pub fn decide(message: &Message, settings: &Settings) -> Result {
    if message.direction() == Direction::Outbound {
        return Ok(Answer::default("from a server of our own"));
    }
    let header = message.header_from();
    let claimed = message
        .sender()
        .into_iter()
        .chain(header)
        .filter_map(|address| address.domain())
        .find(|domain| settings.ours.contains(domain));
    Ok(match claimed {
        Some(domain) => Answer::enforced(
            Requirements::tls().certificate_covers(&settings.relay),
            format!("{domain} is ours, and comes through {}", settings.relay),
        ),
        None => Answer::default("not from ourselves"),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn vectors_hold() {
        let vectors = include_str!("../vectors/internal_relay.toml");
        portcullis_sdk::testing::check_vectors(vectors, super::decide);
    }
}
