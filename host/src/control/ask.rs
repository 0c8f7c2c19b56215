//! Asking a running host.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::{Answer, Question};

/// Largest answer in bytes: thousands of faults.
const ANSWER: u64 = 16 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens there.
    #[error("no host runs on the data directory {0}: is it started, and with this configuration?")]
    NoHost(PathBuf),
    /// Not this user.
    #[error("{0}: only the host's own user and root may ask it")]
    Forbidden(PathBuf),
    /// It went away.
    #[error("{path}: the host did not answer: {source}")]
    Lost {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Asks the host with this data directory, and waits for as long as it takes: modules
/// may have to be compiled.
///
/// # Errors
/// When there is no answer.
pub fn ask(data_dir: &Path, question: &Question) -> Result<Answer, AskError> {
    let path = super::path(data_dir);
    let lost = |source| AskError::Lost {
        path: path.clone(),
        source,
    };
    let mut stream = UnixStream::connect(&path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            AskError::NoHost(data_dir.to_owned())
        }
        io::ErrorKind::PermissionDenied => AskError::Forbidden(path.clone()),
        _ => lost(source),
    })?;
    let mut line = serde_json::to_vec(question).map_err(|error| lost(error.into()))?;
    line.push(b'\n');
    stream.write_all(&line).map_err(lost)?;
    let mut answer = String::new();
    let mut reader = BufReader::new(stream.take(ANSWER));
    let read = reader.read_line(&mut answer).map_err(lost)?;
    if read == 0 {
        return Err(lost(io::ErrorKind::UnexpectedEof.into()));
    }
    serde_json::from_str(&answer).map_err(|error| lost(error.into()))
}
