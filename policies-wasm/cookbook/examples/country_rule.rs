//! What holds for mail from a country, by the last label of the sender's domain: the rules
//! are a list of the tenant, so that they are changed without touching the policy.

use portcullis_sdk::{Answer, Domain, Message, Requirements, Result, TlsVersion, policy};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of country-rule.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Name of the tenant's list: `ch = "tls-1.3"`, `li = "trusted"`, …
    #[serde(default = "countries")]
    pub list: String,
}

fn countries() -> String {
    "countries".to_owned()
}

policy!(
    decide,
    settings = Settings,
    name = "country-rule",
    description = "Decides by the country of the sender's domain, from a list."
);

/// Decides by the top-level domain of the envelope sender.
pub fn decide(message: &Message, settings: &Settings) -> Result {
    let Some(sender) = message.sender_domain() else {
        return Ok(Answer::default("the sender has no domain"));
    };
    let country = sender.parents().last().unwrap_or(sender);
    let Some(rule) = message.list(&settings.list).lookup(country.as_str()) else {
        return Ok(Answer::default(format!("there is no rule for .{country}")));
    };
    answer(&rule, &country)
        .map_err(|fault| fault.context(format!("list {}, entry {country}", settings.list)))
}

fn answer(rule: &str, country: &Domain) -> Result {
    let tls = Requirements::tls();
    let reason = format!("the rule for .{country}: {rule}");
    Ok(match rule {
        "opportunistic" => Answer::opportunistic(reason),
        "tls" => Answer::enforced(tls, reason),
        "tls-1.3" => Answer::enforced(tls.at_least(TlsVersion::Tls13), reason),
        "trusted" => Answer::enforced(tls.certificate_trusted(), reason),
        _ => {
            let rules = "opportunistic, tls, tls-1.3 or trusted";
            return Err(format!("{rule:?} is no rule: write {rules}").into());
        }
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn vectors_hold() {
        let vectors = include_str!("../vectors/country_rule.toml");
        portcullis_sdk::testing::check_vectors(vectors, super::decide);
    }
}
