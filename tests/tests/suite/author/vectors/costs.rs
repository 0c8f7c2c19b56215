//! What a module costs.

use serde_json::Value;

use super::{Desk, VECTORS, command, partner_list};
use crate::engine::guest::guest;

#[test]
fn what_a_module_costs_is_measured_beside_a_constant() {
    let desk = Desk::new(VECTORS);
    let (module, vectors) = (
        partner_list().display().to_string(),
        desk.text("vectors.toml"),
    );
    let bench = |more: &[&str]| {
        let arguments = ["bench", &module, "--vectors", &vectors, "--seconds", "1"];
        command(&[&arguments, more].concat())
    };
    let ran = bench(&["--json"]).expect_code(0);
    let found: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(found["about"], "case \"a partner\"");
    for kind in ["constant", "module", "warm", "cold"] {
        for number in ["questions", "median_ns", "p99_ns"] {
            let number = found[kind][number].as_u64();
            assert!(number.is_some_and(|number| number > 0), "{kind}: {found}");
        }
    }
    for number in ["fuel", "memory", "compile_ns"] {
        assert!(
            found[number].as_u64().is_some_and(|n| n > 0),
            "{number}: {found}"
        );
    }
    let ran = bench(&["--case", "a stranger"]).expect_code(0);
    assert!(
        ran.stdout.contains("asked about case \"a stranger\""),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("× constant"), "{}", ran.stdout);
    let ran = bench(&["--case", "a list that is not there"]).expect_code(1);
    let said = "the module gives no answer to case \"a list that is not there\": the policy asked";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
}

/// A guest's allocator takes nothing back: what is asked again and again with large settings
/// has no memory left by and by, which says nothing of the module.
#[test]
fn large_settings_use_up_an_instance_and_not_the_module() {
    let desk = Desk::new("[[case]]\nname = \"one\"\nexpect = { decision = \"default\" }\n");
    desk.write("module.wasm", guest(""));
    // The guest has 4 MiB: room for some forty of them.
    let settings = format!("{{\"partners\": \"{}\"}}", "x".repeat(100_000));
    desk.write("settings.json", settings);
    let [module, vectors, settings] =
        ["module.wasm", "vectors.toml", "settings.json"].map(|name| desk.text(name));
    let ran = command(&[
        "bench",
        &module,
        "--vectors",
        &vectors,
        "--settings",
        &settings,
        "--seconds",
        "1",
        "--json",
    ])
    .expect_code(0);
    let found: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let asked = found["warm"]["questions"].as_u64();
    assert!(asked.is_some_and(|asked| asked > 100), "{found}");
}
