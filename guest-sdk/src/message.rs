//! The message: everything a policy can know, and the only way to lists and log.

use std::fmt;
use std::net::IpAddr;

use crate::address::Address;
use crate::certificate::Certificate;
use crate::domain::Domain;
use crate::host;
use crate::open::open_values;
use crate::tls::Tls;

/// One recipient of one message, at the moment of the question, and through it the
/// tenant's lists and the log.
///
/// In a module each method asks the host, so a policy pays for what it reads. In a
/// native test it is the data of a builder: see the module `testing`.
#[derive(Debug)]
pub struct Message(host::Message);

/// An address of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// IPv4 in dotted or IPv6 in canonical form (RFC 5952).
    pub address: String,
    /// TCP port.
    pub port: u16,
}

/// One of the tenant's named lists.
#[derive(Debug)]
pub struct List<'m> {
    message: &'m Message,
    name: &'m str,
}

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// For whoever looks for a fault.
    Debug,
    /// Worth keeping.
    Info,
    /// Worth somebody's attention.
    Warn,
}

open_values! {
    /// Where in the transaction a question is asked.
    Stage {
        /// At RCPT TO.
        Recipient = "recipient",
        /// At the end of data.
        Content = "content",
    }
}

open_values! {
    /// Which way mail goes, as the tenant sees it.
    Direction {
        /// To the tenant.
        Inbound = "inbound",
        /// From the tenant.
        Outbound = "outbound",
    }
}

open_values! {
    /// Which greeting the client used.
    HeloVerb {
        /// RFC 5321, section 4.1.1.1.
        Ehlo = "EHLO",
        /// The older form, without extensions.
        Helo = "HELO",
    }
}

open_values! {
    /// BODY parameter of MAIL (RFC 6152).
    Body {
        /// Seven bits.
        SevenBit = "7BIT",
        /// Eight bits.
        EightBitMime = "8BITMIME",
    }
}

/// The question.
impl Message {
    pub(crate) fn new(message: host::Message) -> Self {
        Self(message)
    }

    /// Id of the receipt that this decision will leave, a ULID. An SMTP reply that
    /// refuses ends with it.
    pub fn id(&self) -> String {
        self.0.id()
    }

    /// The time of the question in seconds since 1970. The only clock there is, so that
    /// a replay sees the same.
    pub fn now(&self) -> u64 {
        self.0.now()
    }

    /// At RCPT TO, or at the end of data.
    pub fn stage(&self) -> Stage {
        self.0.stage().into()
    }

    /// To the tenant, or from it.
    pub fn direction(&self) -> Direction {
        self.0.direction().into()
    }

    /// Id of the tenant whose policy is asked.
    pub fn tenant(&self) -> String {
        self.0.tenant()
    }
}

/// The connection.
impl Message {
    /// Name of the listener that took the connection.
    pub fn listener(&self) -> String {
        self.0.listener()
    }

    /// The client; what a trusted proxy says, where one stands in front.
    pub fn client(&self) -> Endpoint {
        endpoint(self.0.client())
    }

    /// The address that the client connected to.
    pub fn server(&self) -> Endpoint {
        endpoint(self.0.server())
    }

    /// The proxy in front; none where there is none.
    pub fn proxied_by(&self) -> Option<Endpoint> {
        self.0.proxied_by().map(endpoint)
    }

    /// The client's name in reverse DNS; none when lookups are off or failed.
    pub fn reverse_name(&self) -> Option<String> {
        self.0.reverse_name()
    }

    /// Whether that name resolves to the client's address.
    pub fn reverse_name_confirmed(&self) -> bool {
        self.0.reverse_name_confirmed()
    }

    /// Whether the host offered STARTTLS, or the session is in TLS already.
    pub fn starttls_offered(&self) -> bool {
        self.0.starttls_offered()
    }

    /// How many seconds ago this client last failed a TLS handshake; none where no
    /// failure is known. A client that fails often retries in clear.
    pub fn handshake_failure_age(&self) -> Option<u64> {
        self.0.handshake_failure_age()
    }

    /// Why that handshake failed.
    pub fn handshake_failure_reason(&self) -> Option<String> {
        self.0.handshake_failure_reason()
    }

    /// The TLS session; none in clear.
    pub fn tls(&self) -> Option<Tls> {
        self.0.tls().map(Tls::new)
    }

    /// The client's certificate; none in clear, and none where none was given.
    pub fn certificate(&self) -> Option<Certificate> {
        self.tls()?.certificate()
    }
}

/// The envelope, and the header.
impl Message {
    /// Which greeting the client used.
    pub fn helo_verb(&self) -> HeloVerb {
        self.0.helo_verb().into()
    }

    /// The name that the client gave itself: a claim, checked by nobody.
    pub fn helo(&self) -> String {
        self.0.helo()
    }

    /// Envelope sender (reverse-path); none for the null sender of a bounce.
    pub fn sender(&self) -> Option<Address> {
        self.0.sender().map(Address::new)
    }

    /// Domain of the envelope sender; none for the null sender, and where an address
    /// literal stands in its place.
    pub fn sender_domain(&self) -> Option<Domain> {
        self.sender()?.domain()
    }

    /// Envelope recipient (forward-path).
    pub fn recipient(&self) -> Address {
        Address::new(self.0.recipient())
    }

    /// How many recipients of this tenant the transaction has accepted before this one.
    /// Recipients of other tenants are not counted.
    pub fn recipients_so_far(&self) -> u32 {
        self.0.recipients_so_far()
    }

    /// SIZE parameter of MAIL, in octets (RFC 1870).
    pub fn declared_size(&self) -> Option<u64> {
        self.0.declared_size()
    }

    /// BODY parameter of MAIL (RFC 6152).
    pub fn body(&self) -> Option<Body> {
        self.0.body().map(Body::from)
    }

    /// Whether MAIL had SMTPUTF8 (RFC 6531).
    pub fn smtputf8(&self) -> bool {
        self.0.smtputf8()
    }

    /// Whether MAIL had REQUIRETLS (RFC 8689).
    pub fn requiretls(&self) -> bool {
        self.0.requiretls()
    }

    /// Addresses of the From header field; empty at stage [`Stage::Recipient`], and
    /// wherever the host does not know them.
    pub fn header_from(&self) -> Vec<Address> {
        self.0.header_from().into_iter().map(Address::new).collect()
    }
}

/// Lists and log.
impl Message {
    /// The tenant's list of this name.
    ///
    /// Asking a list that the tenant does not have fails the decision, so that a
    /// misspelt list is noticed rather than empty.
    pub fn list<'m>(&'m self, name: &'m str) -> List<'m> {
        List {
            message: self,
            name,
        }
    }

    /// Keeps a line in the receipt of this decision and in the host's log: at most 32
    /// lines of 1,000 bytes a decision, control characters escaped.
    pub fn log(&self, level: Level, line: impl fmt::Display) {
        self.0.log(level, &line.to_string());
    }

    /// [`log`](Self::log) at level [`Level::Debug`].
    pub fn debug(&self, line: impl fmt::Display) {
        self.log(Level::Debug, line);
    }

    /// [`log`](Self::log) at level [`Level::Info`].
    pub fn info(&self, line: impl fmt::Display) {
        self.log(Level::Info, line);
    }

    /// [`log`](Self::log) at level [`Level::Warn`].
    pub fn warn(&self, line: impl fmt::Display) {
        self.log(Level::Warn, line);
    }

    /// The lines logged so far, for native tests.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn logged(&self) -> Vec<(Level, String)> {
        self.0.logged()
    }
}

impl List<'_> {
    /// Whether the list has this key. Keys are compared byte for byte.
    pub fn contains(&self, key: &str) -> bool {
        self.message.0.contains(self.name, key)
    }

    /// The value of this key; the empty string for a key of a set; none where absent.
    pub fn lookup(&self, key: &str) -> Option<String> {
        self.message.0.lookup(self.name, key)
    }
}

impl Endpoint {
    /// The address as a number.
    pub fn ip(&self) -> Option<IpAddr> {
        self.address.parse().ok()
    }
}

fn endpoint(endpoint: host::Endpoint) -> Endpoint {
    Endpoint {
        address: endpoint.address,
        port: endpoint.port,
    }
}
