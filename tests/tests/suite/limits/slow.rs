//! Thousands of clients that send an octet a second, of commands, of content or of a TLS
//! hello, while others want to deliver mail.

use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use portcullis_tests::client::{Client, Tls};
use portcullis_tests::site::{Host, Site};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

use super::{PATIENCE, RECIPIENT, SENDER, connect, deliver, from, hits, metric, site};

/// How many there are.
const SLOW: usize = 5_000;

/// What a client's first reply has to be within, for 99 of 100.
const PROMISE: Duration = Duration::from_millis(500);

/// How many are measured.
const MEASURED: u8 = 250;

/// One crowd at a time: two would measure each other.
static ALONE: Mutex<()> = Mutex::new(());

/// The host has room for all of them.
#[test]
fn slow_clients_that_fit_hold_nobody_up_and_little_memory() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let host = crowded_site("sessions = 6000").start();
    let before = resident_kib(&host);
    let crowd = Crowd::gather(&host, &ALL);
    crowd.wait_for(SLOW);
    let each = (resident_kib(&host) - before) / SLOW as u64;
    assert!(each <= MOST_KIB, "{each} KiB for each slow client");
    measure(&host);
    assert_eq!(hits(&host, "make_room") + hits(&host, "sessions"), 0);
    crowd.disperse();
    host.stop();
}

/// What a slow client may cost; a third of them are in a handshake, where rustls holds
/// what it was sent and a state of its own.
const MOST_KIB: u64 = 32;

/// The host has room for a third of them, and they come again whenever they are told to
/// make room.
#[test]
fn slow_clients_that_do_not_fit_push_out_each_other() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let host = crowded_site("").start();
    let crowd = Crowd::gather(&host, &ALL);
    crowd.wait_for(SLOW);
    measure(&host);
    let most = metric(&host, "sessions_limit");
    assert_eq!(most, 2000, "the default, for which there are descriptors");
    assert!(hits(&host, "make_room") >= SLOW as u64 - most);
    crowd.disperse();
    let log = host.stop().log;
    let lines = log.matches("a session was closed to make room").count();
    assert!(lines < 120, "{lines}");
}

/// All of them are slow with the content of a message, of which they have sent more than
/// the host holds in memory for so many. Those who are at it go last, so there are as many as
/// there is room for, while the others try again and again.
#[test]
fn slow_content_uses_up_neither_memory_nor_the_room_of_others() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let host = crowded_site("").start();
    let before = resident_kib(&host);
    let crowd = Crowd::gather(&host, &CONTENT);
    crowd.wait_for_at_one_time(SENDING);
    measure(&host);
    let mut client = greeted([127, 202, 0, 1], host.address("smtp"));
    client.ehlo();
    let long = format!("Subject: long\r\n\r\n{}", "a line\r\n".repeat(300_000));
    let reply = client.deliver(SENDER, &[RECIPIENT], &long);
    assert!(reply.starts_with("250"), "{reply}");
    client.quit();
    crowd.wait_for_at_one_time(SENDING);
    let took = resident_kib(&host) - before;
    // As much again for 2,000 sessions, the database, and what the allocator has in pieces.
    let most = 2 * CONTENT_MEMORY_KIB;
    assert!(took <= most, "{took} KiB, at most {most}");
    crowd.disperse();
    host.stop();
}

/// How many send content at one time at least, where there is room for 2,000 sessions.
const SENDING: usize = 1_500;

/// What `limits.content_memory` is where nobody says otherwise.
const CONTENT_MEMORY_KIB: u64 = 256 * 1024;

fn crowded_site(limits: &str) -> Site {
    site(limits).listener("smtps", "implicit", "")
}

/// 99 of 100 clients that do what mail servers do are answered within the promise, and
/// their mail is taken.
fn measure(host: &Host) {
    let smtp = host.address("smtp");
    let mut times: Vec<Duration> = (0..MEASURED)
        .map(|number| {
            let began = Instant::now();
            let mut client = greeted([127, 200, number, 1], smtp);
            client.ehlo();
            let took = began.elapsed();
            client.quit();
            took
        })
        .collect();
    times.sort();
    let p99 = times[times.len() * 99 / 100];
    assert!(
        p99 < PROMISE,
        "{p99:?}, at most {:?}",
        times[times.len() - 1]
    );
    deliver([127, 201, 0, 1], smtp);
    let mut secured = from([127, 201, 0, 2], host.address("smtps")).shake_hands(&Tls::tls13());
    assert!(secured.reply().starts_with("220"));
    secured.ehlo();
    secured.quit();
}

/// Slow clients, each with an address of its own, on one thread.
struct Crowd {
    /// Each tells once when it has come as far as it wants to.
    begun: mpsc::Receiver<()>,
    /// How many are that far now.
    there: Arc<AtomicUsize>,
    over: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// What a slow client is slow at.
#[derive(Clone, Copy)]
enum Slow {
    Commands,
    Content,
    LongContent,
    HelloAfterStarttls,
    Hello,
}

/// Half of them never finish a handshake.
const ALL: [Slow; 4] = [
    Slow::Commands,
    Slow::Commands,
    Slow::HelloAfterStarttls,
    Slow::Hello,
];

/// Some 600 MB of what 2,000 have sent, where all of it held.
const CONTENT: [Slow; 8] = [
    Slow::LongContent,
    Slow::Content,
    Slow::Content,
    Slow::Content,
    Slow::Content,
    Slow::Content,
    Slow::Content,
    Slow::Content,
];

impl Crowd {
    /// As many of each of these.
    fn gather(host: &Host, kinds: &'static [Slow]) -> Self {
        allow_descriptors();
        let (tell, begun) = mpsc::channel();
        let (over, is_over) = oneshot::channel();
        let there = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&there);
        let (smtp, smtps) = (host.address("smtp"), host.address("smtps"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime needs a few descriptors");
        let be_there = async move {
            let hello: Arc<[u8]> = Tls::tls13().hello().into();
            let mut clients = JoinSet::new();
            for number in 0..SLOW {
                let slow = kinds[number % kinds.len()];
                let to = match slow {
                    Slow::Hello => smtps,
                    _ => smtp,
                };
                let (source, hello) = (address(number), Arc::clone(&hello));
                let (tell, there) = (tell.clone(), Arc::clone(&counted));
                clients.spawn(be_slow(slow, source, to, hello, tell, there));
            }
            // Whether it is over or the test has failed.
            let _ = is_over.await;
        };
        let thread = thread::spawn(move || runtime.block_on(be_there));
        Self {
            begun,
            there,
            over,
            thread,
        }
    }

    /// Until so many have come as far as they want to.
    fn wait_for(&self, so_many: usize) {
        for number in 0..so_many {
            let told = self.begun.recv_timeout(PATIENCE);
            assert!(told.is_ok(), "{number} have begun");
        }
    }

    /// Until so many are that far at one time.
    fn wait_for_at_one_time(&self, so_many: usize) {
        let began = Instant::now();
        while self.there.load(Relaxed) < so_many {
            let there = self.there.load(Relaxed);
            assert!(began.elapsed() < 2 * PATIENCE, "only {there} are there");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn disperse(self) {
        drop(self.over);
        self.thread.join().expect("the crowd does not panic");
    }
}

/// At most a hundred in a network, which has room for two hundred sessions.
fn address(number: usize) -> [u8; 4] {
    let part = |n: usize| u8::try_from(n).expect("there are fewer networks");
    [
        127,
        part(10 + number / 10_000),
        part(number / 100 % 100),
        part(1 + number % 100),
    ]
}

/// Comes again some seconds after it has been turned away.
async fn be_slow(
    slow: Slow,
    source: [u8; 4],
    to: SocketAddr,
    hello: Arc<[u8]>,
    begun: mpsc::Sender<()>,
    there: Arc<AtomicUsize>,
) {
    let again = match slow {
        // What they send in vain takes both sides time.
        Slow::Content | Slow::LongContent => Duration::from_secs(10),
        Slow::Commands | Slow::HelloAfterStarttls | Slow::Hello => Duration::from_secs(3),
    };
    let mut begun = Some(begun);
    loop {
        if let Ok(mut stream) = connect(source, to).await
            && let Some(octets) = begin(slow, &mut stream, &hello).await
        {
            if let Some(begun) = begun.take() {
                // Nobody may be waiting any more.
                let _ = begun.send(());
            }
            there.fetch_add(1, Relaxed);
            trickle(&mut stream, octets).await;
            there.fetch_sub(1, Relaxed);
        }
        sleep(again).await;
    }
}

/// Goes on as far as it is quick, and gives what it is slow with; none where it was
/// turned away.
async fn begin<'a>(slow: Slow, stream: &mut TcpStream, hello: &'a [u8]) -> Option<&'a [u8]> {
    let (half, rest) = hello.split_at(hello.len() / 2);
    match slow {
        Slow::Commands => {
            told(stream, "220").await?;
            return Some(b"EHLO slow.example\r\n");
        }
        Slow::Content | Slow::LongContent => {
            told(stream, "220").await?;
            for (said, code) in [
                ("EHLO slow.example\r\n", "250"),
                ("MAIL FROM:<amy@sender.example>\r\n", "250"),
                ("RCPT TO:<bob@acme.example>\r\n", "250"),
                ("DATA\r\n", "354"),
            ] {
                stream.write_all(said.as_bytes()).await.ok()?;
                told(stream, code).await?;
            }
            let octets = if let Slow::Content = slow {
                200_000
            } else {
                1_000_000
            };
            let much = "a line\r\n".repeat(octets / 8);
            stream.write_all(b"Subject: slow\r\n\r\n").await.ok()?;
            stream.write_all(much.as_bytes()).await.ok()?;
            return Some(b"a line that takes its time\r\n");
        }
        Slow::HelloAfterStarttls => {
            told(stream, "220").await?;
            stream.write_all(b"EHLO slow.example\r\n").await.ok()?;
            told(stream, "250").await?;
            stream.write_all(b"STARTTLS\r\n").await.ok()?;
            told(stream, "220").await?;
        }
        Slow::Hello => {}
    }
    stream.write_all(half).await.ok()?;
    Some(rest)
}

/// Reads what comes at once, which is a whole reply on loopback.
async fn told(stream: &mut TcpStream, code: &str) -> Option<()> {
    let mut octets = [0; 1024];
    let read = stream.read(&mut octets).await.ok()?;
    octets[..read].starts_with(code.as_bytes()).then_some(())
}

/// An octet a second, until the host closes.
async fn trickle(stream: &mut TcpStream, octets: &[u8]) {
    let mut replies = [0; 1024];
    let mut second = interval(Duration::from_secs(1));
    for octet in octets.iter().cycle() {
        let sent = tokio::select! {
            read = stream.read(&mut replies) => match read {
                Ok(0) | Err(_) => return,
                Ok(_) => continue,
            },
            _ = second.tick() => stream.write_all(&[*octet]).await,
        };
        if sent.is_err() {
            return;
        }
    }
}

/// A client that is told to come back does so at once; that is part of its time.
fn greeted(address: [u8; 4], smtp: SocketAddr) -> Client {
    let began = Instant::now();
    loop {
        let mut client = from(address, smtp);
        let greeting = client.reply();
        if greeting.starts_with("220") {
            return client;
        }
        assert!(greeting.starts_with("421 4.3.2 "), "{greeting}");
        assert!(began.elapsed() < Duration::from_secs(30), "{greeting}");
    }
}

/// The test has a descriptor for each of its clients.
fn allow_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).expect("a soft limit can be raised to the hard one");
    let needed = SLOW as u64 + 1000;
    assert!(
        limit.maximum.is_none_or(|most| most >= needed),
        "the tests need a hard limit of {needed} open files (ulimit -Hn)"
    );
}

fn resident_kib(host: &Host) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", host.pid()))
        .expect("Linux shows the memory of a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.expect("a process has resident memory")
}
