//! The floor: what any mail server must do, and no more.
//!
//! It accepts, shakes hands, and sends the same replies in as many writes as a server
//! that thinks. It parses nothing: the first letter of a line says which reply comes
//! next, and the content ends where its last five octets say so. With a directory to
//! keep messages in, each is written to a file, synced and renamed, and the directory
//! is synced, before it is accepted: what has to be done lest a crash lose it.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use portcullis::tls::{Identity, TlsServer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::arguments::FloorArguments;

/// How much is read at once, in octets: a page, which a session keeps, as the plainest
/// code does.
const READ: usize = 4 * 1024;

/// What a session needs.
struct Floor {
    acceptor: TlsAcceptor,
    keep: Option<PathBuf>,
    kept: AtomicU64,
}

/// Why a conversation ended.
enum End {
    Over,
    StartTls,
}

const GREETING: &[u8] = b"220 mx.bench.example ESMTP floor\r\n";
const EXTENSIONS: &[u8] = b"250-mx.bench.example greets client.example\r\n250-PIPELINING\r\n\
    250-SIZE 26214400\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250-STARTTLS\r\n\
    250-HELP\r\n250 ENHANCEDSTATUSCODES\r\n";

/// `portcullis-bench floor`: serves until it is killed.
pub(crate) fn command(arguments: &FloorArguments) -> anyhow::Result<()> {
    // The host's own: what it costs to shake hands is not what is compared.
    let identity = Identity::load(&arguments.chain, &arguments.key)?;
    let tls = TlsServer::new(vec![identity])?;
    let floor = Arc::new(Floor {
        acceptor: TlsAcceptor::from(tls.config(true)),
        keep: arguments.keep.clone(),
        kept: AtomicU64::new(0),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(floor))
}

async fn serve(floor: Arc<Floor>) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening smtp {} starttls\nready", listener.local_addr()?);
    loop {
        let (socket, _) = listener.accept().await?;
        let floor = Arc::clone(&floor);
        tokio::spawn(async move {
            if let Err(error) = session(&floor, socket).await {
                eprintln!("floor: {error}");
            }
        });
    }
}

async fn session(floor: &Floor, mut socket: TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    socket.write_all(GREETING).await?;
    match converse(floor, &mut socket).await? {
        End::Over => socket.shutdown().await,
        End::StartTls => {
            let mut stream = Box::new(floor.acceptor.accept(socket).await?);
            converse(floor, &mut stream).await?;
            stream.shutdown().await
        }
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    floor: &Floor,
    stream: &mut S,
) -> io::Result<End> {
    let mut input = Vec::new();
    loop {
        input.clear();
        read(stream, &mut input).await?;
        let reply: &[u8] = match input.first() {
            Some(b'E') => EXTENSIONS,
            Some(b'S') => b"220 2.0.0 Ready to start TLS\r\n",
            Some(b'M') => b"250 2.1.0 Sender ok\r\n",
            Some(b'R') => b"250 2.1.5 Recipient ok\r\n",
            Some(b'D') => b"354 End data with <CR><LF>.<CR><LF>\r\n",
            _ => b"221 2.0.0 Bye\r\n",
        };
        stream.write_all(reply).await?;
        stream.flush().await?;
        match input.first() {
            Some(b'S') => return Ok(End::StartTls),
            Some(b'D') => {
                content(floor, stream).await?;
                stream.write_all(b"250 2.6.0 Message accepted\r\n").await?;
                stream.flush().await?;
            }
            Some(b'E' | b'M' | b'R') => {}
            _ => return Ok(End::Over),
        }
    }
}

async fn content<S: AsyncRead + Unpin>(floor: &Floor, stream: &mut S) -> io::Result<()> {
    let mut content = Vec::new();
    while !content.ends_with(b"\r\n.\r\n") {
        read(stream, &mut content).await?;
    }
    let Some(directory) = floor.keep.clone() else {
        return Ok(());
    };
    let name = floor.kept.fetch_add(1, Relaxed).to_string();
    tokio::task::spawn_blocking(move || keep(&directory, &name, &content)).await?
}

fn keep(directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let (temporary, kept) = (directory.join("tmp").join(name), directory.join("new"));
    let mut file = File::create_new(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&temporary, kept.join(name))?;
    File::open(&kept)?.sync_all()
}

/// Reads what is there; a client that is gone ends the session.
async fn read<S: AsyncRead + Unpin>(stream: &mut S, into: &mut Vec<u8>) -> io::Result<()> {
    into.reserve(READ);
    match stream.read_buf(into).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
