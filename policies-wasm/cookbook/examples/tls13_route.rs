//! On some routes, from these senders to those recipients, TLS 1.2 is not enough.

use portcullis_sdk::{Answer, DomainSet, Message, Requirements, Result, TlsVersion, policy};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of tls13-route.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The routes.
    pub routes: Vec<Route>,
}

/// Mail from these domains to those.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// What receipts call it.
    pub name: String,
    /// Domains of the senders.
    pub from: DomainSet,
    /// Domains of the recipients.
    pub to: DomainSet,
}

policy!(
    decide,
    settings = Settings,
    name = "tls13-route",
    description = "Demands TLS 1.3 on some routes."
);

/// Decides by the domains of the envelope; the first route counts.
pub fn decide(message: &Message, settings: &Settings) -> Result {
    let (sender, recipient) = (message.sender_domain(), message.recipient().domain());
    let (Some(sender), Some(recipient)) = (sender, recipient) else {
        return Ok(Answer::default("without domains there is no route"));
    };
    let route = settings
        .routes
        .iter()
        .find(|route| route.from.contains(&sender) && route.to.contains(&recipient));
    Ok(match route {
        Some(route) => Answer::enforced(
            Requirements::tls().at_least(TlsVersion::Tls13),
            format!("the route {}", route.name),
        ),
        None => Answer::default(format!("no route from {sender} to {recipient}")),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn vectors_hold() {
        let vectors = include_str!("../vectors/tls13_route.toml");
        portcullis_sdk::testing::check_vectors(vectors, super::decide);
    }
}
