//! Asking a running host.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Answer, Question};

/// Largest answer in bytes: thousands of faults.
const ANSWER: u64 = 16 << 20;

/// How long a host may take to answer. It has files to read and perhaps modules to
/// compile, some ten milliseconds each: beyond this it waits for a disk.
const PATIENCE: Duration = Duration::from_secs(300);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens there.
    #[error("no host runs on the data directory {0}: is it started, and with this configuration?")]
    NoHost(PathBuf),
    /// Not this user.
    #[error("{0}: only the host's own user and root may ask it")]
    Forbidden(PathBuf),
    /// It is at it for too long.
    #[error("{path}: the host has not answered within {} s, and may be at it still: its log says what becomes of it", .patience.as_secs())]
    Timeout {
        /// The socket.
        path: PathBuf,
        /// How long it was waited for.
        patience: Duration,
    },
    /// It went away.
    #[error("{path}: the host did not answer: {source}")]
    Lost {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Asks the host with this data directory, and waits for the answer: up to five
/// minutes, since modules may have to be compiled.
///
/// # Errors
/// When there is no answer.
pub fn ask(data_dir: &Path, question: &Question) -> Result<Answer, AskError> {
    ask_within(data_dir, question, PATIENCE)
}

fn ask_within(
    data_dir: &Path,
    question: &Question,
    patience: Duration,
) -> Result<Answer, AskError> {
    let path = super::path(data_dir);
    let lost = |source: io::Error| match source.kind() {
        // What a socket says when its time is up.
        io::ErrorKind::WouldBlock => AskError::Timeout {
            path: path.clone(),
            patience,
        },
        _ => AskError::Lost {
            path: path.clone(),
            source,
        },
    };
    let mut stream = UnixStream::connect(&path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            AskError::NoHost(data_dir.to_owned())
        }
        io::ErrorKind::PermissionDenied => AskError::Forbidden(path.clone()),
        _ => lost(source),
    })?;
    stream.set_read_timeout(Some(patience)).map_err(lost)?;
    stream.set_write_timeout(Some(patience)).map_err(lost)?;
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

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_host_that_does_not_answer_is_not_waited_for_without_end() {
        let home = tempfile::tempdir().expect("a directory");
        let _host = UnixListener::bind(super::super::path(home.path())).expect("a socket");
        let patience = Duration::from_millis(50);
        let question = Question::Reload {
            file: "portcullis.toml".into(),
        };
        let asked = ask_within(home.path(), &question, patience);
        assert!(matches!(asked, Err(AskError::Timeout { .. })), "{asked:?}");
    }
}
