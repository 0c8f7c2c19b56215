//! Sending the content: what is in memory, then what is behind it.

use std::sync::Arc;
use std::time::Duration;

use super::connection::{Answer, Connection, within};
use super::error::{AFTER_FINAL_DOT, Failure, Fault};
use super::stuffing::Stuffing;
use crate::content::{Content, PATIENCE};
use crate::deliver::Parcel;

/// How much is written at once, and read at once from behind the front: a usual message
/// leaves in one piece, final dot included, and a session needs little memory for it.
const PIECE: usize = 64 * 1024;

/// How long to look for the reason of a hop that stopped reading.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Sends content and final dot, all within `limit`.
pub(super) async fn send(
    connection: &mut Connection,
    parcel: &Parcel,
    limit: Duration,
) -> Result<(), Failure> {
    let mut sending = Sending {
        connection,
        stuffing: Stuffing::new(),
        output: Vec::new(),
        is_ending: false,
    };
    match within(limit, sending.all(parcel)).await {
        Ok(()) => Ok(()),
        Err(fault) if sending.is_ending => Err(fault.at(AFTER_FINAL_DOT)),
        Err(fault) => Err(sending.explained(fault).await.at("content")),
    }
}

struct Sending<'a> {
    connection: &'a mut Connection,
    stuffing: Stuffing,
    output: Vec<u8>,
    /// From here on the hop may have it all, whatever a write says.
    is_ending: bool,
}

impl Sending<'_> {
    async fn all(&mut self, parcel: &Parcel) -> Result<(), Fault> {
        for slice in parcel.slices() {
            for piece in slice.chunks(PIECE) {
                self.push(piece).await?;
            }
        }
        let content = parcel.content();
        let mut offset = content.front().len() as u64;
        while offset < content.len() {
            let piece = read(content, offset).await?;
            offset += piece.len() as u64;
            self.push(&piece).await?;
        }
        // A reply before the end of the content is none to it.
        self.connection.check_quiet().await?;
        self.stuffing.finish(&mut self.output);
        self.is_ending = true;
        self.connection.write(&self.output).await
    }

    /// Writes what came before, and keeps the piece: the last leaves with the dot.
    async fn push(&mut self, piece: &[u8]) -> Result<(), Fault> {
        if self.output.len() >= PIECE {
            self.connection.write(&self.output).await?;
            self.output.clear();
        }
        self.stuffing.push(piece, &mut self.output);
        Ok(())
    }

    /// A hop that closes in the middle has often said why.
    async fn explained(&mut self, fault: Fault) -> Fault {
        if !matches!(fault, Fault::Io(_)) {
            return fault;
        }
        match within(LAST_WORDS, self.connection.answer(2)).await {
            Ok(Answer::No(reply)) => Fault::Unexpected(reply),
            Err(closing @ Fault::Closing(_)) => closing,
            _ => fault,
        }
    }
}

/// Reads from behind the front, on a thread that may wait for a disk.
async fn read(content: &Arc<Content>, offset: u64) -> Result<Vec<u8>, Fault> {
    let unreadable = |why: String| Fault::Other(format!("the content cannot be read back: {why}"));
    let read = content.in_thread(PATIENCE, move |content| {
        let mut piece = vec![0; PIECE];
        let read = content.read_behind_front(offset, &mut piece)?;
        piece.truncate(read);
        Ok(piece)
    });
    match read.await {
        Ok(piece) if piece.is_empty() => Err(unreadable("it ends early".to_owned())),
        Ok(piece) => Ok(piece),
        Err(error) => Err(unreadable(error.to_string())),
    }
}
