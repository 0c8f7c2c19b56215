//! Transcripts: each file is one session, read like the RFC.
//!
//! `C:` a line from the client (CRLF is added; `\r`, `\n`, `\0` are escapes; lines
//! without an `S:` between them arrive together), `c:` the same without CRLF, `S:` how a reply begins, `tls` a
//! handshake, `delivered` and `abandoned` recipients, `closed` the end. A first line
//! `profile:` changes what the listener offers. Recipients called `refused` are
//! refused by policy, those called `full` by the target, those called `foreign` by the
//! host, and a message to one called `unwelcome` is by policy when it is there. Content is sent once the answer to DATA has come.

use std::collections::VecDeque;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::content::Spool;
use crate::decision::{Refusal, Resolved, TlsOffer, judge};
use crate::facts::{ReceiptId, sample};
use crate::receipt::RelayCause;
use crate::smtp::data::{Data, Progress};
use crate::smtp::line::{Front, front};

#[test]
fn transcripts() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/smtp/session/transcripts");
    let mut read = 0;
    for entry in std::fs::read_dir(directory).expect("the transcripts") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        check(
            &name,
            &std::fs::read_to_string(&path).expect("a transcript"),
        );
        read += 1;
    }
    assert!(read >= 15, "only {read} transcripts");
}

/// Plays the client's lines and compares all that happens with what is written.
fn check(name: &str, transcript: &str) {
    let mut lines = transcript
        .lines()
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
        .peekable();
    let options = lines
        .next_if(|line| line.starts_with("profile:"))
        .unwrap_or_default();
    let mut played = Played::new(options);
    for line in lines {
        match line.strip_prefix("C: ") {
            Some(sent) => played.send(sent),
            None if line.starts_with("c: ") => played.send_piece(&line[3..]),
            None => {
                played.run();
                let happened = played.happened.pop_front().unwrap_or_default();
                assert!(
                    happened.starts_with(line),
                    "{name}: expected {line:?}, happened {happened:?}"
                );
            }
        }
    }
    played.run();
    assert!(
        played.happened.is_empty(),
        "{name}: and then {:?}",
        played.happened
    );
}

/// Content that is awaited.
enum Reading {
    Data(Data, Vec<u8>),
    Chunk {
        left: usize,
        last: bool,
        incoming: Box<Incoming>,
    },
    Skip(usize, Reply),
}

struct Played {
    session: Session,
    input: Vec<u8>,
    reading: Option<Reading>,
    happened: VecDeque<String>,
    /// All lines that were taken for commands.
    commands: Vec<String>,
}

impl Played {
    fn new(options: &str) -> Self {
        let has = |option: &str| options.split_whitespace().any(|found| found == option);
        let profile = Profile {
            hostname: "mx.example".into(),
            starttls: match () {
                () if has("starttls=never") => StartTls::Never,
                () if has("starttls=unavailable") => StartTls::Unavailable,
                () => StartTls::Offered,
            },
            require_tls: has("require-tls"),
            message_size: 1000,
            recipients: 3,
            errors: 3,
            postmaster: "postmaster@gateway.example".parse().expect("a mailbox"),
        };
        let (session, greeting) = Session::new(Arc::new(profile), has("secured"));
        let happened = VecDeque::from([format!("S: {greeting}")]);
        Self {
            session,
            input: Vec::new(),
            reading: None,
            happened,
            commands: Vec::new(),
        }
    }

    fn send(&mut self, line: &str) {
        self.send_piece(line);
        self.input.extend_from_slice(b"\r\n");
    }

    fn send_piece(&mut self, piece: &str) {
        let piece = piece
            .replace("\\r", "\r")
            .replace("\\n", "\n")
            .replace("\\0", "\0");
        self.input.extend_from_slice(piece.as_bytes());
    }

    fn run(&mut self) {
        while let Some(step) = self.next_step() {
            self.perform(step);
            let abandoned = self.session.take_abandoned().unwrap_or_default();
            if !abandoned.is_empty() {
                self.happened
                    .push_back(format!("abandoned {}", shown(&abandoned)));
            }
        }
    }

    fn next_step(&mut self) -> Option<Step> {
        if let Some(reading) = self.reading.take() {
            return self.read(reading);
        }
        match front(&self.input) {
            Front::More => None,
            Front::Fault(fault) => Some(self.session.bad_line(fault)),
            Front::Line(line, length) => {
                self.commands
                    .push(String::from_utf8_lossy(line).into_owned());
                let step = self.session.command(line, self.input.len() > length);
                self.input.drain(..length);
                Some(step)
            }
        }
    }

    fn read(&mut self, reading: Reading) -> Option<Step> {
        match reading {
            Reading::Data(mut data, mut kept) => match data.push(&self.input, &mut kept) {
                Progress::End(length) => {
                    self.input.drain(..length);
                    let content = data.finish().map(|()| Content::in_memory(kept));
                    Some(self.session.received(content))
                }
                Progress::More => {
                    self.input.clear();
                    self.reading = Some(Reading::Data(data, kept));
                    None
                }
            },
            Reading::Chunk { left, .. } | Reading::Skip(left, _) if self.input.len() < left => {
                self.reading = Some(reading);
                None
            }
            Reading::Skip(left, reply) => {
                self.input.drain(..left);
                Some(Step::Reply(reply))
            }
            Reading::Chunk {
                left,
                last,
                mut incoming,
            } => {
                let octets: Vec<u8> = self.input.drain(..left).collect();
                incoming.chunks.begin(left as u64, last);
                incoming.chunks.push(&octets, incoming.receiving.room());
                Some(self.chunk_read(incoming, last))
            }
        }
    }

    fn chunk_read(&mut self, mut incoming: Box<Incoming>, last: bool) -> Step {
        match incoming.chunks.fault() {
            None if last => {
                let kept = std::mem::take(incoming.receiving.room());
                let content = incoming.chunks.finish();
                self.session
                    .received(content.map(|()| Content::in_memory(kept)))
            }
            Some(fault) if last => self.session.received(Err(fault)),
            Some(fault) => self.session.chunk(Err(fault)),
            None => self.session.chunk(Ok(incoming)),
        }
    }

    fn perform(&mut self, mut step: Step) {
        loop {
            step = match step {
                Step::Reply(reply) | Step::Begin(reply) => return self.say(&reply),
                Step::Receive(reply) => {
                    self.reading = Some(Reading::Data(Data::new(1000), Vec::new()));
                    return self.say(&reply);
                }
                Step::Chunk { size, last, before } => {
                    let fresh = || {
                        Box::new(Incoming {
                            chunks: Chunks::new(1000),
                            receiving: Spool::new("unused".into(), 1 << 20).receive(),
                        })
                    };
                    self.reading = Some(Reading::Chunk {
                        left: usize::try_from(size).expect("a transcript is short"),
                        last,
                        incoming: before.unwrap_or_else(fresh),
                    });
                    return;
                }
                Step::Skip(size, reply) => {
                    let left = usize::try_from(size).expect("a transcript is short");
                    self.reading = Some(Reading::Skip(left, reply));
                    return;
                }
                Step::Decide(_, recipient) => self.session.decided(decide(&recipient)),
                Step::Offer(_, permit) => self.session.offered(offer(&permit)),
                Step::Review(envelope, content) => self.session.reviewed(review(envelope, content)),
                Step::Deliver(envelope, content) => {
                    let octets = content.len();
                    let permits = shown(&envelope.permits);
                    self.happened
                        .push_back(format!("delivered {permits} {octets} octets"));
                    self.session.delivered(Reply::new(250, "2.0.0", "Ok"))
                }
                Step::Refuse(permits, reply) => {
                    self.happened
                        .push_back(format!("refused {}", shown(&permits)));
                    return self.say(&reply);
                }
                Step::StartTls(reply) => {
                    self.say(&reply);
                    self.happened.push_back("tls".into());
                    return self.session.secured();
                }
                Step::Foreign(protocol) => self.session.close(reply::foreign(protocol)),
                Step::Close(reply) => {
                    self.say(&reply);
                    self.input.clear();
                    return self.happened.push_back("closed".into());
                }
            };
        }
    }

    fn say(&mut self, reply: &Reply) {
        self.happened.push_back(format!("S: {reply}"));
    }
}

impl Played {
    /// Takes octets as they come from a socket.
    fn take(&mut self, octets: &[u8], piece: usize) {
        for piece in octets.chunks(piece) {
            if self.happened.back().is_some_and(|last| last == "closed") {
                return;
            }
            self.input.extend_from_slice(piece);
            self.run();
        }
    }
}

fn decide(recipient: &Mailbox) -> Answer {
    let id = ReceiptId::new(std::time::UNIX_EPOCH);
    match recipient.local() {
        "refused" => Answer::Refused(reply::refused(&Refusal::Plaintext, None, id)),
        "foreign" => Answer::Foreign(reply::relaying_denied(&RelayCause::Foreign, Some(id))),
        _ => {
            let facts = sample::clear(recipient);
            let judged = judge(&Resolved::Opportunistic, &facts, TlsOffer::Offered);
            Answer::Permitted(judged.expect("nothing is enforced"))
        }
    }
}

fn review(envelope: Envelope, content: Content) -> Review {
    let mut permits = envelope.permits.iter();
    match permits.find(|permit| permit.recipient().local() == "unwelcome") {
        Some(permit) => {
            let reply = reply::refused(&Refusal::PlaintextOnly, None, permit.receipt());
            Review::Refused(envelope.permits, reply)
        }
        None => Review::Passed(envelope, content),
    }
}

fn offer(permit: &Permit) -> Reply {
    match permit.recipient().local() {
        "full" => Reply::new(451, "4.3.0", "Message not stored, please try again later"),
        _ => Reply::new(250, "2.1.5", "Recipient ok"),
    }
}

fn shown(permits: &[Permit]) -> String {
    let shown: Vec<_> = permits
        .iter()
        .map(|permit| permit.recipient().to_string())
        .collect();
    shown.join(" ")
}

#[test]
fn an_answer_that_nothing_asked_for_closes() {
    let profile = Played::new("").session.profile;
    let answers: [fn(&mut Session) -> Step; 6] = [
        |session| session.chunk(Err(ContentFault::Nul)),
        |session| session.decided(Answer::Refused(Reply::new(250, "", ""))),
        |session| session.offered(Reply::new(250, "", "")),
        |session| session.received(Ok(crate::content::Content::default())),
        |session| session.reviewed(Review::Refused(Vec::new(), Reply::new(250, "", ""))),
        |session| session.delivered(Reply::new(250, "", "")),
    ];
    for answer in answers {
        let (mut session, _) = Session::new(Arc::clone(&profile), false);
        assert!(matches!(answer(&mut session), Step::Close(reply) if reply.code() == 421));
    }
}

#[test]
fn a_client_that_vanishes_abandons_what_was_permitted() {
    let mut played = Played::new("");
    for line in [
        "EHLO c",
        "MAIL FROM:<a@b.example>",
        "RCPT TO:<c@d.example>",
        "DATA",
        "half a mess",
    ] {
        played.send(line);
        played.run();
    }
    assert_eq!(
        shown(&played.session.disconnected().unwrap_or_default()),
        "c@d.example"
    );
}

#[test]
fn a_session_that_only_makes_noise_is_ended() {
    let mut played = Played::new("");
    for _ in 0..=IDLE_COMMANDS {
        played.send("NOOP");
    }
    played.run();
    assert_eq!(
        played.happened.len(),
        IDLE_COMMANDS + 3,
        "greeting, answers, farewell"
    );
    assert_eq!(played.happened.back().map(String::as_str), Some("closed"));
}

/// A line that is a command.
fn line() -> impl Strategy<Value = (String, Vec<u8>)> {
    let lines = [
        "EHLO client.example",
        "MAIL FROM:<a@b.example>",
        "RCPT TO:<c@d.example>",
        "RCPT TO:<refused@d.example>",
        "RSET",
        "NOOP",
    ];
    proptest::sample::select(lines.to_vec()).prop_map(|line| (line.to_owned(), Vec::new()))
}

/// A chunk full of what must not be one.
fn chunk() -> impl Strategy<Value = (String, Vec<u8>)> {
    let parts = [
        "MAIL FROM:<x@evil.example>\r\n",
        "QUIT\r\n",
        "BDAT 1 LAST\r\n",
        "BDAT 9999\r\n",
        "\r\n.\r\n",
        "\r",
        "\n",
        "\0",
        "x",
    ];
    let parts = proptest::collection::vec(proptest::sample::select(parts.to_vec()), 0..6);
    (parts, any::<bool>()).prop_map(|(parts, last)| {
        let octets = parts.concat();
        let last = if last { " LAST" } else { "" };
        (format!("BDAT {}{last}", octets.len()), octets.into())
    })
}

proptest! {
    /// In whatever order a client sends what, and however it arrives.
    #[test]
    fn no_octet_of_a_chunk_is_a_command(
        sent in proptest::collection::vec(prop_oneof![line(), chunk()], 0..30),
        greeted in any::<bool>(),
        piece in 1_usize..40,
    ) {
        let mut played = Played::new("");
        if greeted {
            played.take(b"EHLO client.example\r\n", 99);
            played.take(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n", 99);
            played.commands.clear();
        }
        for (line, octets) in &sent {
            played.take(&[line.as_bytes(), b"\r\n", octets].concat(), piece);
        }
        let closed = played.happened.back().is_some_and(|last| last == "closed");
        let mut expected: Vec<_> = sent.iter().map(|(line, _)| line.clone()).collect();
        if closed {
            expected.truncate(played.commands.len());
        }
        prop_assert_eq!(played.commands, expected);
    }

    #[test]
    fn no_bytes_are_a_panic(
        parts in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..20),
                line().prop_map(|(line, _)| format!("{line}\r\n").into_bytes()),
                chunk().prop_map(|(line, octets)| [line.as_bytes(), b"\r\n", &octets].concat()),
                Just(b"DATA\r\n".to_vec()),
                Just(b".\r\n".to_vec()),
                Just(b"STARTTLS\r\n".to_vec()),
            ],
            0..30,
        ),
        piece in 1_usize..40,
    ) {
        let mut played = Played::new("");
        for part in parts {
            played.take(&part, piece);
        }
    }
}
