//! Sockets in the data directory, for the host's own user and root alone: by their mode,
//! and by what the kernel says of who connects.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tokio::net::{UnixListener, UnixStream};

/// Makes one, of which the caller is sure that it is no other host's: what an earlier one
/// left there is removed.
///
/// # Errors
/// As the system says; above all when the path is too long for a socket (some 100
/// characters).
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(socket)
}

/// The next client.
///
/// # Errors
/// When none can be accepted.
pub async fn accept(socket: &UnixListener) -> io::Result<UnixStream> {
    loop {
        let (client, _) = socket.accept().await?;
        match client.peer_cred().map(|credentials| credentials.uid()) {
            Ok(user) if user == 0 || user == rustix::process::geteuid().as_raw() => {
                return Ok(client);
            }
            Ok(user) => tracing::debug!(user, "a stranger connected to a socket of the host"),
            Err(error) => tracing::debug!(%error, "who connects to a socket is not known"),
        }
    }
}
