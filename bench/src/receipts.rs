//! How many receipts the store takes, and what keeping them costs a message.
//!
//! Receipts that are written are the host's own: one of real mail, with other ids and
//! addresses, so that the indexes have what they have in a host.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::bail;
use portcullis::facts::{Facts, ReceiptId};
use portcullis::receipt::filter::Filter;
use portcullis::receipt::read::Receipt;
use portcullis::receipt::source::Part;
use portcullis::receipt::{Event, VerdictEvent};
use portcullis::store::{ReceiptWriter, Store};

use crate::load::{self, Plan};
use crate::site::{Programs, RECIPIENT, STRANGER, Site, Subject};

/// Where the host keeps receipts, in the order of the table.
pub(crate) const PLACES: [(&str, &str); 3] = [
    ("day files", "[receipts]\nstore = false\nfiles = true\n"),
    ("the store", ""),
    ("both", "[receipts]\nfiles = true\n"),
];

/// Receipts that are written in a round.
const RECEIPTS: usize = 100_000;

/// Of a batch, as large as the host's largest.
const BATCH: usize = 2048;

/// Messages of a round.
const MESSAGES: usize = 40_000;

/// Sessions at one time, and messages of each.
const CONNECTIONS: usize = 16;
const PER_CONNECTION: usize = 100;

/// A receipt is written within a second.
const PATIENCE: Duration = Duration::from_secs(10);

/// One round.
pub(crate) struct Round {
    /// Receipts a second, from the first batch to the last that is on disk.
    pub(crate) receipts: f64,
    /// Processor time of the host for 1,000 messages, by place.
    pub(crate) messages: [Duration; PLACES.len()],
}

/// Measures some rounds, places in turns, all on the disk.
pub(crate) fn measure(
    programs: &Programs,
    disk: &Path,
    rounds: usize,
    quick: bool,
) -> anyhow::Result<Vec<Round>> {
    let scale = |number: usize| if quick { number / 10 } else { number };
    let mut sites = Vec::new();
    for (_, settings) in PLACES {
        let subject = Subject::Constant;
        let site = Site::start_with(programs, subject, disk, false, settings)?;
        send(&site, scale(MESSAGES) / 10)?;
        sites.push(site);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let model = runtime.block_on(newest(&sites[1].path("data")))?;
    let mut all = Vec::new();
    for _ in 0..rounds {
        let mut messages = [Duration::ZERO; PLACES.len()];
        for (site, cost) in sites.iter().zip(&mut messages) {
            let before = site.server.processor_time()?;
            send(site, scale(MESSAGES))?;
            let spent = site.server.processor_time()?.saturating_sub(before);
            *cost = spent.mul_f64(1000.0 / scale(MESSAGES) as f64);
        }
        let receipts = runtime.block_on(write(&model, disk, scale(RECEIPTS)))?;
        all.push(Round { receipts, messages });
    }
    Ok(all)
}

fn send(site: &Site, messages: usize) -> anyhow::Result<()> {
    load::run(&Plan {
        address: site.server.address(),
        tls: None,
        connections: CONNECTIONS,
        messages,
        per_connection: PER_CONNECTION,
        size: 4096,
        sender: STRANGER.to_owned(),
        recipient: RECIPIENT.to_owned(),
    })
    .map(drop)
}

/// A receipt of real mail: the newest of the host of this data directory. It may be on its
/// way still.
pub(crate) async fn newest(data: &Path) -> anyhow::Result<VerdictEvent> {
    let store = Store::read(data).await?;
    let part = Part {
        newest_first: true,
        after: None,
        limit: 1,
    };
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let found = store.receipts(&Filter::default(), part).await?;
        match found.into_iter().next() {
            Some(Receipt::Decided(verdict, ..)) => return Ok(*verdict),
            Some(Receipt::Relay(_)) => bail!("relaying was refused"),
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    bail!("no receipt was written")
}

/// Receipts a second.
async fn write(model: &VerdictEvent, disk: &Path, receipts: usize) -> anyhow::Result<f64> {
    let directory = tempfile::Builder::new()
        .prefix("portcullis-bench-")
        .tempdir_in(disk)?;
    let mut writer = ReceiptWriter::new(Store::open(directory.path()).await?);
    let mut spent = Duration::ZERO;
    let numbers: Vec<usize> = (0..receipts).collect();
    for numbers in numbers.chunks(BATCH) {
        let batch: Result<Vec<Event>, _> = numbers.iter().map(|n| event(model, *n)).collect();
        let batch = batch?;
        let began = Instant::now();
        writer.write(&batch).await?;
        spent += began.elapsed();
    }
    writer.close().await;
    Ok(receipts as f64 / spent.as_secs_f64())
}

/// The same receipt of other mail.
pub(crate) fn event(model: &VerdictEvent, number: usize) -> anyhow::Result<Event> {
    let sender = format!("amy{number}@p{}.partner.example", number % 1000);
    let facts = Facts {
        id: ReceiptId::new(SystemTime::now()),
        sender: Some(sender.parse()?),
        recipient: format!("u{}@acme.example", number % 5000).parse()?,
        ..(*model.facts).clone()
    };
    Ok(Event::Verdict(Box::new(VerdictEvent {
        id: facts.id,
        facts: Arc::new(facts),
        ..model.clone()
    })))
}
