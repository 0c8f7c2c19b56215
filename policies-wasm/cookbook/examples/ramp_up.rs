//! All partners use TLS already; from a day on more and more of them must show a trusted
//! certificate, until another day, from which on all must.

use portcullis_sdk::{
    Answer, Date, DomainSet, Faults, Message, Requirements, Result, Share, policy,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Under which name partners have their places: that of the policy in the tenant's file.
const NAME: &str = "ramp-up";

/// Settings of ramp-up.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Domains of the partners.
    pub partners: DomainSet,
    /// The day (UTC) with which it begins.
    pub start: Date,
    /// The day (UTC) with which all must.
    pub end: Date,
}

policy!(
    decide,
    settings = Settings,
    check = check,
    name = "ramp-up",
    description = "Demands certificates of a share of the partners that rises day by day."
);

/// Decides by the domain of the envelope sender and its place.
pub fn decide(message: &Message, settings: &Settings) -> Result {
    let sender = message.sender_domain();
    let Some(partner) = sender.filter(|domain| settings.partners.contains(domain)) else {
        return Ok(Answer::default("the sender is no partner"));
    };
    let (start, end) = (settings.start.start(), settings.end.start());
    let share = Share::rising(start, end, message.now());
    let tls = Requirements::tls();
    Ok(if share.includes(NAME, Some(&partner)) {
        let reason = format!("{partner} is among {share} who need a certificate");
        Answer::enforced(tls.certificate_trusted(), reason)
    } else {
        let reason = format!("{partner} is not yet among {share} who need a certificate");
        Answer::enforced(tls, reason)
    })
}

/// What would be no ramp.
fn check(settings: &Settings, faults: &mut Faults) {
    if settings.end <= settings.start {
        faults.add("end", format!("is not after start, {}", settings.start));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_hold() {
        let vectors = include_str!("../vectors/ramp_up.toml");
        portcullis_sdk::testing::check_vectors(vectors, decide);
    }

    #[test]
    fn what_does_not_rise_is_no_ramp() {
        for (end, expected) in [
            ("2027-01-01", &["end: is not after start, 2027-01-01"][..]),
            ("2027-01-02", &[]),
        ] {
            let json = format!(r#"{{"partners": [], "start": "2027-01-01", "end": "{end}"}}"#);
            let mut faults = Faults::new();
            check(
                &portcullis_sdk::parse_settings(&json).expect("sound"),
                &mut faults,
            );
            assert_eq!(faults.as_slice(), expected, "{end}");
        }
    }
}
