//! Changes: what they are founded on, and what is said of them.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Schema, Type};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::access::Caller;
use super::input::Json;
use super::problem::Problem;
use crate::config::TenantDocument;
use crate::digest::Digest;
use crate::facts::TenantId;
use crate::server::{Amended, Amendment, Current, ReloadError};
use crate::store::Subject;

/// Entity tags as a pattern (RFC 9110, section 8.8.3).
const TAGS: &str = "^(W/)?\"[!#-~]*\"([ \t]*,[ \t]*(W/)?\"[!#-~]*\")*$";

/// How something is changed.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct How {
    /// `true` only says what would change.
    #[serde(default)]
    dry_run: bool,
}

impl How {
    pub(super) fn is_dry_run(self) -> bool {
        self.dry_run
    }
}

/// What was changed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Changed {
    /// A line for each difference; none where it was so already.
    #[schema(example = json!(["~ tenant acme: policy all: option \"opportunistic\" → \"enforced\""]))]
    changes: Vec<String>,
    /// What is no fault and is hardly meant: a line each, for operators alone.
    warnings: Vec<String>,
    /// Milliseconds from the request until it was in force; null where it was not to be.
    in_force_ms: Option<f64>,
}

impl Changed {
    pub(super) fn of(changes: Vec<String>, took: Option<Duration>) -> Self {
        // To the microsecond: what is finer is chance.
        let milliseconds = |took: Duration| (took.as_secs_f64() * 1e6).round() / 1e3;
        Self {
            changes,
            warnings: Vec::new(),
            in_force_ms: took.map(milliseconds),
        }
    }

    pub(super) fn warning(self, warnings: Vec<String>) -> Self {
        Self { warnings, ..self }
    }
}

/// On what a change is founded (RFC 9110, section 13.1).
#[derive(Clone, Debug, Default)]
pub(super) struct Preconditions {
    matches: Option<Matches>,
    /// It must not be there.
    absent: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Matches {
    Any,
    /// Entity tags as they are.
    Tags(Vec<String>),
}

impl IntoParams for Preconditions {
    fn into_params(_in: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let field = |name: &str, description: &str, form: Schema| {
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Header)
                .description(Some(description))
                .schema(Some(form))
                .build()
        };
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let any = || text().enum_values(Some(["*"]));
        let tags = AnyOfBuilder::new()
            .item(text().pattern(Some(TAGS)))
            .item(any());
        vec![
            field(
                "If-Match",
                "The `ETag` of what is to be changed, as it was seen: what is there is not changed without it.",
                Schema::AnyOf(tags.build()),
            ),
            field(
                "If-None-Match",
                "`*` for what must not be there.",
                Schema::Object(any().build()),
            ),
        ]
    }
}

/// A change of one part of a tenant.
pub(super) struct Change {
    pub(super) tenant: TenantId,
    pub(super) part: Subject,
    pub(super) who: Caller,
    pub(super) how: How,
    pub(super) preconditions: Preconditions,
}

impl<S: Send + Sync> FromRequestParts<S> for Preconditions {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Self::of(&parts.headers)
    }
}

impl Preconditions {
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let absent = match field(headers, &header::IF_NONE_MATCH)?.as_deref() {
            None => false,
            Some("*") => true,
            Some(other) => {
                return Err(Problem::bad(format!(
                    "If-None-Match: {other:?} is not understood here: send *, for what must not be there"
                )));
            }
        };
        let matches = field(headers, &header::IF_MATCH)?.map(|tags| match tags.as_str() {
            "*" => Matches::Any,
            tags => Matches::Tags(tags.split(',').map(|tag| tag.trim().to_owned()).collect()),
        });
        Ok(Self { matches, absent })
    }

    /// For a change that says all that it changes, whatever is there.
    pub(super) fn or_any(self) -> Self {
        Self {
            matches: self.matches.or(Some(Matches::Any)),
            ..self
        }
    }

    /// Whether a change of what has this revision, or is not there, may be made.
    pub(super) fn check(&self, what: &Subject, revision: Option<i64>) -> Result<(), Problem> {
        let failed = |detail| Err(Problem::new(StatusCode::PRECONDITION_FAILED, detail));
        let Some(revision) = revision else {
            return match &self.matches {
                None => Ok(()),
                Some(_) => failed(format!("{what} is not there, or not any more")),
            };
        };
        if self.absent {
            return failed(format!("{what} is there already, with revision {revision}"));
        }
        match &self.matches {
            None => Err(Problem::new(
                StatusCode::PRECONDITION_REQUIRED,
                format!(
                    "{what} is there: say which revision of it you have seen, as If-Match with the ETag of a GET"
                ),
            )),
            Some(Matches::Any) => Ok(()),
            // Only equal strong tags match (RFC 9110, section 13.1.1).
            Some(Matches::Tags(tags)) if tags.contains(&format!("\"{revision}\"")) => Ok(()),
            Some(Matches::Tags(tags)) => failed(format!(
                "{what} has revision \"{revision}\" now, and not {}: look at it again",
                tags.join(", ")
            )),
        }
    }
}

/// All fields of this name as one.
fn field(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, Problem> {
    let mut values = Vec::new();
    for value in headers.get_all(name) {
        let text = value.to_str();
        values.push(text.map_err(|_| Problem::bad(format!("{name}: this is not ASCII")))?);
    }
    Ok((!values.is_empty()).then(|| values.join(", ")))
}

impl Api {
    /// Changes a part of a tenant. `edit` works on the tenant's document as it is, once
    /// the preconditions hold.
    ///
    /// It goes on where the client goes away: nobody leaves half of it behind.
    pub(super) async fn change(
        &self,
        change: Change,
        edit: impl FnOnce(TenantDocument) -> Result<Option<TenantDocument>, Problem> + Send + 'static,
    ) -> Result<Response, Problem> {
        self.change_knowing(change, |document, _| edit(document))
            .await
    }

    /// The same, where `edit` is also told which revision of the module that it is about
    /// was active before.
    pub(super) async fn change_knowing(
        &self,
        change: Change,
        edit: impl FnOnce(TenantDocument, Option<Digest>) -> Result<Option<TenantDocument>, Problem>
        + Send
        + 'static,
    ) -> Result<Response, Problem> {
        let Change {
            tenant,
            part,
            who,
            how,
            preconditions,
        } = change;
        let is_tenant = part == Subject::Tenant;
        let amendment = Amendment {
            tenant: tenant.clone(),
            part,
            who: who.name,
            dry_run: how.dry_run,
            asked: Instant::now(),
        };
        let reloader = Arc::clone(&self.reloader);
        // Whoever goes away while this waits takes nobody else's place.
        let place = Arc::clone(&self.places).acquire_owned().await;
        let work = self.changes.spawn(async move {
            let _place = place;
            let part = amendment.part.clone();
            let change = move |current: Current| {
                let Current {
                    document,
                    revision,
                    previous,
                } = current;
                let document = match document {
                    Some(document) => TenantDocument::clone(&document),
                    None if is_tenant => TenantDocument::empty(tenant),
                    None => return Err(Problem::no_tenant(tenant.as_str())),
                };
                match revision {
                    Some(_) => preconditions
                        .check(&part, revision)
                        .and_then(|()| edit(document, previous)),
                    // What is to be changed and is not there is missed first (RFC 9110,
                    // section 13.2.1).
                    None => {
                        let edited = edit(document, previous)?;
                        preconditions.check(&part, None).map(|()| edited)
                    }
                }
            };
            reloader.amend(&amendment, change).await
        });
        // It does not panic, and nobody aborts it.
        let done = work
            .await
            .map_err(|_| Problem::from(ReloadError::Stopping))?;
        let amended: Amended = done?;
        if let Some(took) = amended.took {
            self.host.metrics.api.changed(took);
        }
        Ok(answer(amended, how))
    }
}

impl Api {
    /// Loads something, in a place as changes have one, to its end.
    pub(super) async fn load<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, ReloadError>> + Send + 'static,
    ) -> Result<T, ReloadError> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let work = self.changes.spawn(async move {
            let _place = place;
            work.await
        });
        // It does not panic, and nobody aborts it.
        work.await.unwrap_or(Err(ReloadError::Stopping))
    }
}

fn answer(amended: Amended, how: How) -> Response {
    let status = match amended.is_new && !how.dry_run {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    let tag = amended
        .revision
        .map(|revision| (header::ETAG, format!("\"{revision}\"")));
    let changed = Changed::of(amended.changes, amended.took).warning(amended.warnings);
    let mut response = (status, Json(changed)).into_response();
    if let Some((name, value)) = tag
        && let Ok(value) = value.parse()
    {
        response.headers_mut().insert(name, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn preconditions(fields: &[(HeaderName, &'static str)]) -> Result<Preconditions, Problem> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, HeaderValue::from_static(value));
        }
        Preconditions::of(&headers)
    }

    #[test]
    fn a_change_is_founded_on_what_is_there() {
        const MATCH: HeaderName = header::IF_MATCH;
        const NONE: HeaderName = header::IF_NONE_MATCH;
        for (fields, there, expected) in [
            (vec![], None, 0),
            (vec![], Some(3), 428),
            (vec![(MATCH, "\"3\"")], Some(3), 0),
            (vec![(MATCH, "\"2\"")], Some(3), 412),
            (vec![(MATCH, "\"2\""), (MATCH, "\"3\"")], Some(3), 0),
            (vec![(MATCH, "\"2\" , \"3\"")], Some(3), 0),
            (vec![(MATCH, "3")], Some(3), 412),
            (vec![(MATCH, "W/\"3\"")], Some(3), 412),
            (vec![(MATCH, "*")], Some(3), 0),
            (vec![(MATCH, "*")], None, 412),
            (vec![(MATCH, "\"3\"")], None, 412),
            (vec![(NONE, "*")], None, 0),
            (vec![(NONE, "*")], Some(3), 412),
        ] {
            let checked = preconditions(&fields).expect("it is understood");
            let found = match checked.check(&Subject::Policy("p".to_owned()), there) {
                Ok(()) => 0,
                Err(problem) => problem.status(),
            };
            assert_eq!(found, expected, "{fields:?} {there:?}");
        }
        let refused = preconditions(&[(NONE, "\"3\"")]).expect_err("only * is");
        assert_eq!(refused.status(), 400);
    }
}
