//! `portcullis check`: every fault at once, and the same that `serve` refuses.

use std::thread;
use std::time::{Duration, Instant};

use portcullis_tests::certificate::{Authority, Identity};
use portcullis_tests::client::{Client, Tls};
use portcullis_tests::site::Site;

/// Longest wait for files to be looked at.
const PATIENCE: Duration = Duration::from_secs(30);

const FAULTS: &str = r#"portcullis.toml:11: limits.message_size: 12 is not within 65536 to 1073741824
portcullis.toml:12: limits.recipent: unknown key; did you mean "recipients"?
tenants/acme.toml:1: domains[1]: "not a domain" is not a domain name
tenants/acme.toml:3: defaults.decision: "enforce" is none of "opportunistic", "enforced"; did you mean "enforced"?
tenants/acme.toml:7: policy[0].module: there is no module "partner-list"
tenants/bank.toml:1: domains[0]: acme.example is taken already, at tenants/acme.toml:1: domains[0]
tenants/bank.toml:3: trust.anchors[0]: "tenants/../missing.pem" cannot be read: No such file or directory (os error 2)
tenants/bank.toml:7: policy[0].require.tls: "1.4" is none of "1.2", "1.3"; did you mean "1.2"?
portcullis: 8 faults
"#;

/// Two of them are in one table.
#[test]
fn eight_faults_in_three_files_are_shown_at_once() {
    let site = Site::new()
        .settings("[limits]\nmessage_size = 12\nrecipent = 100")
        .tenant(
            "acme",
            "domains = [\"acme.example\", \"not a domain\"]\n\
             [defaults]\ndecision = \"enforce\"\n\
             [[policy]]\nname = \"partners\"\noption = \"module\"\nmodule = \"partner-list\"\n",
        )
        .tenant(
            "bank",
            "domains = [\"acme.example\"]\n\
             [trust]\nanchors = [\"../missing.pem\"]\n\
             [[policy]]\nname = \"all\"\noption = \"enforced\"\nrequire = { tls = \"1.4\" }\n",
        );
    let root = format!("{}/", site.directory().display());
    for subcommand in ["check", "serve"] {
        let ran = site.run(subcommand).expect_code(1);
        assert_eq!(ran.stderr.replace(&root, ""), FAULTS, "{subcommand}");
        assert_eq!(ran.stdout, "", "{subcommand}");
    }
}

/// A module that is refused stops its own policies, and not the host.
#[test]
fn a_refused_module_has_its_place_and_stops_nobody_else() {
    let site = Site::new().file("policy.wasm", "not a module").tenant(
        "acme",
        "domains = [\"acme.example\"]\n[[module]]\nname = \"broken\"\npath = \"../policy.wasm\"\n\
         [[policy]]\nname = \"all\"\noption = \"module\"\nmodule = \"broken\"\n",
    );
    let place = "tenants/acme.toml:4: module[0].path: this is not WebAssembly";
    let ran = site.run("check").expect_code(1);
    assert!(ran.stderr.contains(place), "{}", ran.stderr);
    let log = site.start().stop().log;
    assert!(log.contains(place), "{log}");
}

#[test]
fn a_sound_configuration_is_ok() {
    let site = Site::new()
        .key("postmaster = \"pam@acme.example\"")
        .tenant("acme", "domains = [\"acme.example\"]");
    let ran = site.run("check").expect_code(0);
    assert_eq!(ran.stdout, "ok: 1 listener, 1 tenant\n");
    assert_eq!(ran.stderr, "");
}

/// It is of use to clients that do not look at it, so the host starts.
#[test]
fn a_certificate_that_has_ended_is_told_of() {
    let site = Site::new().settings("[[tls.certificate]]\nchain = \"mx.pem\"\nkey = \"mx.key\"");
    Authority::new("Public CA")
        .issue_expired(&["mx.host.example"])
        .write(site.directory(), "mx");
    let ran = site.run("check").expect_code(0);
    let told = "its certificate ended at 2020-01-01T00:00:00Z: renew it\n";
    assert!(ran.stderr.starts_with("warning: "), "{}", ran.stderr);
    assert!(ran.stderr.ends_with(told), "{}", ran.stderr);
    let host = site.start();
    let shown = || {
        let client = Client::starttls(host.address("smtp"), &Tls::tls13());
        client.host_certificate().to_vec()
    };
    let ended = shown();
    Identity::self_signed(&["mx.host.example"]).write(host.site().directory(), "mx");
    let begun = Instant::now();
    while shown() == ended && begun.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(50));
    }
    assert_ne!(shown(), ended, "it was renewed");
    let told = "a certificate of the host has ended: renew it";
    let log = host.stop().log;
    assert_eq!(log.matches(told).count(), 1, "{log}");
    assert!(log.contains("name=\"mx.host.example\""), "{log}");
}

#[test]
fn no_configuration_at_all() {
    let site = Site::new();
    let missing = site.path("elsewhere.toml").display().to_string();
    let program = portcullis_tests::program::portcullis()
        .display()
        .to_string();
    let ran =
        portcullis_tests::tool::run(&program, &["check", "--config", &missing]).expect_code(1);
    assert!(ran.stderr.starts_with(&missing), "{}", ran.stderr);
}
