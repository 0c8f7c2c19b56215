//! The host's side of the compile worker: who may compile when, and what the death of a
//! worker means.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::cache::Compiled;
use super::module::SettingsFault;
use super::settings::EngineSettings;
use super::tuning::Effort;
use super::worker::{Check, Job, Order, Report, SUBCOMMAND};

/// Uploads that wait to be compiled, each held in memory by whoever brought it.
const QUEUE: usize = 64;
/// Most that a worker writes: the largest artefact with its manifest. An embedded
/// interpreter comes to twelve million, and the names of its functions are beside that; this
/// much is held in memory twice for a moment.
const OUTPUT: u64 = 22 << 20;
/// Address space beyond the worker's own needs that instantiating takes: the memory
/// cap, with room for its alignment.
const INSTANCE_SPACE: u64 = 2;
/// Modules that are compiled at one time on a small machine: two of uploads, so that nobody
/// waits for one tenant's slow module, and one of a reload. Workers are nice to mail.
const SLOTS: usize = 3;
/// Checks of settings at one time, for which no module is waited for: a change of a policy
/// is in force within a second.
const CHECKS: usize = 2;
/// The wall limit in multiples of processor time: the worker is nice to others, and on
/// a busy machine gets about a tenth of a core.
const PATIENCE: u32 = 10;
/// What the allocator takes of the address space at a time, in KiB: unless it is told it is
/// a gibibyte, and a worker has less.
const ARENA: (&str, &str) = ("MIMALLOC_ARENA_RESERVE", "32768");

/// Why a module was not admitted.
#[derive(Debug, thiserror::Error)]
pub enum AdmissionError {
    /// For the uploader: what is wrong with the module or its settings.
    #[error("{0}")]
    Refused(String),
    /// Too many uploads at once: try again.
    #[error("the engine is busy: try again in a minute")]
    Busy,
    /// A fault of the host.
    #[error("the module cannot be compiled on this host: {0}")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl AdmissionError {
    /// Whether it is the host that could not look at it just now.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Refused(_) => false,
            Self::Busy | Self::Internal(_) => true,
        }
    }
}

/// Refuses what is too large before anything is done with it.
pub(super) fn check_size(bytes: &[u8], limit: usize) -> Result<(), AdmissionError> {
    if bytes.len() > limit {
        return Err(AdmissionError::Refused(format!(
            "this module has {} bytes, over the limit of {limit}: `portcullis build` makes it small, `portcullis inspect` shows what is large in it",
            bytes.len()
        )));
    }
    Ok(())
}

/// Starts compile workers, a bounded number at a time.
pub(super) struct Compiler {
    executable: PathBuf,
    memory: usize,
    module_size: usize,
    time: Duration,
    address_space: u64,
    slots: Semaphore,
    checks: Semaphore,
    queued: AtomicUsize,
}

/// How a worker ended.
enum Ended {
    /// With a report and what came after it.
    Reported(Report, Vec<u8>),
    /// Without one: it was killed, by a limit of its own or by us.
    Died(Death),
}

/// What killed it.
enum Death {
    OutOfTime,
    TooMuchOutput,
    /// Most often a limit of its own.
    Exited(ExitStatus),
}

impl Compiler {
    pub(super) fn new(settings: &EngineSettings) -> Self {
        // Half of the cores where there are many, so that mail is served meanwhile.
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            executable: settings.worker.clone(),
            memory: settings.memory,
            module_size: settings.module_size,
            time: settings.compile_time,
            address_space: settings.compile_memory,
            slots: Semaphore::new((cores / 2).max(SLOTS)),
            checks: Semaphore::new(CHECKS),
            queued: AtomicUsize::new(0),
        }
    }

    /// Compiles an upload; when optimising is more than a worker may use, without.
    pub(super) async fn compile(&self, bytes: &[u8]) -> Result<Compiled, AdmissionError> {
        let first = self.run(Job::Compile(Effort::Optimise), bytes).await?;
        let ended = match first {
            Ended::Died(death) => {
                tracing::info!(
                    reason = self.words(&death),
                    "compiling again without optimisation"
                );
                self.run(Job::Compile(Effort::Bounded), bytes).await?
            }
            reported => reported,
        };
        match ended {
            Ended::Reported(Report::Compiled(manifest), code) => {
                Ok(Compiled::by_worker(manifest, code))
            }
            Ended::Reported(Report::Refused(reason), _) => Err(AdmissionError::Refused(reason)),
            Ended::Reported(..) => Err(another_job()),
            Ended::Died(death) => Err(AdmissionError::Refused(format!(
                "this module cannot be compiled: {}, even without optimisation",
                self.words(&death)
            ))),
        }
    }

    /// Makes a component of a module, for its author.
    pub(super) async fn componentise(&self, bytes: &[u8]) -> Result<Vec<u8>, AdmissionError> {
        match self.run(Job::Componentise, bytes).await? {
            Ended::Reported(Report::Componentised, component) => Ok(component),
            Ended::Reported(Report::Refused(reason), _) => Err(AdmissionError::Refused(reason)),
            Ended::Reported(..) => Err(another_job()),
            Ended::Died(death) => Err(AdmissionError::Refused(format!(
                "this module cannot be made a component: {}",
                self.words(&death)
            ))),
        }
    }

    /// Holds settings against a schema.
    pub(super) async fn check_settings(
        &self,
        schema: &str,
        settings: &str,
    ) -> Result<Vec<SettingsFault>, AdmissionError> {
        let check = Check {
            schema: schema.to_owned(),
            settings: settings.to_owned(),
        };
        let input = serde_json::to_vec(&check).map_err(internal)?;
        check_size(&input, self.module_size)?;
        match self.run(Job::Check, &input).await? {
            Ended::Reported(Report::Checked(faults), _) => Ok(faults),
            Ended::Reported(Report::Refused(reason), _) => Err(AdmissionError::Refused(reason)),
            Ended::Reported(..) => Err(another_job()),
            Ended::Died(death) => Err(AdmissionError::Refused(format!(
                "these settings cannot be checked against the module's schema: {}",
                self.words(&death)
            ))),
        }
    }

    /// Jobs that wait or are at work.
    pub(super) fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    async fn run(&self, job: Job, input: &[u8]) -> Result<Ended, AdmissionError> {
        let _queued = Queued::enter(&self.queued).ok_or(AdmissionError::Busy)?;
        let slots = match job {
            Job::Compile(_) | Job::Componentise => &self.slots,
            Job::Check => &self.checks,
        };
        let _slot = slots.acquire().await.map_err(internal)?;
        let mut child = self.spawn(job).map_err(internal)?;
        let worked = timeout(self.time * PATIENCE, converse(&mut child, input)).await;
        // Whatever it is doing: dead it is, before the next takes its place.
        let _ = child.start_kill();
        let status = child.wait().await.map_err(internal)?;
        let output = match worked {
            Ok(output) => output.map_err(internal)?,
            Err(_) => return Ok(Ended::Died(Death::OutOfTime)),
        };
        if output.len() as u64 > OUTPUT {
            return Ok(Ended::Died(Death::TooMuchOutput));
        }
        Ok(match split(output) {
            Some((report, rest)) => Ended::Reported(report, rest),
            None => Ended::Died(Death::Exited(status)),
        })
    }

    fn spawn(&self, job: Job) -> io::Result<Child> {
        let order = Order {
            job,
            memory: self.memory,
            address_space: self.address_space + INSTANCE_SPACE * self.memory as u64,
            processor_seconds: self.time.as_secs().max(1),
            input: self.module_size as u64,
        };
        Command::new(&self.executable)
            .arg(SUBCOMMAND)
            .arg(serde_json::to_string(&order)?)
            .env_clear()
            .env(ARENA.0, ARENA.1)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
    }

    fn words(&self, death: &Death) -> String {
        match death {
            Death::OutOfTime => format!("it takes over {} s", (self.time * PATIENCE).as_secs()),
            Death::TooMuchOutput => format!("it becomes over {OUTPUT} bytes of code"),
            Death::Exited(status) => self.words_for(*status),
        }
    }

    /// A limit on processor time kills with these two signals; what runs out of memory
    /// or stack, or fails in a worse way, aborts.
    fn words_for(&self, status: ExitStatus) -> String {
        match status.signal().and_then(Signal::from_named_raw) {
            Some(Signal::XCPU | Signal::KILL) => format!(
                "it takes over {} s of processor time",
                self.time.as_secs().max(1)
            ),
            Some(Signal::ABORT | Signal::SEGV | Signal::BUS) => format!(
                "it takes over {} MiB of memory, or breaks the compiler",
                self.address_space >> 20
            ),
            _ => format!("the compile worker ended early ({status})"),
        }
    }
}

/// Writes the input and reads everything that comes back, and no more than one byte
/// over what may come.
async fn converse(child: &mut Child, input: &[u8]) -> io::Result<Vec<u8>> {
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::Error::other("the worker has no standard streams"));
    };
    let write = async move {
        // A worker that dies early leaves its input unread; how it died tells more.
        let _ = stdin.write_all(input).await;
        drop(stdin);
    };
    let read = async {
        let mut output = Vec::new();
        stdout.take(OUTPUT + 1).read_to_end(&mut output).await?;
        Ok(output)
    };
    tokio::join!(write, read).1
}

/// The report and what follows it; none when it is not whole.
fn split(mut output: Vec<u8>) -> Option<(Report, Vec<u8>)> {
    let (length, rest) = output.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length) as usize;
    let report: Report = serde_json::from_slice(rest.get(..length)?).ok()?;
    output.drain(..4 + length);
    Some((report.bounded(), output))
}

fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> AdmissionError {
    AdmissionError::Internal(error.into())
}

fn another_job() -> AdmissionError {
    internal("the worker did another job")
}

/// A place in the queue, given back when it is dropped.
struct Queued<'a>(&'a AtomicUsize);

impl<'a> Queued<'a> {
    fn enter(queue: &'a AtomicUsize) -> Option<Self> {
        let place = Self(queue);
        (queue.fetch_add(1, Ordering::Relaxed) < QUEUE).then_some(place)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
