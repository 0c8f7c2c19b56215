//! `portcullis demo`: the whole of it at work on loopback, with nothing set up.
//!
//! Builds the stock policies, makes a throwaway authority, starts the host that
//! `serve` starts, and sends real messages over real sockets. The table's rows come
//! from the receipts; each is compared with what the client was answered and with
//! what the scene is there to show, and any difference ends the demo with an error.

mod authority;
mod client;
mod policies;
mod scenes;
mod table;

use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use anyhow::{Context, bail, ensure};
use authority::Authority;
use client::{Answers, Place};
use scenes::Scene;
use table::Row;

use super::serve::Stop;
use crate::config::{Config, ListenerTls};
use crate::receipt::filter::Filter;
use crate::receipt::read::Receipt;
use crate::receipt::source::{Part, Source};
use crate::server::{Listening, Server};

/// How long receipts may take to be on disk: they promise a second.
const RECEIPT_PATIENCE: Duration = Duration::from_secs(5);

/// How to run the demo.
#[derive(clap::Args)]
pub(super) struct DemoArguments {
    /// End after the table instead of keeping the host running.
    #[arg(long)]
    exit: bool,
}

pub(super) async fn demo(arguments: &DemoArguments) -> anyhow::Result<()> {
    let modules = policies::build()?;
    let mut stop = Stop::listen()?;
    let home = tempfile::Builder::new()
        .prefix("portcullis-demo-")
        .tempdir()?;
    let authority = Authority::create(home.path()).context("the throwaway authority")?;
    write_config(home.path(), &modules, &authority)?;
    let config = super::check::config(&home.path().join("portcullis.toml"))?;
    let server = Server::start(&config)
        .await
        .map_err(super::check::start_error)?;
    let rows = play(&config, server.listening(), &authority).await?;
    print!("{}", table::table(&rows));
    if !arguments.exit {
        hint(home.path(), server.listening());
        stop.requested().await;
    }
    server.stop(stop.impatient(config.limits.grace)).await;
    Ok(())
}

/// The embedded configuration, with the paths and pins of this run.
fn write_config(home: &Path, modules: &Path, authority: &Authority) -> io::Result<()> {
    let fill = |template: &str| {
        template
            .replace("@MODULES@", &modules.display().to_string())
            .replace("@PIN@", &authority.pinned.fingerprint.to_string())
    };
    fs::create_dir_all(home.join("tenants"))?;
    fs::write(
        home.join("portcullis.toml"),
        fill(include_str!("demo/config/portcullis.toml")),
    )?;
    fs::write(
        home.join("tenants/acme.toml"),
        fill(include_str!("demo/config/acme.toml")),
    )?;
    fs::write(
        home.join("tenants/globex.toml"),
        fill(include_str!("demo/config/globex.toml")),
    )
}

async fn play(
    config: &Config,
    listening: &[Listening],
    authority: &Authority,
) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for scene in scenes::SCENES {
        let place = place(listening, scene)?;
        let answers = client::send(place, scene, authority)
            .await
            .with_context(|| format!("scene {:?}", scene.title))?;
        let receipts = receipts(config, rows.len() + answers.recipients.len()).await?;
        for (index, receipt) in receipts[rows.len()..].iter().enumerate() {
            compare(scene, index, &answers, receipt)?;
            rows.push(Row {
                scene,
                receipt: receipt.clone(),
            });
        }
    }
    Ok(rows)
}

fn place(listening: &[Listening], scene: &Scene) -> anyhow::Result<Place> {
    let wanted = if scene.implicit {
        ListenerTls::Implicit
    } else {
        ListenerTls::Starttls
    };
    let found = listening.iter().find(|place| place.tls == wanted);
    let address = found.context("a listener is missing")?.address;
    Ok(Place {
        address,
        implicit: scene.implicit,
    })
}

/// All receipts so far, once there are so many.
async fn receipts(config: &Config, expected: usize) -> anyhow::Result<Vec<Receipt>> {
    let source = Source::open(config).await?;
    let all = Part {
        newest_first: false,
        after: None,
        limit: expected + 1,
    };
    let waited = tokio::time::timeout(RECEIPT_PATIENCE, async {
        loop {
            let found = source.find(&Filter::default(), all).await?.receipts;
            if found.len() >= expected && found.iter().all(is_complete) {
                return anyhow::Ok(found);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let found = waited
        .await
        .with_context(|| format!("{expected} receipts were not written"))??;
    ensure!(
        found.len() == expected,
        "{} receipts where {expected} were due",
        found.len()
    );
    Ok(found)
}

/// Accepted mail has an outcome, too.
fn is_complete(receipt: &Receipt) -> bool {
    match receipt {
        Receipt::Decided(verdict, _, outcome) => {
            outcome.is_some() || !verdict.reply.starts_with('2')
        }
        Receipt::Relay(_) => true,
    }
}

fn compare(
    scene: &Scene,
    index: usize,
    answers: &Answers,
    receipt: &Receipt,
) -> anyhow::Result<()> {
    let title = scene.title;
    let told = &answers.recipients[index];
    let (kept, outcome) = match receipt {
        Receipt::Decided(verdict, _, outcome) => (&verdict.reply, outcome.as_ref()),
        Receipt::Relay(relay) => (&relay.reply, None),
    };
    ensure!(
        told == kept,
        "scene {title:?}: the client was told {told:?}, the receipt says {kept:?}"
    );
    let expected = scene.recipients[index].1;
    ensure!(
        told.starts_with(&expected.to_string()),
        "scene {title:?}: {told:?} where {expected} was due"
    );
    match (outcome, &answers.end) {
        (Some(outcome), Some(end)) if outcome.reply == *end => Ok(()),
        (None, _) => Ok(()),
        (Some(outcome), end) => bail!(
            "scene {title:?}: the client was told {end:?} at the end, the receipt says {:?}",
            outcome.reply
        ),
    }
}

fn hint(home: &Path, listening: &[Listening]) {
    println!("\nThe host keeps running; end it with Ctrl-C. Talk to it, for example:\n");
    for place in listening {
        let tls = match place.tls {
            ListenerTls::Implicit => "--tls-on-connect",
            _ => "--tls",
        };
        println!(
            "  swaks --server {} {tls} --from you@bank.example --to alice@acme.example",
            place.address
        );
    }
    let data = home.join("data");
    println!(
        "\nIts configuration is in {}, its receipts are shown by\n",
        home.display()
    );
    println!("  portcullis receipts --data-dir {}", data.display());
}
