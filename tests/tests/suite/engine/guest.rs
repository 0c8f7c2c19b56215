//! Guests by hand, and questions for them.

use std::path::Path;
use std::sync::Arc;

use portcullis::facts::Facts;
use portcullis::lists::{List, Lists};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// A guest with these fields in its module.
pub(crate) fn guest(fields: &str) -> Vec<u8> {
    from_text(&text(fields))
}

/// A guest whose settings have this schema.
pub(crate) fn guest_with_schema(schema: &str) -> Vec<u8> {
    let mut length = String::new();
    for byte in (schema.len() as u32).to_le_bytes() {
        length += &format!("\\{byte:02x}");
    }
    // The manifest's last two words are the schema's place and length.
    let data = format!(
        "(data (i32.const 2048) \"{}\") (data (i32.const 152) \"\\00\\08\\00\\00{length}\")",
        schema.replace('"', "\\\"")
    );
    guest(&data)
}

/// A guest that breaks down when it is asked with settings that are not empty.
pub(crate) fn breaks_down_with_settings() -> Vec<u8> {
    let empty = "{}".len();
    let body =
        format!("(if (i32.gt_u (local.get $length) (i32.const {empty})) (then unreachable))");
    from_text(&filled(&body, ""))
}

/// A guest that breaks down when the sender is the null sender.
pub(crate) fn traps_for_the_null_sender() -> Vec<u8> {
    let body = "(call $sender (local.get $message) (i32.const 1024)) \
                (if (i32.eqz (i32.load (i32.const 1024))) (then unreachable))";
    from_text(&filled(body, ""))
}

/// A guest that counts to a number before it answers.
pub(crate) fn spins(number: u32) -> Vec<u8> {
    let body = format!(
        "(loop $again (local.set $i (i32.add (local.get $i) (i32.const 1))) \
         (br_if $again (i32.lt_u (local.get $i) (i32.const {number}))))"
    );
    from_text(&filled(&body, ""))
}

/// A guest that never answers: it runs until its fuel or its time is over.
pub(crate) fn never_answers() -> Vec<u8> {
    from_text(&filled("(loop $again (br $again))", ""))
}

/// A guest that cannot say what it is.
pub(crate) fn without_about() -> Vec<u8> {
    from_text(&text("").replace("policy/about@0.1.0#", "policy/anything@0.1.0#"))
}

fn text(fields: &str) -> String {
    filled("", fields)
}

fn filled(body: &str, fields: &str) -> String {
    include_str!("../../../guests/guest.wat")
        .replace("{body}", body)
        .replace("{fields}", fields)
}

fn from_text(text: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).expect("WebAssembly text");
    let mut resolve = wit_parser::Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let (package, _) = resolve.push_dir(wit).expect("the interface");
    let world = resolve
        .select_world(&[package], Some("policy"))
        .expect("the world");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("metadata");
    module
}

/// A finished component.
pub(crate) fn component(module: &[u8]) -> Vec<u8> {
    ComponentEncoder::default()
        .module(module)
        .and_then(|encoder| encoder.validate(true).encode())
        .expect("a component")
}

pub(crate) fn lists() -> Arc<Lists> {
    let partner = ("partner.example".to_owned(), "within".to_owned());
    let partners = ("partners".to_owned(), List::new([partner].into()));
    Arc::new([partners].into_iter().collect())
}

/// A recipient of this sender, in clear.
pub(crate) fn facts(sender: &str) -> Arc<Facts> {
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
            "tls": null,
        },
        "helo": { "verb": "EHLO", "name": "client.example" },
        "sender": sender,
        "recipient": "bob@acme.example",
        "recipients_so_far": 0,
        "parameters": { "size": null, "body": null, "smtputf8": false, "requiretls": false },
        "trust": null,
    });
    Arc::new(serde_json::from_value(facts).expect("facts"))
}
