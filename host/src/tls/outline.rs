//! The outline of a certificate: its parts as slices of the original bytes.
//!
//! This is all that a certificate must have to pass the handshake, so it asks for as
//! little as it can: DER, the fields up to the public key in their order, readable
//! times, and a public key. Digests and signatures are taken over these slices, never
//! over something encoded again. Extensions are read only when one is asked for.

use time::{Date, Month, PrimitiveDateTime, Time};
use x509_cert::der::asn1::{AnyRef, ObjectIdentifier};
use x509_cert::der::{Decode, Reader, SliceReader, Tag, TagNumber, Tagged};
use x509_cert::spki::SubjectPublicKeyInfoRef;

use crate::digest::{Digest, Fingerprint};

/// An object identifier of the usual greatest size.
pub(super) type Oid = ObjectIdentifier;

/// Parts of a certificate.
#[derive(Clone, Debug)]
pub(super) struct Outline<'a> {
    /// What is signed.
    pub(super) tbs: &'a [u8],
    /// 1, 2 or 3.
    pub(super) version: u8,
    /// Content of the INTEGER.
    pub(super) serial: &'a [u8],
    /// AlgorithmIdentifier inside what is signed.
    pub(super) inner_algorithm: &'a [u8],
    /// Name (RFC 5280, section 4.1.2.4).
    pub(super) issuer: &'a [u8],
    /// Seconds since 1970.
    pub(super) not_before: i64,
    /// Seconds since 1970.
    pub(super) not_after: i64,
    /// Name.
    pub(super) subject: &'a [u8],
    /// SubjectPublicKeyInfo.
    pub(super) spki: &'a [u8],
    /// The same, parsed.
    pub(super) key: SubjectPublicKeyInfoRef<'a>,
    /// AlgorithmIdentifier of the signature.
    pub(super) algorithm: &'a [u8],
    /// The signature.
    pub(super) signature: &'a [u8],
    /// Elements of the Extensions sequence.
    extensions: &'a [u8],
}

/// Not a certificate, or not one that anything could be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed certificate")]
pub struct Malformed;

impl From<x509_cert::der::Error> for Malformed {
    fn from(_: x509_cert::der::Error) -> Self {
        Self
    }
}

impl<'a> Outline<'a> {
    /// Reads the outline of a certificate in DER.
    pub(super) fn read(der: &'a [u8]) -> Result<Self, Malformed> {
        let [tbs, algorithm, signature] = envelope(der)?;
        let mut fields = open(tbs, Tag::Sequence)?;
        let version = version(&mut fields)?;
        let serial = content(fields.tlv_bytes()?, Tag::Integer)?;
        let inner_algorithm = fields.tlv_bytes()?;
        let issuer = fields.tlv_bytes()?;
        let mut validity = open(fields.tlv_bytes()?, Tag::Sequence)?;
        let subject = fields.tlv_bytes()?;
        let spki = fields.tlv_bytes()?;
        Ok(Self {
            tbs,
            version,
            serial,
            inner_algorithm,
            issuer,
            not_before: timestamp(validity.tlv_bytes()?)?,
            not_after: timestamp(validity.tlv_bytes()?)?,
            subject,
            spki,
            key: SubjectPublicKeyInfoRef::from_der(spki)?,
            algorithm,
            // The first byte of a BIT STRING counts its unused bits.
            signature: content(signature, Tag::BitString)?
                .split_first()
                .ok_or(Malformed)?
                .1,
            extensions: extensions(fields)?,
        })
    }

    /// SHA-256 of the public key: what a pin names.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        Digest::of(self.spki)
    }

    /// Content of the extension of this kind; none where there is none.
    ///
    /// # Errors
    /// When an extension cannot be read, since that might be the one, and when there
    /// are two of a kind (RFC 5280, section 4.2, forbids it): what is malformed never
    /// counts as absent.
    pub(super) fn extension(&self, kind: Oid) -> Result<Option<&'a [u8]>, Malformed> {
        let mut found = None;
        for extension in all_elements(self.extensions)? {
            let fields = all_elements(content(extension, Tag::Sequence)?)?;
            // Between the two stands the criticality, unless it is the default.
            let ([id, value] | [id, _, value]) = fields[..] else {
                return Err(Malformed);
            };
            let is_it = content(id, Tag::ObjectIdentifier)? == kind.as_bytes();
            let value = content(value, Tag::OctetString)?;
            if is_it && found.replace(value).is_some() {
                return Err(Malformed);
            }
        }
        Ok(found)
    }
}

/// Parts of a certificate revocation list.
pub(super) struct RevocationListOutline<'a> {
    /// Name.
    pub(super) issuer: &'a [u8],
    /// thisUpdate, in seconds since 1970.
    pub(super) issued_at: i64,
}

impl<'a> RevocationListOutline<'a> {
    /// Reads the outline of a list in DER.
    pub(super) fn read(der: &'a [u8]) -> Result<Self, Malformed> {
        let mut list = open(der, Tag::Sequence)?;
        let tbs = content(list.tlv_bytes()?, Tag::Sequence)?;
        // Before the issuer stand a version, which version 1 lacks, and the algorithm.
        let mut fields = elements(tbs).skip_while(|element| content(element, Tag::Integer).is_ok());
        Ok(Self {
            issuer: fields.nth(1).ok_or(Malformed)?,
            issued_at: timestamp(fields.next().ok_or(Malformed)?)?,
        })
    }
}

/// The elements that follow each other in these bytes, up to the first that cannot be
/// read.
pub(super) fn elements(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut reader = SliceReader::new(bytes).ok();
    std::iter::from_fn(move || {
        let reader = reader.as_mut().filter(|reader| !reader.is_finished())?;
        reader.tlv_bytes().ok()
    })
}

/// The same where all of them must be readable.
pub(super) fn all_elements(bytes: &[u8]) -> Result<Vec<&[u8]>, Malformed> {
    let mut reader = SliceReader::new(bytes)?;
    let mut all = Vec::new();
    while !reader.is_finished() {
        all.push(reader.tlv_bytes()?);
    }
    Ok(all)
}

/// The content of an element, which must have this tag.
pub(super) fn content(element: &[u8], tag: Tag) -> Result<&[u8], Malformed> {
    let any = AnyRef::from_der(element)?;
    any.tag().assert_eq(tag)?;
    Ok(any.value())
}

fn open(element: &[u8], tag: Tag) -> Result<SliceReader<'_>, Malformed> {
    Ok(SliceReader::new(content(element, tag)?)?)
}

/// What is signed, how, and the signature.
fn envelope(der: &[u8]) -> Result<[&[u8]; 3], Malformed> {
    let mut whole = SliceReader::new(der)?;
    let mut certificate = open(whole.tlv_bytes()?, Tag::Sequence)?;
    whole.finish()?;
    let parts = [
        certificate.tlv_bytes()?,
        certificate.tlv_bytes()?,
        certificate.tlv_bytes()?,
    ];
    certificate.finish()?;
    Ok(parts)
}

/// RFC 5280, section 4.1.2.1: an explicit `[0]`, absent in version 1.
fn version(fields: &mut SliceReader<'_>) -> Result<u8, Malformed> {
    if !next_is(fields, context(0)) {
        return Ok(1);
    }
    let number = content(fields.tlv_bytes()?, context(0))?;
    match content(number, Tag::Integer)? {
        [code @ 0..=2] => Ok(code + 1),
        _ => Err(Malformed),
    }
}

/// What follows the public key: two unique identifiers that nobody uses, then the
/// extensions, all optional.
fn extensions(mut fields: SliceReader<'_>) -> Result<&[u8], Malformed> {
    let mut found: &[u8] = &[];
    while !fields.is_finished() {
        let field = fields.tlv_bytes()?;
        if let Ok(extensions) = content(field, context(3)) {
            found = content(extensions, Tag::Sequence)?;
        }
    }
    Ok(found)
}

fn next_is(fields: &SliceReader<'_>, tag: Tag) -> bool {
    Tag::peek(fields).is_ok_and(|next| next == tag)
}

fn context(number: u32) -> Tag {
    Tag::ContextSpecific {
        constructed: true,
        number: TagNumber(number),
    }
}

/// UTCTime or GeneralizedTime in the only form that RFC 5280, section 4.1.2.5, knows:
/// with seconds, in UTC.
fn timestamp(element: &[u8]) -> Result<i64, Malformed> {
    let any = AnyRef::from_der(element)?;
    let (year, rest) = match any.tag() {
        Tag::UtcTime => {
            let (year, rest) = digits(any.value(), 2)?;
            // Two digits stand for 1950 to 2049.
            (year + if year < 50 { 2000 } else { 1900 }, rest)
        }
        Tag::GeneralizedTime => digits(any.value(), 4)?,
        _ => return Err(Malformed),
    };
    let (month, rest) = digits(rest, 2)?;
    let (day, rest) = digits(rest, 2)?;
    let (hour, rest) = digits(rest, 2)?;
    let (minute, rest) = digits(rest, 2)?;
    let (second, rest) = digits(rest, 2)?;
    if rest != b"Z" {
        return Err(Malformed);
    }
    moment(year, [month, day, hour, minute, second]).ok_or(Malformed)
}

fn moment(year: u16, parts: [u16; 5]) -> Option<i64> {
    let mut parts = parts.into_iter().map(|part| u8::try_from(part).ok());
    let mut next = || parts.next().flatten();
    let month = Month::try_from(next()?).ok()?;
    let date = Date::from_calendar_date(i32::from(year), month, next()?).ok()?;
    let time = Time::from_hms(next()?, next()?, next()?).ok()?;
    Some(
        PrimitiveDateTime::new(date, time)
            .assume_utc()
            .unix_timestamp(),
    )
}

/// A number of this many decimal digits, and what follows it.
fn digits(text: &[u8], count: usize) -> Result<(u16, &[u8]), Malformed> {
    let (number, rest) = text.split_at_checked(count).ok_or(Malformed)?;
    let number = std::str::from_utf8(number).map_err(|_| Malformed)?;
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Malformed);
    }
    Ok((number.parse().map_err(|_| Malformed)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (tag, text, expected) in [
            (0x17, "700101000000Z", Some(0)),
            (0x17, "500101000000Z", Some(-631_152_000)),
            (0x17, "491231235959Z", Some(2_524_607_999)),
            (0x18, "19691231235959Z", Some(-1)),
            (0x18, "99991231235959Z", Some(253_402_300_799)),
            (0x17, "700101000000+0100", None),
            (0x17, "7001010000Z", None),
            (0x17, "701301000000Z", None),
            (0x17, "+00101000000Z", None),
            (0x18, "700101000000Z", None),
            (0x0c, "700101000000Z", None),
            (0x17, "", None),
        ] {
            let length = u8::try_from(text.len()).expect("short");
            let element = [&[tag, length], text.as_bytes()].concat();
            assert_eq!(timestamp(&element).ok(), expected, "{text}");
        }
    }

    #[test]
    fn not_certificates() {
        for der in [
            &b""[..],
            b"\x30",
            b"\x30\x00",
            b"\x30\x80\x00\x00",
            b"\x30\x84\xff\xff\xff\xff",
            b"-----BEGIN CERTIFICATE-----",
        ] {
            assert_eq!(Outline::read(der).err(), Some(Malformed));
        }
    }
}
