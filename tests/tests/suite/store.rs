//! The store: files go in and come out, what is changed is in force and on disk, and
//! what is wrong with the file is said.

use std::fs;
use std::io::pipe;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use portcullis_tests::api::{over_socket, post, send};
use portcullis_tests::client::Client;
use portcullis_tests::locked::Locked;
use portcullis_tests::program::{portcullis, stock_policy};
use portcullis_tests::site::{Host, Site};
use portcullis_tests::tool::{self, Ran};

const ACME: &str = "domains = [\"acme.example\"]\n\
                    [[policy]]\nname = \"all\"\noption = \"opportunistic\"\n";

/// Names a file that is no module, which its tenant goes without.
const REFUSED_MODULE: &str = "[[module]]\nname = \"m\"\npath = \"m.wasm\"\n";

/// A tree of files in the site's directory.
fn tree(site: &Site, tenants: &[(&str, &str)]) -> PathBuf {
    let tree = site.path("tree");
    let directory = tree.join("tenants");
    let _ = fs::remove_dir_all(&tree);
    fs::create_dir_all(&directory).expect("the site can be written");
    for (id, text) in tenants {
        fs::write(directory.join(format!("{id}.toml")), text).expect("the site can be written");
    }
    tree
}

fn apply(site: &Site, tree: &Path, more: &[&str]) -> Ran {
    let tree = tree.display().to_string();
    let mut arguments = vec![tree.as_str()];
    arguments.extend(more);
    site.run_with("apply", &arguments)
}

fn rcpt(host: &Host, recipient: &str) -> String {
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect("MAIL FROM:<amy@sender.example>", "250");
    client.say(&format!("RCPT TO:<{recipient}>"))
}

fn export(site: &Site, name: &str) -> PathBuf {
    let directory = site.path(name);
    let shown = directory.display().to_string();
    site.run_with("export", &[&shown]).expect_code(0);
    directory.join("tenants")
}

#[test]
fn files_go_in_and_come_out_and_go_in_again() {
    let policy = stock_policy("partner-list");
    let wasm = fs::read(policy).expect("it was built");
    let module = "[[module]]\nname = \"partner-list\"\npath = \"../list.wasm\"\n\
                  [lists.partners]\nfile = \"../partners.txt\"\n\
                  [[policy]]\nname = \"partners\"\noption = \"module\"\nmodule = \"partner-list\"\n\
                  settings = { list = \"partners\" }\n";
    let site = Site::new()
        .file("list.wasm", &wasm)
        .file("partners.txt", "sender.example => tls\n")
        .tenant("acme", &format!("{ACME}{module}"))
        .tenant("bank", "domains = [\"bank.example\"]");
    let host = site.start();
    let reply = rcpt(&host, "ben@acme.example");
    assert!(reply.starts_with("530 5.7.0"), "{reply}");
    let site = host.stop().site;
    let files = export(&site, "one");
    assert_eq!(
        fs::read(files.join("acme/partner-list.wasm")).expect("there"),
        wasm
    );
    let list = fs::read_to_string(files.join("acme/partners.list")).expect("there");
    assert_eq!(list, "sender.example => tls\n");
    let audit = site
        .run_with("audit", &["--tenant", "bank"])
        .expect_code(0)
        .stdout;
    assert!(audit.contains(" files + tenant bank\n"), "{audit}");
    assert!(!audit.contains("acme"), "{audit}");

    // From now on without files.
    fs::remove_dir_all(site.path("tenants")).expect("the site can be written");
    assert_eq!(
        site.run("check").expect_code(0).stdout,
        "ok: 1 listener, 2 tenants\n"
    );
    let host = site.start();
    let reply = rcpt(&host, "ben@acme.example");
    assert!(reply.starts_with("530 5.7.0"), "{reply}");
    let tree = host.site().path("one");
    let same = apply(host.site(), &tree, &[]).expect_code(0).stdout;
    assert!(same.starts_with("0 changes, in force after "), "{same}");
    let again = export(host.site(), "two");
    assert_eq!(
        fs::read_to_string(again.join("acme.toml")).expect("there"),
        fs::read_to_string(files.join("acme.toml")).expect("there")
    );
    let refused = host
        .site()
        .run_with("export", &[&tree.display().to_string()]);
    assert!(refused.expect_code(1).stderr.contains("is not empty"));
}

/// What is done does not depend on who reads what it is.
#[test]
fn an_apply_does_not_end_with_its_reader() {
    let site = Site::without_files();
    let tree = tree(&site, &[("acme", ACME)]);
    let host = site.start();
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    let status = Command::new(portcullis())
        .arg("apply")
        .arg(tree)
        .arg("--config")
        .arg(host.site().path("portcullis.toml"))
        .stdout(writer)
        .status()
        .expect("the binary was built");
    assert!(status.success(), "{status}");
    assert!(rcpt(&host, "ben@acme.example").starts_with("250"));
    host.stop();
}

#[test]
fn a_tree_is_applied_and_in_force() {
    let site = Site::without_files();
    let one = tree(&site, &[("acme", ACME)]);
    let host = site.start();
    assert!(rcpt(&host, "ben@acme.example").starts_with("550 5.7.1"));
    let shown = apply(host.site(), &one, &["--dry-run"])
        .expect_code(0)
        .stdout;
    assert_eq!(
        shown,
        "+ tenant acme\n1 change; nothing was changed, as asked\n"
    );
    assert!(rcpt(&host, "ben@acme.example").starts_with("550 5.7.1"));
    let done = apply(host.site(), &one, &[]).expect_code(0).stdout;
    assert!(
        done.starts_with("+ tenant acme\n1 change, in force after "),
        "{done}"
    );
    assert!(rcpt(&host, "ben@acme.example").starts_with("250"));

    let enforced = ACME.replace("opportunistic", "enforced");
    let two = tree(
        host.site(),
        &[
            ("acme", &enforced),
            ("bank", "domains = [\"bank.example\"]"),
        ],
    );
    let done = apply(host.site(), &two, &[]).expect_code(0).stdout;
    let line =
        "~ tenant acme: policy all: option \"opportunistic\" → \"enforced\"\n+ tenant bank\n";
    assert!(done.starts_with(line), "{done}");
    assert!(rcpt(&host, "ben@acme.example").starts_with("530 5.7.0"));
    assert!(rcpt(&host, "ben@bank.example").starts_with("250"));
    // A reload finds the same in the store.
    assert!(
        host.reload()
            .expect_code(0)
            .stdout
            .ends_with(": 2 tenants\n")
    );
    assert!(rcpt(&host, "ben@acme.example").starts_with("530 5.7.0"));
    let host = host.kill().site.start();
    assert!(rcpt(&host, "ben@acme.example").starts_with("530 5.7.0"));
    let audit = host
        .site()
        .run_with("audit", &["--json"])
        .expect_code(0)
        .stdout;
    let last = audit
        .lines()
        .rev()
        .find(|line| line.contains("policy all"))
        .expect("a line");
    assert!(
        last.contains("\"was\":{\"name\":\"all\",\"option\":\"opportunistic\"}"),
        "{last}"
    );
    assert!(last.contains("\"who\":\"apply\""), "{last}");
}

#[test]
fn a_tree_with_faults_changes_nothing() {
    let site = Site::without_files();
    let sound = tree(&site, &[("acme", ACME)]);
    let host = site.start();
    apply(host.site(), &sound, &[]).expect_code(0);
    for (tenants, fault) in [
        (
            vec![("acme", "domains = []")],
            "acme.toml:1: domains: a tenant needs at least one domain",
        ),
        (
            vec![("acme", ACME), ("bank", "domains = [\"ACME.example\"]")],
            "bank.toml:1: domains[0]: acme.example is taken already",
        ),
        (
            vec![(
                "acme",
                "domains = [\"acme.example\"]\n[trust]\nanchors = [\"none.pem\"]",
            )],
            "acme.toml:3: trust.anchors[0]: ",
        ),
    ] {
        let broken = tree(host.site(), &tenants);
        let refused = apply(host.site(), &broken, &[]).expect_code(1);
        assert!(refused.stderr.contains(fault), "{}", refused.stderr);
        assert!(
            refused.stderr.ends_with("nothing was changed\n"),
            "{}",
            refused.stderr
        );
    }
    let refused = apply(host.site(), &host.site().path("nowhere"), &[]).expect_code(1);
    assert!(
        refused.stderr.contains("cannot be read"),
        "{}",
        refused.stderr
    );
    assert!(rcpt(&host, "ben@acme.example").starts_with("250"));
    assert!(export(host.site(), "out").join("acme.toml").is_file());
}

/// As an installation makes it anew, or a disk that is not mounted leaves it.
#[test]
fn an_empty_directory_removes_no_tenant() {
    let site = Site::new().tenant("acme", ACME);
    let site = site.start().stop().site;
    fs::remove_file(site.path("tenants/acme.toml")).expect("it is there");
    let host = site.start();
    assert!(rcpt(&host, "ben@acme.example").starts_with("250"));
    assert!(
        host.reload()
            .expect_code(0)
            .stdout
            .ends_with(": 1 tenant\n")
    );
    let named = host.stop().site.key("tenants = \"tenants\"");
    let said = refused_start(&named);
    assert!(
        said.contains("no file here is a tenant's, and the store has tenants (1)"),
        "{said}"
    );
    let said = named.run("check").expect_code(1).stderr;
    assert!(said.contains("no file here is a tenant's"), "{said}");
    fs::write(named.path("tenants/acme.toml"), ACME).expect("the site can be written");
    let host = named.start();
    assert!(rcpt(&host, "ben@acme.example").starts_with("250"));
}

/// The same module is no news when it comes from another place.
#[test]
fn a_module_that_was_refused_at_the_start_does_not_keep_trees_out() {
    let site = Site::new()
        .tenant("acme", &format!("{ACME}{REFUSED_MODULE}"))
        .file("tenants/m.wasm", "no module");
    let host = site.start();
    let files = export(host.site(), "one");
    fs::remove_dir_all(host.site().path("tenants")).expect("the site can be written");
    host.reload().expect_code(0);
    let tree = host.site().path("one");
    let same = apply(host.site(), &tree, &[]).expect_code(0).stdout;
    assert!(same.starts_with("0 changes, in force after "), "{same}");
    fs::write(files.join("acme/m.wasm"), "no module again").expect("the site can be written");
    let refused = apply(host.site(), &tree, &[]).expect_code(1).stderr;
    assert!(refused.contains("acme.toml:"), "{refused}");
    assert!(refused.ends_with("nothing was changed\n"), "{refused}");
}

/// Settings that are nested just so deep that their file can be read, and that the tables
/// which the store writes of them cannot.
#[test]
fn what_the_next_start_would_not_take_is_not_applied() {
    let site = Site::new()
        .tenant("acme", &format!("{ACME}{REFUSED_MODULE}"))
        .file("tenants/m.wasm", "no module");
    let host = site.start();
    let files = export(host.site(), "one");
    fs::remove_dir_all(host.site().path("tenants")).expect("the site can be written");
    host.reload().expect_code(0);
    let tree = host.site().path("one");
    let own = fs::read_to_string(files.join("acme.toml")).expect("it is there");
    let settings = format!("{}1{}", "{ a = ".repeat(DEEP), " }".repeat(DEEP));
    let policy = format!(
        "\n[[policy]]\nname = \"deep\"\noption = \"module\"\nmodule = \"m\"\nsettings = {settings}\n"
    );
    fs::write(files.join("acme.toml"), format!("{own}{policy}")).expect("the site can be written");
    let refused = apply(host.site(), &tree, &[]).expect_code(1).stderr;
    assert!(refused.contains("tenant acme: not TOML: "), "{refused}");
    let host = host.stop().site.start();
    assert!(rcpt(&host, "ben@acme.example").starts_with("250"));
}

/// Levels of settings: the most that TOML in braces may have, as the reader of it says.
const DEEP: usize = 80;

#[test]
fn files_that_have_the_last_word_keep_it() {
    let site = Site::new().tenant("acme", ACME);
    let other = tree(&site, &[("bank", "domains = [\"bank.example\"]")]);
    let host = site.start();
    let refused = apply(host.site(), &other, &[]).expect_code(1);
    assert!(
        refused.stderr.contains("have the last word"),
        "{}",
        refused.stderr
    );
    assert!(rcpt(&host, "ben@acme.example").starts_with("250"));
}

#[test]
fn a_copy_is_made_beside_the_host_and_brought_back_without_it() {
    let site = Site::without_files();
    let one = tree(&site, &[("acme", ACME)]);
    let host = site.start();
    apply(host.site(), &one, &[]).expect_code(0);
    let copy = host.site().path("copy.db");
    let shown = copy.display().to_string();
    host.site().run_with("backup", &[&shown]).expect_code(0);
    let two = tree(host.site(), &[]);
    let done = apply(host.site(), &two, &[]).expect_code(0).stdout;
    assert!(done.starts_with("- tenant acme\n"), "{done}");
    let refused = host.site().run_with("restore", &[&shown]).expect_code(1);
    assert!(
        refused.stderr.contains("another host runs on it"),
        "{}",
        refused.stderr
    );
    assert!(rcpt(&host, "ben@acme.example").starts_with("550 5.7.1"));
    // Also after a crash, when the log of the old store is still beside it.
    let site = host.kill().site;
    let restored = site.run_with("restore", &[&shown]).expect_code(0).stdout;
    assert!(restored.contains("portcullis.db.replaced-"), "{restored}");
    let host = site.start();
    assert!(rcpt(&host, "ben@acme.example").starts_with("250"));
}

/// Changes one after the other, and a kill at any moment of them: what was said to be
/// done is there after it, and nothing half done.
#[test]
fn a_kill_in_the_middle_of_changes_loses_none_that_was_acknowledged() {
    const ROUNDS: u64 = 8;
    let site = Site::without_files();
    let mut number = 0;
    let mut host = site.start();
    for round in 0..ROUNDS {
        let directory = host.site().directory().to_owned();
        let first = number;
        let (tell, told) = mpsc::channel();
        let changing = thread::spawn(move || change_until_it_ends(&directory, first, &tell));
        told.recv().expect("the first change is acknowledged");
        // No two rounds end at the same point of a change.
        thread::sleep(Duration::from_millis(37 * round));
        let site = host.kill().site;
        let (acknowledged, begun) = changing.join().expect("it ends with the host");
        host = site.start();
        let found = found(host.site(), round);
        assert!(
            (acknowledged..=begun).contains(&found),
            "{found} is not within {acknowledged} to {begun}: {}",
            host.site().run_with("audit", &[]).stdout
        );
        number = found;
    }
    assert!(number >= ROUNDS, "there were changes: {number}");
}

/// Applies trees that are numbered on, until one is not acknowledged: the last that was,
/// and the last that was begun.
fn change_until_it_ends(
    directory: &Path,
    mut number: u64,
    acknowledgements: &mpsc::Sender<()>,
) -> (u64, u64) {
    let config = directory.join("portcullis.toml").display().to_string();
    let tree = directory.join("tree");
    let program = portcullis().display().to_string();
    fs::create_dir_all(tree.join("tenants")).expect("the site can be written");
    let mut acknowledged = number;
    loop {
        number += 1;
        for id in ["a", "b"] {
            let text = format!("domains = [\"{id}.example\"]\ncontact = \"change {number}\"");
            let path = tree.join(format!("tenants/{id}.toml"));
            fs::write(path, text).expect("the site can be written");
        }
        let tree = tree.display().to_string();
        let applied = tool::run(&program, &["apply", "--config", &config, &tree]);
        if applied.code != 0 {
            return (acknowledged, number);
        }
        acknowledged = number;
        // Nobody waits for any but the first.
        let _ = acknowledgements.send(());
    }
}

/// Which change the store has; the same for both tenants.
fn found(site: &Site, round: u64) -> u64 {
    let files = export(site, &format!("after-{round}"));
    let contact = |id: &str| {
        let text = fs::read_to_string(files.join(format!("{id}.toml"))).unwrap_or_default();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("contact = \"change "));
        line.map_or(0, |line| {
            line.trim_end_matches('"').parse().expect("a number")
        })
    };
    assert_eq!(contact("a"), contact("b"), "no half of a change");
    contact("a")
}

fn refused_start(site: &Site) -> String {
    site.run("serve").expect_code(1).stderr
}

#[test]
fn a_store_that_cannot_be_used_is_named_at_the_start() {
    let site = with_all_in_one_file(Site::new().tenant("acme", ACME));
    let db = site.path("data/portcullis.db");
    let mode = db.metadata().expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let sound = fs::read(&db).expect("it is there");
    let mut newer = sound.clone();
    let mut damaged = sound.clone();
    damaged[..100].fill(0);
    // The page of the schema: a damage that the header does not show.
    damaged_page(&mut newer);
    for bytes in [damaged, newer] {
        fs::write(&db, bytes).expect("the site can be written");
        let said = refused_start(&site);
        assert!(said.contains("portcullis.db: it is damaged"), "{said}");
        assert!(said.contains("portcullis restore"), "{said}");
    }
    fs::write(&db, sound).expect("the site can be written");
    let host = site.start();
    assert!(rcpt(&host, "ben@acme.example").starts_with("250"));
}

/// A disk that takes seconds when the host stops leaves part of the store in the log beside
/// it: the next stop brings that in.
fn with_all_in_one_file(mut site: Site) -> Site {
    for _ in 0..5 {
        site = site.start().stop().site;
        if !site.path("data/portcullis.db-wal").exists() {
            return site;
        }
    }
    unreachable!("no disk is so slow each time");
}

fn damaged_page(bytes: &mut [u8]) {
    bytes[100..4096].fill(0xa5);
}

/// Somebody has it open in a program of SQLite's own, or the like.
#[test]
fn a_store_that_is_locked_is_named_at_the_start() {
    let site = Site::new().tenant("acme", ACME);
    let site = site.start().stop().site;
    fs::remove_dir_all(site.path("tenants")).expect("the site can be written");
    let other = Locked::take(&site.path("data/portcullis.db"));
    let said = refused_start(&site);
    drop(other);
    assert!(said.contains("another program has it locked"), "{said}");
    site.start().stop();
}

/// What is shown is done, or nothing: a plan of which something has changed is refused.
#[test]
fn a_plan_is_done_as_it_was_shown_or_not_at_all() {
    let site = Site::without_files();
    let one = tree(&site, &[("acme", ACME)]);
    let host = site.start();
    apply(host.site(), &one, &["--yes"]).expect_code(0);
    let two = tree(
        host.site(),
        &[("acme", &ACME.replace("opportunistic", "enforced"))],
    );
    let ask = |more: serde_json::Value| {
        let mut body = serde_json::json!({ "directory": two });
        body.as_object_mut()
            .expect("one")
            .extend(more.as_object().cloned().expect("one"));
        over_socket(&host, "/v1/apply", &post(&body.to_string()))
    };
    let dry = serde_json::json!({ "dry_run": true });
    let shown = ask(dry.clone()).expect(200).json();
    assert_eq!(ask(dry.clone()).expect(200).json()["plan"], shown["plan"]);
    let plan = serde_json::json!({ "plan": shown["plan"] });
    // Somebody else changes something, and the tree would take that back.
    let list = "{\"entries\":[\"a.example\"]}";
    over_socket(&host, "/v1/tenants/acme/lists/new", &send("PUT", list)).expect(201);
    let stale = ask(plan.clone()).expect(412);
    assert!(stale.detail().contains("not what was shown"), "{stale:?}");
    over_socket(&host, "/v1/tenants/acme/lists/new", &[]).expect(200);
    // The files are others than they were.
    let shown = ask(dry.clone()).expect(200).json();
    tree(
        host.site(),
        &[("acme", &ACME.replace("opportunistic", "default"))],
    );
    ask(serde_json::json!({ "plan": shown["plan"] })).expect(412);
    let shown = ask(dry).expect(200).json();
    let done = ask(serde_json::json!({ "plan": shown["plan"] }))
        .expect(200)
        .json();
    assert_eq!(
        (&done["changes"], &done["plan"]),
        (&shown["changes"], &shown["plan"])
    );
    host.stop();
}

/// On a terminal it is asked, when the difference has been shown.
#[test]
fn whoever_sits_at_a_terminal_is_asked_before_a_tree_is_applied() {
    let site = Site::without_files();
    let one = tree(&site, &[("acme", ACME)]);
    let host = site.start();
    let config = host.site().path("portcullis.toml").display().to_string();
    let command = format!(
        "{} apply --config {config} {}",
        portcullis().display(),
        one.display()
    );
    let answer = |said: &str| {
        let words = ["-qec", &command, "/dev/null"];
        tool::run_with_input("script", &words, said.as_bytes())
    };
    let no = answer("\n").expect_code(1).stdout.replace('\r', "");
    let asked = no.find("make 1 change? [y/N]").expect("it is asked");
    assert!(
        no.find("+ tenant acme").is_some_and(|shown| shown < asked),
        "{no}"
    );
    assert!(no.contains("nothing was changed, as you have said"), "{no}");
    assert!(rcpt(&host, "ben@acme.example").starts_with("550"));
    let yes = answer("y\n").expect_code(0).stdout;
    assert!(yes.contains("1 change, in force after "), "{yes}");
    assert!(rcpt(&host, "ben@acme.example").starts_with("250"));
    // Where there is nothing to change there is nothing to ask.
    let same = answer("").expect_code(0).stdout;
    assert!(
        same.contains("0 changes, in force") && !same.contains("[y/N]"),
        "{same}"
    );
    host.stop();
}

/// Mounted for reading only, as root may write whatever its mode is.
#[test]
fn a_store_that_cannot_be_written_is_named_at_the_start() {
    let site = Site::new().tenant("acme", ACME);
    let site = site.start().stop().site;
    fs::remove_dir_all(site.path("tenants")).expect("the site can be written");
    let db = site.path("data/portcullis.db").display().to_string();
    let config = site.write().display().to_string();
    let program = portcullis().display().to_string();
    let script = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";
    let mut arguments = vec!["--mount"];
    if !rustix::process::geteuid().is_root() {
        arguments.extend(["--user", "--map-root-user"]);
    }
    arguments.extend([
        "sh", "-c", script, &db, &program, "serve", "--config", &config,
    ]);
    let said = tool::run("unshare", &arguments).expect_code(1).stderr;
    assert!(
        said.contains("portcullis.db: it cannot be written"),
        "{said}"
    );
}

/// A list that does not fit on the disk.
#[test]
fn a_store_that_is_full_changes_nothing_and_goes_on() {
    let site = Site::without_files();
    let small = tree(&site, &[("acme", ACME)]);
    let host = site.start_on_a_small_disk(2);
    apply_inside(&host, &small).expect_code(0);
    let entries: String = (0..90_000)
        .map(|n| format!("\"a-partner-of-a-long-name-{n}.example\",\n"))
        .collect();
    let large = format!("{ACME}[lists.partners]\nentries = [{entries}]\n");
    let large = tree(host.site(), &[("acme", &large)]);
    let refused = apply_inside(&host, &large).expect_code(1);
    assert!(
        refused.stderr.contains("the disk is full"),
        "{}",
        refused.stderr
    );
    assert!(rcpt(&host, "ben@acme.example").starts_with("250"));
    let enforced = ACME.replace("opportunistic", "enforced");
    let small = tree(host.site(), &[("acme", &enforced)]);
    apply_inside(&host, &small).expect_code(0);
    assert!(rcpt(&host, "ben@acme.example").starts_with("530"));
}

/// With its data on a disk that is full at a start, and has room later.
#[test]
fn files_are_in_force_where_the_store_has_no_room() {
    let site = Site::new()
        .settings("[metrics]\naddress = \"127.0.0.1:0\"")
        .tenant("acme", ACME);
    let site = site.start().stop().site;
    let enforced = ACME.replace("opportunistic", "enforced");
    fs::write(site.path("tenants/acme.toml"), enforced).expect("the site can be written");
    let full = on_a_full_disk(&site);
    let full: Vec<&str> = full.iter().map(String::as_str).collect();
    let host = site.start_under(&full);
    let behind = |host: &Host| super::metrics::scrape(host)["store_behind"];
    assert!(rcpt(&host, "ben@acme.example").starts_with("530"));
    assert!(behind(&host) > 0.0);
    let file = host.site().path("tenants/acme.toml");
    fs::write(file, ACME).expect("the site can be written");
    let bank = host.site().path("tenants/bank.toml");
    fs::write(bank, "domains = [\"bank.example\"]").expect("the site can be written");
    run_inside(&host, "reload", &[]).expect_code(0);
    assert!(rcpt(&host, "ben@acme.example").starts_with("250"));
    assert!(behind(&host) > 0.0);
    fs::remove_file(host.inside("data/full")).expect("it is there");
    run_inside(&host, "reload", &[]).expect_code(0);
    assert!(behind(&host) < 1.0);
    let audit = run_inside(&host, "audit", &[]).expect_code(0).stdout;
    assert!(
        audit.ends_with(" files + tenant bank: domains\n"),
        "{audit}"
    );
    let log = host.stop().log;
    let line = "the store could not be made equal to the files, which are in force";
    assert_eq!(log.matches(line).count(), 2, "{log}");
    assert!(log.contains("portcullis.db: the disk is full"), "{log}");
}

/// Where the store has the last word there is no host without it, and it is said why.
#[test]
fn a_store_without_room_at_the_start_is_named() {
    let site = Site::new().tenant("acme", ACME);
    let site = site.start().stop().site;
    fs::remove_dir_all(site.path("tenants")).expect("the site can be written");
    let config = site.write().display().to_string();
    let program = portcullis().display().to_string();
    let full = on_a_full_disk(&site);
    let mut arguments: Vec<&str> = full[1..].iter().map(String::as_str).collect();
    arguments.extend([&program, "serve", "--config", &config]);
    let said = tool::run(&full[0], &arguments).expect_code(1).stderr;
    assert!(
        said.contains("portcullis.db: the disk is full: make room"),
        "{said}"
    );
    // With room it is as it was.
    let host = site.start();
    assert!(rcpt(&host, "ben@acme.example").starts_with("250"));
    host.stop();
}

/// What runs a command with the data on a disk on which no octet is free: `data/full` is what
/// fills it.
fn on_a_full_disk(site: &Site) -> Vec<String> {
    let data = site.path("data").display().to_string();
    let script = "cp -a \"$0\" \"$0.was\" && \
                  mount -t tmpfs -o size=4m,mode=700 tmpfs \"$0\" && \
                  cp -a \"$0.was/.\" \"$0\" && \
                  ! cat /dev/zero >\"$0/full\" 2>/dev/null && exec \"$@\"";
    let mut words = vec!["unshare", "--mount", "--fork", "--kill-child"];
    if !rustix::process::geteuid().is_root() {
        words.extend(["--user", "--map-root-user"]);
    }
    words.extend(["sh", "-c", script, &data]);
    words.into_iter().map(str::to_owned).collect()
}

fn apply_inside(host: &Host, tree: &Path) -> Ran {
    run_inside(host, "apply", &[&tree.display().to_string()])
}

/// A subcommand where the host's disk is to be seen.
fn run_inside(host: &Host, subcommand: &str, more: &[&str]) -> Ran {
    let pid = host.pid().to_string();
    let mut arguments = vec!["--target", &pid, "--mount"];
    if !rustix::process::geteuid().is_root() {
        arguments.extend(["--user", "--preserve-credentials"]);
    }
    let program = portcullis().display().to_string();
    let config = host.site().path("portcullis.toml").display().to_string();
    arguments.extend([&program, subcommand, "--config", &config]);
    arguments.extend(more);
    tool::run("nsenter", &arguments)
}
