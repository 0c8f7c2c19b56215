//! Whose module is looked at next. Pure.

use std::collections::{HashMap, HashSet};

use tokio::time::Instant;

use crate::facts::TenantId;
use crate::store::Waiting;

/// Who has a turn, who had one, and who is to come later.
#[derive(Debug)]
pub(super) struct Turns {
    at_one_time: usize,
    at_work: HashSet<TenantId>,
    /// When a tenant was served last, counted in turns.
    served: HashMap<TenantId, u64>,
    turns: u64,
    /// Whose module is not to be looked at before.
    resting: HashMap<TenantId, Instant>,
}

impl Turns {
    pub(super) fn new(at_one_time: usize) -> Self {
        Self {
            at_one_time,
            at_work: HashSet::new(),
            served: HashMap::new(),
            turns: 0,
            resting: HashMap::new(),
        }
    }

    /// Gives the next of those that wait, the oldest of which is first, its turn: one of the
    /// tenant that waits longest for one. None where nobody may begin.
    pub(super) fn begin<'w>(
        &mut self,
        waiting: &'w [Waiting],
        now: Instant,
    ) -> Option<&'w Waiting> {
        if self.at_work.len() >= self.at_one_time {
            return None;
        }
        self.resting.retain(|_, until| *until > now);
        self.served
            .retain(|tenant, _| waiting.iter().any(|one| one.tenant == *tenant));
        let may_begin = |one: &&Waiting| {
            !self.at_work.contains(&one.tenant) && !self.resting.contains_key(&one.tenant)
        };
        let next = waiting
            .iter()
            .filter(may_begin)
            // Of several that were never served the one that waits longest.
            .min_by_key(|one| self.served.get(&one.tenant).copied().unwrap_or(0))?;
        self.turns += 1;
        self.served.insert(next.tenant.clone(), self.turns);
        self.at_work.insert(next.tenant.clone());
        Some(next)
    }

    /// A turn is over; the tenant's next is not before this time, if there is one.
    pub(super) fn end(&mut self, tenant: TenantId, rest: Option<Instant>) {
        self.at_work.remove(&tenant);
        if let Some(rest) = rest {
            self.resting.insert(tenant, rest);
        }
    }

    /// When the first of those that rest may have a turn again.
    pub(super) fn look_again(&self, waiting: &[Waiting]) -> Option<Instant> {
        let rests = waiting
            .iter()
            .filter_map(|one| self.resting.get(&one.tenant));
        rests.min().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::digest::Digest;

    fn waiting(of: &[&str]) -> Vec<Waiting> {
        let one = |(number, tenant): (i64, &&str)| Waiting {
            tenant: tenant.parse().expect("an id"),
            module: "m".to_owned(),
            number,
            digest: Digest::of(b""),
        };
        (0..).zip(of).map(one).collect()
    }

    fn number(begun: Option<&Waiting>) -> Option<i64> {
        begun.map(|one| one.number)
    }

    #[tokio::test(start_paused = true)]
    async fn one_of_each_tenant_and_whoever_waits_longest() {
        let (mut turns, now) = (Turns::new(2), Instant::now());
        let mut all = waiting(&["a", "a", "a", "b", "c"]);
        assert_eq!(number(turns.begin(&all, now)), Some(0));
        assert_eq!(
            number(turns.begin(&all, now)),
            Some(3),
            "one of each tenant"
        );
        assert_eq!(number(turns.begin(&all, now)), None, "so many at one time");
        all.remove(0);
        turns.end("a".parse().expect("an id"), None);
        assert_eq!(
            number(turns.begin(&all, now)),
            Some(4),
            "it was not served yet"
        );
        all.retain(|one| one.number != 3);
        turns.end("b".parse().expect("an id"), None);
        assert_eq!(number(turns.begin(&all, now)), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_rests_lets_others_go_first() {
        let (mut turns, now) = (Turns::new(1), Instant::now());
        let all = waiting(&["a", "b"]);
        assert_eq!(number(turns.begin(&all, now)), Some(0));
        let later = now + Duration::from_secs(10);
        turns.end("a".parse().expect("an id"), Some(later));
        assert_eq!(number(turns.begin(&all, now)), Some(1));
        turns.end("b".parse().expect("an id"), None);
        let only = &all[..1];
        assert_eq!(number(turns.begin(only, now)), None);
        assert_eq!(turns.look_again(only), Some(later));
        assert_eq!(number(turns.begin(only, later)), Some(0));
    }
}
