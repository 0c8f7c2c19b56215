//! How many warnings there are, as they were found last.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::lock;
use crate::facts::TenantId;
use crate::warnings::{Kind, Severity, Warning};

/// Tenants that are told apart: each may have a dozen series.
const MAX_TENANTS: usize = 1_000;

/// The label of all tenants beyond. Names cannot have parentheses.
const OTHER: &str = "(other)";

/// Tenant, kind and severity.
type Labels = (String, Kind, Severity);

/// What was found last.
#[derive(Debug, Default)]
pub struct WarningCounts(Mutex<(BTreeMap<Labels, u64>, Option<u64>)>);

impl WarningCounts {
    /// These were found, at this second since 1970.
    pub fn set(&self, found: &BTreeMap<TenantId, Vec<Warning>>, now: u64) {
        let mut counts = BTreeMap::new();
        let some = found.iter().filter(|(_, found)| !found.is_empty());
        for (before, (tenant, warnings)) in some.enumerate() {
            let tenant = match before < MAX_TENANTS {
                true => tenant.as_str(),
                false => OTHER,
            };
            for warning in warnings {
                let labels = (tenant.to_owned(), warning.kind, warning.severity);
                *counts.entry(labels).or_default() += 1;
            }
        }
        *lock(&self.0) = (counts, Some(now));
    }

    /// Each count that is not zero.
    pub(super) fn samples(&self) -> BTreeMap<Labels, u64> {
        lock(&self.0).0.clone()
    }

    /// When it was looked for them last; none where it was not yet.
    pub(super) fn looked(&self) -> Option<u64> {
        lock(&self.0).1
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::metrics) fn warning(kind: Kind) -> Warning {
        Warning {
            kind,
            severity: Severity::Warning,
            since: None,
            tenant: "acme".parse().expect("an id"),
            policy: "p".parse().expect("a name"),
            sender: None,
            text: String::new(),
            receipt: None,
        }
    }

    #[test]
    fn tenants_beyond_the_limit_are_counted_together() {
        let counts = WarningCounts::default();
        let id = |number: usize| format!("t{number:04}").parse::<TenantId>().expect("an id");
        let two = || vec![warning(Kind::SinglePin), warning(Kind::SinglePin)];
        let found = (0..MAX_TENANTS + 3).map(|number| (id(number), two()));
        counts.set(&found.collect(), 7);
        let samples = counts.samples();
        assert_eq!(samples.len(), MAX_TENANTS + 1);
        let of = |tenant: &str| samples[&(tenant.to_owned(), Kind::SinglePin, Severity::Warning)];
        assert_eq!((of("t0000"), of(OTHER)), (2, 6));
        assert_eq!(counts.looked(), Some(7));
        // What is not there any more is not counted.
        counts.set(&BTreeMap::new(), 8);
        assert!(counts.samples().is_empty());
    }
}
