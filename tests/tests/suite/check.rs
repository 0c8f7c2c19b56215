//! `portcullis check`: every fault at once, and the same that `serve` refuses.

use portcullis_tests::site::Site;

#[test]
fn eight_faults_in_three_files_are_shown_at_once() {
    let site = Site::new()
        .settings("[limits]\nmessage_size = 12\nrecipent = 100")
        .tenant(
            "acme",
            "domains = [\"acme.example\", \"not a domain\"]\n\
             [defaults]\ndecision = \"enforce\"\n\
             [[policy]]\nname = \"partners\"\noption = \"module\"\nmodule = \"partner-list\"\n",
        )
        .tenant(
            "bank",
            "domains = [\"acme.example\"]\n\
             [trust]\nanchors = [\"../missing.pem\"]\n\
             [[policy]]\nname = \"all\"\noption = \"enforced\"\nrequire = { tls = \"1.4\" }\n",
        );
    let checked = site.run("check").expect_code(1);
    let root = site.directory().display().to_string();
    let faults: Vec<&str> = checked
        .stderr
        .lines()
        .filter(|line| line.starts_with(&root))
        .collect();
    let places: Vec<&str> = faults.iter().map(|fault| place(fault, &root)).collect();
    let expected = [
        "portcullis.toml:11: limits.message_size",
        "portcullis.toml:12: limits.recipent",
        "tenants/acme.toml:1: domains[1]",
        "tenants/acme.toml:3: defaults.decision",
        "tenants/acme.toml:7: policy[0].module",
        "tenants/bank.toml:1: domains[0]",
        "tenants/bank.toml:3: trust.anchors[0]",
        "tenants/bank.toml:7: policy[0].require.tls",
    ];
    assert_eq!(places, expected, "{}", checked.stderr);
    assert_eq!(checked.stdout, "");
    let served = site.run("serve").expect_code(1);
    let refused: Vec<&str> = served
        .stderr
        .lines()
        .filter(|line| line.starts_with(&root))
        .collect();
    assert_eq!(refused, faults);
}

#[test]
fn what_only_loading_shows_has_its_place_too() {
    let site = Site::new().file("policy.wasm", "not a module").tenant(
        "acme",
        "domains = [\"acme.example\"]\n[[module]]\nname = \"broken\"\npath = \"../policy.wasm\"\n\
         [[policy]]\nname = \"all\"\noption = \"module\"\nmodule = \"broken\"\n",
    );
    for subcommand in ["check", "serve"] {
        let ran = site.run(subcommand).expect_code(1);
        assert!(
            ran.stderr.contains("tenants/acme.toml:4: module[0].path: "),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn a_sound_configuration_is_ok() {
    let site = Site::new().tenant("acme", "domains = [\"acme.example\"]");
    let ran = site.run("check").expect_code(0);
    assert_eq!(ran.stdout, "ok: 1 listeners, 1 tenants\n");
    assert_eq!(ran.stderr, "");
}

#[test]
fn no_configuration_at_all() {
    let site = Site::new();
    let missing = site.path("elsewhere.toml").display().to_string();
    let program = portcullis_tests::program::portcullis()
        .display()
        .to_string();
    let ran =
        portcullis_tests::tool::run(&program, &["check", "--config", &missing]).expect_code(1);
    assert!(ran.stderr.starts_with(&missing), "{}", ran.stderr);
}

/// `file:line: key` of a fault, the file below `root`.
fn place<'a>(fault: &'a str, root: &str) -> &'a str {
    let below = fault
        .strip_prefix(root)
        .unwrap_or(fault)
        .trim_start_matches('/');
    let end = below
        .match_indices(": ")
        .nth(1)
        .map_or(below.len(), |(end, _)| end);
    &below[..end]
}
