//! Pages of `docs/`, followed literally: what stands behind `$` in a block of `console` is
//! what a reader types, and the lines below it are what they are told.

use std::fs;

use crate::program::workspace;

/// What a page has for its reader to do, or for its test to see to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A comment of the page, such as `<!-- mail comes -->`, for the test alone.
    Mark(String),
    /// A command, with the lines that belong to it, and what it says.
    Command(String, Vec<String>),
}

/// The steps of a page, in its order.
pub fn steps(page: &str) -> Vec<Step> {
    let path = workspace().join("docs").join(page);
    parse(&fs::read_to_string(path).expect("the page is there"))
}

fn parse(page: &str) -> Vec<Step> {
    let (mut steps, mut in_console) = (Vec::new(), false);
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            in_console = line == "```console";
        } else if let (true, Some(command)) = (in_console, line.strip_prefix("$ ")) {
            let command = whole(command, &mut lines);
            steps.push(Step::Command(command, Vec::new()));
        } else if in_console {
            match steps.last_mut() {
                Some(Step::Command(_, said)) => said.push(line.to_owned()),
                _ => unreachable!("{line}: nothing said it"),
            }
        } else if let Some(mark) = line.strip_prefix("<!-- ") {
            steps.push(Step::Mark(mark.trim_end_matches(" -->").to_owned()));
        }
    }
    steps
}

/// A command with the document that it is given (`<<'END'`), and the lines on which it goes
/// on.
fn whole<'p>(first: &str, lines: &mut impl Iterator<Item = &'p str>) -> String {
    let mut command = first.to_owned();
    let is_last = |command: &str| match first.contains("<<'END'") {
        true => command.ends_with("\nEND"),
        false => !command.ends_with('\\'),
    };
    while !is_last(&command) {
        let line = lines.next().expect("the command comes to an end");
        command = format!("{command}\n{line}");
    }
    command
}

/// Whether lines are as they are written. `…` stands for anything in a line, and on a line of
/// its own for any number of them.
pub fn are_like(lines: &[&str], written: &[&str]) -> bool {
    match (lines, written) {
        ([], []) => true,
        (_, ["…", more @ ..]) => (0..=lines.len()).any(|from| are_like(&lines[from..], more)),
        ([line, lines @ ..], [as_written, written @ ..]) => {
            is_like(line, as_written) && are_like(lines, written)
        }
        _ => false,
    }
}

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

/// Whether a command has said what the page has.
pub fn is_said(said: &str, written: &[String]) -> bool {
    let lines: Vec<&str> = said.lines().collect();
    let written: Vec<&str> = written.iter().map(String::as_str).collect();
    are_like(&lines, &written)
}

/// Fails the test where a command of a page has said something else than the page has.
pub fn compare(command: &str, said: &str, written: &[String]) {
    assert!(
        is_said(said, written),
        "{command}\nsaid:\n{said}\nand it is written:\n{}",
        written.join("\n")
    );
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_page_has_commands_documents_and_marks() {
        let page = "text\n<!-- mail comes -->\n```console\n$ cat > a <<'END'\n$ b\nEND\n$ c \\\n    d\nsaid\n```\n```text\n$ none\n```\n";
        let command = |line: &str, said: &[&str]| {
            let said = said.iter().map(|line| (*line).to_owned());
            Step::Command(line.to_owned(), said.collect())
        };
        let expected = [
            Step::Mark("mail comes".to_owned()),
            command("cat > a <<'END'\n$ b\nEND", &[]),
            command("c \\\n    d", &["said"]),
        ];
        assert_eq!(parse(page), expected);
    }
}
