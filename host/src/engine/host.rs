//! The functions that a guest may call: facts, lists, requirements, log.
//!
//! **A policy is a function of its facts, settings and lists**: there is nothing else
//! here, and nothing here reads a clock, a file or a socket. There is one message, one
//! TLS session and one certificate in a decision, so their handles carry no data.

use std::net::SocketAddr;
use std::sync::Arc;

use wasmtime::Result;
use wasmtime::component::Resource;

use super::bindings::handles::{Certificate, Message, RequirementSet, Tls};
use super::bindings::portcullis::policy::{demands, facts, lists, log, types};
use super::budget::Budget;
use super::convert;
use super::log::Log;
use super::outcome::Failure;
use crate::decision::{Requirement, Requirements};
use crate::facts::{Facts, TrustState};
use crate::tenant::lists::Lists;

/// What one call of a guest has at hand: the data of its store.
pub(super) struct Call {
    question: Option<Question>,
    sets: Vec<Requirements>,
    pub(super) budget: Budget,
    pub(super) log: Log,
    /// Ticks it may still run.
    pub(super) ticks: u32,
}

/// What is asked about; none when a module is asked about itself.
#[derive(Clone)]
pub(super) struct Question {
    pub(super) facts: Arc<Facts>,
    pub(super) lists: Arc<Lists>,
}

impl Call {
    pub(super) fn new(question: Option<Question>, budget: Budget, ticks: u32) -> Self {
        Self {
            question,
            sets: Vec::new(),
            budget,
            log: Log::default(),
            ticks,
        }
    }

    /// The handle that `decide` gets.
    pub(super) fn message() -> Resource<Message> {
        Resource::new_borrow(0)
    }

    /// The requirements that a guest returned.
    pub(super) fn take_set(&mut self, set: &Resource<RequirementSet>) -> Option<Requirements> {
        let place = usize::try_from(set.rep()).ok()?;
        self.sets.get_mut(place).map(std::mem::take)
    }

    fn facts(&self) -> Result<&Facts> {
        match &self.question {
            Some(question) => Ok(&question.facts),
            None => Err(ended(Failure::TooMuch(
                "facts outside of a decision".to_owned(),
            ))),
        }
    }

    fn tls(&self) -> Result<&crate::facts::Tls> {
        let tls = self.facts()?.connection.tls.as_ref();
        tls.ok_or_else(|| ended(Failure::Host("a handle to no TLS session".to_owned())))
    }

    fn certificate(&self) -> Result<&crate::facts::Certificate> {
        let certificate = self.facts()?.certificate();
        certificate.ok_or_else(|| ended(Failure::Host("a handle to no certificate".to_owned())))
    }

    /// Adds a requirement to a set.
    fn require(&mut self, set: &Resource<RequirementSet>, requirement: Requirement) -> Result<()> {
        self.budget.requirement().map_err(ended)?;
        let place = usize::try_from(set.rep()).ok();
        let set = place.and_then(|place| self.sets.get_mut(place));
        set.ok_or_else(|| ended(Failure::Host("a handle to no requirements".to_owned())))?
            .insert(requirement);
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<()> {
        self.budget.text(text).map_err(ended)
    }

    fn lookup(&mut self, name: &str, key: &str) -> Result<Option<&str>> {
        self.budget.lookup().map_err(ended)?;
        self.text(name)?;
        self.text(key)?;
        let Some(question) = &self.question else {
            return Ok(None);
        };
        match question.lists.get(name) {
            Some(list) => Ok(list.get(key)),
            None => Err(ended(Failure::UnknownList(super::log::kept(name)))),
        }
    }
}

/// Ends the guest for this reason.
fn ended(failure: Failure) -> wasmtime::Error {
    wasmtime::Error::new(failure)
}

fn endpoint(address: SocketAddr) -> facts::Endpoint {
    facts::Endpoint {
        address: address.ip().to_canonical().to_string(),
        port: address.port(),
    }
}

impl types::Host for Call {}

impl facts::Host for Call {}

impl facts::HostMessage for Call {
    fn id(&mut self, _: Resource<Message>) -> Result<String> {
        Ok(self.facts()?.id.to_string())
    }

    fn now(&mut self, _: Resource<Message>) -> Result<u64> {
        Ok(self.facts()?.now)
    }

    fn stage(&mut self, _: Resource<Message>) -> Result<String> {
        Ok(convert::stage(self.facts()?.stage).to_owned())
    }

    fn direction(&mut self, _: Resource<Message>) -> Result<String> {
        Ok(convert::direction(self.facts()?.direction).to_owned())
    }

    fn tenant(&mut self, _: Resource<Message>) -> Result<String> {
        Ok(self.facts()?.tenant.to_string())
    }

    fn listener(&mut self, _: Resource<Message>) -> Result<String> {
        Ok(self.facts()?.connection.listener.clone())
    }

    fn client(&mut self, _: Resource<Message>) -> Result<facts::Endpoint> {
        Ok(endpoint(self.facts()?.connection.client))
    }

    fn server(&mut self, _: Resource<Message>) -> Result<facts::Endpoint> {
        Ok(endpoint(self.facts()?.connection.server))
    }

    fn proxied_by(&mut self, _: Resource<Message>) -> Result<Option<facts::Endpoint>> {
        Ok(self.facts()?.connection.proxied_by.map(endpoint))
    }

    fn reverse_name(&mut self, _: Resource<Message>) -> Result<Option<String>> {
        let name = self.facts()?.connection.reverse_name.as_ref();
        Ok(name.map(|reverse| reverse.name.clone()))
    }

    fn reverse_name_confirmed(&mut self, _: Resource<Message>) -> Result<bool> {
        let name = self.facts()?.connection.reverse_name.as_ref();
        Ok(name.is_some_and(|reverse| reverse.confirmed))
    }

    fn helo_verb(&mut self, _: Resource<Message>) -> Result<String> {
        Ok(self.facts()?.helo.verb.as_str().to_owned())
    }

    fn helo(&mut self, _: Resource<Message>) -> Result<String> {
        Ok(self.facts()?.helo.name.clone())
    }

    fn sender(&mut self, _: Resource<Message>) -> Result<Option<String>> {
        Ok(self.facts()?.sender.as_ref().map(ToString::to_string))
    }

    fn recipient(&mut self, _: Resource<Message>) -> Result<String> {
        Ok(self.facts()?.recipient.to_string())
    }

    fn recipients_so_far(&mut self, _: Resource<Message>) -> Result<u32> {
        Ok(self.facts()?.recipients_so_far)
    }

    fn declared_size(&mut self, _: Resource<Message>) -> Result<Option<u64>> {
        Ok(self.facts()?.parameters.size)
    }

    fn body(&mut self, _: Resource<Message>) -> Result<Option<String>> {
        let body = self.facts()?.parameters.body;
        Ok(body.map(|body| body.as_str().to_owned()))
    }

    fn smtputf8(&mut self, _: Resource<Message>) -> Result<bool> {
        Ok(self.facts()?.parameters.smtputf8)
    }

    fn requiretls(&mut self, _: Resource<Message>) -> Result<bool> {
        Ok(self.facts()?.parameters.requiretls)
    }

    fn header_from(&mut self, _: Resource<Message>) -> Result<Vec<String>> {
        Ok(self.facts()?.header_from.clone())
    }

    fn starttls_offered(&mut self, _: Resource<Message>) -> Result<bool> {
        Ok(self.facts()?.connection.starttls_offered)
    }

    fn handshake_failure_age(&mut self, _: Resource<Message>) -> Result<Option<u64>> {
        let facts = self.facts()?;
        let failure = facts.connection.handshake_failure.as_ref();
        Ok(failure.map(|failure| facts.now.saturating_sub(failure.at)))
    }

    fn handshake_failure_reason(&mut self, _: Resource<Message>) -> Result<Option<String>> {
        let failure = self.facts()?.connection.handshake_failure.as_ref();
        Ok(failure.map(|failure| failure.reason.clone()))
    }

    fn tls(&mut self, _: Resource<Message>) -> Result<Option<Resource<Tls>>> {
        let tls = self.facts()?.connection.tls.as_ref();
        Ok(tls.map(|_| Resource::new_own(0)))
    }

    fn drop(&mut self, _: Resource<Message>) -> Result<()> {
        Ok(())
    }
}

impl facts::HostTls for Call {
    fn origin(&mut self, _: Resource<Tls>) -> Result<String> {
        Ok(convert::origin(Call::tls(self)?.origin).to_owned())
    }

    fn version(&mut self, _: Resource<Tls>) -> Result<u16> {
        Ok(Call::tls(self)?.version.0)
    }

    fn cipher_suite(&mut self, _: Resource<Tls>) -> Result<String> {
        Ok(Call::tls(self)?.cipher_suite.clone())
    }

    fn secret_bits(&mut self, _: Resource<Tls>) -> Result<u16> {
        Ok(Call::tls(self)?.secret_bits)
    }

    fn key_exchange(&mut self, _: Resource<Tls>) -> Result<Option<String>> {
        Ok(Call::tls(self)?.key_exchange.clone())
    }

    fn post_quantum(&mut self, _: Resource<Tls>) -> Result<bool> {
        Ok(Call::tls(self)?.post_quantum)
    }

    fn server_name(&mut self, _: Resource<Tls>) -> Result<Option<String>> {
        Ok(Call::tls(self)?.server_name.clone())
    }

    fn resumed(&mut self, _: Resource<Tls>) -> Result<bool> {
        Ok(Call::tls(self)?.resumed)
    }

    fn client_certificate(&mut self, _: Resource<Tls>) -> Result<String> {
        let given = &Call::tls(self)?.client_certificate;
        Ok(convert::client_certificate(given).to_owned())
    }

    fn certificate(&mut self, _: Resource<Tls>) -> Result<Option<Resource<Certificate>>> {
        Ok(self.facts()?.certificate().map(|_| Resource::new_own(0)))
    }

    fn drop(&mut self, _: Resource<Tls>) -> Result<()> {
        Ok(())
    }
}

impl facts::HostCertificate for Call {
    fn subject(&mut self, _: Resource<Certificate>) -> Result<String> {
        Ok(Call::certificate(self)?.subject.clone())
    }

    fn issuer(&mut self, _: Resource<Certificate>) -> Result<String> {
        Ok(Call::certificate(self)?.issuer.clone())
    }

    fn serial(&mut self, _: Resource<Certificate>) -> Result<String> {
        Ok(Call::certificate(self)?.serial.clone())
    }

    fn common_name(&mut self, _: Resource<Certificate>) -> Result<Option<String>> {
        Ok(Call::certificate(self)?.common_name.clone())
    }

    fn dns_names(&mut self, _: Resource<Certificate>) -> Result<Vec<String>> {
        Ok(Call::certificate(self)?.dns_names.clone())
    }

    fn email_addresses(&mut self, _: Resource<Certificate>) -> Result<Vec<String>> {
        Ok(Call::certificate(self)?.email_addresses.clone())
    }

    fn ip_addresses(&mut self, _: Resource<Certificate>) -> Result<Vec<String>> {
        let addresses = &Call::certificate(self)?.ip_addresses;
        Ok(addresses.iter().map(ToString::to_string).collect())
    }

    fn uris(&mut self, _: Resource<Certificate>) -> Result<Vec<String>> {
        Ok(Call::certificate(self)?.uris.clone())
    }

    fn not_before(&mut self, _: Resource<Certificate>) -> Result<i64> {
        Ok(Call::certificate(self)?.not_before)
    }

    fn not_after(&mut self, _: Resource<Certificate>) -> Result<i64> {
        Ok(Call::certificate(self)?.not_after)
    }

    fn key_type(&mut self, _: Resource<Certificate>) -> Result<String> {
        Ok(Call::certificate(self)?.key_type.clone())
    }

    fn key_bits(&mut self, _: Resource<Certificate>) -> Result<Option<u32>> {
        Ok(Call::certificate(self)?.key_bits)
    }

    fn signature_algorithm(&mut self, _: Resource<Certificate>) -> Result<String> {
        Ok(Call::certificate(self)?.signature_algorithm.clone())
    }

    fn extended_key_usages(&mut self, _: Resource<Certificate>) -> Result<Vec<String>> {
        Ok(Call::certificate(self)?.extended_key_usages.clone())
    }

    fn sha256(&mut self, _: Resource<Certificate>) -> Result<String> {
        Ok(Call::certificate(self)?.sha256.to_string())
    }

    fn spki_sha256(&mut self, _: Resource<Certificate>) -> Result<String> {
        Ok(Call::certificate(self)?.spki_sha256.to_string())
    }

    fn chain_length(&mut self, _: Resource<Certificate>) -> Result<u32> {
        Ok(Call::certificate(self)?.chain_length)
    }

    fn trust(&mut self, _: Resource<Certificate>, purpose: String) -> Result<String> {
        let trust = convert::trust_for(self.facts()?, &purpose);
        let state = trust.map_or(TrustState::Untrusted, |trust| trust.state);
        Ok(state.as_str().to_owned())
    }

    fn trust_detail(&mut self, _: Resource<Certificate>, purpose: String) -> Result<String> {
        let trust = convert::trust_for(self.facts()?, &purpose);
        Ok(trust.map_or_else(|| "not judged".to_owned(), |trust| trust.detail.clone()))
    }

    fn covers(&mut self, _: Resource<Certificate>, name: String) -> Result<bool> {
        self.text(&name)?;
        let facts = self.facts()?;
        Ok(name.parse().is_ok_and(|name| facts.covers(&name)))
    }

    fn within(&mut self, _: Resource<Certificate>, domain: String) -> Result<bool> {
        self.text(&domain)?;
        let facts = self.facts()?;
        Ok(domain.parse().is_ok_and(|domain| facts.within(&domain)))
    }

    fn drop(&mut self, _: Resource<Certificate>) -> Result<()> {
        Ok(())
    }
}

impl demands::Host for Call {}

impl demands::HostRequirements for Call {
    fn new(&mut self) -> Result<Resource<RequirementSet>> {
        self.budget.set().map_err(ended)?;
        let place = u32::try_from(self.sets.len())?;
        self.sets.push(Requirements::default());
        Ok(Resource::new_own(place))
    }

    fn at_least(&mut self, set: Resource<RequirementSet>, version: u16) -> Result<()> {
        self.require(&set, convert::at_least(version))
    }

    fn post_quantum_key_exchange(&mut self, set: Resource<RequirementSet>) -> Result<()> {
        self.require(&set, Requirement::PostQuantum)
    }

    fn certificate_presented(&mut self, set: Resource<RequirementSet>) -> Result<()> {
        self.require(&set, Requirement::Presented)
    }

    fn certificate_trusted(&mut self, set: Resource<RequirementSet>) -> Result<()> {
        self.require(&set, Requirement::Trusted)
    }

    fn certificate_covers(&mut self, set: Resource<RequirementSet>, name: String) -> Result<()> {
        self.text(&name)?;
        self.require(&set, convert::covers(&name).map_err(ended)?)
    }

    fn certificate_within(&mut self, set: Resource<RequirementSet>, domain: String) -> Result<()> {
        self.text(&domain)?;
        self.require(&set, convert::within(&domain).map_err(ended)?)
    }

    fn certificate_pinned(
        &mut self,
        set: Resource<RequirementSet>,
        pins: Vec<String>,
    ) -> Result<()> {
        for pin in &pins {
            self.budget.pin().map_err(ended)?;
            self.text(pin)?;
        }
        self.require(&set, convert::pinned(&pins).map_err(ended)?)
    }

    fn drop(&mut self, set: Resource<RequirementSet>) -> Result<()> {
        self.take_set(&set);
        Ok(())
    }
}

impl lists::Host for Call {
    fn contains(&mut self, name: String, key: String) -> Result<bool> {
        Ok(Call::lookup(self, &name, &key)?.is_some())
    }

    fn lookup(&mut self, name: String, key: String) -> Result<Option<String>> {
        Ok(Call::lookup(self, &name, &key)?.map(str::to_owned))
    }
}

impl log::Host for Call {
    fn write(&mut self, level: log::Level, text: String) -> Result<()> {
        self.text(&text)?;
        self.log.write(convert::level(level), &text);
        Ok(())
    }
}
