//! Why a policy applies: to a receipt's mail, or to addresses that are given. By the
//! policies in force; no module is asked.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{Extension, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::access::Caller;
use super::input::{Given, Json, Named};
use super::problem::Problem;
use super::shapes::{Address, Client, Side, Time};
use super::{receipts, tenants};
use crate::address::Mailbox;
use crate::facts::{Direction, Stage, TenantId, unix_seconds};
use crate::policy::{Explanation, Inquiry, Moment, explain};
use crate::receipt::since;
use crate::tenant::{Snapshot, Tenant};

/// Mail that may come.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// Envelope sender; without it the null sender.
    #[schema(value_type = Option<Address>, example = "amy@partner.example")]
    from: Option<Mailbox>,
    /// Recipient.
    #[schema(value_type = Address, example = "ben@acme.example")]
    to: Mailbox,
    /// The client's address.
    #[schema(value_type = Client, example = "192.0.2.1")]
    client: IpAddr,
    /// `inbound`, as unless it is given, or `outbound`: as the tenant sees it.
    #[schema(value_type = Option<Side>)]
    direction: Option<Direction>,
    /// Addresses of the header From: what applies at the end of data. Without it, what
    /// applies at `RCPT TO`.
    #[schema(value_type = Option<Vec<Address>>)]
    header_from: Option<Vec<Mailbox>>,
    /// When, such as `2026-12-31T18:00:00Z`; now unless it is given.
    #[schema(value_type = Option<Time>)]
    at: Option<Moment>,
}

/// What applies, and why.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Explained {
    /// Whose policies.
    tenant: String,
    /// The receipt that was asked about, if one was.
    receipt: Option<String>,
    /// What was asked.
    #[schema(value_type = Object)]
    question: Inquiry,
    /// The policy that applies, and what speaks for or against every other.
    #[schema(value_type = Object)]
    explanation: Explanation,
    /// What decided the receipt and is different by now; null without a receipt.
    changes: Option<Vec<String>>,
}

/// Which of a tenant's policies applies to mail that may come, and why no other does.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/explanations", tag = "explanations",
    params(("tenant" = String, Path, description = "The tenant's id.")),
    request_body = Question,
    responses((status = 200, body = Explained)))]
pub(super) async fn of_question(
    State(api): State<Api>,
    Named(tenant): Named<String>,
    Given(question): Given<Question>,
) -> Result<Json<Explained>, Problem> {
    let id = tenants::id(&tenant)?;
    let snapshot = api.host.snapshot.load_full();
    let tenant = in_force(&snapshot, &id)?;
    Ok(Json(Explained::new(tenant, question.into_inquiry())))
}

/// Which policy applies to a receipt's mail as things are now, and why no other does.
#[utoipa::path(get, path = "/v1/receipts/{receipt}/explanation", tag = "explanations",
    params(("receipt" = String, Path, description = "The id at the end of an SMTP reply.")),
    responses((status = 200, body = Explained),
        (status = 410, description = "An address in it was erased.", body = Problem,
            content_type = "application/problem+json")))]
pub(super) async fn of_receipt(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Named(receipt): Named<String>,
) -> Result<Json<Explained>, Problem> {
    let cannot = "it cannot be explained";
    let (first, second) = receipts::decided(&api, &caller, &receipt, cannot).await?;
    let event = second.unwrap_or(first);
    let snapshot = api.host.snapshot.load_full();
    let tenant = in_force(&snapshot, &event.facts.tenant)?;
    let explained = Explained::new(tenant, Inquiry::new(&event.facts));
    let changes = since::changes(&event, &explained.explanation, &tenant.lists);
    Ok(Json(Explained {
        receipt: Some(event.id.to_string()),
        changes: Some(changes),
        ..explained
    }))
}

fn in_force<'a>(snapshot: &'a Snapshot, id: &TenantId) -> Result<&'a Arc<Tenant>, Problem> {
    let tenant = snapshot.tenant(id);
    tenant.ok_or_else(|| Problem::no_tenant(id.as_str()))
}

impl Explained {
    fn new(tenant: &Tenant, question: Inquiry) -> Self {
        let asked = question.of(&tenant.domains, &tenant.lists);
        Self {
            tenant: tenant.id.to_string(),
            receipt: None,
            explanation: explain(&tenant.policies, &tenant.exempt, &asked),
            question,
            changes: None,
        }
    }
}

impl Question {
    fn into_inquiry(self) -> Inquiry {
        let now = || Moment::new(unix_seconds(SystemTime::now()));
        Inquiry {
            now: self.at.unwrap_or_else(now),
            stage: match self.header_from {
                None => Stage::Recipient,
                Some(_) => Stage::Content,
            },
            direction: self.direction.unwrap_or(Direction::Inbound),
            sender: self.from,
            header_from: self.header_from.unwrap_or_default(),
            recipient: self.to,
            client: self.client,
        }
    }
}
