//! Receipts, from the store, or from the day files where only these are written.

use std::net::IpAddr;

use axum::extract::{Extension, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::access::Caller;
use super::audit::of_tenant;
use super::input::{Asked, Json, Named};
use super::page::{self, Page};
use super::problem::Problem;
use super::shapes::{Client, Id, NameText, Time};
use crate::facts::ReceiptId;
use crate::name::Name;
use crate::policy::Moment;
use crate::receipt::VerdictEvent;
use crate::receipt::filter::{AddressFilter, Filter};
use crate::receipt::read::Receipt;
use crate::receipt::source::Part;
use crate::store::ShadowAnswer;

/// Which receipts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReceiptPart {
    /// From this time on, such as `2026-12-31T18:00:00Z`.
    #[param(value_type = Option<Time>)]
    from: Option<Moment>,
    /// Before this time.
    #[param(value_type = Option<Time>)]
    to: Option<Moment>,
    /// This envelope sender, or every one of this domain; `<>` is the null sender.
    sender: Option<String>,
    /// This recipient, or every one of this domain.
    recipient: Option<String>,
    /// Clients of this address.
    #[param(value_type = Option<Client>)]
    client: Option<IpAddr>,
    /// Decided by this policy, the last time.
    #[param(value_type = Option<NameText>)]
    policy: Option<Name>,
    /// How it was decided in the end.
    #[param(inline)]
    verdict: Option<Outcome>,
    /// Only of this tenant.
    tenant: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before, as it is; without it the first page.
    #[param(value_type = Option<Id>)]
    after: Option<String>,
}

/// How a receipt was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = ReceiptVerdict)]
pub(super) enum Outcome {
    /// The recipient was accepted.
    Accepted,
    /// It was refused, or put off.
    Refused,
}

/// A receipt: either a decision with what followed it, or that relaying was denied.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReceiptEvents {
    /// Its id.
    #[schema(value_type = Id)]
    id: String,
    /// An address in it was erased, so that it cannot be explained any more.
    erased: bool,
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
    /// The policy that decided in the end, as it was then, where one receipt is asked for
    /// and the store has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    policy: Option<serde_json::Value>,
    /// What revisions that are tried would have decided, where that is kept, and one
    /// receipt is asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shadows: Vec<ShadowAnswer>,
}

/// Receipts, newest first: of all tenants for operators, else of the own one. Refused
/// relaying is no tenant's.
#[utoipa::path(get, path = "/v1/receipts", tag = "receipts", params(ReceiptPart),
    responses((status = 200, body = Page<ReceiptEvents>)))]
pub(super) async fn all(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Asked(part): Asked<ReceiptPart>,
) -> Result<Json<Page<ReceiptEvents>>, Problem> {
    let limit = page::limit(part.limit)?;
    let after = part.after.as_deref().map(|after| {
        let read = after.parse::<ReceiptId>();
        read.map_err(|error| Problem::bad(format!("after: {error}")))
    });
    let wanted = Part {
        newest_first: true,
        after: after.transpose()?,
        limit: usize::try_from(limit).unwrap_or(0),
    };
    let filter = part.into_filter(&caller)?;
    let _turn = api.reading.acquire().await;
    let found = api.receipts.find(&filter, wanted).await?.receipts;
    let found: Result<_, Problem> = found.into_iter().map(ReceiptEvents::of).collect();
    Ok(Json(Page::of(found?, limit, |receipt: &ReceiptEvents| {
        receipt.id.clone()
    })))
}

impl ReceiptPart {
    fn into_filter(self, caller: &Caller) -> Result<Filter, Problem> {
        let address = |text: String| {
            let Ok(filter) = text.parse::<AddressFilter>();
            filter
        };
        Ok(Filter {
            id: None,
            tenant: of_tenant(caller, self.tenant.as_deref())?,
            sender: self.sender.map(address),
            recipient: self.recipient.map(address),
            client: self.client,
            policy: self.policy.map(String::from),
            accepted: self.verdict.map(|verdict| verdict == Outcome::Accepted),
            from: self.from.map(Moment::unix_seconds),
            to: self.to.map(Moment::unix_seconds),
        })
    }
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
    let policy = api.receipts.policy(&receipt).await?;
    let policy = policy.and_then(|text| serde_json::from_str(&text).ok());
    let shadows = api.receipts.shadows(&receipt).await?;
    Ok(Json(ReceiptEvents {
        policy,
        shadows,
        ..ReceiptEvents::of(receipt)?
    }))
}

/// The receipt of this id, if the caller may see it.
pub(super) async fn find(api: &Api, caller: &Caller, id: &str) -> Result<Receipt, Problem> {
    let none = || Problem::not_found(format!("there is no receipt {id:?}"));
    let wanted: ReceiptId = id.parse().map_err(|_| none())?;
    let filter = Filter {
        tenant: caller.tenant.clone(),
        ..Filter::of(wanted)
    };
    // Whoever goes away while this waits takes nobody else's turn.
    let _turn = api.reading.acquire().await;
    api.receipts.one(&filter).await?.ok_or_else(none)
}

/// What was decided for the receipt of this id, at RCPT and at the end of data, for a
/// question that needs all of it; else what `cannot` says is the consequence.
pub(super) async fn decided(
    api: &Api,
    caller: &Caller,
    id: &str,
    cannot: &str,
) -> Result<(Box<VerdictEvent>, Option<Box<VerdictEvent>>), Problem> {
    let found = find(api, caller, id).await?;
    if found.is_erased() {
        return Err(Problem::erased(id, cannot));
    }
    match found {
        Receipt::Decided(first, second, _) => Ok((first, second)),
        Receipt::Relay(relay) => Err(Problem::not_found(format!(
            "no policy was asked for receipt {id}: no tenant has the domain of {}",
            relay.recipient
        ))),
    }
}

impl ReceiptEvents {
    fn of(receipt: Receipt) -> Result<Self, Problem> {
        let (id, erased) = (receipt.id().to_string(), receipt.is_erased());
        let (verdict, content, outcome, relay) = match receipt {
            Receipt::Decided(verdict, content, outcome) => (Some(verdict), content, outcome, None),
            Receipt::Relay(relay) => (None, None, None, Some(relay)),
        };
        Ok(Self {
            id,
            erased,
            verdict: json(verdict.as_ref())?,
            content: json(content.as_ref())?,
            outcome: json(outcome.as_ref())?,
            relay: json(relay.as_ref())?,
            policy: None,
            shadows: Vec::new(),
        })
    }
}

fn json(event: Option<&impl Serialize>) -> Result<Option<serde_json::Value>, Problem> {
    let json = event.map(serde_json::to_value).transpose();
    json.map_err(|error| Problem::bad(format!("the receipt cannot be shown: {error}")))
}
