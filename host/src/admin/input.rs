//! What a request says, read into types; what is wrong with it is said by its place.

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Api;
use super::bodies::{Read, Room};
use super::problem::Problem;
use crate::tenant::in_background;

/// Largest body in bytes: a question, a token or a policy is some hundred.
pub(super) const BODY: usize = 64 * 1024;

/// The same where lists and certificates are sent: a hundred thousand entries of 160
/// bytes.
pub(super) const LARGE: usize = 16 << 20;

/// Most values in a body: twice as many as the largest list has entries.
const VALUES: usize = 200_000;

/// Parameters of the path, as text.
pub(super) struct Named<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(named)) => Ok(Self(named)),
            Err(error) => Err(Problem::bad(error.body_text())),
        }
    }
}

/// What stands behind the question mark.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(error) => Err(Problem::bad(error.body_text())),
        }
    }
}

/// A body of JSON.
pub(super) struct Given<T>(pub(super) T);

/// The same where lists and certificates are sent, with the room that it takes: whoever
/// keeps what it was made of keeps that, too.
pub(super) struct GivenLarge<T>(pub(super) T, pub(super) Room);

impl<T: DeserializeOwned> FromRequest<Api> for Given<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let body = json(request, api, BODY).await?;
        parse(body.bytes()).map(Self)
    }
}

impl<T: DeserializeOwned + Send + 'static> FromRequest<Api> for GivenLarge<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let body = json(request, api, LARGE).await?;
        // A hundred thousand entries take a while.
        let read = in_background(move || Ok(Self(parse(body.bytes())?, body.into_room())));
        read.await
    }
}

async fn json(request: Request, api: &Api, limit: usize) -> Result<Read, Problem> {
    let kind = content_type(request.headers());
    if !kind.is_some_and(is_json) {
        return Err(unread(kind, "send JSON, as \"application/json\""));
    }
    api.bodies.read(request.into_body(), limit).await
}

/// What a body is, as far as its head says so.
pub(super) fn content_type(headers: &HeaderMap) -> Option<&str> {
    let kind = headers.get(header::CONTENT_TYPE)?;
    Some(kind.to_str().unwrap_or_default())
}

/// It is of a kind that is not read here.
pub(super) fn unread(kind: Option<&str>, instead: &str) -> Problem {
    let named = kind.map_or("no content type".to_owned(), |kind| format!("{kind:?}"));
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        format!("{named} is not read here: {instead}"),
    )
}

pub(super) fn is_json(kind: &str) -> bool {
    is_kind(kind, "application/json")
}

/// Whether it is this media type, whatever its parameters are.
pub(super) fn is_kind(kind: &str, expected: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(expected)
}

/// At least as many values as there are, so that what is made of a body is not many times
/// as large.
fn values(bytes: &[u8]) -> usize {
    let begins = |byte: &&u8| matches!(byte, b',' | b'[' | b'{');
    bytes.iter().filter(begins).count()
}

/// JSON, and nothing behind it.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if values(bytes) > VALUES {
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body has more than {VALUES} values"),
        ));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let parsed: Result<T, _> = serde_path_to_error::deserialize(&mut json);
    let parsed = parsed.map_err(|error| {
        // The reason has the line and the column.
        let path = error.path().to_string();
        match path.as_str() {
            // Of what has no name, or has none yet.
            "." | "?" => Problem::bad(error.into_inner().to_string()),
            _ => Problem::bad(format!("{path}: {}", error.into_inner())),
        }
    })?;
    json.end()
        .map_err(|error| Problem::bad(error.to_string()))?;
    Ok(parsed)
}

/// What a key holds whose form is said elsewhere.
pub(super) fn within<T: DeserializeOwned>(key: &str, value: Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let at = match path.as_str() {
            "." | "?" => key.to_owned(),
            path => format!("{key}.{path}"),
        };
        Problem::impossible(format!("{at}: {}", error.into_inner()))
    })
}

/// JSON as an answer.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            // What this API answers has nothing that JSON cannot say.
            Err(_) => Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the answer cannot be written as JSON",
            )
            .into_response(),
        }
    }
}

/// The same of something that has a revision.
#[derive(Debug)]
pub(super) struct Revised<T>(pub(super) i64, pub(super) T);

impl<T: Serialize> IntoResponse for Revised<T> {
    fn into_response(self) -> Response {
        let tag = format!("\"{}\"", self.0);
        ([(header::ETAG, tag)], Json(self.1)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "it is there to be read")]
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "it is there to be read")]
        known: u8,
    }

    #[test]
    fn faults_of_a_body_name_their_place() {
        for (body, expected) in [
            (
                r#"{"inner":[{"known":1}]} x"#,
                "trailing characters at line 1 column 25",
            ),
            ("{\n", "EOF while parsing an object at line 2 column 0"),
            (
                r#"{"inner":[{"known":1,"other":2}]}"#,
                "inner[0].other: unknown field `other`, expected `known` at line 1 column 28",
            ),
            (
                "{\"inner\":[\n{\"known\":300}]}",
                "inner[0].known: invalid value: integer `300`, expected u8 at line 2 column 12",
            ),
        ] {
            let problem = parse::<Outer>(body.as_bytes()).expect_err(body);
            let json = serde_json::to_value(problem).expect("JSON");
            assert_eq!(json["detail"], expected);
        }
    }

    #[test]
    fn json_is_what_says_so() {
        for (kind, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("text/json", false),
            ("application/jsonl", false),
            ("", false),
        ] {
            assert_eq!(is_json(kind), expected, "{kind:?}");
        }
    }
}
