//! A receiver of webhooks: HTTP as it is on the wire, with the answers of the test's choice.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustls::crypto::aws_lc_rs;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::certificate::Identity;

/// Longest wait for a request, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request that came.
#[derive(Clone, Debug)]
pub struct Received {
    /// The first line.
    pub line: String,
    /// Fields with their names in lower case.
    pub fields: Vec<(String, String)>,
    /// The body, as it came.
    pub body: String,
}

impl Received {
    /// A field of the head.
    pub fn field(&self, name: &str) -> &str {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| unreachable!("{e}: {self:?}"))
    }
}

/// It listens until the test ends.
pub struct Receiver {
    address: SocketAddr,
    is_secure: bool,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    received: Vec<Received>,
    /// The next answers; 204 when there are no more.
    answers: VecDeque<String>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Receiver {
    /// Listens in clear, on loopback.
    pub fn start() -> Self {
        Self::listen(None)
    }

    /// Listens with TLS, and shows this certificate.
    pub fn with_tls(identity: &Identity) -> Self {
        let config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for both versions")
            .with_no_client_auth()
            .with_single_cert(identity.chain(), identity.private_key())
            .expect("the key fits the certificate");
        Self::listen(Some(Arc::new(config)))
    }

    fn listen(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
        let address = listener.local_addr().expect("it is bound");
        let (shared, is_secure) = (Arc::<Shared>::default(), tls.is_some());
        let known = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // Whoever goes away is no request.
                let _ = serve(client, tls.clone(), &known);
            }
        });
        Self {
            address,
            is_secure,
            shared,
        }
    }

    /// Where it is, under this name.
    pub fn url(&self, host: &str) -> String {
        let scheme = if self.is_secure { "https" } else { "http" };
        format!("{scheme}://{host}:{}/hook?x=1", self.address.port())
    }

    /// Gives these answers to the next requests: status lines, with fields behind.
    pub fn answer(&self, answers: &[&str]) {
        let answers = answers.iter().map(|answer| (*answer).to_owned());
        self.shared.state().answers.extend(answers);
    }

    /// Waits for so many requests in all, and gives them.
    pub fn wait(&self, count: usize) -> Vec<Received> {
        let began = Instant::now();
        let mut state = self.shared.state();
        while state.received.len() < count {
            let left = PATIENCE.saturating_sub(began.elapsed());
            assert!(!left.is_zero(), "{count} of {:#?}", state.received);
            let waited = self.shared.more.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.received.clone()
    }

    /// What has come so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.state().received.clone()
    }
}

trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

fn serve(
    client: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    shared: &Shared,
) -> std::io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    let mut wire: Box<dyn Wire> = match tls {
        None => Box::new(client),
        Some(config) => {
            let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
            Box::new(StreamOwned::new(connection, client))
        }
    };
    let mut reader = BufReader::new(&mut wire);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut fields = Vec::new();
    loop {
        let mut field = String::new();
        reader.read_line(&mut field)?;
        match field.trim_end().split_once(": ") {
            Some((name, value)) => fields.push((name.to_ascii_lowercase(), value.to_owned())),
            None => break,
        }
    }
    let length = fields.iter().find(|(name, _)| name == "content-length");
    let length = length
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    if line.is_empty() {
        return Ok(());
    }
    let mut state = shared.state();
    let answer = state.answers.pop_front();
    let answer = answer.unwrap_or_else(|| "204 No Content".to_owned());
    state.received.push(Received {
        line: line.trim_end().to_owned(),
        fields,
        body: String::from_utf8_lossy(&body).into_owned(),
    });
    drop(state);
    shared.more.notify_all();
    write!(
        wire,
        "HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )?;
    wire.flush()
}
