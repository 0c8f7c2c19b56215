//! Changes while something large is loaded: nobody waits for another's modules, and nobody's
//! change is lost.

use std::fs;
use std::thread;

use portcullis_tests::api::{ADDRESS, Answer, over_socket, post, resend};
use portcullis_tests::certificate::Identity;
use portcullis_tests::client::{Client, Tls};
use portcullis_tests::held::HeldWorker;
use portcullis_tests::site::{Host, Site};
use serde_json::json;

use super::{put, rcpt};
use crate::engine::slow_to_optimise;

const BANK: &str = "domains = [\"bank.example\"]\n";

/// A tenant with this module, which stands beside the tree.
fn asking(id: &str, module: &str) -> String {
    format!(
        "domains = [\"{id}.example\"]\n[[module]]\nname = \"m\"\npath = \"../../{module}\"\n\
         [[policy]]\nname = \"all\"\noption = \"module\"\nmodule = \"m\"\n"
    )
}

/// Makes the tenants these, whatever that changes: of a plan that was seen, as
/// `portcullis apply` has it, nobody changes anything meanwhile.
fn apply(host: &Host, tenants: &[(&str, &str)]) -> Answer {
    let tree = host.site().path("tree");
    let _ = fs::remove_dir_all(&tree);
    let directory = tree.join("tenants");
    fs::create_dir_all(&directory).expect("the site can be written");
    for (id, text) in tenants {
        let path = directory.join(format!("{id}.toml"));
        fs::write(path, text).expect("the site can be written");
    }
    let tree = json!({ "directory": tree }).to_string();
    over_socket(host, "/v1/apply", &post(&tree))
}

/// What comes of making the tenants these, where this is done while a module of theirs is
/// compiled.
fn apply_while(host: &Host, tenants: &[(&str, &str)], done: impl FnOnce()) -> Answer {
    thread::scope(|scope| {
        let applying = scope.spawn(|| apply(host, tenants));
        let worker = HeldWorker::of(host);
        done();
        assert!(!applying.is_finished(), "it waits for its module");
        worker.go_on();
        applying.join().expect("it ends")
    })
}

#[test]
fn a_change_waits_for_no_tree_and_neither_is_lost() {
    let host = Site::without_files()
        .file("slow.wasm", slow_to_optimise(3))
        .file("slower.wasm", slow_to_optimise(2))
        .start();
    apply(&host, &[("bank", BANK)]).expect(200);
    let slow = asking("slow", "slow.wasm");
    let applied = apply_while(&host, &[("bank", BANK), ("slow", &slow)], || {
        let policy = json!({ "option": "enforced" });
        put(&host, "/v1/tenants/bank/policies/all", &policy).expect(201);
        let reply = rcpt(&host, "amy@partner.example", "ben@bank.example");
        assert!(reply.starts_with("530"), "{reply}");
        let tenant = json!({ "domains": ["new.example"] });
        put(&host, "/v1/tenants/new", &tenant).expect(201);
    });
    let said = applied.expect(200).body;
    assert!(said.contains("+ tenant slow"), "{said}");
    for (recipient, expected) in [
        ("ben@bank.example", "530"),
        ("ann@new.example", "250"),
        ("bob@slow.example", "250"),
    ] {
        let reply = rcpt(&host, "amy@partner.example", recipient);
        assert!(reply.starts_with(expected), "{recipient}: {reply}");
    }
    // What the tree would change and somebody else has changed is looked at again first.
    let slower = asking("slow", "slower.wasm");
    let changed = format!("contact = \"the tree\"\n{BANK}");
    let refused = apply_while(&host, &[("bank", &changed), ("slow", &slower)], || {
        let own = json!({ "contact": "somebody" }).to_string();
        over_socket(&host, "/v1/tenants/bank/own", &resend("PUT", &own)).expect(200);
    });
    let said = refused.expect(409).body;
    assert!(said.contains("tenant bank"), "{said}");
    let bank = over_socket(&host, "/v1/tenants/bank", &[])
        .expect(200)
        .json();
    assert_eq!(bank["own"]["contact"], "somebody");
    let reply = rcpt(&host, "amy@partner.example", "ben@bank.example");
    assert!(reply.contains("somebody"), "{reply}");
    host.stop();
}

#[test]
fn certificates_wait_for_no_reload() {
    let first = Identity::self_signed(&["mx.host.example"]);
    let site = Site::new()
        .settings("[metrics]\naddress = \"127.0.0.1:0\"")
        .settings("[[tls.certificate]]\nchain = \"mx.pem\"\nkey = \"mx.key\"")
        .tenant("bank", BANK)
        .file("slow.wasm", slow_to_optimise(3));
    first.write(site.directory(), "mx");
    let host = site.start();
    let tenant = asking("slow", "slow.wasm").replace("../../", "../");
    host.write("tenants/slow.toml", tenant);
    let second = Identity::self_signed(&["mx.host.example"]);
    let reloaded = thread::scope(|scope| {
        let reloading = scope.spawn(|| host.reload());
        let worker = HeldWorker::of(&host);
        second.write(host.site().directory(), "mx");
        host.wait_for_metric("reloads_total{what=certificates,result=done}", 1.0);
        let shown = Client::starttls(host.address("smtp"), &Tls::tls13());
        assert_eq!(shown.host_certificate(), second.der());
        shown.quit();
        assert!(!reloading.is_finished(), "it waits for its module");
        worker.go_on();
        reloading.join().expect("it ends")
    });
    reloaded.expect_code(0);
    let reply = rcpt(&host, "amy@partner.example", "bob@slow.example");
    assert!(reply.starts_with("250"), "{reply}");
    let shown = Client::starttls(host.address("smtp"), &Tls::tls13());
    assert_eq!(shown.host_certificate(), second.der());
    shown.quit();
    host.stop();
}

/// A reload reads what is in the store, and somebody writes there at the same time.
#[test]
fn reloads_lose_no_change() {
    const CHANGES: usize = 40;
    let host = Site::without_files().settings(ADDRESS).start();
    apply(&host, &[("bank", BANK)]).expect(200);
    let path = "/v1/tenants/bank/policies/all";
    put(&host, path, &json!({ "option": "enforced" })).expect(201);
    thread::scope(|scope| {
        let changing = scope.spawn(|| {
            for number in 0..CHANGES {
                let policy = json!({ "option": "enforced", "contact": format!("it is {number}") });
                let policy = policy.to_string();
                // What was loaded for the host as it was before a reload is refused.
                while over_socket(&host, path, &resend("PUT", &policy)).code == 409 {}
                let reply = rcpt(&host, "amy@partner.example", "ben@bank.example");
                assert!(reply.contains(&format!("it is {number} [")), "{reply}");
            }
        });
        while !changing.is_finished() {
            host.reload().expect_code(0);
        }
        changing.join().expect("every change is in force");
    });
    let reply = rcpt(&host, "amy@partner.example", "ben@bank.example");
    assert!(
        reply.contains(&format!("it is {} [", CHANGES - 1)),
        "{reply}"
    );
    host.stop();
}
