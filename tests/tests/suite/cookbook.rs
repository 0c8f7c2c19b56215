//! The cookbook: its code is that of the policies, and what it says of a tenant's file is
//! taken by the host, with the compiled modules.

use std::collections::BTreeSet;
use std::fs;

use portcullis_tests::program::{cookbook_policy, workspace};
use portcullis_tests::site::Site;

/// One need, with the name of its policy's file.
struct Section {
    name: String,
    code: String,
    tables: Vec<String>,
}

fn sections() -> Vec<Section> {
    let page = read("docs/cookbook.md");
    let sections = page.split("\n## ").skip(1).map(|text| Section {
        name: example(text).to_owned(),
        code: blocks(text, "rust").concat(),
        tables: blocks(text, "toml"),
    });
    sections.collect()
}

/// The file that a section links to.
fn example(section: &str) -> &str {
    let (_, rest) = section
        .split_once("](../policies-wasm/cookbook/examples/")
        .expect("a section links to its policy");
    let (name, _) = rest.split_once(".rs)").expect("it is a file of Rust");
    name
}

fn blocks(text: &str, language: &str) -> Vec<String> {
    let open = format!("```{language}\n");
    text.split(&open)
        .skip(1)
        .filter_map(|rest| rest.split_once("```").map(|(block, _)| block.to_owned()))
        .collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).expect(path)
}

fn stems(directory: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(workspace().join(directory)).expect("it is there");
    entries
        .map(|entry| {
            let path = entry.expect("it can be read").path();
            let stem = path.file_stem().expect("it has a name");
            stem.to_string_lossy().into_owned()
        })
        .collect()
}

#[test]
fn the_cookbook_quotes_its_policies() {
    let sections = sections();
    let names: BTreeSet<String> = sections
        .iter()
        .map(|section| section.name.clone())
        .collect();
    assert_eq!(names.len(), sections.len(), "a policy has one section");
    assert_eq!(names, stems("policies-wasm/cookbook/examples"));
    assert_eq!(names, stems("policies-wasm/cookbook/vectors"));
    for Section { name, code, .. } in sections {
        let file = read(&format!("policies-wasm/cookbook/examples/{name}.rs"));
        assert!(code.starts_with("pub fn decide("), "{name}:\n{code}");
        assert!(
            file.contains(&code),
            "{name} has other code than the page:\n{code}"
        );
        let shown = format!("name = \"{}\"", name.replace('_', "-"));
        assert!(file.contains(&shown), "{name} is called otherwise");
    }
}

/// Each need makes two tenants: as the host does it, and with the module.
#[test]
fn the_host_takes_what_the_cookbook_says() {
    let (mut site, mut tenants) = (Site::new(), 0);
    for Section { name, tables, .. } in sections() {
        let [plain, with_module] = <[String; 2]>::try_from(tables).expect("two tables");
        let path = format!("/path/to/{name}.wasm");
        assert!(with_module.contains(&path), "{name}");
        let module = cookbook_policy(&name).display().to_string();
        for tables in [plain, with_module.replace(&path, &module)] {
            tenants += 1;
            let domain = format!("t{tenants}.example");
            let tables = tables.replace("acme.example", &domain);
            site = site.tenant(
                &format!("t{tenants}"),
                &format!("domains = [\"{domain}\"]\n{tables}"),
            );
        }
    }
    let ran = site.run("check").expect_code(0);
    assert_eq!(
        ran.stdout,
        format!("ok: 1 listener, {tenants} tenants\n"),
        "{}",
        ran.stderr
    );
}
