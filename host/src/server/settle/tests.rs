use std::path::Path;

use super::*;

const RUNNING: &str = r#"
hostname = "mx.example"
data_dir = "/var/lib/portcullis"

[[listener]]
name = "smtp"
address = "127.0.0.1:2525"

[[listener]]
name = "inside"
address = "127.0.0.1:2526"
private = true
"#;

/// Nothing is read but the text: the directory of tenants is not there.
fn parse(text: &str) -> Config {
    let file = Path::new("/nowhere/portcullis.toml");
    Config::parse(file, text).expect("no fault")
}

/// What waits when these replacements are made, and the configuration then in force.
fn changed(changes: &[(&str, &str)]) -> Settled {
    let mut text = RUNNING.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    settle(parse(&text), &parse(RUNNING))
}

/// What waits when this is added.
fn added(more: &str) -> Settled {
    settle(parse(&format!("{RUNNING}\n{more}")), &parse(RUNNING))
}

#[test]
fn what_waits_is_named_and_keeps_its_value() {
    let running = format!("{:?}", parse(RUNNING));
    for (settled, waiting) in [
        (changed(&[]), &[][..]),
        (
            changed(&[("mx.example", "mx2.example")]),
            &["hostname", "postmaster"],
        ),
        (
            changed(&[("/lib/", "/other/")]),
            &["data_dir", "delivery.maildirs"],
        ),
        (changed(&[("2526", "2527")]), &["listener"]),
        (changed(&[("inside", "outside")]), &["listener"]),
        (added("[limits]\nsessions = 7"), &["limits.sessions"]),
        (
            added("[limits]\ncontent_memory = 2_000_000"),
            &["limits.content_memory"],
        ),
        (
            added("[engine]\nfuel = 20_000\ninstances = 3\nmemory = 2_097_152"),
            &["engine.fuel", "engine.memory", "engine.instances"],
        ),
        (
            added("[engine]\ndeadline_ms = 20\nwait_ms = 3\nmodule_size = 70_000"),
            &["engine.deadline_ms", "engine.wait_ms", "engine.module_size"],
        ),
        (
            added("[engine]\ncompile_time_s = 20\ncompile_memory = 600_000_000"),
            &["engine.compile_time_s", "engine.compile_memory"],
        ),
        (added("[receipts]\nkeep_days = 3"), &["receipts.keep_days"]),
        (
            added("[metrics]\naddress = \"127.0.0.1:9925\""),
            &["metrics.address"],
        ),
        (
            added("[dns]\nreverse_names = true\nservers = [\"127.0.0.1\"]"),
            &["dns"],
        ),
        (
            added("[limits]\nclient_sessions = 3\nnetwork_sessions = 4\nexempt = []"),
            &[
                "limits.client_sessions",
                "limits.network_sessions",
                "limits.exempt",
            ],
        ),
        (
            added("[limits]\nclient_session_rate = 3\nclient_handshake_rate = 4"),
            &["limits.client_session_rate", "limits.client_handshake_rate"],
        ),
        (added("[log]\nformat = \"json\""), &["log.format"]),
        (
            added("[process]\nuser = \"nobody\"\ngroup = \"nogroup\""),
            &["process.user", "process.group"],
        ),
    ] {
        assert_eq!(settled.waiting, waiting);
        // Positions may differ, for lines do; these have the same lines.
        assert_eq!(format!("{:?}", settled.config), running, "{waiting:?}");
    }
}

#[test]
fn what_is_taken_does_not_wait() {
    let taken = changed(&[("private = true", "private = true\nrequire_tls = true")]);
    assert_eq!(taken.waiting, [""; 0]);
    assert!(taken.config.listeners[1].require_tls);
    let taken = added(
        "[limits]\nmessage_size = 70_000\nerrors = 3\ncommand_timeout_s = 7\n\
         [delivery]\nmaildirs = \"/srv/mail\"\n[log]\nlevel = \"debug\"",
    );
    assert_eq!(taken.waiting, [""; 0]);
    assert_eq!(taken.config.limits.message_size, 70_000);
    assert_eq!(taken.config.maildirs, Path::new("/srv/mail"));
}

#[test]
fn listeners_may_change_places_in_the_file() {
    let mut swapped = parse(RUNNING);
    swapped.listeners.reverse();
    assert_eq!(settle(swapped, &parse(RUNNING)).waiting, [""; 0]);
}

/// All listeners of the new file are private, and the one that still runs is not.
#[test]
fn half_a_change_never_enforces_in_public() {
    let settled = changed(&[
        ("127.0.0.1:2525\"", "127.0.0.1:2530\"\nprivate = true"),
        (
            "data_dir",
            "defaults = { decision = \"enforced\" }\ndata_dir",
        ),
    ]);
    assert_eq!(settled.waiting, ["listener", "defaults.decision"]);
    assert_eq!(settled.config.default, Resolved::Opportunistic);
}
