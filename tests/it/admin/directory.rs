//! `postern directory`.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use super::world::World;
use crate::support::command::command;

fn csv(rows: usize) -> String {
    let mut text = "npi,address,organization,organization_npi,status\n".to_owned();
    for row in 0..rows {
        writeln!(text, "1234567893,pcp{row}@direct.example.org,North Clinic,2000000044,active").unwrap();
    }
    text
}

#[test]
fn a_directory_is_loaded_with_its_rejects_listed_and_asked() {
    let world = World::new();
    assert!(world.bad(&["directory", "lookup", "1234567893"]).err.contains("postern directory import"));
    let file =
        world.write("d.csv", csv(1) + "1234567890,x@direct.example.org,,,\n2000000010,,,,\n1245319599,a@d.example,,,inactive\n");
    let ran = world.good(&["directory", "import", "csv", &file]);
    assert!(ran.out.ends_with("directtrust: 3 rows in force, 1 rejected\n"), "{}", ran.out);
    let rejects = std::fs::read_to_string(world.path("d.csv.rejects.csv")).unwrap();
    assert_eq!(rejects, "line,column,reason\n3,npi,has a wrong check digit\n");

    let found = world.json(&["directory", "lookup", "1234567893"]);
    assert_eq!(found["entries"][0]["address"], "pcp0@direct.example.org");
    assert_eq!((&found["sources"][0]["name"], &found["sources"][0]["says"]), (&"d.csv".into(), &"found".into()));
    for (npi, reason) in [("2000000010", "no_address"), ("1245319599", "npi_inactive"), ("2000000044", "npi_unknown")] {
        assert!(world.bad(&["directory", "lookup", npi]).err.contains(reason), "{npi}");
    }
    assert_eq!(world.run(&["directory", "lookup", "1234567890"]).code, 2);

    world.good(&["directory", "import", "csv", &world.write("d.csv", csv(3))]);
    assert!(!world.path("d.csv.rejects.csv").exists());
}

#[test]
fn half_a_file_does_not_replace_a_whole_one_unless_forced() {
    let world = World::new();
    world.good(&["directory", "import", "csv", &world.write("d.csv", csv(100))]);
    let entries = || world.json(&["directory", "list"])[0]["rows"].clone();
    for small in [csv(79), csv(0), "nothing,useful\n".to_owned(), String::new()] {
        let refused = world.bad(&["directory", "import", "csv", &world.write("d.csv", small)]);
        assert!(refused.err.contains("stays in force"), "{}", refused.err);
        assert_eq!(entries(), 100);
    }
    let forced = world.json(&["directory", "import", "csv", &world.write("d.csv", csv(79)), "--force"]);
    assert_eq!((&forced["rows"], &forced["before"]), (&79.into(), &100.into()));
    assert_eq!(entries(), 79);
    assert_eq!(world.run(&["directory", "import", "csv", "nowhere.csv"]).code, 2);
}

#[test]
fn on_a_terminal_an_import_shows_how_far_it_is() {
    let world = World::new();
    let file = world.write("large.csv", csv(60_000));
    // script(1) gives it a terminal; every Debian has it.
    let line = format!("{} directory import csv {file}", command(world.dir.path()).get_program().display());
    let mut script = std::process::Command::new("script");
    let shown = script.args(["-qec", &line, "/dev/null"]).current_dir(world.dir.path()).env("TERM", "xterm").output().unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("rows read, 0 rejected") && shown.contains('%') && shown.contains("left"), "{shown}");
    assert!(shown.contains("60000 rows in force"), "{shown}");
}

#[tokio::test]
async fn an_import_stopped_in_the_middle_leaves_nothing_half_visible_and_nothing_behind() {
    let world = World::new();
    world.good(&["directory", "import", "csv", &world.write("d.csv", csv(100))]);
    let url = format!("sqlite:{}", world.path("postern.db").display());
    let raw = sqlx::SqlitePool::connect(&url).await.unwrap();
    let rows = async || sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM directory_entry").fetch_one(&raw).await.unwrap();
    assert_eq!(rows().await, 100);

    let mut command = command(world.dir.path());
    command.args(["directory", "import", "csv", &world.write("large.csv", csv(150_000))]).stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    let began = Instant::now();
    while rows().await == 100 {
        assert!(began.elapsed() < Duration::from_mins(2), "it writes nothing");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let during = world.json(&["directory", "lookup", "1234567893"]);
    assert_eq!(during["entries"].as_array().unwrap().len(), 100, "the load before answers until the new one is complete");
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("the import was stopped") && said.contains("stays in force"), "{said}");
    let loads = world.json(&["directory", "list"]);
    assert_eq!((loads.as_array().unwrap().len(), &loads[0]["rows"]), (1, &100.into()), "{loads}");
    assert_eq!(rows().await, 100, "what was written is taken away");
    let unfinished: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM directory_snapshot WHERE state = 'loading'").fetch_one(&raw).await.unwrap();
    assert_eq!(unfinished, 0);
}
