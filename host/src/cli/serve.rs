//! `portcullis serve`.

use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::check;
use crate::config::{Config, ListenerTls};
use crate::privileges;
use crate::server::{Reloader, Server, Sockets};
use crate::supervisor;

/// What may come after the grace period: last replies, receipts, and a disk that does
/// not answer have five seconds each.
const AFTER_GRACE: Duration = Duration::from_secs(20);

pub(super) async fn serve(config: Config) -> anyhow::Result<()> {
    let mut stop = Stop::listen()?;
    // From here on the signal asks for a reload, and one that comes too early waits.
    let hangup = signal(SignalKind::hangup())?;
    let server = tokio::select! {
        started = start(&config) => started?,
        () = stop.requested() => return Ok(()),
    };
    // What is in force of it has its own copy, and tenants' modules are large.
    drop(config);
    announce(&server)?;
    supervisor::ready();
    // Also while the host is stopping, which may take longer than the manager's patience.
    tokio::spawn(supervisor::watchdog());
    tokio::select! {
        () = stop.requested() => {}
        () = reload_on(hangup, server.reloader()) => {}
    }
    let grace = server.reloader().config().limits.grace;
    supervisor::stopping(grace + AFTER_GRACE);
    tracing::info!("stopping; a second signal cuts the sessions off that are left");
    server.stop(stop.impatient(grace)).await;
    Ok(())
}

/// Binds, gives the rights of root up, and starts.
async fn start(config: &Config) -> anyhow::Result<Server> {
    let account = privileges::account(&config.process).map_err(|faults| check::all(&faults))?;
    let bound = Sockets::bind(config).await.map_err(check::start_error)?;
    match account {
        Some(account) => {
            account.assume(&config.data_dir)?;
            // What this user cannot read would be missed at the first reload.
            check::config(&config.file).context("as the user in process.user")?;
        }
        None if privileges::is_root() => tracing::warn!(
            "the host runs as root: set process.user, so that it does not once it listens"
        ),
        None => {}
    }
    let started = Server::start_on(bound, config).await;
    started.map_err(check::start_error)
}

/// Loads anew at each signal, until nobody waits for this any more. What became of it
/// is in the log, where whoever sends a signal has to look.
async fn reload_on(mut hangup: Signal, reloader: &Reloader) {
    while hangup.recv().await.is_some() {
        if let Err(error) = reloader.reload().await {
            tracing::debug!(%error, "not loaded anew");
        }
    }
    std::future::pending::<()>().await;
}

/// SIGTERM, as service managers send it, and SIGINT, as terminals do.
pub(super) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    pub(super) fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for a signal.
    pub(super) async fn requested(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits for the end of the grace period, or another signal.
    pub(super) async fn impatient(&mut self, grace: Duration) {
        // Whether it was the one or the other does not matter.
        let _ = tokio::time::timeout(grace, self.requested()).await;
    }
}

/// One line for each listener and `ready`, for people and scripts alike.
fn announce(server: &Server) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for place in server.listening() {
        writeln!(
            out,
            "listening {} {} {}",
            place.name,
            place.address,
            mode(place.tls)
        )
        .context("standard output")?;
    }
    let admin = match server.admin_has_tls() {
        true => "https",
        false => "http",
    };
    let others = [
        ("metrics", server.metrics(), "http"),
        ("admin", server.admin(), admin),
    ];
    for (name, address, scheme) in others {
        if let Some(address) = address {
            writeln!(out, "listening {name} {address} {scheme}").context("standard output")?;
        }
    }
    writeln!(out, "ready")
        .and_then(|()| out.flush())
        .context("standard output")
}

fn mode(tls: ListenerTls) -> &'static str {
    match tls {
        ListenerTls::None => "none",
        ListenerTls::Starttls => "starttls",
        ListenerTls::Implicit => "implicit",
    }
}
