use portcullis_sdk::{Answer, Message, Requirements, TlsVersion, parse_settings, testing};

use super::{Settings, decide};

const LISTED: &str = r#"
    "modern.example": {},
    "old.example": {"minimum": "1.2"},
    ".old.example": {"minimum": "1.3"},
    "quantum.example": {"post_quantum": true},
    "both.example": {"minimum": "1.2", "post_quantum": true}
"#;

fn answer(message: &Message, domains: &str) -> Answer {
    let settings = format!(r#"{{"domains": {{{domains}}}}}"#);
    let settings = parse_settings(&settings).expect("sound settings");
    decide(message, &settings).expect("an answer")
}

fn from(sender: &str) -> Message {
    testing::message().sender(sender).build()
}

#[test]
fn each_domain_has_its_demand() {
    let version = |version| Requirements::tls().at_least(version);
    for (sender, requirements, reason) in [
        (
            "a@modern.example",
            version(TlsVersion::Tls13),
            "TLS 1.3 is demanded of modern.example",
        ),
        (
            "a@old.example",
            version(TlsVersion::Tls12),
            "TLS 1.2 is demanded of old.example",
        ),
        (
            "a@mx.old.example",
            version(TlsVersion::Tls13),
            "TLS 1.3 is demanded of mx.old.example",
        ),
        (
            "a@quantum.example",
            version(TlsVersion::Tls13).post_quantum_key_exchange(),
            "TLS 1.3 and a post-quantum key exchange are demanded of quantum.example",
        ),
        (
            "a@both.example",
            version(TlsVersion::Tls12).post_quantum_key_exchange(),
            "TLS 1.2 and a post-quantum key exchange are demanded of both.example",
        ),
    ] {
        let expected = Answer::enforced(requirements, reason);
        assert_eq!(answer(&from(sender), LISTED), expected, "{sender}");
    }
}

#[test]
fn others_are_left_to_the_default() {
    let bounce = testing::message().null_sender().build();
    for (message, reason) in [
        (
            from("a@stranger.example"),
            "nothing is demanded of stranger.example",
        ),
        (
            from("a@mx.modern.example"),
            "nothing is demanded of mx.modern.example",
        ),
        (bounce, "nothing is demanded of a sender without domain"),
    ] {
        assert_eq!(answer(&message, LISTED), Answer::default(reason));
    }
}

#[test]
fn a_star_is_everybody_else() {
    let domains = format!(r#"{LISTED}, "*": {{"minimum": "1.2"}}"#);
    let bounce = testing::message().null_sender().build();
    for (message, who) in [
        (from("a@stranger.example"), "stranger.example"),
        (from("a@[192.0.2.1]"), "a sender without domain"),
        (bounce, "a sender without domain"),
    ] {
        let expected = Answer::enforced(
            Requirements::tls().at_least(TlsVersion::Tls12),
            format!("TLS 1.2 is demanded of {who}"),
        );
        assert_eq!(answer(&message, &domains), expected);
    }
    let listed = answer(&from("a@modern.example"), &domains);
    assert_eq!(listed.reason, "TLS 1.3 is demanded of modern.example");
}

#[test]
fn faults_in_settings_name_their_path() {
    for (json, fault) in [
        ("{}", "settings: missing field `domains`"),
        (
            r#"{"domains": {"a.example": {"minimum": "1.1"}}}"#,
            "domains.a.example.minimum: \"1.1\" is not a TLS version: write \"1.2\" or \"1.3\"",
        ),
        (
            r#"{"domains": {"a.example": {"quantum": true}}}"#,
            "domains.a.example.quantum: unknown field",
        ),
        (
            r#"{"domains": {"a.example": {}, "A.example": {}}}"#,
            "domains: \"A.example\" is there twice",
        ),
    ] {
        let found = parse_settings::<Settings>(json).expect_err(json);
        assert!(found.starts_with(fault), "{found}");
    }
}
