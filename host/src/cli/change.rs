//! Changes of what a host keeps: on which revision they are founded, and what became of
//! them.

use super::api::{Answer, Ask, Client, Condition, Failure};

/// How it is changed.
#[derive(Debug, Default, clap::Args)]
pub(super) struct ChangeArguments {
    /// Change it only if it has this revision; without it, the one that it has just now.
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
