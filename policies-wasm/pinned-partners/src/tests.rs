use portcullis_sdk::testing::{MessageBuilder, certificate, message, tls};
use portcullis_sdk::{Answer, Domain, Faults, Fingerprint, Level, Requirements, parse_settings};

use super::{Date, Settings, check, date, decide};

/// Pins that expired at the end of 2025-12-31 where they expire at all; `then` is
/// filled in.
const SETTINGS: &str = r#"{
    "partners": {
        "single.example": {"current": "AA"},
        "both.example": {"current": "AA", "next": "BB"},
        "dated.example": {"current": "AA", "next": "BB", "expires": "2025-12-31", "then": "THEN"}
    }
}"#;

fn key(byte: &str) -> Fingerprint {
    byte.repeat(32).parse().expect("a fingerprint")
}

fn settings(then: &str) -> Settings {
    let json = SETTINGS
        .replace("AA", key("aa").as_str())
        .replace("BB", key("bb").as_str())
        .replace("THEN", then);
    parse_settings(&json).expect("sound settings")
}

/// The answer, and the lines that were logged with it.
fn ask(message: MessageBuilder, then: &str) -> (Answer, Vec<String>) {
    let message = message.build();
    let answer = decide(&message, &settings(then)).expect("an answer");
    let lines = message.logged().into_iter().map(|(level, line)| {
        assert_eq!(level, Level::Warn);
        line
    });
    (answer, lines.collect())
}

fn from(sender: &str) -> MessageBuilder {
    message().sender(sender)
}

fn pinned(keys: &[&str]) -> Requirements {
    Requirements::tls().certificate_pinned(keys.iter().map(|byte| key(byte)))
}

/// The end of 2025-12-31.
fn expiry() -> u64 {
    "2025-12-31".parse::<Date>().expect("a day").end()
}

#[test]
fn partners_are_pinned_to_their_keys() {
    for (sender, keys, reason) in [
        ("a@single.example", &["aa"][..], "single.example is pinned"),
        ("a@both.example", &["aa", "bb"], "both.example is pinned"),
    ] {
        let expected = Answer::enforced(pinned(keys), reason);
        assert_eq!(ask(from(sender), "refuse"), (expected, vec![]), "{sender}");
    }
}

#[test]
fn others_are_left_to_the_default() {
    for (message, reason) in [
        (from("a@stranger.example"), "stranger.example has no pins"),
        (from("a@mx.single.example"), "mx.single.example has no pins"),
        (from("a@[192.0.2.1]"), "the sender has no domain"),
        (message().null_sender(), "the sender has no domain"),
    ] {
        assert_eq!(ask(message, "refuse"), (Answer::default(reason), vec![]));
    }
}

#[test]
fn the_settings_say_what_holds_after_the_expiry() {
    let partner: Domain = "dated.example".parse().expect("a domain");
    let expired = "the pins of dated.example expired on 2025-12-31";
    for (then, expected) in [
        (
            "refuse",
            Answer::enforced(pinned(&["aa", "bb"]), format!("{expired}: still required")),
        ),
        (
            "within",
            Answer::enforced(
                Requirements::tls().certificate_within(partner),
                format!("{expired}: the certificate must be within dated.example"),
            ),
        ),
        (
            "tls",
            Answer::enforced(
                Requirements::tls(),
                format!("{expired}: TLS without certificate"),
            ),
        ),
        (
            "opportunistic",
            Answer::opportunistic(format!("{expired}: opportunistic")),
        ),
    ] {
        let late = from("a@dated.example").now(expiry());
        let lines = vec![expired.to_owned()];
        assert_eq!(ask(late, then), (expected, lines), "{then}");
    }
}

#[test]
fn pins_hold_to_the_last_second_and_warn_for_two_weeks() {
    let expected = Answer::enforced(pinned(&["aa", "bb"]), "dated.example is pinned");
    let warning = "the pins of dated.example expire on 2025-12-31".to_owned();
    for (left, lines) in [
        (1, vec![warning.clone()]),
        (14 * date::DAY, vec![warning]),
        (14 * date::DAY + 1, vec![]),
    ] {
        let early = from("a@dated.example").now(expiry() - left);
        assert_eq!(ask(early, "tls"), (expected.clone(), lines), "{left}");
    }
}

#[test]
fn the_next_key_in_use_is_warned_of() {
    let warning = format!(
        "both.example uses its next key {}: make it current",
        key("bb")
    );
    let expected = Answer::enforced(pinned(&["aa", "bb"]), "both.example is pinned");
    for (used, lines) in [("aa", vec![]), ("bb", vec![warning]), ("cc", vec![])] {
        let secured =
            from("a@both.example").tls(tls().certificate(certificate().spki_sha256(&key(used))));
        assert_eq!(ask(secured, "refuse"), (expected.clone(), lines), "{used}");
    }
}

#[test]
fn faults_in_settings_name_their_path() {
    for (json, fault) in [
        ("{}", "settings: missing field `partners`"),
        (
            r#"{"partners": {"a.example": {}}}"#,
            "partners.a.example: missing field `current`",
        ),
        (
            r#"{"partners": {"a.example": {"current": "beef"}}}"#,
            "partners.a.example.current: \"beef\" is not a SHA-256 fingerprint",
        ),
        (
            r#"{"partners": {"a.example": {"expires": "2026-02-30"}}}"#,
            "partners.a.example.expires: \"2026-02-30\" is not a day",
        ),
        (
            r#"{"partners": {"a.example": {"then": "accept"}}}"#,
            "partners.a.example.then: unknown variant `accept`",
        ),
    ] {
        let found = parse_settings::<Settings>(json).expect_err(json);
        assert!(found.starts_with(fault), "{found}");
    }
}

#[test]
fn mistakes_are_found() {
    let (one, two) = (key("aa"), key("bb"));
    for (pins, expected) in [
        (
            format!(r#""a.example": {{"current": "{one}", "next": "{two}"}}"#),
            &[][..],
        ),
        (
            format!(r#""a.example": {{"current": "{one}", "next": "{one}"}}"#),
            &["partners.a.example.next: is the current key"],
        ),
        (
            format!(r#""a.example": {{"current": "{one}", "then": "tls"}}"#),
            &["partners.a.example.then: means nothing without expires"],
        ),
        (
            format!(r#""*": {{"current": "{one}"}}"#),
            &["partners.*: pins everybody to one partner's key: name a domain"],
        ),
    ] {
        let settings = parse_settings(&format!(r#"{{"partners": {{{pins}}}}}"#)).expect(&pins);
        let mut faults = Faults::new();
        check(&settings, &mut faults);
        assert_eq!(faults.as_slice(), expected, "{pins}");
    }
}
