mod paths;

use rcgen::ExtendedKeyUsagePurpose;

use super::*;
use crate::tls::made::{self, Authority, Leaf, day, now};

/// What a judgement should be, for the client's and for the server's purpose.
fn check(
    what: &str,
    settings: &TrustSettings,
    leaf: &Leaf,
    client: (&str, &str),
    server: (&str, &str),
) {
    let store = TrustStore::new(settings.clone()).expect("sound settings");
    let judgement = store.judge(&leaf.chain, now());
    let found = |trust: &Trust| (trust.state.as_str().to_owned(), trust.detail.clone());
    let expected = |(state, detail): (&str, &str)| (state.to_owned(), detail.to_owned());
    assert_eq!(
        found(&judgement.client),
        expected(client),
        "{what}, as a client"
    );
    assert_eq!(
        found(&judgement.server),
        expected(server),
        "{what}, as a server"
    );
}

fn check_both(what: &str, settings: &TrustSettings, leaf: &Leaf, both: (&str, &str)) {
    check(what, settings, leaf, both, both);
}

fn under(anchors: &[&Authority]) -> TrustSettings {
    TrustSettings {
        anchors: anchors.iter().map(|anchor| anchor.der()).collect(),
        ..TrustSettings::default()
    }
}

fn pinning(leaf: &Leaf) -> TrustSettings {
    let outline = Outline::read(&leaf.chain[0]).expect("made here");
    TrustSettings {
        pins: BTreeSet::from([outline.fingerprint()]),
        ..TrustSettings::default()
    }
}

const TRUSTED: (&str, &str) = ("trusted", "CN=Anchor");
const SELF_SIGNED: (&str, &str) = ("self-signed", "signed by its own key");

#[test]
fn under_an_anchor() {
    let anchor = Authority::new("Anchor");
    let settings = under(&[&anchor]);
    let untrusted = |detail| ("untrusted", detail);

    check_both("plain", &settings, &anchor.issue(|_| {}), TRUSTED);
    for (what, leaf, expected) in [
        (
            "expired",
            anchor.issue(|p| p.not_after = day(-1)),
            untrusted("expired"),
        ),
        (
            "early",
            anchor.issue(|p| p.not_before = day(1)),
            untrusted("not yet valid"),
        ),
        (
            "version 1",
            anchor.issue_version_1(),
            untrusted("version 1"),
        ),
        (
            "critical extension",
            anchor.issue(made::unknown_critical_extension),
            untrusted("unknown critical extension"),
        ),
        (
            "P-521",
            anchor.issue_for(&rcgen::PKCS_ECDSA_P521_SHA512, |_| {}),
            TRUSTED,
        ),
        (
            "Ed25519",
            anchor.issue_for(&rcgen::PKCS_ED25519, |_| {}),
            TRUSTED,
        ),
        (
            "another's",
            Authority::new("Other").issue(|_| {}),
            untrusted("unknown issuer"),
        ),
        (
            "an impostor's",
            Authority::new("Anchor").issue(|_| {}),
            untrusted("bad signature"),
        ),
        (
            "an authority's",
            anchor.issue(|p| p.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained)),
            untrusted("authority used as end entity"),
        ),
    ] {
        check_both(what, &settings, &leaf, expected);
    }
}

#[test]
fn purposes() {
    let anchor = Authority::new("Anchor");
    let settings = under(&[&anchor]);
    let wrong = ("untrusted", "not for this purpose");
    let issue = |purpose| anchor.issue(made::purpose(purpose));
    let client = issue(ExtendedKeyUsagePurpose::ClientAuth);
    check("client", &settings, &client, TRUSTED, wrong);
    let server = issue(ExtendedKeyUsagePurpose::ServerAuth);
    check("server", &settings, &server, wrong, TRUSTED);
    let signing = issue(ExtendedKeyUsagePurpose::CodeSigning);
    check_both("code signing", &settings, &signing, wrong);

    let accepting = TrustSettings {
        self_signed: SelfSigned::Accept,
        ..TrustSettings::default()
    };
    let own = made::self_signed(made::purpose(ExtendedKeyUsagePurpose::ServerAuth));
    check("self-signed", &accepting, &own, wrong, SELF_SIGNED);
}

#[test]
fn an_end_entity_as_anchor() {
    let anchored = |leaf: &Leaf| TrustSettings {
        anchors: leaf.chain.clone(),
        ..TrustSettings::default()
    };
    let trusted = ("trusted", "CN=mx.partner.example");
    for (what, leaf, expected) in [
        (
            "as openssl makes it",
            made::self_signed_authority(),
            trusted,
        ),
        ("not an authority", made::self_signed(|_| {}), trusted),
        ("version 1", made::self_signed_version_1(), trusted),
        ("another's", Authority::new("Other").issue(|_| {}), trusted),
        (
            "expired",
            made::self_signed(|p| p.not_after = day(-1)),
            ("untrusted", "expired"),
        ),
    ] {
        check_both(what, &anchored(&leaf), &leaf, expected);
    }
}

#[test]
fn pins() {
    let anchor = Authority::new("Anchor");
    for (what, leaf, expected) in [
        ("plain", made::self_signed(|_| {}), "pinned"),
        ("version 1", anchor.issue_version_1(), "pinned"),
        (
            "critical extension",
            anchor.issue(made::unknown_critical_extension),
            "pinned",
        ),
        (
            "wrong purpose",
            anchor.issue(made::purpose(ExtendedKeyUsagePurpose::CodeSigning)),
            "pinned",
        ),
        (
            "expired",
            anchor.issue(|p| p.not_after = day(-1)),
            "pinned; certificate expired",
        ),
        (
            "early",
            anchor.issue(|p| p.not_before = day(1)),
            "pinned; certificate not yet valid",
        ),
    ] {
        check_both(what, &pinning(&leaf), &leaf, ("pinned", expected));
    }
    let (one, other) = (anchor.issue(|_| {}), anchor.issue(|_| {}));
    check_both(
        "another key",
        &pinning(&one),
        &other,
        ("untrusted", "unknown issuer"),
    );
    let both = TrustSettings {
        anchors: vec![anchor.der()],
        ..pinning(&one)
    };
    check_both("pinned before trusted", &both, &one, ("pinned", "pinned"));
    check_both("under the anchor beside the pin", &both, &other, TRUSTED);
}

#[test]
fn self_signed() {
    for (what, leaf, expected) in [
        ("plain", made::self_signed(|_| {}), SELF_SIGNED),
        (
            "as openssl makes it",
            made::self_signed_authority(),
            SELF_SIGNED,
        ),
        ("version 1", made::self_signed_version_1(), SELF_SIGNED),
        (
            "expired",
            made::self_signed(|p| p.not_after = day(-1)),
            ("untrusted", "expired"),
        ),
        (
            "early",
            made::self_signed(|p| p.not_before = day(1)),
            ("untrusted", "not yet valid"),
        ),
        (
            "critical extension",
            made::self_signed(made::unknown_critical_extension),
            ("untrusted", "unknown critical extension"),
        ),
        (
            // Subject and issuer are the same, but another key has signed.
            "feigned",
            Authority::new("mx.partner.example").issue(|_| {}),
            ("untrusted", "unknown issuer"),
        ),
    ] {
        check_both(what, &TrustSettings::default(), &leaf, expected);
    }
}

/// What `openssl req -x509` makes is no end entity to webpki, so its purposes are read
/// by us: what cannot be read is no absence.
#[test]
fn malformed_purposes_are_good_for_nothing() {
    let usage = |content: &[u8]| {
        let usage = rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 37], content.to_vec());
        made::self_signed(|p| {
            p.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            p.custom_extensions.push(usage);
        })
    };
    let settings = TrustSettings::default();
    let server = b"\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01";
    let sound = usage(&made::element(0x30, &[server]));
    let wrong = ("untrusted", "not for this purpose");
    check("sound", &settings, &sound, wrong, SELF_SIGNED);
    for (what, content) in [
        ("no sequence", server.to_vec()),
        ("cut", made::element(0x30, &[&server[..6]])),
        (
            "no object identifier",
            made::element(0x30, &[b"\x02\x01\x01"]),
        ),
        ("nothing", Vec::new()),
    ] {
        let malformed = ("untrusted", "malformed");
        check_both(what, &settings, &usage(&content), malformed);
    }
}

/// What stands beside a self-signed certificate is not its fault, and no excuse.
#[test]
fn self_signed_with_company() {
    let strange = Authority::with("mx.partner.example", made::unknown_critical_extension);
    let namesake = Authority::new("mx.partner.example");
    for (what, settings, company) in [
        (
            "an issuer with an unknown critical extension",
            TrustSettings::default(),
            strange.der(),
        ),
        (
            "an anchor of the same name",
            under(&[&namesake]),
            namesake.der(),
        ),
        (
            "an issuer that is none",
            TrustSettings::default(),
            made::self_signed(|_| {}).chain[0].clone(),
        ),
    ] {
        let mut leaf = made::self_signed(|p| {
            p.distinguished_name = made::named("mx.partner.example");
        });
        leaf.chain.push(company);
        check_both(what, &settings, &leaf, SELF_SIGNED);
    }
}

#[test]
fn only_accept_accepts_self_signed() {
    let leaf = made::self_signed_authority();
    for (self_signed, trusted) in [
        (SelfSigned::Refuse, false),
        (SelfSigned::AcceptPinned, false),
        (SelfSigned::Accept, true),
    ] {
        let judge = |settings: TrustSettings| {
            let settings = TrustSettings {
                self_signed,
                ..settings
            };
            let store = TrustStore::new(settings).expect("sound");
            store.judge(&leaf.chain, now()).is_trusted()
        };
        assert_eq!(judge(TrustSettings::default()), trusted, "{self_signed:?}");
        assert!(judge(pinning(&leaf)), "{self_signed:?}, pinned");
    }
}

#[test]
fn two_tenants_judge_one_certificate() {
    let (one, other) = (Authority::new("One"), Authority::new("Other"));
    let leaf = one.issue(|_| {});
    let judge = |settings| {
        let store = TrustStore::new(settings).expect("sound");
        store.judge(&leaf.chain, now())
    };
    assert!(judge(under(&[&one])).is_trusted());
    assert!(!judge(under(&[&other])).is_trusted());
    assert_eq!(judge(under(&[&one])).detail(), "CN=One");
    assert_eq!(judge(under(&[&other])).detail(), "unknown issuer");
}

#[test]
fn no_certificate_and_none_that_is_one() {
    let store = TrustStore::new(TrustSettings::default()).expect("sound");
    let garbage = CertificateDer::from(b"garbage".to_vec());
    for chain in [&[][..], &[garbage]] {
        let judgement = store.judge(chain, now());
        assert_eq!(judgement.client.detail, "malformed");
        assert!(!judgement.is_trusted());
    }
}
