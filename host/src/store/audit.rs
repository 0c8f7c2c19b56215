//! The audit: every change, in the order of the changes.

use serde::Serialize;
use serde_json::Value as Json;

use super::difference::Line;
use super::error::Failure;
use crate::facts::TenantId;

/// Which records are wanted.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// Only the newest before the record of this number, and so many of them, newest
    /// first.
    pub page: Option<(i64, i64)>,
}

/// One change.
#[derive(Clone, Debug, Serialize)]
pub struct AuditRecord {
    /// Counts from one.
    pub number: i64,
    /// When it was made, in seconds since 1970.
    pub made: i64,
    /// By whom.
    pub who: String,
    /// Of which tenant.
    pub tenant: String,
    /// Of what.
    pub what: String,
    /// What it was; none where it was new.
    pub was: Option<Json>,
    /// What it became; none where it was removed.
    pub became: Option<Json>,
}

impl AuditRecord {
    /// What changed, in a line.
    pub fn change(&self) -> String {
        let line = Line {
            tenant: &self.tenant,
            what: self.what.clone(),
            was: self.was.as_ref(),
            became: self.became.as_ref(),
            entries: None,
        };
        line.to_string()
    }
}

/// As the table has it.
pub(super) type Row = (
    i64,
    i64,
    String,
    String,
    String,
    Option<String>,
    Option<String>,
);

pub(super) fn records(rows: Vec<Row>) -> Result<Vec<AuditRecord>, Failure> {
    rows.into_iter().map(record).collect()
}

fn record((number, made, who, tenant, what, was, became): Row) -> Result<AuditRecord, Failure> {
    let json = |text: Option<String>| {
        let parsed = text.map(|text| {
            serde_json::from_str(&text)
                .map_err(|_| Failure::damaged("a record of the audit", &text))
        });
        parsed.transpose()
    };
    Ok(AuditRecord {
        number,
        made,
        who,
        tenant,
        what,
        was: json(was)?,
        became: json(became)?,
    })
}
