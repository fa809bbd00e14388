//! An independent validator (schema, Schematron, value sets) where one is present: `POSTERN_CCDA_KIT` names its folder, and
//! `scripts/test` finds it and sets it up. Our own tables stand either way.

use std::{path::PathBuf, process::Command};

use super::{Case, cases};

fn kit() -> Option<PathBuf> {
    let kit = std::env::var_os("POSTERN_CCDA_KIT").map(PathBuf::from)?;
    kit.join("validate.sh").exists().then_some(kit)
}

/// What the kit says about each case; `None` when there is no kit or it is not set up, which is said.
fn judge(cases: &[Case], options: &[&str]) -> Option<Vec<Vec<String>>> {
    let Some(kit) = kit() else {
        println!("skipped: no validator kit (set POSTERN_CCDA_KIT to its folder)");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = |number: usize| folder.path().join(format!("{number}.xml"));
    for (number, case) in cases.iter().enumerate() {
        std::fs::write(file(number), case.xml()).unwrap();
    }
    let mut command = Command::new(kit.join("validate.sh"));
    let output = command.args(options).arg("--json").args((0..cases.len()).map(file)).output().unwrap();
    if output.status.code() == Some(2) {
        println!("skipped: the validator kit is not set up: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    let answers: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("the kit failed: {error}\n{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(answers.len(), cases.len());
    let errors = |answer: &serde_json::Value| {
        let found = answer["results"].as_array().unwrap().iter().filter(|found| found["severity"] == "error");
        found.map(|found| format!("{} {}: {}", found["layer"], found["id"], found["message"])).collect()
    };
    Some(answers.iter().map(errors).collect())
}

#[test]
fn the_independent_validator_finds_no_error_in_any_document() {
    let cases = cases::all();
    let Some(answers) = judge(&cases, &["--fast"]) else { return };
    // The mode that leaves the patient's id out is not valid, as its setting says; but in nothing else.
    let known =
        ["CONF:1198-5268", "CONF:1198-31091", "Cardinality of id is 1..*", "Element 'addr': This element is not expected"];
    for (case, errors) in cases.iter().zip(answers) {
        let expected = |error: &String| case.omits_id() && known.iter().any(|known| error.contains(known));
        assert_eq!(errors.is_empty(), !case.omits_id(), "{}: {errors:#?}", case.name);
        assert!(errors.iter().all(expected), "{}: {errors:#?}", case.name);
    }
    println!("{} documents are valid", cases.len());
}

#[test]
fn validators_of_before_september_2025_find_no_error_either() {
    let cases = ["full", "minimal", "corrected"].map(cases::named);
    let Some(answers) = judge(&cases, &["--legacy"]) else { return };
    assert!(answers.iter().all(Vec::is_empty), "{answers:#?}");
}
