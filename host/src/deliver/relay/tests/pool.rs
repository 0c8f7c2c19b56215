//! Connections are bounded, and used again.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, duplex};

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

/// A hop behind a balancer's name gets its share again.
#[tokio::test]
async fn a_connection_serves_a_hundred_transactions() {
    let fake = Fake::tcp(vec![]).await;
    let relay = relay(hop(Protocol::Smtp, fake.address.clone()));
    for number in 1..=101 {
        assert!(deliver(&relay, &["a@t.example"]).await.is_ok(), "{number}");
        assert_eq!(
            fake.accepted(),
            if number > 100 { 2 } else { 1 },
            "{number}"
        );
    }
    fake.until("QUIT", 1).await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_in_time() {
    let nowhere = HopAddress::Unix("/nowhere".into());
    let relay = relay(hop(Protocol::Lmtp, nowhere));
    let (wire, hop) = duplex(1024);
    let connection = Connection::new(Box::new(wire), connection::Protection::Clear);
    let place = relay.pool.place(LONG).await.expect("there is one");
    let begun = Instant::now();
    place.put_back(connection);
    let mut hop = BufReader::new(hop);
    let mut line = String::new();
    hop.read_line(&mut line).await.expect("it is open");
    assert_eq!(line, "QUIT\r\n");
    assert_eq!(begun.elapsed().as_secs(), LONG.as_secs());
    hop.write_all(b"221 bye\r\n").await.expect("it is open");
    let rest = hop.read_to_end(&mut Vec::new()).await;
    assert_eq!(rest.expect("an orderly end"), 0);
    let place = relay.pool.place(LONG).await.expect("there is one");
    assert!(place.take_idle().await.is_none());
}
