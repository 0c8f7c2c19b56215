//! A server under measurement: a process of its own on a core of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

/// The core of servers; clients are on the next one.
const SERVERS: &str = "0";
const CLIENTS: &str = "1";

/// A server that listens. It is killed when it goes out of scope.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
}

/// Keeps this process off the servers' core.
pub(crate) fn leave_servers_core() -> anyhow::Result<()> {
    let own = std::process::id().to_string();
    let moved = Command::new("taskset")
        .args(["--all-tasks", "--pid", "--cpu-list", CLIENTS, &own])
        .stdout(Stdio::null())
        .status()
        .context("taskset (of util-linux) gives servers and clients a core each")?;
    ensure!(
        moved.success(),
        "two cores are needed, one for servers and one for clients"
    );
    Ok(())
}

impl Server {
    /// Starts a program that says `listening NAME ADDRESS …` and then `ready`.
    pub(crate) fn start(program: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        Self::start_on(SERVERS, program, arguments)
    }

    /// The same with the clients' core, too, which have nothing to do.
    pub(crate) fn start_on_both_cores(program: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        Self::start_on(&format!("{SERVERS},{CLIENTS}"), program, arguments)
    }

    fn start_on(cores: &str, program: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        let mut child = Command::new("taskset")
            .args(["--cpu-list", cores])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("taskset")?;
        let stdout = child.stdout.take().context("standard output is piped")?;
        let mut server = Self {
            child,
            address: SocketAddr::from(([0, 0, 0, 0], 0)),
        };
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["listening", _, address, _] => server.address = address.parse()?,
                ["ready"] => return Ok(server),
                _ => bail!("{} said {line:?}", program.display()),
            }
        }
        bail!(
            "{} {} did not start: run it by hand to see why",
            program.display(),
            arguments.join(" ")
        )
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The processor time of all its threads since it began, those included that have
    /// ended.
    pub(crate) fn processor_time(&self) -> anyhow::Result<Duration> {
        let process = Pid::from_raw(self.child.id().try_into()?);
        let clock = clock_getcpuclockid(process).context("the clock of the server")?;
        Ok(clock.now()?.into())
    }

    /// Resident memory in KiB.
    pub(crate) fn memory(&self) -> anyhow::Result<u64> {
        self.kib("VmRSS:")
    }

    /// The most that there was since it began.
    pub(crate) fn peak_memory(&self) -> anyhow::Result<u64> {
        self.kib("VmHWM:")
    }

    fn kib(&self, key: &'static str) -> anyhow::Result<u64> {
        let status = self.proc("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        Ok(kib.context(key)?.trim().parse()?)
    }

    fn proc(&self, file: &str) -> anyhow::Result<String> {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(&path).context(path)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be over already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
