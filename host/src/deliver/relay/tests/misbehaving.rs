//! Hops that close, fall silent or talk nonsense at each step: the client of ours is
//! told to come back, and within the time.

use super::fake::{Act, Fake};
use super::*;

#[tokio::test]
async fn at_each_step() {
    for step in ["greeting", "LHLO", "MAIL", "RCPT", "DATA", "."] {
        for act in [
            Act::Close,
            Act::Hang,
            Act::Trickle,
            Act::Say("what?"),
            Act::Last("421 4.3.2 going down"),
        ] {
            let fake = Fake::tcp(vec![vec![(step, act)]]).await;
            let relay = relay(impatient(hop(Protocol::Lmtp, fake.address.clone())));
            let delivering = deliver(&relay, &["a@t.example"]);
            let outcome = tokio::time::timeout(LONG, delivering).await;
            assert!(
                matches!(
                    outcome,
                    Ok(Err(
                        RelayError::Unavailable { .. } | RelayError::Unanswered { .. }
                    ))
                ),
                "{step}: {act:?}: {outcome:?}"
            );
        }
    }
}

/// What it wants of the host is not the client's to mend: its mail must not bounce for it.
#[tokio::test]
async fn what_a_hop_has_against_the_host_is_no_refusal() {
    for (says, is_for_the_host) in [
        ("500 what is that", true),
        ("503 5.5.1 send hello first", true),
        ("521 5.3.2 no mail here", true),
        ("530 5.7.0 Must issue a STARTTLS command first", true),
        ("535 5.7.8 credentials invalid", true),
        ("538 5.7.11 encryption required", true),
        ("550 5.7.1 sender unwelcome", false),
        ("552 5.3.4 too large", false),
        ("450 4.7.1 later", false),
    ] {
        let fake = Fake::tcp(vec![vec![("MAIL", Act::Say(says))]]).await;
        let relay = relay(hop(Protocol::Smtp, fake.address.clone()));
        let refused = deliver(&relay, &["a@t.example"]).await;
        let expected = matches!(refused, Err(RelayError::Unavailable { .. })) == is_for_the_host
            && matches!(refused, Err(RelayError::Refused(_))) != is_for_the_host;
        assert!(expected, "{says}: {refused:?}");
    }
}

/// What the client may have got all the same is told apart.
#[tokio::test]
async fn after_the_final_dot_nobody_knows() {
    let fake = Fake::tcp(vec![vec![(".", Act::Close)]]).await;
    let relay = relay(hop(Protocol::Smtp, fake.address.clone()));
    match deliver(&relay, &["a@t.example"]).await {
        Err(RelayError::Unavailable { step, .. }) => assert_eq!(step, AFTER_FINAL_DOT),
        other => unreachable!("{other:?}"),
    }
}
