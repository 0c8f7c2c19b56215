//! What a tenant's administrators should do before mail breaks, as things are now.

use std::time::SystemTime;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};

use super::input::{Asked, Json, Named};
use super::problem::Problem;
use super::reports::PATIENCE;
use super::shapes::{Time, WarningKeys};
use super::{Api, tenants};
use crate::facts::{TenantId, unix_seconds};
use crate::policy::Moment;
use crate::receipt::read::ReadError;
use crate::receipt::scan::{Scan, Span};
use crate::warnings::{Evidence, RECENT};
use crate::warnings::{Inquiry, MAX_DAYS, PERIOD, USUAL_DAYS, Warning, warnings};

/// How far ahead.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WarningsPart {
    /// Days within which the end of a certificate is warned of; 30 unless given.
    #[param(minimum = 1, maximum = 365)]
    within_days: Option<u32>,
}

/// Warnings, the most urgent first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Warnings {
    /// The receipts that were looked at: from this time on.
    #[schema(value_type = Time)]
    from: Moment,
    /// Before this time.
    #[schema(value_type = Time)]
    to: Moment,
    /// Days within which the end of a certificate is warned of.
    within_days: u32,
    /// Decisions about senders beyond those that are told apart: of them nothing is known
    /// here.
    unwatched: u64,
    /// What to do something about.
    #[schema(value_type = Vec<WarningKeys>)]
    items: Vec<Warning>,
}

/// What should be done before mail breaks: certificates that end, pins without a next key,
/// partners who never met what is required or do not any more; by the policies in force and
/// the receipts of the last 30 days.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/warnings", tag = "receipts",
    params(("tenant" = String, Path, description = "The tenant's id."), WarningsPart),
    responses((status = 200, body = Warnings),
        (status = 429, description = "Another report of this tenant is under way.",
            body = Problem, content_type = "application/problem+json")))]
pub(super) async fn of_tenant(
    State(api): State<Api>,
    Named(tenant): Named<String>,
    Asked(part): Asked<WarningsPart>,
) -> Result<Json<Warnings>, Problem> {
    let within_days = part.within_days.unwrap_or(USUAL_DAYS);
    if !(1..=MAX_DAYS).contains(&within_days) {
        let message = format!("within_days: {within_days} is not from 1 to {MAX_DAYS}");
        return Err(Problem::bad(message));
    }
    let id = tenants::id(&tenant)?;
    let snapshot = api.host.snapshot.load_full();
    let tenant = snapshot
        .tenant(&id)
        .ok_or_else(|| Problem::no_tenant(id.as_str()))?;
    let _turn = api.reports.take(&id, "report")?;
    let now = unix_seconds(SystemTime::now());
    let from = now.saturating_sub(PERIOD);
    let Ok(evidence) = timeout(PATIENCE, evidence(&api, &id, from, now)).await else {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!(
                "the receipts of 30 days were not read in {} s: run portcullis warnings on the \
                 host, which takes its time",
                PATIENCE.as_secs()
            ),
        ));
    };
    let evidence = evidence?;
    let inquiry = Inquiry { now, within_days };
    Ok(Json(Warnings {
        from: Moment::new(from),
        to: Moment::new(now),
        within_days,
        unwatched: evidence.unwatched(),
        items: warnings(&id, tenant.policies.iter(), &evidence, inquiry),
    }))
}

async fn evidence(api: &Api, id: &TenantId, from: u64, now: u64) -> Result<Evidence, ReadError> {
    let span = Span {
        tenant: id.clone(),
        from: Some(from),
        to: None,
    };
    let mut scan = Scan::new(api.receipts.clone(), span);
    let mut evidence = Evidence::new(now.saturating_sub(RECENT));
    loop {
        let turn = api.reading.acquire().await;
        let page = scan.next().await?;
        drop(turn);
        match page {
            Some(receipts) => receipts.iter().for_each(|receipt| evidence.add(receipt)),
            None => return Ok(evidence),
        }
    }
}
