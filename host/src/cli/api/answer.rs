//! What a host answered.

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderName};
use hyper::{Response, StatusCode};
use serde::de::DeserializeOwned;

use super::ask::Condition;
use super::failure::{Failure, Problem};
use super::patience::again_after;

/// Largest answer in bytes. A page has a thousand items, a tenant a megabyte of PEM.
const LARGEST: usize = 64 << 20;

/// A good answer.
#[derive(Debug)]
pub(in crate::cli) struct Answer {
    place: String,
    status: StatusCode,
    head: HeaderMap,
    body: Bytes,
}

impl Answer {
    pub(super) async fn read(
        place: &str,
        answer: Response<Incoming>,
        lost: impl Fn(String) -> Failure,
    ) -> Result<Self, Failure> {
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, LARGEST).collect().await;
        let body = body.map_err(|error| lost(error.to_string()))?.to_bytes();
        let answer = Self {
            place: place.to_owned(),
            status: head.status,
            head: head.headers,
            body,
        };
        if answer.status.is_success() {
            return Ok(answer);
        }
        match (answer.field(&CONTENT_TYPE), answer.json::<Problem>()) {
            (Some("application/problem+json"), Ok(problem)) => Err(Failure::Refused(Problem {
                again_after: again_after(answer.status, &answer.head),
                ..problem
            })),
            _ => Err(answer.strange(&answer.status.to_string())),
        }
    }

    fn field(&self, name: &HeaderName) -> Option<&str> {
        self.head.get(name).and_then(|value| value.to_str().ok())
    }

    /// That it has the revision that was told.
    ///
    /// # Errors
    /// When none was.
    pub(in crate::cli) fn unchanged(&self) -> Result<Condition, Failure> {
        let tag = self.field(&ETAG).map(|tag| tag.trim_matches('"').parse());
        match tag {
            Some(Ok(revision)) => Ok(Condition::Revision(revision)),
            _ => Err(self.strange("what has no revision")),
        }
    }

    /// Whether what was sent was there already: nothing was made, and nothing is yet to be
    /// done.
    pub(in crate::cli) fn is_as_it_was(&self) -> bool {
        self.status == StatusCode::OK
    }

    /// It as it is.
    pub(in crate::cli) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// It as what it is read as.
    ///
    /// # Errors
    /// When it is something else.
    pub(in crate::cli) fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let parsed = serde_json::from_slice(&self.body);
        parsed.map_err(|error| self.strange(&format!("what came ({error})")))
    }

    fn strange(&self, what: &str) -> Failure {
        Failure::Strange {
            place: self.place.clone(),
            what: what.to_owned(),
        }
    }
}
