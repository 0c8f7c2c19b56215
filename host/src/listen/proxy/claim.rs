//! What a proxy says of the TLS session that it ended (section 2.2.6), as facts.
//!
//! Its words are OpenSSL's, and the host has IANA's: what is in a table is translated,
//! what is not is shown as it is and taken for nothing in particular.

use super::HeaderError;
use super::binary::elements;
use crate::facts::{ClaimedCertificate, ClientCertificate, Origin, Tls, TlsVersion};
use crate::tls;

/// The client used TLS.
const USED: u8 = 0x01;
/// It showed a certificate on this connection.
const CERTIFICATE_NOW: u8 = 0x02;
/// It showed one when the session began, which may have been on an earlier connection.
const CERTIFICATE_ONCE: u8 = 0x04;

const VERSION: u8 = 0x21;
const COMMON_NAME: u8 = 0x22;
const CIPHER: u8 = 0x23;
const GROUP: u8 = 0x26;

/// The longest name of a cipher or group that is kept, in octets: IANA's have up to 50.
const LONGEST_WORD: usize = 64;

/// The longest common name that is kept, in characters (RFC 5280, appendix A.1).
const LONGEST_NAME: usize = 64;

/// The claim in the value of this extension; none where it says that there is no TLS.
pub(super) fn of(ssl: &[u8], authority: Option<&[u8]>) -> Result<Option<Tls>, HeaderError> {
    let (&[flags, verify @ ..], details) =
        ssl.split_first_chunk::<5>().ok_or(HeaderError::Malformed)?;
    let mut said = Details::default();
    for element in elements(details) {
        let element = element?;
        match element.kind {
            VERSION => said.version = element.value,
            COMMON_NAME => said.common_name = Some(element.value),
            CIPHER => said.cipher = element.value,
            GROUP => said.group = Some(element.value),
            _ => {}
        }
    }
    if flags & USED == 0 {
        return Ok(None);
    }
    let verified = u32::from_be_bytes(verify) == 0;
    Ok(Some(said.tls(flags, verified, authority)))
}

#[derive(Default)]
struct Details<'a> {
    version: &'a [u8],
    cipher: &'a [u8],
    group: Option<&'a [u8]>,
    common_name: Option<&'a [u8]>,
}

impl Details<'_> {
    fn tls(&self, flags: u8, verified: bool, authority: Option<&[u8]>) -> Tls {
        let suite = tls::suite_in_words(&word(self.cipher));
        let group = self.group.map(|group| tls::group_in_words(&word(group)));
        Tls {
            origin: Origin::Proxy,
            version: version(self.version),
            cipher_suite: suite.name,
            secret_bits: suite.secret_bits,
            post_quantum: group.as_ref().is_some_and(|group| group.post_quantum),
            key_exchange: group.map(|group| group.name),
            server_name: authority.and_then(server_name),
            resumed: flags & (CERTIFICATE_NOW | CERTIFICATE_ONCE) == CERTIFICATE_ONCE,
            client_certificate: self.certificate(flags, verified),
        }
    }

    fn certificate(&self, flags: u8, verified: bool) -> ClientCertificate {
        if flags & (CERTIFICATE_NOW | CERTIFICATE_ONCE) == 0 {
            return ClientCertificate::NotAsked;
        }
        ClientCertificate::Claimed(ClaimedCertificate {
            common_name: self.common_name.map(name),
            verified,
        })
    }
}

/// The wire code; that of no version for a word that is not known.
fn version(word: &[u8]) -> TlsVersion {
    match word {
        b"TLSv1.3" => TlsVersion::TLS13,
        b"TLSv1.2" => TlsVersion::TLS12,
        b"TLSv1.1" => TlsVersion(0x0302),
        b"TLSv1" => TlsVersion(0x0301),
        b"SSLv3" => TlsVersion(0x0300),
        _ => TlsVersion(0),
    }
}

/// One word of ASCII, whatever it was.
fn word(octets: &[u8]) -> String {
    let kept = octets.iter().take(LONGEST_WORD);
    kept.map(|octet| match octet {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'+' => char::from(*octet),
        _ => '?',
    })
    .collect()
}

/// A name that a client has chosen.
fn name(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets)
        .chars()
        .take(LONGEST_NAME)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// The name that the client asked for, if it is one.
fn server_name(octets: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(octets).ok()?;
    let domain = text.parse::<crate::address::Domain>().ok()?;
    Some(domain.as_str().to_owned())
}
