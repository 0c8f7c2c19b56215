//! The interface's resources as plain data.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::message::Level;

/// A struct of data with a method for each field, as the bindings have for each fact.
macro_rules! facts {
    ($name:ident { $($fact:ident: $type:ty),* $(,)? } { $($own:ident: $own_type:ty),* $(,)? }) => {
        #[derive(Clone, Debug)]
        pub(crate) struct $name {
            $(pub(crate) $fact: $type,)*
            $(pub(crate) $own: $own_type,)*
        }

        impl $name {
            $(pub(crate) fn $fact(&self) -> $type {
                self.$fact.clone()
            })*
        }
    };
}

facts! {
    Message {
        id: String,
        now: u64,
        stage: String,
        direction: String,
        tenant: String,
        listener: String,
        client: Endpoint,
        server: Endpoint,
        proxied_by: Option<Endpoint>,
        reverse_name: Option<String>,
        reverse_name_confirmed: bool,
        helo_verb: String,
        helo: String,
        sender: Option<String>,
        recipient: String,
        recipients_so_far: u32,
        declared_size: Option<u64>,
        body: Option<String>,
        smtputf8: bool,
        requiretls: bool,
        header_from: Vec<String>,
        starttls_offered: bool,
        handshake_failure_age: Option<u64>,
        handshake_failure_reason: Option<String>,
        tls: Option<Tls>,
    } {
        lists: BTreeMap<String, BTreeMap<String, String>>,
        lines: RefCell<Vec<(Level, String)>>,
    }
}

facts! {
    Tls {
        origin: String,
        version: u16,
        cipher_suite: String,
        secret_bits: u16,
        key_exchange: Option<String>,
        post_quantum: bool,
        server_name: Option<String>,
        resumed: bool,
        client_certificate: String,
        certificate: Option<Certificate>,
    } {}
}

facts! {
    Certificate {
        subject: String,
        issuer: String,
        serial: String,
        common_name: Option<String>,
        dns_names: Vec<String>,
        email_addresses: Vec<String>,
        ip_addresses: Vec<String>,
        uris: Vec<String>,
        not_before: i64,
        not_after: i64,
        key_type: String,
        key_bits: Option<u32>,
        signature_algorithm: String,
        extended_key_usages: Vec<String>,
        sha256: String,
        spki_sha256: String,
        chain_length: u32,
    } {
        client_trust: (String, String),
        server_trust: (String, String),
        accept_self_signed: bool,
    }
}

/// An address of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) address: String,
    pub(crate) port: u16,
}

impl Message {
    pub(crate) fn contains(&self, list: &str, key: &str) -> bool {
        self.entries(list).contains_key(key)
    }

    pub(crate) fn lookup(&self, list: &str, key: &str) -> Option<String> {
        self.entries(list).get(key).cloned()
    }

    #[expect(clippy::panic, reason = "the host ends the policy in the same place")]
    fn entries(&self, list: &str) -> &BTreeMap<String, String> {
        self.lists
            .get(list)
            .unwrap_or_else(|| panic!("the tenant has no list {list:?}"))
    }

    pub(crate) fn log(&self, level: Level, line: &str) {
        self.lines.borrow_mut().push((level, line.to_owned()));
    }

    pub(crate) fn logged(&self) -> Vec<(Level, String)> {
        self.lines.borrow().clone()
    }
}

impl Certificate {
    pub(crate) fn trust(&self, purpose: &str) -> String {
        self.judgement(purpose).0
    }

    pub(crate) fn trust_detail(&self, purpose: &str) -> String {
        self.judgement(purpose).1
    }

    fn judgement(&self, purpose: &str) -> (String, String) {
        match purpose {
            "client" => self.client_trust.clone(),
            "server" => self.server_trust.clone(),
            _ => ("untrusted".to_owned(), "unknown purpose".to_owned()),
        }
    }

    pub(crate) fn covers(&self, name: &str) -> bool {
        self.is_trusted()
            && self
                .dns_names
                .iter()
                .any(|presented| covers(presented, name))
    }

    pub(crate) fn within(&self, domain: &str) -> bool {
        self.is_trusted()
            && self
                .dns_names
                .iter()
                .any(|presented| within(presented, domain))
    }

    fn is_trusted(&self) -> bool {
        [&self.client_trust, &self.server_trust]
            .into_iter()
            .any(|(state, _)| match state.as_str() {
                "trusted" | "pinned" => true,
                "self-signed" => self.accept_self_signed,
                _ => false,
            })
    }
}

/// A wildcard stands for one whole left-most label (RFC 9525, section 6.3).
fn covers(presented: &str, name: &str) -> bool {
    match presented.strip_prefix("*.") {
        Some(rest) => name
            .split_once('.')
            .is_some_and(|(_, parent)| rest.eq_ignore_ascii_case(parent)),
        None => presented.eq_ignore_ascii_case(name),
    }
}

/// `*.example.com` counts as below `example.com`: whatever it stands for is.
fn within(presented: &str, domain: &str) -> bool {
    let name = presented.strip_prefix("*.").unwrap_or(presented);
    match (name.parse::<crate::Domain>(), domain.parse()) {
        (Ok(name), Ok(domain)) => name.is_within(&domain),
        _ => false,
    }
}
