//! Replays: whom a change would refuse, by the mail of the past. Nothing is changed.

mod proposal;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::{Extension, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use proposal::{CandidateRevision, CandidateTenant, Proposal};

use super::access::Caller;
use super::input::{Asked, GivenLarge, Json, Named};
use super::problem::Problem;
use super::shapes::{Id, NameText, Time};
use super::{Api, tenants};
use crate::config::Object;
use crate::facts::unix_seconds;
use crate::name::Name;
use crate::policy::Moment;
use crate::receipt::scan::Span;
use crate::receipt::timestamp;
use crate::replay::{Ending, Errand, Findings, Job, JobError};

/// Longest wait for the end: within the time of a connection.
const LONGEST: u64 = 50;

/// How long a cancelled one may take to end: it is at a page of receipts.
const FAREWELL: Duration = Duration::from_secs(10);

/// A candidate, and the receipts that it is asked about. The candidate is one of `policy`,
/// `without`, `module`, `tenant` and `directory`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayRequest {
    /// Receipts from this time on; without it, from the first.
    #[schema(value_type = Option<Time>)]
    from: Option<Moment>,
    /// Receipts before this time.
    #[schema(value_type = Option<Time>)]
    to: Option<Moment>,
    /// When the candidate is taken to be in force: dates of policies are judged then. Now
    /// unless it is given.
    #[schema(value_type = Option<Time>)]
    at: Option<Moment>,
    /// This policy in the place of the one of its name, or behind all others: the keys of
    /// a file, its name included.
    #[schema(value_type = Option<Object>)]
    policy: Option<Object>,
    /// Without this policy.
    #[schema(value_type = Option<NameText>)]
    without: Option<Name>,
    /// This revision of a module active.
    module: Option<CandidateRevision>,
    /// Another document of the tenant.
    tenant: Option<CandidateTenant>,
    /// What a tree of files has for this tenant, as for `apply`. For whoever owns the
    /// host, over the socket and without a token, since the host reads the files.
    #[schema(value_type = Option<String>, example = "/srv/tenants/tomorrow")]
    directory: Option<PathBuf>,
}

/// How long to wait.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReplayPatience {
    /// Seconds to wait for a state that is not `running`.
    #[serde(default)]
    #[param(minimum = 0, maximum = 50)]
    wait: u64,
}

/// A replay.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Replay {
    /// Its id.
    #[schema(value_type = Id)]
    id: String,
    /// Whose.
    tenant: String,
    /// How it is.
    state: ReplayState,
    /// Receipts from this time on.
    from: Option<String>,
    /// Receipts before this time.
    to: Option<String>,
    /// When the candidate is taken to be in force.
    at: String,
    /// When it began.
    began: String,
    /// How many receipts are done.
    done: u64,
    /// How many there were in the period when it began; null where that is not known.
    of: Option<u64>,
    /// Why it failed; null where it did not.
    reason: Option<String>,
    /// What it found; null where it is not done.
    #[schema(value_type = Option<Findings>)]
    result: Option<Arc<Findings>>,
}

/// How a replay is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ReplayState {
    /// Under way.
    Running,
    /// At its end.
    Done,
    /// Cancelled before.
    Cancelled,
    /// At an end before that by itself.
    Failed,
}

/// Asks a candidate about the receipts of a period, as if it were in force: what it would
/// have decided otherwise, and whom it would have refused. It goes on by itself: ask where
/// `Location` says for what becomes of it. One at a time of each tenant; what it found is
/// kept for an hour, in memory.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/replays", tag = "replays",
    params(("tenant" = String, Path, description = "The tenant's id.")),
    request_body = ReplayRequest,
    responses((status = 202, description = "It has begun.", body = Replay,
        headers(("Location" = String, description = "Where it is.")))))]
pub(super) async fn begin(
    State(api): State<Api>,
    Extension(who): Extension<Caller>,
    Named(tenant): Named<String>,
    GivenLarge(request, _room): GivenLarge<ReplayRequest>,
) -> Result<Response, Problem> {
    let id = tenants::known(&api, &tenant).await?;
    // Whatever it is about: while one is under way there is none.
    let place = api.replays.place(&id)?;
    let (from, to, at) = (request.from, request.to, request.at);
    if let (Some(from), Some(to)) = (from, to)
        && from >= to
    {
        return Err(Problem::impossible(format!(
            "to: {to} is not after {from}: there is no receipt in between"
        )));
    }
    let proposal = request.into_proposal()?;
    let at = at.map_or_else(|| unix_seconds(SystemTime::now()), Moment::unix_seconds);
    let candidate = proposal.load(&api, &who, &id, at).await?;
    let errand = Errand {
        host: Arc::clone(&api.host),
        candidate: Arc::new(candidate),
        source: api.receipts.clone(),
        span: Span {
            tenant: id,
            from: from.map(Moment::unix_seconds),
            // What comes meanwhile is not chased.
            to: Some(to.map_or_else(|| unix_seconds(SystemTime::now()) + 1, Moment::unix_seconds)),
        },
        reading: Arc::clone(&api.reading),
    };
    let job = api.replays.begin(place, errand);
    let location = format!("/v1/tenants/{tenant}/replays/{}", job.id);
    let begun = Json(Replay::of(&job, Duration::ZERO).await);
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], begun).into_response())
}

/// A replay, with what it found once it is done.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/replays/{id}", tag = "replays",
    params(("tenant" = String, Path, description = "The tenant's id."),
        ("id" = String, Path, description = "The replay's id."), ReplayPatience),
    responses((status = 200, body = Replay)))]
pub(super) async fn one(
    State(api): State<Api>,
    Named((tenant, id)): Named<(String, String)>,
    Asked(ReplayPatience { wait }): Asked<ReplayPatience>,
) -> Result<Json<Replay>, Problem> {
    let job = known(&api, &tenant, &id).await?;
    if wait > LONGEST {
        return Err(Problem::bad(format!(
            "wait: {wait} is not from 0 to {LONGEST}"
        )));
    }
    Ok(Json(Replay::of(&job, Duration::from_secs(wait)).await))
}

/// Cancels a replay that is under way. One that has ended stays as it is.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/replays/{id}", tag = "replays",
    params(("tenant" = String, Path, description = "The tenant's id."),
        ("id" = String, Path, description = "The replay's id.")),
    responses((status = 200, body = Replay)))]
pub(super) async fn cancel(
    State(api): State<Api>,
    Named((tenant, id)): Named<(String, String)>,
) -> Result<Json<Replay>, Problem> {
    let job = known(&api, &tenant, &id).await?;
    job.cancel();
    Ok(Json(Replay::of(&job, FAREWELL).await))
}

async fn known(api: &Api, tenant: &str, id: &str) -> Result<Arc<Job>, Problem> {
    let of = tenants::known(api, tenant).await?;
    let found = id.parse().ok().and_then(|id| api.replays.one(&of, id));
    found.ok_or_else(|| {
        Problem::not_found(format!(
            "tenant {tenant:?} has no replay {id:?}, or not any more: they are kept for an hour, and until the host restarts"
        ))
    })
}

impl ReplayRequest {
    fn into_proposal(self) -> Result<Proposal, Problem> {
        let given = [
            self.policy.map(Proposal::Policy),
            self.without.map(Proposal::Without),
            self.module.map(Proposal::Module),
            self.tenant.map(Proposal::Tenant),
            self.directory.map(Proposal::Directory),
        ];
        let mut given = given.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(one), None) => Ok(one),
            _ => Err(Problem::impossible(
                "give one candidate: \"policy\", \"without\", \"module\", \"tenant\" or \"directory\"",
            )),
        }
    }
}

impl Replay {
    /// As it is when it has ended, or this time is over.
    async fn of(job: &Job, patience: Duration) -> Self {
        let (state, reason, result) = match job.ending(patience).await {
            Ending::Running => (ReplayState::Running, None, None),
            Ending::Done(findings) => (ReplayState::Done, None, Some(findings)),
            Ending::Cancelled => (ReplayState::Cancelled, None, None),
            Ending::Failed(reason) => (ReplayState::Failed, Some(reason), None),
        };
        Self {
            id: job.id.to_string(),
            tenant: job.tenant.to_string(),
            state,
            from: job.from.map(timestamp),
            to: job.to.map(timestamp),
            at: timestamp(job.at),
            began: timestamp(job.began),
            done: job.progress.done(),
            of: job.progress.all(),
            reason,
            result,
        }
    }
}

impl From<JobError> for Problem {
    fn from(error: JobError) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, error.to_string())
    }
}
