//! A small SMTP client: one message, every reply kept.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, ensure};
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::{ClientConfig, RootCertStore, version};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::authority::{Authority, HOSTNAME, Identity};
use super::scenes::{ClientTls, Scene, Shown};

/// Where to send to.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) address: SocketAddr,
    pub(super) implicit: bool,
}

/// What the client was told.
pub(super) struct Answers {
    /// For each recipient.
    pub(super) recipients: Vec<String>,
    /// At the end of data, if it came to that.
    pub(super) end: Option<String>,
}

/// Sends the scene's message.
pub(super) async fn send(
    place: Place,
    scene: &Scene,
    authority: &Authority,
) -> anyhow::Result<Answers> {
    let socket = TcpStream::connect(place.address)
        .await
        .context("connecting")?;
    if scene.tls == ClientTls::Clear {
        let mut client = Client(BufStream::new(socket));
        client.expect(220).await?;
        return client.transaction(scene).await;
    }
    let connector = TlsConnector::from(Arc::new(tls(scene, authority)?));
    let name = ServerName::try_from(HOSTNAME)?;
    if place.implicit {
        let mut client = Client(BufStream::new(connector.connect(name, socket).await?));
        client.expect(220).await?;
        return client.transaction(scene).await;
    }
    let mut clear = Client(BufStream::new(socket));
    clear.expect(220).await?;
    clear.command("EHLO client.example", 250).await?;
    clear.command("STARTTLS", 220).await?;
    let stream = connector
        .connect(name, clear.0.into_inner())
        .await
        .context("TLS handshake")?;
    Client(BufStream::new(stream)).transaction(scene).await
}

fn tls(scene: &Scene, authority: &Authority) -> anyhow::Result<ClientConfig> {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = match scene.tls {
        ClientTls::PostQuantum => vec![kx_group::X25519MLKEM768],
        _ => vec![kx_group::X25519],
    };
    let versions = match scene.tls {
        ClientTls::Tls12 => [&version::TLS12],
        _ => [&version::TLS13],
    };
    let mut roots = RootCertStore::empty();
    roots.add(authority.root.clone())?;
    let builder = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&versions)?
        .with_root_certificates(roots);
    Ok(match identity(scene.certificate, authority) {
        Some(identity) => {
            builder.with_client_auth_cert(vec![identity.certificate.clone()], identity.key())?
        }
        None => builder.with_no_client_auth(),
    })
}

fn identity(shown: Shown, authority: &Authority) -> Option<&Identity> {
    match shown {
        Shown::Nothing => None,
        Shown::Trusted => Some(&authority.trusted),
        Shown::Stranger => Some(&authority.stranger),
        Shown::SelfSigned => Some(&authority.self_signed),
        Shown::Pinned => Some(&authority.pinned),
    }
}

struct Client<S>(BufStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn transaction(&mut self, scene: &Scene) -> anyhow::Result<Answers> {
        self.command("EHLO client.example", 250).await?;
        self.command(&format!("MAIL FROM:<{}>", scene.sender), 250)
            .await?;
        let mut answers = Answers {
            recipients: Vec::new(),
            end: None,
        };
        for (recipient, _) in scene.recipients {
            answers
                .recipients
                .push(self.ask(&format!("RCPT TO:<{recipient}>")).await?);
        }
        if answers
            .recipients
            .iter()
            .any(|answer| answer.starts_with('2'))
        {
            self.command("DATA", 354).await?;
            let text = format!(
                "From: <{}>\r\nSubject: {}\r\n\r\nHello.\r\n.",
                scene.sender, scene.title
            );
            answers.end = Some(self.ask(&text).await?);
        }
        self.command("QUIT", 221).await?;
        Ok(answers)
    }

    async fn command(&mut self, line: &str, code: u16) -> anyhow::Result<()> {
        self.write(line).await?;
        self.expect(code).await
    }

    async fn expect(&mut self, code: u16) -> anyhow::Result<()> {
        let reply = self.reply().await?;
        ensure!(
            reply.starts_with(&code.to_string()),
            "{reply:?} where {code} was due"
        );
        Ok(())
    }

    async fn ask(&mut self, line: &str) -> io::Result<String> {
        self.write(line).await?;
        self.reply().await
    }

    async fn write(&mut self, line: &str) -> io::Result<()> {
        self.0.write_all(format!("{line}\r\n").as_bytes()).await?;
        self.0.flush().await
    }

    /// A reply as receipts show it: the code once, the lines joined.
    async fn reply(&mut self) -> io::Result<String> {
        let mut lines: Vec<String> = Vec::new();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let (code, rest) = line
                .trim_end()
                .split_at_checked(4)
                .unwrap_or((line.trim_end(), ""));
            lines.push(if lines.is_empty() {
                format!("{} {rest}", &code[..code.len().min(3)])
            } else {
                without_code(rest)
            });
            if !code.ends_with('-') {
                return Ok(lines.join(" / "));
            }
        }
    }
}

/// The text behind an enhanced status code.
fn without_code(line: &str) -> String {
    match line.split_once(' ') {
        Some((code, text)) if code.split('.').count() == 3 => text.to_owned(),
        _ => line.to_owned(),
    }
}
