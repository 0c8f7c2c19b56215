//! What an author may do next with a revision that is on a host.

/// What was done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Did {
    /// It is there.
    Upload,
    /// It decides.
    Activate,
    /// It is tried.
    Shadow,
}

/// How it stands there.
pub(super) struct Standing<'a> {
    pub(super) module: &'a str,
    pub(super) revision: i64,
    /// The one that was active before.
    pub(super) before: Option<i64>,
    pub(super) did: Did,
    /// The policies that ask the module.
    pub(super) policies: &'a [String],
    /// Which host, and whose, as it was said: each command says it again.
    pub(super) repeated: &'a str,
}

/// Commands, and what each is good for.
pub(super) fn next(standing: &Standing<'_>) -> Vec<(String, String)> {
    let next = what(standing).into_iter();
    next.map(|(command, why)| (command + standing.repeated, why))
        .collect()
}

fn what(standing: &Standing<'_>) -> Vec<(String, String)> {
    let Standing {
        module,
        revision,
        before,
        did,
        ..
    } = *standing;
    let activate = format!("portcullis module activate {module} {revision}");
    match (did, before) {
        (Did::Activate, _) => decides(standing),
        (Did::Upload, Some(active)) if active == revision => decides(standing),
        (Did::Shadow, _) => vec![
            (
                format!("portcullis module shadow {module}"),
                "what it would have decided of mail that comes from now on".to_owned(),
            ),
            (activate, "have it decide".to_owned()),
        ],
        (Did::Upload, None) => vec![(
            activate,
            "policies can name it then; it refuses nobody before one does".to_owned(),
        )],
        (Did::Upload, Some(_)) => vec![
            (
                format!("portcullis replay --module {module}@{revision}"),
                "whom it would have refused in the last days".to_owned(),
            ),
            (
                format!("portcullis module shadow {module} {revision}"),
                "try it on live mail, without effect".to_owned(),
            ),
            (activate, "have it decide".to_owned()),
        ],
    }
}

/// Of a revision that is active.
fn decides(standing: &Standing<'_>) -> Vec<(String, String)> {
    let Standing {
        module,
        revision,
        before,
        policies,
        ..
    } = standing;
    let Some(policy) = policies.first() else {
        return vec![
            (
                "portcullis replay --policy FILE".to_owned(),
                "whom a policy that asks it would have refused in the last days".to_owned(),
            ),
            (
                "portcullis policy set NAME FILE".to_owned(),
                format!("have it decide: FILE has option = \"module\" and module = \"{module}\""),
            ),
        ];
    };
    let mut next = vec![(
        format!("portcullis receipts --policy {policy} --since 1h"),
        "what it decides".to_owned(),
    )];
    if let Some(other) = before.filter(|before| before != revision) {
        next.push((
            format!("portcullis module rollback {module}"),
            format!("have revision {other} decide again"),
        ));
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_next_depends_on_what_there_is() {
        let (activate, shadow) = ("module activate m 2", "module shadow m 2");
        let asked = ["p".to_owned()];
        for (did, before, policies, expected) in [
            (Did::Upload, None, &[][..], &[activate][..]),
            (
                Did::Upload,
                Some(1),
                &asked,
                &["replay --module m@2", shadow, activate],
            ),
            (
                Did::Upload,
                Some(2),
                &asked,
                &["receipts --policy p --since 1h"],
            ),
            (Did::Shadow, Some(1), &asked, &["module shadow m", activate]),
            (
                Did::Activate,
                None,
                &[],
                &["replay --policy FILE", "policy set NAME FILE"],
            ),
            (
                Did::Activate,
                Some(1),
                &asked,
                &["receipts --policy p --since 1h", "module rollback m"],
            ),
            (
                Did::Activate,
                Some(2),
                &asked,
                &["receipts --policy p --since 1h"],
            ),
        ] {
            let found = next(&Standing {
                module: "m",
                revision: 2,
                before,
                did,
                policies,
                repeated: "",
            });
            let commands: Vec<&str> = found
                .iter()
                .map(|(command, _)| command.trim_start_matches("portcullis "))
                .collect();
            assert_eq!(commands, expected, "{did:?} {before:?} {policies:?}");
        }
    }

    #[test]
    fn every_command_says_again_which_host() {
        let repeated = " --tenant acme --socket 'a b'";
        for did in [Did::Upload, Did::Activate, Did::Shadow] {
            let next = next(&Standing {
                module: "m",
                revision: 2,
                before: Some(1),
                did,
                policies: &[],
                repeated,
            });
            assert!(!next.is_empty());
            assert!(
                next.iter().all(|(command, _)| command.ends_with(repeated)),
                "{next:?}"
            );
        }
    }
}
