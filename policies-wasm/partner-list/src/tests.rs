use portcullis_sdk::{Answer, Domain, Requirements, testing};

use super::{Settings, decide};

/// The answer to this sender, or the error.
fn answer(sender: &str, subdomains: bool) -> Result<Answer, String> {
    let message = testing::message().sender(sender).map(
        "partners",
        [
            ("plain.example", ""),
            ("tls.example", "tls"),
            ("trusted.example", "trusted"),
            ("within.example", "within"),
            ("special.within.example", "tls"),
            ("name.example", "name=mx.provider.example"),
            ("broken.example", "mutual"),
            ("misnamed.example", "name=mx provider"),
        ],
    );
    let settings = Settings {
        subdomains,
        ..Settings::default()
    };
    decide(&message.build(), &settings).map_err(|fault| fault.as_str().to_owned())
}

fn domain(text: &str) -> Domain {
    text.parse().expect("a domain")
}

#[test]
fn the_value_of_a_partner_says_what_is_required() {
    let tls = Requirements::tls;
    for (sender, requirements, reason) in [
        (
            "a@plain.example",
            tls(),
            "plain.example is in list partners: tls",
        ),
        (
            "a@tls.example",
            tls(),
            "tls.example is in list partners: tls",
        ),
        (
            "a@trusted.example",
            tls().certificate_trusted(),
            "trusted.example is in list partners: trusted",
        ),
        (
            "a@within.example",
            tls().certificate_within(domain("within.example")),
            "within.example is in list partners: within",
        ),
        (
            "a@name.example",
            tls().certificate_covers(domain("mx.provider.example")),
            "name.example is in list partners: name=mx.provider.example",
        ),
    ] {
        assert_eq!(
            answer(sender, false),
            Ok(Answer::enforced(requirements, reason)),
            "{sender}"
        );
    }
}

#[test]
fn subdomains_count_where_settings_say_so() {
    let tls = Requirements::tls;
    let stranger = Answer::default("mx.within.example is not in list partners");
    assert_eq!(answer("a@mx.within.example", false), Ok(stranger));
    for (sender, requirements, reason) in [
        (
            "a@mx.within.example",
            tls().certificate_within(domain("within.example")),
            "within.example is in list partners: within",
        ),
        (
            "a@mx.special.within.example",
            tls(),
            "special.within.example is in list partners: tls",
        ),
    ] {
        assert_eq!(
            answer(sender, true),
            Ok(Answer::enforced(requirements, reason)),
            "{sender}"
        );
    }
    let stranger = Answer::default("badwithin.example is not in list partners");
    assert_eq!(answer("a@badwithin.example", true), Ok(stranger));
}

#[test]
fn others_are_left_to_the_default() {
    for (sender, reason) in [
        (
            "a@stranger.example",
            "stranger.example is not in list partners",
        ),
        ("a@[192.0.2.1]", "the sender has no domain"),
    ] {
        assert_eq!(
            answer(sender, true),
            Ok(Answer::default(reason)),
            "{sender}"
        );
    }
    let bounce = testing::message().null_sender().build();
    assert_eq!(
        decide(&bounce, &Settings::default()),
        Ok(Answer::default("the sender has no domain"))
    );
}

#[test]
fn a_bad_value_in_the_list_is_an_error() {
    for (sender, fault) in [
        (
            "a@broken.example",
            "list partners, entry broken.example: \"mutual\" is no requirement: \
             write tls, trusted, within or name=host.example",
        ),
        (
            "a@misnamed.example",
            "list partners, entry misnamed.example: \"mx provider\" is not a domain",
        ),
    ] {
        assert_eq!(answer(sender, false), Err(fault.to_owned()));
    }
}

#[test]
#[should_panic(expected = "no list \"suppliers\"")]
fn a_list_that_is_not_there_is_noticed() {
    let settings = Settings {
        list: "suppliers".to_owned(),
        ..Settings::default()
    };
    let _ = decide(&testing::message().build(), &settings);
}

#[test]
fn settings_have_defaults_and_no_other_keys() {
    let settings: Settings = portcullis_sdk::parse_settings("{}").expect("all defaults");
    assert_eq!(
        (settings.list.as_str(), settings.subdomains),
        ("partners", false)
    );
    let fault = portcullis_sdk::parse_settings::<Settings>(r#"{"lists": "a"}"#).expect_err("a key");
    assert!(fault.starts_with("lists: unknown field"), "{fault}");
}
