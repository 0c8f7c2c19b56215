//! Receipts of a running host, which tells those that whoever asks may see.

use anyhow::bail;
use serde::Deserialize;
use serde_json::Value;

use super::{ReceiptsArguments, as_line, detail};
use crate::cli::api::{Ask, Client, items};
use crate::cli::rows;
use crate::facts::ReceiptId;
use crate::policy::Moment;
use crate::receipt::read::Receipt;
use crate::receipt::{Monitored, OutcomeEvent, RelayEvent, VerdictEvent};
use crate::unicode;

/// A receipt as it comes.
#[derive(Deserialize)]
struct Events {
    verdict: Option<Box<VerdictEvent>>,
    content: Option<Box<VerdictEvent>>,
    outcome: Option<OutcomeEvent>,
    relay: Option<Box<RelayEvent>>,
    policy: Option<Value>,
    #[serde(default)]
    shadows: Vec<Shadow>,
}

/// What a revision that was tried would have decided.
#[derive(Deserialize)]
struct Shadow {
    stage: String,
    answer: Monitored,
}

/// Shows them as those of this machine are shown.
pub(super) async fn show(arguments: &ReceiptsArguments) -> anyhow::Result<()> {
    let client = Client::new(&arguments.api)?;
    match arguments.id {
        Some(id) => show_one(&client, id, arguments.json).await,
        None => show_many(&client, arguments).await,
    }
}

async fn show_one(client: &Client, id: ReceiptId, json: bool) -> anyhow::Result<()> {
    let answer = client
        .send(Ask::get(&["receipts", &id.to_string()]))
        .await?;
    if json {
        return rows::lines([answer.text()]);
    }
    let mut events: Events = answer.json()?;
    let policy = events.policy.as_ref().map(Value::to_string);
    let shadows = std::mem::take(&mut events.shadows);
    let shadows = shadows
        .into_iter()
        .map(|shadow| (shadow.stage, shadow.answer));
    let shadows: Vec<_> = shadows.collect();
    let shown = detail::detail(&events.into_receipt()?, policy.as_deref(), &shadows);
    rows::lines(shown.lines().map(str::to_owned))
}

/// They come newest first, and are shown oldest first.
async fn show_many(client: &Client, arguments: &ReceiptsArguments) -> anyhow::Result<()> {
    let moment = |seconds: Option<u64>| seconds.map(Moment::new);
    let verdict = match (arguments.accepted, arguments.refused) {
        (true, _) => Some("accepted"),
        (_, true) => Some("refused"),
        _ => None,
    };
    let ask = Ask::get(&["receipts"])
        .with("tenant", arguments.tenant.as_ref())
        .with("sender", arguments.sender.as_ref())
        .with("recipient", arguments.recipient.as_ref())
        .with("client", arguments.client)
        .with("policy", arguments.policy.as_ref())
        .with("verdict", verdict)
        .with("from", moment(arguments.since))
        .with("to", moment(arguments.until));
    let mut found = items(client, ask, arguments.last).await?;
    found.reverse();
    if arguments.json {
        return rows::lines(found.iter().map(Value::to_string));
    }
    let line = |events: Events| Ok(unicode::shown(&as_line(&events.into_receipt()?)));
    let found: Vec<Events> = rows::read(&found)?;
    let lines = found.into_iter().map(line);
    rows::lines(lines.collect::<anyhow::Result<Vec<_>>>()?)
}

impl Events {
    fn into_receipt(self) -> anyhow::Result<Receipt> {
        match (self.verdict, self.relay) {
            (Some(verdict), _) => Ok(Receipt::Decided(verdict, self.content, self.outcome)),
            (None, Some(relay)) => Ok(Receipt::Relay(relay)),
            (None, None) => bail!("what the host tells is no receipt of this version"),
        }
    }
}
