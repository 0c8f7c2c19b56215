//! Coming back later, where a host asks for it.
//!
//! Deliberately not here: waiting for a host that does not say when (it may be down for a
//! day), and dates in `Retry-After`, which ours never sends.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{HeaderMap, RETRY_AFTER};

/// Longest wait of a request in all: a tenant that has changed too much waits a second for
/// each change, and a module that is compiled anew is there after some tens.
const LONGEST: Duration = Duration::from_secs(120);

/// How long a request may wait yet.
#[derive(Debug)]
pub(super) struct Patience(Duration);

impl Default for Patience {
    fn default() -> Self {
        Self(LONGEST)
    }
}

impl Patience {
    /// Leave to wait so long, if there is so much left.
    pub(super) fn take(&mut self, wait: Duration) -> bool {
        match self.0.checked_sub(wait) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }
}

/// After how long it is worth another try (RFC 9110, section 10.2.3): what was asked for has
/// not been done. None where that is not said.
pub(super) fn again_after(status: StatusCode, head: &HeaderMap) -> Option<Duration> {
    let is_later = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    );
    let seconds = head.get(RETRY_AFTER).filter(|_| is_later)?;
    let seconds: u64 = seconds.to_str().ok()?.trim().parse().ok()?;
    // A second at least, so that nothing is asked without end.
    Some(Duration::from_secs(seconds.max(1)))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn only_who_says_when_is_asked_again() {
        for (status, field, expected) in [
            (429, Some("1"), Some(1)),
            (503, Some("10"), Some(10)),
            (503, Some("0"), Some(1)),
            (503, Some(" 7 "), Some(7)),
            (429, None, None),
            (429, Some("-1"), None),
            (429, Some("99999999999999999999"), None),
            (503, Some("Wed, 21 Oct 2026 07:28:00 GMT"), None),
            (409, Some("1"), None),
            (301, Some("1"), None),
        ] {
            let mut head = HeaderMap::new();
            if let Some(field) = field {
                head.insert(RETRY_AFTER, HeaderValue::from_static(field));
            }
            let status = StatusCode::from_u16(status).expect("a status");
            let found = again_after(status, &head).map(|wait| wait.as_secs());
            assert_eq!(found, expected, "{status} {field:?}");
        }
    }

    #[test]
    fn patience_comes_to_an_end() {
        let mut patience = Patience::default();
        let half = LONGEST / 2;
        assert!(patience.take(half) && patience.take(half));
        assert!(!patience.take(Duration::from_secs(1)));
        assert!(!Patience::default().take(LONGEST + Duration::from_secs(1)));
    }
}
