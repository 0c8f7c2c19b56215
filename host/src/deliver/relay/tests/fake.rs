//! A next hop that follows a script.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::super::connection::Wire;
use super::super::hop::HopAddress;

/// What a hop does when it is its turn.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// Says this, each line ended.
    Say(&'static str),
    /// Closes.
    Close,
    /// Says this and closes.
    Last(&'static str),
    /// Says nothing more.
    Hang,
    /// Says this once it is told to.
    Late(&'static str),
    /// Says a reply that has no end, an octet at a time.
    Trickle,
}

/// What a hop does at which step: at `greeting`, at commands that begin so, after the
/// final dot (`.`). `MAIL#2` is the second MAIL of a connection. The first that fits
/// counts; what fits nothing is answered as a well-behaved hop would.
pub(super) type Script = Vec<(&'static str, Act)>;

/// A next hop that runs until it is dropped.
pub(super) struct Fake {
    pub(super) address: HopAddress,
    seen: Arc<Mutex<Seen>>,
    released: Arc<Semaphore>,
    task: JoinHandle<()>,
    _directory: Option<tempfile::TempDir>,
}

#[derive(Debug, Default)]
struct Seen {
    accepted: usize,
    open: usize,
    most_open: usize,
    lines: Vec<String>,
    content: Vec<Vec<u8>>,
}

#[derive(Clone)]
struct Hop {
    /// For each connection; the last one for all that follow.
    scripts: Arc<Vec<Script>>,
    capabilities: &'static str,
    tls: Option<TlsAcceptor>,
    seen: Arc<Mutex<Seen>>,
    /// What may be said late.
    released: Arc<Semaphore>,
}

/// What every hop here can do, but STARTTLS.
pub(super) const CAPABLE: &str = "250-hop.example\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250 ENHANCEDSTATUSCODES";

impl Fake {
    /// Over TCP.
    pub(super) async fn tcp(scripts: Vec<Script>) -> Self {
        Self::with(scripts, CAPABLE, None).await
    }

    pub(super) async fn with(
        scripts: Vec<Script>,
        capabilities: &'static str,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let port = listener.local_addr().expect("bound").port();
        let host = "127.0.0.1".to_owned();
        let hop = Hop::new(scripts, capabilities, tls);
        let (seen, released) = (Arc::clone(&hop.seen), Arc::clone(&hop.released));
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                hop.begin(Box::new(socket));
            }
        });
        Self {
            address: HopAddress::Tcp { host, port },
            seen,
            released,
            task,
            _directory: None,
        }
    }

    /// Over a Unix socket.
    pub(super) async fn unix(scripts: Vec<Script>, capabilities: &'static str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path: PathBuf = directory.path().join("lmtp");
        let listener = UnixListener::bind(&path).expect("a socket");
        let hop = Hop::new(scripts, capabilities, None);
        let (seen, released) = (Arc::clone(&hop.seen), Arc::clone(&hop.released));
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                hop.begin(Box::new(socket));
            }
        });
        Self {
            address: HopAddress::Unix(path),
            seen,
            released,
            task,
            _directory: Some(directory),
        }
    }

    /// Lets it say what it says late, from now on at once.
    pub(super) fn release(&self) {
        self.released.add_permits(1000);
    }

    pub(super) fn accepted(&self) -> usize {
        self.seen.lock().expect("sound").accepted
    }

    pub(super) fn most_open(&self) -> usize {
        self.seen.lock().expect("sound").most_open
    }

    /// Command lines, of all connections.
    pub(super) fn lines(&self) -> Vec<String> {
        self.seen.lock().expect("sound").lines.clone()
    }

    /// Contents as they came over the wire, final dots included.
    pub(super) fn content(&self) -> Vec<Vec<u8>> {
        self.seen.lock().expect("sound").content.clone()
    }

    /// Waits until a command that begins so has come this often.
    pub(super) async fn until(&self, begins: &str, count: usize) {
        let came = || {
            self.lines()
                .iter()
                .filter(|l| l.starts_with(begins))
                .count()
        };
        self.wait(|| came() >= count).await;
    }

    /// Waits until so many connections are open.
    pub(super) async fn until_open(&self, count: usize) {
        self.wait(|| self.seen.lock().expect("sound").open == count)
            .await;
    }

    async fn wait(&self, is_so: impl Fn() -> bool) {
        let waiting = async {
            while !is_so() {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(super::LONG, waiting).await;
        assert!(waited.is_ok(), "{:?}", self.seen.lock());
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Hop {
    fn new(scripts: Vec<Script>, capabilities: &'static str, tls: Option<TlsAcceptor>) -> Self {
        Self {
            scripts: Arc::new(scripts),
            capabilities,
            tls,
            seen: Arc::default(),
            released: Arc::new(Semaphore::new(0)),
        }
    }

    fn begin(&self, wire: Box<dyn Wire>) {
        let index = {
            let mut seen = self.seen.lock().expect("sound");
            seen.accepted += 1;
            seen.open += 1;
            seen.most_open = seen.most_open.max(seen.open);
            seen.accepted - 1
        };
        let last = self.scripts.len().saturating_sub(1);
        let script = self.scripts.get(index.min(last)).cloned();
        let talk = Talk {
            hop: self.clone(),
            script: script.unwrap_or_default(),
            wire: BufReader::new(wire),
            lines: Vec::new(),
            recipients: 0,
        };
        let seen = Arc::clone(&self.seen);
        tokio::spawn(async move {
            talk.run().await;
            seen.lock().expect("sound").open -= 1;
        });
    }
}

/// One connection.
struct Talk {
    hop: Hop,
    script: Script,
    wire: BufReader<Box<dyn Wire>>,
    lines: Vec<String>,
    recipients: usize,
}

impl Talk {
    async fn run(mut self) {
        let mut step = "greeting".to_owned();
        loop {
            let act = self.act(&step);
            if let Act::Late(_) = act {
                self.hop
                    .released
                    .acquire()
                    .await
                    .expect("it is open")
                    .forget();
            }
            let says = match act {
                Act::Say(text) | Act::Last(text) | Act::Late(text) => text.to_owned(),
                Act::Close | Act::Hang | Act::Trickle => String::new(),
            };
            let says = match says.as_str() {
                "" => String::new(),
                "for each" => "250 2.0.0 kept\r\n".repeat(self.recipients),
                text => format!("{text}\r\n"),
            };
            if self.wire.write_all(says.as_bytes()).await.is_err() {
                return;
            }
            let _ = self.wire.flush().await;
            match act {
                Act::Close | Act::Last(_) => return,
                Act::Hang => {
                    let _ = self.wire.read_to_end(&mut Vec::new()).await;
                    return;
                }
                Act::Trickle => return self.trickle().await,
                Act::Say(_) | Act::Late(_) => {}
            }
            let accepted = says.starts_with('2') || says.starts_with('3');
            if step.starts_with("RCPT") && accepted {
                self.recipients += 1;
            }
            if step.starts_with("STARTTLS") && accepted {
                let Some(talk) = self.secured().await else {
                    return;
                };
                self = talk;
            }
            if step == "DATA" && accepted {
                if !self.content().await {
                    return;
                }
                step = ".".to_owned();
                continue;
            }
            match self.line().await {
                Some(line) => step = line,
                None => return,
            }
        }
    }

    /// For as long as anybody listens.
    async fn trickle(mut self) {
        for octet in b"250-and so on\r\n".iter().cycle() {
            if self.wire.write_all(&[*octet]).await.is_err() || self.wire.flush().await.is_err() {
                return;
            }
            tokio::time::sleep(super::SHORT / 10).await;
        }
    }

    fn act(&mut self, step: &str) -> Act {
        self.lines.push(step.to_owned());
        let fits = |(at, _): &&(&'static str, Act)| match at.split_once('#') {
            None => step.starts_with(at),
            Some((begins, nth)) => {
                let so_far = self.lines.iter().filter(|l| l.starts_with(begins)).count();
                step.starts_with(begins) && nth.parse() == Ok(so_far)
            }
        };
        let verb = step.split(' ').next().unwrap_or_default();
        let usual = match verb {
            "greeting" => "220 hop.example",
            "EHLO" | "LHLO" => self.hop.capabilities,
            "DATA" => "354 go ahead",
            "." if self.lines.iter().any(|line| line.starts_with("LHLO")) => "for each",
            "." => "250 2.0.0 kept",
            "STARTTLS" => "220 go ahead",
            "QUIT" => return Act::Last("221 bye"),
            _ => "250 2.1.0 ok",
        };
        let scripted = self.script.iter().find(fits).map(|(_, act)| *act);
        scripted.unwrap_or(Act::Say(usual))
    }

    async fn secured(self) -> Option<Self> {
        let acceptor = self.hop.tls.clone()?;
        assert!(self.wire.buffer().is_empty(), "the client waits for 220");
        let stream = acceptor.accept(self.wire.into_inner()).await.ok()?;
        Some(Self {
            hop: Hop {
                capabilities: "250-hop.example\r\n250-SIZE\r\n250-8BITMIME\r\n250 REQUIRETLS",
                ..self.hop
            },
            wire: BufReader::new(Box::new(stream)),
            ..self
        })
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.wire.read_line(&mut line).await.ok()?;
        if read == 0 {
            return None;
        }
        let line = line.strip_suffix("\r\n").expect("lines end with CRLF");
        let mut seen = self.hop.seen.lock().expect("sound");
        seen.lines.push(line.to_owned());
        if line.starts_with("MAIL") || line.starts_with("RSET") {
            self.recipients = 0;
        }
        Some(line.to_owned())
    }

    async fn content(&mut self) -> bool {
        let mut content = Vec::new();
        while !content.ends_with(b"\r\n.\r\n") && content != b".\r\n" {
            match self.wire.read_until(b'\n', &mut content).await {
                Ok(read) if read > 0 => {}
                _ => return false,
            }
        }
        self.hop.seen.lock().expect("sound").content.push(content);
        true
    }
}
