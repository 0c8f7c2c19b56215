//! Changes of what a host keeps: on which revision they are founded, and what became of
//! them.

use hyper::StatusCode;

use super::api::{Answer, Ask, Client, Condition, Failure};
use super::document::Seen;

/// How it is changed.
#[derive(Debug, Default, clap::Args)]
pub(super) struct ChangeArguments {
    /// Change it only if it has this revision; without it, the one that `show` has told in
    /// what is set, and else the one that it has just now.
    #[arg(long, value_name = "REVISION")]
    if_match: Option<i64>,
    /// Show what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

impl ChangeArguments {
    /// Puts something there, founded on the revision of this, if it is there.
    pub(super) async fn put(
        &self,
        client: &Client,
        ask: Ask,
        of: &[impl AsRef<str>],
    ) -> Result<Answer, Failure> {
        let condition = match self.founded_on(client, of).await {
            Err(failure) if failure.is_not_there() => Condition::New,
            founded => founded?,
        };
        client.send(self.tried(ask.when(condition))).await
    }

    /// Puts a document there, founded on the revision that it says it was shown with.
    pub(super) async fn set(
        &self,
        client: &Client,
        ask: Ask,
        of: &[impl AsRef<str>],
        seen: Option<&Seen>,
    ) -> anyhow::Result<Answer> {
        let Some(seen) = seen.filter(|_| self.if_match.is_none()) else {
            return Ok(self.put(client, ask, of).await?);
        };
        let ask = ask.when(Condition::Revision(seen.revision));
        let answer = client.send(self.tried(ask)).await;
        answer.map_err(|failure| match failure.status() {
            Some(StatusCode::PRECONDITION_FAILED) => {
                anyhow::Error::new(failure).context(seen.hint())
            }
            _ => failure.into(),
        })
    }

    /// Writes what is there anew, as it was seen.
    pub(super) async fn rewrite(
        &self,
        client: &Client,
        ask: Ask,
        seen: Condition,
    ) -> Result<Answer, Failure> {
        let condition = self.if_match.map_or(seen, Condition::Revision);
        client.send(self.tried(ask.when(condition))).await
    }

    /// Changes a part of what is there, whatever else it is.
    pub(super) async fn patch(&self, client: &Client, ask: Ask) -> Result<Answer, Failure> {
        let founded = self.if_match.map(Condition::Revision);
        let ask = match founded {
            Some(condition) => ask.when(condition),
            None => ask,
        };
        client.send(self.tried(ask)).await
    }

    /// Removes what is there.
    pub(super) async fn remove(
        &self,
        client: &Client,
        path: &[impl AsRef<str>],
    ) -> Result<Answer, Failure> {
        let condition = self.founded_on(client, path).await?;
        let ask = Ask::delete(path).when(condition);
        client.send(self.tried(ask)).await
    }

    /// The revision that is named, or that is there.
    async fn founded_on(
        &self,
        client: &Client,
        path: &[impl AsRef<str>],
    ) -> Result<Condition, Failure> {
        if let Some(revision) = self.if_match {
            return Ok(Condition::Revision(revision));
        }
        client.send(Ask::get(path)).await?.unchanged()
    }

    /// Only tried, if that is wanted.
    fn tried(&self, ask: Ask) -> Ask {
        ask.with("dry_run", self.dry_run.then_some(true))
    }
}
