//! A start with more modules than are compiled before it serves: it is ready at once, mail
//! has the module that it needs, all are compiled in the end, and one that is refused is its
//! tenant's trouble alone.

use std::fs;

use portcullis::digest::Digest;
use portcullis_tests::api::over_socket;
use portcullis_tests::client::Client;
use portcullis_tests::program::stock_policy;
use portcullis_tests::site::{Host, Site};
use serde_json::Value;

use crate::engine::{guest::guest, small_bomb};

/// As many as a start compiles before it serves.
const FIRST: usize = 32;

/// Those beyond, which are sound.
const MORE: usize = 6;

/// A module that decides like any other, and is not the same.
fn sound(number: usize) -> Vec<u8> {
    guest(&format!("(global $mark i32 (i32.const {number}))"))
}

fn asking(id: &str) -> String {
    format!(
        "domains = [\"{id}.example\"]\n[[module]]\nname = \"m\"\npath = \"../{id}.wasm\"\n\
         [[policy]]\nname = \"all\"\noption = \"module\"\nmodule = \"m\"\nsettings = {{ a = 1 }}\n"
    )
}

/// Tenants by id: as many as are compiled first, one whose two modules take long and are
/// refused, and some more.
fn site() -> Site {
    let bomb = ("b".to_owned(), small_bomb());
    let first = (0..FIRST).map(|number| (format!("a{number:02}"), sound(number)));
    let more = (0..MORE).map(|number| (format!("c{number}"), sound(100 + number)));
    let site = Site::new()
        .settings("[metrics]\naddress = \"127.0.0.1:0\"")
        .settings("[engine]\ncompile_time_s = 1");
    let all = first.chain([bomb]).chain(more);
    let site = all.fold(site, |site, (id, module)| {
        site.file(&format!("{id}.wasm"), module)
            .tenant(&id, &asking(&id))
    });
    // The same with a custom section behind.
    let another = [small_bomb(), vec![0, 2, 1, b'x']].concat();
    let more = "[[module]]\nname = \"n\"\npath = \"../b-n.wasm\"\n";
    site.file("b-n.wasm", another)
        .tenant("b", &format!("{}{more}", asking("b")))
}

fn rcpt(host: &Host, tenant: &str) -> String {
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect("MAIL FROM:<amy@sender.example>", "250");
    let reply = client.say(&format!("RCPT TO:<ben@{tenant}.example>"));
    client.quit();
    reply
}

fn running(host: &Host, tenant: &str) -> Value {
    let path = format!("/v1/tenants/{tenant}/running");
    over_socket(host, &path, &[]).expect(200).json()
}

/// What there is to be seen while modules are compiled, and when they are.
fn is_served(host: &Host) {
    assert!(host.metric("engine_modules_pending") > 0.0);
    let node = over_socket(host, "/v1/node", &[]).expect(200).json();
    assert!(node["modules_pending"].as_u64() > Some(0), "{node}");
    assert_eq!(running(host, "b")["modules"][1]["state"], "pending");
    assert_eq!(running(host, "a00")["modules"][0]["state"], "ready");
    // The last of all is there when it is needed.
    let last = format!("c{}", MORE - 1);
    let reply = rcpt(host, &last);
    assert!(reply.starts_with("250"), "{reply}");
    assert_eq!(running(host, &last)["modules"][0]["state"], "ready");
    // What is loaded anew meanwhile leaves the others their modules.
    assert!(host.metric("engine_modules_pending") > 0.0, "it takes long");
    host.reload().expect_code(0);
    host.wait_for_metric("engine_modules_pending", 0.0);
    let compiled = host.metric("compiles_total{result=done}");
    assert_eq!(compiled, (FIRST + MORE) as f64, "each once");
    assert_eq!(host.metric("compiles_total{result=refused}"), 2.0);
    for number in 0..MORE {
        let tenant = format!("c{number}");
        let running = running(host, &tenant);
        let module = &running["modules"][0];
        assert_eq!(module["state"], "ready", "{tenant}");
        assert_eq!(
            module["digest"],
            Digest::of(&sound(100 + number)).to_string()
        );
    }
    // They are no modules, and no mail of its tenant is accepted undecided.
    assert_eq!(running(host, "b")["modules"], Value::Array(Vec::new()));
    let reply = rcpt(host, "b");
    assert!(reply.starts_with("451 4.3.0"), "{reply}");
}

/// What became of it, and that it was told.
fn was_told(site: &Site, log: &str) {
    let last = format!("c{}", MORE - 1);
    let receipts = site.receipts();
    let of = |tenant: &str| {
        let recipient = format!("ben@{tenant}.example");
        let mut all = receipts.iter().rev();
        let found = all.find(|receipt| receipt["verdict"]["facts"]["recipient"] == *recipient);
        found.expect("a receipt")["verdict"].clone()
    };
    let decided = of(&last);
    let module = Digest::of(&sound(100 + MORE - 1)).to_string();
    assert_eq!(decided["policy"]["module"]["digest"], module);
    assert!(
        decided["failure"].is_null() && decided["fuel"].as_u64() > Some(0),
        "{decided:#}"
    );
    let failed = of("b");
    assert_eq!(failed["failure"]["code"], "host", "{failed:#}");
    let refused = "a module is not loaded, and every policy that asks it fails";
    let line = log.lines().find(|line| line.contains(refused));
    let line = line.unwrap_or_else(|| unreachable!("nobody is told: {log}"));
    assert!(line.contains("even without optimisation"), "{line}");
    for told in [
        "modules are compiled while the host serves",
        "all modules are compiled that were not at the start",
    ] {
        assert_eq!(log.matches(told).count(), 1, "{told}: {log}");
    }
}

#[test]
fn a_start_with_many_modules_serves_at_once() {
    // Of files, which the store has not got yet.
    let host = site().start();
    is_served(&host);
    // What was refused before keeps nobody from loading anew.
    host.write(
        "tenants/c0.toml",
        format!("contact = \"call us\"\n{}", asking("c0")),
    );
    host.reload().expect_code(0);
    assert_eq!(host.metric("engine_modules_pending"), 0.0);
    let ended = host.stop();
    was_told(&ended.site, &ended.log);

    // Of the store, with a cache that is lost.
    let site = ended.site;
    fs::remove_dir_all(site.path("tenants")).expect("it is there");
    fs::remove_dir_all(site.path("data/modules")).expect("it is there");
    let host = site.start();
    is_served(&host);
    let ended = host.stop();
    was_told(&ended.site, &ended.log);

    // And with one that is not: but for the one that is refused there is nothing to compile.
    let host = ended.site.start();
    assert_eq!(host.metric("engine_modules_pending"), 0.0);
    assert_eq!(host.metric("compiles_total{result=done}"), 0.0);
    host.stop();
}

/// A host that stops leaves nothing behind and waits for nothing.
#[test]
fn a_host_that_stops_compiles_no_further() {
    let host = site().start();
    assert!(host.metric("engine_modules_pending") > 0.0);
    let ended = host.stop();
    assert!(
        !ended.log.contains("all modules are compiled"),
        "{}",
        ended.log
    );
    // What it left is done by the next.
    let host = ended.site.start();
    let reply = rcpt(&host, "c0");
    assert!(reply.starts_with("250"), "{reply}");
    host.stop();
}

/// Settings that a module does not take are found when it is compiled, and then at each
/// start: either way that policy fails alone, and nobody else's reload waits for it.
#[test]
fn settings_that_do_not_fit_stop_no_start() {
    let all = (0..FIRST).map(|number| (format!("a{number:02}"), sound(number)));
    let site = all.fold(
        Site::new().settings("[metrics]\naddress = \"127.0.0.1:0\""),
        |site, (id, module)| {
            site.file(&format!("{id}.wasm"), module)
                .tenant(&id, &asking(&id))
        },
    );
    let module = std::fs::read(stock_policy("partner-list")).expect("it was built");
    let other = "[[policy]]\nname = \"fits\"\nfrom = \"fit.example\"\noption = \"module\"\n\
                 module = \"m\"\nsettings = { list = \"partners\" }\n[lists.partners]\nentries = []\n";
    let site = site
        .file("d.wasm", module)
        .tenant("d", &format!("{}{other}", asking("d")));
    let mut host = site.start();
    for begun in ["with it pending", "with it compiled"] {
        host.wait_for_metric("engine_modules_pending", 0.0);
        let reply = rcpt(&host, "d");
        assert!(reply.starts_with("451 4.3.0"), "{begun}: {reply}");
        let mut client = Client::connect(host.address("smtp"));
        client.ehlo();
        client.expect("MAIL FROM:<amy@fit.example>", "250");
        client.expect("RCPT TO:<ben@d.example>", "250");
        client.quit();
        host.reload().expect_code(0);
        let ended = host.stop();
        let told = "a module does not take the settings of a policy, which fails";
        assert!(ended.log.contains(told), "{begun}: {}", ended.log);
        host = ended.site.start();
    }
    host.stop();
}
