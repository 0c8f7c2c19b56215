//! One session of a client.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, bail};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::latency::{Latencies, Step};
use super::{Plan, TlsPlan};

/// Longest reply that makes sense.
const LONGEST: usize = 64 * 1024;

/// A client in a session.
pub(super) struct Client<'a, S> {
    stream: S,
    input: Vec<u8>,
    latencies: &'a mut Latencies,
}

impl Client<'_, TcpStream> {
    /// Sends so many messages in one session.
    pub(super) async fn session(
        plan: &Plan,
        messages: usize,
        content: &[u8],
        latencies: &mut Latencies,
    ) -> anyhow::Result<()> {
        let began = Instant::now();
        let socket = TcpStream::connect(plan.address)
            .await
            .context("connecting")?;
        socket.set_nodelay(true)?;
        match &plan.tls {
            None => {
                let mut client = Client::on(socket, latencies);
                client.greeted(began).await?;
                client.ehlo().await?;
                client.messages(plan, messages, content).await
            }
            Some(tls) if tls.implicit => {
                let stream = shake_hands(tls, socket, latencies).await?;
                let mut client = Client::on(stream, latencies);
                client.greeted(Instant::now()).await?;
                client.ehlo().await?;
                client.messages(plan, messages, content).await
            }
            Some(tls) => {
                let mut client = Client::on(socket, latencies);
                client.greeted(began).await?;
                client.ehlo().await?;
                client.say(Step::StartTls, b"STARTTLS\r\n", "220").await?;
                let Client {
                    stream, latencies, ..
                } = client;
                let stream = shake_hands(tls, stream, latencies).await?;
                let mut client = Client::on(stream, latencies);
                client.ehlo().await?;
                client.messages(plan, messages, content).await
            }
        }
    }
}

async fn shake_hands(
    tls: &TlsPlan,
    socket: TcpStream,
    latencies: &mut Latencies,
) -> anyhow::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let began = Instant::now();
    let connector = TlsConnector::from(tls.config.clone());
    let stream = connector
        .connect(tls.name.clone(), socket)
        .await
        .context("the TLS handshake")?;
    latencies.add(Step::Handshake, began.elapsed());
    Ok(stream)
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Client<'a, S> {
    fn on(stream: S, latencies: &'a mut Latencies) -> Self {
        Self {
            stream,
            input: Vec::with_capacity(1024),
            latencies,
        }
    }

    async fn greeted(&mut self, began: Instant) -> anyhow::Result<()> {
        self.expect("the greeting", "220").await?;
        self.latencies.add(Step::Greeting, began.elapsed());
        Ok(())
    }

    async fn ehlo(&mut self) -> anyhow::Result<()> {
        self.say(Step::Ehlo, b"EHLO client.example\r\n", "250")
            .await
    }

    async fn messages(
        &mut self,
        plan: &Plan,
        messages: usize,
        content: &[u8],
    ) -> anyhow::Result<()> {
        let mail = format!("MAIL FROM:<{}>\r\n", plan.sender);
        let rcpt = format!("RCPT TO:<{}>\r\n", plan.recipient);
        for _ in 0..messages {
            self.say(Step::Mail, mail.as_bytes(), "250").await?;
            self.say(Step::Rcpt, rcpt.as_bytes(), "250").await?;
            self.say(Step::Data, b"DATA\r\n", "354").await?;
            self.say(Step::Content, content, "250").await?;
        }
        self.say(Step::Quit, b"QUIT\r\n", "221").await
    }

    /// Sends and waits for the reply, which has to have this code.
    async fn say(&mut self, step: Step, octets: &[u8], code: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        self.stream.write_all(octets).await.context("writing")?;
        self.stream.flush().await.context("writing")?;
        let what = String::from_utf8_lossy(&octets[..octets.len().min(40)]);
        self.expect(what.trim_end(), code).await?;
        self.latencies.add(step, began.elapsed());
        Ok(())
    }

    async fn expect(&mut self, what: &str, code: &str) -> anyhow::Result<()> {
        self.input.clear();
        while !is_whole(&self.input) {
            if self.input.len() > LONGEST {
                bail!("the reply to {what:?} has no end");
            }
            let read = self.stream.read_buf(&mut self.input).await;
            if read.with_context(|| format!("the reply to {what:?}"))? == 0 {
                bail!("the server closed the connection instead of answering {what:?}");
            }
        }
        if !self.input.starts_with(code.as_bytes()) {
            let reply = String::from_utf8_lossy(&self.input);
            bail!("{what:?} got {:?}, expected {code}", reply.trim_end());
        }
        Ok(())
    }
}

/// A connection that does nothing, for as long as it is held.
pub(crate) type Idle = Box<dyn AsyncRead>;

/// Connections that stay idle after EHLO, inside TLS if there is a plan for it.
pub(crate) async fn idle(
    address: SocketAddr,
    connections: usize,
    tls: Option<&TlsPlan>,
) -> anyhow::Result<Vec<Idle>> {
    let mut all: Vec<Idle> = Vec::with_capacity(connections);
    let mut latencies = Latencies::default();
    for _ in 0..connections {
        let socket = TcpStream::connect(address).await.context("connecting")?;
        let mut client = Client::on(socket, &mut latencies);
        client.greeted(Instant::now()).await?;
        client.ehlo().await?;
        let Some(tls) = tls else {
            all.push(Box::new(client.stream));
            continue;
        };
        client.say(Step::StartTls, b"STARTTLS\r\n", "220").await?;
        let Client {
            stream, latencies, ..
        } = client;
        let stream = shake_hands(tls, stream, latencies).await?;
        let mut client = Client::on(stream, latencies);
        client.ehlo().await?;
        all.push(Box::new(client.stream));
    }
    Ok(all)
}

/// Whether the last line of a reply is there (RFC 5321, section 4.2.1).
fn is_whole(reply: &[u8]) -> bool {
    let Some(lines) = reply.strip_suffix(b"\r\n") else {
        return false;
    };
    let last = lines.rsplit(|octet| *octet == b'\n').next();
    last.is_some_and(|line| line.get(3) != Some(&b'-'))
}

/// A message with its end, of the size in the plan before dots are stuffed: there are
/// none.
pub(super) fn content(plan: &Plan) -> Vec<u8> {
    let mut content = format!(
        "From: <{}>\r\nTo: <{}>\r\nSubject: A message of the benchmark\r\n\
         Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@client.example>\r\n\r\n",
        plan.sender, plan.recipient
    )
    .into_bytes();
    while content.len() < plan.size {
        let length = (plan.size - content.len()).clamp(3, 78);
        content.extend(std::iter::repeat_n(b'x', length - 2));
        content.extend_from_slice(b"\r\n");
    }
    content.extend_from_slice(b".\r\n");
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_have_an_end() {
        for (reply, whole) in [
            ("", false),
            ("250", false),
            ("250 Ok\r", false),
            ("250 Ok\r\n", true),
            ("250-mx\r\n", false),
            ("250-mx\r\n250 HELP\r\n", true),
            ("250\r\n", true),
        ] {
            assert_eq!(is_whole(reply.as_bytes()), whole, "{reply:?}");
        }
    }
}
