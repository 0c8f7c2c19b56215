//! Making guests, engines and facts for tests.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use wit_component::{StringEncoding, embed_component_metadata};

use crate::digest::Digest;
use crate::engine::cache::Compiled;
use crate::engine::worker::{self, Refused};
use crate::engine::{Engine, EngineSettings, Module, Ran, breaker, tuning};
use crate::facts::Facts;
use crate::lists::{List, Lists};

/// A guest with this body of `decide`, as a core module.
pub(super) fn guest(body: &str) -> Vec<u8> {
    guest_with("", body)
}

/// A guest with more fields in its module.
pub(super) fn guest_with(fields: &str, body: &str) -> Vec<u8> {
    from_text(
        &include_str!("../../../../tests/guests/guest.wat")
            .replace("{body}", body)
            .replace("{fields}", fields),
    )
}

/// A core module of this text that says it was built against our interface.
pub(super) fn from_text(text: &str) -> Vec<u8> {
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    against(&wit, text)
}

/// The same against another interface: ours, changed in one of its files.
pub(super) fn from_text_against(file: &str, from: &str, to: &str, text: &str) -> Vec<u8> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let wit = tempfile::tempdir().expect("a directory");
    for entry in std::fs::read_dir(ours).expect("the interface") {
        let path = entry.expect("a file").path();
        let name = path.file_name().expect("a name");
        let mut contents = std::fs::read_to_string(&path).expect("text");
        if name == file {
            assert!(contents.contains(from), "{file} has {from}");
            contents = contents.replacen(from, to, 1);
        }
        std::fs::write(wit.path().join(name), contents).expect("a file");
    }
    against(wit.path(), text)
}

fn against(wit: &Path, text: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).expect("WebAssembly text");
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve.push_dir(wit).expect("an interface");
    let world = resolve
        .select_world(&[package], Some("policy"))
        .expect("the world");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("metadata");
    module
}

/// An engine with a cache of its own, small limits and no worker.
pub(super) struct Bench {
    pub(super) engine: Arc<Engine>,
    _directory: tempfile::TempDir,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut EngineSettings)) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut settings = EngineSettings::new(directory.path().join("cache"));
        settings.memory = 8 << 20;
        settings.instances = 4;
        settings.worker = PathBuf::from("/no/worker");
        change(&mut settings);
        Self {
            engine: Engine::new(settings).expect("an engine"),
            _directory: directory,
        }
    }

    /// Compiles in this process.
    pub(super) fn compile(&self, bytes: &[u8]) -> Result<Compiled, Refused> {
        let memory = self.engine.settings.memory;
        let artefact = worker::compile(bytes, memory, tuning::Effort::Optimise)?;
        Ok(Compiled::by_worker(artefact.manifest, artefact.code))
    }

    pub(super) fn module(&self, bytes: &[u8]) -> Module {
        let compiled = self.compile(bytes).expect("an admissible module");
        let tenant = "acme".parse().expect("a tenant id");
        Module {
            program: self
                .engine
                .load(Digest::of(bytes), &compiled)
                .expect("a loadable module"),
            share: self.engine.shares.of(&tenant),
            tenant,
            breaker: breaker::Breaker::default(),
            monitor: breaker::Breaker::default(),
        }
    }

    pub(super) async fn run(&self, module: &Module) -> Ran {
        self.engine.decide(module, "{}", &facts(), &lists()).await
    }
}

pub(super) fn lists() -> Arc<Lists> {
    let list = List::new([("partner.example".to_owned(), String::new())].into());
    Arc::new([("partners".to_owned(), list)].into_iter().collect())
}

/// One recipient over TLS 1.3.
pub(super) fn facts() -> Arc<Facts> {
    let facts = serde_json::json!({
        "id": "01JD0000000000000000000000",
        "now": 1_700_000_000,
        "stage": "recipient",
        "direction": "inbound",
        "tenant": "acme",
        "connection": {
            "listener": "mx",
            "client": "192.0.2.1:40000",
            "server": "192.0.2.2:25",
            "proxied_by": null,
            "reverse_name": null,
            "starttls_offered": true,
            "handshake_failure": null,
            "tls": {
                "origin": "socket",
                "version": 0x0304,
                "cipher_suite": "TLS_AES_128_GCM_SHA256",
                "secret_bits": 128,
                "key_exchange": "X25519MLKEM768",
                "post_quantum": true,
                "server_name": null,
                "resumed": false,
                "client_certificate": "none",
            },
        },
        "helo": { "verb": "EHLO", "name": "client.example" },
        "sender": "alice@partner.example",
        "recipient": "bob@acme.example",
        "recipients_so_far": 0,
        "parameters": { "size": null, "body": null, "smtputf8": false, "requiretls": false },
        "trust": null,
    });
    Arc::new(serde_json::from_value(facts).expect("facts"))
}
