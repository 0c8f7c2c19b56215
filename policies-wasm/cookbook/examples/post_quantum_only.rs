//! From a day on mail needs a key exchange that resists a quantum computer; who could not
//! yet do it is in the log before.

use portcullis_sdk::{Answer, Date, DomainSet, Message, Requirements, Result, policy};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of post-quantum-only.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The day (UTC) with which it begins; until then mail needs TLS.
    pub from: Date,
    /// Domains of senders who may go on without.
    #[serde(default)]
    pub except: DomainSet,
}

policy!(
    decide,
    settings = Settings,
    name = "post-quantum-only",
    description = "Demands a post-quantum key exchange from a day on."
);

/// Decides by the day and the domain of the envelope sender.
pub fn decide(message: &Message, settings: &Settings) -> Result {
    let tls = Requirements::tls();
    let sender = message.sender_domain();
    if let Some(sender) = &sender
        && settings.except.contains(sender)
    {
        return Ok(Answer::enforced(
            tls,
            format!("{sender} may go on with TLS alone"),
        ));
    }
    if message.now() >= settings.from.start() {
        let reason = format!("post-quantum since {}", settings.from);
        return Ok(Answer::enforced(tls.post_quantum_key_exchange(), reason));
    }
    if message.tls().is_some_and(|session| !session.post_quantum()) {
        let who = sender.map_or("a bounce".to_owned(), |sender| sender.to_string());
        message.warn(format!("{who} would be refused from {} on", settings.from));
    }
    Ok(Answer::enforced(
        tls,
        format!("post-quantum from {} on", settings.from),
    ))
}

#[cfg(test)]
mod tests {
    #[test]
    fn vectors_hold() {
        let vectors = include_str!("../vectors/post_quantum_only.toml");
        portcullis_sdk::testing::check_vectors(vectors, super::decide);
    }
}
