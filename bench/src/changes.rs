//! How long it takes until a change of the store is in force, with a thousand tenants;
//! and how long a start takes when nothing has changed.
//!
//! What is told of a change is the host's own word, from the question until transactions
//! begin under it: of changes of one thing through the admin API, and of a whole tree of
//! files as an operator applies it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::api;
use crate::server::Server;
use crate::site::{PARTNERS, Programs, partner};

/// Tenants, each with a module of its own and so many policies. The first has a list
/// of 100,000 entries besides.
const TENANTS: usize = 1000;
const POLICIES: usize = 20;

/// Longest time for compiling all modules, on a busy machine.
const COMPILING: Duration = Duration::from_secs(3600);
const BETWEEN_TRIES: Duration = Duration::from_secs(5);

/// One round.
pub(crate) struct Round {
    /// A policy of the tenant with the list is written through the admin API.
    pub(crate) written: Duration,
    /// An entry of the list is another, the same way.
    pub(crate) entry: Duration,
    /// A policy of that tenant is another in the tree, where the entry is as it was.
    pub(crate) policy: Duration,
    /// A tenant has a new module, which is compiled.
    pub(crate) module: Duration,
    /// From the start of the program until it listens.
    pub(crate) start: Duration,
}

/// Measures some rounds.
pub(crate) fn measure(
    programs: &Programs,
    memory: &Path,
    rounds: usize,
    quick: bool,
) -> anyhow::Result<Vec<Round>> {
    let tenants = if quick { TENANTS / 10 } else { TENANTS };
    let site = Site::make(programs, memory, tenants)?;
    let mut server = site.start()?;
    site.furnish()?;
    let mut all = Vec::new();
    for round in 1..=rounds {
        let policy = format!(
            "{{\"option\":\"enforced\",\"from\":\"new.example\",\"narrative\":\"{round}\"}}"
        );
        let written = site.change("PUT", "/v1/tenants/t0/policies/p1", &policy)?;
        let entry = format!("{{\"entries\":{{\"{}\":\"{round}\"}}}}", partner(0));
        let entry = site.change("PATCH", "/v1/tenants/t0/lists/partners", &entry)?;
        site.write_tenant(0, round)?;
        let policy = site.apply()?;
        site.write_module(1, round)?;
        let module = site.apply()?;
        drop(server);
        let began = Instant::now();
        server = site.start()?;
        all.push(Round {
            written,
            entry,
            policy,
            module,
            start: began.elapsed(),
        });
    }
    Ok(all)
}

struct Site<'a> {
    programs: &'a Programs,
    directory: TempDir,
    module: Vec<u8>,
}

impl<'a> Site<'a> {
    fn make(programs: &'a Programs, memory: &Path, tenants: usize) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("portcullis-bench-")
            .tempdir_in(memory)?;
        let site = Self {
            programs,
            directory,
            module: fs::read(&programs.module).context("the module")?,
        };
        fs::create_dir_all(site.path("tree/tenants"))?;
        let config = "hostname = \"mx.bench.example\"\ndata_dir = \"data\"\n\
                      [[listener]]\nname = \"smtp\"\naddress = \"127.0.0.1:0\"\n\
                      [delivery]\nkind = \"discard\"\n[log]\nlevel = \"error\"\n";
        fs::write(site.path("portcullis.toml"), config)?;
        let list: String = (0..PARTNERS).map(|number| partner(number) + "\n").collect();
        fs::write(site.path("tree/tenants/partners.txt"), list)?;
        for tenant in 0..tenants {
            site.write_tenant(tenant, 0)?;
            site.write_module(tenant, 0)?;
        }
        Ok(site)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn start(&self) -> anyhow::Result<Server> {
        let config = self.path("portcullis.toml").display().to_string();
        Server::start(&self.programs.host, &["serve", "--config", &config])
    }

    fn write_tenant(&self, tenant: usize, version: usize) -> anyhow::Result<()> {
        let mut text = format!(
            "domains = [\"t{tenant}.example\"]\n\
             [[module]]\nname = \"own\"\npath = \"{tenant}.wasm\"\n\
             [[policy]]\nname = \"module\"\noption = \"module\"\nmodule = \"own\"\n\
             settings = {{ list = \"partners\" }}\n"
        );
        for policy in 1..POLICIES {
            text += &format!(
                "[[policy]]\nname = \"p{policy}\"\nfrom = \"p{policy}.example\"\n\
                 narrative = \"version {version}\"\noption = \"enforced\"\n"
            );
        }
        text += match tenant {
            0 => "[lists.partners]\nfile = \"partners.txt\"\n",
            _ => "[lists.partners]\nentries = [\"partner.example\"]\n",
        };
        let path = self.path(&format!("tree/tenants/t{tenant}.toml"));
        Ok(fs::write(path, text)?)
    }

    /// The stock policy with a section behind it that means nothing: a module of its own.
    fn write_module(&self, tenant: usize, version: usize) -> anyhow::Result<()> {
        let mark = format!("mark-{tenant:05}-{version:05}");
        let length = u8::try_from(mark.len()).context("a short mark")?;
        let mut module = self.module.clone();
        // A custom section: its id, its size, its name with its length.
        module.extend_from_slice(&[0, length + 1, length]);
        module.extend_from_slice(mark.as_bytes());
        let path = self.path(&format!("tree/tenants/{tenant}.wasm"));
        Ok(fs::write(path, module)?)
    }

    /// Asks the admin API for a change, and how long it took until it was in force.
    fn change(&self, method: &str, path: &str, body: &str) -> anyhow::Result<Duration> {
        let json = api::ask(&self.path("data/admin.sock"), method, path, body)?;
        let took = json["in_force_ms"].as_f64();
        let took = took.with_context(|| format!("{method} {path}: {json}"))?;
        Ok(Duration::from_secs_f64(took / 1000.0))
    }

    /// Applies all of it for the first time. The command is not as patient as it takes to
    /// compile all modules; the host goes on, and what it has compiled it has.
    fn furnish(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        while let Err(error) = self.apply() {
            if began.elapsed() > COMPILING {
                return Err(error);
            }
            thread::sleep(BETWEEN_TRIES);
        }
        Ok(())
    }

    /// How long it took until it was in force.
    fn apply(&self) -> anyhow::Result<Duration> {
        let applied = Command::new(&self.programs.host)
            .args(["apply", "--config"])
            .arg(self.path("portcullis.toml"))
            .arg(self.path("tree"))
            .output()?;
        let said = String::from_utf8_lossy(&applied.stdout).into_owned();
        let error = String::from_utf8_lossy(&applied.stderr).into_owned();
        ensure!(applied.status.success(), "portcullis apply: {error}");
        let took = said.trim_end().rsplit_once("in force after ");
        let took = took.and_then(|(_, took)| took.strip_suffix(" ms")?.parse::<f64>().ok());
        let took = took.with_context(|| format!("how long it took, in {said:?}"))?;
        Ok(Duration::from_secs_f64(took / 1000.0))
    }
}
