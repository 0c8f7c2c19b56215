//! The facts, one method each: a guest pays for what it reads.

use std::net::SocketAddr;

use wasmtime::Result;
use wasmtime::component::Resource;

use super::super::bindings::handles::{Certificate, Message, Tls};
use super::super::bindings::portcullis::policy::facts;
use super::super::convert;
use super::Call;
use crate::facts::TrustState;

fn endpoint(address: SocketAddr) -> facts::Endpoint {
    facts::Endpoint {
        address: address.ip().to_canonical().to_string(),
        port: address.port(),
    }
}

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
        self.text(&purpose)?;
        let trust = convert::trust_for(self.facts()?, &purpose);
        let state = trust.map_or(TrustState::Untrusted, |trust| trust.state);
        Ok(state.as_str().to_owned())
    }

    fn trust_detail(&mut self, _: Resource<Certificate>, purpose: String) -> Result<String> {
        self.text(&purpose)?;
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
