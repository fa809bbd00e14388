//! The frame of the command line: help, `init`, `check-config`.

use std::os::unix::fs::PermissionsExt as _;

use tempfile::{TempDir, tempdir};

use crate::support::command::{command, postern, run};

/// A folder that `postern init` made.
fn initialized() -> TempDir {
    let dir = tempdir().unwrap();
    let ran = postern(dir.path(), &["init", "."]);
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{}", ran.err);
    dir
}

#[test]
fn help_tells_a_newcomer_where_to_start() {
    let ran = postern(tempdir().unwrap().path(), &["--help"]);
    assert_eq!(ran.code, 0);
    insta::assert_snapshot!("help", ran.out);
}

#[test]
fn a_command_nobody_knows_is_a_matter_of_usage() {
    assert_eq!(postern(tempdir().unwrap().path(), &["delivr"]).code, 2);
}

#[test]
fn init_makes_a_configuration_that_checks_and_a_key_only_its_owner_can_read() {
    let dir = initialized();
    for (file, mode) in [("postern.toml", 0o600), ("keys", 0o700), ("keys/master.key", 0o600)] {
        let found = dir.path().join(file).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{file} has mode {found:o}");
    }
    let ran = postern(dir.path(), &["check-config"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("[worker]\nconcurrency = 16\n"), "{}", ran.out);
    assert!(ran.err.contains("from the file postern.toml"), "{}", ran.err);
}

#[test]
fn init_never_overwrites_a_key_or_a_configuration() {
    let dir = initialized();
    let key = std::fs::read(dir.path().join("keys/master.key")).unwrap();
    let again = postern(dir.path(), &["init", "."]);
    assert_eq!(again.code, 2);
    assert!(again.err.contains("postern.toml exists"), "{}", again.err);
    std::fs::remove_file(dir.path().join("postern.toml")).unwrap();
    let again = postern(dir.path(), &["init", "."]);
    assert_eq!(again.code, 2);
    assert!(again.err.contains("master.key exists"), "{}", again.err);
    assert!(!dir.path().join("postern.toml").exists());
    assert_eq!(std::fs::read(dir.path().join("keys/master.key")).unwrap(), key);
}

#[test]
fn check_config_shows_what_is_in_force_without_secrets() {
    let dir = initialized();
    let url = dir.path().join("url");
    std::fs::write(&url, "postgres://postern:hunter2@db.example/postern\n").unwrap();
    let ran = run(command(dir.path())
        .args(["check-config", "--json"])
        .env("POSTERN__STORE__URL_FILE", &url)
        .env("POSTERN__KEYS__MASTER", "hunter2hunter2")
        .env("POSTERN__WORKER__BATCH", "5"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    let shown: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(shown["store"]["url"], "postgres://postern:***@db.example/postern");
    assert_eq!(shown["keys"]["master"], "***");
    assert_eq!(shown["worker"]["batch"], 5);
    assert!(ran.err.contains("from the environment: POSTERN__WORKER__BATCH"), "{}", ran.err);
    assert!(!ran.err.contains("hunter2"), "{}", ran.err);
}

#[test]
fn check_config_points_at_the_mistake() {
    let dir = initialized();
    std::fs::write(dir.path().join("postern.toml"), "[worker]\nconcurency = 4\n").unwrap();
    let ran = postern(dir.path(), &["check-config"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    insta::assert_snapshot!(ran.err, @r"
    error: postern.toml:2:1: unknown field `concurency`, expected one of `concurrency`, `batch`, `lease`, `poll`, `retry_min`, `retry_max`, `grace`
      |
    2 | concurency = 4
      | ^^^^^^^^^^
    ");
}

#[test]
fn the_configuration_is_the_one_named_else_the_one_of_the_environment_else_the_one_here() {
    let (here, there) = (initialized(), initialized());
    let file = there.path().join("postern.toml");
    std::fs::write(&file, "[worker]\nbatch = 7\n").unwrap();
    let batch = |ran: crate::support::command::Ran| ran.out.contains("batch = 7");
    assert!(!batch(postern(here.path(), &["check-config"])));
    assert!(batch(run(command(here.path()).arg("check-config").env("POSTERN_CONFIG", &file))));
    assert!(batch(postern(here.path(), &["check-config", "-c", file.to_str().unwrap()])));
    assert!(batch(postern(here.path(), &["-c", file.to_str().unwrap(), "check-config"])));
    // A path in it counts from its own folder.
    let shown = postern(here.path(), &["-c", file.to_str().unwrap(), "check-config"]).out;
    assert!(shown.contains(there.path().join("keys/master.key").to_str().unwrap()), "{shown}");
}

#[test]
fn no_configuration_at_all_says_how_to_begin() {
    let ran = postern(tempdir().unwrap().path(), &["check-config"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("postern init"), "{}", ran.err);
}

#[test]
fn the_sample_that_init_writes_can_be_printed_again() {
    let dir = initialized();
    let written = std::fs::read_to_string(dir.path().join("postern.toml")).unwrap();
    assert_eq!(postern(dir.path(), &["check-config", "--sample"]).out, written);
    assert!(postern(dir.path(), &["check-config", "--variables"]).out.contains("POSTERN__STORE__URL = "));
}

#[test]
fn doctor_finds_a_fresh_installation_good_and_leaves_no_trace() {
    let dir = initialized();
    let ran = postern(dir.path(), &["doctor"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("good  master key: "), "{}", ran.out);
    let mut files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["keys", "postern.toml"]);
}

#[test]
fn doctor_says_what_to_fix() {
    let dir = initialized();
    let key = dir.path().join("keys/master.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(dir.path().join("postern.db"), "no database".repeat(100)).unwrap();
    let ran = run(command(dir.path()).args(["doctor", "--json"]).env("POSTERN_LOG", "=,="));
    assert_eq!(ran.code, 1, "{}", ran.err);
    let findings: Vec<serde_json::Value> = serde_json::from_str(&ran.out).unwrap();
    for (what, says) in [("log", "'=,='"), ("master key", "chmod 600"), ("store", "not a database")] {
        let found = findings.iter().find(|finding| finding["what"] == what).unwrap();
        assert_eq!(found["verdict"], "bad", "{found}");
        assert!(found["says"].as_str().unwrap().contains(says) && found["fix"].is_string(), "{found}");
    }
}
