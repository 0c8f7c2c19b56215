//! Erasing a person's address from receipts.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};
use utoipa::ToSchema;

use super::Api;
use super::access::Caller;
use super::input::{Given, Json};
use super::problem::Problem;
use super::shapes::Address;
use crate::address::Mailbox;
use crate::receipt::eraser::Eraser;
use crate::receipt::source::Source;
use crate::store::{Erased, StoreError};

/// How long an answer waits for the end; a connection has a minute.
const PATIENCE: Duration = Duration::from_secs(45);

/// How long receipts that wait to be written are waited for: two tries of a store that
/// somebody else has.
const FLUSH: Duration = Duration::from_secs(5);

/// Whose.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Erasure {
    /// The address.
    #[schema(value_type = Address, example = "amy@partner.example")]
    address: Mailbox,
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErasureDone {
    /// SHA-256 of the address in lower case: what the audit has of it.
    sha256: String,
    /// How many receipts had the address; null where it is not done yet.
    receipts: Option<u64>,
    /// How many of these cannot be read, being damaged or another version's. They are erased
    /// from all the same; null where it is not done yet.
    unreadable: Option<u64>,
}

/// Erases an address from receipts: of all tenants for operators, else of the own one.
/// A mark stands in its place. That takes a while where there are many receipts: 202 says
/// that it goes on, and the audit has its end. What is written later of mail that is under
/// way goes without the address, too.
#[utoipa::path(post, path = "/v1/erasures", tag = "receipts",
    request_body = Erasure,
    responses((status = 200, body = ErasureDone), (status = 202, body = ErasureDone)))]
pub(super) async fn erase(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Given(erasure): Given<Erasure>,
) -> Result<Response, Problem> {
    if !matches!(api.receipts, Source::Store(_)) || api.has_day_files {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "receipts are written to day files as well, where nothing is erased: set \
             receipts.files = false, restart the host, remove the directory of day files, \
             and ask again",
        ));
    }
    let turn = Arc::clone(&api.erasing).try_acquire_owned();
    let turn = turn.map_err(|_| {
        Problem::new(
            StatusCode::CONFLICT,
            "another erasure is not done yet: ask again later",
        )
    })?;
    let eraser = Eraser::new(&erasure.address);
    let sha256 = eraser.digest().to_string();
    let (store, journal) = (api.host.store.clone(), api.host.journal.clone());
    // Whoever goes away meanwhile does not stop it.
    let work = tokio::spawn(async move {
        let _turn = turn;
        let tenant = caller.tenant.as_ref();
        // Receipts that wait are counted as what is there; after that none is written with
        // the address, and what was handed over in between is there as well.
        let until = Instant::now() + FLUSH;
        let mut is_flushed = journal.flush(until).await;
        store.erase_from_what_comes(&eraser, tenant);
        is_flushed = is_flushed && journal.flush(until).await;
        // The end of the host waits for whoever may hand over receipts.
        drop(journal);
        if !is_flushed {
            store.erase_nothing_from_what_comes(&eraser);
            return Err(waiting());
        }
        let done = store.erase(&eraser, tenant, &caller.name).await;
        say(&done);
        done.map_err(Problem::from)
    });
    let Ok(ended) = timeout(PATIENCE, work).await else {
        let begun = ErasureDone {
            sha256,
            receipts: None,
            unreadable: None,
        };
        return Ok((StatusCode::ACCEPTED, Json(begun)).into_response());
    };
    let done =
        ended.map_err(|_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "it ended early"))?;
    let done = done?;
    let done = ErasureDone {
        sha256,
        receipts: Some(done.receipts),
        unreadable: Some(done.unreadable),
    };
    Ok(Json(done).into_response())
}

fn waiting() -> Problem {
    let problem = Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "receipts that wait cannot be written just now, and are to be erased from: see the \
         host's log, and ask again",
    );
    problem.again_after(FLUSH)
}

fn say(done: &Result<Erased, StoreError>) {
    match done {
        Ok(Erased {
            receipts,
            is_settled: true,
            ..
        }) => tracing::info!(receipts, "an address was erased from receipts"),
        Ok(Erased { receipts, .. }) => {
            tracing::warn!(
                receipts,
                "an address was erased from receipts, and may be in the log beside the store until the host is restarted"
            );
        }
        Err(error) => {
            tracing::error!(%error, "an address could not be erased from all receipts");
        }
    }
}
