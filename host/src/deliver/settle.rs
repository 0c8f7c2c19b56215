//! From what became of each recipient to the one reply that there is, and to what has
//! to be remembered so that the next time ends better.

use super::ledger::{Addressed, RefusalKind, State};
use super::part::Fate;
use super::relay::RelayError;
use super::{Capability, DeliveryError};

/// What became of a message as a whole.
#[derive(Clone, Debug)]
pub enum Ending {
    /// Every recipient's target has it.
    Delivered,
    /// No recipient has it, and for all it is for good, or for none: the first error.
    Failed(DeliveryError),
    /// The recipients came to different ends.
    Mixed,
}

/// What a message comes to whose recipients fared so, in their order; at least one.
pub(super) fn ending(fates: &[Fate]) -> Ending {
    let delivered = fates.iter().filter(|fate| fate.is_ok()).count();
    let for_good = fates.iter().filter(|fate| is_for_good(fate)).count();
    let first = fates.iter().find_map(|fate| fate.as_ref().err());
    match first {
        None => Ending::Delivered,
        Some(_) if delivered > 0 => Ending::Mixed,
        Some(_) if for_good > 0 && for_good < fates.len() => Ending::Mixed,
        Some(first) => Ending::Failed(first.clone()),
    }
}

fn is_for_good(fate: &Fate) -> bool {
    matches!(fate, Err(error) if error.is_permanent())
}

/// What is to be remembered of a copy once its message has ended so, given what was
/// known of it; none where that is the same.
pub(super) fn remembered(
    ending: &Ending,
    fate: &Fate,
    known: Option<State>,
) -> Option<Option<State>> {
    let state = match (ending, fate) {
        // Whoever asks again is told the same, and it does not come twice.
        (Ending::Delivered, _) => known.map(|_| State::Delivered),
        (Ending::Failed(error), _) if error.is_permanent() => None,
        (Ending::Failed(_), _) => known,
        (Ending::Mixed, Ok(_)) => Some(State::Delivered),
        (Ending::Mixed, Err(error)) => match refusal(error) {
            Some(kind) => Some(State::Refused(kind)),
            None => Some(State::Deferred {
                again: known.is_some(),
            }),
        },
    };
    (state != known).then_some(state)
}

/// How it was refused for good.
fn refusal(error: &DeliveryError) -> Option<RefusalKind> {
    if !error.is_permanent() {
        return None;
    }
    let kind = |code, enhanced| Some(RefusalKind { code, enhanced });
    match error {
        DeliveryError::Relay { source, .. } => match source {
            RelayError::Refused(reply) => kind(
                reply.code,
                enhanced(reply.enhanced.as_deref()).unwrap_or_default(),
            ),
            RelayError::Lacks(Capability::EightBitMime) => kind(550, (6, 3)),
            RelayError::Lacks(Capability::SmtpUtf8) => kind(550, (6, 7)),
            RelayError::Lacks(Capability::RequireTls) => kind(550, (7, 30)),
            RelayError::Unavailable { .. } | RelayError::Unanswered { .. } => None,
        },
        _ => kind(554, (0, 0)),
    }
}

/// The second and third part of `5.7.1`.
fn enhanced(code: Option<&str>) -> Option<(u16, u16)> {
    let mut parts = code?.split('.').skip(1);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Whether the copy's whereabouts are not known, which the ledger learns elsewhere.
pub(super) fn is_open(fate: &Fate) -> bool {
    matches!(
        fate,
        Err(DeliveryError::UnderWay
            | DeliveryError::Timeout { .. }
            | DeliveryError::Relay {
                source: RelayError::Unanswered { .. },
                ..
            })
    )
}

/// What to remember of these copies, which fared so.
pub(super) fn all_remembered(
    ending: &Ending,
    copies: &[Addressed],
    fates: &[Fate],
    known: impl Fn(&Addressed) -> Option<State>,
) -> Vec<(Addressed, Option<State>)> {
    let each = copies.iter().zip(fates).filter(|(_, fate)| !is_open(fate));
    each.filter_map(|(copy, fate)| {
        let state = remembered(ending, fate, known(copy))?;
        Some((*copy, state))
    })
    .collect()
}
