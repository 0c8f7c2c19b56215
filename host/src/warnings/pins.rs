//! A pin with no next key.

use super::{About, Kind, Severity, Warning};
use crate::decision::{Decision, Requirement};
use crate::policy::Choice;

/// The warning about a constant policy that pins one key alone. What a module pins is in
/// its settings and lists, and not known here.
pub(super) fn single(about: &About<'_>) -> Option<Warning> {
    let Choice::Constant(Decision::Enforced(requirements)) = &about.policy.option else {
        return None;
    };
    let pinned = requirements.iter().find_map(|required| match required {
        Requirement::Pinned(pins) => Some(pins),
        _ => None,
    })?;
    let only = pinned.first().filter(|_| pinned.len() == 1)?;
    let name = about.policy.name.as_str();
    let text = format!(
        "policy {name} pins one key, {only}: on the day on which its owner takes another, \
         all mail that it is about is refused. Ask for the fingerprint of the next key, and \
         pin that beside it"
    );
    Some(about.warning(Kind::SinglePin, Severity::Notice, text))
}
