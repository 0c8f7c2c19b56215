//! Native tests of a policy: messages from a builder, without Wasm and without a host.
//!
//! A builder begins with an ordinary inbound message in clear; a test sets what matters
//! to it.
//!
//! ```
//! use portcullis_sdk::testing::{certificate, message, tls};
//! use portcullis_sdk::Level;
//!
//! let message = message()
//!     .sender("a@partner.example")
//!     .tls(tls().certificate(certificate().dns_name("mx.partner.example").trusted()))
//!     .map("partners", [("partner.example", "trusted")])
//!     .build();
//! assert!(message.certificate().is_some_and(|c| c.within(&"partner.example".parse().expect("a domain"))));
//!
//! message.warn("seen");
//! assert_eq!(message.logged(), [(Level::Warn, "seen".to_owned())]);
//! ```

mod builders;
pub mod facts;
#[cfg(feature = "vectors")]
pub mod vectors;

pub use builders::{CertificateBuilder, MessageBuilder, TlsBuilder, certificate, message, tls};
#[cfg(feature = "vectors")]
pub use vectors::check_vectors;

/// What the facade asks natively. The names and signatures are those of the bindings.
pub(crate) mod host {
    pub(crate) use super::facts::{Certificate, Endpoint, Message, Tls};
}
