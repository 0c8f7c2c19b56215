//! What can be asked for on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Measures what the host costs beside a floor: the same accept, handshake and replies
/// with no parsing, policy or delivery.
#[derive(Parser)]
#[command(name = "portcullis-bench", version)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) comparison: ComparisonArguments,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Send messages to any mail server, check every reply, and show how long each step
    /// took.
    Load(LoadArguments),
    /// The floor, as a server (the benchmark starts it for itself).
    #[command(hide = true)]
    Floor(FloorArguments),
}

#[derive(Args)]
pub(crate) struct ComparisonArguments {
    /// Exit with 1 if a bound is missed.
    #[arg(long)]
    pub(crate) check: bool,
    /// Measure these parts only: decisions, mail, memory and receipts unless given.
    #[arg(long, value_delimiter = ',', value_name = "PART")]
    pub(crate) only: Vec<Part>,
    /// Rounds, of which the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=99))]
    pub(crate) rounds: u8,
    /// A tenth of the messages: quick, and too noisy for a claim.
    #[arg(long)]
    pub(crate) quick: bool,
    /// A directory on the disk whose fsync is measured.
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    pub(crate) disk: PathBuf,
    /// A directory in memory, for whatever is not about the disk.
    #[arg(long, value_name = "DIR", default_value = "/dev/shm")]
    pub(crate) memory: PathBuf,
}

/// A part of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// The cost of a decision.
    Decisions,
    /// Processor time for messages.
    Mail,
    /// Memory of an idle connection.
    Memory,
    /// Time until a change is in force.
    Changes,
    /// Receipts a second, and what they cost a message.
    Receipts,
    /// Time and memory for asking a change about the mail of the past.
    Replay,
}

#[derive(Args)]
pub(crate) struct LoadArguments {
    /// The server.
    pub(crate) address: SocketAddr,
    /// How TLS begins.
    #[arg(long, value_enum, default_value = "none")]
    pub(crate) tls: TlsMode,
    /// Resume TLS sessions where the server lets us.
    #[arg(long)]
    pub(crate) resume: bool,
    /// A client certificate to show: a PEM file with the chain.
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) certificate: Option<PathBuf>,
    /// Its private key: a PEM file.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub(crate) key: Option<PathBuf>,
    /// Sessions at one time.
    #[arg(long, default_value_t = 16, value_parser = positive)]
    pub(crate) connections: usize,
    /// Messages in all.
    #[arg(long, default_value_t = 1000, value_parser = positive)]
    pub(crate) messages: usize,
    /// Messages of one session.
    #[arg(long, default_value_t = 1, value_parser = positive)]
    pub(crate) per_connection: usize,
    /// Octets of a message, header included.
    #[arg(long, default_value_t = 4096)]
    pub(crate) size: usize,
    /// Envelope sender.
    #[arg(long, default_value = "load@client.example")]
    pub(crate) sender: String,
    /// Envelope recipient.
    #[arg(long)]
    pub(crate) recipient: String,
}

/// How TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TlsMode {
    /// Never.
    None,
    /// With STARTTLS.
    Starttls,
    /// With the first octet.
    Implicit,
}

#[derive(Args)]
pub(crate) struct FloorArguments {
    /// PEM file of the certificate.
    #[arg(long)]
    pub(crate) chain: PathBuf,
    /// PEM file of its key.
    #[arg(long)]
    pub(crate) key: PathBuf,
    /// Keep each message in a file here, synced before 250.
    #[arg(long)]
    pub(crate) keep: Option<PathBuf>,
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("{text:?} is not a whole number from 1 on")),
        Ok(number) => Ok(number),
    }
}
