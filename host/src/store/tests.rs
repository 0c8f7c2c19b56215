//! The queries, on every database.

use std::fs;
use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::config::{Config, TenantDocument};

/// Documents of tenants in files of a directory of their own.
pub(super) struct Site(TempDir);

impl Site {
    pub(super) fn new() -> Self {
        let site = Self(TempDir::new().expect("a directory"));
        fs::create_dir(site.0.path().join("tenants")).expect("it is new");
        fs::write(site.0.path().join("portcullis.toml"), "").expect("written");
        site
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        fs::write(self.0.path().join("tenants").join(name), content).expect("written");
        self
    }

    pub(super) fn documents(&self) -> Vec<Arc<TenantDocument>> {
        let config = Config::read(&self.0.path().join("portcullis.toml")).expect("no fault");
        let tenants = config.tenants.iter();
        tenants.map(|tenant| Arc::clone(&tenant.document)).collect()
    }
}

const ACME: &str = r#"
domains = ["acme.example", "Bücher.example"]
contact = "see https://acme.example/tls"
[lists.partners]
entries = { "p.example" = "within", "q.example" = "" }
[[module]]
name = "m"
path = "m.wasm"
[[policy]]
name = "asks"
option = "module"
module = "m"
settings = { list = "partners", since = 2026-01-01T00:00:00Z }
[[policy]]
name = "all"
option = "enforced"
"#;

/// Nothing was checked.
fn nothing() -> Checked {
    Checked {
        engine: Digest::of(b"engine"),
        pairs: Vec::new(),
    }
}

async fn store(site: &Site) -> Store {
    Store::open(site.path()).await.expect("a store")
}

/// Makes the store equal to the files; the lines of what changed.
async fn apply(store: &Store, site: &Site) -> Vec<String> {
    let edits = store.plan(&site.documents()).await.expect("a plan");
    store
        .carry_out(&edits, &nothing(), "test")
        .await
        .expect("carried out");
    edits.iter().flat_map(Edit::lines).collect()
}

/// What nobody has had for two hours is looked after.
async fn later(store: &Store) {
    let later = unix_seconds(SystemTime::now()) + 2 * 3600;
    store.tidy(later).await.expect("tidied");
}

async fn digests(store: &Store) -> Vec<Digest> {
    let versions = store.versions().await.expect("versions");
    let kept = store
        .documents(versions.keys(), |_| None)
        .await
        .expect("documents");
    let found: Vec<Digest> = kept.iter().map(|kept| kept.document.digest()).collect();
    let noted: Vec<Digest> = versions.values().map(|version| version.digest).collect();
    assert_eq!(found, noted, "what is noted of a document is true");
    found
}

#[tokio::test]
async fn what_is_put_in_comes_out() {
    let site = Site::new();
    site.write("acme.toml", ACME).write("m.wasm", "one");
    let store = store(&site).await;
    assert_eq!(apply(&store, &site).await, ["+ tenant acme"]);
    let documents = site.documents();
    assert_eq!(digests(&store).await, [documents[0].digest()]);
    assert_eq!(apply(&store, &site).await, [""; 0], "that is no change");
    let module = documents[0].modules[0].digest();
    assert_eq!(&*store.module(module).await.expect("the bytes"), b"one");
    store.close().await;
    let again = self::store(&site).await;
    assert_eq!(digests(&again).await, [documents[0].digest()]);
}

#[tokio::test]
async fn sqlite_does_what_every_database_does() {
    let site = Site::new();
    let store = store(&site).await;
    let mut connection = store.connection().await.expect("a connection");
    sqlite::exercise::exercise(&mut connection).await;
}

#[tokio::test]
async fn every_change_is_named_and_in_the_audit() {
    let site = Site::new();
    site.write("acme.toml", ACME).write("m.wasm", "one");
    site.write("bank.toml", "domains = [\"bank.example\"]");
    let store = store(&site).await;
    apply(&store, &site).await;
    let edited = ACME
        .replace("option = \"enforced\"", "option = \"opportunistic\"")
        .replace("\"q.example\" = \"\"", "\"r.example\" = \"\"")
        .replace("see https", "ask https");
    site.write("acme.toml", edited).write("m.wasm", "two");
    fs::remove_file(site.path().join("tenants/bank.toml")).expect("removed");
    let one = Digest::of(b"one").to_string();
    let two = Digest::of(b"two").to_string();
    assert_eq!(
        apply(&store, &site).await,
        [
            "~ tenant acme: contact: \"see https://acme.example/tls\" → \"ask https://acme.example/tls\"".to_owned(),
            "~ tenant acme: list partners: 1 entries new or changed, 1 removed".to_owned(),
            format!("~ tenant acme: module m: digest {} → {}", shown(&one), shown(&two)),
            "~ tenant acme: policy all: option \"enforced\" → \"opportunistic\"".to_owned(),
            "- tenant bank".to_owned(),
        ]
    );
    let acme = AuditFilter {
        page: None,
        tenant: "acme".parse().ok(),
    };
    let records = store.audit(&acme).await.expect("the audit");
    let last = records.last().expect("there are some");
    assert_eq!(last.what, "policy all");
    assert_eq!(last.who, "test");
    assert_eq!(
        last.was,
        Some(json!({ "name": "all", "option": "enforced" }))
    );
    assert_eq!(
        last.became,
        Some(json!({ "name": "all", "option": "opportunistic" }))
    );
    let all = store
        .audit(&AuditFilter::default())
        .await
        .expect("the audit");
    let numbers: Vec<i64> = all.iter().map(|record| record.number).collect();
    assert_eq!(numbers, (1..=all.len() as i64).collect::<Vec<_>>());
    let gone = all.last().expect("there are some");
    assert_eq!((gone.tenant.as_str(), gone.became.as_ref()), ("bank", None));
}

fn shown(digest: &str) -> String {
    let quoted = format!("{digest:?}");
    format!("{}…", &quoted[..60])
}

/// The order of policies decides ties, so it is kept, and a change of it is one.
#[tokio::test]
async fn the_order_of_policies_is_part_of_a_tenant() {
    let policy = |name| format!("[[policy]]\nname = \"{name}\"\noption = \"default\"\n");
    let [one, two, three] = ["one", "two", "three"].map(policy);
    let site = Site::new();
    let store = store(&site).await;
    let order = "~ tenant a: order of policies: [\"one\",\"two\"] → [\"two\",\"one\"]";
    let both = "~ tenant a: order of policies: [\"two\",\"one\"] → [\"three\",\"one\",\"two\"]";
    // What is new or gone beside others leaves these in their order.
    for (text, changes) in [
        (vec![&one, &two], vec!["+ tenant a"]),
        (vec![&two, &one], vec![order]),
        (vec![&three, &two, &one], vec!["+ tenant a: policy three"]),
        (vec![&two, &one], vec!["- tenant a: policy three"]),
        (
            vec![&three, &one, &two],
            vec![both, "+ tenant a: policy three"],
        ),
        (
            vec![&one],
            vec!["- tenant a: policy three", "- tenant a: policy two"],
        ),
        (
            vec![&two],
            vec!["- tenant a: policy one", "+ tenant a: policy two"],
        ),
    ] {
        let text: String = text.into_iter().map(String::as_str).collect();
        site.write("a.toml", format!("domains = [\"a.example\"]\n{text}"));
        let found = apply(&store, &site).await;
        assert_eq!(found, changes, "{text}");
        assert_eq!(digests(&store).await, [site.documents()[0].digest()]);
    }
}

/// They count changes, and do not go by the clock.
#[tokio::test]
async fn revisions_and_the_audit_stay_in_order_whatever_the_clock_does() {
    let site = Site::new();
    let store = store(&site).await;
    let times = [2000, 1000, 9_000_000_000, 500];
    for now in times {
        let text = "domains = [\"a.example\"]\n[lists.l]\nentries";
        site.write("a.toml", format!("{text} = [\"p{now}.example\"]\n"));
        let edits = store.plan(&site.documents()).await.expect("a plan");
        let mut connection = store.connection().await.expect("a connection");
        let begun = connection.begin_with(sqlite::BEGIN).await;
        let mut transaction = begun.expect("a transaction");
        let written = tenants::write(&mut transaction, &edits, "test", now).await;
        written.expect("written");
        transaction.commit().await.expect("committed");
    }
    let id = "a".parse().expect("an id");
    let list = store
        .list(&id, "l")
        .await
        .expect("read")
        .expect("it is there");
    let versions = store.versions().await.expect("versions");
    assert_eq!((list.revision, versions[&id].revision), (4, 4));
    let kept = store.documents([&id], |_| None).await.expect("documents");
    let entries = kept[0].document.lists.get("l").expect("a list");
    assert!(entries.get("p500.example").is_some(), "the last one");
    let audit = store
        .audit(&AuditFilter::default())
        .await
        .expect("the audit");
    let lists = audit.iter().filter(|record| record.what == "list l");
    let (numbers, made): (Vec<i64>, Vec<i64>) =
        lists.map(|record| (record.number, record.made)).unzip();
    assert!(numbers.is_sorted() && made == times, "{numbers:?} {made:?}");
}

#[tokio::test]
async fn a_domain_passes_from_one_tenant_to_another_in_one_step() {
    let site = Site::new();
    let store = store(&site).await;
    for (a, b) in [("x", "y"), ("y", "x"), ("x", "y")] {
        site.write("a.toml", format!("domains = [\"{a}.example\"]"));
        site.write("b.toml", format!("domains = [\"{b}.example\"]"));
        apply(&store, &site).await;
        let expected: Vec<_> = site.documents().iter().map(|d| d.digest()).collect();
        assert_eq!(digests(&store).await, expected);
    }
}

/// Whoever plans on what somebody else has changed meanwhile changes nothing.
#[tokio::test]
async fn a_stale_plan_changes_nothing() {
    let site = Site::new();
    let store = store(&site).await;
    site.write("a.toml", "domains = [\"a.example\"]");
    let stale = store.plan(&site.documents()).await.expect("a plan");
    apply(&store, &site).await;
    for text in ["contact = \"one\"", "contact = \"two\""] {
        let refused = store.carry_out(&stale, &nothing(), "late").await;
        assert!(matches!(refused, Err(StoreError::Stale(_))), "{refused:?}");
        site.write("a.toml", format!("domains = [\"a.example\"]\n{text}"));
        let stale = store.plan(&site.documents()).await.expect("a plan");
        apply(&store, &site).await;
        let refused = store.carry_out(&stale, &nothing(), "late").await;
        assert!(matches!(refused, Err(StoreError::Stale(_))), "{refused:?}");
    }
    fs::remove_file(site.path().join("tenants/a.toml")).expect("removed");
    let stale = store.plan(&site.documents()).await.expect("a plan");
    apply(&store, &site).await;
    assert!(store.carry_out(&stale, &nothing(), "late").await.is_err());
    let audit = store
        .audit(&AuditFilter::default())
        .await
        .expect("the audit");
    assert!(audit.iter().all(|record| record.who == "test"), "{audit:?}");
}

/// A revocation list is another every hour, and may have megabytes.
#[tokio::test]
async fn the_audit_has_digests_of_pem_texts() {
    let site = Site::new();
    let store = store(&site).await;
    let text = |label: &str, what: &str| {
        format!("-----BEGIN {label}-----\n{what}\n-----END {label}-----\n")
    };
    let hop = "kind = \"smtp\"\naddress = \"hop.example:25\"\ntls = \"verified\"\nname = \"hop.example\"\n";
    site.write(
        "a.toml",
        format!(
            "domains = [\"a.example\"]\n[trust]\nanchors = [\"ca.pem\"]\ncrls = [\"crl.pem\"]\n\
             [targets.inbound]\n{hop}anchors = [\"hop.pem\"]\n"
        ),
    );
    for what in ["one", "two"] {
        site.write("ca.pem", text("CERTIFICATE", what));
        site.write("crl.pem", text("X509 CRL", what));
        site.write("hop.pem", text("CERTIFICATE", what));
        apply(&store, &site).await;
    }
    let records = store
        .audit(&AuditFilter::default())
        .await
        .expect("the audit");
    let digests = |what: &str| {
        let [ca, crl] = ["CERTIFICATE", "X509 CRL"]
            .map(|label| json!([{ "digest": Digest::of(text(label, what).as_bytes()) }]));
        (ca, crl)
    };
    let last = |what: &str| {
        let found = records.iter().rev().find(|record| record.what == what);
        let found = found.expect("it changed");
        [&found.was, &found.became].map(|value| value.clone().expect("a value"))
    };
    for (value, what) in last("trust").iter().zip(["one", "two"]) {
        let (ca, crl) = digests(what);
        assert_eq!((&value["anchors"], &value["crls"]), (&ca, &crl));
    }
    for (value, what) in last("targets").iter().zip(["one", "two"]) {
        assert_eq!(value["inbound"]["anchors"], digests(what).0);
    }
}

/// By another tenant, in whatever way its name is written.
#[tokio::test]
async fn a_domain_that_is_taken_is_refused() {
    let (one, other) = (Site::new(), Site::new());
    one.write("a.toml", "domains = [\"Bücher.example\"]");
    let store = store(&one).await;
    apply(&store, &one).await;
    other.write("b.toml", "domains = [\"XN--BCHER-KVA.Example\"]");
    let document = other.documents().into_iter().next();
    let edits: Vec<Edit> = Edit::new(None, document).into_iter().collect();
    let refused = store
        .carry_out(&edits, &nothing(), "test")
        .await
        .expect_err("it is a's");
    assert_eq!(
        refused.to_string(),
        "domain xn--bcher-kva.example belongs to tenant a"
    );
    assert_eq!(digests(&store).await, [one.documents()[0].digest()]);
}

#[tokio::test]
async fn revisions_of_a_module_go_beyond_the_quota() {
    let site = Site::new();
    let store = store(&site).await;
    let text = "domains = [\"a.example\"]\n[quotas]\nmodule_revisions = 2\n\
                [[module]]\nname = \"m\"\npath = \"m.wasm\"\n";
    site.write("a.toml", text);
    for bytes in ["one", "two", "three"] {
        site.write("m.wasm", bytes);
        apply(&store, &site).await;
    }
    later(&store).await;
    for (bytes, there) in [("one", false), ("two", true), ("three", true)] {
        let found = store.module(Digest::of(bytes.as_bytes())).await;
        assert_eq!(found.is_ok(), there, "{bytes}");
    }
}

/// Bytes that are kept are the revision that they were, and are active again.
#[tokio::test]
async fn a_digest_that_is_kept_is_made_active_again() {
    let site = Site::new();
    let store = store(&site).await;
    site.write(
        "a.toml",
        "domains = [\"a.example\"]\n[[module]]\nname = \"m\"\npath = \"m.wasm\"\n",
    );
    let tenant = "a".parse().expect("an id");
    for (bytes, active, previous, kept) in [
        ("one", 1, None, 1),
        ("two", 2, Some(1), 2),
        ("one", 1, Some(2), 2),
        ("three", 3, Some(1), 3),
    ] {
        site.write("m.wasm", bytes);
        apply(&store, &site).await;
        let found = store.module_with_revisions(&tenant, "m").await;
        let (module, revisions) = found.expect("it can be read").expect("it is there");
        assert_eq!((module.active, module.previous), (Some(active), previous));
        assert_eq!(revisions.len(), kept, "{bytes}");
        digests(&store).await;
    }
}

/// What a policy pins outlives any number of other revisions.
#[tokio::test]
async fn a_pinned_revision_does_not_go() {
    let site = Site::new();
    let store = store(&site).await;
    let pinned = Digest::of(b"pinned");
    let text = |revision: &str, pinned: &str| {
        format!(
            "domains = [\"a.example\"]\n[quotas]\nmodule_revisions = 2\n\
             [[module]]\nname = \"m\"\npath = \"m.wasm\"\n{pinned}\n\
             [[policy]]\nname = \"p\"\noption = \"module\"\nmodule = \"m\"\n{revision}\n"
        )
    };
    site.write("p.wasm", "pinned");
    let pin = format!("revision = \"{pinned}\"");
    site.write("a.toml", text(&pin, "pinned = [\"p.wasm\"]"));
    for bytes in ["one", "two", "three"] {
        site.write("m.wasm", bytes);
        apply(&store, &site).await;
        assert!(store.module(pinned).await.is_ok(), "with {bytes}");
    }
    later(&store).await;
    let one = store.module(Digest::of(b"one")).await;
    assert!(one.is_err(), "nobody needs it");
    site.write("a.toml", text("", ""));
    for bytes in ["four", "five"] {
        site.write("m.wasm", bytes);
        apply(&store, &site).await;
    }
    later(&store).await;
    assert!(
        store.module(pinned).await.is_err(),
        "it is not pinned any more"
    );
}

/// What was checked is known as long as the module is there and the engine the same.
#[tokio::test]
async fn settings_that_were_checked_are_known() {
    let site = Site::new();
    let store = store(&site).await;
    let module = "[[module]]\nname = \"m\"\npath = \"m.wasm\"\n";
    site.write("m.wasm", "bytes");
    site.write("a.toml", format!("domains = [\"a.example\"]\n{module}"));
    let (module, settings) = (Digest::of(b"bytes"), Digest::of(b"{}"));
    let [one, other] = [b"one".as_slice(), b"other"].map(Digest::of);
    let edits = store.plan(&site.documents()).await.expect("a plan");
    let checked = |engine| Checked {
        engine,
        pairs: vec![(module, settings)],
    };
    let done = store.carry_out(&edits, &checked(one), "test").await;
    done.expect("carried out");
    let wanted = [(module, settings), (module, one)];
    let known = |engine| store.checked(&wanted, engine);
    assert_eq!(
        known(one).await.expect("read"),
        HashSet::from([(module, settings)])
    );
    assert!(known(other).await.expect("read").is_empty());
    let done = store.carry_out(&[], &checked(other), "test").await;
    done.expect("noted");
    assert!(known(one).await.expect("read").is_empty());
    // A receipt may keep the bytes of what no tenant has any more, and nobody asks it.
    fs::remove_file(site.path().join("tenants/a.toml")).expect("removed");
    let edits = store.plan(&site.documents()).await.expect("a plan");
    let nothing = Checked::nothing(other);
    let gone = store.carry_out(&edits, &nothing, "test").await;
    gone.expect("carried out");
    assert!(!known(other).await.expect("read").is_empty());
    let now = unix_seconds(SystemTime::now());
    store.tidy(now).await.expect("tidied");
    assert!(store.module(module).await.is_ok(), "it is kept for a while");
    assert!(known(other).await.expect("read").is_empty());
}

/// A tenant that changes its settings without end leaves no more than so many behind.
#[tokio::test]
async fn what_was_found_to_fit_is_bounded() {
    let site = Site::new();
    let store = store(&site).await;
    site.write("m.wasm", "bytes");
    site.write(
        "a.toml",
        "domains = [\"a.example\"]\n[[module]]\nname = \"m\"\npath = \"m.wasm\"\n",
    );
    let module = Digest::of(b"bytes");
    let pairs: Vec<_> = (0..20_u8).map(|n| (module, Digest::of(&[n]))).collect();
    let engine = Digest::of(b"engine");
    let checked = Checked {
        engine,
        pairs: pairs.clone(),
    };
    let edits = store.plan(&site.documents()).await.expect("a plan");
    store
        .carry_out(&edits, &checked, "test")
        .await
        .expect("carried out");
    let known = async || store.checked(&pairs, engine).await.expect("read").len();
    for (most, left) in [(20, 20), (7, 7), (7, 7)] {
        let mut connection = store.connection().await.expect("open");
        let pruned = sqlite::queries::prune_checked(&mut connection, most).await;
        pruned.expect("pruned");
        assert_eq!(known().await, left);
    }
}

/// What is not named any more takes no room, and what another tenant has is kept.
#[tokio::test]
async fn contents_go_with_the_last_who_has_them() {
    let site = Site::new();
    let store = store(&site).await;
    let module = "[[module]]\nname = \"m\"\npath = \"m.wasm\"\n";
    site.write("m.wasm", "bytes");
    site.write("a.toml", format!("domains = [\"a.example\"]\n{module}"));
    site.write("b.toml", format!("domains = [\"b.example\"]\n{module}"));
    apply(&store, &site).await;
    let digest = Digest::of(b"bytes");
    for (id, there) in [("a", true), ("b", false)] {
        fs::remove_file(site.path().join(format!("tenants/{id}.toml"))).expect("removed");
        apply(&store, &site).await;
        assert!(
            store.module(digest).await.is_ok(),
            "a receipt on its way may need it"
        );
        later(&store).await;
        assert_eq!(store.module(digest).await.is_ok(), there);
    }
}

/// What a command reads is of one moment, tenants and modules alike.
#[tokio::test]
async fn a_change_meanwhile_is_not_seen_by_half() {
    let site = Site::new();
    let store = store(&site).await;
    let module = "[[module]]\nname = \"m\"\npath = \"m.wasm\"\n";
    site.write("m.wasm", "bytes");
    site.write("a.toml", format!("domains = [\"a.example\"]\n{module}"));
    apply(&store, &site).await;
    let then = digests(&store).await;
    let reader = Store::read_at_this_moment(site.path()).await;
    let reader = reader.expect("a reader");
    site.write("a.toml", "domains = [\"b.example\"]");
    site.write("c.toml", "domains = [\"c.example\"]");
    apply(&store, &site).await;
    assert_eq!(digests(&reader).await, then);
    let bytes = reader.module(Digest::of(b"bytes")).await;
    assert_eq!(&*bytes.expect("they were there"), b"bytes");
    assert_ne!(digests(&store).await, then);
}

mod backup;
mod file;
mod receipts;
mod revisions;
mod round_trip;
mod shadows;
mod tokens;
