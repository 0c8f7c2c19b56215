//! A certificate that ends, and without which mail is refused.

use super::{About, Inquiry, Kind, Met, Seen, Severity, Warning};
use crate::policy::Moment;

const DAY: i64 = 86_400;

/// Days before the end that are too few to wait.
const URGENT: i64 = 7;

/// A certificate that was not seen for so many seconds before another was has been replaced
/// by that.
const REPLACED: u64 = 86_400;

/// Those of these senders that end within the days that are asked for.
pub(super) fn ending(
    about: &About<'_>,
    senders: &[(&str, &Met)],
    inquiry: Inquiry,
) -> Vec<Warning> {
    let now = i64::try_from(inquiry.now).unwrap_or(i64::MAX);
    let horizon = now.saturating_add(i64::from(inquiry.within_days) * DAY);
    let all = senders.iter().flat_map(|(sender, met)| {
        let first = in_use(met)
            .filter(|seen| seen.not_after < horizon)
            .min_by_key(|seen| seen.not_after);
        first.map(|seen| warning(about, sender, (met, seen), inquiry, now))
    });
    all.collect()
}

/// Those that were seen about as late as the newest.
fn in_use(met: &Met) -> impl Iterator<Item = &Seen> {
    let newest = met.certificates.iter().map(|seen| seen.last).max();
    let since = newest.unwrap_or_default().saturating_sub(REPLACED);
    met.certificates
        .iter()
        .filter(move |seen| seen.last >= since)
}

fn warning(
    about: &About<'_>,
    sender: &str,
    (met, seen): (&Met, &Seen),
    inquiry: Inquiry,
    now: i64,
) -> Warning {
    let left = (seen.not_after - now).div_euclid(DAY);
    let severity = match (met.is_enforced, seen.only_pinned) {
        (true, false) if left < URGENT => Severity::Critical,
        _ => Severity::Warning,
    };
    // One that ended before 1970 ended long ago.
    let seconds = |time: i64| Moment::new(u64::try_from(time).unwrap_or_default());
    let (name, ends) = (about.policy.name.as_str(), seconds(seen.not_after));
    let when = match left {
        ..0 => format!("ended at {ends}"),
        0 => format!("ends within a day, at {ends}"),
        1 => format!("ends in a day, at {ends}"),
        left => format!("ends in {left} days, at {ends}"),
    };
    let text = match seen.only_pinned {
        false => format!(
            "the certificate of {sender} {when}, and policy {name} demands one that is \
             trusted: ask them to renew it before"
        ),
        true => format!(
            "the certificate of {sender} {when}, and policy {name} pins its key: if they \
             renew it with another, the policy refuses them. Ask them for the fingerprint of \
             the next key, and pin that beside it"
        ),
    };
    let within = i64::from(inquiry.within_days) * DAY;
    Warning {
        since: Some(seconds(seen.not_after.saturating_sub(within))),
        sender: Some(sender.to_owned()),
        receipt: Some(seen.receipt),
        ..about.warning(Kind::CertificateExpires, severity, text)
    }
}
