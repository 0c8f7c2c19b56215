//! What the operator may set of the engine, with defaults that suit a mail server.

use std::path::PathBuf;
use std::time::Duration;

/// Limits and places of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSettings {
    /// Units of fuel for one decision: about one per instruction, and one per byte that
    /// a bulk operation touches. Default 10,000,000: a partner policy uses some
    /// thousands, one that parses large settings some hundred thousands, and a loop
    /// without end costs about 10 ms.
    pub fuel: u64,
    /// Longest time one decision may run; expect up to twice this much, since time is
    /// measured in ticks of 10 ms and a bulk operation is looked at once. Only while it
    /// runs, that is: on a busy host it is given up after ten times as long. Default
    /// 100 ms: ten times what the fuel lasts for, so that it is fuel which decides, the
    /// same on every node, and time only what fuel does not see (work of the host).
    pub deadline: Duration,
    /// Memory of one instance in bytes, rounded up to pages of 64 KiB. Default
    /// 16 MiB: a Rust policy uses one or two, an embedded interpreter eight.
    pub memory: usize,
    /// Decisions at one time. Default 64: decisions take microseconds, so this is
    /// many times the cores of any machine; it bounds the memory to 64 × `memory`.
    pub instances: u32,
    /// Longest wait for a free instance. Default 500 ms: a client waits minutes for a
    /// reply, the session's other recipients should not.
    pub wait: Duration,
    /// Largest upload in bytes. Default 16 MiB: an unoptimised build of a small policy
    /// is 8 MB, nearly all of it names that are stripped.
    pub module_size: usize,
    /// Processor time of one attempt at compiling; there are two, the second without
    /// optimisation. Default 10 s: a policy compiles in 20 to 50 ms.
    pub compile_time: Duration,
    /// Address space of the compile worker in bytes. Default 1 GiB, a third of what
    /// the smallest known compile bombs ask for.
    pub compile_memory: u64,
    /// The executable that takes the subcommand `compile-worker`. Default: this
    /// process's own.
    pub worker: PathBuf,
    /// The directory of compiled modules; created with mode 0700.
    pub cache: PathBuf,
}

impl EngineSettings {
    /// The defaults, with this directory for compiled modules.
    pub fn new(cache: PathBuf) -> Self {
        Self {
            fuel: 10_000_000,
            deadline: Duration::from_millis(100),
            memory: 16 << 20,
            instances: 64,
            wait: Duration::from_millis(500),
            module_size: 16 << 20,
            compile_time: Duration::from_secs(10),
            compile_memory: 1 << 30,
            worker: own_executable(),
            cache,
        }
    }
}

/// Not its path on disk: that one may have been replaced by an upgrade since, whose
/// artefacts would not load here.
fn own_executable() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}
