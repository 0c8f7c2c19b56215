//! A host that asks to come back later.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use portcullis_tests::tool;
use rustix::process::{Pid, Signal, kill_process};

use super::changes::managed;
use super::{as_owner, token, url, with_token};

/// Changes that fail, many more than a tenant may make: each status on a line.
const FLOOD: &str = "/v1/tenants/acme/policies/p[1-20000]";

/// The rate of a tenant's changes is used up by somebody else meanwhile.
#[test]
fn a_change_waits_where_the_tenant_has_made_too_many() {
    let host = managed();
    host.write("acme.toml", "domains = [\"acme.example\"]\n");
    let file = host.site().path("acme.toml").display().to_string();
    as_owner(&host, &["tenant", "set", "acme", &file]).expect_code(0);
    let admin = token(&host, "admin");
    host.write("a.list", "a.example\n");
    let list = host.site().path("a.list").display().to_string();
    with_token(&host, &admin, &["list", "set", "partners", &list]).expect_code(0);
    let field = format!("Authorization: Bearer {admin}");
    let target = format!("{}{FLOOD}", url(&host));
    let flood = [
        "-sS",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}\n",
        "-X",
        "PUT",
    ];
    let flood = [&flood[..], &["-H", &field, &target]].concat();
    let mut flood = tool::spawn("curl", &flood, Stdio::null());
    let mut codes = BufReader::new(flood.stdout.take().expect("it is piped")).lines();
    let mut until_refused = || codes.any(|code| code.is_ok_and(|code| code == "429"));
    assert!(until_refused(), "nothing is one too many");
    // One may still slip in where a place has just become free.
    let add = ["list", "add", "partners", "b.example"];
    let waited = (0..20).any(|_| {
        let ran = with_token(&host, &admin, &add).expect_code(0);
        let waits = ran
            .stderr
            .contains("; try again in 1 s: waiting until then\n");
        assert!(waits || ran.stderr.is_empty(), "{}", ran.stderr);
        waits
    });
    assert!(waited, "nobody had to wait");
    let entries = ["list", "entries", "partners"];
    let entries = with_token(&host, &admin, &entries).expect_code(0).stdout;
    assert!(entries.ends_with("\na.example\nb.example\n"), "{entries}");
    // `timeout` hands this on to what it runs.
    let pid = Pid::from_child(&flood);
    kill_process(pid, Signal::TERM).expect("nobody has waited for it yet");
    flood.wait().expect("a child can be waited for");
    host.stop();
}
