use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::decision::{Decision, Requirement};
use crate::policy::{Choice, Consultation, Who};

/// Files in a directory of their own.
pub(super) struct Files(TempDir);

impl Files {
    pub(super) fn new() -> Self {
        let files = Self(TempDir::new().expect("a directory"));
        files.write("portcullis.toml", "");
        files
    }

    pub(super) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, text).expect("written");
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn read(&self) -> Result<Config, String> {
        let prefix = format!("{}/", self.0.path().display());
        Config::read(&self.path("portcullis.toml")).map_err(|faults| {
            let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
            lines.join("\n").replace(&prefix, "")
        })
    }
}

/// The faults of one tenant's file, with a domain at its top.
pub(super) fn faults_of(tenant: &str) -> String {
    let files = Files::new();
    files.write(
        "tenants/a.toml",
        format!("domains = [\"a.example\"]\n{tenant}"),
    );
    files.read().err().unwrap_or_default()
}

pub(super) fn sound(tenant: &str) -> Config {
    let files = Files::new();
    files.write(
        "tenants/a.toml",
        format!("domains = [\"a.example\"]\n{tenant}"),
    );
    files.write("tenants/m.wasm", "");
    files.read().expect("no fault")
}

#[test]
fn eight_faults_in_three_files_are_reported_at_once() {
    let files = Files::new();
    files.write(
        "portcullis.toml",
        r#"
hostname = "mx example"
[[listener]]
address = "0.0.0.0"
require_tls = true
"#,
    );
    files.write(
        "tenants/acme.toml",
        r#"
domains = ["acme.example"]
[lists.partners]
entries = ["partner.example"]
[[policy]]
name = "partners"
from = "list:partner"
sources = ["192.0.2.1/24"]
option = "enforced"
"#,
    );
    files.write(
        "tenants/zeta.toml",
        r#"
domains = ["zeta.example", "ACME.example."]
[trust]
self_signed = "yes"
[[policy]]
nmae = "all"
name = "all"
option = "default"
"#,
    );
    assert_eq!(
        files.read().err().unwrap_or_default(),
        r#"portcullis.toml:2: hostname: "mx example" is not a domain name
portcullis.toml:4: listener[0].address: "0.0.0.0" is not an address and port: write "192.0.2.1:25" or "[2001:db8::1]:25"
portcullis.toml:5: listener[0].require_tls: a public listener must not require TLS (RFC 3207): set private = true, or let a tenant's policy enforce it
tenants/acme.toml:7: policy[0].from: there is no list "partner"; did you mean "partners"?
tenants/acme.toml:8: policy[0].sources[0]: "192.0.2.1/24" has bits beyond its prefix: write 192.0.2.0/24
tenants/zeta.toml:2: domains[1]: acme.example is taken already, at tenants/acme.toml:2: domains[0]
tenants/zeta.toml:4: trust.self_signed: "yes" is none of "refuse", "accept-pinned", "accept"
tenants/zeta.toml:6: policy[0].nmae: unknown key; did you mean "name"?"#
    );
}

#[test]
fn an_empty_file_is_a_host() {
    let files = Files::new();
    let config = files.read().expect("no fault");
    assert_eq!(config.listeners.len(), 1);
    let listener = &config.listeners[0];
    assert_eq!(listener.address.to_string(), "127.0.0.1:2525");
    assert_eq!(listener.tls, ListenerTls::Starttls);
    assert!(listener.ask_client_certificate && !listener.require_tls);
    assert_eq!(config.maildirs, files.path("data/mail"));
    assert_eq!(config.limits.message_size, 25 << 20);
    assert_eq!(config.default, Resolved::Opportunistic);
    assert!(config.tenants.is_empty());
}

#[test]
fn the_engine_keeps_its_own_defaults() {
    let config = Files::new().read().expect("no fault");
    let own = EngineSettings::new(config.engine.cache.clone());
    assert_eq!(format!("{:?}", config.engine), format!("{own:?}"));
}

#[test]
fn faults_of_the_host() {
    for (text, expected) in [
        (
            "[[listener]]\naddress = \"127.0.0.1:25\"\n[[listener]]\naddress = \"127.0.0.1:25\"",
            "portcullis.toml:4: listener[1].address: 127.0.0.1:25 is the address of portcullis.toml:1: listener[0] already",
        ),
        (
            "[[listener]]\nname = \"a\"\naddress = \"127.0.0.1:0\"\n[[listener]]\nname = \"a\"\naddress = \"127.0.0.1:0\"",
            "portcullis.toml:5: listener[1].name: the name a is that of portcullis.toml:1: listener[0] already",
        ),
        (
            "[[listener]]\naddress = \"127.0.0.1:25\"\ntls = \"none\"\nprivate = true\nrequire_tls = true",
            "portcullis.toml:5: listener[0].require_tls: a listener without TLS cannot require it: set tls = \"starttls\"",
        ),
        (
            "[[listener]]\nname = \"smtp\"",
            "portcullis.toml:1: listener[0]: \"address\" is missing",
        ),
        (
            "[limits]\nrecipients = 99\nmessage_size = 0xffff",
            "portcullis.toml:2: limits.recipients: 99 is not within 100 to 100000\n\
             portcullis.toml:3: limits.message_size: 0xffff is not within 65536 to 1073741824",
        ),
        (
            "[limits]\nerrors = \"ten\"",
            "portcullis.toml:2: limits.errors: found a string, expected a whole number",
        ),
        (
            "[defaults]\ndecision = \"enforced\"",
            "portcullis.toml:2: defaults.decision: the host must not enforce TLS on the public listener smtp (RFC 3207): set the default of each tenant instead, or private = true for every listener",
        ),
        (
            "[[tls.certificate]]\nchain = \"mx.pem\"",
            "portcullis.toml:1: tls.certificate[0]: \"key\" is missing\n\
             portcullis.toml:2: tls.certificate[0].chain: \"mx.pem\" cannot be read: No such file or directory (os error 2)",
        ),
        (
            "tenants = \"nowhere\"",
            "portcullis.toml:1: tenants: the directory \"nowhere\" of tenants cannot be read: No such file or directory (os error 2)",
        ),
        (
            "[tls]\npublic_roots = \".\"",
            "portcullis.toml:2: tls.public_roots: \".\" is not a file",
        ),
        (
            "limits = 3",
            "portcullis.toml:1: limits: found an integer, expected a table",
        ),
    ] {
        let files = Files::new();
        files.write("portcullis.toml", text);
        let found = files.read().err().unwrap_or_default();
        let found = found.replace("\"./", "\"").replace("/.\"", ".\"");
        let found = found.replace(&format!("{}", files.0.path().display()), "");
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn faults_of_a_tenant() {
    for (text, expected) in [
        (
            "contact = \"a\\r\\n250 ok\"",
            "tenants/a.toml:2: contact: \"a\\r\\n250 ok\" is not one line of printable ASCII, as replies need it",
        ),
        (
            "[lists.\"A b\"]\nentries = []",
            "tenants/a.toml:2: lists.\"A b\": \"A b\" is not a name: use 1 to 63 of a-z, 0-9 and '-', beginning with a letter or digit",
        ),
        (
            "[lists.a]\nentries = [\"x\", \"y\",\n\"x\"]\nfile = \"a.txt\"\n[lists.b]",
            "tenants/a.toml:5: lists.a.file: a list has either entries or a file: remove one\n\
             tenants/a.toml:6: lists.b: a list needs entries or a file",
        ),
        (
            "[lists.a]\nentries = [\"x\", \"y\",\n\"x\"]",
            "tenants/a.toml:4: lists.a.entries: \"x\" is in line 3 already",
        ),
        (
            "[[policy]]\nname = \"p\"\noption = \"module\"",
            "tenants/a.toml:2: policy[0]: \"module\" is missing",
        ),
        (
            "[[policy]]\nname = \"p\"\noption = \"module\"\nmodule = \"m\"",
            "tenants/a.toml:5: policy[0].module: there is no module \"m\"",
        ),
        (
            "[[policy]]\nname = \"p\"\noption = \"default\"\nsettings = {}\nrequire = { tls = \"1.3\" }",
            "tenants/a.toml:5: policy[0].settings: means something only with option = \"module\": remove it\n\
             tenants/a.toml:6: policy[0].require: means something only with option = \"enforced\": remove it",
        ),
        (
            "[[policy]]\nname = \"p\"\noption = \"enforced\"\nrequire = { tls = \"1.1\", pins = [], covers = \"a b\" }",
            "tenants/a.toml:5: policy[0].require.covers: \"a b\" is not a domain name\n\
             tenants/a.toml:5: policy[0].require.pins: no key could meet an empty list of pins: name one, or remove it\n\
             tenants/a.toml:5: policy[0].require.tls: \"1.1\" is none of \"1.2\", \"1.3\"; did you mean \"1.2\"?",
        ),
        (
            "[[policy]]\nname = \"p\"\noption = \"default\"\nbased_on = \"headers\"",
            "tenants/a.toml:5: policy[0].based_on: \"headers\" is none of \"envelope\", \"header\", \"both\"; did you mean \"header\"?",
        ),
        (
            "[[policy]]\nname = \"p\"\noption = \"default\"\n[[policy]]\nname = \"p\"\noption = \"default\"",
            "tenants/a.toml:6: policy[1].name: p names a policy already, at tenants/a.toml:2: policy[0]",
        ),
        (
            "[[policy]]\nname = \"p\"\nfrom = \"extrenal\"\noption = \"default\"",
            "tenants/a.toml:4: policy[0].from: \"extrenal\" is neither \"everyone\", \"internal\", \"external\", a domain (\"example.com\", or \".example.com\" for the domains below it), \"list:NAME\" nor an address; did you mean \"external\"?",
        ),
        (
            "[[policy]]\nname = \"p\"\nsources = [\"::ffff:192.0.2.0/120\", \"x\", \"192.0.2.1\"]\noption = \"default\"",
            "tenants/a.toml:4: policy[0].sources[0]: \"::ffff:192.0.2.0/120\" matches nothing: an IPv4 client is matched by its IPv4 address: write it without ::ffff:\n\
             tenants/a.toml:4: policy[0].sources[1]: \"x\" is not a network: write \"192.0.2.0/24\" or \"2001:db8::/32\"",
        ),
        (
            "[lists.g]\nentries = [\"ok.example\", \"Not.example\", \"CEO@a.example\"]\n[[policy]]\nname = \"p\"\nto = \"list:g\"\noption = \"default\"",
            "tenants/a.toml:3: lists.g.entries: \"CEO@a.example\" matches nothing: write \"ceo@a.example\"\n\
             tenants/a.toml:3: lists.g.entries: \"Not.example\" matches nothing: write \"not.example\"",
        ),
        (
            "[[module]]\nname = \"m\"\npath = \"none.wasm\"\n[trust]\npins = [\"beef\"]\nanchors = [\"none.pem\"]",
            "tenants/a.toml:4: module[0].path: \"tenants/none.wasm\" cannot be read: No such file or directory (os error 2)\n\
             tenants/a.toml:6: trust.pins[0]: \"beef\" is not a SHA-256 digest: give 64 hex digits\n\
             tenants/a.toml:7: trust.anchors[0]: \"tenants/none.pem\" cannot be read: No such file or directory (os error 2)",
        ),
        (
            &format!(
                "[[policy]]\nname = \"p\"\noption = \"default\"\nnarrative = \"{}\"",
                "é".repeat(501)
            ),
            "tenants/a.toml:5: policy[0].narrative: 501 characters are over the limit of 500",
        ),
        (
            "policy = [3]",
            "tenants/a.toml:2: policy[0]: found an integer, expected a table",
        ),
    ] {
        assert_eq!(faults_of(text), expected, "{text}");
    }
}

#[test]
fn files_that_cannot_be_tenants() {
    let files = Files::new();
    files.write("tenants/Acme.toml", "domains = [\"a.example\"]");
    files.write("tenants/binary.toml", b"domains = [\"b.example\"]\n# \xff");
    files.write("tenants/directory.toml/x", "");
    files.write("tenants/none.toml", "domains = []");
    files.write("tenants/.hidden.toml", "?");
    files.write("tenants/backup.toml~", "?");
    assert_eq!(
        files.read().err().unwrap_or_default(),
        "tenants/Acme.toml: \"Acme\" is not a name: use 1 to 63 of a-z, 0-9 and '-', beginning with a letter or digit, and name the file so\n\
         tenants/binary.toml:2: not UTF-8: save the file in that encoding\n\
         tenants/directory.toml: \"tenants/directory.toml\" is not a file\n\
         tenants/none.toml:1: domains: a tenant needs at least one domain"
    );
}

#[test]
fn a_missing_file_is_a_fault() {
    let fault = Config::read(Path::new("nowhere/portcullis.toml")).expect_err("missing");
    assert_eq!(
        fault[0].to_string(),
        "nowhere/portcullis.toml: \"nowhere/portcullis.toml\" cannot be read: No such file or directory (os error 2)"
    );
}

#[test]
fn errors_of_syntax_are_reported_beside_other_faults() {
    let found = faults_of("contact = \"open\n[trust]\nself_signed = \"yes\"\npublic_roots = tru\n");
    let lines: Vec<&str> = found.lines().collect();
    assert!(
        lines[0].starts_with("tenants/a.toml:2: not TOML: "),
        "{found}"
    );
    assert!(
        lines[1].starts_with("tenants/a.toml:4: trust.self_signed: "),
        "{found}"
    );
    assert!(
        lines[2].starts_with("tenants/a.toml:5: not TOML: "),
        "{found}"
    );
    assert_eq!(lines.len(), 3, "{found}");
}

#[test]
fn a_broken_header_does_not_misplace_the_keys_below_it() {
    let found = faults_of("[[policy]\nname = \"p\"\noption = \"default\"");
    assert_eq!(found.lines().count(), 1, "{found}");
    assert!(found.starts_with("tenants/a.toml:2: not TOML: "), "{found}");
}

#[test]
fn a_tenant_in_full() {
    let config = sound(
        r#"
[defaults]
decision = "enforced"
on_failure = "enforced"
[lists.map]
entries = { "a.example" = "trusted", "b.example" = "" }
[[module]]
name = "m"
path = "m.wasm"
[[policy]]
name = "asks"
option = "module"
module = "m"
settings = { "b" = [1, 2.5, true], a = { when = 2026-01-01 } }
[[policy]]
name = "constant"
from = ".Example.com"
option = "enforced"
require = { tls = "1.3", certificate = "trusted" }
"#,
    );
    assert_eq!(config.tenants.len(), 1);
    let tenant = &config.tenants[0];
    assert_eq!(tenant.id.as_str(), "a");
    assert_eq!(tenant.default, Some(Resolved::Enforced(Default::default())));
    let map = tenant.lists.get("map").expect("the list");
    assert_eq!(map.get("a.example"), Some("trusted"));
    let settings = serde_json::json!({"b": [1, 2.5, true], "a": {"when": "2026-01-01"}});
    let consultation = Consultation::new("m".parse().expect("a name"), &settings);
    assert_eq!(
        &*consultation.settings,
        r#"{"a":{"when":"2026-01-01"},"b":[1,2.5,true]}"#
    );
    assert_eq!(
        tenant.policies[0].policy.option,
        Choice::Module(consultation)
    );
    assert_eq!(
        tenant.policies[0].policy.on_failure,
        crate::policy::OnFailure::Enforced
    );
    let constant = &tenant.policies[1].policy;
    assert_eq!(
        constant.from,
        Who::Below("example.com".parse().expect("a domain"))
    );
    let required = [
        Requirement::AtLeast(crate::facts::TlsVersion::TLS13),
        Requirement::Trusted,
    ];
    assert_eq!(
        constant.option,
        Choice::Constant(Decision::Enforced(required.into_iter().collect()))
    );
}

#[test]
fn faults_of_settings_are_at_their_keys() {
    let config = sound(
        "[[module]]\nname = \"m\"\npath = \"m.wasm\"\n[[policy]]\nname = \"p\"\noption = \"module\"\n\
         module = \"m\"\n[policy.settings]\nlist = 3\n\"a/b\" = [1,\n 2]\n\
         [[policy]]\nname = \"q\"\noption = \"module\"\nmodule = \"m\"\n",
    );
    let of = |index: usize, pointer: &str| {
        let settings = config.tenants[0].policies[index].settings.as_ref();
        let at = settings.expect("settings").fault(pointer, "").at;
        (at.line.expect("a line"), at.key)
    };
    for (index, pointer, line, key) in [
        (0, "/list", 10, "policy[0].settings.list"),
        (0, "/a~1b/1", 12, "policy[0].settings.\"a/b\"[1]"),
        (0, "/a~1b/7/x", 11, "policy[0].settings.\"a/b\""),
        (0, "/absent", 9, "policy[0].settings"),
        (0, "", 9, "policy[0].settings"),
        (1, "/absent", 13, "policy[1].settings"),
    ] {
        assert_eq!(of(index, pointer), (line, key.to_owned()), "{pointer}");
    }
}

#[test]
fn numbers_that_json_cannot_carry() {
    let found = faults_of(
        "[[policy]]\nname = \"p\"\noption = \"module\"\nmodule = \"m\"\n\
         settings = { a = nan, b = 99999999999999999999 }",
    );
    assert!(
        found.contains(":6: policy[0].settings.a: nan is no number"),
        "{found}"
    );
    assert!(
        found.contains("settings.b: 99999999999999999999 is no number"),
        "{found}"
    );
}

#[test]
fn a_list_of_its_own_file() {
    let files = Files::new();
    files.write(
        "tenants/a.toml",
        "domains = [\"a.example\"]\n[lists.p]\nfile = \"p.txt\"\n",
    );
    files.write(
        "tenants/p.txt",
        "# partners\r\na.example\tx y\r\n\n b.example => z \nc.example",
    );
    let config = files.read().expect("no fault");
    let list = config.tenants[0].lists.get("p").expect("the list");
    assert_eq!(list.len(), 3);
    assert_eq!(list.get("a.example"), Some("x y"));
    assert_eq!(list.get("b.example"), Some("z"));
    assert_eq!(list.get("c.example"), Some(""));

    files.write("tenants/p.txt", "a\nb\na\n");
    assert_eq!(
        files.read().err().unwrap_or_default(),
        "tenants/p.txt:3: \"a\" is in line 1 already"
    );
    files.write("tenants/p.txt", "a\n".repeat(30));
    let found = files.read().err().unwrap_or_default();
    assert_eq!(found.lines().count(), 11, "{found}");
    assert!(found.ends_with("19 more entries of this list have faults, from here on"));
}

/// A thousand policies of the largest size come to more than a host's own file may have.
#[test]
fn a_tenants_file_may_be_large() {
    let files = Files::new();
    let long = "x".repeat(60_000);
    let policies: String = (0..100)
        .map(|n| format!("[[policy]]\nname = \"p{n}\"\noption = \"module\"\nmodule = \"m\"\nsettings = {{ a = {long:?} }}\n"))
        .collect();
    files.write("tenants/m.wasm", "bytes");
    let head = "domains = [\"a.example\"]\n[[module]]\nname = \"m\"\npath = \"m.wasm\"\n";
    files.write("tenants/a.toml", format!("{head}{policies}"));
    let config = files.read().expect("no fault");
    assert_eq!(config.tenants[0].policies.len(), 100);
    files.write("portcullis.toml", format!("#{}\n", "x".repeat(5 << 20)));
    let refused = files.read().expect_err("the host's own");
    assert!(refused.contains("over the limit of 4194304"), "{refused}");
}

/// Whoever asks for a reload has to find the host whatever is wrong there, and no other one.
#[test]
fn a_data_directory_is_found_above_what_is_wrong() {
    let files = Files::new();
    let named = |text: &str| {
        files.write("portcullis.toml", text);
        let found = Config::read_data_dir(&files.path("portcullis.toml"));
        found.map(|path| path.strip_prefix(files.0.path()).map(ToOwned::to_owned))
    };
    for (text, name) in [
        ("", "data"),
        ("[limits]\nsessions = 9\n", "data"),
        ("data_dir = \"d\"\n", "d"),
        ("data_dir = \"d\"\nodd = 1\nhostname = 7\n", "d"),
        ("data_dir = \"d\"\r\n[limits\r\nsessions = 9\r\n", "d"),
        ("data_dir = \"d\"\nhostname = \"\"\"x\n", "d"),
        ("data_dir = \"d\"\n[limits]\n[limits]\n", "d"),
    ] {
        assert_eq!(named(text), Some(Ok(name.into())), "{text:?}");
    }
    for text in [
        "data_dir = 5\n",
        "data-dir = \"d\"\n",
        "[limits\ndata_dir = \"d\"\n",
        "hostname == \"x\"\ndata_dir = \"d\"\n",
        "hostname = \"\"\"x\ndata_dir = \"d\"\n",
        "hostname = \"\"\"x\n",
    ] {
        assert_eq!(named(text), None, "{text:?}");
    }
}
