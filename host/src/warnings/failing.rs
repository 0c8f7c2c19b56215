//! Whoever never met what is required, or does not any more.

use super::{About, Kind, Met, Severity, Warning};
use crate::policy::{Moment, Who};

/// Messages after which a stranger's domain is one that writes now and then: a policy for
/// everybody meets mail that only says that it is from there.
const REGULAR: u64 = 5;

/// Senders of a policy for a list who are warned of one by one; of more, who may be anybody's
/// inventions below a domain of the list, together.
const PARTNERS: usize = 500;

pub(super) fn found(about: &About<'_>, senders: &[(&str, &Met)]) -> Vec<Warning> {
    // Of whom it decides no more there is nothing to be said; and strangers invent domains
    // below another at will.
    let decided: Vec<_> = senders
        .iter()
        .filter(|(_, met)| met.is_current)
        .copied()
        .collect();
    let senders = decided.as_slice();
    let is_about_partners = match about.policy.from {
        Who::Domain(_) | Who::Address(_) => true,
        Who::List(_) => senders.len() <= PARTNERS,
        Who::Below(_) | Who::Everyone | Who::Internal | Who::External => false,
    };
    let mut found: Vec<Warning> = match is_about_partners {
        true => {
            let each = senders.iter();
            each.filter_map(|(sender, met)| never(about, Some(sender), met))
                .collect()
        }
        false => never(about, None, &together(senders)).into_iter().collect(),
    };
    let enough = if is_about_partners { 1 } else { REGULAR };
    let failing = |(sender, met): &(&str, &Met)| began(about, sender, met, enough);
    found.extend(senders.iter().filter_map(failing));
    found
}

/// All senders as if they were one: how many, since when, and the last refusal.
fn together(senders: &[(&str, &Met)]) -> Met {
    let all = || senders.iter().map(|(_, met)| *met);
    let last = all()
        .filter_map(|met| met.refusal.as_ref())
        .max_by_key(|(_, id)| *id);
    Met {
        accepted_before: all().map(Met::accepted).sum(),
        refused_before: all().map(Met::refused).sum(),
        first: all().map(|met| met.first).min().unwrap_or_default(),
        refusal: last.cloned(),
        is_enforced: all().any(|met| met.is_enforced && met.refused() > 0),
        ..Met::default()
    }
}

/// Nothing was accepted, and something refused.
fn never(about: &About<'_>, sender: Option<&str>, met: &Met) -> Option<Warning> {
    let (refusal, receipt) = met.refusal.as_ref()?;
    if met.accepted() > 0 {
        return None;
    }
    let name = about.policy.name.as_str();
    let count = match met.refused() {
        1 => "the only message".to_owned(),
        many => format!("all {many} messages"),
    };
    let of = sender.map(|sender| format!(" of {sender}"));
    let of = of.unwrap_or_default();
    let why = refusal.word();
    let (severity, text) = match met.is_enforced {
        true => (
            Severity::Critical,
            format!(
                "policy {name} has refused {count}{of}, the last for {why}: what it demands \
                 was never met. Look at the receipt, and set the policy to monitor until it is"
            ),
        ),
        false => (
            Severity::Warning,
            format!(
                "policy {name} would have refused {count}{of}, the last for {why}: what it \
                 demands was never met. Do not enforce it before it is; look at the receipt"
            ),
        ),
    };
    Some(Warning {
        since: Some(Moment::new(met.first)),
        sender: sender.map(str::to_owned),
        receipt: Some(*receipt),
        ..about.warning(Kind::NeverMet, severity, text)
    })
}

/// It was accepted in the days before, and is refused now: all of it, or some for the first
/// time.
fn began(about: &About<'_>, sender: &str, met: &Met, enough: u64) -> Option<Warning> {
    let (refusal, receipt) = met.refusal.as_ref()?;
    let since = met.failing_since?;
    if !met.is_enforced || met.accepted_before < enough || met.refused_of_late == 0 {
        return None;
    }
    let severity = match (met.accepted_of_late, met.refused_before) {
        (0, _) => Severity::Critical,
        (_, 0) => Severity::Warning,
        // It goes to and fro, as it did before.
        _ => return None,
    };
    let (name, why) = (about.policy.name.as_str(), refusal.word());
    let text = format!(
        "policy {name} accepted mail of {sender} before, and refuses it since {}, the last \
         for {why}: ask them what has changed, or set the policy to monitor meanwhile",
        Moment::new(since)
    );
    Some(Warning {
        since: Some(Moment::new(since)),
        sender: Some(sender.to_owned()),
        receipt: Some(*receipt),
        ..about.warning(Kind::BeganToFail, severity, text)
    })
}
