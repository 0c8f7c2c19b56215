//! Until a day mail comes as it comes, and the log says who would be refused and why; from
//! that day on they are.

use portcullis_sdk::{Answer, Date, Message, Requirements, Result, TlsVersion, policy};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of monitor-then-enforce.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The day (UTC) with which it is enforced.
    pub enforce: Date,
    /// The oldest TLS version that is accepted then.
    #[serde(default = "newest")]
    pub minimum: TlsVersion,
}

fn newest() -> TlsVersion {
    TlsVersion::Tls13
}

policy!(
    decide,
    settings = Settings,
    name = "monitor-then-enforce",
    description = "Logs who has no TLS until a day, and refuses them from then on."
);

/// Decides by the day.
pub fn decide(message: &Message, settings: &Settings) -> Result {
    let day = settings.enforce;
    if message.now() >= day.start() {
        let requirements = Requirements::tls().at_least(settings.minimum);
        return Ok(Answer::enforced(
            requirements,
            format!("enforced since {day}"),
        ));
    }
    if let Some(fault) = fault(message, settings.minimum) {
        let client = message.client().address;
        message.warn(format!("{client} would be refused from {day} on: {fault}"));
    }
    Ok(Answer::opportunistic(format!(
        "to be enforced from {day} on"
    )))
}

/// What the host would refuse this connection for.
fn fault(message: &Message, minimum: TlsVersion) -> Option<String> {
    match message.tls() {
        None if !message.starttls_offered() => Some("we offered no TLS".to_owned()),
        None => Some(match message.handshake_failure_reason() {
            Some(reason) => format!("it is in clear, after a failed handshake ({reason})"),
            None => "it is in clear".to_owned(),
        }),
        Some(session) if session.version() < minimum => {
            Some(format!("it is {}, not {minimum}", session.version()))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn vectors_hold() {
        let vectors = include_str!("../vectors/monitor_then_enforce.toml");
        portcullis_sdk::testing::check_vectors(vectors, super::decide);
    }
}
