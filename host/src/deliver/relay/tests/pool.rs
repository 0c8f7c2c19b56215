//! Connections are bounded, and used again.

use super::fake::Fake;
use super::*;

#[tokio::test]
async fn connections_are_used_again_and_never_too_many() {
    let fake = Fake::tcp(vec![]).await;
    let relay = relay(hop(Protocol::Smtp, fake.address.clone()));
    let recipients = ["a@t.example"];
    for _ in 0..3 {
        assert!(deliver(&relay, &recipients).await.is_ok());
    }
    assert_eq!(fake.accepted(), 1, "one connection for one at a time");
    let all = (
        deliver(&relay, &recipients),
        deliver(&relay, &recipients),
        deliver(&relay, &recipients),
        deliver(&relay, &recipients),
    );
    let (a, b, c, d) = tokio::join!(all.0, all.1, all.2, all.3);
    for outcome in [a, b, c, d] {
        assert!(outcome.is_ok(), "{outcome:?}");
    }
    assert_eq!(fake.most_open(), 2, "as many as are allowed");
    fake.until_open(2).await;
}
