//! Counting what was asked.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::Api;
use super::access::rule_of;

/// What stands for a method or a path that there is not: neither is a label of its own,
/// since whoever asks chooses it.
const OTHER: &str = "(other)";

/// Counts a request with its answer.
pub(super) async fn count(
    State(api): State<Api>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let rule = path.and_then(|path| rule_of(request.method(), path.as_str()));
    let (method, route) = rule.map_or((OTHER, OTHER), |rule| (rule.method.as_str(), rule.path));
    let answer = next.run(request).await;
    let status = answer.status().as_u16();
    let counts = &api.host.metrics.api;
    counts.answered(method, route, status, began.elapsed());
    answer
}
