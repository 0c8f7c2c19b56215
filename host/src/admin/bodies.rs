//! Bodies of requests, read within bounds.
//!
//! **What all of them take together is bounded**, too: a list has megabytes, and dozens of
//! clients may send one at a time. Memory is taken as octets come in, so that a client
//! that sends slowly holds little of it.

use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use super::problem::Problem;

/// All bodies that are being read or worked on, in bytes.
const ALL: usize = 128 << 20;

/// Room for bodies.
#[derive(Clone, Debug)]
pub(super) struct Bodies(Arc<Semaphore>);

/// A body that was read, and the room that it takes.
#[derive(Debug)]
pub(super) struct Read {
    bytes: Vec<u8>,
    room: Room,
}

/// The room for a body, taken until this is dropped: by what was made of the body, too.
#[derive(Debug)]
pub(super) struct Room(
    #[expect(dead_code, reason = "it is there to be held")] Option<OwnedSemaphorePermit>,
);

impl Default for Bodies {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ALL)))
    }
}

impl Bodies {
    /// The whole of it.
    pub(super) async fn read(&self, mut body: Body, limit: usize) -> Result<Read, Problem> {
        let (mut bytes, mut room) = (Vec::new(), None::<OwnedSemaphorePermit>);
        while let Some(frame) = body.frame().await {
            let cut_off = |error| Problem::bad(format!("the body ends early: {error}"));
            let Ok(data) = frame.map_err(cut_off)?.into_data() else {
                continue;
            };
            if data.len() > limit.saturating_sub(bytes.len()) {
                return Err(Problem::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    format!("the body has more than {limit} bytes"),
                ));
            }
            let more = self.room(data.len())?;
            match &mut room {
                Some(room) => room.merge(more),
                None => room = Some(more),
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Read {
            bytes,
            room: Room(room),
        })
    }

    fn room(&self, octets: usize) -> Result<OwnedSemaphorePermit, Problem> {
        // A frame is never near so large.
        let octets = u32::try_from(octets).unwrap_or(u32::MAX);
        let taken = Arc::clone(&self.0).try_acquire_many_owned(octets);
        taken.map_err(|error| match error {
            TryAcquireError::NoPermits | TryAcquireError::Closed => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many large bodies are sent at one time: try again in a moment",
            ),
        })
    }
}

impl Read {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn into_room(self) -> Room {
        self.room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(octets: usize) -> Body {
        Body::from(vec![b'x'; octets])
    }

    #[tokio::test]
    async fn a_body_over_its_limit_is_refused_and_holds_nothing() {
        let bodies = Bodies::default();
        let read = bodies.read(text(10), 10).await.expect("within the limit");
        assert_eq!(read.bytes().len(), 10);
        let refused = bodies.read(text(11), 10).await.expect_err("over it");
        let json = serde_json::to_value(refused).expect("JSON");
        assert_eq!(json["status"], 413);
        assert_eq!(json["detail"], "the body has more than 10 bytes");
        assert_eq!(bodies.0.available_permits(), ALL - 10);
        drop(read);
        assert_eq!(bodies.0.available_permits(), ALL);
    }

    #[tokio::test]
    async fn all_of_them_are_bounded_together() {
        let bodies = Bodies::default();
        let half = ALL / 2 + 1;
        let first = bodies.read(text(half), ALL).await.expect("there is room");
        let refused = bodies.read(text(half), ALL).await.expect_err("no room");
        assert_eq!(serde_json::to_value(refused).expect("JSON")["status"], 503);
        drop(first);
        assert!(bodies.read(text(half), ALL).await.is_ok());
    }
}
