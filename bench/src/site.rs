//! The host under test: its configurations, one for each kind of policy.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::certificate::{Files, NAME};
use crate::server::Server;

/// Partners in the list that the module looks into; a tenant may have as many.
pub(crate) const PARTNERS: usize = 100_000;

/// Who is not among them.
pub(crate) const STRANGER: &str = "amy@stranger.example";
/// Who is, and has to use TLS.
pub(crate) const PARTNER: &str = "amy@p7.partner.example";
/// The tenant's.
pub(crate) const RECIPIENT: &str = "bob@acme.example";

/// What decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Nothing: the floor.
    Floor,
    /// No policy matches.
    NoPolicy,
    /// A constant.
    Constant,
    /// The stock policy `partner-list`, with a list of 100,000.
    Module,
}

/// All of them, in the order of the table.
pub(crate) const SUBJECTS: [Subject; 4] = [
    Subject::Floor,
    Subject::NoPolicy,
    Subject::Constant,
    Subject::Module,
];

/// The programs and the module that are measured.
pub(crate) struct Programs {
    /// `portcullis`.
    pub(crate) host: PathBuf,
    /// This program, which is the floor, too.
    pub(crate) own: PathBuf,
    /// The module.
    pub(crate) module: PathBuf,
}

/// A directory with all that a server needs, and writes. It is removed when this goes
/// out of scope.
pub(crate) struct Site {
    directory: TempDir,
    subject: Subject,
    pub(crate) server: Server,
}

impl Programs {
    /// Where `bench/run` has built them.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let own = std::env::current_exe()?;
        let release = own.parent().context("the program's directory")?;
        let target = release.parent().context("cargo's directory")?;
        let programs = Self {
            host: release.join("portcullis"),
            module: target.join("wasm32-unknown-unknown/guest/partner_list.wasm"),
            own,
        };
        for file in [&programs.host, &programs.module] {
            ensure!(
                file.exists(),
                "{} is missing: run bench/run",
                file.display()
            );
        }
        Ok(programs)
    }
}

impl Site {
    /// Starts a server in a directory below `parent`, which is to `keep` messages or to
    /// throw them away.
    pub(crate) fn start(
        programs: &Programs,
        subject: Subject,
        parent: &Path,
        keep: bool,
    ) -> anyhow::Result<Self> {
        Self::start_with(programs, subject, parent, keep, "")
    }

    /// The same with these settings of the host besides.
    pub(crate) fn start_with(
        programs: &Programs,
        subject: Subject,
        parent: &Path,
        keep: bool,
        settings: &str,
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
        let directory = tempfile::Builder::new()
            .prefix("portcullis-bench-")
            .tempdir_in(parent)
            .with_context(|| parent.display().to_string())?;
        let files = Files::make(directory.path())?;
        let server = match subject {
            Subject::Floor => start_floor(programs, directory.path(), &files, keep),
            _ => start_host(programs, directory.path(), &files, subject, keep, settings),
        }?;
        Ok(Self {
            directory,
            subject,
            server,
        })
    }

    /// A path below its directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Removes what was delivered, so that no directory grows from round to round.
    pub(crate) fn empty(&self) -> anyhow::Result<()> {
        let new = match self.subject {
            Subject::Floor => "new",
            _ => "data/mail/acme/new",
        };
        let Ok(entries) = fs::read_dir(self.directory.path().join(new)) else {
            return Ok(());
        };
        for entry in entries {
            fs::remove_file(entry?.path())?;
        }
        Ok(())
    }
}

fn start_floor(
    programs: &Programs,
    directory: &Path,
    files: &Files,
    keep: bool,
) -> anyhow::Result<Server> {
    let [chain, key, directory] =
        [&files.chain, &files.key, directory].map(|path: &Path| path.display().to_string());
    let mut arguments = vec!["floor", "--chain", &chain, "--key", &key];
    if keep {
        for part in ["tmp", "new"] {
            fs::create_dir(Path::new(&directory).join(part))?;
        }
        arguments.extend(["--keep", &directory]);
    }
    Server::start(&programs.own, &arguments)
}

fn start_host(
    programs: &Programs,
    directory: &Path,
    files: &Files,
    subject: Subject,
    keep: bool,
    settings: &str,
) -> anyhow::Result<Server> {
    let target = if keep { "maildir" } else { "discard" };
    let config = directory.join("portcullis.toml");
    let toml = format!(
        "hostname = \"{NAME}\"\ndata_dir = \"data\"\n\
         [[listener]]\nname = \"smtp\"\naddress = \"127.0.0.1:0\"\n\
         [[tls.certificate]]\nchain = {:?}\nkey = {:?}\n\
         [delivery]\nkind = {target:?}\n\
         [limits]\nsessions = 20000\n{settings}",
        files.chain, files.key
    );
    fs::write(&config, toml)?;
    fs::create_dir(directory.join("tenants"))?;
    fs::write(
        directory.join("tenants/acme.toml"),
        tenant(programs, subject),
    )?;
    fs::write(directory.join("tenants/partners.txt"), partners())?;
    let config = config.display().to_string();
    Server::start(&programs.host, &["serve", "--config", &config])
}

fn tenant(programs: &Programs, subject: Subject) -> String {
    let tenant = "domains = [\"acme.example\"]\n";
    let policy = match subject {
        Subject::Floor | Subject::NoPolicy => String::new(),
        Subject::Constant => "[[policy]]\nname = \"all\"\noption = \"opportunistic\"\n".to_owned(),
        Subject::Module => format!(
            "[lists.partners]\nfile = \"partners.txt\"\n\
             [[module]]\nname = \"partner-list\"\npath = {:?}\n\
             [[policy]]\nname = \"all\"\noption = \"module\"\nmodule = \"partner-list\"\n\
             settings = {{ list = \"partners\" }}\n",
            programs.module
        ),
    };
    format!("{tenant}{policy}")
}

fn partners() -> String {
    (0..PARTNERS).fold(String::new(), |mut list, number| {
        list.push_str(&partner(number));
        list.push('\n');
        list
    })
}

/// A partner's domain.
pub(crate) fn partner(number: usize) -> String {
    format!("p{number}.partner.example")
}
