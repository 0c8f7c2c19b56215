//! `docs/rollout.md`, followed literally: what stands behind `$` is run, in the order of the
//! page, and has to say what stands below it.

use std::fs;

use portcullis_tests::api::token;
use portcullis_tests::client::Tls;
use portcullis_tests::program::{portcullis, workspace};
use portcullis_tests::site::Host;
use portcullis_tests::tool;

use super::{host, mail, wait_for};

/// Stands in the page where mail comes.
const MAIL: &str = "<!-- mail comes -->";

/// A command with what it says, or mail.
#[derive(Debug)]
enum Step {
    Mail,
    Command(String, Vec<String>),
}

fn steps(page: &str) -> Vec<Step> {
    let (mut steps, mut in_console) = (Vec::new(), false);
    for line in page.lines() {
        match (line, steps.last_mut()) {
            (MAIL, _) => steps.push(Step::Mail),
            ("```console", _) => in_console = true,
            (line, _) if line.starts_with("```") => in_console = false,
            (line, last) if in_console => match (line.strip_prefix("$ "), last) {
                (Some(command), _) => steps.push(Step::Command(command.to_owned(), Vec::new())),
                (None, Some(Step::Command(_, said))) => said.push(line.to_owned()),
                (None, _) => unreachable!("{line}: nothing said it"),
            },
            _ => {}
        }
    }
    steps
}

/// Whether a line is as it is written; `…` stands for anything.
fn is_like(line: &str, written: &str) -> bool {
    let mut rest = line;
    for (index, part) in written.split('…').enumerate() {
        match rest.find(part) {
            Some(0) => rest = &rest[part.len()..],
            Some(at) if index > 0 => rest = &rest[at + part.len()..],
            _ => return false,
        }
    }
    rest.is_empty() || written.ends_with('…')
}

/// Whether lines are as they are written; a line `…` stands for any number of them.
fn are_like(lines: &[&str], written: &[&str]) -> bool {
    match (lines, written) {
        ([], []) => true,
        (_, ["…", more @ ..]) => (0..=lines.len()).any(|from| are_like(&lines[from..], more)),
        ([line, lines @ ..], [as_written, written @ ..]) => {
            is_like(line, as_written) && are_like(lines, written)
        }
        _ => false,
    }
}

/// The mail of the page.
fn send(host: &Host) {
    let (ben, tls) = ("ben@acme.example", Tls::tls13());
    mail(host, None, "amy@partner.example", &[ben; 5]);
    mail(host, None, "sue@supplier.example", &[ben; 3]);
    mail(host, Some(&tls), "sue@supplier.example", &[ben; 2]);
    mail(host, Some(&tls), "bob@bank.example", &[ben; 4]);
    wait_for(host, "acme", 14);
}

#[test]
fn the_page_is_followed_to_its_end() {
    let host = host();
    let (admin, _) = token(&host, "admin", "acme");
    let page = fs::read_to_string(workspace().join("docs/rollout.md")).expect("it is there");
    let directory = host.site().directory().display().to_string();
    let program = portcullis()
        .parent()
        .expect("a directory")
        .display()
        .to_string();
    let url = format!("PORTCULLIS_URL=http://{}", host.address("admin"));
    let token = format!("PORTCULLIS_TOKEN={admin}");
    let path = format!(
        "PATH={program}:{}",
        std::env::var("PATH").unwrap_or_default()
    );
    let steps = steps(&page);
    assert!(steps.len() > 6, "{steps:?}");
    for step in steps {
        let (command, written) = match step {
            Step::Mail => {
                send(&host);
                continue;
            }
            Step::Command(command, written) => (command, written),
        };
        // What a file holds is shown, and so written.
        if let Some(file) = command.strip_prefix("cat ") {
            host.write(file, written.join("\n") + "\n");
            continue;
        }
        let line = format!("cd '{directory}' && {command}");
        let ran = tool::run("env", &[&url, &token, &path, "sh", "-c", &line]).expect_code(0);
        let said: Vec<&str> = ran.stdout.lines().collect();
        let written: Vec<&str> = written.iter().map(String::as_str).collect();
        assert!(
            are_like(&said, &written),
            "{command}\nsaid:\n{}\nand it is written:\n{}",
            said.join("\n"),
            written.join("\n")
        );
    }
    host.stop();
}

#[test]
fn what_is_written_is_compared() {
    for (line, written, expected) in [
        ("a b c", "a b c", true),
        ("a b c", "a … c", true),
        ("a b c", "…", true),
        ("a b c", "a b", false),
        ("a b c", "b c", false),
        ("a b c", "a …", true),
        ("a b c", "… b", false),
    ] {
        assert_eq!(is_like(line, written), expected, "{line} {written}");
    }
    assert!(are_like(&["a", "b", "c"], &["a", "…"]));
    assert!(are_like(&["a", "b", "c"], &["…", "c"]));
    assert!(!are_like(&["a", "b"], &["a"]));
    assert!(!are_like(&["a"], &["a", "b"]));
}
