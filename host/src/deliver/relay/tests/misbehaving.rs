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
