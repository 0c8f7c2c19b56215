//! The audit.

use axum::extract::{Extension, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::access::Caller;
use super::input::{Asked, Json};
use super::page::{self, Page};
use super::problem::Problem;
use super::tenants;
use crate::facts::TenantId;
use crate::store::{AuditFilter, AuditRecord};

/// Which changes.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditPart {
    /// Only of this tenant.
    tenant: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before, as it is; without it the first page.
    #[param(pattern = "^[0-9]{1,18}$")]
    after: Option<String>,
}

/// A change.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditedChange {
    /// Counts from one.
    number: i64,
    /// When it was made, in seconds since 1970.
    made: i64,
    /// By whom.
    who: String,
    /// Of which tenant; empty for what is the operators'.
    tenant: String,
    /// Of what.
    what: String,
    /// What changed, in a line.
    change: String,
    /// What it was; null where it was new.
    #[schema(value_type = Option<serde_json::Value>)]
    was: Option<serde_json::Value>,
    /// What it became; null where it was removed.
    #[schema(value_type = Option<serde_json::Value>)]
    became: Option<serde_json::Value>,
}

/// Every change, newest first: of all tenants for operators, else of the own one.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(AuditPart),
    responses((status = 200, body = Page<AuditedChange>)))]
pub(super) async fn all(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Asked(part): Asked<AuditPart>,
) -> Result<Json<Page<AuditedChange>>, Problem> {
    let limit = page::limit(part.limit)?;
    let before = page::number(part.after.as_deref(), i64::MAX)?;
    let filter = AuditFilter {
        tenant: of_tenant(&caller, part.tenant.as_deref())?,
        page: Some((before, limit)),
    };
    let found = api.host.store.audit(&filter).await?;
    let found = found.into_iter().map(AuditedChange::of).collect();
    Ok(Json(Page::of(found, limit, |change: &AuditedChange| {
        change.number.to_string()
    })))
}

/// Whose things are listed: the own ones, and for operators whose they ask for.
pub(super) fn of_tenant(caller: &Caller, asked: Option<&str>) -> Result<Option<TenantId>, Problem> {
    match asked {
        None => Ok(caller.tenant.clone()),
        Some(asked) if caller.may_see(asked) => tenants::id(asked).map(Some),
        Some(other) => Err(Problem::no_tenant(other)),
    }
}

impl AuditedChange {
    fn of(record: AuditRecord) -> Self {
        Self {
            change: record.change(),
            number: record.number,
            made: record.made,
            who: record.who,
            tenant: record.tenant,
            what: record.what,
            was: record.was,
            became: record.became,
        }
    }
}
