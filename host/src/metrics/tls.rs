//! Words for what clients chose in handshakes.

use crate::facts::{Tls, TlsVersion};
use crate::tls::group_label;

/// Version, key exchange, and whether the session was resumed.
pub(super) fn labels(tls: &Tls) -> [&'static str; 3] {
    let version = match tls.version {
        TlsVersion::TLS12 => "1.2",
        TlsVersion::TLS13 => "1.3",
        _ => "other",
    };
    let group = match &tls.key_exchange {
        Some(name) => group_label(name).unwrap_or("other"),
        None => "none",
    };
    [version, group, if tls.resumed { "yes" } else { "no" }]
}
