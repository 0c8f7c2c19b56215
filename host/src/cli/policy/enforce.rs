//! `portcullis policy enforce`: a policy that is monitored is to count, at once or by steps.

use std::time::SystemTime;

use anyhow::{Context, anyhow, bail};
use serde_json::{Map, Value};

use crate::cli::api::{Answer, Ask, Client};
use crate::cli::change::ChangeArguments;
use crate::cli::when;
use crate::facts::unix_seconds;
use crate::name::Name;
use crate::policy::{Moment, Ramp};

/// Which, and how fast.
#[derive(clap::Args)]
pub(super) struct EnforceArguments {
    /// Its name.
    name: Name,
    /// For a share of sender domains that rises to all within this time, such as 14d; without
    /// it, for everybody at once.
    #[arg(long, value_name = "TIME", value_parser = when::span)]
    ramp: Option<u64>,
    /// When that begins; now unless it is said.
    #[arg(long, value_name = "TIME", requires = "ramp")]
    start: Option<Moment>,
    /// Have the host halt it when more than so many per cent of the mail in its scope is
    /// refused.
    #[arg(long, value_name = "PERCENT", requires = "ramp", value_parser = clap::value_parser!(u8).range(0..=100))]
    halt_above: Option<u8>,
    /// Let a ramp that was halted go on from where it stands.
    #[arg(long, conflicts_with = "ramp")]
    resume: bool,
    #[command(flatten)]
    change: ChangeArguments,
}

#[derive(serde::Deserialize)]
struct Policy {
    document: Map<String, Value>,
}

/// Changes the policy as it is just now.
pub(super) async fn run(
    client: &Client,
    tenant: &str,
    arguments: &EnforceArguments,
) -> anyhow::Result<Answer> {
    let path = ["tenants", tenant, "policies", arguments.name.as_str()];
    let seen = client.send(Ask::get(&path)).await?;
    let Policy { mut document } = seen.json()?;
    let now = unix_seconds(SystemTime::now());
    let ramp = arguments.wanted(document.get("ramp"), now);
    let ramp = ramp.with_context(|| format!("policy {}", arguments.name.as_str()))?;
    // The mode that it has without one is to enforce.
    document.remove("mode");
    match ramp {
        Some(ramp) => document.insert("ramp".to_owned(), serde_json::to_value(ramp)?),
        None => document.remove("ramp"),
    };
    let ask = Ask::put(&path).json(&document)?;
    let change = &arguments.change;
    Ok(change.rewrite(client, ask, seen.unchanged()?).await?)
}

impl EnforceArguments {
    /// The ramp that it is to have, where it has this one.
    fn wanted(&self, known: Option<&Value>, now: u64) -> anyhow::Result<Option<Ramp>> {
        if self.resume {
            let known = known.context("it has no ramp that could go on")?;
            return resumed(&read(known)?, now).map(Some);
        }
        let Some(seconds) = self.ramp else {
            return Ok(None);
        };
        let start = self.start.unwrap_or(Moment::new(now));
        let end = Moment::new(start.unix_seconds().saturating_add(seconds));
        Ok(Some(Ramp::new(start, end, self.halt_above, None, None)?))
    }
}

fn resumed(ramp: &Ramp, now: u64) -> anyhow::Result<Ramp> {
    match ramp.halted() {
        None => bail!("its ramp was not halted"),
        Some(halted) if halted.unix_seconds() > now => {
            bail!("its ramp is to be halted at {halted}")
        }
        Some(_) => Ok(ramp.resumed(now)),
    }
}

/// A ramp as the host has it.
fn read(value: &Value) -> anyhow::Result<Ramp> {
    let moment = |key: &str| match value.get(key) {
        None => Ok(None),
        Some(value) => {
            let text = value
                .as_str()
                .ok_or_else(|| anyhow!("{key}: {value} is no time"))?;
            text.parse::<Moment>()
                .map(Some)
                .with_context(|| key.to_owned())
        }
    };
    let needed = |key| moment(key)?.with_context(|| format!("its ramp has no {key}"));
    let halt_above = match value.get("halt_above") {
        None => None,
        Some(value) => {
            let percent = value
                .as_u64()
                .and_then(|percent| u8::try_from(percent).ok());
            Some(percent.with_context(|| format!("halt_above: {value} is no per cent"))?)
        }
    };
    Ok(Ramp::new(
        needed("start")?,
        needed("end")?,
        halt_above,
        moment("halted")?,
        moment("resumed")?,
    )?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_ramp_goes_on_from_where_it_stands() {
        let text = json!({
            "start": "1970-01-01T00:10:00Z",
            "end": "1970-01-01T00:20:00Z",
            "halt_above": 5,
            "halted": "1970-01-01T00:15:00Z",
        });
        let ramp = read(&text).expect("a ramp");
        assert_eq!(serde_json::to_value(ramp).expect("JSON"), text);
        let resumed = resumed(&ramp, 6_000).expect("it was halted");
        assert_eq!(resumed.share(6_000), ramp.share(6_000));
        assert_eq!(resumed.share(6_300), crate::policy::WHOLE);
        assert_eq!(resumed.halt_above(), Some(5));
        super::resumed(&resumed, 6_000).expect_err("it was not halted");
        super::resumed(&ramp, 899).expect_err("it is not halted yet");
        read(&json!({ "start": "1970-01-01T00:10:00Z" })).expect_err("without an end");
    }
}
