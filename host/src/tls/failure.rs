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
        Some((_, name)) => format!("client sent alert: {name}"),
        None => format!("client sent alert: {code}"),
    }
}

const ALERTS: &[(u8, &str)] = &[
    (0, "close notify"),
    (10, "unexpected message"),
    (20, "bad record mac"),
    (22, "record overflow"),
    (40, "handshake failure"),
    (42, "bad certificate"),
    (43, "unsupported certificate"),
    (44, "certificate revoked"),
    (45, "certificate expired"),
    (46, "certificate unknown"),
    (47, "illegal parameter"),
    (48, "unknown ca"),
    (49, "access denied"),
    (50, "decode error"),
    (51, "decrypt error"),
    (70, "protocol version"),
    (71, "insufficient security"),
    (80, "internal error"),
    (86, "inappropriate fallback"),
    (90, "user canceled"),
    (109, "missing extension"),
    (110, "unsupported extension"),
    (112, "unrecognized name"),
    (113, "bad certificate status response"),
    (115, "unknown psk identity"),
    (116, "certificate required"),
    (120, "no application protocol"),
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
}
