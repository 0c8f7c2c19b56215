use super::*;
use crate::digest::Digest;
use crate::facts::{ClaimedCertificate, TrustState, sample};

fn sources(networks: &[&str], names: &[&str], pins: &[Fingerprint]) -> Sources {
    let networks = networks.iter().map(|n| n.parse().expect("a network"));
    let names = names.iter().map(|n| n.parse().expect("a domain"));
    Sources::new(
        networks.collect(),
        names.collect(),
        pins.iter().copied().collect(),
    )
}

/// A client at this address; with a certificate for these names, where there are any.
fn connection(client: &str, names: &[&str]) -> Connection {
    let recipient = "x@acme.example".parse().expect("a mailbox");
    let facts = match names {
        [] => sample::clear(&recipient),
        names => sample::certified(&recipient, names, TrustState::Trusted),
    };
    let mut connection = Connection::clone(&facts.connection);
    connection
        .client
        .set_ip(client.parse().expect("an address"));
    connection
}

#[test]
fn recognition() {
    use Recognition::{ByName, Certain, None};
    let own = sources(
        &["192.0.2.0/24", "2001:db8::/32"],
        &["mail.acme.example"],
        &[],
    );
    for (client, names, expected) in [
        ("192.0.2.9", &[][..], Certain),
        ("::ffff:192.0.2.9", &[], Certain),
        ("2001:db8:1::9", &[], Certain),
        ("192.0.3.9", &[], None),
        ("2001:db9::9", &[], None),
        ("192.0.3.9", &["mail.acme.example"], ByName),
        ("192.0.3.9", &["other.example", "MAIL.acme.example"], ByName),
        ("192.0.3.9", &["*.acme.example"], ByName),
        ("192.0.3.9", &["acme.example"], None),
        ("192.0.3.9", &["x.mail.acme.example"], None),
        ("192.0.2.9", &["mail.acme.example"], Certain),
    ] {
        let found = own.recognise(&connection(client, names));
        assert_eq!(found, expected, "{client} {names:?}");
    }
}

#[test]
fn a_pinned_key_is_certain_whatever_the_certificate_says() {
    let client = connection("198.51.100.1", &["nobody.example"]);
    // The key of the sample.
    let pinned = sources(&[], &[], &[Digest::of(b"key")]);
    assert_eq!(pinned.recognise(&client), Recognition::Certain);
    let other = sources(&[], &[], &[Digest::of(b"another")]);
    assert_eq!(other.recognise(&client), Recognition::None);
}

/// The host has not seen it, so nobody has proved anything.
#[test]
fn a_certificate_that_a_proxy_claims_is_none() {
    let mut client = connection("198.51.100.1", &["mail.acme.example"]);
    let claimed = ClaimedCertificate {
        common_name: Some("mail.acme.example".into()),
        verified: true,
    };
    let tls = client.tls.as_mut().expect("TLS");
    tls.client_certificate = ClientCertificate::Claimed(claimed);
    let own = sources(&[], &["mail.acme.example"], &[Digest::of(b"key")]);
    assert_eq!(own.recognise(&client), Recognition::None);
}

#[test]
fn what_two_tenants_share_is_found() {
    let key = Digest::of(b"key");
    let own = sources(&["192.0.2.0/24"], &["mail.acme.example"], &[key]);
    for (other, shared) in [
        (
            sources(&["192.0.2.128/25"], &[], &[]),
            Some("192.0.2.0/24".to_owned()),
        ),
        (
            sources(&["192.0.0.0/16"], &[], &[]),
            Some("192.0.2.0/24".to_owned()),
        ),
        (sources(&["192.0.3.0/24"], &[], &[]), None),
        (
            sources(&[], &["mail.acme.example"], &[]),
            Some("mail.acme.example".to_owned()),
        ),
        (sources(&[], &[], &[key]), Some(key.to_string())),
        (Sources::default(), None),
    ] {
        assert_eq!(own.shared_with(&other), shared, "{other:?}");
    }
}
