//! The quick start of the guide, run as it stands there against a running gateway.

use std::{fs, process::Command};

use postern::sandbox::report_pdf::{ReportAbout, make};

use crate::admin::world::World;

const NORTH: &str = "slug = \"north\"\nname = \"North\"\nmode = \"test\"\n[[site]]\nlocal_id = \"RIVERSIDE01\"\n";

fn example(mark: &str) -> String {
    let guide = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/integrating.md")).unwrap();
    let (_, behind) = guide.split_once(&format!("<!-- {mark} -->\n```")).unwrap();
    let (_, code) = behind.split_once('\n').unwrap();
    code.split_once("\n```").unwrap().0.to_owned()
}

#[test]
fn the_lines_of_the_guide_do_what_it_says() {
    let world = World::with(NORTH);
    let token = world.good(&["token", "create", "--organization", "north"]).out;
    let serving = world.serve(Some("web"));
    let about = ReportAbout {
        title: "Report".into(),
        organization: "North".into(),
        patient: "Morgan".into(),
        birth_date: "1964-02-17".into(),
        order_id: "QS-1".into(),
        completed: "2026-01-15".into(),
        reader: "Casey Reader".into(),
    };
    fs::write(world.dir.path().join("report.pdf"), make(1, &about, 20)).unwrap();
    let script = format!("set -e\n{}\n", example("quick-start.sh"));
    let ran = Command::new("sh")
        .args(["-c", &script])
        .current_dir(world.dir.path())
        .env("URL", &serving.url)
        .env("TOKEN", token.trim())
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{out}{}", String::from_utf8_lossy(&ran.stderr));
    for said in [r#""state":"open""#, r#""state":"received""#, r#""deliveries":["#, r#""events":["#] {
        assert!(out.contains(said), "{said} in {out}");
    }
}
