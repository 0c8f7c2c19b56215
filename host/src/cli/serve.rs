//! `portcullis serve`.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::ListenerTls;
use crate::server::{Listening, Server};

/// How long sessions that are receiving content may go on after a signal: a message
/// of ordinary size takes seconds, and service managers wait 90.
pub(super) const GRACE: Duration = Duration::from_secs(30);

pub(super) async fn serve(path: &Path) -> anyhow::Result<()> {
    let config = super::check::config(path)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let server = Server::start(&config).await?;
    announce(server.listening())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    server.stop(GRACE).await;
    Ok(())
}

/// One line for each listener and `ready`, for people and scripts alike.
fn announce(listening: &[Listening]) -> anyhow::Result<()> {
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
