//! A host that is killed in the middle of load.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::thread;

use portcullis_tests::client::Tls;

use super::*;

/// Killed again and again while clients send, in clear and over TLS, short messages and some
/// that go through the spool: what was answered with 250 is there, whole; a second copy comes
/// only from attempts whose 250 the client never saw.
#[test]
fn killed_in_the_middle_of_load() {
    let hop = Hop::lmtp();
    let mut site = site(&hop).settings("[receipts]\nfiles = true");
    let load = Load::default();
    let mut evident = Vec::new();
    for round in 1..=3 {
        let host = site.start();
        let address = host.address("smtp");
        let begun = Instant::now();
        site = thread::scope(|scope| {
            for number in 0..6 {
                let load = &load;
                scope.spawn(move || {
                    load.send_until_the_host_is_gone(match number % 2 {
                        0 => Client::connect(address),
                        _ => Client::starttls(address, &Tls::tls13()),
                    });
                });
            }
            load.wait_for_answers(round * 60);
            evident.extend(load.answered(begun..Instant::now() - EVIDENT));
            host.kill().site
        });
        // A crash of the machine would leave half a line of each.
        for file in [
            day_of_receipts(&site),
            site.path(&format!("data/ledger/{}.ledger", today())),
        ] {
            let torn = fs::OpenOptions::new().append(true).open(&file);
            let mut torn = torn.expect("the host has made it");
            torn.write_all(b"{\"event\":\"verd")
                .expect("the file can be written");
        }
    }
    let host = site.start();
    let mut attempts = load.into_attempts();
    for (number, attempt) in attempts.iter_mut().enumerate().filter(|(_, a)| !a.answered) {
        let reply = deliver(&host, &[ANN, BEN], &numbered(number, under_load(number)));
        assert!(reply.starts_with("250 2.0.0 "), "{reply}");
        attempt.times += 1;
    }
    let site = host.stop().site;
    let mail = site.mail("acme");
    let mail = mail
        .iter()
        .map(|mail| String::from_utf8_lossy(mail).into_owned());
    let passed_on = hop.taken().into_iter().map(|taken| taken.content);
    for (place, found) in [
        ("maildir", copies(mail, under_load)),
        ("next hop", copies(passed_on, under_load)),
    ] {
        for (number, attempt) in attempts.iter().enumerate() {
            let copies = found.get(&number).copied().unwrap_or_default();
            let allowed = 1..=attempt.times;
            assert!(
                allowed.contains(&copies),
                "{place}: {copies} of {number}, {attempt:?}"
            );
        }
    }
    let unseen = attempts.iter().filter(|attempt| attempt.times > 1).count();
    assert!(
        unseen < 6 * 3 + 1,
        "one for each client and kill at most: {unseen}"
    );
    // Each message has two receipts, wherever they are kept.
    assert!(evident.len() > 10, "{evident:?}");
    for arguments in [&[][..], &["--files"]] {
        let mut receipts = BTreeMap::<String, usize>::new();
        for receipt in site.receipts_by(arguments) {
            assert!(receipt["verdict"].is_object(), "half of one: {receipt}");
            let sender = receipt["verdict"]["facts"]["sender"].as_str();
            *receipts
                .entry(sender.unwrap_or_default().to_owned())
                .or_default() += 1;
        }
        for number in &evident {
            let found = receipts.get(&sender(*number)).copied();
            assert_eq!(found, Some(2), "of message {number} {arguments:?}");
        }
    }
}

/// What was answered so long ago has its receipts on disk: they promise a second, on a
/// machine that is not as busy as one that runs all tests.
const EVIDENT: Duration = Duration::from_secs(2);

/// Who sends a message under load.
fn sender(number: usize) -> String {
    format!("amy-{number}@sender.example")
}

/// Octets in a message under load, about.
fn under_load(number: usize) -> usize {
    match number {
        0..1000 if number % 12 == 5 => JUST_LONG,
        _ => 0,
    }
}

/// What clients have sent that were cut off.
#[derive(Default)]
struct Load {
    next: AtomicUsize,
    answered: Mutex<Vec<(usize, Instant)>>,
    more: Condvar,
}

#[derive(Clone, Debug, Default)]
struct Attempt {
    times: usize,
    answered: bool,
}

impl Load {
    fn send_until_the_host_is_gone(&self, mut client: Client) {
        client.ehlo();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let message = numbered(number, under_load(number));
            match transaction(&mut client, &sender(number), &message) {
                None => return,
                Some(reply) => assert!(reply.starts_with("250 2.0.0 "), "{reply}"),
            }
            let answer = (number, Instant::now());
            self.answered.lock().expect("no thread failed").push(answer);
            self.more.notify_all();
        }
    }

    /// Of so many messages, the last of which came well after others.
    fn wait_for_answers(&self, so_many: usize) {
        let answered = self.answered.lock().expect("no thread failed");
        let begun = Instant::now();
        let few = |answered: &mut Vec<(usize, Instant)>| {
            answered.len() < so_many || begun.elapsed() < 2 * EVIDENT
        };
        let waited = self.more.wait_timeout_while(answered, PATIENCE, few);
        let (answered, _) = waited.expect("no thread failed");
        assert!(answered.len() >= so_many, "only {} answers", answered.len());
    }

    fn answered(&self, times: Range<Instant>) -> Vec<usize> {
        let answered = self.answered.lock().expect("no thread failed");
        let within = answered.iter().filter(|(_, time)| times.contains(time));
        within.map(|(number, _)| *number).collect()
    }

    /// One for each message.
    fn into_attempts(self) -> Vec<Attempt> {
        let once = Attempt {
            times: 1,
            answered: false,
        };
        let mut attempts = vec![once; self.next.into_inner()];
        for (number, _) in self.answered.into_inner().expect("no thread failed") {
            attempts[number].answered = true;
        }
        attempts
    }
}

/// One message; none when the connection ends before its last reply.
fn transaction(client: &mut Client, sender: &str, message: &str) -> Option<String> {
    let mail = format!("MAIL FROM:<{sender}>\r\n");
    let recipients = [ANN, BEN].map(|recipient| format!("RCPT TO:<{recipient}>\r\n"));
    let content = format!("{message}.\r\n");
    let [ann, ben] = recipients;
    let mut last = String::new();
    for said in [&mail, &ann, &ben, "DATA\r\n", &content] {
        client.try_send(said.as_bytes()).ok()?;
        last = client.reply();
        if last.is_empty() {
            return None;
        }
        assert!(last.starts_with(['2', '3']), "{said}: {last}");
    }
    Some(last)
}
