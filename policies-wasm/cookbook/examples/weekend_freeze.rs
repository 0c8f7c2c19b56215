//! On some days mail needs TLS, for nobody is here to look at exceptions; a list names the
//! senders who are exempt.

use portcullis_sdk::{Answer, Date, Message, Requirements, Result, Weekday, policy};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of weekend-freeze.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The days on which mail needs TLS, in UTC.
    #[serde(default = "weekend")]
    pub days: Vec<Weekday>,
    /// Name of the tenant's list of domains that are exempt.
    pub exempt: String,
}

fn weekend() -> Vec<Weekday> {
    vec![Weekday::Saturday, Weekday::Sunday]
}

policy!(
    decide,
    settings = Settings,
    name = "weekend-freeze",
    description = "On some days mail needs TLS, save from whoever is in a list."
);

/// Decides by the day and the domain of the envelope sender.
pub fn decide(message: &Message, settings: &Settings) -> Result {
    let today = Date::of(message.now());
    if !settings.days.contains(&today.weekday()) {
        return Ok(Answer::default("a working day"));
    }
    if let Some(sender) = message.sender_domain()
        && message.list(&settings.exempt).contains(sender.as_str())
    {
        return Ok(Answer::opportunistic(format!("{sender} is exempt")));
    }
    Ok(Answer::enforced(
        Requirements::tls(),
        format!("{today} is no working day"),
    ))
}

#[cfg(test)]
mod tests {
    #[test]
    fn vectors_hold() {
        let vectors = include_str!("../vectors/weekend_freeze.toml");
        portcullis_sdk::testing::check_vectors(vectors, super::decide);
    }
}
