//! Writing: replies leave together, and none waits long for another.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout_at};

use super::super::{Service, left};
use super::LINGER;
use crate::listen::Leave;

/// How long a reply may wait for those to recipients who came with it, however many they
/// are: a policy takes milliseconds, a next hop may take minutes, and clients wait five for
/// each reply.
const HOLD_BACK: Duration = Duration::from_secs(5);

/// Writes what there is to say, as long as the client takes it, and the host has no need
/// of the place. A host that stops has less patience: what a client that reads is told
/// needs none.
pub(super) async fn write_out(
    stream: &mut (impl AsyncWrite + Unpin),
    output: &mut Vec<u8>,
    service: &Service,
) -> io::Result<()> {
    let write = async {
        stream.write_all(output).await?;
        stream.flush().await
    };
    // Nearly always all is written at once, and nobody looks at the clock.
    let too_long = async { sleep(service.listener.limits.command_timeout).await };
    let leave = async {
        match service.place.asked_to_leave().await {
            Leave::MakeRoom => left(Leave::MakeRoom),
            Leave::Stopping => {
                sleep(LINGER).await;
                io::ErrorKind::TimedOut.into()
            }
        }
    };
    let written = tokio::select! {
        biased;
        written = write => written,
        error = leave => Err(error),
        () = too_long => Err(io::ErrorKind::TimedOut.into()),
    };
    // Of what failed nobody knows how much has left: it is not said again.
    *output = Vec::new();
    written
}

/// Until when these replies may wait, the first of which was said then. None where there are
/// none.
pub(super) fn held_until(output: &[u8], since: Option<Instant>) -> Option<Instant> {
    (!output.is_empty()).then(|| since.unwrap_or_else(Instant::now) + HOLD_BACK)
}

/// What comes of asking a policy or a target. The replies that wait for it do so until then,
/// if there are any; whether the client takes them then changes nothing of the answer.
pub(super) async fn held_back<T>(
    stream: &mut (impl AsyncWrite + Unpin),
    output: &mut Vec<u8>,
    service: &Service,
    until: Option<Instant>,
    mut asking: Pin<&mut impl Future<Output = T>>,
) -> (T, io::Result<()>) {
    let Some(until) = until else {
        return (asking.await, Ok(()));
    };
    if let Ok(answer) = timeout_at(until, asking.as_mut()).await {
        return (answer, Ok(()));
    }
    tokio::join!(asking, write_out(stream, output, service))
}
