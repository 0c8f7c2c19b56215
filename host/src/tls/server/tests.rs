use std::fs;

use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256};
use rustls::version::TLS13;

use super::*;
use crate::tls::made::{self, Authority, Leaf, Parameters, handshake};

fn named(names: &[&str]) -> Leaf {
    made::self_signed(|parameters| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = Parameters::new(names).expect("DNS names");
        parameters.subject_alt_names = made.subject_alt_names;
    })
}

#[test]
fn certificates_by_server_name() {
    let leaves = [
        named(&["mx.first.example"]),
        named(&["MX.second.example", "*.second.example"]),
        named(&["special.second.example"]),
    ];
    let identities = leaves.iter().map(Leaf::identity).collect();
    let server = TlsServer::new(identities).expect("three identities");
    for (name, expected) in [
        ("mx.first.example", 0),
        ("mx.SECOND.example", 1),
        ("other.second.example", 1),
        ("special.second.example", 2),
        ("deep.other.second.example", 0),
        ("second.example", 0),
        ("unknown.example", 0),
        ("192.0.2.1", 0),
    ] {
        let client = made::client(&TLS13, None);
        let (_, connection) = handshake(&server.config(true), &client, name).expect("it passes");
        let shown = connection.peer_certificates().expect("a certificate");
        assert_eq!(shown, leaves[expected].chain, "{name}");
    }
}

#[test]
fn a_client_gets_a_certificate_that_it_can_verify() {
    let anchor = Authority::new("Anchor");
    let leaves = [&PKCS_ED25519, &PKCS_RSA_SHA256, &PKCS_ECDSA_P256_SHA256]
        .map(|algorithm| anchor.issue_for(algorithm, |_| {}));
    let resolver = ByServerName::new(leaves.iter().map(Leaf::identity).collect());
    let resolver = resolver.expect("three identities");
    let candidates = resolver.candidates(Some("mx.partner.example"));
    assert_eq!(candidates.len(), 3);
    for (scheme, expected) in [
        (rustls::SignatureScheme::ECDSA_NISTP256_SHA256, 2),
        (rustls::SignatureScheme::RSA_PSS_SHA256, 1),
        (rustls::SignatureScheme::ED25519, 0),
        (rustls::SignatureScheme::ML_DSA_44, 0),
    ] {
        let chosen = resolver.choose(Some("mx.partner.example"), &[scheme]);
        let chosen = chosen.expect("there is always one");
        assert_eq!(chosen.cert, leaves[expected].chain, "{scheme:?}");
    }
}

#[test]
fn a_server_needs_a_certificate() {
    assert_eq!(TlsServer::new(Vec::new()).err(), Some(NoIdentity));
    let leaf = named(&["mx.example"]);
    let server = TlsServer::new(vec![leaf.identity()]).expect("one identity");
    assert_eq!(server.replace(Vec::new()), Err(NoIdentity));
    assert_eq!(shown(&server), leaf.chain, "it has what it had");
}

#[test]
fn handshakes_have_the_certificates_of_their_time() {
    let (old, new) = (named(&["mx.example"]), named(&["mx.example"]));
    let server = TlsServer::new(vec![old.identity()]).expect("one identity");
    let handed_out = server.config(true);
    assert_eq!(shown(&server), old.chain);
    server.replace(vec![new.identity()]).expect("one identity");
    assert_eq!(shown(&server), new.chain);
    let client = made::client(&TLS13, None);
    let (_, connection) = handshake(&handed_out, &client, "mx.example").expect("it passes");
    assert_eq!(connection.peer_certificates(), Some(&*new.chain));
}

fn shown(server: &TlsServer) -> Vec<CertificateDer<'static>> {
    let client = made::client(&TLS13, None);
    let (_, connection) =
        handshake(&server.config(false), &client, "mx.example").expect("it passes");
    connection
        .peer_certificates()
        .expect("a certificate")
        .to_vec()
}

#[test]
fn faults_name_the_file_and_what_to_do() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).expect("written");
        path
    };
    let (leaf, other) = (named(&["mx.example"]), named(&["mx.example"]));
    let pem = |leaf: &Leaf| pem_of("CERTIFICATE", &leaf.chain[0]);
    let chain = file("chain.pem", &pem(&leaf));
    let key = file("key.pem", &leaf.key.serialize_pem());
    assert_eq!(
        Identity::load(&chain, &key).expect("they match").names(),
        ["mx.example"]
    );

    let foreign = file("other.pem", &other.key.serialize_pem());
    let empty = file("empty.pem", "");
    let absent = directory.path().join("absent.pem");
    let broken = file("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA");
    let garbage = file("garbage.pem", &pem_of("CERTIFICATE", b"garbage"));
    let locked = file("locked.pem", &pem_of("ENCRYPTED PRIVATE KEY", b"secret"));
    let strange = file("strange.pem", &pem_of("PRIVATE KEY", b"strange"));
    for (chain, key, expected) in [
        (
            &chain,
            &foreign,
            "the private key in {}/other.pem is not that of the first certificate in \
             {}/chain.pem: the host's own certificate comes first in a chain",
        ),
        (
            &empty,
            &key,
            "{}/empty.pem has no certificate: give a PEM file with a \
             \"-----BEGIN CERTIFICATE-----\" section",
        ),
        (
            &chain,
            &chain,
            "{}/chain.pem has no private key: give a PEM file with a \
             \"-----BEGIN PRIVATE KEY-----\" section",
        ),
        (
            &chain,
            &absent,
            "cannot read {}/absent.pem: No such file or directory (os error 2)",
        ),
        (
            &broken,
            &key,
            "{}/broken.pem is not sound PEM: an END line is missing; export it again",
        ),
        (
            &garbage,
            &key,
            "the first certificate in {}/garbage.pem is malformed: export it again",
        ),
        (
            &chain,
            &locked,
            "the private key in {}/locked.pem is encrypted: store it without a passphrase, \
             readable to this user alone",
        ),
        (
            &chain,
            &strange,
            "the private key in {}/strange.pem cannot be used (failed to parse private key \
             as RSA, ECDSA, or EdDSA): use RSA of 2048 bits or more, ECDSA or Ed25519",
        ),
    ] {
        let fault = Identity::load(chain, key).expect_err("a fault");
        let expected = expected.replace("{}", &directory.path().display().to_string());
        assert_eq!(fault.to_string(), expected);
    }
}

#[test]
fn revocation_lists_come_from_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("lists.pem");
    let anchor = Authority::new("Anchor");
    let lists = [anchor.revoke(&[], -1, 1), anchor.revoke(&[], -2, 1)];
    let text: String = lists.iter().map(|list| pem_of("X509 CRL", list)).collect();
    fs::write(&path, text).expect("written");
    assert_eq!(
        pem::revocation_lists_in(&path, &std::fs::read(&path).expect("it was written"))
            .expect("two lists"),
        lists
    );
    assert!(pem::certificates(&path).is_err());
}

fn pem_of(label: &str, der: &[u8]) -> String {
    use x509_cert::der::pem::{LineEnding, encode_string};
    encode_string(label, LineEnding::LF, der).expect("it fits")
}
