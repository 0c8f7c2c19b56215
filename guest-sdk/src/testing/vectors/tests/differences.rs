//! What was expected beside what was found.

use super::*;

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
