//! What the service manager is told of this process: systemd, or another one that sets
//! `NOTIFY_SOCKET` (sd_notify(3)). Without one nothing is told.
//!
//! **Nothing depends on it, and nothing waits for it**: what a manager that does not
//! listen cannot take is lost, and costs a line at the level of debugging. That is why
//! the datagrams are sent here, without waiting, and only their words are the library's.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;

/// Ready to serve, at the start and after each reload, done or refused.
pub fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("receiving mail")]);
}

/// Loading anew. Managers that wait for the end of a reload compare the time.
pub fn reloading() {
    let status = NotifyState::Status("loading the configuration anew");
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now, status]),
        Err(error) => tracing::debug!(%error, "there is no monotonic clock"),
    }
}

/// Stopping, which may take so long: the manager waits, whatever its own limit is.
pub fn stopping(longest: Duration) {
    let microseconds = u32::try_from(longest.as_micros()).unwrap_or(u32::MAX);
    tell(&[
        NotifyState::Stopping,
        NotifyState::ExtendTimeoutUsec(microseconds),
        NotifyState::Status("stopping: waiting for sessions that receive a message"),
    ]);
}

/// Says at half the time that the manager allows that this process still runs its
/// tasks; without a watchdog it does nothing. Never ends.
pub async fn watchdog() {
    let Some(within) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    let mut turns = tokio::time::interval(within / 2);
    loop {
        turns.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = send(states) {
        tracing::debug!(%error, "the service manager could not be told");
    }
}

fn send(states: &[NotifyState<'_>]) -> io::Result<()> {
    let Some(named) = std::env::var_os("NOTIFY_SOCKET") else {
        return Ok(());
    };
    let address = match named.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(&named)?,
    };
    let lines: Vec<String> = states.iter().map(ToString::to_string).collect();
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr((lines.join("\n") + "\n").as_bytes(), &address)?;
    Ok(())
}
