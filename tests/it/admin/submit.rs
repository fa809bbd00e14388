//! `postern order submit` and `postern result submit`, and the rest of the shell beside a running gateway.

use serde_json::{Value, json};

use super::world::{Serving, World};
use crate::support::{
    command::{Ran, command, run},
    counter::{order, pdf, result, with},
};

const NORTH: &str = "slug = \"north\"\nname = \"North\"\n[[site]]\nlocal_id = \"RIVERSIDE01\"\n";

struct Shell {
    world: World,
    serving: Serving,
    token: String,
}

impl Shell {
    fn new(only: Option<&str>) -> Self {
        let world = World::with(NORTH);
        let serving = world.serve(only);
        // Beside the running gateway.
        let token = world.good(&["token", "create", "--organization", "north"]).out.trim_end().to_owned();
        Self { world, serving, token }
    }

    fn run(&self, args: &[&str]) -> Ran {
        let mut command = command(self.world.dir.path());
        let ran = run(command.args(args).env("POSTERN_URL", &self.serving.url).env("POSTERN_TOKEN", &self.token));
        assert!(!format!("{ran:?}").contains("Testriver"), "{ran:?}");
        ran
    }

    fn order(&self, order: &Value, more: &[&str]) -> Ran {
        let file = self.world.write("order.json", order.to_string());
        self.run(&[&["order", "submit", &file], more].concat())
    }

    fn result(&self, order_id: &str, more: &[&str]) -> Ran {
        self.run(&[&["result", "submit", "--order", order_id, "--pdf", "report.pdf"], more].concat())
    }
}

/// A report that passes every check.
fn report() -> Vec<u8> {
    postern::sandbox::story::chapter(0).pdf()
}

#[test]
fn an_order_and_its_result_are_submitted_explained_and_worked_on_beside_a_running_gateway() {
    let shell = Shell::new(None);
    shell.world.write("report.pdf", report());
    let ran = shell.order(&order("A1"), &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.starts_with("order ") && ran.out.contains(" of order A1: "), "{}", ran.out);
    let ran = shell.order(&order("A1"), &[]);
    assert!(ran.out.contains("known already"), "{}", ran.out);

    let ran = shell.result("A1", &["--site", "RIVERSIDE01", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let taken: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(taken["version"], 1);
    let file = shell.world.write("result.json", json!({ "site": "RIVERSIDE01", "title": "Eye screening" }).to_string());
    let ran = shell.result("A2", &["--result", &file]);
    assert!(ran.out.contains("kept until it can go on") && ran.out.contains("waiting"), "{}", ran.out);

    // The organization has nobody to send from, so its delivery comes onto the worklist.
    let held = || shell.world.json(&["delivery", "list", "--state", "held"]);
    for _ in 0..200 {
        if held().as_array().is_some_and(|held| !held.is_empty()) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!((&held()[0]["reason"], &held()[0]["result"]), (&"no_identity".into(), &taken["id"]));
    assert!(shell.world.good(&["explain", "A1"]).out.contains("routed to 1 address"));
    shell.world.good(&["delivery", "cancel", held()[0]["id"].as_str().unwrap()]);
    shell.world.good(&["verify"]);
}

#[test]
fn what_the_gateway_refuses_is_told_field_by_field() {
    let shell = Shell::new(Some("web"));
    let ran = shell.order(&with(with(order("A1"), "shoe_size", 46.into()), "site", Value::Null), &[]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{}", ran.err);
    assert!(ran.err.contains("refused (422 invalid)"), "{}", ran.err);
    assert!(ran.err.contains("  /shoe_size: ") && ran.err.contains("  /site: "), "{}", ran.err);
    let ran = shell.order(&with(order("A1"), "shoe_size", 46.into()), &["--json"]);
    assert_eq!(ran.code, 1);
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["errors"][0]["field"], "/shoe_size");

    shell.world.write("report.pdf", "no report");
    let ran = shell.result("A1", &["--site", "RIVERSIDE01"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("  /pdf: "), "{}", ran.err);
    shell.world.write("report.pdf", pdf("x"));
    let other = shell.world.write("result.json", result("A9", "final").to_string());
    assert_eq!(shell.result("A1", &["--result", &other]).code, 2);

    let ran = shell.order(&order("A1"), &["--token", "pt_wrong"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("refused (401 unauthorized)"), "{}", ran.err);
    let nobody = shell.order(&order("A1"), &["--url", "http://127.0.0.1:1"]);
    assert_eq!(nobody.code, 2);
    assert!(!nobody.err.contains(&shell.token), "{}", nobody.err);
}
