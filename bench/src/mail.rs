//! What messages cost a server, in processor time.

use std::path::Path;
use std::time::Duration;
use std::{array, thread};

use crate::load::{self, Plan, TlsPlan};
use crate::site::{PARTNER, Programs, RECIPIENT, STRANGER, SUBJECTS, Site, Subject};

/// A way for messages to come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    /// For the table.
    pub(crate) name: &'static str,
    tls: bool,
    per_connection: usize,
    /// On the disk, so that a sync is one; in memory otherwise.
    disk: bool,
    /// Of a round.
    messages: usize,
}

/// All of them, in the order of the table.
pub(crate) const ROUTES: [Route; 4] = [
    Route {
        name: "in clear, one per connection",
        tls: false,
        per_connection: 1,
        disk: false,
        messages: 20_000,
    },
    Route {
        name: "STARTTLS, one per connection",
        tls: true,
        per_connection: 1,
        disk: false,
        messages: 8_000,
    },
    Route {
        name: "STARTTLS, 100 per connection",
        tls: true,
        per_connection: 100,
        disk: false,
        messages: 40_000,
    },
    Route {
        name: "STARTTLS, synced to disk",
        tls: true,
        per_connection: 1,
        disk: true,
        messages: 4_000,
    },
];

/// Place of a route in [`ROUTES`].
pub(crate) const STARTTLS: usize = 1;
/// Place of a route in [`ROUTES`].
pub(crate) const SYNCED: usize = 3;

/// Sessions at one time.
const CONNECTIONS: usize = 16;
/// Octets of a message.
const SIZE: usize = 4096;

/// Turns of a round: what else the machine does lasts for seconds, and so meets all
/// subjects of most turns alike. The median of the turns counts.
const TURNS: usize = 16;

/// What a server may do after the last reply: receipts are on the disk within a second.
const AFTERWARDS: Duration = Duration::from_millis(1500);

/// Processor time for 1,000 messages of each subject in one turn.
pub(crate) type Turn = [Duration; SUBJECTS.len()];

/// The turns of a round.
pub(crate) type Round = Vec<Turn>;

/// Measures a route: one entry a round, subjects in turns.
pub(crate) fn measure(
    programs: &Programs,
    route: Route,
    directories: (&Path, &Path),
    rounds: usize,
    quick: bool,
) -> anyhow::Result<Vec<Round>> {
    let (disk, memory) = directories;
    let parent = if route.disk { disk } else { memory };
    let messages = if quick {
        route.messages / 10
    } else {
        route.messages
    };
    let mut sites = Vec::new();
    for subject in SUBJECTS {
        sites.push((subject, Site::start(programs, subject, parent, route.disk)?));
    }
    let turn = messages / TURNS;
    // What is paid once (pages, pools, caches) is not what a message costs.
    for (subject, site) in &sites {
        send(site, *subject, route, messages / 10)?;
    }
    thread::sleep(AFTERWARDS);
    let mut all = Vec::new();
    for _ in 0..rounds {
        // Before each turn and after the last, so that what is done behind the last reply
        // counts.
        let mut readings = Vec::new();
        for _ in 0..TURNS {
            readings.push(read(&sites)?);
            for (subject, site) in &sites {
                send(site, *subject, route, turn)?;
                site.empty()?;
            }
        }
        thread::sleep(AFTERWARDS);
        readings.push(read(&sites)?);
        let turns = readings.windows(2);
        all.push(turns.map(|read| costs(turn, read[0], read[1])).collect());
    }
    Ok(all)
}

fn read(sites: &[(Subject, Site)]) -> anyhow::Result<Turn> {
    let mut readings = Turn::default();
    for ((_, site), reading) in sites.iter().zip(&mut readings) {
        *reading = site.server.processor_time()?;
    }
    Ok(readings)
}

fn costs(messages: usize, before: Turn, after: Turn) -> Turn {
    let thousands = messages as f64 / 1000.0;
    array::from_fn(|subject| {
        let cost = after[subject].saturating_sub(before[subject]);
        cost.div_f64(thousands)
    })
}

fn send(site: &Site, subject: Subject, route: Route, messages: usize) -> anyhow::Result<()> {
    let tls = match route.tls {
        true => Some(TlsPlan::new(false, false, None)?),
        false => None,
    };
    // In clear a partner would be refused.
    let partner = subject == Subject::Module && route.tls;
    load::run(&Plan {
        address: site.server.address(),
        tls,
        connections: CONNECTIONS,
        messages,
        per_connection: route.per_connection,
        size: SIZE,
        sender: if partner { PARTNER } else { STRANGER }.to_owned(),
        recipient: RECIPIENT.to_owned(),
    })
    .map(drop)
}
