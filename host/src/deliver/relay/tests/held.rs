//! Dialogues that wait for a client that says nothing, and who waits for their places.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};

use super::*;
use crate::deliver::held::Held;
use crate::deliver::relay::connection::Protection;
use crate::deliver::relay::pool::Place;

/// The hop's end of a connection.
type End = BufReader<DuplexStream>;

/// A hop with so many connections, none of which can be opened.
fn pool(connections: usize) -> Arc<Relay> {
    let nowhere = HopAddress::Unix("/nowhere".into());
    relay(NextHop {
        connections,
        ..hop(Protocol::Lmtp, nowhere)
    })
}

async fn place(relay: &Arc<Relay>) -> Place {
    relay.pool.place(LONG).await.expect("there is one")
}

/// A dialogue in this place that waits for its client.
fn held(relay: &Arc<Relay>, place: Place) -> (Held, End) {
    let (wire, hop) = duplex(1024);
    let connection = Connection::new(Box::new(wire), Protection::Clear);
    let line = Line { connection, place };
    let dialogue = Dialogue::new(Arc::clone(relay), line, &mail());
    (Held::new(dialogue), BufReader::new(hop))
}

/// Waits until the dialogue is given up, and agrees.
async fn until_given_up(hop: &mut End) {
    let mut line = String::new();
    hop.read_line(&mut line).await.expect("it is open");
    assert_eq!(line, "RSET\r\n");
    hop.write_all(b"250 2.0.0 ok\r\n")
        .await
        .expect("it is open");
}

#[tokio::test(start_paused = true)]
async fn who_waits_asks_the_longest_held_that_is_idle() {
    let relay = pool(2);
    let begun = Instant::now();
    let (first, mut first_hop) = held(&relay, place(&relay).await);
    let (second, _second_hop) = held(&relay, place(&relay).await);
    let waiting = tokio::spawn(async move {
        let place = place(&relay).await;
        place.take_idle().await
    });
    until_given_up(&mut first_hop).await;
    let connection = waiting.await.expect("no panic");
    assert!(connection.is_some(), "it is used again");
    // Whoever is between two commands keeps its own.
    assert_eq!(begun.elapsed(), Duration::from_millis(500));
    assert!(first.take().is_none());
    assert!(second.take().is_some(), "one was enough");
}

/// Nobody was held when the wait began: who is held from then on is asked soon.
#[tokio::test(start_paused = true)]
async fn who_waits_asks_those_who_are_held_later() {
    let relay = pool(1);
    let busy = place(&relay).await;
    let waiting = tokio::spawn({
        let relay = Arc::clone(&relay);
        async move { place(&relay).await }
    });
    tokio::task::yield_now().await;
    let begun = Instant::now();
    let (held, mut hop) = held(&relay, busy);
    until_given_up(&mut hop).await;
    waiting.await.expect("no panic");
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    assert!(held.take().is_none());
}

#[tokio::test(start_paused = true)]
async fn who_goes_on_is_not_asked_any_more() {
    let relay = pool(2);
    let (first, _first_hop) = held(&relay, place(&relay).await);
    let going_on = first.take().expect("it was held for no time");
    drop(first);
    let (second, mut second_hop) = held(&relay, place(&relay).await);
    let waiting = tokio::spawn(async move { place(&relay).await });
    until_given_up(&mut second_hop).await;
    waiting.await.expect("no panic");
    assert!(second.take().is_none());
    drop(going_on);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_gives_its_connection_back_in_time() {
    let relay = pool(1);
    let begun = Instant::now();
    let (held, mut hop) = held(&relay, place(&relay).await);
    until_given_up(&mut hop).await;
    assert_eq!(begun.elapsed().as_secs(), 20);
    assert!(held.take().is_none());
    let connection = place(&relay).await.take_idle().await;
    assert!(connection.is_some(), "it is used again");
}
