//! What the internet sends: too many connections, too often, too slow; and a process
//! that may open no more files.

mod descriptors;
mod floods;
mod slow;

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use portcullis_tests::client::{Client, Tls};
use portcullis_tests::site::{Host, Site};
use portcullis_tests::tool;
use tokio::net::TcpSocket;

/// Longest wait for what the host does behind a client's back.
const PATIENCE: Duration = Duration::from_secs(30);

const MESSAGE: &str = "Subject: sound\r\n\r\nas it should be\r\n";
const SENDER: &str = "amy@sender.example";
const RECIPIENT: &str = "bob@acme.example";

/// Loopback counts like any other network here.
fn site(limits: &str) -> Site {
    Site::new()
        .settings(&format!("[limits]\nexempt = []\n{limits}"))
        .settings("[metrics]\naddress = \"127.0.0.1:0\"")
        .tenant("acme", "domains = [\"acme.example\"]")
}

/// A client with an address of its own, within 127.0.0.0/8.
fn from(source: [u8; 4], to: SocketAddr) -> Client {
    Client::over(socket(source, to))
}

fn socket(source: [u8; 4], to: SocketAddr) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .expect("a runtime needs a few descriptors");
    let socket = runtime.block_on(connect(source, to));
    let socket = socket
        .and_then(tokio::net::TcpStream::into_std)
        .expect("the host listens");
    socket.set_nonblocking(false).expect("any socket can wait");
    socket
}

async fn connect(source: [u8; 4], to: SocketAddr) -> std::io::Result<tokio::net::TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((IpAddr::from(source), 0)))?;
    socket.connect(to).await
}

/// Delivers a message from there, and shows so that the host is sound.
fn deliver(source: [u8; 4], to: SocketAddr) {
    let mut client = admitted(source, to);
    client.ehlo();
    let reply = client.deliver(SENDER, &[RECIPIENT], MESSAGE);
    assert!(reply.starts_with("250"), "{reply}");
    client.quit();
}

/// Waits until a client from there gets a session, which the host may not have free at
/// once after another has ended.
fn admitted(source: [u8; 4], to: SocketAddr) -> Client {
    let began = Instant::now();
    loop {
        let mut client = from(source, to);
        let greeting = client.reply();
        if greeting.starts_with("220") {
            return client;
        }
        assert!(began.elapsed() < PATIENCE, "{greeting}");
    }
}

/// How often a limit was hit.
fn hits(host: &Host, limit: &str) -> u64 {
    metric(host, &format!("limits_hit_total{{limit=\"{limit}\"}}"))
}

/// A metric of the host's, which is there from the beginning.
fn metric(host: &Host, name: &str) -> u64 {
    let url = format!("http://{}/metrics", host.address("metrics"));
    let page = tool::run("curl", &["-sS", "--max-time", "60", &url]).stdout;
    let of_this = |line: &str| {
        let line = line.strip_prefix("portcullis_")?.strip_prefix(name)?;
        line.trim().parse().ok()
    };
    let value = page.lines().find_map(of_this);
    value.unwrap_or_else(|| unreachable!("{name} in {page}"))
}

/// Waits until the host has so many sessions on `smtp`.
fn wait_for_sessions(host: &Host, expected: u64) {
    let began = Instant::now();
    while metric(host, "sessions_active{listener=\"smtp\"}") != expected {
        assert!(began.elapsed() < PATIENCE, "{expected} sessions");
    }
}

#[test]
fn sessions_of_a_client_and_of_a_network() {
    let host = site("client_sessions = 2\nnetwork_sessions = 3").start();
    let smtp = host.address("smtp");
    let mut first = admitted([127, 5, 0, 1], smtp);
    let _second = admitted([127, 5, 0, 1], smtp);
    let mut third = from([127, 5, 0, 1], smtp);
    assert_eq!(
        third.reply(),
        "421 4.7.0 Too many sessions from your address, please try again later"
    );
    assert!(third.is_closed());
    let _neighbour = admitted([127, 5, 0, 2], smtp);
    let mut crowded = from([127, 5, 0, 3], smtp);
    assert_eq!(
        crowded.reply(),
        "421 4.7.0 Too many sessions from your network, please try again later"
    );
    deliver([127, 5, 1, 1], smtp);
    first.ehlo();
    first.quit();
    admitted([127, 5, 0, 3], smtp).quit();
    assert!(hits(&host, "client_sessions") == 1 && hits(&host, "network_sessions") >= 1);
    host.stop();
}

#[test]
fn sessions_begun_too_often() {
    let host = site("client_session_rate = 1").start();
    let smtp = host.address("smtp");
    let greetings: Vec<String> = (0..30)
        .map(|_| from([127, 6, 0, 1], smtp).reply())
        .collect();
    let begun = greetings.iter().filter(|reply| reply.starts_with("220"));
    let begun = begun.count() as u64;
    assert!((10..30).contains(&begun), "{greetings:#?}");
    let told = "421 4.7.0 Too many new sessions from your address, please try again later";
    assert!(
        greetings.iter().any(|reply| reply == told),
        "{greetings:#?}"
    );
    deliver([127, 6, 0, 2], smtp);
    assert_eq!(hits(&host, "client_session_rate"), 30 - begun);
    host.stop();
}

/// Not 454: a client that then goes on in clear would do so because of the host.
#[test]
fn handshakes_too_often() {
    let host = site("client_handshake_rate = 1")
        .listener("smtps", "implicit", "")
        .start();
    let (smtp, smtps) = (host.address("smtp"), host.address("smtps"));
    let source = [127, 7, 0, 1];
    let tls = Tls::tls13();
    let told = (0..30).find_map(|_| {
        let mut client = admitted(source, smtp);
        client.ehlo();
        let reply = client.say("STARTTLS");
        if reply.starts_with("220") {
            client.shake_hands(&tls).ehlo();
            return None;
        }
        assert!(client.is_closed());
        Some(reply)
    });
    assert_eq!(
        told.as_deref(),
        Some("421 4.7.0 Too many TLS handshakes from your address, please try again later")
    );
    let mut without_a_word = from(source, smtps);
    // It may be closed before it has said anything.
    let _ = without_a_word.try_send(&tls.hello());
    assert!(without_a_word.is_closed());
    let mut neighbour = from([127, 7, 0, 2], smtps).shake_hands(&tls);
    assert!(neighbour.reply().starts_with("220"));
    assert!(hits(&host, "client_handshake_rate") >= 2);
    deliver(source, smtp);
    host.stop();
}

#[test]
fn whoever_is_exempt_counts_in_all_alone() {
    let limits = "[limits]\nexempt = [\"127.8.0.0/16\"]\nsessions = 4\nclient_sessions = 1\n\
                  client_session_rate = 1";
    let host = Site::new().settings(limits).start();
    let smtp = host.address("smtp");
    let _all: Vec<Client> = (0..4).map(|_| admitted([127, 8, 0, 1], smtp)).collect();
    let told = from([127, 8, 0, 1], smtp).reply();
    assert!(told.starts_with("421 4.3.2 Too many sessions, "), "{told}");
    host.stop();
}

/// Content that trickles is no reason to stay, once nobody else is left to go.
#[test]
fn who_sends_content_too_slowly_makes_room() {
    let host = site("sessions = 8").start();
    let smtp = host.address("smtp");
    let mut slow: Vec<Client> = (1..=8)
        .map(|last| {
            let mut client = admitted([127, 11, 0, last], smtp);
            client.ehlo();
            client.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
            client.expect(&format!("RCPT TO:<{RECIPIENT}>"), "250");
            client.expect("DATA", "354");
            client.send("Subject: ");
            client
        })
        .collect();
    deliver([127, 11, 1, 1], smtp);
    let told = slow.remove(0).reply();
    assert_eq!(
        told,
        "421 4.3.2 Making room for other clients, please try again later"
    );
    let mut last = slow.remove(6);
    last.send("whole\r\n\r\n");
    last.expect(".", "250");
    last.quit();
    host.stop();
}

/// A session that sends content, and those that have come further, are let be.
#[test]
fn who_keeps_the_host_waiting_makes_room() {
    let host = site("sessions = 8").start();
    let smtp = host.address("smtp");
    let mut sending = admitted([127, 9, 0, 1], smtp);
    sending.ehlo();
    sending.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
    sending.expect(&format!("RCPT TO:<{RECIPIENT}>"), "250");
    sending.expect("DATA", "354");
    let mut greeted = admitted([127, 9, 0, 2], smtp);
    greeted.ehlo();
    let mut silent: Vec<Client> = (3..8)
        .map(|last| admitted([127, 9, 0, last], smtp))
        .collect();
    for newcomer in 0..5 {
        deliver([127, 9, 1, newcomer], smtp);
        let told = silent.remove(0).reply();
        assert_eq!(
            told,
            "421 4.3.2 Making room for other clients, please try again later"
        );
        wait_for_sessions(&host, 6);
        silent.push(admitted([127, 9, 2, newcomer], smtp));
    }
    greeted.expect("NOOP", "250");
    sending.send(MESSAGE);
    sending.expect(".", "250");
    sending.quit();
    assert_eq!(hits(&host, "make_room"), 5);
    assert_eq!(host.stop().site.mail("acme").len(), 6);
}
