//! The queries, for PostgreSQL: what several hosts will share. Only tested so far.

#[expect(
    clippy::duplicate_mod,
    reason = "one text of each query for both databases"
)]
#[path = "exercise.rs"]
mod exercise;
#[expect(
    clippy::duplicate_mod,
    reason = "one text of each query for both databases"
)]
#[path = "listing.rs"]
mod listing;
#[expect(
    clippy::duplicate_mod,
    reason = "one text of each query for both databases"
)]
#[path = "queries.rs"]
mod queries;
#[expect(
    clippy::duplicate_mod,
    reason = "one text of each query for both databases"
)]
#[path = "receipt_rows.rs"]
mod receipt_rows;
#[expect(
    clippy::duplicate_mod,
    reason = "one text of each query for both databases"
)]
#[path = "revision_rows.rs"]
mod revision_rows;
#[expect(
    clippy::duplicate_mod,
    reason = "one text of each query for both databases"
)]
#[path = "shadow_rows.rs"]
mod shadow_rows;
#[expect(
    clippy::duplicate_mod,
    reason = "one text of each query for both databases"
)]
#[path = "tenants.rs"]
mod tenants;
#[expect(
    clippy::duplicate_mod,
    reason = "one text of each query for both databases"
)]
#[path = "token_rows.rs"]
mod token_rows;
#[expect(
    clippy::duplicate_mod,
    reason = "one text of each query for both databases"
)]
#[path = "webhook_rows.rs"]
mod webhook_rows;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;

use super::migrations::migrator;

type Db = sqlx::Postgres;
type Connection = PgConnection;

/// Adds rows of which none is there: an error ends the transaction.
const INSERT: &str = "INSERT";

/// Where Debian has the programs of each version.
const PROGRAMS: &str = "/usr/lib/postgresql";

/// Debian's user for it: a server does not run as root.
const USER: &str = "postgres";

/// A server of this test alone, on a socket in its directory. It ends with it.
struct Server {
    directory: TempDir,
    programs: PathBuf,
}

impl Server {
    fn start() -> Self {
        let versions = fs::read_dir(PROGRAMS).expect("install Debian's package postgresql");
        let newest = versions
            .flatten()
            .map(|version| version.path().join("bin"))
            .max();
        let server = Self {
            directory: TempDir::new().expect("a directory"),
            programs: newest.expect("install Debian's package postgresql"),
        };
        let directory = server.directory.path();
        if rustix::process::geteuid().is_root() {
            let user = uzers::get_user_by_name(USER).expect("the package makes it");
            let (user, group) = (user.uid(), user.primary_group_id());
            std::os::unix::fs::chown(directory, Some(user), Some(group)).expect("root may");
        }
        let data = server.data();
        server.run(
            "initdb",
            &["-D", &data, "-U", USER, "-A", "trust", "-N", "-E", "UTF8"],
        );
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories='{}' -c fsync=off",
            directory.display()
        );
        let log = directory.join("log").display().to_string();
        server.run(
            "pg_ctl",
            &["start", "-w", "-D", &data, "-o", &options, "-l", &log],
        );
        server
    }

    fn data(&self) -> String {
        self.directory.path().join("data").display().to_string()
    }

    /// Runs one of its programs, as a user that is not root.
    fn run(&self, program: &str, arguments: &[&str]) {
        let path = self.programs.join(program);
        let mut command = match rustix::process::geteuid().is_root() {
            true => {
                let mut command = Command::new("setpriv");
                command
                    .args(["--reuid", USER, "--regid", USER, "--clear-groups"])
                    .arg(path);
                command
            }
            false => Command::new(path),
        };
        let done = command.args(arguments).current_dir("/").output();
        let done = done.expect("util-linux has setpriv");
        assert!(
            done.status.success(),
            "{program}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    async fn connect(&self) -> PgConnection {
        let directory: &Path = self.directory.path();
        let options = PgConnectOptions::new_without_pgpass()
            .socket(directory)
            .username(USER)
            .database("postgres");
        PgConnection::connect_with(&options)
            .await
            .expect("it is up")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.data();
        self.run("pg_ctl", &["stop", "-w", "-m", "immediate", "-D", &data]);
    }
}

#[tokio::test]
async fn postgresql_does_what_sqlite_does() {
    let server = Server::start();
    let mut connection = server.connect().await;
    for _ in 0..2 {
        migrator()
            .run_direct(None, &mut connection, false)
            .await
            .expect("the schema");
    }
    exercise::exercise(&mut connection).await;
    connection.close().await.expect("it is up");
}
