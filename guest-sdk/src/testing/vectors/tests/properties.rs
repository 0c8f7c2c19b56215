//! What holds of any text.

use proptest::prelude::*;

use super::*;

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
