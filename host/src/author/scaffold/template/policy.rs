//! Mail from some domains must arrive over TLS, except from those who are exempt.

use portcullis_sdk::{Answer, Domain, Message, Requirements, Result, TlsVersion, policy};
use schemars::JsonSchema;
use serde::Deserialize;

/// What a tenant sets. These comments are shown to whoever writes the settings.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Domains whose mail must arrive over TLS, with all domains below them.
    domains: Vec<Domain>,
    /// The oldest version of TLS that is good enough: "1.2" or "1.3".
    at_least: Option<TlsVersion>,
    /// Name of the list of sender domains that are exempt.
    exempt: Option<String>,
}

policy!(decide, settings = Settings);

/// Asked for every recipient. It says what must be true of the connection; the host checks
/// that, and words the reply.
fn decide(message: &Message, settings: &Settings) -> Result {
    let Some(sender) = message.sender_domain() else {
        return Ok(Answer::default("a bounce has no sender"));
    };
    let is_one = |domain: &Domain| sender.is_within(domain);
    if !settings.domains.iter().any(is_one) {
        return Ok(Answer::default("none of the domains"));
    }
    if let Some(list) = &settings.exempt
        && message.list(list).contains(sender.as_str())
    {
        return Ok(Answer::opportunistic(format!("{sender} is exempt")));
    }
    let mut requirements = Requirements::tls();
    if let Some(version) = settings.at_least {
        requirements = requirements.at_least(version);
    }
    let reason = format!("mail from {sender} needs TLS");
    Ok(Answer::enforced(requirements, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Natively what `portcullis test` asks the compiled module.
    #[test]
    fn vectors() {
        portcullis_sdk::testing::check_vectors(include_str!("../vectors.toml"), decide);
    }
}
