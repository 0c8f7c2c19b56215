//! How many files the process may have open, and how many sessions that is enough for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a session may have open at a time: its socket, and a file for a long message.
const OF_A_SESSION: u64 = 2;

/// What is kept for all else: listeners, messages that are being delivered, next hops
/// (whose connections are bounded for each by itself), receipts, the ledger, modules.
const OTHERS: u64 = 256;

/// Lets the process have as many open files as it may, and gives how many of `sessions`
/// that is enough for. The usual soft limit of 1024 is there for programs that
/// `select`, which this one does not.
pub fn sessions_that_fit(sessions: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let granted = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        Err(error) => {
            tracing::debug!(%error, "the limit of open files stays as it is");
            limit.current
        }
    };
    let fit = granted.map_or(sessions, fit).min(sessions);
    if fit < sessions {
        tracing::warn!(
            sessions,
            descriptors = granted,
            needed = needed(sessions),
            taken = fit,
            "limits.sessions needs more descriptors than the process may have; fewer sessions are taken"
        );
    }
    fit
}

fn fit(descriptors: u64) -> usize {
    let left = descriptors.saturating_sub(OTHERS) / OF_A_SESSION;
    usize::try_from(left).unwrap_or(usize::MAX).max(1)
}

fn needed(sessions: usize) -> u64 {
    sessions as u64 * OF_A_SESSION + OTHERS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits() {
        for (descriptors, sessions) in [(1024, 384), (4256, 2000), (300, 22), (10, 1), (0, 1)] {
            assert_eq!(fit(descriptors), sessions, "{descriptors}");
        }
        assert_eq!(fit(needed(2000)), 2000);
    }
}
