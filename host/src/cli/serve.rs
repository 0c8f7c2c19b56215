//! `portcullis serve`.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{Config, ListenerTls};
use crate::server::{Listening, Server};

/// How long sessions that are receiving content may go on after a signal: a message
/// of ordinary size takes seconds, and service managers wait 90.
const GRACE: Duration = Duration::from_secs(30);

pub(super) async fn serve(config: Config) -> anyhow::Result<()> {
    let mut stop = Stop::listen()?;
    let server = tokio::select! {
        started = Server::start(&config) => started.map_err(super::check::start_error)?,
        () = stop.requested() => return Ok(()),
    };
    announce(server.listening(), server.metrics())?;
    stop.requested().await;
    tracing::info!("stopping; a second signal cuts the sessions off that are left");
    server.stop(stop.impatient()).await;
    Ok(())
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
    pub(super) async fn impatient(&mut self) {
        // Whether it was the one or the other does not matter.
        let _ = tokio::time::timeout(GRACE, self.requested()).await;
    }
}

/// One line for each listener and `ready`, for people and scripts alike.
fn announce(listening: &[Listening], metrics: Option<SocketAddr>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for place in listening {
        writeln!(
            out,
            "listening {} {} {}",
            place.name,
            place.address,
            mode(place.tls)
        )
        .context("standard output")?;
    }
    if let Some(address) = metrics {
        writeln!(out, "listening metrics {address} http").context("standard output")?;
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
