//! The compile worker: what happens to an upload, in a process of its own.
//!
//! Compiling foreign code may take minutes, gigabytes, or end in a panic; none of that
//! is a bug of the compiler by its own definition. So it happens in a child that limits
//! itself before it reads anything, and whose death is a refused upload.
//!
//! ```text
//! bytes → scan (strip, count) → componentise → compile → link → describe → schema
//! ```
//!
//! The order is in the argument, as JSON; the input is on standard input; a `Report`
//! and after it the artefact are on standard output.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::RawFd;
use std::panic;
use std::path::Path;
use std::pin::pin;
use std::process::ExitCode;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use wasmtime::component::Component;

use super::Failure;
use super::componentise::{InterfaceError, componentise};
use super::log::kept;
use super::module::{FAULTS, Manifest, ManifestError, SettingsFault};
use super::run::{Limits, Linked};
use super::scan::{ScanError, scan};
use super::schema::{self, SchemaError};
use super::ticker::Ticker;
use super::tuning::{self, Effort};
use super::unserved::unserved;

/// The subcommand that the host's binary takes.
pub const SUBCOMMAND: &str = "compile-worker";

/// Fuel for describing itself: a manifest is a constant, a derived schema is put
/// together from some hundred parts.
const DESCRIBE_FUEL: u64 = 50_000_000;
/// Open files: three streams, and what the allocator of instances opens.
const FILES: u64 = 32;
/// Niceness: mail goes first.
const NICENESS: i32 = 10;

/// What a worker is to do, and what it may use.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) job: Job,
    /// Memory cap of the instances that will run, in bytes.
    pub(super) memory: usize,
    /// Address space of the worker in bytes.
    pub(super) address_space: u64,
    /// Processor time of the worker in seconds.
    pub(super) processor_seconds: u64,
    /// Largest input in bytes.
    pub(super) input: u64,
}

/// What is asked of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Job {
    /// The input is an upload.
    Compile(Effort),
    /// The input is a module whose author wants the component that it becomes.
    Componentise,
    /// The input is a [`Check`].
    Check,
}

/// Settings to be held against a schema, both as JSON text.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Check {
    pub(super) schema: String,
    pub(super) settings: String,
}

/// What a worker answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Report {
    /// The artefact follows.
    Compiled(Manifest),
    /// The component follows.
    Componentised,
    /// Not admitted, and why.
    Refused(String),
    /// What is wrong with the settings.
    Checked(Vec<SettingsFault>),
}

impl Report {
    /// Much of a report is in the words of an upload: names, messages of tools that
    /// quote it, a schema's own. All of it passes here twice, before the worker sends it
    /// and after the host has it, since a worker may have been broken.
    pub(super) fn bounded(self) -> Self {
        match self {
            Self::Compiled(manifest) => match manifest.check() {
                Ok(()) => Self::Compiled(manifest),
                Err(error) => Self::Refused(error.to_string()),
            },
            Self::Componentised => Self::Componentised,
            Self::Refused(reason) => Self::Refused(kept(&reason)),
            Self::Checked(faults) => {
                let faults = faults.iter().take(FAULTS);
                Self::Checked(
                    faults
                        .map(|f| SettingsFault::new(&f.path, &f.message))
                        .collect(),
                )
            }
        }
    }
}

/// An admitted upload.
pub(super) struct Artefact {
    pub(super) manifest: Manifest,
    /// For `Component::deserialize`.
    pub(super) code: Vec<u8>,
}

/// Why an upload is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error(transparent)]
    Scan(#[from] ScanError),
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    #[error("this module does not compile: {0}")]
    Compile(String),
    #[error(
        "this module uses {0}, which no policy needs and this host does not run: build it for wasm32-unknown-unknown without `-C target-feature` and `-C target-cpu` (see RUSTFLAGS and .cargo/config.toml)"
    )]
    Feature(String),
    #[error(
        "this module is none that this host runs: {0}; build it with `portcullis build`, or with cargo for wasm32-unknown-unknown"
    )]
    Invalid(String),
    #[error(
        "this module calls {0}, which this host does not have: upgrade the host, or build with the SDK of this host (`portcullis new` of it makes a crate with that)"
    )]
    Unserved(String),
    #[error(
        "this module does not fit the interface that this host serves: {0}; upgrade the host, or build with the SDK of this host (`portcullis new` of it makes a crate with that)"
    )]
    Link(String),
    #[error("asked to describe itself, {0}")]
    Describe(#[from] Failure),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

/// Runs as the compile worker: `portcullis compile-worker <order>`. Not for people.
pub fn main() -> ExitCode {
    // The text of a panic goes nowhere: the report says what is to be said.
    panic::set_hook(Box::new(|_| {}));
    let done = panic::catch_unwind(work).unwrap_or_else(|_| {
        let reason = "the compiler failed on this module: please report it to the operator";
        report(Report::Refused(reason.to_owned()), &[])
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn work() -> io::Result<()> {
    let argument = std::env::args().nth(2).unwrap_or_default();
    let order: Order = serde_json::from_str(&argument)?;
    limit(&order)?;
    let mut input = Vec::new();
    io::stdin()
        .lock()
        .take(order.input)
        .read_to_end(&mut input)?;
    match order.job {
        Job::Compile(effort) => match compile(&input, order.memory, effort) {
            Ok(artefact) => report(Report::Compiled(artefact.manifest), &artefact.code),
            Err(refused) => report(Report::Refused(refused.to_string()), &[]),
        },
        Job::Componentise => match component(&input) {
            Ok(component) => report(Report::Componentised, &component),
            Err(refused) => report(Report::Refused(refused.to_string()), &[]),
        },
        Job::Check => match check(&input) {
            Ok(faults) => report(Report::Checked(faults), &[]),
            Err(error) => report(Report::Refused(error.to_string()), &[]),
        },
    }
}

/// Limits this process, before it has read anything that could harm it.
fn limit(order: &Order) -> io::Result<()> {
    close_inherited()?;
    let at_most = |resource, value| {
        let limit = Rlimit {
            current: Some(value),
            maximum: Some(value),
        };
        setrlimit(resource, limit)
    };
    at_most(Resource::Core, 0)?;
    // The image of a guest's initial memory is a file in memory; there are no others.
    at_most(Resource::Fsize, order.memory as u64)?;
    at_most(Resource::Nofile, FILES)?;
    at_most(Resource::Cpu, order.processor_seconds)?;
    at_most(Resource::As, order.address_space)?;
    // Not worth failing for.
    let _ = rustix::process::nice(NICENESS);
    Ok(())
}

/// Closes every descriptor but the three streams. The host's own close themselves, but
/// whoever started the host may have left it others, such as sockets, and a limit on the
/// number of open files does not close them.
#[expect(
    unsafe_code,
    reason = "there is no safe way to close a descriptor that nothing here owns"
)]
fn close_inherited() -> io::Result<()> {
    let open = Path::new("/proc/self/fd");
    let mut inherited = Vec::new();
    for entry in fs::read_dir(open)? {
        let number = entry?.file_name().to_str().and_then(|n| n.parse().ok());
        inherited.extend(number.filter(|number: &RawFd| *number > 2));
    }
    // Among them is the one that the directory was read by, which is closed already.
    inherited.retain(|number| open.join(number.to_string()).is_symlink());
    for number in inherited {
        // SAFETY: this process has one thread and has opened nothing yet, so no object
        // owns a descriptor above the streams.
        unsafe { rustix::io::close(number) }
    }
    Ok(())
}

fn report(report: Report, artefact: &[u8]) -> io::Result<()> {
    let report = serde_json::to_vec(&report.bounded())?;
    let length = u32::try_from(report.len()).map_err(io::Error::other)?;
    let mut out = io::stdout().lock();
    out.write_all(&length.to_be_bytes())?;
    out.write_all(&report)?;
    out.write_all(artefact)?;
    out.flush()
}

fn check(input: &[u8]) -> Result<Vec<SettingsFault>, SchemaError> {
    let check: Check = serde_json::from_slice(input)?;
    let schema = schema::compile(&check.schema)?;
    let settings = serde_json::from_str(&check.settings)?;
    Ok(schema::faults(&schema, &settings))
}

/// From uploaded bytes to what is compiled.
pub(super) fn component(bytes: &[u8]) -> Result<Vec<u8>, Refused> {
    Ok(componentise(scan(bytes)?)?)
}

/// From uploaded bytes to an artefact. In a process that may be killed, or in a test.
pub(super) fn compile(bytes: &[u8], memory: usize, effort: Effort) -> Result<Artefact, Refused> {
    let component = component(bytes)?;
    let failed = |error: wasmtime::Error| Refused::Compile(format!("{error:#}"));
    let engine = wasmtime::Engine::new(&tuning::config(memory, 1, effort)).map_err(failed)?;
    let component = Component::from_binary(&engine, &component).map_err(|error| invalid(&error))?;
    let linked =
        Linked::new(&component, Ticker::stopped()).map_err(|error| unfit(&component, &error))?;
    let manifest = describe(&linked, memory)?;
    manifest.check()?;
    schema::compile(&manifest.settings_schema)?;
    Ok(Artefact {
        manifest,
        code: component.serialize().map_err(failed)?,
    })
}

/// Why wasmtime does not take it: most often for what a flag of the compiler has let in.
fn invalid(error: &wasmtime::Error) -> Refused {
    const OFF: &str = " support is not enabled";
    let why = error.root_cause().to_string();
    match why.split_once(OFF) {
        // Where it is stands before it, in bytes of what nobody has.
        Some((found, _)) => {
            let feature = found.rsplit(": ").next().unwrap_or(found);
            Refused::Feature(feature.to_owned())
        }
        None => Refused::Invalid(why),
    }
}

/// Why it cannot be linked: most often it was built for a newer host.
fn unfit(component: &Component, error: &wasmtime::Error) -> Refused {
    match unserved(component) {
        Some(functions) => Refused::Unserved(functions),
        None => Refused::Link(mismatch(&format!("{error:#}"))),
    }
}

/// What does not match, without what is said of linkers before it.
fn mismatch(text: &str) -> String {
    let (wanted, why) = text
        .split_once(", but a matching implementation was not found in the linker: ")
        .unwrap_or(("", text));
    let wanted = wanted.rsplit(' ').next().unwrap_or_default();
    format!("{wanted} {why}").trim_start().to_owned()
}

/// The processor time of this process is the deadline here, and there is no ticker: the
/// call is over when it has been polled once.
fn describe(linked: &Linked, memory: usize) -> Result<Manifest, Refused> {
    let limits = Limits {
        fuel: DESCRIBE_FUEL,
        deadline: Duration::MAX,
        memory,
    };
    match pin!(linked.describe(limits)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(manifest) => Ok(manifest?),
        Poll::Pending => Err(Refused::Compile("it waits for something".to_owned())),
    }
}
