use portcullis_sdk::{Answer, Domain, Faults, Message, Requirements, parse_settings, testing};

use super::{Settings, check, decide};

const SETTINGS: &str = r#"{
    "exceptions": {
        "legacy.example": "opportunistic",
        ".legacy.example": "tls",
        "hosted.example": {"within": "provider.example"},
        "relay.example": {"name": "mx.provider.example"}
    }
}"#;

fn from(sender: &str) -> Message {
    testing::message().sender(sender).build()
}

fn answer(message: &Message) -> Answer {
    let settings = parse_settings(SETTINGS).expect("sound settings");
    decide(message, &settings).expect("an answer")
}

fn domain(text: &str) -> Domain {
    text.parse().expect("a domain")
}

#[test]
fn the_certificate_must_be_within_the_senders_domain() {
    for (sender, required) in [
        ("a@partner.example", "partner.example"),
        ("a@mail.partner.example", "mail.partner.example"),
        ("a@mail.hosted.example", "mail.hosted.example"),
        ("a@badlegacy.example", "badlegacy.example"),
    ] {
        assert_eq!(
            answer(&from(sender)),
            Answer::enforced(
                Requirements::tls().certificate_within(domain(required)),
                format!("the certificate must be within {required}"),
            ),
            "{sender}"
        );
    }
}

#[test]
fn exceptions_hold_instead() {
    let tls = Requirements::tls;
    for (sender, expected) in [
        (
            "a@legacy.example",
            Answer::opportunistic("legacy.example is an exception: opportunistic"),
        ),
        (
            "a@mail.legacy.example",
            Answer::enforced(
                tls(),
                "mail.legacy.example is an exception: TLS without certificate",
            ),
        ),
        (
            "a@hosted.example",
            Answer::enforced(
                tls().certificate_within(domain("provider.example")),
                "hosted.example is an exception: the certificate must be within provider.example",
            ),
        ),
        (
            "a@relay.example",
            Answer::enforced(
                tls().certificate_covers(domain("mx.provider.example")),
                "relay.example is an exception: the certificate must cover mx.provider.example",
            ),
        ),
    ] {
        assert_eq!(answer(&from(sender)), expected, "{sender}");
    }
}

#[test]
fn a_sender_without_domain_is_left_to_the_default() {
    let expected = Answer::default("the sender has no domain to match");
    let bounce = testing::message().null_sender().build();
    assert_eq!(answer(&bounce), expected);
    assert_eq!(answer(&from("a@[192.0.2.1]")), expected);
}

#[test]
fn the_answer_is_the_same_before_and_after_starttls() {
    let certificate = testing::certificate()
        .dns_name("mx.other.example")
        .trusted();
    let secured = testing::message()
        .sender("a@partner.example")
        .tls(testing::tls().certificate(certificate))
        .build();
    assert_eq!(answer(&secured), answer(&from("a@partner.example")));
}

#[test]
fn settings_may_be_empty() {
    let settings: Settings = parse_settings("{}").expect("no exceptions");
    assert!(settings.exceptions.is_empty());
}

#[test]
fn faults_in_settings_name_their_path() {
    for (json, fault) in [
        (
            r#"{"exceptions": {"a.example": "none"}}"#,
            "exceptions.a.example: unknown variant `none`",
        ),
        (
            r#"{"exceptions": {"a.example": {"within": "a b"}}}"#,
            "exceptions.a.example.within: \"a b\" is not a domain",
        ),
        (
            r#"{"exceptions": {"a b": "tls"}}"#,
            "exceptions: \"a b\" is not a domain",
        ),
        (r#"{"except": {}}"#, "except: unknown field"),
    ] {
        let found = parse_settings::<Settings>(json).expect_err(json);
        assert!(found.starts_with(fault), "{found}");
    }
}

#[test]
fn nobody_excepts_everybody() {
    for (json, expected) in [
        (SETTINGS, &[][..]),
        (
            r#"{"exceptions": {"*": "tls"}}"#,
            &["exceptions.*: would except everybody: name domains"],
        ),
    ] {
        let mut faults = Faults::new();
        check(&parse_settings(json).expect(json), &mut faults);
        assert_eq!(faults.as_slice(), expected);
    }
}
