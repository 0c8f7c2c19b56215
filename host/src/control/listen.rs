//! The host's side of the control socket.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Answer, Question};
use crate::owner_socket;
use crate::server::{Applied, ReloadError, Reloader};

/// An administrator and a service manager, and one each who have lost patience.
const CONNECTIONS: usize = 4;

/// A question is a word and two paths of at most 4,096 bytes, which JSON may double.
const QUESTION: u64 = 20_000;

/// Whoever asks has the question ready, and reads the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// After accepting failed, as it does when descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The socket cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("control socket {path}: {source}")]
pub struct BindError {
    path: PathBuf,
    source: io::Error,
}

/// The socket, bound and not served yet.
#[derive(Debug)]
pub struct Bound {
    socket: UnixListener,
    path: PathBuf,
}

/// The socket, served until this is stopped or dropped.
#[derive(Debug)]
pub struct Control {
    stop: CancellationToken,
    task: JoinHandle<()>,
    path: PathBuf,
}

impl Control {
    /// Makes the socket in the data directory, of which the caller is sure that it is
    /// no other host's: what an earlier one left there is removed.
    ///
    /// # Errors
    /// As the system says; above all when the directory's path is too long for a
    /// socket (some 90 characters).
    pub fn bind(data_dir: &Path) -> Result<Bound, BindError> {
        let path = super::path(data_dir);
        match owner_socket::bind(&path) {
            Ok(socket) => Ok(Bound { socket, path }),
            Err(source) => Err(BindError { path, source }),
        }
    }

    /// Ends it, and removes the socket.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // It ends by itself, or it panicked: over it is.
        let _ = (&mut self.task).await;
        // The next host removes it otherwise.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Bound {
    /// Answers.
    pub fn serve(self, reloader: Arc<Reloader>) -> Control {
        let stop = CancellationToken::new();
        Control {
            task: tokio::spawn(accept(self.socket, reloader, stop.clone())),
            path: self.path,
            stop,
        }
    }
}

/// Connections end with the set, which ends with this.
async fn accept(socket: UnixListener, reloader: Arc<Reloader>, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = owner_socket::accept(&socket), if connections.len() < CONNECTIONS => match accepted {
                Ok(client) => {
                    connections.spawn(converse(client, Arc::clone(&reloader)));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection to the control socket could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    connections.shutdown().await;
}

async fn converse(client: UnixStream, reloader: Arc<Reloader>) {
    if let Err(error) = answer(client, &reloader).await {
        tracing::debug!(%error, "a connection to the control socket failed");
    }
}

async fn answer(mut client: UnixStream, reloader: &Reloader) -> io::Result<()> {
    let answer = match timeout(PATIENCE, question(&mut client)).await?? {
        Some(Question::Reload { file }) => match other_file(reloader, &file) {
            Some(reason) => Answer::Failed { reason },
            None => reload(reloader).await,
        },
        Some(Question::Apply {
            file,
            directory,
            dry_run,
        }) => match other_file(reloader, &file) {
            Some(reason) => Answer::Failed { reason },
            None => apply(reloader, &directory, dry_run).await,
        },
        None => Answer::Failed {
            reason: "not a question that this version of the host knows".to_owned(),
        },
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    timeout(PATIENCE, client.write_all(&line)).await?
}

/// None for what is not understood.
async fn question(client: &mut UnixStream) -> io::Result<Option<Question>> {
    let mut line = String::new();
    BufReader::new(client.take(QUESTION))
        .read_line(&mut line)
        .await?;
    Ok(serde_json::from_str(&line).ok())
}

/// Whoever names another file means other settings than would be put in force.
fn other_file(reloader: &Reloader, asked: &Path) -> Option<String> {
    let running = Arc::clone(&reloader.config().file);
    let same = match (running.canonicalize(), asked.canonicalize()) {
        (Ok(running), Ok(asked)) => running == asked,
        // What cannot be found is a fault that the reload itself reports.
        _ => true,
    };
    (!same).then(|| {
        format!(
            "the host runs on {}, not on {}",
            running.display(),
            asked.display()
        )
    })
}

async fn reload(reloader: &Reloader) -> Answer {
    match reloader.reload().await {
        Ok(done) => Answer::Done {
            file: reloader.config().file.to_path_buf(),
            tenants: done.tenants,
            waiting: done.waiting.into_iter().map(str::to_owned).collect(),
        },
        Err(error) => failed(&error),
    }
}

async fn apply(reloader: &Reloader, directory: &Path, dry_run: bool) -> Answer {
    match reloader.apply(directory, dry_run).await {
        Ok(Applied { changes, took }) => Answer::Applied {
            changes,
            micros: took.map(|took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX)),
        },
        Err(error) => failed(&error),
    }
}

fn failed(error: &ReloadError) -> Answer {
    match error {
        ReloadError::Faults(faults) => Answer::Refused {
            faults: faults.iter().map(ToString::to_string).collect(),
        },
        other => Answer::Failed {
            reason: other.to_string(),
        },
    }
}
