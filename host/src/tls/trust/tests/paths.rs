//! Paths to anchors, and what trust is built from.

use rcgen::{GeneralSubtree, NameConstraints, SanType};
use rustls_pki_types::CertificateRevocationListDer;

use super::*;

#[test]
fn intermediates() {
    let anchor = Authority::new("Anchor");
    let middle = anchor.subordinate("Middle");
    let settings = under(&[&anchor]);
    let mut leaf = middle.issue(|_| {});
    check_both("alone", &settings, &leaf, ("untrusted", "unknown issuer"));
    leaf.chain.push(middle.der());
    check_both("with its chain", &settings, &leaf, TRUSTED);
    let middle_alone = under(&[&middle]);
    check_both(
        "anchor in the middle",
        &middle_alone,
        &leaf,
        ("trusted", "CN=Middle"),
    );

    // A host that issues for others is no authority.
    let host = anchor.issue(|p| p.distinguished_name = made::named("Host"));
    let below = rcgen::Issuer::new(
        {
            let mut parameters = made::host();
            parameters.distinguished_name = made::named("Host");
            parameters
        },
        &host.key,
    );
    let key = rcgen::KeyPair::generate().expect("a key");
    let der = made::host().signed_by(&key, &below).expect("made");
    let chain = vec![der.der().clone(), host.chain[0].clone()];
    let issued = Leaf { chain, key };
    check_both(
        "by a host",
        &settings,
        &issued,
        ("untrusted", "issuer not an authority"),
    );
}

#[test]
fn public_roots() {
    let root = Authority::new("Public");
    let roots = PublicRoots::from_certificates(&[root.der()]).expect("sound");
    let leaf = root.issue(|_| {});
    let mut settings = under(&[&Authority::new("Anchor")]);
    check_both(
        "excluded",
        &settings,
        &leaf,
        ("untrusted", "unknown issuer"),
    );
    settings.public_roots = Some(roots);
    check_both("included", &settings, &leaf, ("trusted", "CN=Public"));
    let expired = root.issue(|p| p.not_after = day(-1));
    check_both("expired", &settings, &expired, ("untrusted", "expired"));
    assert!(PublicRoots::bundled().anchors().len() > 100);
}

#[test]
fn revocation() {
    let anchor = Authority::new("Anchor");
    let middle = anchor.subordinate("Middle");
    let (leaf, other) = (anchor.issue(|_| {}), anchor.issue(|_| {}));
    let mut below = middle.issue(|_| {});
    below.chain.push(middle.der());
    let middle_as_leaf = Leaf {
        chain: vec![middle.der()],
        key: rcgen::KeyPair::generate().expect("a key"),
    };
    let with = |lists: Vec<CertificateRevocationListDer<'static>>| TrustSettings {
        revocation_lists: lists,
        ..under(&[&anchor])
    };
    let revoked = ("untrusted", "revoked");
    let current = with(vec![anchor.revoke(&[&leaf], -1, 1)]);
    check_both("on the list", &current, &leaf, revoked);
    check_both("not on the list", &current, &other, TRUSTED);
    check_both("issuer without a list", &current, &below, TRUSTED);
    let stale = with(vec![anchor.revoke(&[&leaf], -9, -8)]);
    check_both("on a stale list", &stale, &leaf, revoked);
    check_both("not on a stale list", &stale, &other, TRUSTED);
    let whole_path = with(vec![anchor.revoke(&[&middle_as_leaf], -1, 1)]);
    check_both("issuer revoked", &whole_path, &below, revoked);
    let feigned = with(vec![Authority::new("Anchor").revoke(&[], -1, 1)]);
    check_both(
        "another's list",
        &feigned,
        &leaf,
        ("untrusted", "revocation list unusable"),
    );
    // What has expired as well is said to be revoked, and what has only expired is not.
    let ended = || anchor.issue(|p| p.not_after = day(-1));
    let (revoked_first, only_ended) = (ended(), ended());
    let both = with(vec![anchor.revoke(&[&revoked_first], -1, 1)]);
    check_both("revoked, and expired", &both, &revoked_first, revoked);
    check_both("expired", &both, &only_ended, ("untrusted", "expired"));
    let mut ended_below = middle.issue(|p| p.not_after = day(-1));
    ended_below.chain.push(middle.der());
    check_both(
        "expired, issuer revoked",
        &whole_path,
        &ended_below,
        revoked,
    );
    let (old, new) = (anchor.revoke(&[], -2, 1), anchor.revoke(&[&leaf], -1, 1));
    for lists in [vec![old.clone(), new.clone()], vec![new, old]] {
        check_both("newest of two lists", &with(lists), &leaf, revoked);
    }
}

#[test]
fn name_constraints() {
    let constrained = |permitted: &[&str], excluded: &[&str]| {
        let subtrees = |names: &[&str]| {
            let names = names.iter();
            names
                .map(|name| GeneralSubtree::DnsName((*name).to_owned()))
                .collect()
        };
        Authority::with("Anchor", |parameters| {
            parameters.name_constraints = Some(NameConstraints {
                permitted_subtrees: subtrees(permitted),
                excluded_subtrees: subtrees(excluded),
            });
        })
    };
    let broken = ("untrusted", "name constraint");
    for (permitted, excluded, expected) in [
        (&["partner.example"][..], &[][..], TRUSTED),
        (&["other.example"], &[], broken),
        (&[], &["partner.example"], broken),
        (&[], &["other.example"], TRUSTED),
    ] {
        let anchor = constrained(permitted, excluded);
        let leaf = anchor.issue(|_| {});
        check_both("one name", &under(&[&anchor]), &leaf, expected);
    }
    let anchor = constrained(&["partner.example"], &[]);
    let two = anchor.issue(|parameters| {
        let name = "mx.other.example".try_into().expect("ASCII");
        parameters.subject_alt_names.push(SanType::DnsName(name));
    });
    check_both("one of two names", &under(&[&anchor]), &two, broken);
}

#[test]
fn digests_tell_trust_apart() {
    let (one, other) = (Authority::new("One"), Authority::new("Other"));
    let pin = |text: &str| BTreeSet::from([Digest::of(text.as_bytes())]);
    let roots = |root: &Authority| PublicRoots::from_certificates(&[root.der()]).ok();
    let base = TrustSettings::default;
    let distinct = [
        base(),
        under(&[&one]),
        under(&[&other]),
        under(&[&one, &other]),
        TrustSettings {
            pins: pin("a"),
            ..base()
        },
        TrustSettings {
            pins: pin("b"),
            ..base()
        },
        TrustSettings {
            self_signed: SelfSigned::AcceptPinned,
            ..base()
        },
        TrustSettings {
            self_signed: SelfSigned::Accept,
            ..base()
        },
        TrustSettings {
            public_roots: roots(&one),
            ..base()
        },
        TrustSettings {
            public_roots: roots(&other),
            ..base()
        },
        TrustSettings {
            revocation_lists: vec![one.revoke(&[], -1, 1)],
            ..base()
        },
        TrustSettings {
            revocation_lists: vec![one.revoke(&[], -2, 1)],
            ..base()
        },
    ];
    let digest =
        |settings: &TrustSettings| TrustStore::new(settings.clone()).expect("sound").digest();
    let digests: BTreeSet<Digest> = distinct.iter().map(digest).collect();
    assert_eq!(digests.len(), distinct.len());
    assert_eq!(
        digest(&under(&[&one, &other])),
        digest(&under(&[&other, &one])),
        "in any order"
    );
}

#[test]
fn every_fault_is_named() {
    let twice = Authority::with("Twice", |parameters| {
        let basic_constraints = rcgen::CustomExtension::from_oid_content(
            &[2, 5, 29, 19],
            made::element(0x30, &[&[1, 1, 0xff]]),
        );
        parameters.custom_extensions.push(basic_constraints);
    });
    let sound = Authority::new("Anchor");
    let mut list = sound.revoke(&[], -1, 1).to_vec();
    // The version of the list, at the start of what is signed.
    let version = list.windows(3).position(|bytes| bytes == [2, 1, 1]);
    list[version.expect("version 2") + 2] = 0;
    let settings = TrustSettings {
        anchors: vec![sound.der(), b"garbage".to_vec().into(), twice.der()],
        revocation_lists: vec![b"garbage".to_vec().into(), list.into()],
        ..TrustSettings::default()
    };
    let faults = TrustStore::new(settings).expect_err("four faults");
    let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "trust anchor 2 (unreadable) cannot be used: malformed certificate; \
             remove it or export it again",
            "trust anchor 3 (CN=Twice) cannot be used: its extensions are malformed; \
             remove it or export it again",
            "certificate revocation list 1 (unreadable) cannot be used: malformed list; \
             give a complete version 2 list (RFC 5280) of the authority",
            "certificate revocation list 2 (CN=Anchor) cannot be used: \
             it is not a version 2 list; \
             give a complete version 2 list (RFC 5280) of the authority",
        ]
    );
}
