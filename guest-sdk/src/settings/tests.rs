//! Settings of every kind: what their faults say, and what the host is told of them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::*;
use crate::{
    Date, Domain, DomainMap, DomainSet, Fingerprint, Period, Pins, Share, TlsVersion, Weekday,
};

/// Settings of the test, which have one of everything.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// What is demanded of each partner.
    partners: DomainMap<Partner>,
    /// The days on which it holds.
    #[serde(default = "weekend")]
    days: Vec<Weekday>,
    /// The oldest version.
    #[serde(default = "newest")]
    minimum: TlsVersion,
    /// How long.
    #[serde(default = "fortnight")]
    grace: Period,
    /// How many.
    #[serde(default)]
    #[schemars(example = 25)]
    share: Share,
    /// Who is left out.
    #[serde(default)]
    exempt: DomainSet,
    /// By name of a route.
    #[serde(default)]
    routes: BTreeMap<String, Route>,
    /// Until when.
    until: Option<Date>,
    /// Servers.
    #[serde(default)]
    servers: Vec<IpAddr>,
}

/// What is demanded of a partner.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Partner {
    /// Its keys.
    pins: Pins,
    /// What holds without them.
    #[serde(default)]
    then: Then,
}

/// What holds without a pin.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Then {
    /// Nothing else.
    #[default]
    Refuse,
    /// A certificate within this domain.
    Within(Domain),
    /// A certificate with this key.
    OneKey { key: Fingerprint },
}

/// A kind of route.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum Route {
    /// By address.
    Server { address: IpAddr },
}

fn weekend() -> Vec<Weekday> {
    vec![Weekday::Saturday, Weekday::Sunday]
}

fn newest() -> TlsVersion {
    TlsVersion::Tls13
}

fn fortnight() -> Period {
    Period::days(14)
}

#[test]
fn faults_name_their_path() {
    let pin = "0a".repeat(32);
    for (json, fault) in [
        (
            r#"{"partners": {"a.example": {"pins": ["beef"]}}}"#,
            "partners.a.example.pins[0]: \"beef\" is not",
        ),
        (
            r#"{"partners": {"a.example": {"pins": []}}}"#,
            "partners.a.example.pins: 0 pins: give 1 to 256",
        ),
        (
            r#"{"partners": {"a.example": {"pin": []}}}"#,
            "partners.a.example.pin: unknown field `pin`, expected `pins` or `then`",
        ),
        (
            r#"{"partners": {"a.example": {}}}"#,
            "partners.a.example: missing field `pins`",
        ),
        (
            &format!(r#"{{"partners": {{"a.example": {{"pins": ["{pin}"], "then": "tls"}}}}}}"#),
            "partners.a.example.then: unknown variant `tls`, expected one of `refuse`, `within`, `one-key`",
        ),
        (
            &format!(
                r#"{{"partners": {{"a.example": {{"pins": ["{pin}"], "then": {{"within": "a b"}}}}}}}}"#
            ),
            "partners.a.example.then.within: \"a b\" is not a domain",
        ),
        (
            &format!(
                r#"{{"partners": {{"a.example": {{"pins": ["{pin}"], "then": {{"one-key": {{"key": "beef"}}}}}}}}}}"#
            ),
            "partners.a.example.then.one-key.key: \"beef\" is not a SHA-256 fingerprint",
        ),
        (
            r#"{"partners": {"a b": {}}}"#,
            "partners: \"a b\" is not a domain",
        ),
        (
            r#"{"partners": 3}"#,
            "partners: invalid type: integer `3`, expected an object with domains as keys",
        ),
        (
            r#"{"partners": {}, "days": ["monday", "someday"]}"#,
            "days[1]: unknown variant `someday`, expected one of `monday`",
        ),
        (
            r#"{"partners": {}, "minimum": "1.1"}"#,
            "minimum: \"1.1\" is not a TLS version",
        ),
        (
            r#"{"partners": {}, "grace": 14}"#,
            "grace: invalid type: integer `14`, expected a string",
        ),
        (
            r#"{"partners": {}, "grace": "2 weeks"}"#,
            "grace: \"2 weeks\" is not a length of time: write 14d",
        ),
        (
            r#"{"partners": {}, "share": 101}"#,
            "share: 101 is no share: give per cent, from 0 to 100",
        ),
        (
            r#"{"partners": {}, "exempt": ["a.example", "b c"]}"#,
            "exempt[1]: \"b c\" is not a domain",
        ),
        (
            r#"{"partners": {}, "routes": {"x": {"kind": "server", "address": "mx"}}}"#,
            "routes.x: invalid IP address",
        ),
        (
            r#"{"partners": {}, "routes": {"x": {"kind": "sever"}}}"#,
            "routes.x.kind: unknown variant `sever`",
        ),
        (
            r#"{"partners": {}, "until": "2027-02-30"}"#,
            "until: \"2027-02-30\" is not a day",
        ),
        (
            r#"{"partners": {}, "servers": ["192.0.2.1", "mx"]}"#,
            "servers[1]: invalid IP address",
        ),
        (
            r#"{"partners": {}, "dayz": []}"#,
            "dayz: unknown field `dayz`",
        ),
        ("{}", "settings: missing field `partners`"),
        (r#"{"partners": {}} {}"#, "settings: trailing characters"),
        ("", "settings: EOF while parsing"),
    ] {
        let found = parse_settings::<Settings>(json).expect_err(json);
        assert!(found.starts_with(fault), "{found}\n{fault}");
    }
}

fn schema() -> Value {
    serde_json::from_str(&settings_schema::<Settings>()).expect("a schema is JSON")
}

#[test]
fn a_schema_has_descriptions_defaults_and_examples() {
    let schema = schema();
    assert_eq!(schema["type"], "object");
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["required"], json!(["partners"]));
    assert_eq!(
        schema["description"],
        "Settings of the test, which have one of everything."
    );
    let property = |name: &str| &schema["properties"][name];
    for (name, key, expected) in [
        (
            "partners",
            "description",
            json!("What is demanded of each partner."),
        ),
        ("days", "description", json!("The days on which it holds.")),
        ("days", "default", json!(["saturday", "sunday"])),
        ("minimum", "default", json!("1.3")),
        ("grace", "default", json!("14d")),
        ("share", "default", json!(0.0)),
        ("share", "examples", json!([25])),
        ("exempt", "default", json!([])),
        ("routes", "default", json!({})),
        ("servers", "default", json!([])),
    ] {
        assert_eq!(property(name)[key], expected, "{name}: {key}");
    }
    let definition = |name: &str| &schema["$defs"][name];
    assert_eq!(definition("Date")["format"], "date");
    for (name, example) in [
        ("Date", json!(["2026-12-31"])),
        ("Period", json!(["14d"])),
        ("Share", json!([25])),
    ] {
        assert_eq!(definition(name)["examples"], example, "{name}");
    }
    assert_eq!(
        definition("Partner")["properties"]["then"]["default"],
        "refuse"
    );
    assert_eq!(definition("Pins")["minItems"], 1);
}

/// The text of every case of an enum is in its schema, with what it means.
#[test]
fn a_schema_has_the_cases_of_enums_and_the_keys_of_maps() {
    let schema = schema();
    let definition = |name: &str| schema["$defs"][name].to_string();
    for (name, texts) in [
        ("Weekday", &["\"saturday\"", "a day of the week"][..]),
        (
            "Then",
            &[
                "\"refuse\"",
                "\"within\"",
                "\"one-key\"",
                "Nothing else.",
                "A certificate within this domain.",
            ],
        ),
        ("Route", &["\"server\"", "By address.", "\"address\""]),
        (
            "Domains_to_Partner",
            &["patternProperties", "#/$defs/Partner"],
        ),
        ("Domains", &["\"pattern\"", "\".partner.example\""]),
    ] {
        let definition = definition(name);
        for text in texts {
            assert!(
                definition.contains(text),
                "{name}: {text} is not in {definition}"
            );
        }
    }
}

#[test]
fn no_settings_are_an_empty_object_or_nothing() {
    for json in ["", "{}", " { } ", "null"] {
        assert_eq!(expect_no_settings(json), Ok(()));
    }
    for json in [r#"{"a": 1}"#, "[]", "0"] {
        assert!(expect_no_settings(json).is_err(), "{json}");
    }
    assert!(serde_json::from_str::<serde_json::Value>(NO_SETTINGS).is_ok());
}
