//! `portcullis apply`.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use anyhow::bail;
use serde::Deserialize;
use serde_json::json;

use super::api::{Answer, ApiArguments, Ask, Client, LOADING, Target};
use super::changed;
use super::check;

/// Which tree, and whether to show only.
#[derive(clap::Args)]
pub(super) struct ApplyArguments {
    /// A directory with a directory `tenants` in it, as `export` writes it. The host
    /// has to be able to read it, and it is asked over its socket.
    directory: PathBuf,
    /// Show what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Ask nothing before it is done. Without a terminal nothing is asked in any case.
    #[arg(long, short)]
    yes: bool,
    /// JSON, as the host answers it. Nothing is asked then.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    api: ApiArguments,
}

/// What would be done.
#[derive(Deserialize)]
struct Plan {
    plan: String,
}

/// Has the running host make its store equal to a tree of files: shows what that changes,
/// and has that done and nothing else. Done means that it is in force.
pub(super) async fn apply(arguments: &ApplyArguments) -> anyhow::Result<()> {
    let client = Client::new(&arguments.api)?;
    let shown = client.send(arguments.ask(None)?).await?;
    if arguments.dry_run {
        return changed::show(&shown, arguments.json);
    }
    if !arguments.json {
        let changes = changed::differences(&shown)?;
        if changes > 0 && !arguments.yes && !is_wanted(changes)? {
            bail!("nothing was changed, as you have said");
        }
    }
    let Plan { plan } = shown.json()?;
    let done: Answer = client.send(arguments.ask(Some(&plan))?).await?;
    match arguments.json {
        true => changed::show(&done, true),
        false => changed::conclusion(&done),
    }
}

impl ApplyArguments {
    /// To do this plan, or only to say what it would be.
    fn ask(&self, plan: Option<&str>) -> anyhow::Result<Ask> {
        let file = match self.api.target()? {
            Target::Config(path) => Some(check::named(&path)?),
            Target::Url(_) | Target::Socket(_) => None,
        };
        let tree = json!({
            "directory": check::named(&self.directory)?,
            "dry_run": plan.is_none(),
            "plan": plan,
            "file": file,
        });
        Ok(Ask::post(&["apply"]).json(&tree)?.within(LOADING))
    }
}

/// Asks whoever sits there. Scripts are not asked, and have said what they want.
fn is_wanted(changes: usize) -> anyhow::Result<bool> {
    let (input, mut said) = (io::stdin(), io::stderr());
    if !(input.is_terminal() && said.is_terminal()) {
        return Ok(true);
    }
    write!(said, "make {}? [y/N] ", check::counted(changes, "change"))?;
    said.flush()?;
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    Ok(matches!(
        answer.trim().to_ascii_lowercase().as_str(),
        "y" | "yes"
    ))
}
