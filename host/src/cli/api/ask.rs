//! One request, before it is known where it goes.

use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderName, IF_MATCH, IF_NONE_MATCH};
use serde::Serialize;
use url::{Position, Url};

/// A host has a minute to answer what it reads, and the answer is on the way then.
const USUAL: Duration = Duration::from_secs(75);

/// And five for what may have to compile all modules.
pub(in crate::cli) const LOADING: Duration = Duration::from_secs(315);

/// What has to be true of what is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Condition {
    /// It has this revision.
    Revision(i64),
    /// It is not there yet.
    New,
}

/// A request.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Ask {
    method: Method,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    condition: Option<Condition>,
    body: Option<(&'static str, Bytes)>,
    patience: Duration,
}

impl Ask {
    fn new(method: Method, path: &[impl AsRef<str>]) -> Self {
        Self {
            method,
            path: path.iter().map(|part| part.as_ref().to_owned()).collect(),
            query: Vec::new(),
            condition: None,
            body: None,
            patience: USUAL,
        }
    }

    /// Reads what is at this path below `/v1`, whose parts may be any text.
    pub(in crate::cli) fn get(path: &[impl AsRef<str>]) -> Self {
        Self::new(Method::GET, path)
    }

    pub(in crate::cli) fn put(path: &[impl AsRef<str>]) -> Self {
        Self::new(Method::PUT, path)
    }

    pub(in crate::cli) fn patch(path: &[impl AsRef<str>]) -> Self {
        Self::new(Method::PATCH, path)
    }

    pub(in crate::cli) fn post(path: &[impl AsRef<str>]) -> Self {
        Self::new(Method::POST, path)
    }

    pub(in crate::cli) fn delete(path: &[impl AsRef<str>]) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// With this parameter, if it has a value.
    pub(in crate::cli) fn with(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        let value = value.map(|value| (name, value.to_string()));
        self.query.extend(value);
        self
    }

    pub(in crate::cli) fn when(mut self, condition: Condition) -> Self {
        self.condition = Some(condition);
        self
    }

    /// With this as its body.
    ///
    /// # Errors
    /// When it cannot be said in JSON.
    pub(in crate::cli) fn json(self, body: &impl Serialize) -> serde_json::Result<Self> {
        Ok(self.body("application/json", serde_json::to_vec(body)?))
    }

    /// With this as its body, of this media type.
    pub(in crate::cli) fn body(mut self, kind: &'static str, body: impl Into<Bytes>) -> Self {
        self.body = Some((kind, body.into()));
        self
    }

    /// Waits so long for the answer.
    pub(in crate::cli) fn within(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    pub(super) fn changes(&self) -> bool {
        self.method != Method::GET
    }

    pub(super) fn method(&self) -> Method {
        self.method.clone()
    }

    /// Path and query, below those of where the API is.
    pub(super) fn target(&self, base: &Url) -> String {
        let mut url = base.clone();
        url.path_segments_mut()
            .expect("what is http or https has a path")
            .pop_if_empty()
            .push("v1")
            .extend(&self.path);
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        url[Position::BeforePath..Position::AfterQuery].to_owned()
    }

    /// Fields of the head.
    pub(super) fn fields(&self) -> Vec<(HeaderName, String)> {
        let condition = self.condition.map(|condition| match condition {
            Condition::Revision(number) => (IF_MATCH, format!("\"{number}\"")),
            Condition::New => (IF_NONE_MATCH, "*".to_owned()),
        });
        let kind = self.body.as_ref();
        let kind = kind.map(|(kind, _)| (CONTENT_TYPE, (*kind).to_owned()));
        condition.into_iter().chain(kind).collect()
    }

    pub(super) fn into_body(self) -> Bytes {
        self.body.map(|(_, body)| body).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_named_is_one_part_of_the_path() {
        let base = |text| Url::parse(text).expect("a URL");
        let ask = Ask::get(&["tenants", "a/b c?d#e%", "policies"]);
        for (at, expected) in [
            (
                "http://localhost",
                "/v1/tenants/a%2Fb%20c%3Fd%23e%25/policies",
            ),
            (
                "https://proxy.example/in/",
                "/in/v1/tenants/a%2Fb%20c%3Fd%23e%25/policies",
            ),
            (
                "https://proxy.example/in",
                "/in/v1/tenants/a%2Fb%20c%3Fd%23e%25/policies",
            ),
        ] {
            assert_eq!(ask.target(&base(at)), expected);
        }
        let ask = Ask::get(&["receipts"])
            .with("sender", Some("a+b&c@d.example"))
            .with("policy", None::<&str>)
            .with("limit", Some(7));
        let expected = "/v1/receipts?sender=a%2Bb%26c%40d.example&limit=7";
        assert_eq!(ask.target(&base("http://localhost")), expected);
    }

    #[test]
    fn conditions_and_kinds_are_fields() {
        let ask = Ask::put(&["x"]).when(Condition::Revision(7));
        assert_eq!(ask.fields(), [(IF_MATCH, "\"7\"".to_owned())]);
        let ask = Ask::put(&["x"])
            .when(Condition::New)
            .body("text/plain", "x");
        let expected = [
            (IF_NONE_MATCH, "*".to_owned()),
            (CONTENT_TYPE, "text/plain".to_owned()),
        ];
        assert_eq!(ask.fields(), expected);
        assert!(Ask::get(&["x"]).fields().is_empty());
    }
}
