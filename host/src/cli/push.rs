//! `portcullis push`: from an author's crate to a revision on a host, in one go.
//!
//! **Whatever step fails, none after it is taken**, and what was done until then is told.
//! The same command may be given again after that: bytes that a host has already are the
//! revision that they were.

mod next;
mod steps;

use std::path::PathBuf;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{Ask, Client, items};
use super::change::ChangeArguments;
use super::check::counted;
use super::revisions::{History, Ready, Revisions};
use super::subject::{Found, Subject, SubjectArguments, relative};
use super::whose::TenantArguments;
use super::{columns, document, module, rows, test};
use crate::author::vectors::{Case, Trial};
use crate::name::Name;
use next::{Did, Standing, next};
use steps::Steps;

/// What is pushed, and what becomes of it.
#[derive(clap::Args)]
pub(super) struct PushArguments {
    #[command(flatten)]
    subject: SubjectArguments,
    /// The module's name on the host; without it, that of the crate, or of the file.
    #[arg(long)]
    name: Option<Name>,
    /// Have it decide at once, if it is not refused.
    #[arg(long, conflicts_with = "shadow")]
    activate: bool,
    /// Try it on live mail beside the active revision, without effect.
    #[arg(long)]
    shadow: bool,
    /// Vectors; without any, the crate's vectors.toml and vectors/*.toml.
    #[arg(long, value_name = "FILE", conflicts_with = "no_test")]
    vectors: Vec<PathBuf>,
    /// Push it untested.
    #[arg(long)]
    no_test: bool,
    #[command(flatten)]
    of: TenantArguments,
}

/// A policy, as far as it is about a module.
#[derive(Deserialize)]
struct Policy {
    name: String,
    document: Document,
}

#[derive(Deserialize)]
struct Document {
    module: Option<String>,
}

/// A module on this machine.
struct Local {
    bytes: Vec<u8>,
    name: Name,
}

pub(super) async fn run(arguments: &PushArguments) -> anyhow::Result<()> {
    // Whoever cannot be asked is known before anything takes time.
    let client = Client::new(&arguments.of.api)?;
    let tenant = arguments.of.checked_tenant(&client).await;
    let tenant = tenant.context("nothing was uploaded")?;
    let mut steps = Steps::new(arguments.of.json);
    let local = arguments.make(&mut steps).await;
    let local = local.context("nothing was uploaded")?;
    let revisions = Revisions::of(&client, &tenant, &local.name);
    let ready = upload(&revisions, local.bytes, &tenant, &mut steps).await?;
    let before = client.send(Ask::get(revisions.path())).await;
    let before = before.with_context(|| format!("revision {} is ready", ready.number))?;
    let before = before.json::<History>()?.active;
    let did = arguments.take_effect(&revisions, ready.number, before, &mut steps);
    let did = did.await?;
    if !arguments.of.json {
        let policies = policies(&client, &tenant, revisions.name()).await?;
        steps.tell(shown_next(&next(&Standing {
            module: revisions.name(),
            revision: ready.number,
            before,
            did,
            policies: &policies,
            repeated: &arguments.of.repeated(),
        })));
    }
    steps.end()
}

impl PushArguments {
    /// What is done on this machine.
    async fn make(&self, steps: &mut Steps) -> anyhow::Result<Local> {
        // What is wrong with vectors is told before anything is built.
        let cases = match self.no_test {
            true => Vec::new(),
            false => (self.subject.cases(&self.vectors))
                .context("it cannot be tested (--no-test pushes it untested)")?,
        };
        let found = match self.subject.file() {
            Some(path) => Found {
                path: path.to_owned(),
                bytes: document::bytes(path)?,
            },
            None => built(&self.subject, steps).await?,
        };
        let name = self.name.clone();
        let name = name.map_or_else(|| module::named(&found.path), Ok)?;
        let bytes = match self.no_test {
            true => found.bytes,
            false => tested(found, &cases, steps).await?,
        };
        Ok(Local { bytes, name })
    }

    /// What becomes of a revision that is ready.
    async fn take_effect(
        &self,
        revisions: &Revisions<'_>,
        number: i64,
        before: Option<i64>,
        steps: &mut Steps,
    ) -> anyhow::Result<Did> {
        let change = ChangeArguments::default();
        let (answer, did) = match (self.activate, self.shadow) {
            (true, _) => (revisions.activate(number, &change).await, Did::Activate),
            (_, true) => (revisions.shadow(number, &change).await, Did::Shadow),
            _ => return Ok(Did::Upload),
        };
        let answer = answer.with_context(|| match before {
            Some(active) => {
                format!("revision {number} is ready, and revision {active} decides as before")
            }
            None => format!("revision {number} is ready, and none is active"),
        })?;
        let object: Value = answer.json()?;
        let changes = object["changes"].as_array().map_or(0, Vec::len);
        let (step, what) = match (did, changes) {
            (Did::Shadow, _) => (
                "shadowed",
                format!(
                    "revision {number} is tried beside revision {}",
                    shown(before)
                ),
            ),
            (_, 0) => ("activated", format!("revision {number} was active already")),
            _ => (
                "activated",
                format!("revision {number}, in the place of {}", shown(before)),
            ),
        };
        steps.done(step, &what, object);
        Ok(did)
    }
}

fn shown(revision: Option<i64>) -> String {
    revision.map_or("none".to_owned(), |number| number.to_string())
}

/// Builds the crate; what came of it.
async fn built(subject: &SubjectArguments, steps: &mut Steps) -> anyhow::Result<Found> {
    steps.begin();
    let built = subject.build().await?;
    let (size, digest) = (built.size, built.digest);
    let path = relative(built.module.clone());
    let what = format!("{}, {size} bytes, sha256 {digest}", path.display());
    let object = json!({ "path": built.module, "size": size, "digest": digest.to_string() });
    steps.done("built", &what, object);
    Ok(built.into())
}

/// Asks the module itself, in the engine of hosts; the bytes that hold.
async fn tested(found: Found, cases: &[Case], steps: &mut Steps) -> anyhow::Result<Vec<u8>> {
    steps.begin();
    let subject = Subject::load(found, None).await?;
    let mut trial = Trial::new(&subject.bench, &subject.module);
    let mut failed = Vec::new();
    for case in cases {
        let tried = trial.case(case).await;
        let tried = tried.with_context(|| format!("case {:?} cannot be tried", case.name))?;
        if !tried.holds() {
            failed.push((case, tried));
        }
    }
    if !failed.is_empty() {
        for line in test::failures(&failed) {
            rows::aside(line);
        }
        let all = counted(cases.len(), "case");
        bail!(
            "{} of {all} failed (--no-test pushes it all the same)",
            failed.len()
        );
    }
    let what = format!("{} hold", counted(cases.len(), "case"));
    steps.done("tested", &what, json!({ "cases": cases.len() }));
    Ok(subject.bytes)
}

async fn upload(
    revisions: &Revisions<'_>,
    bytes: Vec<u8>,
    tenant: &str,
    steps: &mut Steps,
) -> anyhow::Result<Ready> {
    steps.begin();
    let sent = revisions.send(bytes).await;
    let sent = sent.with_context(|| format!("{}not uploaded", steps.so_far()))?;
    let (number, name) = (sent.revision.number, revisions.name());
    let what = match sent.is_known {
        true => format!("nothing: revision {number} of {name} of tenant {tenant} has these bytes"),
        false => format!("revision {number} of {name} of tenant {tenant}"),
    };
    let object = json!({
        "tenant": tenant,
        "module": name,
        "revision": number,
        "digest": sent.revision.digest,
        "known": sent.is_known,
    });
    steps.done("uploaded", &what, object);
    let ready = revisions.settled(sent).await;
    let ready = ready.with_context(|| format!("{}what decides is as it was", steps.so_far()))?;
    let what = format!("by the host: revision {number} is ready");
    steps.done("compiled", &what, json!({ "revision": number }));
    Ok(ready)
}

/// The policies that ask this module, by name.
async fn policies(client: &Client, tenant: &str, module: &str) -> anyhow::Result<Vec<String>> {
    let ask = Ask::get(&["tenants", tenant, "policies"]);
    let policies: Vec<Policy> = rows::read(&items(client, ask, None).await?)?;
    let asking = policies
        .into_iter()
        .filter(|policy| policy.document.module.as_deref() == Some(module));
    Ok(asking.map(|policy| policy.name).collect())
}

fn shown_next(next: &[(String, String)]) -> Vec<String> {
    let rows: Vec<_> = next
        .iter()
        .map(|(command, why)| [format!("  {command}"), why.clone()])
        .collect();
    let mut lines = vec![String::new()];
    lines.extend(columns::lines(["next", ""], &rows));
    lines
}
