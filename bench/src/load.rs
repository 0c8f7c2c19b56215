//! The load generator: clients that send messages and check every reply.
//!
//! **A reply that is not the expected one ends the run**: what a server refuses quickly
//! must not look like speed.

mod client;
mod latency;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls_pki_types::ServerName;
use tokio::task::LocalSet;

use crate::arguments::{LoadArguments, TlsMode};
use crate::certificate;
use client::Client;
pub(crate) use client::idle;
pub(crate) use latency::{Latencies, Step};

/// What clients send, and how.
#[derive(Clone)]
pub(crate) struct Plan {
    /// Where to.
    pub(crate) address: SocketAddr,
    /// Whether and when TLS begins, and as whom.
    pub(crate) tls: Option<TlsPlan>,
    /// Sessions at one time.
    pub(crate) connections: usize,
    /// Messages in all.
    pub(crate) messages: usize,
    /// Messages of one session.
    pub(crate) per_connection: usize,
    /// Octets of a message, header included.
    pub(crate) size: usize,
    /// Envelope sender.
    pub(crate) sender: String,
    /// Envelope recipient.
    pub(crate) recipient: String,
}

/// How clients speak TLS.
#[derive(Clone)]
pub(crate) struct TlsPlan {
    /// From the first octet rather than by STARTTLS.
    pub(crate) implicit: bool,
    /// With what.
    pub(crate) config: Arc<ClientConfig>,
    /// Whom they ask for.
    pub(crate) name: ServerName<'static>,
}

/// What came of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Messages that were accepted: all of them.
    pub(crate) messages: usize,
    /// From the first connection to the last reply.
    pub(crate) elapsed: Duration,
    /// How long clients waited in each step.
    pub(crate) latencies: Latencies,
}

impl TlsPlan {
    /// Clients that take any certificate; full handshakes unless `resume`.
    pub(crate) fn new(
        implicit: bool,
        resume: bool,
        identity: Option<&certificate::Files>,
    ) -> anyhow::Result<Self> {
        let mut config = certificate::client(identity)?;
        if !resume {
            config.resumption = Resumption::disabled();
        }
        Ok(Self {
            implicit,
            config: Arc::new(config),
            name: ServerName::try_from(certificate::NAME)?,
        })
    }
}

/// Runs a plan on this thread.
pub(crate) fn run(plan: &Plan) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, all(plan))
}

async fn all(plan: &Plan) -> anyhow::Result<Report> {
    let began = Instant::now();
    let left = Rc::new(std::cell::Cell::new(plan.messages));
    let content: Rc<[u8]> = client::content(plan).into();
    let clients: Vec<_> = (0..plan.connections)
        .map(|_| {
            let (plan, left) = (plan.clone(), Rc::clone(&left));
            let content = Rc::clone(&content);
            tokio::task::spawn_local(async move { sessions(&plan, &left, &content).await })
        })
        .collect();
    let mut report = Report::default();
    for client in clients {
        let latencies = client.await.context("a client")??;
        report.latencies.merge(latencies);
    }
    report.elapsed = began.elapsed();
    report.messages = report.latencies.of(Step::Content).len();
    if report.messages != plan.messages {
        bail!(
            "{} of {} messages were accepted",
            report.messages,
            plan.messages
        );
    }
    Ok(report)
}

/// One session after the other until all messages are taken.
async fn sessions(
    plan: &Plan,
    left: &std::cell::Cell<usize>,
    content: &[u8],
) -> anyhow::Result<Latencies> {
    let mut latencies = Latencies::default();
    loop {
        let messages = left.get().min(plan.per_connection);
        if messages == 0 {
            return Ok(latencies);
        }
        left.set(left.get() - messages);
        Client::session(plan, messages, content, &mut latencies).await?;
    }
}

/// `portcullis-bench load`.
pub(crate) fn command(arguments: &LoadArguments) -> anyhow::Result<()> {
    let pair = arguments.certificate.clone().zip(arguments.key.clone());
    let identity = pair.map(|(chain, key)| certificate::Files { chain, key });
    let tls = match arguments.tls {
        TlsMode::None => None,
        mode => Some(TlsPlan::new(
            mode == TlsMode::Implicit,
            arguments.resume,
            identity.as_ref(),
        )?),
    };
    let plan = Plan {
        address: arguments.address,
        tls,
        connections: arguments.connections,
        messages: arguments.messages,
        per_connection: arguments.per_connection,
        size: arguments.size,
        sender: arguments.sender.clone(),
        recipient: arguments.recipient.clone(),
    };
    let report = run(&plan)?;
    let rate = report.messages as f64 / report.elapsed.as_secs_f64();
    println!(
        "{} messages in {:.3} s, {rate:.0} a second; every reply as expected",
        report.messages,
        report.elapsed.as_secs_f64()
    );
    print!("{}", report.latencies);
    Ok(())
}
