//! Builders of facts: everything has a default, and every default is ordinary.

use super::facts::{self, Endpoint, Facts, Judgement};
use crate::certificate::{Purpose, Trust};
use crate::fingerprint::Fingerprint;
use crate::message::{Body, Direction, HeloVerb, Message, Stage};
use crate::tls::{ClientCertificate, Origin, TlsVersion};

/// Builds a [`Message`].
#[derive(Clone, Debug)]
pub struct MessageBuilder(facts::Message);

/// Builds the TLS session of a message.
#[derive(Clone, Debug)]
pub struct TlsBuilder(facts::Tls);

/// Builds the client's certificate of a TLS session.
#[derive(Clone, Debug)]
pub struct CertificateBuilder(facts::Certificate);

/// A setter for a fact that is set as it is.
macro_rules! setters {
    ($($(#[$meta:meta])* $fact:ident($($type:tt)*);)*) => {
        $(setters! { @one $(#[$meta])* $fact $($type)* })*
    };
    (@one $(#[$meta:meta])* $fact:ident text) => {
        $(#[$meta])*
        pub fn $fact(mut self, value: &str) -> Self {
            self.0.$fact = value.to_owned();
            self
        }
    };
    (@one $(#[$meta:meta])* $fact:ident some text) => {
        $(#[$meta])*
        pub fn $fact(mut self, value: &str) -> Self {
            self.0.$fact = Some(value.to_owned());
            self
        }
    };
    (@one $(#[$meta:meta])* $fact:ident some $type:ty) => {
        $(#[$meta])*
        pub fn $fact(mut self, value: $type) -> Self {
            self.0.$fact = Some(value);
            self
        }
    };
    (@one $(#[$meta:meta])* $fact:ident $type:ty) => {
        $(#[$meta])*
        pub fn $fact(mut self, value: $type) -> Self {
            self.0.$fact = value;
            self
        }
    };
}

/// A message in clear at RCPT TO: from `sender@sender.example` to
/// `recipient@tenant.example`, of the tenant `tenant`, which has no lists.
pub fn message() -> MessageBuilder {
    MessageBuilder::from(ordinary_facts())
}

/// The facts of [`message`].
fn ordinary_facts() -> Facts {
    Facts {
        id: "01JZZZZZZZZZZZZZZZZZZZZZZZ".to_owned(),
        now: 1_767_225_600, // 2026-01-01T00:00:00Z
        stage: Stage::Recipient.as_str().to_owned(),
        direction: Direction::Inbound.as_str().to_owned(),
        tenant: "tenant".to_owned(),
        listener: "mx".to_owned(),
        client: endpoint("192.0.2.1", 40_000),
        server: endpoint("198.51.100.1", 25),
        proxied_by: None,
        reverse_name: None,
        reverse_name_confirmed: false,
        helo_verb: HeloVerb::Ehlo.as_str().to_owned(),
        helo: "client.example".to_owned(),
        sender: Some("sender@sender.example".to_owned()),
        recipient: "recipient@tenant.example".to_owned(),
        recipients_so_far: 0,
        declared_size: None,
        body: None,
        smtputf8: false,
        requiretls: false,
        header_from: Vec::new(),
        starttls_offered: true,
        handshake_failure_age: None,
        handshake_failure_reason: None,
        tls: None,
    }
}

/// A message of these facts, of a tenant without lists.
impl From<Facts> for MessageBuilder {
    fn from(facts: Facts) -> Self {
        Self(facts::Message::new(facts))
    }
}

impl MessageBuilder {
    setters! {
        /// Id of the receipt.
        id(text);
        /// The time of the question in seconds since 1970.
        now(u64);
        /// Id of the tenant.
        tenant(text);
        /// Name of the listener.
        listener(text);
        /// Recipients of this tenant accepted before.
        recipients_so_far(u32);
        /// SIZE parameter of MAIL.
        declared_size(some u64);
        /// Whether MAIL had SMTPUTF8.
        smtputf8(bool);
        /// Whether MAIL had REQUIRETLS.
        requiretls(bool);
        /// Whether the host offered STARTTLS.
        starttls_offered(bool);
        /// Envelope sender; its domain in lower case.
        sender(some text);
        /// Envelope recipient; its domain in lower case.
        recipient(text);
    }

    /// The null sender of a bounce.
    pub fn null_sender(mut self) -> Self {
        self.0.sender = None;
        self
    }

    /// Where in the transaction.
    pub fn stage(mut self, stage: &Stage) -> Self {
        self.0.stage = stage.as_str().to_owned();
        self
    }

    /// Which way mail goes.
    pub fn direction(mut self, direction: &Direction) -> Self {
        self.0.direction = direction.as_str().to_owned();
        self
    }

    /// The client.
    pub fn client(mut self, address: &str, port: u16) -> Self {
        self.0.client = endpoint(address, port);
        self
    }

    /// What it connected to.
    pub fn server(mut self, address: &str, port: u16) -> Self {
        self.0.server = endpoint(address, port);
        self
    }

    /// A proxy in front.
    pub fn proxied_by(mut self, address: &str, port: u16) -> Self {
        self.0.proxied_by = Some(endpoint(address, port));
        self
    }

    /// The client's name in reverse DNS, and whether it resolves to the client.
    pub fn reverse_name(mut self, name: &str, confirmed: bool) -> Self {
        self.0.reverse_name = Some(name.to_owned());
        self.0.reverse_name_confirmed = confirmed;
        self
    }

    /// How the client introduced itself.
    pub fn helo(mut self, verb: &HeloVerb, name: &str) -> Self {
        self.0.helo_verb = verb.as_str().to_owned();
        self.0.helo = name.to_owned();
        self
    }

    /// BODY parameter of MAIL.
    pub fn body(mut self, body: &Body) -> Self {
        self.0.body = Some(body.as_str().to_owned());
        self
    }

    /// One more address of the From header field.
    pub fn header_from(mut self, address: &str) -> Self {
        self.0.header_from.push(address.to_owned());
        self
    }

    /// A handshake that this client failed.
    pub fn handshake_failure(mut self, age: u64, reason: &str) -> Self {
        self.0.handshake_failure_age = Some(age);
        self.0.handshake_failure_reason = Some(reason.to_owned());
        self
    }

    /// The TLS session.
    pub fn tls(mut self, tls: TlsBuilder) -> Self {
        self.0.tls = Some(tls.0);
        self
    }

    /// A named list that is a map.
    pub fn map<'e>(
        mut self,
        name: &str,
        entries: impl IntoIterator<Item = (&'e str, &'e str)>,
    ) -> Self {
        let entries = entries
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        self.0.lists.insert(name.to_owned(), entries.collect());
        self
    }

    /// A named list that is a set.
    pub fn set<'e>(self, name: &str, keys: impl IntoIterator<Item = &'e str>) -> Self {
        self.map(name, keys.into_iter().map(|key| (key, "")))
    }

    /// All facts as they are so far.
    pub fn facts(&self) -> &Facts {
        &self.0.facts
    }

    /// The message.
    pub fn build(self) -> Message {
        Message::new(self.0)
    }
}

/// TLS 1.3 with a post-quantum key exchange, and no client certificate though the host
/// asked for one.
pub fn tls() -> TlsBuilder {
    TlsBuilder(facts::Tls {
        origin: Origin::Socket.as_str().to_owned(),
        version: TlsVersion::Tls13.code(),
        cipher_suite: "TLS_AES_256_GCM_SHA384".to_owned(),
        secret_bits: 256,
        key_exchange: Some("X25519MLKEM768".to_owned()),
        post_quantum: true,
        server_name: None,
        resumed: false,
        client_certificate: ClientCertificate::None.as_str().to_owned(),
        certificate: None,
    })
}

impl TlsBuilder {
    /// The session, as plain data.
    #[cfg(feature = "vectors")]
    pub(super) fn into_facts(self) -> facts::Tls {
        self.0
    }

    setters! {
        /// Whether the session was resumed.
        resumed(bool);
        /// The name that the client asked for.
        server_name(some text);
    }

    /// Who saw the session.
    pub fn origin(mut self, origin: &Origin) -> Self {
        self.0.origin = origin.as_str().to_owned();
        self
    }

    /// The version in use.
    pub fn version(mut self, version: TlsVersion) -> Self {
        self.0.version = version.code();
        self
    }

    /// IANA name of the cipher suite, and the strength of its key in bits.
    pub fn cipher_suite(mut self, name: &str, secret_bits: u16) -> Self {
        self.0.cipher_suite = name.to_owned();
        self.0.secret_bits = secret_bits;
        self
    }

    /// IANA name of the key exchange group, if known, and whether it resists a quantum
    /// computer.
    pub fn key_exchange(mut self, group: Option<&str>, post_quantum: bool) -> Self {
        self.0.key_exchange = group.map(str::to_owned);
        self.0.post_quantum = post_quantum;
        self
    }

    /// The host did not ask for a client certificate.
    pub fn certificate_not_asked(mut self) -> Self {
        self.0.client_certificate = ClientCertificate::NotAsked.as_str().to_owned();
        self.0.certificate = None;
        self
    }

    /// The client gave this certificate.
    pub fn certificate(mut self, certificate: CertificateBuilder) -> Self {
        self.0.client_certificate = ClientCertificate::Given.as_str().to_owned();
        self.0.certificate = Some(certificate.0);
        self
    }
}

/// A certificate without names from an issuer that nobody knows.
pub fn certificate() -> CertificateBuilder {
    let unknown = || judgement(&Trust::Untrusted, "unknown issuer");
    CertificateBuilder(facts::Certificate {
        subject: "CN=client".to_owned(),
        issuer: "CN=issuer".to_owned(),
        serial: "01".to_owned(),
        common_name: Some("client".to_owned()),
        dns_names: Vec::new(),
        email_addresses: Vec::new(),
        ip_addresses: Vec::new(),
        uris: Vec::new(),
        not_before: 1_735_689_600, // 2025-01-01T00:00:00Z
        not_after: 1_798_761_600,  // 2027-01-01T00:00:00Z
        key_type: "P-256".to_owned(),
        key_bits: Some(256),
        signature_algorithm: "ecdsa-with-SHA256".to_owned(),
        extended_key_usages: vec!["clientAuth".to_owned()],
        sha256: "00".repeat(32),
        spki_sha256: "00".repeat(32),
        chain_length: 1,
        client_trust: unknown(),
        server_trust: unknown(),
        accept_self_signed: false,
    })
}

impl CertificateBuilder {
    /// The certificate, as plain data.
    #[cfg(feature = "vectors")]
    pub(super) fn into_facts(self) -> facts::Certificate {
        self.0
    }

    setters! {
        /// Subject as an RFC 4514 string.
        subject(text);
        /// Issuer as an RFC 4514 string.
        issuer(text);
        /// Serial number in lower-case hex.
        serial(text);
        /// The last common name of the subject.
        common_name(some text);
        /// Start of the validity in seconds since 1970.
        not_before(i64);
        /// End of the validity in seconds since 1970.
        not_after(i64);
        /// Name of the signature's algorithm.
        signature_algorithm(text);
        /// SHA-256 of the certificate in lower-case hex.
        sha256(text);
        /// How many certificates the client sent.
        chain_length(u32);
    }

    /// One more DNS name.
    pub fn dns_name(mut self, name: &str) -> Self {
        self.0.dns_names.push(name.to_owned());
        self
    }

    /// One more e-mail address.
    pub fn email_address(mut self, address: &str) -> Self {
        self.0.email_addresses.push(address.to_owned());
        self
    }

    /// One more IP address.
    pub fn ip_address(mut self, address: &str) -> Self {
        self.0.ip_addresses.push(address.to_owned());
        self
    }

    /// One more URI.
    pub fn uri(mut self, uri: &str) -> Self {
        self.0.uris.push(uri.to_owned());
        self
    }

    /// Type of the key, and its size in bits where the type is known.
    pub fn key(mut self, key_type: &str, bits: Option<u32>) -> Self {
        self.0.key_type = key_type.to_owned();
        self.0.key_bits = bits;
        self
    }

    /// The extended key usages.
    pub fn extended_key_usages<'u>(mut self, usages: impl IntoIterator<Item = &'u str>) -> Self {
        self.0.extended_key_usages = usages.into_iter().map(str::to_owned).collect();
        self
    }

    /// SHA-256 of its public key.
    pub fn spki_sha256(mut self, fingerprint: &Fingerprint) -> Self {
        self.0.spki_sha256 = fingerprint.to_string();
        self
    }

    /// Trusted under an anchor of the tenant, as a client.
    pub fn trusted(self) -> Self {
        self.trust(Purpose::Client, &Trust::Trusted, "CN=anchor")
    }

    /// Signed by itself, and whether the tenant accepts that.
    pub fn self_signed(mut self, accepted: bool) -> Self {
        self.0.accept_self_signed = accepted;
        let detail = "signed by its own key";
        self.trust(Purpose::Client, &Trust::SelfSigned, detail)
            .trust(Purpose::Server, &Trust::SelfSigned, detail)
    }

    /// The host's verdict for one purpose, and what it rests on.
    pub fn trust(mut self, purpose: Purpose, trust: &Trust, detail: &str) -> Self {
        let judgement = judgement(trust, detail);
        match purpose {
            Purpose::Client => self.0.client_trust = judgement,
            Purpose::Server => self.0.server_trust = judgement,
        }
        self
    }
}

fn judgement(trust: &Trust, detail: &str) -> Judgement {
    Judgement {
        state: trust.as_str().to_owned(),
        detail: detail.to_owned(),
    }
}

fn endpoint(address: &str, port: u16) -> Endpoint {
    Endpoint {
        address: address.to_owned(),
        port,
    }
}
