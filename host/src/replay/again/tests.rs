use super::*;
use crate::decision::{Refusal, TlsOffer};
use crate::digest::Digest;
use crate::facts::{FactSet, TrustState, sample};
use crate::receipt;
use crate::tenant::tests::{Bench, mailbox};

const ANN: &str = "ann@acme.example";

/// Whoever says to be the CEO has to come in TLS.
const CEO: &str = "[[policy]]\nname = \"ceo\"\nfrom = \"ceo@acme.example\"\nbased_on = \"header\"\n\
                   option = \"enforced\"\n";

const ALL: &str = "[[policy]]\nname = \"all\"\noption = \"enforced\"\n";

async fn candidate(bench: &Bench, policies: &str) -> Candidate {
    bench.write(
        "tenants/acme.toml",
        &format!("domains = [\"acme.example\"]\n{policies}"),
    );
    let loaded = bench.load_what_can_be().await.expect("no fault");
    Candidate {
        tenant: Arc::clone(&loaded.snapshot.tenants()[0]),
        default: loaded.snapshot.default().clone(),
        changes: Vec::new(),
        at: 1_800_000_000,
        with_tls: ["smtp".to_owned()].into(),
    }
}

/// Mail that was accepted, judged under the candidate's trust.
fn event(candidate: &Candidate, facts: Facts) -> VerdictEvent {
    VerdictEvent {
        trust: candidate.tenant.trust.digest(),
        facts: Arc::new(facts),
        ..receipt::sample::verdict(ANN)
    }
}

fn in_clear() -> Facts {
    sample::clear(&mailbox(ANN))
}

fn with_header(facts: &Facts, from: &[&str]) -> Facts {
    Facts {
        stage: Stage::Content,
        header_from: from.iter().map(|from| mailbox(from)).collect(),
        ..facts.clone()
    }
}

fn refused(refusal: Refusal) -> Result<Verdict, Unknown> {
    Ok(Verdict::Refused(refusal))
}

const ACCEPTED: Result<Verdict, Unknown> = Ok(Verdict::Accepted);

#[tokio::test]
async fn the_header_is_asked_for_only_where_it_matters() {
    let plaintext = || refused(Refusal::Plaintext);
    let every = CEO.replace("ceo@acme.example", "everyone");
    let bob = CEO.replace("option", "to = \"bob@acme.example\"\noption");
    let watching = format!("{CEO}mode = \"monitor\"\n");
    let lax = CEO.replace("enforced", "opportunistic");
    let stricter = format!("{ALL}{CEO}");
    let ceo: &[&str] = &["ceo@acme.example"];
    let amy: &[&str] = &["amy@partner.example"];
    for (policies, in_tls, header, expected) in [
        ("", false, None, ACCEPTED),
        (ALL, false, None, plaintext()),
        (ALL, true, None, ACCEPTED),
        (CEO, false, Some(ceo), plaintext()),
        (CEO, false, Some(amy), ACCEPTED),
        (CEO, false, Some(&[]), ACCEPTED),
        // The receipt has none.
        (CEO, false, None, Err(Unknown::Header)),
        (CEO, true, None, ACCEPTED),
        // It is about every header, about somebody else, only watches, or asks for nothing.
        (&every, false, None, plaintext()),
        (&bob, false, None, ACCEPTED),
        (&watching, false, None, ACCEPTED),
        (&lax, false, None, ACCEPTED),
        // What is refused at RCPT TO is not asked again.
        (&stricter, false, None, plaintext()),
    ] {
        let bench = Bench::new();
        let candidate = candidate(&bench, policies).await;
        let facts = match in_tls {
            true => sample::secured(&mailbox(ANN), sample::tls()),
            false => in_clear(),
        };
        let second = header.map(|from| event(&candidate, with_header(&facts, from)));
        let first = event(&candidate, facts);
        let found = again(&candidate, bench.engine(), &first, second.as_ref()).await;
        assert_eq!(found.verdict, expected, "{policies} {in_tls} {header:?}");
    }
}

#[tokio::test]
async fn another_trust_is_named_where_the_verdict_rests_on_it() {
    let requires = |what: &str| format!("{ALL}require = {{ {what} }}\n");
    let certified = || sample::certified(&mailbox(ANN), &["mx.a.example"], TrustState::Trusted);
    let untrusted = || sample::certified(&mailbox(ANN), &["mx.a.example"], TrustState::Untrusted);
    let bare = || sample::secured(&mailbox(ANN), sample::tls());
    let (trusted, within) = ("certificate = \"trusted\"", "within = \"a.example\"");
    let none = || refused(Refusal::NoCertificate { asked: true });
    for (require, facts, is_other, expected) in [
        (trusted, certified(), false, ACCEPTED),
        (trusted, certified(), true, Err(Unknown::Trust)),
        (trusted, untrusted(), true, Err(Unknown::Trust)),
        (within, certified(), true, Err(Unknown::Trust)),
        // Without a certificate, or without asking for trust, it is all the same.
        (trusted, bare(), true, none()),
        (trusted, in_clear(), true, refused(Refusal::Plaintext)),
        ("certificate = \"presented\"", certified(), true, ACCEPTED),
        ("tls = \"1.3\"", certified(), true, ACCEPTED),
    ] {
        let bench = Bench::new();
        let candidate = candidate(&bench, &requires(require)).await;
        let mut event = event(&candidate, facts);
        if is_other {
            event.trust = Digest::of(b"another");
        }
        let found = again(&candidate, bench.engine(), &event, None).await;
        assert_eq!(found.verdict, expected, "{require} {is_other}");
    }
}

#[tokio::test]
async fn dates_are_judged_at_one_moment_whenever_the_mail_came() {
    let bench = Bench::new();
    let dated = format!("{ALL}valid_from = 2030-01-01T00:00:00Z\n");
    let mut candidate = candidate(&bench, &dated).await;
    let event = event(&candidate, in_clear());
    let begins = 1_893_456_000;
    for (at, expected) in [
        (begins - 1, ACCEPTED),
        (begins, refused(Refusal::Plaintext)),
    ] {
        candidate.at = at;
        let found = again(&candidate, bench.engine(), &event, None).await;
        assert_eq!(found.verdict, expected, "{at}");
        assert_eq!(candidate.notes(None).len(), usize::from(at < begins));
    }
}

#[tokio::test]
async fn what_kept_a_listener_from_tls_is_taken_from_the_receipt_first() {
    let bench = Bench::new();
    let candidate = candidate(&bench, "").await;
    let mut facts = in_clear();
    let mut connection = (*facts.connection).clone();
    connection.starttls_offered = false;
    facts.connection = Arc::new(connection);
    let mut event = event(&candidate, facts);
    assert_eq!(candidate.offer(&event), TlsOffer::Unavailable);
    event.verdict = Verdict::Refused(Refusal::PlaintextOnly);
    assert_eq!(candidate.offer(&event), TlsOffer::Never);
    let elsewhere = Candidate {
        with_tls: std::collections::HashSet::new(),
        ..candidate
    };
    event.verdict = Verdict::Accepted;
    assert_eq!(elsewhere.offer(&event), TlsOffer::Never);
}

#[tokio::test]
async fn a_fact_that_is_missing_matters_to_whoever_reads_it() {
    let bench = Bench::new();
    let candidate = candidate(&bench, ALL).await;
    let facts = Arc::new(sample::secured(&mailbox(ANN), sample::tls()));
    let lacks: FactSet = [Fact::ReverseName].into_iter().collect();
    let event = VerdictEvent {
        lacks,
        ..event(&candidate, (*facts).clone())
    };
    let question = Question {
        candidate: &candidate,
        engine: bench.engine(),
        event: &event,
        facts: &facts,
        lacks_header: false,
    };
    let policy = &candidate.tenant.policies[0];
    let mut answered = consult(&candidate.tenant, policy, Mode::Enforce, &facts, None).await;
    assert_eq!(question.conclude(&answered), ACCEPTED);
    answered.reads = lacks;
    assert_eq!(
        question.conclude(&answered),
        Err(Unknown::Lacks(Fact::ReverseName))
    );
    answered.is_passing = true;
    assert_eq!(question.conclude(&answered), Err(Unknown::Host));
}
