//! What an idle connection costs a server, in resident memory: after EHLO in clear, and
//! after EHLO inside TLS.

use std::path::Path;

use anyhow::Context;

use crate::load::{self, TlsPlan};
use crate::site::{Programs, Site, Subject};

/// Connections that stay idle. With more the ports of one client address run short.
const CONNECTIONS: usize = 4_000;

/// KiB of resident memory for each idle connection: in clear, in TLS.
pub(crate) type Idle = [f64; 2];

/// The floor and the host, one entry each a round.
pub(crate) fn measure(
    programs: &Programs,
    memory: &Path,
    rounds: usize,
    quick: bool,
) -> anyhow::Result<Vec<[Idle; 2]>> {
    let connections = if quick { CONNECTIONS / 10 } else { CONNECTIONS };
    (0..rounds)
        .map(|_| {
            Ok([
                of(programs, Subject::Floor, memory, connections)?,
                of(programs, Subject::NoPolicy, memory, connections)?,
            ])
        })
        .collect()
}

fn of(
    programs: &Programs,
    subject: Subject,
    memory: &Path,
    connections: usize,
) -> anyhow::Result<Idle> {
    let clear = idle(programs, subject, memory, connections, None)?;
    let tls = TlsPlan::new(false, false, None)?;
    Ok([
        clear,
        idle(programs, subject, memory, connections, Some(&tls))?,
    ])
}

/// In a fresh server, since memory that was used once stays resident.
fn idle(
    programs: &Programs,
    subject: Subject,
    memory: &Path,
    connections: usize,
    tls: Option<&TlsPlan>,
) -> anyhow::Result<f64> {
    let site = Site::start(programs, subject, memory, false)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        // The first sessions pay for what all have in common.
        let first = load::idle(site.server.address(), connections / 20, tls).await?;
        let before = site.server.memory()?;
        let idle = load::idle(site.server.address(), connections, tls)
            .await
            .with_context(|| format!("{connections} idle connections"))?;
        let after = site.server.memory()?;
        drop((first, idle));
        Ok(after.saturating_sub(before) as f64 / connections as f64)
    })
}
