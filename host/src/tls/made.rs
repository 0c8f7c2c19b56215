//! Certificates and handshakes that the tests of this module make, and those of other modules that speak TLS.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, SignatureAlgorithm, SigningKey,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, ResolvesClientCert};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConnection, DigitallySignedStruct, ServerConfig, ServerConnection, SignatureScheme,
    SupportedProtocolVersion,
};
use rustls_pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivatePkcs8KeyDer, ServerName, UnixTime,
};
use time::OffsetDateTime;

use super::outline::Outline;
use super::{Identity, TlsServer, provider};

/// The moment at which the tests judge: 2025-06-15T15:06:40Z.
pub(crate) const NOW: i64 = 1_750_000_000;

pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.unsigned_abs())
}

/// This many days after the moment at which the tests judge.
pub(crate) fn day(days: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(NOW + days * 86_400).expect("near now")
}

pub(crate) type Parameters = CertificateParams;

/// A certificate with its chain, and its key.
pub(crate) struct Leaf {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: KeyPair,
}

impl Leaf {
    pub(crate) fn serial(&self) -> SerialNumber {
        let outline = Outline::read(&self.chain[0]).expect("made here");
        SerialNumber::from_slice(outline.serial)
    }

    pub(crate) fn identity(&self) -> Identity {
        let key = PrivatePkcs8KeyDer::from(self.key.serialize_der());
        Identity::new(self.chain.clone(), key.into()).expect("made here")
    }
}

/// An authority that tests trust or do not.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, |_| {})
    }

    pub(crate) fn with(name: &str, change: impl FnOnce(&mut Parameters)) -> Self {
        let mut parameters = authority(name);
        change(&mut parameters);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(parameters, key).expect("an authority"))
    }

    /// An authority below this one.
    pub(crate) fn subordinate(&self, name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::signed_by(authority(name), key, &self.0).expect("an authority"))
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    pub(crate) fn issue(&self, change: impl FnOnce(&mut Parameters)) -> Leaf {
        self.issue_for(&rcgen::PKCS_ECDSA_P256_SHA256, change)
    }

    pub(crate) fn issue_for(
        &self,
        algorithm: &'static SignatureAlgorithm,
        change: impl FnOnce(&mut Parameters),
    ) -> Leaf {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let mut parameters = host();
        change(&mut parameters);
        let certificate = parameters.signed_by(&key, &self.0).expect("a certificate");
        Leaf {
            chain: vec![certificate.der().clone()],
            key,
        }
    }

    /// The same certificate as X.509 version 1: without version and extensions.
    pub(crate) fn issue_version_1(&self) -> Leaf {
        let leaf = self.issue(|_| {});
        version_1(leaf, self.0.key())
    }

    pub(crate) fn revoke(
        &self,
        leaves: &[&Leaf],
        issued: i64,
        expires: i64,
    ) -> CertificateRevocationListDer<'static> {
        let revoked_certs = leaves.iter().map(|leaf| RevokedCertParams {
            serial_number: leaf.serial(),
            revocation_time: day(issued),
            reason_code: None,
            invalidity_date: None,
        });
        CertificateRevocationListParams {
            this_update: day(issued),
            next_update: day(expires),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        }
        .signed_by(&self.0)
        .expect("a list")
        .der()
        .clone()
    }
}

fn authority(name: &str) -> Parameters {
    let mut parameters = host();
    parameters.subject_alt_names = Vec::new();
    parameters.distinguished_name = named(name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

/// A mail server's certificate, valid for ten days before and after now.
pub(crate) fn host() -> Parameters {
    let mut parameters =
        CertificateParams::new(["mx.partner.example".to_owned()]).expect("a DNS name");
    parameters.not_before = day(-10);
    parameters.not_after = day(10);
    parameters.distinguished_name = named("mx.partner.example");
    parameters
}

pub(crate) fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

pub(crate) fn self_signed(change: impl FnOnce(&mut Parameters)) -> Leaf {
    let key = KeyPair::generate().expect("a key");
    let mut parameters = host();
    change(&mut parameters);
    let certificate = parameters.self_signed(&key).expect("a certificate");
    Leaf {
        chain: vec![certificate.der().clone()],
        key,
    }
}

/// As `openssl req -x509` makes them: an authority by its extensions.
pub(crate) fn self_signed_authority() -> Leaf {
    self_signed(|parameters| parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))
}

pub(crate) fn self_signed_version_1() -> Leaf {
    let leaf = self_signed(|_| {});
    let key = KeyPair::from_pem(&leaf.key.serialize_pem()).expect("the same key");
    version_1(leaf, &key)
}

pub(crate) fn unknown_critical_extension(parameters: &mut Parameters) {
    let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    extension.set_criticality(true);
    parameters.custom_extensions.push(extension);
}

pub(crate) fn purpose(purpose: ExtendedKeyUsagePurpose) -> impl FnOnce(&mut Parameters) {
    |parameters| parameters.extended_key_usages = vec![purpose]
}

fn version_1(mut leaf: Leaf, signer: &KeyPair) -> Leaf {
    let outline = Outline::read(&leaf.chain[0]).expect("made here");
    let time = |at: i64| {
        let text = OffsetDateTime::from_unix_timestamp(at).expect("a time");
        let format = time::macros::format_description!(
            "[year repr:last_two][month][day][hour][minute][second]Z"
        );
        element(0x17, &[text.format(format).expect("a time").as_bytes()])
    };
    let serial = element(0x02, &[outline.serial]);
    let validity = element(0x30, &[&time(outline.not_before), &time(outline.not_after)]);
    let tbs = element(
        0x30,
        &[
            &serial,
            outline.inner_algorithm,
            outline.issuer,
            &validity,
            outline.subject,
            outline.spki,
        ],
    );
    let signature = signer.sign(&tbs).expect("a signature");
    let signature = element(0x03, &[&[0], &signature]);
    let der = element(0x30, &[&tbs, outline.algorithm, &signature]);
    leaf.chain = vec![der.into()];
    leaf
}

/// An element of DER with this tag.
pub(crate) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u16::try_from(content.len()).expect("small");
    let mut der = vec![tag];
    match length {
        0..=0x7f => der.push(length.to_be_bytes()[1]),
        0x80..=0xff => der.extend([0x81, length.to_be_bytes()[1]]),
        _ => {
            der.push(0x82);
            der.extend(length.to_be_bytes());
        }
    }
    der.extend(content);
    der
}

/// A server whose own certificate is for this name.
pub(crate) fn server(name: &str) -> TlsServer {
    let leaf = self_signed(|parameters| {
        parameters.subject_alt_names = Parameters::new([name.to_owned()])
            .expect("a DNS name")
            .subject_alt_names;
    });
    TlsServer::new(vec![leaf.identity()]).expect("one identity")
}

/// A client that shows this chain with this key, right or wrong.
pub(crate) fn client(
    version: &'static SupportedProtocolVersion,
    certificate: Option<(&[CertificateDer<'static>], &KeyPair)>,
) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
        .expect("a version")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer));
    Arc::new(match certificate {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let key = PrivatePkcs8KeyDer::from(key.serialize_der());
            let key = provider()
                .key_provider
                .load_private_key(key.into())
                .expect("a key");
            let shown = CertifiedKey::new(chain.to_vec(), key);
            builder.with_client_cert_resolver(Arc::new(Shown(Arc::new(shown))))
        }
    })
}

/// A handshake over memory; an error is the server's.
pub(crate) fn handshake(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
    name: &str,
) -> Result<(ServerConnection, ClientConnection), rustls::Error> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut client = ClientConnection::new(Arc::clone(client), name).expect("a client");
    let mut server = ServerConnection::new(Arc::clone(server)).expect("a server");
    while client.wants_write() || server.wants_write() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).expect("memory");
        let mut wire = wire.as_slice();
        // One call reads a few kilobytes at most.
        while !wire.is_empty() {
            server.read_tls(&mut wire).expect("memory");
            server.process_new_packets()?;
        }
        let mut wire = Vec::new();
        server.write_tls(&mut wire).expect("memory");
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            client.read_tls(&mut wire).expect("memory");
            client.process_new_packets().expect("a sound server");
        }
    }
    assert!(!server.is_handshaking() && !client.is_handshaking());
    Ok((server, client))
}

#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Like most mail servers: takes whatever certificate the other side has.
#[derive(Debug)]
struct AnyServer;

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
