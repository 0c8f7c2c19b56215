//! A tenant of a file is the same in the store, and in the files that are made of it.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::*;
use crate::config::FileContent;
use crate::config::example_tests::whole_tenant;

/// Longer than any active revision here.
const OLDER: &[u8] = b"an older revision";

/// Anything that TOML can say and a module may be given.
fn value() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        prop::num::f64::NORMAL.prop_map(Json::from),
        text().prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map(text(), inner, 0..4)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

/// What is hard to write down.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z.@]{0,8}",
        "[ \t\r\n#=>\"'\\\\\u{feff}\u{0}é]{0,6}",
        any::<String>()
    ]
}

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9-]{0,5}"
}

fn pem() -> impl Strategy<Value = String> {
    text().prop_map(|text| format!("{text}-----BEGIN CERTIFICATE-----\n"))
}

fn policy(name: &str, narrative: &str, settings: &BTreeMap<String, Json>) -> Json {
    json!({
        "name": name,
        "narrative": narrative,
        "option": "module",
        "module": "m",
        "settings": settings,
    })
}

fn tenant() -> impl Strategy<Value = (Json, Vec<u8>)> {
    let lists = prop::collection::btree_map(
        name(),
        prop::collection::btree_map(text(), text(), 0..5),
        0..3,
    );
    let settings = prop::collection::btree_map(text(), value(), 0..3);
    let policies = prop::collection::btree_map(name(), (".{0,40}", settings), 0..4);
    let pems = prop::collection::vec(pem(), 0..3);
    let bytes = prop::collection::vec(any::<u8>(), 0..9);
    (lists, policies, pems, bytes, any::<bool>()).prop_map(|(lists, policies, pems, bytes, hop)| {
        let policies: Vec<Json> = policies
            .into_iter()
            .rev()
            .map(|(name, (text, settings))| policy(&name, &text, &settings))
            .collect();
        let lists: Map<String, Json> = lists
            .into_iter()
            .map(|(name, entries)| (name, json!({ "entries": entries })))
            .collect();
        let mut tenant = json!({
            "domains": ["Bücher.example", "a.example"],
            "lists": lists,
            "trust": { "anchors": pems, "crls": pems, "public_roots": hop },
            "module": [{ "name": "m", "path": "m.wasm" }],
            "policy": policies,
        });
        // A policy that pins another revision than the active one.
        if let Some(policy) = tenant["policy"].get_mut(0) {
            policy["revision"] = Digest::of(OLDER).to_string().into();
            tenant["module"][0]["pinned"] = json!(["older.wasm"]);
        }
        if hop {
            tenant["targets"] =
                json!({ "inbound": { "kind": "lmtp", "address": "unix:run/lmtp" } });
        }
        (tenant, bytes)
    })
}

fn read(site: &Site) -> Arc<TenantDocument> {
    let documents = site.documents();
    Arc::clone(documents.first().expect("there is one"))
}

async fn through_the_store(
    document: &Arc<TenantDocument>,
) -> (Store, TempDir, Arc<TenantDocument>) {
    let home = TempDir::new().expect("a directory");
    let store = Store::open(home.path()).await.expect("a store");
    let edits = store.plan(&[Arc::clone(document)]).await.expect("a plan");
    store
        .carry_out(&edits, &nothing(), "test")
        .await
        .expect("carried out");
    let again = store.plan(&[Arc::clone(document)]).await.expect("a plan");
    assert!(
        again.is_empty(),
        "applying it again is no change: {again:?}"
    );
    let kept = store
        .documents([&document.id], |_| None)
        .await
        .expect("documents");
    let kept = Arc::clone(&kept.first().expect("it is there").document);
    (store, home, kept)
}

async fn exported(document: &TenantDocument, store: &Store) -> Site {
    let site = Site::new();
    let directory = site.path().join("tenants");
    for file in document.files().expect("it is TOML") {
        let path = directory.join(&file.path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        let bytes = match file.content {
            FileContent::Text(text) => text.into_bytes(),
            FileContent::Module(digest) => store.module(digest).await.expect("the bytes").to_vec(),
        };
        fs::write(path, bytes).expect("written");
    }
    site
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_tenant_goes_through_store_and_files_unchanged((tenant, module) in tenant()) {
        let site = Site::new();
        let text = toml::to_string(&tenant).expect("it is TOML");
        site.write("a.toml", text).write("m.wasm", module);
        site.write("older.wasm", OLDER);
        let first = read(&site);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let (kept, last) = runtime.expect("a runtime").block_on(async {
            let (store, _home, kept) = through_the_store(&first).await;
            let files = exported(&kept, &store).await;
            store.close().await;
            (kept, read(&files))
        });
        prop_assert_eq!(kept.digest(), first.digest());
        prop_assert_eq!(last.digest(), first.digest());
        // What the reader makes of the store's is what it makes of the file's.
        let config = Config::read(&site.path().join("portcullis.toml")).expect("no fault");
        let stored = config.read_stored(&[kept]).expect("no fault");
        let (stored, file) = (&stored[0], &config.tenants[0]);
        prop_assert_eq!(stored.policies.len(), file.policies.len());
        for (one, other) in stored.policies.iter().zip(&file.policies) {
            prop_assert_eq!(one.policy.digest(), other.policy.digest());
        }
        prop_assert_eq!(stored.document.digest(), first.digest());
    }
}

/// What operators copy has every key: dates, sources, quotas, ramps and targets among them.
#[tokio::test]
async fn every_key_goes_through_store_and_files_unchanged() {
    let site = Site::new();
    site.write("acme.toml", whole_tenant());
    for pem in ["ca.pem", "ca-crl.pem"] {
        site.write(pem, format!("{pem}\n-----BEGIN CERTIFICATE-----\n"));
    }
    // The revision that the example pins is the digest of nothing.
    site.write("partner_list.wasm", "active")
        .write("partner_list-1.wasm", "")
        .write("suppliers.txt", "supplier.example\n");
    let first = read(&site);
    let (store, _home, kept) = through_the_store(&first).await;
    let files = exported(&kept, &store).await;
    store.close().await;
    let last = read(&files);
    for (what, other) in [("the store", &kept), ("its files", &last)] {
        assert_eq!(other.operator, first.operator, "{what}");
        assert_eq!(other.own, first.own, "{what}");
        assert_eq!(other.policies, first.policies, "{what}");
        assert_eq!(other.digest(), first.digest(), "{what}");
    }
    let written: Vec<_> = first.operator.keys().chain(first.own.keys()).collect();
    assert!(written.len() >= 8, "{written:?}");
}
