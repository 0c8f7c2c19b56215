//! Enforces a minimum TLS version and a post-quantum key exchange, by the sender's
//! domain.

use portcullis_sdk::{Answer, DomainMap, Message, Requirements, Result, TlsVersion, policy};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of modern-tls.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What is demanded of mail from these domains; `*` is everybody else, bounces
    /// included.
    pub domains: DomainMap<Demand>,
}

/// What is demanded of a connection.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Demand {
    /// The oldest TLS version that is accepted.
    pub minimum: TlsVersion,
    /// Whether the key exchange must resist a quantum computer.
    pub post_quantum: bool,
}

impl Default for Demand {
    fn default() -> Self {
        Self {
            minimum: TlsVersion::Tls13,
            post_quantum: false,
        }
    }
}

policy!(decide, settings = Settings);

/// Decides by the domain of the envelope sender.
pub fn decide(message: &Message, settings: &Settings) -> Result {
    let sender = message.sender_domain();
    let demand = match &sender {
        Some(domain) => settings.domains.get(domain),
        None => settings.domains.every(),
    };
    let who = sender.map_or("a sender without domain".to_owned(), |d| d.to_string());
    Ok(match demand {
        Some(demand) => demand.answer(&who),
        None => Answer::default(format!("nothing is demanded of {who}")),
    })
}

impl Demand {
    fn answer(&self, who: &str) -> Answer {
        let requirements = Requirements::tls().at_least(self.minimum);
        let version = self.minimum;
        if self.post_quantum {
            return Answer::enforced(
                requirements.post_quantum_key_exchange(),
                format!("{version} and a post-quantum key exchange are demanded of {who}"),
            );
        }
        Answer::enforced(requirements, format!("{version} is demanded of {who}"))
    }
}

#[cfg(test)]
mod tests {
    use portcullis_sdk::testing::check_vectors;

    use super::decide;

    #[test]
    fn vectors_hold() {
        check_vectors(include_str!("../vectors.toml"), decide);
    }
}
