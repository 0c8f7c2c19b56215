//! The log, on standard error: lines of text or of JSON.
//!
//! **Nobody waits for the log**: lines go through a bounded queue to a thread of their
//! own, and what standard error does not take in time is lost and counted. **No line
//! says what it does not say**: whatever came from outside is shown with its control
//! characters and misleading ones escaped ([`crate::unicode`]), so that it can neither
//! forge a line nor move a terminal's cursor. Never in the log: the content of
//! messages, secrets.

mod filter;
mod gathering;
mod json;
mod text;

use std::io::IsTerminal;
use std::sync::OnceLock;

use filter::Filter;
use gathering::Gathering;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::set_global_default;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait for standard error: some 4 MB, or a tenth of a second of a busy
/// host.
const QUEUE: usize = 8 * 1024;

/// What goes before the level in the settings.
const VARIABLE: &str = "PORTCULLIS_LOG";

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// As what.
    pub format: Format,
    /// From which level on.
    pub level: Level,
}

/// As what a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For programs: an object a line.
    Json,
}

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Somebody has to do something.
    Error,
    /// Somebody should know.
    Warn,
    /// What the host does.
    Info,
    /// How it does it.
    Debug,
    /// Everything.
    Trace,
}

/// The log; what waits is written when this is dropped, unless standard error hangs.
#[derive(Debug)]
pub struct Log(#[expect(dead_code, reason = "dropping it is what it is for")] WorkerGuard);

/// Of the log of this process, which has one.
static LOST: OnceLock<ErrorCounter> = OnceLock::new();

/// Of the log of this process.
static FILTER: OnceLock<Filter> = OnceLock::new();

impl LogSettings {
    /// For commands that a person runs and waits for.
    pub const WARNINGS: Self = Self {
        format: Format::Text,
        level: Level::Warn,
    };
}

/// Starts the log of this process. `PORTCULLIS_LOG` goes before the level in the
/// settings: `debug`, or for a part of the host `portcullis::engine=debug`.
pub fn start(settings: LogSettings) -> Log {
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(QUEUE)
        .thread_name("log")
        .finish(Gathering::new(std::io::stderr()));
    // A second log in one process would count with the first.
    let _ = LOST.set(writer.error_counter());
    init(settings, writer);
    Log(guard)
}

/// Lines that were lost since the start.
pub fn lines_lost() -> u64 {
    LOST.get().map_or(0, |lost| lost.dropped_lines() as u64)
}

/// Logs from this level on, unless `PORTCULLIS_LOG` says otherwise.
pub fn set_level(level: Level) {
    if let Some(filter) = FILTER.get() {
        filter.set(targets(level));
    }
}

fn init(settings: LogSettings, writer: NonBlocking) {
    let filter = Filter::new(targets(settings.level));
    let set = match settings.format {
        Format::Text => {
            let colour = std::io::stderr().is_terminal();
            set_global_default(text::subscriber(filter.clone(), writer, colour))
        }
        Format::Json => set_global_default(json::subscriber(filter.clone(), writer)),
    };
    set.expect("a process starts its log once");
    // As is its filter.
    let _ = FILTER.set(filter);
}

/// What the environment says, where it says something that can be meant.
fn targets(level: Level) -> Targets {
    let wanted = std::env::var(VARIABLE).ok();
    let wanted = wanted.and_then(|text| match directives(&text) {
        Ok(targets) => Some(targets),
        Err(fault) => {
            // The log does not run yet, and this is not to be missed.
            eprintln!("portcullis: {VARIABLE}: {fault}; the level in the configuration counts");
            None
        }
    });
    wanted.unwrap_or_else(|| level.targets())
}

/// A word that is no level is taken for the name of a part by the library, and silences
/// all others: a level that is misspelt must not do that.
fn directives(text: &str) -> Result<Targets, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let words: Vec<&str> = text.split(',').map(str::trim).collect();
    for word in words.iter().copied() {
        let is_level = LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
        let is_part = word.contains([':', '=']) || word == "portcullis";
        if !(is_level || is_part) || word.contains('[') || word.ends_with('=') {
            return Err(format!(
                "{word:?} is none of {}, nor a part of the host such as portcullis::engine=debug",
                LEVELS.join(", ")
            ));
        }
    }
    let targets = words.join(",").parse();
    targets.map_err(|error| format!("{text:?}: {error}"))
}

impl Level {
    /// More than the host's own steps would be steps of libraries, which know nothing of
    /// what may be in a log. The resolver warns of each datagram that it did not wait
    /// for, and anybody can send these.
    fn targets(self) -> Targets {
        let host = match self {
            Self::Error => return Targets::new().with_default(LevelFilter::ERROR),
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        };
        Targets::new()
            .with_default(LevelFilter::WARN)
            .with_target("hickory_net", LevelFilter::ERROR)
            .with_target("portcullis", host)
    }
}

#[cfg(test)]
mod tests;
