//! All facts of one message as plain data, and the message that natively reads them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use crate::message::Level;

/// A struct of data with a method for each field, as the bindings have for each fact.
macro_rules! facts {
    ($(#[$meta:meta])* $name:ident {
        $($(#[$fact_meta:meta])* $fact:ident: $type:ty,)*
    } beside {
        $($(#[$own_meta:meta])* $own:ident: $own_type:ty,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[$fact_meta])* pub $fact: $type,)*
            $($(#[$own_meta])* pub $own: $own_type,)*
        }

        impl $name {
            /// The names of the facts that a method without parameter gives.
            #[cfg(any(feature = "vectors", test))]
            pub(crate) const NAMES: &[&str] = &[$(stringify!($fact)),*];

            $(pub(crate) fn $fact(&self) -> $type {
                self.$fact.clone()
            })*
        }
    };
}

facts! {
    /// Everything that a host tells a policy of one recipient of one message, by the
    /// names of the interface (`wit/facts.wit`). What it says of each holds here.
    Facts {
        /// Id of the receipt, a ULID.
        id: String,
        /// The time of the question, in seconds since 1970.
        now: u64,
        /// `recipient` or `content`.
        stage: String,
        /// `inbound` or `outbound`.
        direction: String,
        /// Id of the tenant.
        tenant: String,
        /// Name of the listener.
        listener: String,
        /// The client.
        client: Endpoint,
        /// What it connected to.
        server: Endpoint,
        /// The proxy in front, if any.
        proxied_by: Option<Endpoint>,
        /// The client's name in reverse DNS.
        reverse_name: Option<String>,
        /// Whether that name resolves to the client's address.
        reverse_name_confirmed: bool,
        /// `EHLO` or `HELO`.
        helo_verb: String,
        /// The name that the client gave itself.
        helo: String,
        /// Envelope sender; none for the null sender.
        sender: Option<String>,
        /// Envelope recipient.
        recipient: String,
        /// Recipients of this tenant accepted before this one.
        recipients_so_far: u32,
        /// SIZE parameter of MAIL, in octets.
        declared_size: Option<u64>,
        /// BODY parameter of MAIL: `7BIT` or `8BITMIME`.
        body: Option<String>,
        /// Whether MAIL had SMTPUTF8.
        smtputf8: bool,
        /// Whether MAIL had REQUIRETLS.
        requiretls: bool,
        /// Addresses of the From header field.
        header_from: Vec<String>,
        /// Whether the host offered STARTTLS, or the session is in TLS already.
        starttls_offered: bool,
        /// How many seconds ago this client last failed a handshake.
        handshake_failure_age: Option<u64>,
        /// Why that handshake failed; none exactly where there is no age.
        handshake_failure_reason: Option<String>,
        /// The TLS session; none in clear.
        tls: Option<Tls>,
    } beside {}
}

facts! {
    /// The TLS session of the connection.
    Tls {
        /// `socket` or `proxy`.
        origin: String,
        /// Wire code of the version: 0x0304 is TLS 1.3.
        version: u16,
        /// IANA name of the cipher suite.
        cipher_suite: String,
        /// Strength of the cipher's key in bits.
        secret_bits: u16,
        /// IANA name of the key exchange group.
        key_exchange: Option<String>,
        /// Whether that group resists a quantum computer.
        post_quantum: bool,
        /// The name that the client asked for.
        server_name: Option<String>,
        /// Whether the session was resumed.
        resumed: bool,
        /// `not-asked`, `none`, `given` or `claimed`.
        client_certificate: String,
        /// The client's certificate, exactly when given.
        certificate: Option<Certificate>,
    } beside {}
}

facts! {
    /// The client's certificate: what it claims, and what the tenant's trust says of it.
    Certificate {
        /// Subject as an RFC 4514 string.
        subject: String,
        /// Issuer as an RFC 4514 string.
        issuer: String,
        /// Serial number in lower-case hex.
        serial: String,
        /// The last common name of the subject.
        common_name: Option<String>,
        /// Alternative names of type dNSName.
        dns_names: Vec<String>,
        /// Alternative names of type rfc822Name.
        email_addresses: Vec<String>,
        /// Alternative names of type iPAddress.
        ip_addresses: Vec<String>,
        /// Alternative names of type uniformResourceIdentifier.
        uris: Vec<String>,
        /// Start of the validity in seconds since 1970.
        not_before: i64,
        /// End of the validity in seconds since 1970.
        not_after: i64,
        /// `RSA`, `P-256`, …, or the algorithm's OID.
        key_type: String,
        /// Size of the public key in bits.
        key_bits: Option<u32>,
        /// Name of the signature's algorithm, or its OID.
        signature_algorithm: String,
        /// Names of the extended key usages, or their OIDs.
        extended_key_usages: Vec<String>,
        /// SHA-256 of the certificate in lower-case hex.
        sha256: String,
        /// SHA-256 of its public key in lower-case hex.
        spki_sha256: String,
        /// How many certificates the client sent.
        chain_length: u32,
    } beside {
        /// `trust` and `trust-detail` as the certificate of a client.
        client_trust: Judgement,
        /// The same as the certificate of a server.
        server_trust: Judgement,
        /// Whether the tenant accepts certificates that are merely self-signed.
        accept_self_signed: bool,
    }
}

/// An address of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// IPv4 in dotted or IPv6 in canonical form (RFC 5952).
    pub address: String,
    /// TCP port.
    pub port: u16,
}

/// What a tenant's trust says of a certificate for one purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// `trusted`, `pinned`, `self-signed` or `untrusted`.
    pub state: String,
    /// What that rests on.
    pub detail: String,
}

/// The facts of a message, and with them the tenant's lists and the log.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) facts: Facts,
    pub(crate) lists: BTreeMap<String, BTreeMap<String, String>>,
    lines: RefCell<Vec<(Level, String)>>,
}

impl Message {
    /// Of a tenant without lists.
    pub(crate) fn new(facts: Facts) -> Self {
        Self {
            facts,
            lists: BTreeMap::new(),
            lines: RefCell::default(),
        }
    }

    pub(crate) fn contains(&self, list: &str, key: &str) -> bool {
        self.entries(list).contains_key(key)
    }

    pub(crate) fn lookup(&self, list: &str, key: &str) -> Option<String> {
        self.entries(list).get(key).cloned()
    }

    #[expect(clippy::panic, reason = "the host ends the policy in the same place")]
    fn entries(&self, list: &str) -> &BTreeMap<String, String> {
        self.lists.get(list).unwrap_or_else(|| {
            // The words of the host.
            panic!("the policy asked for the list {list:?}, which the tenant does not have")
        })
    }

    pub(crate) fn log(&self, level: Level, line: &str) {
        self.lines.borrow_mut().push((level, line.to_owned()));
    }

    pub(crate) fn logged(&self) -> Vec<(Level, String)> {
        self.lines.borrow().clone()
    }
}

impl Deref for Message {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.facts
    }
}

impl DerefMut for Message {
    fn deref_mut(&mut self) -> &mut Facts {
        &mut self.facts
    }
}

impl Certificate {
    pub(crate) fn trust(&self, purpose: &str) -> String {
        self.judgement(purpose)
            .map_or_else(|| "untrusted".to_owned(), |judged| judged.state.clone())
    }

    pub(crate) fn trust_detail(&self, purpose: &str) -> String {
        self.judgement(purpose)
            .map_or_else(|| "not judged".to_owned(), |judged| judged.detail.clone())
    }

    /// None for a purpose that nobody judges.
    fn judgement(&self, purpose: &str) -> Option<&Judgement> {
        match purpose {
            "client" => Some(&self.client_trust),
            "server" => Some(&self.server_trust),
            _ => None,
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
            .any(|judged| match judged.state.as_str() {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The methods without parameter of a resource in `wit/facts.wit`.
    fn methods(resource: &str) -> Vec<String> {
        let wit = include_str!("../../wit/facts.wit");
        let (_, rest) = wit
            .split_once(&format!("resource {resource} {{"))
            .expect("the interface has it");
        let (body, _) = rest.split_once("\n  }").expect("it ends");
        body.lines()
            .filter_map(|line| line.trim().split_once(": func() "))
            .map(|(name, _)| name.replace('-', "_"))
            .collect()
    }

    #[test]
    fn facts_are_those_of_the_interface() {
        assert_eq!(methods("message"), Facts::NAMES);
        let sorted = |mut names: Vec<String>| {
            names.sort();
            names
        };
        let owned = |names: &[&str]| sorted(names.iter().map(|&n| n.to_owned()).collect());
        assert_eq!(sorted(methods("tls")), owned(Tls::NAMES));
        assert_eq!(sorted(methods("certificate")), owned(Certificate::NAMES));
    }
}
