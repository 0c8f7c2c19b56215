//! How a tenant's mail came: its receipts of a period, folded while they are read.

use std::time::{Duration, SystemTime};

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use tokio::time::timeout;
use utoipa::IntoParams;

use super::input::{Asked, Json, Named};
use super::problem::Problem;
use super::shapes::{ReportNumbers, Side, Time};
use super::{Api, tenants};
use crate::facts::{Direction, unix_seconds};
use crate::policy::Moment;
use crate::receipt::read::ReadError;
use crate::receipt::scan::{Scan, Span};
use crate::report::{Folding, Inquiry, LeftOut, Period, Report, SENDERS};

/// How long a report may take. **Half a report is none**: whoever asks for more than is read
/// in that time is told to ask for less.
pub(super) const PATIENCE: Duration = Duration::from_secs(240);

/// Which mail.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReportPart {
    /// From this time on, such as `2026-12-31T18:00:00Z`; without it, 30 days before the
    /// end.
    #[param(value_type = Option<Time>)]
    from: Option<Moment>,
    /// Before this time; without it, until now. At most a year.
    #[param(value_type = Option<Time>)]
    to: Option<Moment>,
    /// Only mail that goes this way.
    #[param(value_type = Option<Side>)]
    direction: Option<Direction>,
}

/// How a tenant's mail came, by sender and by day: over which TLS, with which certificates,
/// and what was refused. One report of a tenant is made at a time.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/report", tag = "receipts",
    params(("tenant" = String, Path, description = "The tenant's id."), ReportPart),
    responses((status = 200, body = ReportNumbers),
        (status = 422, description = "The time is empty, or too long.", body = Problem,
            content_type = "application/problem+json"),
        (status = 429, description = "Another report of this tenant is under way.",
            body = Problem, content_type = "application/problem+json")))]
pub(super) async fn of_tenant(
    State(api): State<Api>,
    Named(tenant): Named<String>,
    Asked(part): Asked<ReportPart>,
) -> Result<Json<Report>, Problem> {
    let tenant = tenants::known(&api, &tenant).await?;
    let now = unix_seconds(SystemTime::now());
    let seconds = |moment: Option<Moment>| moment.map(Moment::unix_seconds);
    let period = Period::of(seconds(part.from), seconds(part.to), now);
    let inquiry = Inquiry {
        period: period.map_err(|error| Problem::impossible(error.to_string()))?,
        direction: part.direction,
        tenant,
    };
    let _turn = api.reports.take(&inquiry.tenant, "report")?;
    match timeout(PATIENCE, fold(&api, inquiry)).await {
        Ok(folded) => {
            let (folding, left_out) = folded?;
            Ok(Json(folding.finish(left_out, Moment::new(now))))
        }
        Err(_) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!(
                "the receipts of this period were not read in {} s: ask for a shorter one with \
                 \"from\" and \"to\", or run portcullis report on the host, which takes its time",
                PATIENCE.as_secs()
            ),
        )),
    }
}

/// Whoever looks for a receipt meanwhile has its turn between two pages.
async fn fold(api: &Api, inquiry: Inquiry) -> Result<(Folding, LeftOut), ReadError> {
    let span = Span {
        tenant: inquiry.tenant.clone(),
        from: Some(inquiry.period.from()),
        to: Some(inquiry.period.to()),
    };
    let mut scan = Scan::new(api.receipts.clone(), span);
    let mut folding = Folding::new(inquiry, SENDERS);
    loop {
        let turn = api.reading.acquire().await;
        let page = scan.next().await?;
        drop(turn);
        match page {
            Some(receipts) => receipts.iter().for_each(|receipt| folding.add(receipt)),
            None => return Ok((folding, LeftOut::of(&scan))),
        }
    }
}
