//! What the documents promise: links lead somewhere, and the commands are the ones that
//! are tested.

use std::fs;
use std::path::{Path, PathBuf};

use portcullis_tests::program::{STOCK_POLICIES, workspace};

#[test]
fn links_between_documents_resolve() {
    let mut broken = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page can be read");
        for target in links(&text) {
            let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
            let linked = match path {
                "" => page.clone(),
                path => page.parent().unwrap_or(Path::new("")).join(path),
            };
            if !linked.exists() || !fragment.is_empty() && !has_heading(&linked, fragment) {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_readmes_test_command_is_what_ci_runs() {
    let readme = read("README.md");
    let commands: Vec<&str> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("$ "))
        .take(2)
        .collect();
    assert_eq!(commands, ["cargo run -- demo", "tests/run"]);
    assert!(
        read(".ci/run")
            .lines()
            .any(|line| line.trim() == "tests/run")
    );
}

/// With several programs in the workspace cargo has to be told which one is meant.
#[test]
fn cargo_run_is_the_host() {
    let host = fs::read_to_string(workspace().join("host/Cargo.toml")).expect("it is there");
    assert!(host.contains("\ndefault-run = \"portcullis\"\n"));
    for other in ["bench", "guest-sdk", "tests"] {
        let path = workspace().join(other).join("Cargo.toml");
        let manifest = fs::read_to_string(path).expect("it is there");
        assert!(!manifest.contains("default-run"), "{other}");
    }
}

#[test]
fn the_stock_policies_are_those_that_are_there() {
    let directory = fs::read_dir(workspace().join("policies-wasm")).expect("it is there");
    let mut found: Vec<String> = directory
        .map(|entry| {
            entry
                .expect("it can be read")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    // Not a policy, but a crate with many to copy.
    found.retain(|name| name != "cookbook");
    found.sort();
    let mut known = STOCK_POLICIES;
    known.sort_unstable();
    assert_eq!(found, known);
}

fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).expect("the file is there")
}

/// All Markdown of the repository but what is built.
fn pages() -> Vec<PathBuf> {
    let root = workspace();
    let mut directories = vec![root.to_owned()];
    let mut pages = Vec::new();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("the repository can be read") {
            let path = entry.expect("the repository can be read").path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            // A template is a page of the crate that is made of it.
            let is_other = name.starts_with('.') || name == "target" || name == "template";
            if path.is_dir() {
                if !is_other {
                    directories.push(path);
                }
            } else if name.ends_with(".md") {
                pages.push(path);
            }
        }
    }
    assert!(pages.len() > 5, "the pages were found");
    pages
}

/// The targets of links that stay in the repository.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    let lines = text.lines().filter(move |line| {
        code ^= line.starts_with("```");
        !code
    });
    lines
        .flat_map(|line| line.split("](").skip(1))
        .filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
        .filter(|target| !target.contains("://"))
}

/// Whether a page has a heading with this anchor, as forges make them.
fn has_heading(page: &Path, anchor: &str) -> bool {
    let text = fs::read_to_string(page).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.strip_prefix('#'))
        .any(|heading| {
            let heading = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = heading
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c })
                .collect::<String>()
                == anchor
        })
}
