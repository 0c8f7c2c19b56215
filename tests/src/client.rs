//! A client that says exactly what it is told to, well-formed or not.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    SupportedProtocolVersion,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::certificate::Identity;
use crate::tool;

/// Longest wait for the host: it answers in milliseconds, the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection to the host.
pub struct Client {
    stream: Stream,
    /// Read, and not yet taken as a reply.
    unread: Vec<u8>,
}

enum Stream {
    Clear(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    Process(Process),
}

/// A program that is the transport. It is not left behind.
struct Process(Child);

/// How a client speaks TLS.
pub struct Tls {
    versions: &'static [&'static SupportedProtocolVersion],
    post_quantum: bool,
    identity: Option<Arc<Identity>>,
    /// Made once, since it holds the sessions that can be resumed.
    config: OnceLock<Arc<ClientConfig>>,
}

static TLS13_ONLY: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];
static TLS12_ONLY: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS12];

impl Client {
    /// Connects in clear and takes the greeting.
    pub fn connect(address: SocketAddr) -> Self {
        let mut client = Self::connect_silently(address);
        let greeting = client.reply();
        assert!(greeting.starts_with("220 "), "{greeting}");
        client
    }

    /// Connects in clear and reads nothing.
    pub fn connect_silently(address: SocketAddr) -> Self {
        Self {
            stream: Stream::Clear(socket(address)),
            unread: Vec::new(),
        }
    }

    /// Speaks over a socket that is connected already, and has read nothing.
    pub fn over(socket: TcpStream) -> Self {
        Self {
            stream: Stream::Clear(bounded(socket)),
            unread: Vec::new(),
        }
    }

    /// Connects, says EHLO, then STARTTLS, shakes hands and says EHLO again.
    pub fn starttls(address: SocketAddr, tls: &Tls) -> Self {
        let mut client = Self::connect(address);
        client.ehlo();
        client.expect("STARTTLS", "220");
        let mut secured = client.shake_hands(tls);
        secured.ehlo();
        secured
    }

    /// Connects to a listener with implicit TLS and takes the greeting.
    pub fn implicit(address: SocketAddr, tls: &Tls) -> Self {
        let mut client = Self::connect_silently(address).shake_hands(tls);
        let greeting = client.reply();
        assert!(greeting.starts_with("220 "), "{greeting}");
        client
    }

    /// `openssl s_client -starttls smtp` as the transport, past its own STARTTLS.
    pub fn openssl(address: SocketAddr, arguments: &[&str]) -> Self {
        let address = address.to_string();
        let mut all = vec![
            "s_client",
            "-starttls",
            "smtp",
            "-quiet",
            "-connect",
            &address,
        ];
        all.extend(arguments);
        let child = tool::spawn("openssl", &all, Stdio::null());
        Self {
            stream: Stream::Process(Process(child)),
            unread: Vec::new(),
        }
    }

    /// Shakes hands on the connection as it is.
    pub fn shake_hands(self, tls: &Tls) -> Self {
        let Stream::Clear(socket) = self.stream else {
            unreachable!("a client shakes hands once, over a socket")
        };
        let connection =
            ClientConnection::new(tls.config(), server_name()).expect("the configuration is whole");
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            stream
                .conn
                .complete_io(&mut stream.sock)
                .expect("the handshake succeeds");
        }
        Self {
            stream: Stream::Tls(Box::new(stream)),
            unread: Vec::new(),
        }
    }

    /// The host's own certificate, as the handshake showed it.
    pub fn host_certificate(&self) -> &[u8] {
        let Stream::Tls(stream) = &self.stream else {
            unreachable!("only a handshake shows one")
        };
        let shown = stream.conn.peer_certificates();
        shown
            .and_then(|chain| chain.first())
            .expect("a certificate")
    }

    /// Sends octets as they are.
    pub fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.try_send(octets.as_ref())
            .expect("the host takes what is sent");
    }

    /// Sends octets to a host that may have closed already.
    pub fn try_send(&mut self, octets: &[u8]) -> io::Result<()> {
        let writer: &mut dyn Write = match &mut self.stream {
            Stream::Clear(socket) => socket,
            Stream::Tls(stream) => stream,
            Stream::Process(process) => process.0.stdin.as_mut().expect("its input is piped"),
        };
        writer.write_all(octets)?;
        writer.flush()
    }

    /// Takes one reply; its lines are joined by `\n`. Empty when the host has closed.
    pub fn reply(&mut self) -> String {
        let mut lines: Vec<String> = Vec::new();
        while let Some(line) = self.line() {
            let last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line);
            if last {
                break;
            }
        }
        lines.join("\n")
    }

    /// Takes a reply in clear if one comes within this time.
    pub fn reply_within(&mut self, patience: Duration) -> Option<String> {
        let Stream::Clear(socket) = &self.stream else {
            unreachable!("only a socket can be waited for");
        };
        socket.set_read_timeout(Some(patience)).expect("a time");
        let arrived = socket.peek(&mut [0]);
        socket.set_read_timeout(Some(PATIENCE)).expect("a time");
        arrived.is_ok().then(|| self.reply())
    }

    /// Sends a command and takes its reply.
    pub fn say(&mut self, command: &str) -> String {
        self.send(format!("{command}\r\n"));
        self.reply()
    }

    /// Sends a command; fails the test unless the reply begins so.
    pub fn expect(&mut self, command: &str, reply: &str) -> String {
        let found = self.say(command);
        assert!(
            found.starts_with(reply),
            "{command}: expected {reply}, got {found:?}"
        );
        found
    }

    /// Says EHLO and gives the extensions.
    pub fn ehlo(&mut self) -> String {
        self.expect("EHLO client.example", "250")
    }

    /// Sends one message after EHLO and gives the reply to its end. Lines of the message,
    /// the last included, end with CRLF.
    pub fn deliver(&mut self, from: &str, to: &[&str], message: &str) -> String {
        self.expect(&format!("MAIL FROM:<{from}>"), "250");
        for recipient in to {
            self.expect(&format!("RCPT TO:<{recipient}>"), "250");
        }
        self.expect("DATA", "354");
        for line in message.split_inclusive("\r\n") {
            let stuffing = if line.starts_with('.') { "." } else { "" };
            self.send(format!("{stuffing}{line}"));
        }
        self.say(".")
    }

    /// Says QUIT; fails the test unless the host says goodbye and closes.
    pub fn quit(mut self) {
        self.expect("QUIT", "221");
        assert!(self.is_closed(), "the host closes after 221");
    }

    /// Whether the host closes without another word; waits until it does either.
    pub fn is_closed(&mut self) -> bool {
        self.unread.is_empty()
            && match self.fill() {
                Ok(read) => read == 0,
                Err(error) => is_end(&error),
            }
    }

    /// Reads until the host closes, whatever it says.
    pub fn drain(&mut self) {
        while !self.is_closed() {
            assert!(
                !self.unread.is_empty(),
                "the host neither speaks nor closes"
            );
            self.unread.clear();
        }
    }

    /// Ends the connection without a word.
    pub fn vanish(self) {
        if let Stream::Clear(socket) = &self.stream {
            // It may be closed from the other side already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.unread.windows(2).position(|pair| pair == b"\r\n") {
                let line = tool::text(&self.unread[..at]);
                self.unread.drain(..at + 2);
                return Some(line);
            }
            match self.fill() {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) if is_end(&error) => return None,
                Err(error) => assert!(
                    error.kind() == io::ErrorKind::Interrupted,
                    "no reply: {error}"
                ),
            }
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 4096];
        let reader: &mut dyn Read = match &mut self.stream {
            Stream::Clear(socket) => socket,
            Stream::Tls(stream) => stream,
            Stream::Process(process) => process.0.stdout.as_mut().expect("its output is piped"),
        };
        let read = reader.read(&mut buffer)?;
        self.unread.extend_from_slice(&buffer[..read]);
        Ok(read)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It may be over already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn server_name() -> ServerName<'static> {
    ServerName::try_from("mx.host.example").expect("a DNS name")
}

fn socket(address: SocketAddr) -> TcpStream {
    bounded(TcpStream::connect(address).expect("the host listens"))
}

/// No wait on it is longer than the patience of a test.
fn bounded(socket: TcpStream) -> TcpStream {
    socket
        .set_read_timeout(Some(PATIENCE))
        .expect("the bound is not zero");
    socket
        .set_write_timeout(Some(PATIENCE))
        .expect("the bound is not zero");
    socket.set_nodelay(true).expect("TCP has this option");
    socket
}

/// The ends of a connection that are not orderly, and ends all the same.
fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

impl Tls {
    /// TLS 1.3 with X25519MLKEM768.
    pub fn post_quantum() -> Self {
        Self {
            versions: &TLS13_ONLY,
            post_quantum: true,
            identity: None,
            config: OnceLock::new(),
        }
    }

    /// TLS 1.3 with X25519.
    pub fn tls13() -> Self {
        Self {
            post_quantum: false,
            ..Self::post_quantum()
        }
    }

    /// TLS 1.2 with X25519.
    pub fn tls12() -> Self {
        Self {
            versions: &TLS12_ONLY,
            ..Self::tls13()
        }
    }

    /// The octets with which a client begins a handshake.
    pub fn hello(&self) -> Vec<u8> {
        let mut connection = ClientConnection::new(self.config(), server_name())
            .expect("the configuration is whole");
        let mut octets = Vec::new();
        connection
            .write_tls(&mut octets)
            .expect("memory takes what is written");
        octets
    }

    /// Shows this certificate.
    pub fn with(mut self, identity: &Arc<Identity>) -> Self {
        self.identity = Some(Arc::clone(identity));
        self
    }

    fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(self.config.get_or_init(|| Arc::new(self.make_config())))
    }

    fn make_config(&self) -> ClientConfig {
        let provider = Arc::new(self.provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(self.versions)
            .expect("the provider has suites for these versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer(provider)));
        match &self.identity {
            Some(identity) => builder
                .with_client_auth_cert(identity.chain(), identity.private_key())
                .expect("the key fits the certificate"),
            None => builder.with_no_client_auth(),
        }
    }

    fn provider(&self) -> CryptoProvider {
        let groups = match self.post_quantum {
            true => vec![aws_lc_rs::kx_group::X25519MLKEM768],
            false => vec![aws_lc_rs::kx_group::X25519],
        };
        CryptoProvider {
            kx_groups: groups,
            ..aws_lc_rs::default_provider()
        }
    }
}

/// Senders of mail do not as a rule know whom to trust: encryption is enough.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
