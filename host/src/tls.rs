//! TLS: how a listener speaks it, what the host saw of it, and whom a tenant trusts.
//!
//! **The handshake never fails on trust.** A client certificate is asked for, never
//! required; any certificate whose public key can be read, and whose owner proves
//! possession of the key, gets through ([`client_certificate`]). Whether it is
//! *trusted* is judged afterwards, by the trust of the tenant concerned ([`trust`]),
//! on fresh and resumed sessions alike.
//!
//! Deliberately not here: anything of SMTP, and any type of the configuration.

pub mod certificate;
mod client;
pub mod client_certificate;
mod failed_handshakes;
mod failure;
mod host_certificate;
mod names;
mod observe;
mod outline;
pub mod pem;
mod server;
pub mod trust;

#[cfg(test)]
mod handshake_tests;
#[cfg(test)]
pub(crate) mod made;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub use client::{client_failure, publicly_verified_client, unverified_client, verified_client};
pub use failed_handshakes::FailedHandshakes;
pub use failure::{failure_label, failure_reason};
pub use host_certificate::{HostCertificateError, Provenance, host_certificate};
pub use names::{Group, Suite, group_in_words, group_label, suite_in_words};
pub use observe::{Observed, observe};
pub use server::{Identity, IdentityError, NoIdentity, TlsServer};
pub use trust::{PublicRoots, SelfSigned, TrustError, TrustSettings, TrustStore};

/// The provider of all cryptography, given to rustls explicitly so that no other
/// part of the process can change it.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
