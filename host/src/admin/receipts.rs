//! Receipts, from the day files.

use std::sync::Arc;

use axum::extract::{Extension, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::access::Caller;
use super::input::{Json, Named};
use super::problem::Problem;
use crate::facts::ReceiptId;
use crate::receipt::read::{Filter, Receipt, read};

/// A receipt: either a decision with what followed it, or that relaying was denied.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReceiptEvents {
    /// The decision at `RCPT TO`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    verdict: Option<serde_json::Value>,
    /// The decision at the end of data, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    content: Option<serde_json::Value>,
    /// What became of the message, as far as it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    outcome: Option<serde_json::Value>,
    /// The client was no server of a tenant's, and the recipient is nobody's here. For
    /// operators only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    relay: Option<serde_json::Value>,
}

/// A receipt, by the id that ends an SMTP reply. The events are those of
/// `portcullis receipts --json`.
#[utoipa::path(get, path = "/v1/receipts/{receipt}", tag = "receipts",
    params(("receipt" = String, Path, description = "The id at the end of an SMTP reply.")),
    responses((status = 200, body = ReceiptEvents)))]
pub(super) async fn one(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
) -> Result<Json<ReceiptEvents>, Problem> {
    let receipt = find(&api, &caller, &id).await?;
    Ok(Json(ReceiptEvents::of(receipt)?))
}

/// The receipt of this id, if the caller may see it.
pub(super) async fn find(api: &Api, caller: &Caller, id: &str) -> Result<Receipt, Problem> {
    let none = || Problem::not_found(format!("there is no receipt {id:?}"));
    let wanted: ReceiptId = id.parse().map_err(|_| none())?;
    let filter = Filter {
        id: Some(wanted),
        tenant: caller.tenant.as_ref().map(ToString::to_string),
        ..Filter::default()
    };
    // Whoever goes away while this waits takes nobody else's turn.
    let turn = Arc::clone(&api.reading).acquire_owned().await;
    let directory = Arc::clone(&api.receipts);
    let found = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        read(&directory, &filter)
    });
    let mut found = found.await.map_err(|_| none())??;
    found.receipts.pop().ok_or_else(none)
}

impl ReceiptEvents {
    fn of(receipt: Receipt) -> Result<Self, Problem> {
        let (verdict, content, outcome, relay) = match receipt {
            Receipt::Decided(verdict, content, outcome) => (Some(verdict), content, outcome, None),
            Receipt::Relay(relay) => (None, None, None, Some(relay)),
        };
        Ok(Self {
            verdict: json(verdict.as_ref())?,
            content: json(content.as_ref())?,
            outcome: json(outcome.as_ref())?,
            relay: json(relay.as_ref())?,
        })
    }
}

fn json(event: Option<&impl Serialize>) -> Result<Option<serde_json::Value>, Problem> {
    let json = event.map(serde_json::to_value).transpose();
    json.map_err(|error| Problem::bad(format!("the receipt cannot be shown: {error}")))
}
