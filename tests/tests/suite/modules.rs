//! Policies as WebAssembly on the real host: the stock ones refuse and accept real
//! connections, the kept one still runs, and a bad one is named with its place.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use portcullis::digest::Digest;
use portcullis_tests::certificate::{Authority, Identity};
use portcullis_tests::client::{Client, Tls};
use portcullis_tests::program::{stock_policy, workspace};
use portcullis_tests::site::{Host, Site};
use serde_json::Value;

use crate::engine::{peak_memory, small_bomb};

/// How a client connects.
#[derive(Clone, Copy, Debug)]
enum How {
    Clear,
    Tls12,
    Tls13,
    PostQuantum,
    /// With a certificate of the tenant's authority for this name.
    Trusted(&'static str),
    /// With a self-signed one whose key is the current pin.
    Pinned,
    /// With a self-signed one whose key is nobody's pin.
    SelfSigned,
}

/// The reply to a recipient begins so.
type Rows = [(&'static str, How, &'static str)];

#[test]
fn partner_list() {
    let lists = "[lists.partners]\nentries = { \"tls.example\" = \"tls\", \
                 \"within.example\" = \"within\", \"name.example\" = \"name=mx.provider.example\" }";
    let stage = Stage::new("partner-list", lists, "");
    stage.play(&[
        ("amy@stranger.example", How::Clear, "250"),
        ("", How::Clear, "250"),
        ("amy@tls.example", How::Clear, "530 5.7.0"),
        ("amy@tls.example", How::Tls12, "250"),
        ("amy@within.example", How::Clear, "530 5.7.0"),
        (
            "amy@within.example",
            How::Tls13,
            "550 5.7.1 This route requires a client certificate",
        ),
        (
            "amy@within.example",
            How::Trusted("mx.within.example"),
            "250",
        ),
        (
            "amy@within.example",
            How::Trusted("mx.elsewhere.example"),
            "550 5.7.1",
        ),
        (
            "amy@within.example",
            How::SelfSigned,
            "550 5.7.1 This route requires a trusted",
        ),
        (
            "amy@name.example",
            How::Trusted("mx.provider.example"),
            "250",
        ),
        (
            "amy@name.example",
            How::Trusted("mx.name.example"),
            "550 5.7.1",
        ),
    ]);
    let verdict = &stage.end()[0]["verdict"];
    assert_eq!(verdict["policy"]["module"]["name"], "partner-list");
    assert_eq!(verdict["decision"], "default");
    assert_eq!(
        verdict["reason"],
        "stranger.example is not in list partners"
    );
    assert!(
        verdict["fuel"].as_u64().is_some_and(|fuel| fuel > 0),
        "{verdict:#}"
    );
}

#[test]
fn certificate_match() {
    let settings = "settings = { exceptions = { \"legacy.example\" = \"opportunistic\" } }";
    let stage = Stage::new("certificate-match", "", settings);
    stage.play(&[
        ("amy@partner.example", How::Clear, "530 5.7.0"),
        (
            "amy@partner.example",
            How::PostQuantum,
            "550 5.7.1 This route requires a client",
        ),
        (
            "amy@partner.example",
            How::Trusted("mx.partner.example"),
            "250",
        ),
        (
            "amy@partner.example",
            How::Trusted("mx.stranger.example"),
            "550 5.7.1",
        ),
        ("amy@legacy.example", How::Clear, "250"),
        ("", How::Clear, "250"),
    ]);
    stage.end();
}

#[test]
fn pinned_partners() {
    let settings = "settings = { partners = { \"partner.example\" = { current = \"@PIN@\" } } }";
    let stage = Stage::new("pinned-partners", "", settings);
    stage.play(&[
        ("amy@partner.example", How::Clear, "530 5.7.0"),
        (
            "amy@partner.example",
            How::Tls13,
            "550 5.7.1 This route requires a client",
        ),
        ("amy@partner.example", How::Pinned, "250"),
        (
            "amy@partner.example",
            How::SelfSigned,
            "550 5.7.1 This route requires a pinned",
        ),
        (
            "amy@partner.example",
            How::Trusted("mx.partner.example"),
            "550 5.7.1",
        ),
        ("amy@stranger.example", How::Clear, "250"),
    ]);
    stage.end();
}

#[test]
fn modern_tls() {
    let settings = "settings = { domains = { \"modern.example\" = {}, \
                    \"quantum.example\" = { post_quantum = true }, \"*\" = { minimum = \"1.2\" } } }";
    let stage = Stage::new("modern-tls", "", settings);
    stage.play(&[
        ("amy@modern.example", How::Clear, "530 5.7.0"),
        (
            "amy@modern.example",
            How::Tls12,
            "550 5.7.1 This route requires TLS 1.3",
        ),
        ("amy@modern.example", How::Tls13, "250"),
        (
            "amy@quantum.example",
            How::Tls13,
            "550 5.7.1 This route requires a post-quantum",
        ),
        ("amy@quantum.example", How::PostQuantum, "250"),
        ("amy@stranger.example", How::Clear, "530 5.7.0"),
        ("amy@stranger.example", How::Tls12, "250"),
    ]);
    stage.end();
}

/// Whichever revision is active: the receipts say by the digest which was asked.
#[test]
fn a_policy_asks_the_revision_that_it_pins() {
    let [active, pinned] = ["partner-list", "certificate-match"].map(stock_policy);
    let digest = |path: &Path| Digest::of(&fs::read(path).expect("it was built")).to_string();
    let [of_active, of_pinned] = [&active, &pinned].map(|path| digest(path));
    let tenant = format!(
        "domains = [\"acme.example\"]\n[lists.none]\nentries = []\n\
         [[module]]\nname = \"m\"\npath = {active:?}\npinned = [{pinned:?}]\n\
         [[policy]]\nname = \"all\"\noption = \"module\"\nmodule = \"m\"\n\
         settings = {{ list = \"none\" }}\n\
         [[policy]]\nname = \"pilot\"\nto = \"pilot@acme.example\"\noption = \"module\"\n\
         module = \"m\"\nrevision = \"{of_pinned}\"\nsettings = {{ exceptions = {{}} }}\n"
    );
    let host = Site::new().tenant("acme", &tenant).start();
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect("MAIL FROM:<amy@partner.example>", "250");
    client.expect("RCPT TO:<bob@acme.example>", "250");
    client.expect("RCPT TO:<pilot@acme.example>", "530 5.7.0");
    client.quit();
    let site = host.stop().site;
    for (recipient, policy, expected) in [
        ("bob@acme.example", "all", of_active),
        ("pilot@acme.example", "pilot", of_pinned),
    ] {
        let used = site.receipt(recipient)["verdict"]["policy"].clone();
        assert_eq!(used["name"], policy);
        assert_eq!(used["module"]["digest"], expected, "{used:#}");
    }
}

/// The module of interface 0.1.0 that is kept for ever: it reads every fact and fails
/// when asked to.
#[test]
fn the_kept_module_runs_and_its_failures_are_in_receipts_and_log() {
    let kept = workspace().join("tests/fixtures/policy-0.1.0.wasm");
    let kept = fs::read(kept).expect("it is kept");
    let module = "domains = [\"acme.example\"]\n\
                  [lists.kept]\nentries = { key = \"value\" }\n\
                  [[module]]\nname = \"kept\"\npath = \"../kept.wasm\"\n\
                  [[policy]]\nname = \"all\"\noption = \"module\"\nmodule = \"kept\"\n";
    let host = Site::new()
        .file("kept.wasm", kept)
        .tenant("acme", module)
        .start();
    let mut client = Client::starttls(host.address("smtp"), &Tls::post_quantum());
    client.expect("MAIL FROM:<amy@sender.example>", "250");
    for (recipient, reply) in [
        ("opportunistic", "250"),
        ("tls", "250"),
        ("list", "250"),
        ("everything", "550 5.7.1"),
        ("error", "451 4.3.0 Policy temporarily unavailable"),
        ("panic", "451 4.3.0 Policy temporarily unavailable"),
    ] {
        client.expect(&format!("RCPT TO:<{recipient}@acme.example>"), reply);
    }
    client.quit();
    let ended = host.stop();
    let panicked = ended
        .log
        .lines()
        .find(|line| line.contains("the policy panicked at"));
    assert!(
        panicked.is_some_and(|line| line.contains("as the recipient says")),
        "{}",
        ended.log
    );
    let site = ended.site;
    let verdict = |local: &str| site.receipt(&format!("{local}@acme.example"))["verdict"].clone();
    assert!(text(&verdict("list")["reason"]).contains("value"));
    assert!(
        verdict("tls")["log"]
            .to_string()
            .contains("key-exchange=Some(\\\"X25519MLKEM768\\\")")
    );
    for local in ["error", "panic"] {
        let verdict = verdict(local);
        let shown = format!("{} {}", verdict["failure"], verdict["log"]);
        assert!(shown.contains("as the recipient says"), "{verdict:#}");
        assert!(verdict["resolved"].is_null(), "nothing was decided");
    }
}

/// One tenant's failing module, and another tenant's mail in the same transaction.
#[test]
fn a_failing_policy_touches_its_own_tenant_only() {
    let broken = format!(
        "domains = [\"broken.example\"]\n\
         [lists.partners]\nentries = {{ \"sender.example\" = \"no requirement\" }}\n\
         [[module]]\nname = \"partner-list\"\npath = {:?}\n\
         [[policy]]\nname = \"all\"\noption = \"module\"\nmodule = \"partner-list\"\n",
        stock_policy("partner-list")
    );
    let host = Site::new()
        .tenant("broken", &broken)
        .tenant("acme", "domains = [\"acme.example\"]")
        .start();
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect("MAIL FROM:<amy@sender.example>", "250");
    // More often than the engine's patience with one module.
    for _ in 0..12 {
        client.expect("RCPT TO:<a@broken.example>", "451 4.3.0 Policy temporarily");
    }
    client.expect("RCPT TO:<a@acme.example>", "250");
    client.expect("DATA", "354");
    client.send("Subject: not held up\r\n\r\n");
    client.expect(".", "250");
    client.quit();
    let site = host.stop().site;
    assert_eq!((site.mail("acme").len(), site.mail("broken").len()), (1, 0));
}

/// A module that passes the scan and that no compiler is done with in time costs a
/// process of its own: the host starts all the same, and only its tenant's mail waits.
#[test]
fn a_compile_bomb_holds_up_its_own_tenant_only() {
    let bomb = "domains = [\"bomb.example\"]\n[[module]]\nname = \"m\"\npath = \"../bomb.wasm\"\n\
                [[policy]]\nname = \"all\"\noption = \"module\"\nmodule = \"m\"\n";
    let site = || {
        Site::new()
            .settings("[engine]\ncompile_time_s = 1")
            .tenant("acme", "domains = [\"acme.example\"]")
    };
    let deliver = |host: &Host| {
        let mut client = Client::connect(host.address("smtp"));
        client.ehlo();
        client.expect("MAIL FROM:<amy@sender.example>", "250");
        client.expect("RCPT TO:<a@acme.example>", "250");
        client
    };
    let finish = |mut client: Client| {
        client.expect("DATA", "354");
        client.send("Subject: not held up\r\n\r\n");
        client.expect(".", "250");
        client.quit();
    };

    let without = site().start();
    finish(deliver(&without));
    let usual = peak_memory(&without.pid().to_string());
    drop(without);

    let host = site()
        .file("bomb.wasm", small_bomb())
        .tenant("bomb", bomb)
        .start();
    let mut client = deliver(&host);
    client.expect("RCPT TO:<a@bomb.example>", "451 4.3.0");
    finish(client);
    let grown = peak_memory(&host.pid().to_string()).saturating_sub(usual);
    assert!(grown < 50 << 10, "the host grew by {grown} KiB");

    let ended = host.stop();
    assert_eq!(ended.site.mail("acme").len(), 1);
    let verdict = &ended.site.receipt("a@bomb.example")["verdict"];
    assert_eq!(verdict["failure"]["code"], "host", "{verdict:#}");
    let place = "tenants/bomb.toml:4: module[0].path: this module cannot be compiled";
    let line = ended.log.lines().find(|line| line.contains(place));
    assert!(line.is_some_and(|l| l.contains("ERROR")), "{}", ended.log);
}

/// Every module that is refused is named with its place and why, and so are settings that do
/// not fit one: by `check`, which fails, and by a start, which does not.
#[test]
fn bad_modules_are_refused_with_their_place() {
    let tenant = |id: &str| {
        format!(
            "domains = [\"{id}.example\"]\n[[module]]\nname = \"m\"\npath = \"../{id}.wasm\"\n\
             [[policy]]\nname = \"all\"\noption = \"module\"\nmodule = \"m\"\n"
        )
    };
    let settings = format!(
        "domains = [\"settings.example\"]\n[[module]]\nname = \"m\"\npath = {:?}\n\
         [[policy]]\nname = \"all\"\noption = \"module\"\nmodule = \"m\"\n\
         settings = {{ list = 7 }}\n",
        stock_policy("partner-list")
    );
    let site = Site::new()
        .file("nothing.wasm", wasm("(module)"))
        .tenant("nothing", &tenant("nothing"))
        .file("bomb.wasm", wasm(&bomb()))
        .tenant("bomb", &tenant("bomb"))
        .tenant("settings", &settings)
        .tenant("sound", "domains = [\"sound.example\"]");
    let refused = [
        (
            "tenants/nothing.toml:4: module[0].path: ",
            "portcullis:policy",
        ),
        (
            "tenants/bomb.toml:4: module[0].path: ",
            "nested loops, over the limit of 64",
        ),
        ("tenants/settings.toml:9: policy[0].settings.list: ", "7"),
    ];
    let all_named = |text: &str, level: &str| {
        for (place, reason) in refused {
            let line = text.lines().find(|line| line.contains(place));
            let line = line.unwrap_or_default();
            assert!(
                line.contains(level) && line.contains(reason),
                "{level} {place}{reason} is not in\n{text}"
            );
        }
        assert!(!text.contains("sound.toml"), "{text}");
    };
    all_named(&site.run("check").expect_code(1).stderr, "");
    all_named(&site.start().stop().log, "ERROR");
}

/// A host with one tenant, whose only policy is a stock module.
struct Stage {
    host: Host,
    authority: Authority,
    pinned: Arc<Identity>,
}

impl Stage {
    fn new(policy: &str, lists: &str, settings: &str) -> Self {
        let authority = Authority::new("Partner CA");
        let pinned = Arc::new(Identity::self_signed(&["mx.partner.example"]));
        let tenant = format!(
            "domains = [\"acme.example\"]\n[trust]\nanchors = [\"../ca.pem\"]\n{lists}\n\
             [[module]]\nname = {policy:?}\npath = {:?}\n\
             [[policy]]\nname = \"all\"\noption = \"module\"\nmodule = {policy:?}\n{}\n",
            stock_policy(policy),
            settings.replace("@PIN@", &pinned.pin())
        );
        let site = Site::new()
            .file("ca.pem", authority.pem())
            .tenant("acme", &tenant);
        Self {
            host: site.start(),
            authority,
            pinned,
        }
    }

    fn play(&self, rows: &Rows) {
        for (sender, how, reply) in rows {
            let mut client = self.connect(*how);
            client.expect(&format!("MAIL FROM:<{sender}>"), "250");
            let found = client.say("RCPT TO:<bob@acme.example>");
            assert!(
                found.starts_with(reply),
                "{sender:?} {how:?}: expected {reply}, got {found}"
            );
            client.quit();
        }
    }

    fn connect(&self, how: How) -> Client {
        let tls = match how {
            How::Clear => {
                let mut client = Client::connect(self.host.address("smtp"));
                client.ehlo();
                return client;
            }
            How::Tls12 => Tls::tls12(),
            How::Tls13 => Tls::tls13(),
            How::PostQuantum => Tls::post_quantum(),
            How::Trusted(name) => Tls::tls13().with(&Arc::new(self.authority.issue(&[name]))),
            How::Pinned => Tls::tls12().with(&self.pinned),
            How::SelfSigned => {
                Tls::tls13().with(&Arc::new(Identity::self_signed(&["mx.partner.example"])))
            }
        };
        Client::starttls(self.host.address("smtp"), &tls)
    }

    /// Stops the host and gives its receipts.
    fn end(self) -> Vec<Value> {
        self.host.stop().site.receipts()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("WebAssembly text")
}

/// Small, and without end to an optimising compiler.
fn bomb() -> String {
    let (open, close) = ("(loop ".repeat(1_000), ")".repeat(1_000));
    format!(
        "(module (func {}{open}{close}))",
        "(local i64) ".repeat(500)
    )
}
