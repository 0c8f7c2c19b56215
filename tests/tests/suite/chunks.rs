//! Content in chunks (BDAT) and content that is long: over real sockets, through the
//! spool, to maildirs and next hops, octet for octet.

use portcullis_tests::client::Client;
use portcullis_tests::hop::Hop;
use portcullis_tests::site::{Ended, Host, Site};

const SENDER: &str = "amy@sender.example";
/// Of a maildir, of LMTP, of SMTP.
const ALL: [&str; 3] = ["ann@acme.example", "ben@bank.example", "cat@cafe.example"];
const ANN: &str = ALL[0];

/// Least that a host may be given for all messages: what is behind it is on disk.
const LITTLE_MEMORY: &str = "[limits]\ncontent_memory = 1048576";

/// More than the front that is held in memory, by far.
const LONG: usize = 5 << 20;

/// However a long message comes, and however little memory there is: each target has
/// every octet of it.
#[test]
fn five_mebibytes_arrive_octet_for_octet() {
    let (lmtp, smtp) = (Hop::lmtp(), Hop::smtp());
    for memory in ["", LITTLE_MEMORY] {
        let host = site().settings(memory);
        let host = host.tenant("bank", &tenant("bank", &lmtp.target("")));
        let host = host
            .tenant("cafe", &tenant("cafe", &smtp.target("")))
            .start();
        let mut client = connect(&host);
        let ways: [(&str, usize); 4] = [
            ("DATA", 0),
            // Whole; in pieces that cut lines anywhere, the first between CR and LF.
            ("BDAT", usize::MAX),
            ("BDAT", 99_991),
            ("BDAT", 1024 * LINE - 1),
        ];
        for (number, (way, piece)) in ways.into_iter().enumerate() {
            let message = long_message(number);
            let reply = match way {
                "DATA" => client.deliver(SENDER, &ALL, &message),
                _ => send_in_chunks(&mut client, &ALL, message.as_bytes(), piece),
            };
            assert!(reply.starts_with("250 2.0.0 "), "{way} {piece}: {reply}");
            for taken in [lmtp.taken(), smtp.taken()] {
                let content = &taken.last().expect("it has a message").content;
                assert_ends_with(content.as_bytes(), &message, way);
            }
        }
        client.quit();
        let ended = host.stop();
        let mut mail = ended.site.mail("acme");
        assert_eq!(mail.len(), ways.len());
        // Files of one second have no order.
        mail.sort_by_key(|mail| number_of(mail));
        for (number, mail) in mail.iter().enumerate() {
            assert_ends_with(mail, &long_message(number), "maildir");
        }
    }
}

/// What is wrong in a chunk is refused as in DATA, wherever the cut is, and the chunks
/// that were sent behind it are no commands.
#[test]
fn a_chunk_with_a_bare_newline_is_refused_and_so_is_what_follows() {
    let bare = "550 5.5.2 Bare CR or LF in the message: lines end with CRLF";
    for (first, second, reply) in [
        ("Subject: x\r\n\r\na\nb\r\n", "", bare),
        ("Subject: x\r\n\r\na\rb\r\n", "", bare),
        ("Subject: x\r\n\r\na\r", "b\r\n", bare),
        ("Subject: x\r\n\r\na", "\nb\r\n", bare),
        ("Subject: x\r\n\r\na\r\n", "b\r", bare),
        (
            "Subject: x\r\n\r\na\0\r\n",
            "",
            "550 5.6.0 NUL in the message",
        ),
    ] {
        let host = site().start();
        let mut client = envelope(&host, &[ANN]);
        let smuggled = "RSET\r\nMAIL FROM:<evil@sender.example>\r\nRCPT TO:<ann@acme.example>\r\n";
        let last = format!("{second}{smuggled}{smuggled}");
        client.send(bdat(first, ""));
        client.send(bdat(second, ""));
        client.send(bdat(&last, " LAST"));
        let replies = [client.reply(), client.reply(), client.reply()];
        let refused = replies.iter().filter(|found| found.starts_with(reply));
        assert!(refused.count() >= 1, "{first:?} {second:?}: {replies:?}");
        assert!(
            replies[2].starts_with(reply),
            "{first:?} {second:?}: {replies:?}"
        );
        // The next reply is that to the next command, and the session is sound.
        client.expect("NOOP", "250 ");
        let reply = send_in_chunks(&mut client, &[ANN], b"Subject: y\r\n\r\nsound\r\n", 7);
        assert!(reply.starts_with("250 2.0.0 "), "{reply}");
        client.quit();
        assert_only_sound(&host.stop(), "Subject: y\r\n\r\nsound\r\n");
    }
}

/// Where a chunk is not wanted at all it is read to its end all the same.
#[test]
fn a_chunk_that_is_not_wanted_is_no_command() {
    let host = site().start();
    let chunk = "QUIT\r\nRCPT TO:<ann@acme.example>\r\n";
    let mut client = connect(&host);
    client.send(bdat(chunk, " LAST"));
    assert!(
        client
            .reply()
            .starts_with("503 5.5.1 Send MAIL and RCPT first")
    );
    // Everybody was refused, and what is pipelined behind does not know it yet.
    client.send(format!(
        "MAIL FROM:<{SENDER}>\r\nRCPT TO:<x@foreign.example>\r\n"
    ));
    client.send(bdat(chunk, ""));
    client.send(bdat(chunk, " LAST"));
    client.send("NOOP\r\n");
    let codes: Vec<String> = (0..5).map(|_| client.reply()[..3].to_owned()).collect();
    assert_eq!(codes, ["250", "550", "554", "554", "250"]);
    let reply = send_in_chunks(&mut client, &[ANN], b"Subject: y\r\n\r\nsound\r\n", 9);
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    client.quit();
    assert_only_sound(&host.stop(), "Subject: y\r\n\r\nsound\r\n");
}

#[test]
fn between_chunks_there_is_only_bdat() {
    let host = site().start();
    let mut client = envelope(&host, &[ANN]);
    client.send(bdat("Subject: half", ""));
    assert_eq!(client.reply(), "250 2.0.0 13 octets received");
    for command in ["DATA", "RCPT TO:<bob@acme.example>"] {
        client.expect(command, "503 5.5.1 Send the rest of the content with BDAT");
    }
    client.expect("MAIL FROM:<>", "503 5.5.1 Sender already given");
    client.expect("NOOP", "250 ");
    client.expect("RSET", "250 ");
    client.send(bdat("abc", " LAST"));
    assert!(client.reply().starts_with("503 5.5.1 "));
    client.quit();
    assert_eq!(host.stop().site.mail("acme").len(), 0);
}

/// Content has begun: a host that stops takes the rest of it, and nobody else's.
#[test]
fn between_chunks_there_is_time_for_the_rest_when_the_host_stops() {
    let host = site().settings("[limits]\ngrace_s = 100").start();
    let mut idle = connect(&host);
    let mut client = envelope(&host, &[ANN]);
    client.send(bdat("Subject: half\r\n\r\n", ""));
    assert!(client.reply().starts_with("250 2.0.0 "));
    host.terminate();
    let told = idle.reply();
    assert!(told.starts_with("421 4.3.2 "), "{told}");
    client.send(bdat("sound\r\n", " LAST"));
    let reply = client.reply();
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    let told = client.reply();
    assert!(told.starts_with("421 4.3.2 "), "{told}");
    let ended = host.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
    assert_only_sound(&ended, "Subject: half\r\n\r\nsound\r\n");
}

/// A thousand small chunks are a slow client; more are an attempt to keep the host busy.
#[test]
fn too_many_small_chunks() {
    let host = site().start();
    let mut client = envelope(&host, &[ANN]);
    client.send(bdat("a", "").repeat(1000));
    for number in 0..1000 {
        let reply = client.reply();
        assert!(reply.starts_with("250 2.0.0 1 octets"), "{number}: {reply}");
    }
    let refusal = "550 5.5.0 Over 1000 chunks of less than 1024 octets [";
    for last in ["", " LAST"] {
        client.send(bdat("a", last));
        let reply = client.reply();
        assert!(reply.starts_with(refusal), "{reply}");
    }
    let reply = send_in_chunks(&mut client, &[ANN], b"Subject: y\r\n\r\nsound\r\n", 9);
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    client.quit();
    assert_only_sound(&host.stop(), "Subject: y\r\n\r\nsound\r\n");
}

#[test]
fn a_chunk_whose_length_means_no_mail_ends_the_session() {
    for (command, reply) in [
        ("BDAT", "501 5.5.4 "),
        ("BDAT -1", "501 5.5.4 "),
        ("BDAT 18446744073709551616", "552 5.3.4 "),
        ("BDAT 3 FIRST", "501 5.5.4 "),
        ("BDAT 131073", "552 5.3.4 "),
    ] {
        let host = site().settings("[limits]\nmessage_size = 65536").start();
        let mut client = envelope(&host, &[ANN]);
        let found = client.say(command);
        assert!(found.starts_with(reply), "{command}: {found}");
        assert!(client.is_closed(), "{command}");
        assert_eq!(host.stop().site.mail("acme").len(), 0);
    }
}

/// A chunk over the limit is refused, and read if it is not absurd.
#[test]
fn chunks_over_the_limit() {
    let host = site().settings("[limits]\nmessage_size = 65536").start();
    let mut client = envelope(&host, &[ANN]);
    let half = "0123456789abcdef".repeat(2560);
    client.send(bdat(&half, ""));
    assert_eq!(client.reply(), "250 2.0.0 40960 octets received");
    client.send(bdat(&half, " LAST"));
    let reply = client.reply();
    assert!(
        reply.starts_with("552 5.3.4 Message over the limit of 65536 octets ["),
        "{reply}"
    );
    let reply = send_in_chunks(&mut client, &[ANN], b"Subject: y\r\n\r\nsound\r\n", 9);
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    client.quit();
    assert_only_sound(&host.stop(), "Subject: y\r\n\r\nsound\r\n");
}

#[test]
fn a_client_that_vanishes_in_the_middle_of_a_chunk() {
    let host = site().start();
    let mut client = envelope(&host, &[ANN]);
    client.send("BDAT 1000 LAST\r\nSubject: half\r\n\r\nhalf a mess");
    client.vanish();
    let mut client = connect(&host);
    let reply = send_in_chunks(&mut client, &[ANN], b"Subject: y\r\n\r\nsound\r\n", 9);
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    client.quit();
    let ended = host.stop();
    assert_only_sound(&ended, "Subject: y\r\n\r\nsound\r\n");
    let receipts = ended.site.receipts();
    let outcomes: Vec<_> = receipts.iter().map(|r| &r["outcome"]["outcome"]).collect();
    assert_eq!(outcomes, ["abandoned", "delivered"]);
}

fn site() -> Site {
    Site::new().tenant("acme", "domains = [\"acme.example\"]")
}

fn tenant(id: &str, target: &str) -> String {
    format!("domains = [\"{id}.example\"]\n{target}")
}

fn connect(host: &Host) -> Client {
    let mut client = Client::connect(host.address("smtp"));
    let extensions = client.ehlo();
    assert!(extensions.contains("CHUNKING"), "{extensions}");
    client
}

/// A client past RCPT.
fn envelope(host: &Host, recipients: &[&str]) -> Client {
    let mut client = connect(host);
    begin(&mut client, recipients);
    client
}

fn begin(client: &mut Client, recipients: &[&str]) {
    client.expect(&format!("MAIL FROM:<{SENDER}> BODY=8BITMIME"), "250");
    for recipient in recipients {
        client.expect(&format!("RCPT TO:<{recipient}>"), "250");
    }
}

fn bdat(chunk: &str, last: &str) -> String {
    format!("BDAT {}{last}\r\n{chunk}", chunk.len())
}

/// A message in chunks of so many octets; the reply to the last.
fn send_in_chunks(client: &mut Client, to: &[&str], message: &[u8], octets: usize) -> String {
    begin(client, to);
    let mut pieces = message.chunks(octets).peekable();
    while let Some(piece) = pieces.next() {
        let last = if pieces.peek().is_none() { " LAST" } else { "" };
        client.send(format!("BDAT {}{last}\r\n", piece.len()));
        client.send(piece);
        let reply = client.reply();
        if last.is_empty() {
            assert_eq!(reply, format!("250 2.0.0 {} octets received", piece.len()));
        } else {
            return reply;
        }
    }
    unreachable!("a message has octets")
}

/// A line of the long message with its CRLF.
const LINE: usize = 64;

/// A message whose lines are all different, some with a dot in front, some with eight
/// bits.
fn long_message(number: usize) -> String {
    let header = format!("Subject: long\r\nX-Number: {number}\r\n\r\n");
    let header = format!(
        "X-Fill: {:x<1$}\r\n{header}",
        "",
        LINE * 2 - header.len() - 10
    );
    let mut message = header;
    for line in 0.. {
        if message.len() >= LONG {
            break;
        }
        let start = ["", ".", "..", "\u{fc}"][line % 4];
        let text = format!("{start}{number} {line} ");
        let fill = LINE - 2 - text.len();
        message.push_str(&format!("{text}{:y<fill$}\r\n", ""));
    }
    assert_eq!(message.len() % LINE, 0);
    message
}

fn number_of(mail: &[u8]) -> String {
    let text = String::from_utf8_lossy(mail);
    let (_, rest) = text
        .split_once("\r\nX-Number: ")
        .expect("the field is there");
    rest[..1].to_owned()
}

/// Without showing megabytes when it fails.
fn assert_ends_with(found: &[u8], message: &str, case: &str) {
    let behind = found.len().saturating_sub(message.len());
    let differs = found[behind..]
        .iter()
        .zip(message.as_bytes())
        .position(|(found, sent)| found != sent);
    assert_eq!(differs, None, "{case}: first octet that differs");
    assert!(
        behind > 0,
        "{case}: {} of {} octets",
        found.len(),
        message.len()
    );
    assert!(behind < 4096, "{case}: {behind} octets before the message");
}

fn assert_only_sound(ended: &Ended, message: &str) {
    let mail = ended.site.mail("acme");
    assert_eq!(mail.len(), 1);
    assert!(mail[0].ends_with(message.as_bytes()));
    assert_eq!(ended.site.maildir("acme", "tmp").len(), 0);
}
