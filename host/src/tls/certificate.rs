//! A client's certificate as facts: what it claims, in text.
//!
//! No decision rests on how a name is written here, only on DNS names; text that
//! comes from a certificate has its control characters escaped, since it goes into
//! logs, replies and header fields. Whatever passes the handshake can be described:
//! a part that cannot be read is shown in hex or left out, and nothing panics.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustls_pki_types::CertificateDer;
use x509_cert::der::asn1::UintRef;
use x509_cert::der::{Decode, Encode, Reader, SliceReader, Tag};
use x509_cert::ext::pkix::name::DirectoryString;
use x509_cert::name::Name;
use x509_cert::spki::SubjectPublicKeyInfoRef;

pub use super::outline::Malformed;
use super::outline::{Oid, Outline, all_elements, content, elements};
use crate::digest::Digest;
use crate::facts::Certificate;
use crate::unicode::is_misleading;

/// Most bytes of a chain that a client may send. A mail server's chain is 3 to 6 KB;
/// sessions are cached with their chain, so this bounds the cache as well.
pub const MAX_CHAIN_BYTES: usize = 16 * 1024;

const COMMON_NAME: Oid = Oid::new_unwrap("2.5.4.3");
const ALTERNATIVE_NAME: Oid = Oid::new_unwrap("2.5.29.17");
const EXTENDED_KEY_USAGE: Oid = Oid::new_unwrap("2.5.29.37");

/// Describes the first certificate of a chain.
///
/// # Errors
///
/// For an empty chain, and for what does not pass the handshake either.
pub fn describe(chain: &[CertificateDer<'_>]) -> Result<Certificate, Malformed> {
    let der = chain.first().ok_or(Malformed)?;
    let outline = Outline::read(der)?;
    let names = AlternativeNames::of(&outline);
    let key = PublicKey::of(&outline.key);
    Ok(Certificate {
        subject: distinguished_name(outline.subject),
        issuer: distinguished_name(outline.issuer),
        serial: serial(outline.serial),
        common_name: common_name(outline.subject),
        dns_names: names.dns,
        email_addresses: names.email,
        ip_addresses: names.ip,
        uris: names.uri,
        not_before: outline.not_before,
        not_after: outline.not_after,
        key_type: key.name,
        key_bits: key.bits,
        signature_algorithm: signature_algorithm(outline.algorithm),
        extended_key_usages: extended_key_usages(&outline),
        sha256: Digest::of(der),
        spki_sha256: outline.fingerprint(),
        chain_length: u32::try_from(chain.len()).unwrap_or(u32::MAX),
    })
}

/// A name as RFC 4514 writes it, most specific part first; hex where it is none.
pub(super) fn distinguished_name(der: &[u8]) -> String {
    match Name::from_der(der) {
        Ok(name) => escaped(&name.to_string()),
        Err(_) => format!("#{}", hex::encode(der)),
    }
}

/// Escapes control characters, and characters that turn the direction of text or
/// break lines, as RFC 4514 writes bytes: a backslash and two hex digits.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if is_misleading(character) {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                safe.push_str(&format!("\\{byte:02x}"));
            }
        } else {
            safe.push(character);
        }
    }
    safe
}

/// The extended key usages, by their dotted numbers; none without the extension.
///
/// # Errors
/// When they cannot be read, which is not the same as being good for everything.
pub(super) fn key_purposes(outline: &Outline<'_>) -> Result<Option<Vec<Oid>>, Malformed> {
    let Some(extension) = outline.extension(EXTENDED_KEY_USAGE)? else {
        return Ok(None);
    };
    let usages = all_elements(content(extension, Tag::Sequence)?)?;
    let purposes: Result<_, _> = usages.into_iter().map(Oid::from_der).collect();
    Ok(Some(purposes?))
}

/// What a public key is.
pub(super) struct PublicKey {
    /// As in the interface: "RSA", "P-256", …, or the algorithm's OID.
    pub(super) name: String,
    /// Where the type is known.
    pub(super) bits: Option<u32>,
    /// OID of the algorithm, and of the curve where there is one.
    pub(super) oid: String,
}

impl PublicKey {
    pub(super) fn of(key: &SubjectPublicKeyInfoRef<'_>) -> Self {
        let oid = key.algorithm.oid.to_string();
        let curve = key.algorithm.parameters.and_then(|parameters| {
            Oid::try_from(parameters)
                .ok()
                .map(|curve| curve.to_string())
        });
        let (name, bits) = match (oid.as_str(), curve.as_deref()) {
            ("1.2.840.113549.1.1.1", _) => ("RSA", modulus_bits(key)),
            ("1.2.840.10045.2.1", Some("1.2.840.10045.3.1.7")) => ("P-256", Some(256)),
            ("1.2.840.10045.2.1", Some("1.3.132.0.34")) => ("P-384", Some(384)),
            ("1.2.840.10045.2.1", Some("1.3.132.0.35")) => ("P-521", Some(521)),
            ("1.3.101.112", _) => ("Ed25519", Some(256)),
            _ => (oid.as_str(), None),
        };
        Self {
            name: name.to_owned(),
            bits,
            oid: curve.map_or(oid.clone(), |curve| format!("{oid} on curve {curve}")),
        }
    }
}

/// Bits of the modulus of an RSA public key (RFC 8017, appendix A.1.1).
fn modulus_bits(key: &SubjectPublicKeyInfoRef<'_>) -> Option<u32> {
    let numbers = content(key.subject_public_key.as_bytes()?, Tag::Sequence).ok()?;
    let modulus = UintRef::from_der(elements(numbers).next()?).ok()?;
    let bytes = modulus.as_bytes();
    let leading = bytes.first()?.leading_zeros();
    u32::try_from(bytes.len() * 8).ok()?.checked_sub(leading)
}

/// Lower-case hex, without the zero byte that only keeps the number positive.
fn serial(integer: &[u8]) -> String {
    match integer {
        [0, rest @ ..] if !rest.is_empty() => hex::encode(rest),
        all => hex::encode(all),
    }
}

/// The last common name, which is the most specific one.
fn common_name(subject: &[u8]) -> Option<String> {
    elements(content(subject, Tag::Sequence).ok()?)
        .flat_map(|set| elements(content(set, Tag::Set).unwrap_or_default()))
        .filter_map(|attribute| {
            let mut parts = elements(content(attribute, Tag::Sequence).ok()?);
            let kind = Oid::from_der(parts.next()?).ok()?;
            let value = DirectoryString::from_der(parts.next()?).ok()?;
            (kind == COMMON_NAME).then(|| escaped(&value.value()))
        })
        .last()
}

fn extended_key_usages(outline: &Outline<'_>) -> Vec<String> {
    key_purposes(outline)
        .ok()
        .flatten()
        .unwrap_or_default()
        .into_iter()
        .map(|oid| match oid.to_string().as_str() {
            "1.3.6.1.5.5.7.3.1" => "serverAuth".to_owned(),
            "1.3.6.1.5.5.7.3.2" => "clientAuth".to_owned(),
            "1.3.6.1.5.5.7.3.4" => "emailProtection".to_owned(),
            "2.5.29.37.0" => "anyExtendedKeyUsage".to_owned(),
            other => other.to_owned(),
        })
        .collect()
}

/// Names of signature algorithms as RFC 3279, 4055, 5758, 8410 and 9881 give them.
const SIGNATURE_ALGORITHMS: &[(&str, &str)] = &[
    ("1.2.840.113549.1.1.4", "md5WithRSAEncryption"),
    ("1.2.840.113549.1.1.5", "sha1WithRSAEncryption"),
    ("1.2.840.113549.1.1.10", "RSASSA-PSS"),
    ("1.2.840.113549.1.1.11", "sha256WithRSAEncryption"),
    ("1.2.840.113549.1.1.12", "sha384WithRSAEncryption"),
    ("1.2.840.113549.1.1.13", "sha512WithRSAEncryption"),
    ("1.2.840.10045.4.1", "ecdsa-with-SHA1"),
    ("1.2.840.10045.4.3.2", "ecdsa-with-SHA256"),
    ("1.2.840.10045.4.3.3", "ecdsa-with-SHA384"),
    ("1.2.840.10045.4.3.4", "ecdsa-with-SHA512"),
    ("1.3.101.112", "Ed25519"),
    ("1.3.101.113", "Ed448"),
    ("2.16.840.1.101.3.4.3.17", "ML-DSA-44"),
    ("2.16.840.1.101.3.4.3.18", "ML-DSA-65"),
    ("2.16.840.1.101.3.4.3.19", "ML-DSA-87"),
];

fn signature_algorithm(identifier: &[u8]) -> String {
    let oid = content(identifier, Tag::Sequence)
        .ok()
        .and_then(|fields| elements(fields).next())
        .and_then(|oid| Oid::from_der(oid).ok());
    let Some(oid) = oid.map(|oid| oid.to_string()) else {
        return format!("#{}", hex::encode(identifier));
    };
    SIGNATURE_ALGORITHMS
        .iter()
        .find(|(known, _)| *known == oid)
        .map_or(oid, |(_, name)| (*name).to_owned())
}

/// Subject alternative names of the kinds that facts show.
#[derive(Default)]
struct AlternativeNames {
    dns: Vec<String>,
    email: Vec<String>,
    ip: Vec<IpAddr>,
    uri: Vec<String>,
}

impl AlternativeNames {
    fn of(outline: &Outline<'_>) -> Self {
        let mut names = Self::default();
        let sequence = outline
            .extension(ALTERNATIVE_NAME)
            .ok()
            .flatten()
            .and_then(|extension| content(extension, Tag::Sequence).ok());
        elements(sequence.unwrap_or_default()).for_each(|name| names.add(name));
        names
    }

    /// GeneralName (RFC 5280, section 4.2.1.6) has one tag per kind; other kinds, and
    /// names that are not of their own kind's characters, are left out.
    fn add(&mut self, name: &[u8]) {
        let Some((tag, value)) = tagged(name) else {
            return;
        };
        match (tag, std::str::from_utf8(value)) {
            (1, Ok(text)) if text.is_ascii() => self.email.push(escaped(text)),
            (2, Ok(text)) if text.is_ascii() => self.dns.push(escaped(text)),
            (6, Ok(text)) if text.is_ascii() => self.uri.push(escaped(text)),
            (7, _) => self.ip.extend(address(value)),
            _ => {}
        }
    }
}

/// Number and content of an element with a context-specific, primitive tag.
fn tagged(element: &[u8]) -> Option<(u8, &[u8])> {
    let mut reader = SliceReader::new(element).ok()?;
    let header = x509_cert::der::Header::decode(&mut reader).ok()?;
    let value = reader.read_slice(header.length()).ok()?;
    // Context-specific and primitive: the two high bits are 10, the next is 0.
    let tag = element
        .first()
        .filter(|tag| **tag & 0b1110_0000 == 0b1000_0000)?;
    Some((tag & 0b0001_1111, value))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| Ipv4Addr::from(bytes).into());
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).into()))
        .ok()
}

/// The subject of a trust anchor, which lacks the outer tag and length.
pub(super) fn name_of_anchor(content: &[u8]) -> String {
    let sequence = x509_cert::der::asn1::AnyRef::new(Tag::Sequence, content)
        .and_then(|any| any.to_der())
        .unwrap_or_default();
    distinguished_name(&sequence)
}

#[cfg(test)]
mod tests;
