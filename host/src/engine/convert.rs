//! Between the interface's types and the host's own. **WIT types stop here**: each
//! served version of the interface is converted into the one internal type.

use std::collections::BTreeSet;

use super::bindings::exports::portcullis::policy::about;
use super::bindings::portcullis::policy::{log as wit_log, types};
use super::host::Call;
use super::log::kept;
use super::module::Manifest;
use super::outcome::{Answer, Failure, LogLevel};
use crate::decision::{Decision, Requirement};
use crate::facts::{ClientCertificate, Facts, Origin, TlsVersion, Trust};

/// The answer of a guest; the requirements it built are held by its call.
pub(super) fn answer(answer: &types::Answer, call: &mut Call) -> Result<Answer, Failure> {
    let decision = match &answer.decision {
        types::Decision::Default => Decision::Default,
        types::Decision::Opportunistic => Decision::Opportunistic,
        types::Decision::Enforced(set) => {
            let set = call.take_set(set);
            Decision::Enforced(
                set.ok_or_else(|| Failure::Host("a handle to no requirements".to_owned()))?,
            )
        }
    };
    Ok(Answer {
        decision,
        reason: kept(&answer.reason),
    })
}

pub(super) fn manifest(manifest: about::Manifest) -> Manifest {
    Manifest {
        name: manifest.name,
        version: manifest.version,
        description: manifest.description,
        settings_schema: manifest.settings_schema,
    }
}

pub(super) fn level(level: wit_log::Level) -> LogLevel {
    match level {
        wit_log::Level::Debug => LogLevel::Debug,
        wit_log::Level::Info => LogLevel::Info,
        wit_log::Level::Warn => LogLevel::Warn,
    }
}

pub(super) fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Socket => "socket",
        // What a claim is worth here is the operator's decision, not the policy's.
        Origin::Proxy | Origin::TrustedProxy => "proxy",
    }
}

pub(super) fn client_certificate(certificate: &ClientCertificate) -> &'static str {
    match certificate {
        ClientCertificate::NotAsked => "not-asked",
        ClientCertificate::None => "none",
        ClientCertificate::Given(_) => "given",
        ClientCertificate::Claimed(_) => "claimed",
    }
}

/// What the tenant's trust says for a purpose; none for a purpose that there is not.
pub(super) fn trust_for<'a>(facts: &'a Facts, purpose: &str) -> Option<&'a Trust> {
    let judgement = facts.trust.as_ref()?;
    match purpose {
        "client" => Some(&judgement.client),
        "server" => Some(&judgement.server),
        _ => None,
    }
}

pub(super) fn at_least(version: u16) -> Requirement {
    Requirement::AtLeast(TlsVersion(version))
}

pub(super) fn covers(name: &str) -> Result<Requirement, Failure> {
    name.parse()
        .map(Requirement::Covers)
        .map_err(|error| unfit(&error))
}

pub(super) fn within(domain: &str) -> Result<Requirement, Failure> {
    domain
        .parse()
        .map(Requirement::Within)
        .map_err(|error| unfit(&error))
}

/// An empty list is a requirement that no key meets: it refuses, it does not fail.
pub(super) fn pinned(pins: &[String]) -> Result<Requirement, Failure> {
    let parsed: Result<BTreeSet<_>, _> = pins.iter().map(|pin| pin.parse()).collect();
    parsed
        .map(Requirement::Pinned)
        .map_err(|error| unfit(&error))
}

fn unfit(why: &impl ToString) -> Failure {
    Failure::BadRequirement(kept(&why.to_string()))
}
