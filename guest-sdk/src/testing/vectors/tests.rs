//! The format, as tables; and what holds of any text.

use proptest::prelude::*;

use super::*;
use crate::testing::{certificate, message, tls};
use crate::{Answer, Fingerprint, Message, Purpose, Requirements, Trust};

const EXPECT: &str = "expect = { decision = \"default\" }\n";

/// A file of one case with these facts.
fn with_facts(facts: &str) -> String {
    format!("[[case]]\nname = \"a\"\nfacts = {{ {facts} }}\n{EXPECT}")
}

fn facts_of(facts: &str) -> Facts {
    only(&with_facts(facts)).facts
}

fn only(text: &str) -> Case {
    let vectors = Vectors::parse(text).expect(text);
    let [case] = <[Case; 1]>::try_from(vectors.cases).expect("one case");
    case
}

fn faults(text: &str) -> String {
    Vectors::parse(text).expect_err(text).to_string()
}

#[test]
fn a_case_begins_with_the_ordinary_message() {
    assert_eq!(facts_of(""), *message().facts());
    let secured = message().tls(tls());
    assert_eq!(facts_of("tls = {}"), *secured.facts());
    let certified = message().tls(tls().certificate(certificate()));
    assert_eq!(facts_of("tls.certificate = {}"), *certified.facts());
    assert_eq!(only(&with_facts("")).settings, serde_json::json!({}));
}

/// Every fact, in a form that is not its default.
const EVERYTHING: &str = r#"
id = "01JD0000000000000000000000"
now = 2027-01-02T12:00:00Z
stage = "content"
direction = "outbound"
tenant = "acme"
listener = "submission"
client = "[2001:DB8:0::1]:1234"
server = "::ffff:203.0.113.1"
proxied_by = "203.0.113.9:999"
reverse_name = "mx.partner.example"
reverse_name_confirmed = true
helo_verb = "HELO"
helo = "mx.partner.example"
sender = "Amy@Partner.Example"
recipient = "Bob@[192.0.2.1]"
recipients_so_far = 3
declared_size = 4096
body = "8BITMIME"
smtputf8 = true
requiretls = true
header_from = ["Amy@Partner.Example"]
starttls_offered = false
handshake_failure_age = 60
handshake_failure_reason = "bad certificate"

[facts.tls]
origin = "proxy"
version = "1.2"
cipher_suite = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
secret_bits = 127
key_exchange = "SecP256r1MLKEM768"
post_quantum = false
server_name = "mx.acme.example"
resumed = true
client_certificate = "given"

[facts.tls.certificate]
subject = "CN=mx"
issuer = "CN=ca"
serial = "0badcafe"
common_name = "mx"
dns_names = ["mx.partner.example"]
email_addresses = ["p@partner.example"]
ip_addresses = ["2001:DB8::1"]
uris = ["https://partner.example"]
not_before = -1
not_after = "2027-01-02T13:00:00+01:00"
key_type = "RSA"
key_bits = 2048
signature_algorithm = "sha256WithRSAEncryption"
extended_key_usages = ["serverAuth"]
sha256 = "0101010101010101010101010101010101010101010101010101010101010101"
spki_sha256 = "0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A"
chain_length = 2
trust = { client = "expired", server = { state = "trusted", detail = "CN=Our Root" } }
accept_self_signed = true
"#;

#[test]
fn every_fact_can_be_set() {
    let text = format!("[facts]\n{EVERYTHING}\n[[case]]\nname = \"a\"\n{EXPECT}");
    let found = only(&text).facts;
    let (ordinary, ordinary_tls, ordinary_certificate) = (
        message().facts().clone(),
        tls().into_facts(),
        certificate().into_facts(),
    );
    let found_tls = found.tls.clone().expect("TLS");
    let found_certificate = found_tls.certificate.clone().expect("a certificate");
    for (found, ordinary) in [
        (
            format!(
                "{:#?}",
                Facts {
                    tls: None,
                    ..found.clone()
                }
            ),
            format!("{ordinary:#?}"),
        ),
        (
            format!(
                "{:#?}",
                Tls {
                    certificate: None,
                    ..found_tls.clone()
                }
            ),
            format!("{ordinary_tls:#?}"),
        ),
        (
            format!("{found_certificate:#?}"),
            format!("{ordinary_certificate:#?}"),
        ),
    ] {
        let left: Vec<&str> = ordinary
            .lines()
            .filter(|line| says_something(line) && found.lines().any(|found| found == *line))
            .collect();
        assert!(left.is_empty(), "not set: {left:?}");
    }
    assert_eq!(found.now, 1_798_891_200);
    assert_eq!(found.client.address, "2001:db8::1");
    assert_eq!(
        (found.server.address.as_str(), found.server.port),
        ("203.0.113.1", 25)
    );
    assert_eq!(found.sender.as_deref(), Some("Amy@partner.example"));
    assert_eq!(found.recipient, "Bob@[192.0.2.1]");
    assert_eq!(found_tls.version, 0x0303);
    assert_eq!(found_certificate.spki_sha256, "0a".repeat(32));
    assert_eq!(found_certificate.not_after, 1_798_891_200);
    assert_eq!(found_certificate.client_trust.state, "untrusted");
    assert_eq!(found_certificate.client_trust.detail, "expired");
    assert_eq!(found_certificate.server_trust.detail, "CN=Our Root");
}

/// Whether a line of a fact's debug text has a value, and one that must be another.
fn says_something(line: &str) -> bool {
    let bracket = line.ends_with(['(', '[', '{']) || line.trim_start().starts_with([')', ']', '}']);
    let elsewhere = [
        "tls: None",
        "certificate: None",
        "port: 25,",
        "state: \"untrusted\"",
    ];
    !bracket && !elsewhere.iter().any(|part| line.contains(part))
}

#[test]
fn what_is_not_there_is_false() {
    let everything = format!("[facts]\n{EVERYTHING}");
    let without = "sender = false, proxied_by = false, reverse_name = false, \
                   reverse_name_confirmed = false, declared_size = false, body = false, \
                   handshake_failure_age = false, handshake_failure_reason = false, \
                   header_from = [], tls = { key_exchange = false, server_name = false, \
                   post_quantum = false, certificate = false, client_certificate = \"none\" }";
    let found = only(&format!("{everything}\n{}", with_facts(without))).facts;
    assert_eq!(
        (
            found.sender,
            found.proxied_by,
            found.reverse_name,
            found.declared_size,
            found.body
        ),
        (None, None, None, None, None)
    );
    assert_eq!(found.handshake_failure_reason, None);
    let session = found.tls.expect("TLS");
    assert_eq!((session.key_exchange, session.server_name), (None, None));
    assert_eq!(session.certificate, None);
    // What the case does not speak of is still the file's.
    assert_eq!(
        session.cipher_suite,
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
    );
    let clear = only(&format!(
        "{everything}\n{}",
        with_facts("tls = false, sender = \"\"")
    ));
    assert_eq!((clear.facts.tls, clear.facts.sender), (None, None));
}

#[test]
fn what_follows_need_not_be_said() {
    let session = |facts: &str| facts_of(facts).tls.expect("TLS");
    let old = session("tls = { version = \"1.2\" }");
    assert_eq!(old.key_exchange.as_deref(), Some("X25519"));
    assert!(!old.post_quantum && old.cipher_suite.contains("_WITH_"));
    assert!(!session("tls = { key_exchange = \"X25519\" }").post_quantum);
    assert!(session("tls = { key_exchange = \"SecP256r1MLKEM768\" }").post_quantum);
    let short = session("tls = { cipher_suite = \"TLS_AES_128_GCM_SHA256\" }");
    assert_eq!(short.secret_bits, 128);
    assert_eq!(
        session("tls = { certificate = {} }").client_certificate,
        "given"
    );
    let failed = facts_of("handshake_failure_age = 60");
    assert!(failed.handshake_failure_reason.is_some());
}

#[test]
fn trust_is_a_word_or_one_for_each_purpose() {
    let untrusted = (Trust::Untrusted, "unknown issuer");
    for (trust, client, server) in [
        (
            "\"trusted\"",
            (Trust::Trusted, "CN=anchor"),
            (Trust::Trusted, "CN=anchor"),
        ),
        (
            "\"revoked\"",
            (Trust::Untrusted, "revoked"),
            (Trust::Untrusted, "revoked"),
        ),
        (
            "{ server = \"pinned; certificate expired\" }",
            untrusted.clone(),
            (Trust::Pinned, "pinned; certificate expired"),
        ),
        (
            "{ client = { state = \"self-signed\" } }",
            (Trust::SelfSigned, "signed by its own key"),
            untrusted,
        ),
    ] {
        let found = facts_of(&format!("tls.certificate.trust = {trust}"));
        let expected = certificate()
            .trust(Purpose::Client, &client.0, client.1)
            .trust(Purpose::Server, &server.0, server.1);
        let expected = message().tls(tls().certificate(expected));
        assert_eq!(found, *expected.facts(), "{trust}");
    }
}

#[test]
fn settings_and_lists_of_a_case_stand_for_those_of_the_file() {
    let text = r#"
[settings]
days = [1, 2.5, "x"]
since = 2027-01-02
[lists.set]
entries = ["a", "b"]
[lists.map]
entries = { k = "v" }
[[case]]
name = "as the file"
expect = { decision = "default" }
[[case]]
name = "its own"
settings = { exempt = true }
lists = { set = { entries = [] }, map = false }
expect = { decision = "default" }
"#;
    let vectors = Vectors::parse(text).expect("sound");
    let [first, second] = <[Case; 2]>::try_from(vectors.cases).expect("two");
    let settings = serde_json::json!({"days": [1, 2.5, "x"], "since": "2027-01-02"});
    assert_eq!(first.settings, settings);
    assert_eq!((first.line, second.line), (9, 12));
    assert_eq!(first.lists["set"].keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(first.lists["map"]["k"], "v");
    assert_eq!(second.settings, serde_json::json!({"exempt": true}));
    assert!(second.lists["set"].is_empty());
    assert!(!second.lists.contains_key("map"));
}

#[test]
fn faults_say_where_and_what_instead() {
    for (facts, fault) in [
        (
            "now = true",
            "facts.now: must be a time: seconds since 1970, or 2027-01-02T12:00:00Z, and is true",
        ),
        (
            "now = \"2027-01-02\"",
            "facts.now: must be a time: seconds since 1970, or 2027-01-02T12:00:00Z, and is \"2027-01-02\"",
        ),
        (
            "now = -1",
            "facts.now: -1 does not fit into the 64 bits of this fact",
        ),
        (
            "sendr = \"a@b.example\"",
            "facts.sendr: unknown key; did you mean \"sender\"?",
        ),
        (
            "sender = \"nobody\"",
            "facts.sender: must be a mail address, such as \"amy@partner.example\", and is \"nobody\"",
        ),
        (
            "sender = \"a@b c\"",
            "facts.sender: \"b c\" is not a domain",
        ),
        (
            "stage = \"contents\"",
            "facts.stage: \"contents\" is none of \"recipient\", \"content\"; did you mean \"content\"?",
        ),
        (
            "client = \"mx\"",
            "facts.client: must be an address, such as \"192.0.2.1:25\", \"[2001:db8::1]:25\" or \"192.0.2.1\", and is \"mx\"",
        ),
        (
            "recipients_so_far = 4294967296",
            "facts.recipients_so_far: 4294967296 does not fit into the 32 bits of this fact",
        ),
        (
            "reverse_name_confirmed = true",
            "facts.reverse_name_confirmed: there is no reverse_name to confirm",
        ),
        (
            "handshake_failure_reason = \"x\"",
            "facts.handshake_failure_reason: no handshake failed: give handshake_failure_age, too",
        ),
        (
            "header_from = [\"a\", \"b\"]",
            "facts.header_from[0]: must be a mail address, such as \"amy@partner.example\", and is \"a\"",
        ),
        ("tls = true", "facts.tls: must be a table, and is true"),
        (
            "tls = { versoin = \"1.3\" }",
            "facts.tls.versoin: unknown key; did you mean \"version\"?",
        ),
        (
            "tls = { version = \"1.1\" }",
            "facts.tls.version: must be \"1.2\", \"1.3\" or the wire code of a version, such as 0x0304, and is \"1.1\"",
        ),
        (
            "tls = { client_certificate = \"given\" }",
            "facts.tls.client_certificate: give the certificate, too",
        ),
        (
            "tls = { client_certificate = \"none\", certificate = {} }",
            "facts.tls.client_certificate: a certificate that the host has seen is \"given\"",
        ),
        (
            "tls = { certificate = { spki_sha256 = \"beef\" } }",
            "facts.tls.certificate.spki_sha256: \"beef\" is not a SHA-256 fingerprint: give 64 hex digits",
        ),
        (
            "tls = { certificate = { trust = { sever = \"trusted\" } } }",
            "facts.tls.certificate.trust.sever: unknown key; did you mean \"server\"?",
        ),
        (
            "tenant = \"Acme\"",
            "facts.tenant: must be a name of 1 to 63 of a-z, 0-9 and '-', and is \"Acme\"",
        ),
        (
            "id = \"1\"",
            "facts.id: must be the 26 letters and digits of a ULID, and is \"1\"",
        ),
    ] {
        let found = faults(&with_facts(facts));
        let first = found.lines().next().expect("a fault");
        assert_eq!(first, format!("line 3: case \"a\": {fault}"));
    }
    let found = faults(&with_facts(
        "tls = { certificate = { trust = \"trustd\" } }",
    ));
    assert!(found.ends_with("; did you mean \"trusted\"?"), "{found}");
}

#[test]
fn faults_of_the_file_and_of_what_is_expected() {
    for (text, expected) in [
        (
            "",
            "line 1: there is no case: write [[case]] with name, facts and expect",
        ),
        (
            "case = 1",
            "line 1: case: must be an array, and is 1\nline 1: there is no case: write [[case]] with name, facts and expect",
        ),
        (
            "[[cases]]\n[[case]]\nname = \"a\"\nexpect.decision = \"default\"",
            "line 1: cases: unknown key; did you mean \"case\"?",
        ),
        (
            "[[case]]",
            "line 1: case[0]: \"expect\" is missing\nline 1: case[0]: \"name\" is missing",
        ),
        (
            "[[case]]\nname = \"a\"\nexpect = {}",
            "line 3: case \"a\": expect: \"decision\" is missing (or \"fails\", where the policy is to give no answer)",
        ),
        (
            "[[case]]\nname = \"\"\nexpect.decision = \"default\"",
            "line 2: case[0].name: must say what the case shows",
        ),
        (
            "[[case]]\nname = \"a\"\nexpect.decision = \"default\"\n[[case]]\nname = \"a\"\nexpect.decision = \"default\"",
            "line 5: case[1].name: \"a\" is the case of line 1 already",
        ),
        (
            "[[case]]\nname = \"a\"\nexpect.decision = \"enforce\"",
            "line 3: case \"a\": expect.decision: \"enforce\" is none of \"default\", \"opportunistic\", \"enforced\"; did you mean \"enforced\"?",
        ),
        (
            "[[case]]\nname = \"a\"\nexpect = { fails = \"x\", reason = \"y\" }",
            "line 3: case \"a\": expect.reason: a policy that fails gives no answer: leave it out, or \"fails\"",
        ),
        (
            "[[case]]\nname = \"a\"\nexpect = { decision = \"default\", requirements = [\"certificate-trusted\"] }",
            "line 3: case \"a\": expect.requirements: \"default\" has no requirements: only \"enforced\" has",
        ),
        (
            "[[case]]\nname = \"a\"\nexpect = { decision = \"enforced\", requirements = [\"certificate-trust\"] }",
            "line 3: case \"a\": expect.requirements[0]: \"certificate-trust\" is no requirement; did you mean \"certificate-trusted\"?; there are at-least, post-quantum-key-exchange, certificate-presented, certificate-trusted, certificate-covers, certificate-within, certificate-pinned",
        ),
        (
            "[[case]]\nname = \"a\"\nexpect = { decision = \"enforced\", requirements = [\"at-least\", \"at-least 1.1\", \"certificate-trusted x\", \"certificate-pinned beef\"] }",
            "line 3: case \"a\": expect.requirements[0]: at-least takes a TLS version: 1.2, 1.3 or a wire code\nline 3: case \"a\": expect.requirements[1]: at-least takes a TLS version: 1.2, 1.3 or a wire code: \"1.1\" is none\nline 3: case \"a\": expect.requirements[2]: certificate-trusted takes nothing\nline 3: case \"a\": expect.requirements[3]: certificate-pinned takes SHA-256 digests of public keys: \"beef\" is not a SHA-256 fingerprint: give 64 hex digits",
        ),
        (
            "[[case]]\nname = \"a\"\nexpect = { decision = \"default\", log = [\"seen\"] }",
            "line 3: case \"a\": expect.log[0]: must be a level and a line, such as \"warn: the pins expire tomorrow\", and is \"seen\"",
        ),
        (
            "[lists.partners]\nentries = [\"a\"]\n[[case]]\nname = \"a\"\nlists = { partner = false }\nexpect.decision = \"default\"",
            "line 5: case \"a\": lists.partner: there is no such list; did you mean \"partners\"?",
        ),
        (
            "[lists]\nA = { entries = [] }\nb = { entrys = [] }\nc = { entries = 1 }\nd = { entries = { k = 1 } }\n[[case]]\nname = \"a\"\nexpect.decision = \"default\"",
            "line 2: lists.A: not the name of a list: use 1 to 63 of a-z, 0-9 and '-'\nline 3: lists.b: \"entries\" is missing\nline 3: lists.b.entrys: unknown key; did you mean \"entries\"?\nline 4: lists.c.entries: must be an array of keys, or a table of keys and values, and is 1\nline 5: lists.d.entries.k: must be a text in quotes, and is 1",
        ),
        (
            "settings = 1\n[[case]]\nname = \"a\"\nexpect.decision = \"default\"",
            "line 1: settings: must be a table, and is 1",
        ),
        (
            "settings.x = nan\n[[case]]\nname = \"a\"\nexpect.decision = \"default\"",
            "line 1: settings.x: must be a number that JSON can say, and is nan",
        ),
    ] {
        assert_eq!(faults(text), expected, "{text}");
    }
}

#[test]
fn a_fault_of_the_file_is_told_once_and_all_are_told_in_order() {
    let text = format!(
        "[facts]\nnow = 'late'\n[[case]]\nname = 'a'\n{EXPECT}[[case]]\nname = 'b'\n\
         facts = {{ tls = 1 }}\n{EXPECT}"
    );
    let found = faults(&text);
    let lines: Vec<&str> = found.lines().collect();
    assert_eq!(lines.len(), 2, "{found}");
    assert!(lines[0].starts_with("line 2: facts.now: "), "{found}");
    assert!(
        lines[1].starts_with("line 8: case \"b\": facts.tls: "),
        "{found}"
    );
}

/// What was understood of a line that is broken is not judged.
#[test]
fn errors_of_syntax_are_told_with_the_others() {
    let text = format!("[facts]\nnow = 'late' 1\nsendr = 'x'\n[[case]]\nname = 'a'\n{EXPECT}");
    let found = faults(&text);
    let lines: Vec<&str> = found.lines().collect();
    let [first, second] = lines[..] else {
        unreachable!("{found}");
    };
    assert!(first.starts_with("line 2: not TOML: "), "{found}");
    assert!(
        second.starts_with("line 3: facts.sendr: unknown"),
        "{found}"
    );
}

#[test]
fn depth_is_an_error_and_no_overflow() {
    let deep = 100_000;
    for text in [
        format!("settings.x = {}", "[".repeat(deep)),
        format!("settings.x = {}", "{ a = ".repeat(deep)),
        format!("settings.{}x = 1", "a.".repeat(deep)),
        format!("[settings.{}x]", "a.".repeat(deep)),
    ] {
        let found = faults(&text);
        assert!(found.contains("not TOML"), "{}", &text[..40]);
    }
}

#[test]
fn differences_are_what_differs() {
    let pin: Fingerprint = "0a".repeat(32).parse().expect("a pin");
    let enforced = |message: &Message| -> crate::Result {
        message.warn("seen");
        let requirements = Requirements::tls()
            .at_least(crate::TlsVersion::Tls13)
            .certificate_pinned([pin.clone()]);
        Ok(Answer::enforced(requirements, "always"))
    };
    for (expect, differences) in [
        ("{ decision = 'enforced' }", ""),
        (
            &format!(
                "{{ decision = 'enforced', reason = 'always', log = ['warn: seen'], requirements = ['certificate-pinned {pin}', 'at-least 1.3'] }}"
            ),
            "",
        ),
        (
            "{ decision = 'default' }",
            "decision: expected default, found enforced",
        ),
        (
            "{ decision = 'enforced', requirements = [] }",
            &format!(
                "requirements: expected [], found [\"at-least 1.3\", \"certificate-pinned {pin}\"]"
            ),
        ),
        (
            "{ decision = 'enforced', reason = 'never' }",
            "reason: expected \"never\", found \"always\"",
        ),
        (
            "{ decision = 'enforced', log = [] }",
            "log: expected [], found [\"warn: seen\"]",
        ),
        (
            "{ fails = 'boom' }",
            "failure: expected \"boom\", found enforced",
        ),
    ] {
        let text = format!("[[case]]\nname = 'a'\nexpect = {expect}");
        let failed = failure_of(&text, &enforced);
        match differences {
            "" => assert_eq!(failed, None, "{expect}"),
            told => assert_eq!(
                failed.as_deref(),
                Some(format!("1 of 1 cases failed:\nline 1: case \"a\":\n    {told}").as_str())
            ),
        }
    }
}

/// What [`check_vectors`] panics with, if it does.
fn failure_of<Form>(text: &str, decide: &impl Decide<Form>) -> Option<String> {
    let asked = |message: &Message, settings: &serde_json::Value| {
        let settings = settings.to_string();
        decide.ask(message, &settings)
    };
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check_vectors(text, asked)))
        .err()
        .map(|panic| *panic.downcast::<String>().expect("a text"))
}

#[derive(serde::Deserialize)]
struct Settings {
    list: String,
}

fn listed(message: &Message, settings: &Settings) -> crate::Result {
    if settings.list == "boom" {
        return Err("an error of its own".into());
    }
    let found = message.list(&settings.list).contains("key");
    Ok(Answer::default(format!("{found}")))
}

#[test]
fn failures_are_answers_that_are_not_there() {
    let text = r#"
lists.set = { entries = ["key"] }
[[case]]
name = "an answer"
settings = { list = "set" }
expect = { decision = "default", reason = "true" }
[[case]]
name = "an error"
settings = { list = "boom" }
expect = { fails = "of its own" }
[[case]]
name = "no such list"
settings = { list = "sets" }
expect = { fails = "the list \"sets\", which the tenant does not have" }
[[case]]
name = "settings that are none"
settings = { list = 3 }
expect = { fails = "list: invalid type: integer `3`, expected a string" }
"#;
    check_vectors(text, listed);
    let wrong = text.replace("of its own", "of another");
    assert_eq!(
        failure_of(&wrong, &listed).as_deref(),
        Some(
            "1 of 4 cases failed:\nline 7: case \"an error\":\n    failure: expected \"of another\", found no answer: an error of its own"
        )
    );
    let answered = text.replace("decision = \"default\", reason = \"true\"", "fails = \"x\"");
    assert!(failure_of(&answered, &listed).is_some());
    let failed = text.replace("fails = \"of its own\"", "decision = \"default\"");
    let told = failure_of(&failed, &listed).expect("it fails");
    assert!(
        told.ends_with("decision: expected default, found no answer: an error of its own"),
        "{told}"
    );
}

#[test]
fn a_policy_without_settings_takes_none() {
    let plain = |_: &Message| -> crate::Result { Ok(Answer::default("always")) };
    let text = "[[case]]\nname = 'a'\nexpect.decision = 'default'\n[[case]]\nname = 'b'\nsettings.x = 1\nexpect.fails = 'this policy has none'";
    check_vectors(text, plain);
}

/// Text that TOML can hold between quotes, whatever is in it.
fn quoted(text: &str) -> String {
    format!("{}", toml::Value::String(text.to_owned()))
}

proptest! {
    #[test]
    fn no_text_panics_the_parser(text in any::<String>()) {
        let _ = Vectors::parse(&text);
    }

    /// Pieces of the format in any order come closer to it than any text.
    #[test]
    fn no_pieces_of_a_file_panic_the_parser(
        pieces in proptest::collection::vec(prop_oneof![
            Just("[facts]\n"), Just("[[case]]\n"), Just("[settings]\n"), Just("[lists.a]\n"),
            Just("[facts.tls]\n"), Just("[case]\n"), Just("name = "), Just("expect = "),
            Just("entries = "), Just("now = "), Just("tls = "), Just("certificate = "),
            Just("trust = "), Just("{"), Just("}"), Just("["), Just("]"), Just("\"a\""),
            Just(", "), Just("\n"), Just("false"), Just("1"), Just("-1"), Just("nan"),
            Just("0xffffffffffffffffff"), Just("9999-12-31T23:59:60-23:59"),
            Just("1969-01-01T00:00:00Z"), Just("decision = \"default\""), Just("é"),
        ], 0..40),
    ) {
        let _ = Vectors::parse(&pieces.concat());
    }

    #[test]
    fn cases_are_what_was_written(
        cases in proptest::collection::btree_map(
            "\\PC{1,20}",
            (any::<u32>(), "[a-z]{1,8}", proptest::option::of("\\PC{0,20}")),
            1..8,
        ),
    ) {
        let text: String = cases
            .iter()
            .map(|(name, (now, local, reason))| {
                let reason = reason.as_ref().map_or(String::new(), |reason| {
                    format!("expect.reason = {}\n", quoted(reason))
                });
                format!(
                    "[[case]]\nname = {}\nfacts = {{ now = {now}, sender = \"{local}@a.example\" }}\n\
                     expect.decision = \"opportunistic\"\n{reason}",
                    quoted(name)
                )
            })
            .collect();
        let vectors = Vectors::parse(&text).map_err(|faults| TestCaseError::fail(faults.to_string()))?;
        prop_assert_eq!(vectors.cases.len(), cases.len());
        for (case, (name, (now, local, reason))) in vectors.cases.iter().zip(&cases) {
            prop_assert_eq!(&case.name, name);
            prop_assert_eq!(case.facts.now, u64::from(*now));
            let sender = format!("{local}@a.example");
            prop_assert_eq!(case.facts.sender.as_ref(), Some(&sender));
            let expected = Outcome::Answer {
                decision: "opportunistic".to_owned(),
                requirements: None,
                reason: reason.clone(),
            };
            prop_assert_eq!(&case.expected.outcome, &expected);
        }
    }
}

#[test]
fn a_file_without_cases_is_what_one_question_is_about() {
    let text = "[settings]\na = 1\n[lists.some]\nentries = [\"b\"]\n[facts]\nhelo = \"c\"\n";
    let given = Given::parse(text).expect("no case is wanted");
    assert_eq!(given.facts.helo, "c");
    assert_eq!(given.settings, serde_json::json!({ "a": 1 }));
    assert!(given.lists["some"].contains_key("b"));
    assert_eq!(Given::parse("").expect("nothing is said"), Given::default());
    for (text, said) in [
        (
            "[[case]]\nname = \"a\"\n",
            "line 1: case: is for files of vectors",
        ),
        ("[fact]\n", "did you mean \"facts\"?"),
        ("[facts]\nhelp = \"c\"\n", "did you mean \"helo\"?"),
        ("[facts\n", "not TOML"),
    ] {
        let faults = Given::parse(text).expect_err(text).to_string();
        assert!(faults.contains(said), "{text}: {faults}");
    }
}
