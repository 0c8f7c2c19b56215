//! A next hop that answers as it is told to: LMTP or SMTP, over TCP or a Unix socket, and
//! with STARTTLS where it is given a certificate.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustls::crypto::aws_lc_rs;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::certificate::Identity;
use crate::tool;

/// Closes the connection instead of an answer.
pub const CLOSE: &str = "close";

/// Says nothing more until the hop is gone.
pub const HANG: &str = "hang";

/// Closes the connection instead of reading the content.
pub const TAKE_NOTHING: &str = "354 go on, and it closes";

/// Asks for the content, and does not read it until the hop is gone.
pub const STALL: &str = "354 go on, and it reads nothing";

/// Before an answer: it comes some seconds later.
pub const LATE: &str = "late ";

/// How much later.
const LATENESS: Duration = Duration::from_secs(8);

/// How long what became of a message may stay unknown, on a busy machine.
const UNSETTLED: Duration = Duration::from_secs(30);

/// Delivers again while it is not known what became of the message before: a hop that says
/// nothing is listened to for as long again. The last reply.
pub fn in_the_end(mut deliver: impl FnMut() -> String) -> String {
    let begun = Instant::now();
    loop {
        let reply = deliver();
        let is_open = reply.starts_with("451 4.3.0 Message not stored");
        if !is_open || begun.elapsed() > UNSETTLED {
            return reply;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// A next hop. It ends when it goes out of scope.
pub struct Hop {
    shared: Arc<Shared>,
    place: Place,
    accepting: Option<JoinHandle<()>>,
}

/// What a hop was given and answered with 2yz.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What stood in MAIL, parameters included.
    pub sender: String,
    /// To whom.
    pub recipients: Vec<String>,
    /// Dots unstuffed.
    pub content: String,
}

enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

struct Shared {
    lmtp: bool,
    state: Mutex<State>,
    over: Condvar,
}

#[derive(Default)]
struct State {
    /// The beginning of what is said, and the answers to it; the last for ever.
    rules: Vec<(String, VecDeque<String>)>,
    connections: usize,
    said: Vec<String>,
    said_in_clear: Vec<String>,
    taken: Vec<Taken>,
    /// With which STARTTLS is offered.
    tls: Option<Arc<ServerConfig>>,
    over: bool,
}

trait Stream: Read + Write + Send {
    fn end(&self);

    /// The same connection, once more.
    fn again(&self) -> io::Result<Box<dyn Stream>>;
}

impl Stream for TcpStream {
    fn end(&self) {
        // It may be closed from the other side already.
        let _ = self.shutdown(Shutdown::Both);
    }

    fn again(&self) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(self.try_clone()?))
    }
}

impl Stream for UnixStream {
    fn end(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }

    fn again(&self) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(self.try_clone()?))
    }
}

impl Stream for StreamOwned<ServerConnection, Box<dyn Stream>> {
    fn end(&self) {
        self.sock.end();
    }

    fn again(&self) -> io::Result<Box<dyn Stream>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Hop {
    /// LMTP on a port of the kernel's choice.
    pub fn lmtp() -> Self {
        Self::tcp(true)
    }

    /// SMTP on a port of the kernel's choice.
    pub fn smtp() -> Self {
        Self::tcp(false)
    }

    /// LMTP on a Unix socket.
    pub fn unix(path: &Path) -> Self {
        let listener = UnixListener::bind(path).expect("the path is free");
        let shared = Shared::new(true);
        let accepting = accept(&shared, move || listener.accept().map(|(stream, _)| stream));
        Self {
            shared,
            place: Place::Unix(path.to_owned()),
            accepting: Some(accepting),
        }
    }

    fn tcp(lmtp: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Shared::new(lmtp);
        let accepting = accept(&shared, move || {
            let (stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            Ok(stream)
        });
        Self {
            shared,
            place: Place::Tcp(address),
            accepting: Some(accepting),
        }
    }

    /// Answers what begins so in these ways, one after the other; the last for ever.
    /// `greeting` is said first of all, and `. RECIPIENT` is the end of data for that
    /// recipient; over SMTP it is `.` alone.
    pub fn answer(&self, said: &str, answers: &[&str]) {
        let answers = answers.iter().map(|answer| (*answer).to_owned()).collect();
        let mut state = self.shared.state();
        state.rules.retain(|(known, _)| known != said);
        state.rules.push((said.to_owned(), answers));
    }

    /// Answers this as if nothing had been said of it.
    pub fn forget(&self, said: &str) {
        self.shared.state().rules.retain(|(known, _)| known != said);
    }

    /// Offers STARTTLS, and shows this certificate.
    pub fn show(&self, identity: &Identity) {
        let config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for both versions")
            .with_no_client_auth()
            .with_single_cert(identity.chain(), identity.private_key())
            .expect("the key fits the certificate");
        self.shared.state().tls = Some(Arc::new(config));
    }

    /// Where it listens, as configurations name it.
    pub fn address(&self) -> String {
        match &self.place {
            Place::Tcp(address) => address.to_string(),
            Place::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    /// The target of a tenant whose mail goes here; `more` are further keys.
    pub fn target(&self, more: &str) -> String {
        self.target_of("inbound", more)
    }

    /// The target of a tenant whose mail to others goes here.
    pub fn smart_host(&self) -> String {
        self.target_of("outbound", "")
    }

    fn target_of(&self, direction: &str, more: &str) -> String {
        let kind = if self.shared.lmtp { "lmtp" } else { "smtp" };
        let address = self.address();
        format!("[targets.{direction}]\nkind = {kind:?}\naddress = {address:?}\n{more}\n")
    }

    /// What it has taken, in order.
    pub fn taken(&self) -> Vec<Taken> {
        self.shared.state().taken.clone()
    }

    /// How many messages it has taken for this recipient.
    pub fn copies(&self, recipient: &str) -> usize {
        let taken = self.taken();
        let recipients = taken.iter().flat_map(|taken| &taken.recipients);
        recipients.filter(|one| *one == recipient).count()
    }

    /// All commands that it was given.
    pub fn said(&self) -> Vec<String> {
        self.shared.state().said.clone()
    }

    /// Those of them that everybody on the way could read.
    pub fn said_in_clear(&self) -> Vec<String> {
        self.shared.state().said_in_clear.clone()
    }

    /// How often it was connected to.
    pub fn connections(&self) -> usize {
        self.shared.state().connections
    }
}

impl Drop for Hop {
    fn drop(&mut self) {
        self.shared.state().over = true;
        self.shared.over.notify_all();
        match &self.place {
            Place::Tcp(address) => drop(TcpStream::connect(address)),
            Place::Unix(path) => {
                drop(UnixStream::connect(path));
                // The next one at this place makes it anew.
                let _ = std::fs::remove_file(path);
            }
        }
        if let Some(accepting) = self.accepting.take() {
            // A thread that failed has said so.
            let _ = accepting.join();
        }
    }
}

impl Shared {
    fn new(lmtp: bool) -> Arc<Self> {
        Arc::new(Self {
            lmtp,
            state: Mutex::default(),
            over: Condvar::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread of a hop fails")
    }

    /// What there is to say to this.
    fn answer(&self, said: &str, otherwise: &str) -> String {
        let mut state = self.state();
        let rule = state
            .rules
            .iter_mut()
            .find(|(start, _)| said.starts_with(start.as_str()));
        match rule {
            Some((_, answers)) if answers.len() > 1 => answers.pop_front().unwrap_or_default(),
            Some((_, answers)) => answers.front().cloned().unwrap_or_default(),
            None => otherwise.to_owned(),
        }
    }

    fn wait_for_the_end(&self) {
        let mut state = self.state();
        while !state.over {
            state = self.over.wait(state).expect("no thread of a hop fails");
        }
    }
}

fn accept<S: Stream + 'static>(
    shared: &Arc<Shared>,
    mut next: impl FnMut() -> io::Result<S> + Send + 'static,
) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        while let Ok(stream) = next() {
            if shared.state().over {
                return;
            }
            shared.state().connections += 1;
            let shared = Arc::clone(&shared);
            // Ends when the host closes, or the hop is over.
            thread::spawn(move || Talk::new(&shared, stream).run());
        }
    })
}

/// One connection.
struct Talk<'a> {
    shared: &'a Shared,
    stream: BufReader<Box<dyn Stream>>,
    in_tls: bool,
    sender: String,
    recipients: Vec<String>,
}

impl<'a> Talk<'a> {
    fn new(shared: &'a Shared, stream: impl Stream + 'static) -> Self {
        Self {
            shared,
            stream: BufReader::new(Box::new(stream)),
            in_tls: false,
            sender: String::new(),
            recipients: Vec::new(),
        }
    }

    /// Whatever ends it, the host hears of it.
    fn run(mut self) {
        if self.say("greeting", "220 hop.example").is_some() {
            while self.command().is_some() {}
        }
        self.stream.get_ref().end();
    }

    /// Says what there is to say; none ends the connection.
    fn say(&mut self, to: &str, otherwise: &str) -> Option<String> {
        let answer = self.shared.answer(to, otherwise);
        self.speak(answer)
    }

    fn speak(&mut self, answer: String) -> Option<String> {
        match answer.as_str() {
            CLOSE => return None,
            HANG => {
                self.shared.wait_for_the_end();
                return None;
            }
            _ => {}
        }
        let answer = match answer.strip_prefix(LATE) {
            Some(answer) => {
                thread::sleep(LATENESS);
                answer.to_owned()
            }
            None => answer,
        };
        let stream = self.stream.get_mut();
        let written = stream.write_all(format!("{answer}\r\n").as_bytes());
        written.and_then(|()| stream.flush()).ok()?;
        Some(answer)
    }

    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).ok()?;
        let text = tool::text(&line);
        text.strip_suffix("\r\n").map(ToOwned::to_owned)
    }

    fn command(&mut self) -> Option<()> {
        let line = self.line()?;
        let starttls = self.hear(&line);
        let verb = line.split([' ', ':']).next().unwrap_or_default();
        let default = match verb {
            "EHLO" | "LHLO" if starttls.is_some() => "250-hop.example\r\n250 STARTTLS",
            "EHLO" | "LHLO" => "250-hop.example\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES",
            "STARTTLS" => "220 go ahead",
            "DATA" => "354 go on",
            "QUIT" => "221 bye",
            _ => "250 2.0.0 ok",
        };
        let answer = self.say(&line, default)?;
        match answer.as_str() {
            TAKE_NOTHING => return None,
            STALL => {
                self.shared.wait_for_the_end();
                return None;
            }
            _ => {}
        }
        match verb {
            "MAIL" => {
                self.sender = line["MAIL FROM:".len()..].to_owned();
                self.recipients.clear();
            }
            "RCPT" if answer.starts_with('2') => self.recipients.push(path(&line)),
            "RSET" => self.recipients.clear(),
            "DATA" if answer.starts_with('3') => self.content()?,
            "STARTTLS" if answer.starts_with('2') => self.secure(starttls?)?,
            "QUIT" => return None,
            _ => {}
        }
        Some(())
    }

    /// Remembers a command, and says with what TLS could begin now.
    fn hear(&self, line: &str) -> Option<Arc<ServerConfig>> {
        let mut state = self.shared.state();
        state.said.push(line.to_owned());
        if self.in_tls {
            return None;
        }
        state.said_in_clear.push(line.to_owned());
        state.tls.clone()
    }

    /// What goes on in TLS; a handshake that fails shows when there is nothing to read.
    fn secure(&mut self, tls: Arc<ServerConfig>) -> Option<()> {
        let clear = self.stream.get_ref().again().ok()?;
        let connection = ServerConnection::new(tls).ok()?;
        self.stream = BufReader::new(Box::new(StreamOwned::new(connection, clear)));
        self.in_tls = true;
        Some(())
    }

    fn content(&mut self) -> Option<()> {
        let mut content = String::new();
        loop {
            let line = self.line()?;
            if line == "." {
                break;
            }
            content.push_str(line.strip_prefix('.').unwrap_or(&line));
            content.push_str("\r\n");
        }
        let recipients = std::mem::take(&mut self.recipients);
        let groups = match self.shared.lmtp {
            true => recipients.into_iter().map(|one| vec![one]).collect(),
            false => vec![recipients],
        };
        for recipients in groups {
            let end = match self.shared.lmtp {
                true => format!(". {}", recipients[0]),
                false => ".".to_owned(),
            };
            // It has what it took, whether the host hears of it or not.
            let answer = self.shared.answer(&end, "250 2.0.0 taken");
            if answer.trim_start_matches(LATE).starts_with('2') {
                self.shared.state().taken.push(Taken {
                    sender: self.sender.clone(),
                    recipients,
                    content: content.clone(),
                });
            }
            self.speak(answer)?;
        }
        Some(())
    }
}

/// What stands in angle brackets.
fn path(line: &str) -> String {
    let (_, rest) = line.split_once('<').expect("a path");
    let (path, _) = rest.split_once('>').expect("a path");
    path.to_owned()
}
