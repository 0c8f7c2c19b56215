//! Enforces TLS for senders in a list of partners.
//!
//! The value of a partner in the list says what is required beside TLS; see the README.

use portcullis_sdk::{Answer, Domain, Message, Requirements, Result, policy};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of partner-list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Name of the tenant's list of partners: domains, each with its requirement.
    pub list: String,
    /// Whether a partner's subdomains are partners too. The nearest entry counts.
    pub subdomains: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            list: "partners".to_owned(),
            subdomains: false,
        }
    }
}

policy!(decide, settings = Settings);

/// Decides by the domain of the envelope sender.
pub fn decide(message: &Message, settings: &Settings) -> Result {
    let Some(sender) = message.sender_domain() else {
        return Ok(Answer::default("the sender has no domain"));
    };
    let Some((partner, value)) = find(message, settings, &sender) else {
        let reason = format!("{sender} is not in list {}", settings.list);
        return Ok(Answer::default(reason));
    };
    let requirements = requirements(&value, &partner)
        .map_err(|fault| fault.context(format!("list {}, entry {partner}", settings.list)))?;
    let reason = format!("{partner} is in list {}: {}", settings.list, shown(&value));
    Ok(Answer::enforced(requirements, reason))
}

/// The entry of this domain, or of the nearest domain above it.
fn find(message: &Message, settings: &Settings, sender: &Domain) -> Option<(Domain, String)> {
    let partners = message.list(&settings.list);
    let above = sender.parents().filter(|_| settings.subdomains);
    std::iter::once(sender.clone())
        .chain(above)
        .find_map(|domain| {
            let value = partners.lookup(domain.as_str())?;
            Some((domain, value))
        })
}

/// What the value of an entry requires.
fn requirements(value: &str, partner: &Domain) -> Result<Requirements> {
    let tls = Requirements::tls();
    match value {
        "" | "tls" => Ok(tls),
        "trusted" => Ok(tls.certificate_trusted()),
        "within" => Ok(tls.certificate_within(partner)),
        _ => match value.strip_prefix("name=") {
            Some(name) => Ok(tls.certificate_covers(name.parse::<Domain>()?)),
            None => Err(format!(
                "{value:?} is no requirement: write tls, trusted, within or name=host.example"
            )
            .into()),
        },
    }
}

fn shown(value: &str) -> &str {
    if value.is_empty() { "tls" } else { value }
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
