//! The mail of yesterday, asked of a module that is not in force.

use std::fs;

use portcullis_tests::api::refusal;
use portcullis_tests::site::Site;

use super::{command, partner_list};
use crate::engine::guest::guest;

const ACME: &str = "domains = [\"acme.example\"]\n\
    [[module]]\nname = \"partner-list\"\npath = \"../list.wasm\"\n\
    [lists.routes]\nentries = { \"sender.example\" = \"trusted\" }\n\
    [[policy]]\nname = \"asked\"\noption = \"module\"\nmodule = \"partner-list\"\n\
    settings = { list = \"routes\" }\n";

/// From the files of this machine, and from the host that runs.
#[test]
fn a_receipt_is_asked_again_with_its_settings_and_lists() {
    let wasm = fs::read(partner_list()).expect("it was built");
    let host = Site::new()
        .file("list.wasm", wasm)
        .tenant("acme", ACME)
        .start();
    let id = refusal(&host, "ann@acme.example");
    let module = partner_list().display().to_string();
    let config = host.site().path("portcullis.toml").display().to_string();
    let socket = host.site().path("data/admin.sock").display().to_string();
    let here = ["--config", config.as_str()];
    let there = ["--socket", socket.as_str()];
    for place in [here, there] {
        let arguments = [&["run", &module, "--receipt", &id][..], &place].concat();
        let ran = command(&arguments).expect_code(0);
        for said in [
            "decision   enforced\n",
            "requires   certificate-trusted\n",
            "asked     list routes: \"sender.example\"  \"trusted\"\n",
        ] {
            assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
        }
        assert_eq!(ran.stderr, "", "{place:?}");
        // Settings may be others.
        let other = host.site().path("settings.json");
        fs::write(&other, "{\"list\": \"nobody\"}").expect("a file");
        let other = other.display().to_string();
        let ran = command(&[&arguments[..], &["--settings", &other]].concat()).expect_code(1);
        assert!(ran.stdout.contains("the list \"nobody\""), "{}", ran.stdout);
    }
    // A list that is another by now is said to be.
    let changed = ACME.replace("\"trusted\"", "\"tls\"");
    host.write("tenants/acme.toml", changed);
    command(&["reload", "--config", &config]).expect_code(0);
    for place in [here, there] {
        let arguments = [&["run", &module, "--receipt", &id][..], &place].concat();
        let ran = command(&arguments).expect_code(0);
        assert_eq!(
            ran.stderr,
            "note: the list routes is not what it was then\n"
        );
        assert!(!ran.stdout.contains("requires"), "{}", ran.stdout);
    }
    let unknown = ["run", &module, "--receipt", "01KJM3AAAAAAAAAAAAAAAAAAAA"];
    command(&[&unknown[..], &here].concat()).expect_code(1);
    command(&[&unknown[..], &there].concat()).expect_code(4);
    host.stop();
}

/// A constant has no settings that a module could be given.
#[test]
fn a_receipt_that_no_module_decided_has_facts_alone() {
    let policy =
        "domains = [\"acme.example\"]\n[[policy]]\nname = \"all\"\noption = \"enforced\"\n";
    let host = Site::new().tenant("acme", policy).start();
    let id = refusal(&host, "ann@acme.example");
    let relay = refusal(&host, "ann@elsewhere.example");
    let config = host.site().path("portcullis.toml").display().to_string();
    let module = host.site().path("guest.wasm");
    fs::write(&module, guest("")).expect("a file");
    let module = module.display().to_string();
    let ask = |id: &str| command(&["run", &module, "--receipt", id, "--config", &config]);
    let ran = ask(&id).expect_code(0);
    let note =
        "note: no module decided it then: the module is given none, unless --settings has them\n";
    assert_eq!(ran.stderr, note);
    let ran = ask(&relay).expect_code(1);
    assert!(ran.stderr.contains("no policy was asked"), "{}", ran.stderr);
    host.stop();
}
