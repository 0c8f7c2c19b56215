//! How long an answer may be in the making.
//!
//! Whoever sends a body slowly, and whatever waits for a disk, is cut off by it, with an
//! answer. What was begun goes on.

use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::problem::Problem;

/// Ample for what reads. Who looks for a receipt waits for those before.
const USUAL: Duration = Duration::from_secs(60);

/// For what reads all tenants and may have to compile their modules, some ten
/// milliseconds each: beyond this it waits for a disk.
const LOADING: Duration = Duration::from_secs(300);

/// For what reads all receipts of a tenant: a little more than it takes itself for it, so
/// that it can say what to do.
const READING: Duration = super::reports::PATIENCE.saturating_add(Duration::from_secs(10));

/// Answers in the stead of whatever takes too long.
pub(super) async fn bound(path: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let patience = path.map_or(USUAL, |path| patience(path.as_str()));
    match timeout(patience, next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!(
                "this took longer than {} s, and may go on: the host's log says what becomes of it",
                patience.as_secs()
            ),
        )
        .into_response(),
    }
}

fn patience(path: &str) -> Duration {
    match path {
        "/v1/reload" | "/v1/apply" => LOADING,
        "/v1/tenants/{tenant}/report" | "/v1/tenants/{tenant}/warnings" => READING,
        _ => USUAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::access::RULES;

    #[test]
    fn what_may_take_long_is_there() {
        let long = RULES
            .iter()
            .filter(|rule| patience(rule.path) > USUAL)
            .count();
        assert_eq!(long, 4);
    }
}
