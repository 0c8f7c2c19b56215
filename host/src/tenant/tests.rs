use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use super::*;
use crate::config::{Config, Fault};
use crate::deliver::Targets;
use crate::engine::{Engine, EngineSettings};
use crate::metrics::decisions::Decisions;
use crate::policy::Choice;

/// A host's files, and an engine without a compile worker.
pub(crate) struct Bench {
    directory: TempDir,
    engine: Arc<Engine>,
    decisions: Decisions,
    targets: Targets,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let directory = TempDir::new().expect("a directory");
        let mut settings = EngineSettings::new(directory.path().join("modules"));
        settings.worker = "/no/worker".into();
        settings.instances = 1;
        let engine = Engine::new(settings).expect("an engine");
        let bench = Self {
            directory,
            engine,
            decisions: Decisions::default(),
            targets: Targets::default(),
        };
        bench.write("portcullis.toml", "");
        bench
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.directory.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, text).expect("written");
    }

    fn config(&self) -> Result<Config, Vec<Fault>> {
        Config::read(&self.directory.path().join("portcullis.toml"))
    }

    pub(super) async fn load(&self) -> Result<Snapshot, String> {
        let loaded = self.load_what_can_be().await?;
        assert!(loaded.refused.is_empty(), "{:?}", loaded.refused);
        Ok(loaded.snapshot)
    }

    pub(crate) async fn load_what_can_be(&self) -> Result<Loaded, String> {
        self.load_after(None).await
    }

    async fn load_after(&self, before: Option<&Snapshot>) -> Result<Loaded, String> {
        self.load_with(before, None).await
    }

    async fn load_with(
        &self,
        before: Option<&Snapshot>,
        pending: Option<&Arc<Queue>>,
    ) -> Result<Loaded, String> {
        let config = self.config().expect("no fault before loading");
        let means = Means {
            engine: &self.engine,
            decisions: &self.decisions,
            targets: &self.targets,
            store: None,
            before,
            pending,
        };
        load(&config, &config.tenants, means)
            .await
            .map_err(|faults| self.shown(&faults))
    }

    fn shown(&self, faults: &[Fault]) -> String {
        let prefix = format!("{}/", self.directory.path().display());
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        lines.join("\n").replace(&prefix, "")
    }
}

pub(crate) fn mailbox(text: &str) -> Mailbox {
    text.parse().expect("a mailbox")
}

fn authority() -> String {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(Vec::new()).expect("parameters");
    params.self_signed(&key).expect("a certificate").pem()
}

#[tokio::test]
async fn a_recipient_has_the_owner_of_its_domain() {
    let bench = Bench::new();
    bench.write(
        "tenants/a.toml",
        "domains = [\"a.example\", \"Bücher.example\"]",
    );
    bench.write(
        "tenants/b.toml",
        "domains = [\"b.example\"]\n[defaults]\ndecision = \"enforced\"",
    );
    let snapshot = bench.load().await.expect("no fault");
    for (recipient, owner) in [
        ("x@A.example", Some("a")),
        ("x@xn--bcher-kva.example", Some("a")),
        ("x@b.example", Some("b")),
        ("x@sub.b.example", None),
        ("x@[192.0.2.1]", None),
    ] {
        let found = snapshot.owner(&mailbox(recipient));
        assert_eq!(found.map(|tenant| tenant.id.as_str()), owner, "{recipient}");
    }
    assert_eq!(snapshot.tenants().len(), 2);
    assert_eq!(snapshot.default(), &Resolved::Opportunistic);
    let enforced = snapshot.tenants()[1].default.clone();
    assert_eq!(enforced, Some(Resolved::Enforced(Default::default())));
}

/// As they are, with all that they have counted and whom they have quarantined.
#[tokio::test]
async fn tenants_that_do_not_change_are_kept() {
    let bench = Bench::new();
    bench.write("tenants/a.toml", "domains = [\"a.example\"]");
    bench.write("tenants/a-b.toml", "domains = [\"b.example\"]");
    let mut before = bench.load().await.expect("no fault");
    for (file, text, kept) in [
        (
            "tenants/a.toml",
            "# nothing new\ndomains = [\"A.example\"]",
            [true, true],
        ),
        (
            "tenants/a.toml",
            "domains = [\"a.example\"]\ncontact = \"x\"",
            [false, true],
        ),
        (
            "portcullis.toml",
            "[delivery]\nkind = \"discard\"",
            [false, false],
        ),
        (
            "portcullis.toml",
            "hostname = \"other.example\"",
            [false, false],
        ),
    ] {
        bench.write(file, text);
        let after = bench.load_after(Some(&before)).await.expect("no fault");
        let pairs = before.tenants().iter().zip(after.snapshot.tenants());
        let found: Vec<bool> = pairs.map(|(one, other)| Arc::ptr_eq(one, other)).collect();
        assert_eq!(found, kept, "{file}: {text}");
        before = after.snapshot;
    }
}

#[tokio::test]
async fn a_tenant_selects_by_its_own_domains_and_lists() {
    let bench = Bench::new();
    bench.write(
        "tenants/a.toml",
        "domains = [\"a.example\"]\n[lists.partners]\nentries = [\"p.example\"]\n\
         [[policy]]\nname = \"own\"\nfrom = \"internal\"\noption = \"default\"\n\
         [[policy]]\nname = \"listed\"\nfrom = \"list:partners\"\noption = \"default\"\n",
    );
    let snapshot = bench.load().await.expect("no fault");
    let recipient = mailbox("x@a.example");
    let tenant = snapshot.owner(&recipient).expect("an owner");
    let mut facts = crate::facts::sample::clear(&recipient);
    for (sender, selected) in [
        ("y@a.example", Some("own")),
        ("y@p.example", Some("listed")),
        ("y@q.example", None),
    ] {
        facts.sender = Some(mailbox(sender));
        let policy = tenant.select(&facts).in_force;
        assert_eq!(
            policy.map(|policy| policy.name.as_str()),
            selected,
            "{sender}"
        );
    }
}

/// Policies, direction, recipient, and what is done about the header From.
#[tokio::test]
async fn what_policies_on_the_header_do() {
    use Direction::{Inbound, Outbound};
    let header = "based_on = \"header\"";
    let watch = "based_on = \"both\"\nmode = \"monitor\"";
    for (keys, direction, recipient, expected) in [
        (&[header][..], Inbound, "x@a.example", Some(Mode::Enforce)),
        (&[watch], Inbound, "x@a.example", Some(Mode::Monitor)),
        (
            &[watch, header],
            Inbound,
            "x@a.example",
            Some(Mode::Enforce),
        ),
        (&["based_on = \"envelope\""], Inbound, "x@a.example", None),
        (&[header], Outbound, "x@b.example", None),
        (
            &["direction = \"both\"\nbased_on = \"both\""],
            Outbound,
            "x@b.example",
            Some(Mode::Enforce),
        ),
        (
            &["enabled = false\nbased_on = \"header\""],
            Inbound,
            "x@a.example",
            None,
        ),
        // Until 2001, at the second at which it is over, and from a year on that is to come.
        (
            &["valid_until = 2001-09-09T01:46:40Z\nbased_on = \"header\""],
            Inbound,
            "x@a.example",
            None,
        ),
        (
            &["valid_until = 2001-09-09T01:46:41Z\nbased_on = \"header\""],
            Inbound,
            "x@a.example",
            Some(Mode::Enforce),
        ),
        (
            &["valid_from = 2040-01-01T00:00:00Z\nbased_on = \"header\""],
            Inbound,
            "x@a.example",
            Some(Mode::Enforce),
        ),
        (&[header], Inbound, "postmaster@a.example", None),
    ] {
        let bench = Bench::new();
        let mut text = "domains = [\"a.example\"]\n".to_owned();
        for (at, keys) in keys.iter().enumerate() {
            text += &format!("[[policy]]\nname = \"p{at}\"\noption = \"default\"\n{keys}\n");
        }
        bench.write("tenants/a.toml", &text);
        let snapshot = bench.load().await.expect("no fault");
        let tenant = &snapshot.tenants()[0];
        let found = tenant.header_mode(direction, &mailbox(recipient), 1_000_000_000);
        assert_eq!(found, expected, "{keys:?} {recipient}");
    }
}

#[tokio::test]
async fn trust_that_cannot_be_used_is_reported_where_it_is_named() {
    let bench = Bench::new();
    let broken = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    bench.write("tenants/two.pem", &(authority() + &authority()));
    bench.write("tenants/one-broken.pem", &(authority() + broken));
    bench.write("tenants/empty.pem", "");
    bench.write(
        "tenants/a.toml",
        "domains = [\"a.example\"]\n[trust]\nanchors = [\n\"two.pem\",\n\"one-broken.pem\",\n\"empty.pem\"]\n\
         crls = [\"two.pem\"]\n",
    );
    let found = bench.load().await.err().unwrap_or_default();
    let lines: Vec<&str> = found.lines().collect();
    for (line, expected) in lines.iter().zip([
        "tenants/a.toml:5: trust.anchors[1]: trust anchor 4 ",
        "tenants/a.toml:6: trust.anchors[2]: tenants/empty.pem has no certificate",
        "tenants/a.toml:7: trust.crls[0]: tenants/two.pem has no certificate revocation list",
    ]) {
        assert!(line.starts_with(expected), "{found}");
    }
    assert_eq!(lines.len(), 3, "{found}");
}

#[tokio::test]
async fn public_roots_that_cannot_be_used_are_reported_once() {
    let bench = Bench::new();
    bench.write("portcullis.toml", "[tls]\npublic_roots = \"roots.pem\"");
    bench.write("roots.pem", "");
    bench.write("tenants/a.toml", "domains = [\"a.example\"]");
    bench.write("tenants/b.toml", "domains = [\"b.example\"]");
    assert_eq!(
        bench.load().await.err().unwrap_or_default(),
        "portcullis.toml:2: tls.public_roots: roots.pem has no certificate: give a PEM file with a \"-----BEGIN CERTIFICATE-----\" section"
    );
}

/// One is too large, and the other needs a compile worker.
#[tokio::test]
async fn a_module_that_is_refused_is_left_out_and_reported_at_its_path() {
    let bench = Bench::new();
    bench.write("tenants/large.wasm", &"x".repeat((16 << 20) + 1));
    bench.write("tenants/small.wasm", "x");
    bench.write(
        "tenants/a.toml",
        "domains = [\"a.example\"]\n[[module]]\nname = \"large\"\npath = \"large.wasm\"\n\
         [[module]]\nname = \"small\"\npath = \"small.wasm\"\n\
         [[policy]]\nname = \"p\"\noption = \"module\"\nmodule = \"large\"\n",
    );
    bench.write("tenants/b.toml", "domains = [\"b.example\"]");
    let loaded = bench.load_what_can_be().await.expect("a snapshot");
    let refused: Vec<_> = loaded.refused.into_iter().map(|r| r.fault).collect();
    let refused = bench.shown(&refused);
    let [large, small] = refused.lines().collect::<Vec<_>>()[..] else {
        unreachable!("two modules are refused: {refused}");
    };
    assert_eq!(
        large,
        "tenants/a.toml:4: module[0].path: this module has 16777217 bytes, over the limit of 16777216: `portcullis build` makes it small, `portcullis inspect` shows what is large in it"
    );
    assert!(small.starts_with("tenants/a.toml:7: module[1].path: "));
    let [a, b] = loaded.snapshot.tenants() else {
        unreachable!("both tenants are loaded");
    };
    let Choice::Module(consultation) = &a.policies[0].option else {
        unreachable!("the policy asks a module");
    };
    assert!(a.module(consultation).is_none() && b.policies.is_empty());
    let checked = faults(&bench.config().expect("sound"), &bench.engine, None).await;
    assert_eq!(bench.shown(&checked), refused, "`check` reports them too");
}

/// The first are compiled, which fails here; the same bytes count once.
#[tokio::test]
async fn a_start_leaves_what_is_beyond_the_first_modules_pending() {
    let bench = Bench::new();
    let tenant = |id: &str, bytes: &str, more: &str| {
        bench.write(&format!("tenants/{id}.wasm"), bytes);
        bench.write(
            &format!("tenants/{id}.toml"),
            &format!(
                "domains = [\"{id}.example\"]\n[[module]]\nname = \"m\"\npath = \"{id}.wasm\"\n\
                 [[policy]]\nname = \"p\"\noption = \"module\"\nmodule = \"m\"\n{more}"
            ),
        );
    };
    tenant("a", "same as the next", "");
    for number in 0..32 {
        let bytes = match number {
            0 => "same as the next".to_owned(),
            _ => format!("module {number}"),
        };
        tenant(&format!("b{number:02}"), &bytes, "");
    }
    tenant("y", "another", "settings = { key = 1 }");
    tenant("z", "and another", "");
    let queue = Arc::default();
    let loaded = bench.load_with(None, Some(&queue)).await;
    let Loaded {
        snapshot, refused, ..
    } = loaded.expect("a snapshot");
    assert_eq!(snapshot.tenants().len(), 35);
    assert_eq!(refused.len(), 33, "those that were to be compiled");
    let pending: Vec<_> = snapshot.cells().map(|cell| cell.digest()).collect();
    let expected = [&b"another"[..], b"and another"].map(Digest::of);
    assert_eq!(pending, expected);
    assert_eq!(snapshot.pending(), 2);
    // What is left as it is by whoever loads next keeps its cell.
    let next = bench.load_after(Some(&snapshot)).await.expect("a snapshot");
    for id in ["y", "z"] {
        let id = id.parse().expect("a tenant's id");
        assert!(Snapshot::agree_on(&id, &snapshot, &next.snapshot));
    }
    // And what is not left so has its modules compiled first.
    tenant("z", "and another", "narrative = \"new\"\n");
    let next = bench.load_after(Some(&snapshot)).await.expect("a snapshot");
    assert_eq!(next.snapshot.pending(), 1);
    assert_eq!(next.refused.len(), 34);
}

/// Two have changed something at the same time, each on the same ground.
#[tokio::test]
async fn what_was_loaded_overtakes_nobody() {
    let bench = Bench::new();
    for id in ["a", "b", "c", "d"] {
        bench.write(
            &format!("tenants/{id}.toml"),
            &format!("domains = [\"{id}.example\"]"),
        );
    }
    let before = bench.load().await.expect("no fault");
    let change = |id: &str| {
        bench.write(
            &format!("tenants/{id}.toml"),
            &format!("domains = [\"{id}.example\"]\ncontact = \"new\""),
        );
    };
    let after = async || {
        let loaded = bench.load_after(Some(&before)).await;
        loaded.expect("no fault").snapshot
    };
    let take = |id: &str| {
        let path = bench.directory.path().join(format!("tenants/{id}.toml"));
        std::fs::remove_file(path).expect("it is there");
    };
    let id = |id: &str| id.parse::<TenantId>().expect("a tenant's id");
    change("a");
    take("d");
    bench.write("tenants/e.toml", "domains = [\"e.example\"]");
    let loaded = after().await;
    // Meanwhile: b was changed, c removed, f made.
    bench.write("tenants/a.toml", "domains = [\"a.example\"]");
    change("b");
    bench.write("tenants/f.toml", "domains = [\"f.example\"]");
    let changed = after().await;
    let now = before.replacing(&id("b"), changed.tenant(&id("b")).cloned());
    let now = now.replacing(&id("c"), None);
    let now = now.replacing(&id("f"), changed.tenant(&id("f")).cloned());
    let next = now.overtaking(&before, &loaded);
    let ids: Vec<_> = next.tenants().iter().map(|t| t.id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "e", "f"]);
    for (tenant, of) in [
        ("a", &loaded),
        ("b", &changed),
        ("e", &loaded),
        ("f", &changed),
    ] {
        assert!(Snapshot::agree_on(&id(tenant), &next, of), "{tenant}");
    }
}

#[tokio::test]
async fn what_could_be_read_of_a_faulty_configuration_is_loaded_for_its_faults() {
    let bench = Bench::new();
    bench.write("tenants/empty.pem", "");
    bench.write(
        "tenants/a.toml",
        "domains = [\"a.example\"]\nnonsense = 1\n[trust]\nanchors = [\"empty.pem\"]\n",
    );
    let examined = Config::examine(&bench.directory.path().join("portcullis.toml"));
    assert_eq!(examined.faults.len(), 1);
    let config = examined.config.expect("most of it");
    let found = faults(&config, &bench.engine, None).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].at.key, "trust.anchors[0]");
}
