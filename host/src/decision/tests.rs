use super::*;
use crate::digest::Digest;
use crate::facts::{ClaimedCertificate, Origin, Tls, TrustState, sample};

fn recipient() -> Mailbox {
    "c@acme.example".parse().expect("a mailbox")
}

fn domain(text: &str) -> Domain {
    text.parse().expect("a domain")
}

/// What becomes of a decision with one requirement (or none).
fn refusal(requirement: Option<Requirement>, facts: &Facts) -> Option<Refusal> {
    let requirements = requirement.into_iter().collect();
    judge(&Resolved::Enforced(requirements), facts, TlsOffer::Offered).err()
}

#[test]
fn enforced_in_clear_depends_on_what_was_offered() {
    let facts = sample::clear(&recipient());
    for (offer, expected) in [
        (TlsOffer::Offered, Refusal::Plaintext),
        (TlsOffer::Never, Refusal::PlaintextOnly),
        (TlsOffer::Unavailable, Refusal::TlsUnavailable),
    ] {
        let enforced = Resolved::Enforced(Requirements::default());
        assert_eq!(judge(&enforced, &facts, offer), Err(expected));
        assert!(judge(&Resolved::Opportunistic, &facts, offer).is_ok());
    }
}

#[test]
fn versions_and_key_exchange() {
    let old = Tls {
        version: TlsVersion::TLS12,
        key_exchange: Some("X25519".into()),
        post_quantum: false,
        ..sample::tls()
    };
    let (old, new) = (
        sample::secured(&recipient(), old),
        sample::secured(&recipient(), sample::tls()),
    );
    let tls13 = Some(Requirement::AtLeast(TlsVersion::TLS13));
    assert_eq!(refusal(None, &old), None);
    assert_eq!(refusal(tls13.clone(), &new), None);
    assert_eq!(
        refusal(tls13, &old),
        Some(Refusal::Version {
            found: TlsVersion::TLS12,
            required: TlsVersion::TLS13
        })
    );
    assert_eq!(refusal(Some(Requirement::PostQuantum), &new), None);
    assert_eq!(
        refusal(Some(Requirement::PostQuantum), &old),
        Some(Refusal::NotPostQuantum {
            found: Some("X25519".into())
        })
    );
}

#[test]
fn certificates() {
    let given = |state| sample::certified(&recipient(), &["mx.partner.example"], state);
    let (trusted, untrusted) = (given(TrustState::Trusted), given(TrustState::Untrusted));
    let none = sample::secured(&recipient(), sample::tls());
    let not_asked = Tls {
        client_certificate: ClientCertificate::NotAsked,
        ..sample::tls()
    };
    let not_asked = sample::secured(&recipient(), not_asked);
    let refused_untrusted = Refusal::Untrusted {
        detail: "a detail".into(),
    };
    let wrong = |required| Refusal::WrongName {
        required: domain(required),
        found: vec!["mx.partner.example".into()],
    };
    let key = Digest::of(b"key");
    let other = Digest::of(b"another key");
    let pinned = |pins: &[Fingerprint]| Requirement::Pinned(pins.iter().copied().collect());
    for (requirement, facts, expected) in [
        (Requirement::Presented, &trusted, None),
        (Requirement::Presented, &untrusted, None),
        (
            Requirement::Presented,
            &none,
            Some(Refusal::NoCertificate { asked: true }),
        ),
        (
            Requirement::Presented,
            &not_asked,
            Some(Refusal::NoCertificate { asked: false }),
        ),
        (Requirement::Trusted, &trusted, None),
        (
            Requirement::Trusted,
            &untrusted,
            Some(refused_untrusted.clone()),
        ),
        (
            Requirement::Trusted,
            &none,
            Some(Refusal::NoCertificate { asked: true }),
        ),
        (
            Requirement::Covers(domain("mx.partner.example")),
            &trusted,
            None,
        ),
        (
            Requirement::Covers(domain("partner.example")),
            &trusted,
            Some(wrong("partner.example")),
        ),
        (
            Requirement::Covers(domain("mx.partner.example")),
            &untrusted,
            Some(refused_untrusted.clone()),
        ),
        (
            Requirement::Within(domain("partner.example")),
            &trusted,
            None,
        ),
        (
            Requirement::Within(domain("other.example")),
            &trusted,
            Some(wrong("other.example")),
        ),
        (
            Requirement::Within(domain("partner.example")),
            &untrusted,
            Some(refused_untrusted),
        ),
        (pinned(&[other, key]), &untrusted, None),
        (
            pinned(&[other]),
            &trusted,
            Some(Refusal::PinMismatch { found: key }),
        ),
        (
            pinned(&[key]),
            &none,
            Some(Refusal::NoCertificate { asked: true }),
        ),
    ] {
        assert_eq!(
            refusal(Some(requirement.clone()), facts),
            expected,
            "{requirement:?}"
        );
    }
}

#[test]
fn self_signed_counts_only_where_the_tenant_accepts_it() {
    let mut facts = sample::certified(
        &recipient(),
        &["mx.partner.example"],
        TrustState::SelfSigned,
    );
    assert!(refusal(Some(Requirement::Trusted), &facts).is_some());
    if let Some(judgement) = &mut facts.trust {
        judgement.accept_self_signed = true;
    }
    assert_eq!(
        refusal(Some(Requirement::Within(domain("partner.example"))), &facts),
        None
    );
}

#[test]
fn the_first_requirement_that_fails_is_named() {
    let requirements = [Requirement::Trusted, Requirement::PostQuantum]
        .into_iter()
        .collect();
    let plain = Tls {
        post_quantum: false,
        key_exchange: None,
        ..sample::tls()
    };
    let facts = sample::secured(&recipient(), plain);
    assert_eq!(
        judge(&Resolved::Enforced(requirements), &facts, TlsOffer::Offered),
        Err(Refusal::NotPostQuantum { found: None })
    );
}

#[test]
fn default_is_resolved() {
    let enforced = Resolved::Enforced(Requirements::default());
    assert_eq!(Decision::Default.resolve(&enforced), enforced);
    assert_eq!(
        Decision::Opportunistic.resolve(&enforced),
        Resolved::Opportunistic
    );
}

/// A proxy's word is worth what the operator says, and is never a certificate.
#[test]
fn claims_of_a_proxy() {
    let claimed = |origin, certificate| {
        let tls = Tls {
            origin,
            client_certificate: certificate,
            ..sample::tls()
        };
        sample::secured(&recipient(), tls)
    };
    let shown = ClientCertificate::Claimed(ClaimedCertificate {
        common_name: Some("mx.partner.example".into()),
        verified: true,
    });
    let pins = [Digest::of(b"key")].into();
    let certificate = [
        Requirement::Presented,
        Requirement::Trusted,
        Requirement::Covers(domain("mx.partner.example")),
        Requirement::Within(domain("partner.example")),
        Requirement::Pinned(pins),
    ];
    let session = [
        None,
        Some(Requirement::AtLeast(TlsVersion::TLS13)),
        Some(Requirement::PostQuantum),
    ];
    let untrusted = claimed(Origin::Proxy, shown.clone());
    let trusted = claimed(Origin::TrustedProxy, shown);
    for requirement in &session {
        let found = refusal(requirement.clone(), &untrusted);
        assert_eq!(found, Some(Refusal::ClaimedTls));
        assert_eq!(refusal(requirement.clone(), &trusted), None);
    }
    let silent = claimed(Origin::TrustedProxy, ClientCertificate::NotAsked);
    for requirement in certificate {
        let found = refusal(Some(requirement.clone()), &untrusted);
        assert_eq!(found, Some(Refusal::ClaimedTls));
        let found = refusal(Some(requirement.clone()), &trusted);
        assert_eq!(found, Some(Refusal::ClaimedCertificate));
        let found = refusal(Some(requirement), &silent);
        assert_eq!(found, Some(Refusal::NoCertificate { asked: false }));
    }
}
