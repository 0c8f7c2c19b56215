//! Next hops that misbehave in ways that no protocol foresees. What a hop may do at each
//! step of LMTP is in `next_hops`; here is SMTP, and what a hop says, takes or leaves out
//! of turn. Never 250 for what it did not take, always 451 for what is its fault, and all
//! is well once it behaves.

use portcullis_tests::client::Client;
use portcullis_tests::hop::{CLOSE, HANG, Hop, STALL, TAKE_NOTHING, in_the_end};
use portcullis_tests::site::{Host, Site};

const SENDER: &str = "amy@sender.example";
const MESSAGE: &str = "Subject: on its way\r\n\r\nto a strange place\r\n";

/// More than all buffers on the way to a next hop.
const LONG: usize = 12 << 20;

/// What is no reply to anything.
const GARBAGE: [&str; 9] = [
    CLOSE,
    "what?",
    "",
    "999 there is no such class",
    "250ok",
    "250-it goes on\r\n550 and comes to another end",
    "2\u{fc}0 ok",
    "421 4.3.2 closing",
    "150 wait",
];

/// Wherever it stops making sense.
#[test]
fn at_each_step_of_smtp() {
    let steps = ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "."];
    let long_line = format!("250 {}", "x".repeat(5000));
    let long_reply = "250-and so on\r\n".repeat(2000) + "250 at last";
    let mut garbage: Vec<&str> = GARBAGE.to_vec();
    garbage.extend([long_line.as_str(), long_reply.as_str()]);
    let mut cases = Vec::new();
    for step in steps {
        cases.extend(garbage.iter().map(|answer| (step, *answer)));
    }
    // What would be right a step later.
    cases.extend([
        ("MAIL", "354 go on"),
        ("RCPT", "354 go on"),
        ("DATA", "250 2.0.0 ok"),
    ]);
    cases.extend([
        (".", "354 go on"),
        (".", HANG),
        ("DATA", STALL),
        ("DATA", TAKE_NOTHING),
    ]);
    each_fails_and_recovers(&cases, MESSAGE);
}

/// A reply too many must not be taken for that to what is said next.
#[test]
fn a_reply_that_nobody_asked_for() {
    each_fails_and_recovers(
        &[
            ("greeting", "220 hop.example\r\n250 hop.example"),
            ("EHLO", "250 hop.example\r\n250 2.1.0 ok"),
            ("MAIL", "250 2.1.0 ok\r\n250 2.1.5 ok"),
            ("RCPT", "250 2.1.5 ok\r\n354 go on\r\n250 2.0.0 taken"),
            ("DATA", "354 go on\r\n250 2.0.0 taken before it came"),
            ("DATA", "354 go on\r\n552 5.3.4 too large"),
        ],
        MESSAGE,
    );
}

/// A message that does not fit into the buffers on the way.
#[test]
fn a_hop_that_leaves_in_the_middle_of_a_long_message() {
    let line = "a line of a message that is long\r\n";
    let message = format!("Subject: x\r\n\r\n{}", line.repeat(LONG / line.len()));
    each_fails_and_recovers(&[("DATA", STALL), ("DATA", TAKE_NOTHING)], &message);
}

/// Each recipient is answered for itself, and the message goes to those who were taken.
#[test]
fn a_hop_that_takes_two_of_three_recipients() {
    for hop in [Hop::smtp(), Hop::lmtp()] {
        hop.answer("RCPT TO:<bob@", &["550 5.1.1 no such user"]);
        let host = site([&hop]).start();
        let mut client = begin(&host);
        client.expect(&rcpt("ann@t0.example"), "250 2.1.5 ");
        client.expect(&rcpt("bob@t0.example"), "550 5.1.1 no such user [");
        client.expect(&rcpt("cat@t0.example"), "250 2.1.5 ");
        let reply = finish(&mut client, MESSAGE);
        assert!(reply.starts_with("250 2.0.0 "), "{reply}");
        assert_eq!(
            (hop.copies("ann@t0.example"), hop.copies("cat@t0.example")),
            (1, 1)
        );
        assert_eq!(hop.copies("bob@t0.example"), 0);
    }
}

/// And when it changes its mind about one of three after the message, the retry delivers
/// to that one alone.
#[test]
fn a_hop_that_keeps_two_of_three_copies() {
    for (after_data, in_the_end) in [("452 4.2.2 not now", "250 2.0.0 "), (CLOSE, "250 2.0.0 ")] {
        let hop = Hop::lmtp();
        hop.answer(". cat@", &[after_data, "250 2.0.0 taken"]);
        let host = site([&hop]).start();
        let all = ["ann@t0.example", "bob@t0.example", "cat@t0.example"];
        let mixed = deliver(&host, &all, MESSAGE);
        assert!(
            mixed.starts_with("451 4.3.0 Not delivered to every recipient"),
            "{mixed}"
        );
        let reply = deliver(&host, &all, MESSAGE);
        assert!(reply.starts_with(in_the_end), "{reply}");
        assert_eq!(
            all.map(|recipient| hop.copies(recipient)),
            [1, 1, 1],
            "{after_data}"
        );
    }
}

/// Each case has a hop and a tenant of its own: it fails once in this way, and behaves
/// from then on.
fn each_fails_and_recovers(cases: &[(&str, &str)], message: &str) {
    let hops: Vec<Hop> = cases.iter().map(|_| Hop::smtp()).collect();
    for ((step, answer), hop) in cases.iter().zip(&hops) {
        let well = match *step {
            "greeting" => "220 hop.example",
            "DATA" => "354 go on",
            _ => "250 2.0.0 taken",
        };
        hop.answer(step, &[answer, well]);
    }
    let host = site(&hops).start();
    for (number, ((step, answer), hop)) in cases.iter().zip(&hops).enumerate() {
        let case: String = format!("{step}: {answer}").chars().take(80).collect();
        let recipient = format!("ann@t{number}.example");
        let reply = deliver(&host, &[&recipient], message);
        assert!(
            reply.starts_with("451 4.4.1 Next hop not available"),
            "{case}: {reply}"
        );
        // It may have the message where nobody knows what became of it: at its end.
        let copies = hop.copies(&recipient);
        assert!(copies == 0 || *step == ".", "{case}: {copies} copies");
        let reply = in_the_end(|| deliver(&host, &[&recipient], message));
        assert!(reply.starts_with("250 2.0.0 "), "{case}: {reply}");
        assert_eq!(hop.copies(&recipient), copies + 1, "{case}");
        let taken = hop.taken();
        let last = taken.last().expect("it has the message");
        assert!(last.content.ends_with(message), "{case}");
    }
    let ended = host.stop();
    assert!(!ended.log.contains("panicked"), "{}", ended.log);
}

/// The tenant `t0` has the first hop, and so on.
fn site<'a>(hops: impl IntoIterator<Item = &'a Hop>) -> Site {
    let timeouts = "connect_timeout_s = 2\nreply_timeout_s = 2\ndelivery_timeout_s = 2";
    hops.into_iter()
        .enumerate()
        .fold(Site::new(), |site, (number, hop)| {
            let target = hop.target(timeouts);
            let tenant = format!("domains = [\"t{number}.example\"]\n{target}");
            site.tenant(&format!("t{number}"), &tenant)
        })
}

fn rcpt(recipient: &str) -> String {
    format!("RCPT TO:<{recipient}>")
}

/// A client after MAIL.
fn begin(host: &Host) -> Client {
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
    client
}

/// The reply to the end of data, or the first that is none of success.
fn deliver(host: &Host, recipients: &[&str], message: &str) -> String {
    let mut client = begin(host);
    for recipient in recipients {
        let reply = client.say(&rcpt(recipient));
        if !reply.starts_with("250") {
            return reply;
        }
    }
    finish(&mut client, message)
}

fn finish(client: &mut Client, message: &str) -> String {
    client.expect("DATA", "354");
    client.send(message);
    client.say(".")
}
