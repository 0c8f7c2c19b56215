//! The facts, one method each: a guest pays for what it reads.

use std::net::SocketAddr;

use serde_json::Value;
use wasmtime::Result;
use wasmtime::component::Resource;

use super::super::bindings::handles::{Certificate, Message, Tls};
use super::super::bindings::portcullis::policy::facts;
use super::super::convert;
use super::{Call, Told};
use crate::address::Mailbox;
use crate::facts::{Fact, TrustState};

fn endpoint(address: SocketAddr) -> facts::Endpoint {
    facts::Endpoint {
        address: address.ip().to_canonical().to_string(),
        port: address.port(),
    }
}

impl Told for facts::Endpoint {
    fn bytes(&self) -> usize {
        self.address.len()
    }

    fn shown(&self) -> Value {
        match self.address.contains(':') {
            true => format!("[{}]:{}", self.address, self.port).into(),
            false => format!("{}:{}", self.address, self.port).into(),
        }
    }
}

impl facts::Host for Call {}

impl facts::HostMessage for Call {
    fn id(&mut self, _: Resource<Message>) -> Result<String> {
        self.tell("message.id", |facts| facts.id.to_string())
    }

    fn now(&mut self, _: Resource<Message>) -> Result<u64> {
        self.tell("message.now", |facts| facts.now)
    }

    fn stage(&mut self, _: Resource<Message>) -> Result<String> {
        self.tell("message.stage", |facts| facts.stage.as_str().to_owned())
    }

    fn direction(&mut self, _: Resource<Message>) -> Result<String> {
        self.tell("message.direction", |facts| {
            facts.direction.as_str().to_owned()
        })
    }

    fn tenant(&mut self, _: Resource<Message>) -> Result<String> {
        self.tell("message.tenant", |facts| facts.tenant.to_string())
    }

    fn listener(&mut self, _: Resource<Message>) -> Result<String> {
        self.tell("message.listener", |facts| {
            facts.connection.listener.clone()
        })
    }

    fn client(&mut self, _: Resource<Message>) -> Result<facts::Endpoint> {
        self.tell("message.client", |facts| endpoint(facts.connection.client))
    }

    fn server(&mut self, _: Resource<Message>) -> Result<facts::Endpoint> {
        self.tell("message.server", |facts| endpoint(facts.connection.server))
    }

    fn proxied_by(&mut self, _: Resource<Message>) -> Result<Option<facts::Endpoint>> {
        self.tell_noted("message.proxied-by", Fact::ProxiedBy, |facts| {
            facts.connection.proxied_by.map(endpoint)
        })
    }

    fn reverse_name(&mut self, _: Resource<Message>) -> Result<Option<String>> {
        self.tell_noted("message.reverse-name", Fact::ReverseName, |facts| {
            let name = facts.connection.reverse_name.as_ref();
            name.map(|reverse| reverse.name.clone())
        })
    }

    fn reverse_name_confirmed(&mut self, _: Resource<Message>) -> Result<bool> {
        self.tell_noted(
            "message.reverse-name-confirmed",
            Fact::ReverseName,
            |facts| {
                let name = facts.connection.reverse_name.as_ref();
                name.is_some_and(|reverse| reverse.confirmed)
            },
        )
    }

    fn helo_verb(&mut self, _: Resource<Message>) -> Result<String> {
        self.tell("message.helo-verb", |facts| {
            facts.helo.verb.as_str().to_owned()
        })
    }

    fn helo(&mut self, _: Resource<Message>) -> Result<String> {
        self.tell("message.helo", |facts| facts.helo.name.clone())
    }

    fn sender(&mut self, _: Resource<Message>) -> Result<Option<String>> {
        self.tell("message.sender", |facts| {
            facts.sender.as_ref().map(ToString::to_string)
        })
    }

    fn recipient(&mut self, _: Resource<Message>) -> Result<String> {
        self.tell("message.recipient", |facts| facts.recipient.to_string())
    }

    fn recipients_so_far(&mut self, _: Resource<Message>) -> Result<u32> {
        self.tell("message.recipients-so-far", |facts| facts.recipients_so_far)
    }

    fn declared_size(&mut self, _: Resource<Message>) -> Result<Option<u64>> {
        self.tell("message.declared-size", |facts| facts.parameters.size)
    }

    fn body(&mut self, _: Resource<Message>) -> Result<Option<String>> {
        self.tell("message.body", |facts| {
            facts.parameters.body.map(|body| body.as_str().to_owned())
        })
    }

    fn smtputf8(&mut self, _: Resource<Message>) -> Result<bool> {
        self.tell("message.smtputf8", |facts| facts.parameters.smtputf8)
    }

    fn requiretls(&mut self, _: Resource<Message>) -> Result<bool> {
        self.tell("message.requiretls", |facts| facts.parameters.requiretls)
    }

    fn header_from(&mut self, _: Resource<Message>) -> Result<Vec<String>> {
        self.tell_noted("message.header-from", Fact::HeaderFrom, |facts| {
            facts.header_from.iter().map(Mailbox::to_string).collect()
        })
    }

    fn starttls_offered(&mut self, _: Resource<Message>) -> Result<bool> {
        self.tell("message.starttls-offered", |facts| {
            facts.connection.starttls_offered
        })
    }

    fn handshake_failure_age(&mut self, _: Resource<Message>) -> Result<Option<u64>> {
        self.tell_noted(
            "message.handshake-failure-age",
            Fact::HandshakeFailure,
            |facts| {
                let failure = facts.connection.handshake_failure.as_ref();
                failure.map(|failure| facts.now.saturating_sub(failure.at))
            },
        )
    }

    fn handshake_failure_reason(&mut self, _: Resource<Message>) -> Result<Option<String>> {
        self.tell_noted(
            "message.handshake-failure-reason",
            Fact::HandshakeFailure,
            |facts| {
                let failure = facts.connection.handshake_failure.as_ref();
                failure.map(|failure| failure.reason.clone())
            },
        )
    }

    fn tls(&mut self, _: Resource<Message>) -> Result<Option<Resource<Tls>>> {
        self.tell("message.tls", |facts| {
            facts.connection.secured().map(|_| Resource::new_own(0))
        })
    }

    fn drop(&mut self, _: Resource<Message>) -> Result<()> {
        Ok(())
    }
}

impl facts::HostTls for Call {
    fn origin(&mut self, _: Resource<Tls>) -> Result<String> {
        self.tell_tls("tls.origin", |tls| convert::origin(tls.origin).to_owned())
    }

    fn version(&mut self, _: Resource<Tls>) -> Result<u16> {
        self.tell_tls("tls.version", |tls| tls.version.0)
    }

    fn cipher_suite(&mut self, _: Resource<Tls>) -> Result<String> {
        self.tell_tls("tls.cipher-suite", |tls| tls.cipher_suite.clone())
    }

    fn secret_bits(&mut self, _: Resource<Tls>) -> Result<u16> {
        self.tell_tls("tls.secret-bits", |tls| tls.secret_bits)
    }

    fn key_exchange(&mut self, _: Resource<Tls>) -> Result<Option<String>> {
        self.tell_tls("tls.key-exchange", |tls| tls.key_exchange.clone())
    }

    fn post_quantum(&mut self, _: Resource<Tls>) -> Result<bool> {
        self.tell_tls("tls.post-quantum", |tls| tls.post_quantum)
    }

    fn server_name(&mut self, _: Resource<Tls>) -> Result<Option<String>> {
        self.tell_tls("tls.server-name", |tls| tls.server_name.clone())
    }

    fn resumed(&mut self, _: Resource<Tls>) -> Result<bool> {
        self.tell_tls("tls.resumed", |tls| tls.resumed)
    }

    fn client_certificate(&mut self, _: Resource<Tls>) -> Result<String> {
        self.tell_tls("tls.client-certificate", |tls| {
            convert::client_certificate(&tls.client_certificate).to_owned()
        })
    }

    fn certificate(&mut self, _: Resource<Tls>) -> Result<Option<Resource<Certificate>>> {
        self.tell("tls.certificate", |facts| {
            facts.certificate().map(|_| Resource::new_own(0))
        })
    }

    fn drop(&mut self, _: Resource<Tls>) -> Result<()> {
        Ok(())
    }
}

impl facts::HostCertificate for Call {
    fn subject(&mut self, _: Resource<Certificate>) -> Result<String> {
        self.tell_certificate("certificate.subject", |certificate| {
            certificate.subject.clone()
        })
    }

    fn issuer(&mut self, _: Resource<Certificate>) -> Result<String> {
        self.tell_certificate("certificate.issuer", |certificate| {
            certificate.issuer.clone()
        })
    }

    fn serial(&mut self, _: Resource<Certificate>) -> Result<String> {
        self.tell_certificate("certificate.serial", |certificate| {
            certificate.serial.clone()
        })
    }

    fn common_name(&mut self, _: Resource<Certificate>) -> Result<Option<String>> {
        self.tell_certificate("certificate.common-name", |certificate| {
            certificate.common_name.clone()
        })
    }

    fn dns_names(&mut self, _: Resource<Certificate>) -> Result<Vec<String>> {
        self.tell_certificate("certificate.dns-names", |certificate| {
            certificate.dns_names.clone()
        })
    }

    fn email_addresses(&mut self, _: Resource<Certificate>) -> Result<Vec<String>> {
        self.tell_certificate("certificate.email-addresses", |certificate| {
            certificate.email_addresses.clone()
        })
    }

    fn ip_addresses(&mut self, _: Resource<Certificate>) -> Result<Vec<String>> {
        self.tell_certificate("certificate.ip-addresses", |certificate| {
            let addresses = certificate.ip_addresses.iter();
            addresses.map(ToString::to_string).collect::<Vec<_>>()
        })
    }

    fn uris(&mut self, _: Resource<Certificate>) -> Result<Vec<String>> {
        self.tell_certificate("certificate.uris", |certificate| certificate.uris.clone())
    }

    fn not_before(&mut self, _: Resource<Certificate>) -> Result<i64> {
        self.tell_certificate("certificate.not-before", |certificate| {
            certificate.not_before
        })
    }

    fn not_after(&mut self, _: Resource<Certificate>) -> Result<i64> {
        self.tell_certificate("certificate.not-after", |certificate| certificate.not_after)
    }

    fn key_type(&mut self, _: Resource<Certificate>) -> Result<String> {
        self.tell_certificate("certificate.key-type", |certificate| {
            certificate.key_type.clone()
        })
    }

    fn key_bits(&mut self, _: Resource<Certificate>) -> Result<Option<u32>> {
        self.tell_certificate("certificate.key-bits", |certificate| certificate.key_bits)
    }

    fn signature_algorithm(&mut self, _: Resource<Certificate>) -> Result<String> {
        self.tell_certificate("certificate.signature-algorithm", |certificate| {
            certificate.signature_algorithm.clone()
        })
    }

    fn extended_key_usages(&mut self, _: Resource<Certificate>) -> Result<Vec<String>> {
        self.tell_certificate("certificate.extended-key-usages", |certificate| {
            certificate.extended_key_usages.clone()
        })
    }

    fn sha256(&mut self, _: Resource<Certificate>) -> Result<String> {
        self.tell_certificate("certificate.sha256", |certificate| {
            certificate.sha256.to_string()
        })
    }

    fn spki_sha256(&mut self, _: Resource<Certificate>) -> Result<String> {
        self.tell_certificate("certificate.spki-sha256", |certificate| {
            certificate.spki_sha256.to_string()
        })
    }

    fn chain_length(&mut self, _: Resource<Certificate>) -> Result<u32> {
        self.tell_certificate("certificate.chain-length", |certificate| {
            certificate.chain_length
        })
    }

    fn trust(&mut self, _: Resource<Certificate>, purpose: String) -> Result<String> {
        self.text(&purpose)?;
        self.tell_noted(
            ("certificate.trust", purpose.as_str()),
            Fact::Trust,
            |facts| {
                let trust = convert::trust_for(facts, &purpose);
                let state = trust.map_or(TrustState::Untrusted, |trust| trust.state);
                state.as_str().to_owned()
            },
        )
    }

    fn trust_detail(&mut self, _: Resource<Certificate>, purpose: String) -> Result<String> {
        self.text(&purpose)?;
        self.tell_noted(
            ("certificate.trust-detail", purpose.as_str()),
            Fact::Trust,
            |facts| {
                let trust = convert::trust_for(facts, &purpose);
                trust.map_or_else(|| "not judged".to_owned(), |trust| trust.detail.clone())
            },
        )
    }

    fn covers(&mut self, _: Resource<Certificate>, name: String) -> Result<bool> {
        self.text(&name)?;
        self.tell_noted(
            ("certificate.covers", name.as_str()),
            Fact::Trust,
            |facts| name.parse().is_ok_and(|name| facts.covers(&name)),
        )
    }

    fn within(&mut self, _: Resource<Certificate>, domain: String) -> Result<bool> {
        self.text(&domain)?;
        self.tell_noted(
            ("certificate.within", domain.as_str()),
            Fact::Trust,
            |facts| domain.parse().is_ok_and(|domain| facts.within(&domain)),
        )
    }

    fn drop(&mut self, _: Resource<Certificate>) -> Result<()> {
        Ok(())
    }
}
