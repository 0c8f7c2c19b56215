//! Revisions of one module on one host: sent, looked at, made active, tried. What `module`
//! and `push` do alike.

use std::time::{Duration, Instant};

use anyhow::bail;
use serde::Deserialize;
use serde_json::json;

use super::api::{Answer, Ask, Client, Failure};
use super::change::ChangeArguments;
use crate::name::Name;
use crate::unicode;

/// How long a question about the verdict waits for it, in seconds.
const WAIT: u64 = 30;

/// How long in all: others' uploads are compiled first.
const PATIENCE: Duration = Duration::from_secs(900);

/// A module on a host, which need not be there yet.
pub(super) struct Revisions<'a> {
    client: &'a Client,
    name: Name,
    path: [String; 4],
}

/// A revision, as the host tells of it.
#[derive(Deserialize)]
pub(super) struct Revision {
    pub(super) number: i64,
    pub(super) digest: String,
    pub(super) size: i64,
    pub(super) made: i64,
    pub(super) who: String,
    pub(super) state: String,
    pub(super) reason: Option<String>,
}

/// A module with its revisions, newest first.
#[derive(Deserialize)]
pub(super) struct History {
    pub(super) active: Option<i64>,
    pub(super) revisions: Vec<Revision>,
}

/// Bytes that the host has kept, or had.
pub(super) struct Sent {
    pub(super) revision: Revision,
    /// Whether they were a revision already.
    pub(super) is_known: bool,
    answer: Answer,
}

/// A revision that is compiled.
pub(super) struct Ready {
    pub(super) number: i64,
    /// As the host tells it.
    pub(super) answer: Answer,
}

impl<'a> Revisions<'a> {
    pub(super) fn of(client: &'a Client, tenant: &str, name: &Name) -> Self {
        Self {
            client,
            name: name.clone(),
            path: ["tenants", tenant, "modules", name.as_str()].map(str::to_owned),
        }
    }

    pub(super) fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Where the module is.
    pub(super) fn path(&self) -> &[String] {
        &self.path
    }

    /// Where this part of it is.
    pub(super) fn below(&self, part: &str) -> Vec<String> {
        let part = [part.to_owned()];
        self.path.iter().chain(&part).cloned().collect()
    }

    /// Sends bytes, which are a revision from then on.
    pub(super) async fn send(&self, bytes: Vec<u8>) -> Result<Sent, Failure> {
        let upload = Ask::put(&self.path).body("application/wasm", bytes);
        let answer = self.client.send(upload).await?;
        Ok(Sent {
            revision: answer.json()?,
            is_known: answer.is_as_it_was(),
            answer,
        })
    }

    /// Waits until what was sent is compiled.
    ///
    /// # Errors
    /// When it is refused, with the reason for its author, and when nothing is known of it
    /// for too long.
    pub(super) async fn settled(&self, sent: Sent) -> anyhow::Result<Ready> {
        let (began, name) = (Instant::now(), self.name());
        let Sent {
            mut revision,
            mut answer,
            ..
        } = sent;
        while matches!(revision.state.as_str(), "received" | "compiling") {
            let number = revision.number;
            if began.elapsed() > PATIENCE {
                bail!(
                    "revision {number} is still being compiled: portcullis module show {name} tells of it"
                );
            }
            let path = [self.below("revisions"), vec![number.to_string()]].concat();
            let ask = Ask::get(&path).with("wait", Some(WAIT));
            answer = self.client.send(ask).await?;
            revision = answer.json()?;
        }
        let number = revision.number;
        if revision.state == "refused" {
            let reason = revision.reason.unwrap_or_default();
            bail!(
                "revision {number} of {name} is refused: {}",
                unicode::shown(&reason)
            );
        }
        Ok(Ready { number, answer })
    }

    /// Has this revision decide.
    pub(super) async fn activate(
        &self,
        revision: i64,
        change: &ChangeArguments,
    ) -> anyhow::Result<Answer> {
        let ask = Ask::put(&self.below("active")).json(&json!({ "revision": revision }))?;
        Ok(change.put(self.client, ask, &self.path).await?)
    }

    /// Tries this revision on live mail.
    pub(super) async fn shadow(
        &self,
        revision: i64,
        change: &ChangeArguments,
    ) -> anyhow::Result<Answer> {
        let ask = Ask::put(&self.below("shadow")).json(&json!({ "revision": revision }))?;
        Ok(change.put(self.client, ask, &self.path).await?)
    }
}
