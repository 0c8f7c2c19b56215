use proptest::prelude::*;
use rcgen::{
    CustomExtension, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, KeyPair,
    PKCS_ECDSA_P521_SHA512, PKCS_ED25519, PKCS_RSA_SHA256, SanType, SerialNumber,
};

use super::*;
use crate::tls::made::{self, Authority, NOW, day, element};
use crate::tls::{TrustSettings, TrustStore};

fn subject(parts: &[(DnType, DnValue)]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    for (kind, value) in parts {
        name.push(kind.clone(), value.clone());
    }
    name
}

fn utf8(text: &str) -> DnValue {
    DnValue::Utf8String(text.to_owned())
}

#[test]
fn everything_is_described() {
    let leaf = Authority::new("Anchor").issue(|parameters| {
        parameters.serial_number = Some(SerialNumber::from_slice(&[0xca, 0xfe, 0x01]));
        parameters.distinguished_name = subject(&[
            (DnType::CountryName, utf8("DE")),
            (DnType::OrganizationName, utf8("Partner, Inc.")),
            (DnType::CommonName, utf8("mx")),
        ]);
        parameters.subject_alt_names = vec![
            SanType::DnsName("MX.partner.example".try_into().expect("ASCII")),
            SanType::DnsName("*.partner.example".try_into().expect("ASCII")),
            SanType::Rfc822Name("postmaster@partner.example".try_into().expect("ASCII")),
            SanType::URI("https://partner.example/".try_into().expect("ASCII")),
            SanType::IpAddress("192.0.2.1".parse().expect("an address")),
            SanType::IpAddress("2001:db8::1".parse().expect("an address")),
        ];
        parameters.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::EmailProtection,
            ExtendedKeyUsagePurpose::Any,
            ExtendedKeyUsagePurpose::CodeSigning,
        ];
    });
    let der = leaf.chain[0].clone();
    let seen = describe(&[der.clone(), der.clone()]).expect("a certificate");
    let outline = Outline::read(&der).expect("a certificate");
    let expected = Certificate {
        subject: "CN=mx,O=Partner\\, Inc.,C=DE".to_owned(),
        issuer: "CN=Anchor".to_owned(),
        serial: "cafe01".to_owned(),
        common_name: Some("mx".to_owned()),
        dns_names: ["MX.partner.example", "*.partner.example"]
            .map(str::to_owned)
            .to_vec(),
        email_addresses: vec!["postmaster@partner.example".to_owned()],
        ip_addresses: ["192.0.2.1", "2001:db8::1"]
            .map(|address| address.parse().expect("an address"))
            .to_vec(),
        uris: vec!["https://partner.example/".to_owned()],
        not_before: NOW - 10 * 86_400,
        not_after: NOW + 10 * 86_400,
        key_type: "P-256".to_owned(),
        key_bits: Some(256),
        signature_algorithm: "ecdsa-with-SHA256".to_owned(),
        extended_key_usages: [
            "serverAuth",
            "clientAuth",
            "emailProtection",
            "anyExtendedKeyUsage",
            "1.3.6.1.5.5.7.3.3",
        ]
        .map(str::to_owned)
        .to_vec(),
        sha256: Digest::of(&der),
        spki_sha256: Digest::of(outline.spki),
        chain_length: 2,
    };
    assert_eq!(seen, expected);
}

#[test]
fn the_pin_is_the_one_that_openssl_prints() {
    // openssl x509 -inform DER -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum
    let der = include_bytes!("../client_certificate/rsa-1024.der");
    let seen = describe(&[CertificateDer::from(&der[..])]).expect("a certificate");
    assert_eq!(
        seen.spki_sha256.to_string(),
        "913eae942be006db6bf672f3639bc42a781dee3c070d08051fd7a566417bbc33"
    );
    assert_eq!(seen.serial, "125030531b14c98c6001f9e518c1716249501746");
    assert_eq!((seen.key_type.as_str(), seen.key_bits), ("RSA", Some(1024)));
    assert_eq!(seen.subject, "CN=rsa-1024.example");
}

#[test]
fn kinds_of_keys_and_signatures() {
    let anchor = Authority::new("Anchor");
    for (algorithm, key_type, bits) in [
        (&PKCS_ECDSA_P521_SHA512, "P-521", 521),
        (&PKCS_ED25519, "Ed25519", 256),
        (&PKCS_RSA_SHA256, "RSA", 2048),
    ] {
        let leaf = anchor.issue_for(algorithm, |_| {});
        let seen = describe(&leaf.chain).expect("a certificate");
        assert_eq!(
            (seen.key_type.as_str(), seen.key_bits),
            (key_type, Some(bits))
        );
    }
    for (algorithm, expected) in [
        (&PKCS_ECDSA_P521_SHA512, "ecdsa-with-SHA512"),
        (&PKCS_ED25519, "Ed25519"),
        (&PKCS_RSA_SHA256, "sha256WithRSAEncryption"),
    ] {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let own = made::host().self_signed(&key).expect("a certificate");
        let seen = describe(&[own.der().clone()]).expect("a certificate");
        assert_eq!(seen.signature_algorithm, expected);
    }
}

#[test]
fn names_cannot_forge_lines() {
    let leaf = made::self_signed(|parameters| {
        parameters.distinguished_name = subject(&[
            (DnType::OrganizationName, utf8("a\r\nX-Forged: yes")),
            (DnType::CommonName, utf8("b\u{202e}\u{85}c")),
        ]);
        let name = "mx.example\nX-Forged: yes".try_into().expect("ASCII");
        parameters.subject_alt_names = vec![SanType::DnsName(name)];
    });
    let seen = describe(&leaf.chain).expect("a certificate");
    let safe = "CN=b\\e2\\80\\ae\\c2\\85c,O=a\\0d\\0aX-Forged: yes";
    assert_eq!(seen.subject, safe);
    assert_eq!(seen.common_name.as_deref(), Some("b\\e2\\80\\ae\\c2\\85c"));
    assert_eq!(seen.dns_names, ["mx.example\\0aX-Forged: yes"]);
}

#[test]
fn the_last_common_name_is_shown() {
    let attribute = |text: &str| {
        let value = element(0x0c, &[text.as_bytes()]);
        let oid = [6, 3, 0x55, 4, 3];
        element(0x31, &[&element(0x30, &[&oid, &value])])
    };
    let name = element(0x30, &[&attribute("first"), &attribute("last")]);
    assert_eq!(common_name(&name).as_deref(), Some("last"));
    assert_eq!(distinguished_name(&name), "CN=last,CN=first");
    assert_eq!(distinguished_name(&[0x30, 0x00]), "");
    assert_eq!(distinguished_name(&[0x30, 0x01, 0xff]), "#3001ff");
}

#[test]
fn odd_alternative_names_are_left_out() {
    let names = element(
        0x30,
        &[
            &element(0x82, &["bücher.example".as_bytes()]),
            &element(0x87, &[&[1, 2, 3]]),
            &element(0xa2, &[b"constructed"]),
            &element(0x88, &[&[0x2a]]),
            &element(0x82, &[b"mx.example"]),
        ],
    );
    let leaf = made::self_signed(|parameters| {
        parameters.subject_alt_names = Vec::new();
        let extension = CustomExtension::from_oid_content(&[2, 5, 29, 17], names);
        parameters.custom_extensions.push(extension);
    });
    let seen = describe(&leaf.chain).expect("a certificate");
    assert_eq!(seen.dns_names, ["mx.example"]);
    assert!(seen.ip_addresses.is_empty());
}

#[test]
fn serial_numbers() {
    for (integer, expected) in [
        (&[0x00, 0xff][..], "ff"),
        (&[0x00], "00"),
        (&[0x01], "01"),
        (&[0xff], "ff"),
        (&[], ""),
    ] {
        assert_eq!(serial(integer), expected);
    }
}

/// Certificates with everything in them that is read.
fn rich() -> Vec<Vec<u8>> {
    let anchor = Authority::new("Anchor");
    let rich = |parameters: &mut made::Parameters| {
        parameters.not_after = day(9000);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        parameters.subject_alt_names.extend([
            SanType::IpAddress("192.0.2.1".parse().expect("an address")),
            SanType::URI("https://partner.example/".try_into().expect("ASCII")),
        ]);
    };
    [
        anchor.issue(rich),
        anchor.issue_for(&PKCS_RSA_SHA256, rich),
        made::self_signed_version_1(),
    ]
    .into_iter()
    .map(|leaf| leaf.chain[0].to_vec())
    .collect()
}

proptest! {
    #[test]
    fn nothing_panics_on_mutated_certificates(
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        static RICH: std::sync::LazyLock<Vec<Vec<u8>>> = std::sync::LazyLock::new(rich);
        let trust = TrustStore::new(TrustSettings::default()).expect("nothing to refuse");
        for original in RICH.iter() {
            let mut der = original.clone();
            for (index, byte) in &mutations {
                let index = index.index(der.len());
                der[index] = *byte;
            }
            if let Some(cut) = cut {
                der.truncate(cut.index(der.len()));
            }
            let chain = [CertificateDer::from(der)];
            if let Ok(seen) = describe(&chain) {
                let text = format!("{}{}{:?}", seen.subject, seen.issuer, seen.dns_names);
                prop_assert!(!text.chars().any(char::is_control), "{text:?}");
            }
            trust.judge(&chain, made::now());
        }
    }
}
