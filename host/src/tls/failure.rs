//! Why a handshake failed, in short words that do not change: for the receipt of the
//! next message from that client, and for counting.

use std::io::{self, ErrorKind};

use rustls::{
    AlertDescription, CertificateError, Error as TlsError, InvalidMessage, PeerIncompatible,
};

/// Why the handshake of an accepted connection failed.
pub fn failure_reason(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match (inner, error.kind()) {
        (Some(error), _) => reason(error),
        (None, ErrorKind::UnexpectedEof) => "closed by the client".to_owned(),
        (None, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
            "reset by the client".to_owned()
        }
        (None, ErrorKind::TimedOut) => "timed out".to_owned(),
        (None, _) => "connection failed".to_owned(),
    }
}

/// The same as a label of a metric: what a client may vary at will (the length of its
/// key, the number of an alert that nobody knows) is left out.
pub fn failure_label(reason: &str) -> &'static str {
    let alerts = ALERTS.iter().map(|(_, text)| *text);
    let known = REASONS.iter().copied().chain(alerts);
    let other = || match reason {
        _ if reason.starts_with("client certificate: ") => "client certificate: not usable",
        _ if reason.starts_with("client sent alert: ") => "client sent alert: other",
        _ => "other",
    };
    known
        .into_iter()
        .find(|text| *text == reason)
        .unwrap_or_else(other)
}

/// Every reason but alerts, and certificates that the host cannot use.
const REASONS: [&str; 17] = [
    "closed by the client",
    "reset by the client",
    "timed out",
    "connection failed",
    "not TLS",
    "client certificate: chain is too long",
    "client certificate: malformed certificate",
    "client certificate: no proof of possession of its key",
    "protocol violation by the client",
    "undecryptable record",
    "no application protocol in common",
    "internal error",
    "no cipher suite in common",
    "no key exchange group in common",
    "no signature scheme in common",
    "no TLS version in common",
    "client lacks a required feature",
];

fn reason(error: &TlsError) -> String {
    let text = match error {
        TlsError::AlertReceived(alert) => return alert_received(*alert),
        TlsError::InvalidCertificate(why) => return certificate(why),
        TlsError::PeerIncompatible(why) => incompatible(why),
        TlsError::InvalidMessage(InvalidMessage::InvalidContentType) => "not TLS",
        TlsError::InvalidMessage(InvalidMessage::CertificatePayloadTooLarge) => {
            "client certificate: chain is too long"
        }
        TlsError::InvalidMessage(_)
        | TlsError::InappropriateMessage { .. }
        | TlsError::InappropriateHandshakeMessage { .. }
        | TlsError::PeerMisbehaved(_)
        | TlsError::PeerSentOversizedRecord => "protocol violation by the client",
        TlsError::DecryptError => "undecryptable record",
        TlsError::NoApplicationProtocol => "no application protocol in common",
        _ => "internal error",
    };
    text.to_owned()
}

fn incompatible(why: &PeerIncompatible) -> &'static str {
    match why {
        PeerIncompatible::NoCipherSuitesInCommon => "no cipher suite in common",
        PeerIncompatible::NoKxGroupsInCommon | PeerIncompatible::NamedGroupsExtensionRequired => {
            "no key exchange group in common"
        }
        PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon
        | PeerIncompatible::SignatureAlgorithmsExtensionRequired => "no signature scheme in common",
        PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::SupportedVersionsExtensionRequired => "no TLS version in common",
        _ => "client lacks a required feature",
    }
}

fn certificate(why: &CertificateError) -> String {
    match why {
        CertificateError::BadEncoding => "client certificate: malformed certificate".to_owned(),
        CertificateError::Other(other) => format!("client certificate: {}", other.0),
        // Trust is judged after the handshake, so what is left is the signature.
        _ => "client certificate: no proof of possession of its key".to_owned(),
    }
}

/// What the client found wrong, by the name of its alert (RFC 8446, section 6).
fn alert_received(alert: AlertDescription) -> String {
    let code = u8::from(alert);
    let name = ALERTS.iter().find(|(known, _)| *known == code);
    match name {
        Some((_, name)) => (*name).to_owned(),
        None => format!("client sent alert: {code}"),
    }
}

const ALERTS: &[(u8, &str)] = &[
    (0, "client sent alert: close notify"),
    (10, "client sent alert: unexpected message"),
    (20, "client sent alert: bad record mac"),
    (22, "client sent alert: record overflow"),
    (40, "client sent alert: handshake failure"),
    (42, "client sent alert: bad certificate"),
    (43, "client sent alert: unsupported certificate"),
    (44, "client sent alert: certificate revoked"),
    (45, "client sent alert: certificate expired"),
    (46, "client sent alert: certificate unknown"),
    (47, "client sent alert: illegal parameter"),
    (48, "client sent alert: unknown ca"),
    (49, "client sent alert: access denied"),
    (50, "client sent alert: decode error"),
    (51, "client sent alert: decrypt error"),
    (70, "client sent alert: protocol version"),
    (71, "client sent alert: insufficient security"),
    (80, "client sent alert: internal error"),
    (86, "client sent alert: inappropriate fallback"),
    (90, "client sent alert: user canceled"),
    (109, "client sent alert: missing extension"),
    (110, "client sent alert: unsupported extension"),
    (112, "client sent alert: unrecognized name"),
    (113, "client sent alert: bad certificate status response"),
    (115, "client sent alert: unknown psk identity"),
    (116, "client sent alert: certificate required"),
    (120, "client sent alert: no application protocol"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(error: TlsError) -> io::Error {
        io::Error::new(ErrorKind::InvalidData, error)
    }

    #[test]
    fn reasons_are_stable() {
        for (error, expected) in [
            (
                tls(TlsError::AlertReceived(AlertDescription::UnknownCA)),
                "client sent alert: unknown ca",
            ),
            (
                tls(TlsError::AlertReceived(AlertDescription::from(200))),
                "client sent alert: 200",
            ),
            (
                tls(TlsError::InvalidMessage(InvalidMessage::InvalidContentType)),
                "not TLS",
            ),
            (
                tls(PeerIncompatible::Tls12NotOfferedOrEnabled.into()),
                "no TLS version in common",
            ),
            (
                tls(CertificateError::BadSignature.into()),
                "client certificate: no proof of possession of its key",
            ),
            (
                io::Error::from(ErrorKind::UnexpectedEof),
                "closed by the client",
            ),
            (io::Error::from(ErrorKind::TimedOut), "timed out"),
            (io::Error::other("odd"), "connection failed"),
        ] {
            assert_eq!(failure_reason(&error), expected);
        }
    }

    #[test]
    fn labels_are_few() {
        for (reason, expected) in [
            ("timed out", "timed out"),
            (
                "client sent alert: unknown ca",
                "client sent alert: unknown ca",
            ),
            ("client sent alert: 200", "client sent alert: other"),
            (
                "client certificate: chain of 70000 bytes is over 65536",
                "client certificate: not usable",
            ),
            ("a reason of tomorrow", "other"),
        ] {
            assert_eq!(failure_label(reason), expected);
        }
    }

    /// Whatever text the functions above give is a label, too.
    #[test]
    fn every_reason_of_this_file_has_a_label() {
        let code = include_str!("failure.rs");
        let (code, _) = code.split_once("mod tests").expect("tests come last");
        for reason in REASONS {
            let quoted = format!("{reason:?}");
            assert!(
                code.matches(&quoted).count() > 1,
                "nothing gives {reason:?}"
            );
        }
        let (_, functions) = code.split_once("fn reason(").expect("it is above");
        let (functions, _) = functions.split_once("const ALERTS").expect("it is below");
        let texts = functions.split('"').skip(1).step_by(2);
        for text in texts.filter(|text| text.len() > 3 && !text.contains('{')) {
            assert!(REASONS.contains(&text), "{text:?} has no label");
        }
    }
}
