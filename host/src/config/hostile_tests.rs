//! Nothing in a configuration file can end the process.

use std::path::Path;

use proptest::prelude::*;

use super::Config;
use super::tests::Files;

#[test]
fn keys_nested_without_end_are_refused() {
    for text in [
        format!("{}a = 1", "a.".repeat(100_000)),
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}", "{a=".repeat(100_000)),
        format!("[{}a]", "a.".repeat(100_000)),
    ] {
        assert!(Config::parse(Path::new("portcullis.toml"), &text).is_err());
    }
}

const VALID: &str = r#"
domains = ["acme.example", "Bücher.example"]
contact = "see https://acme.example/tls"
[trust]
pins = ["ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"]
[lists.partners]
entries = { "a.example" = "trusted" }
[[policy]]
name = "partners"
narrative = """
More
than one line"""
from = "list:partners"
sources = ["192.0.2.0/24"]
option = "enforced"
require = { tls = "1.3", within = "p.example" }
"#;

/// Whether it is refused or not, every fault has a text.
fn read_any(tenant: &[u8]) {
    let files = Files::new();
    files.write("tenants/a.toml", tenant);
    if let Err(text) = files.read() {
        assert!(!text.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read_any(&bytes);
    }

    #[test]
    fn any_text_of_toml_characters_is_read_without_panic(text in "[a-c\\[\\]{}=.\"'\n,# 0-9]{0,200}") {
        read_any(text.as_bytes());
    }

    #[test]
    fn mutations_are_read_without_panic(
        at in 0..VALID.len(),
        length in 0..40_usize,
        with in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let mut bytes = VALID.as_bytes().to_vec();
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, with);
        read_any(&bytes);
    }
}

#[test]
fn what_is_mutated_is_valid() {
    let files = Files::new();
    files.write("tenants/a.toml", VALID);
    files.read().expect("no fault");
}
