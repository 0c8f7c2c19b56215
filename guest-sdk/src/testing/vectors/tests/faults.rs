//! What is wrong with a file: where, and what to write instead.

use super::*;

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
