//! All mail needs TLS, save from some servers that cannot speak it, each until a day.

use std::net::IpAddr;

use portcullis_sdk::{Answer, Date, Message, Requirements, Result, policy};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of server-exception.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The servers that cannot speak TLS.
    pub servers: Vec<Server>,
}

/// A server that cannot speak TLS.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Its address.
    pub address: IpAddr,
    /// The last day (UTC) of the exception.
    pub until: Date,
    /// Why there is one, for the receipt.
    pub why: String,
}

policy!(
    decide,
    settings = Settings,
    name = "server-exception",
    description = "Demands TLS of everybody but some servers, each until a day."
);

/// Decides by the address of the client.
pub fn decide(message: &Message, settings: &Settings) -> Result {
    let address = message.client().ip();
    let server = settings
        .servers
        .iter()
        .find(|server| Some(server.address) == address);
    let tls = Requirements::tls();
    Ok(match server {
        Some(server) if message.now() < server.until.end() => Answer::opportunistic(format!(
            "{} is excepted until {}: {}",
            server.address, server.until, server.why
        )),
        Some(server) => Answer::enforced(
            tls,
            format!(
                "the exception of {} ended on {}",
                server.address, server.until
            ),
        ),
        None => Answer::enforced(tls, "everybody needs TLS"),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn vectors_hold() {
        let vectors = include_str!("../vectors/server_exception.toml");
        portcullis_sdk::testing::check_vectors(vectors, super::decide);
    }
}
