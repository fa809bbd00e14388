//! `postern webhook`, and a gateway that is killed while it tells.

use std::time::{Duration, Instant};

use postern::domain::delivery::Event;
use serde_json::json;

use super::receiver::{Mood, Receiver};
use crate::{
    admin::world::{World, deliveries, happened, org},
    support::command::command,
};

fn file(url: &str) -> String {
    format!(
        "slug = \"north\"\nname = \"North\"\n[[site]]\nlocal_id = \"RIVERSIDE01\"\n[[webhook]]\nname = \"bridge\"\nurl = \"{url}\"\n"
    )
}

/// Allows webhooks on this machine.
fn allow(world: &World) {
    let config = std::fs::read_to_string(world.path("postern.toml")).unwrap();
    let allowed = "[events]\nallow_http = true\nallow_networks = [\"127.0.0.0/8\"]\nretry_min = \"1s\"\n";
    let kept: String = config.split_inclusive('\n').filter(|line| !line.starts_with("[events]")).collect();
    world.write("postern.toml", format!("{kept}\n{allowed}"));
}

const NAMED: [&str; 3] = ["bridge", "--organization", "north"];

fn named<'a>(command: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["webhook", command], &NAMED[..], more].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_is_applied_tried_out_replayed_switched_and_given_a_new_secret() {
    let receiver = Receiver::start(Mood::Says(204)).await;
    let world = World::new();
    allow(&world);
    world.write("org.toml", file(&receiver.url));
    let applied = world.json(&["org", "apply", "org.toml"]);
    let first = applied["secrets"][0]["secret"].as_str().unwrap().to_owned();
    assert!(first.starts_with("whsec_"), "{applied}");
    let again = world.json(&["org", "apply", "org.toml"]);
    assert_eq!((&again["applied"], &again["secrets"]), (&json!(false), &json!([])), "it is shown once");

    let ran = world.good(&named("test", &[]));
    assert!(ran.out.contains("taken"), "{}", ran.out);
    let got = receiver.got().remove(0);
    assert_eq!((got.kind().as_str(), got.json()["data"]["webhook"].as_str()), ("webhook.test", Some("bridge")));
    receiver.set(Mood::Says(401));
    assert!(world.bad(&named("test", &[])).out.contains("does it know the secret"));

    let store = world.store().await;
    let org = org(&store, "north").await;
    let made = deliveries(&store, org, "A1", &["pcp@direct.example.org"]).await;
    happened(&store, made[0], &[Event::Claimed, Event::WireStarted, Event::Accepted]).await;
    let listed = world.json(&["webhook", "list"]);
    assert_eq!((&listed[0]["on"], &listed[0]["waiting"], &listed[0]["told"]), (&json!(true), &json!(3), &json!(0)), "{listed}");
    assert!(world.good(&["webhook", "list"]).out.contains("bridge"));

    let dry = world.json(&named("replay", &["--from", "1", "--dry-run"]));
    assert_eq!((&dry["waiting"], &dry["applied"]), (&json!(2), &json!(false)));
    assert_eq!(world.json(&named("replay", &["--from", "2"]))["waiting"], 1);
    assert_eq!(world.json(&["webhook", "list"])[0]["told"], 2);
    assert_eq!(world.json(&named("replay", &["--since", "2020-01-01T00:00:00Z"]))["waiting"], 3);
    assert_eq!(world.json(&named("replay", &["--since", "2999-01-01T00:00:00Z"]))["waiting"], 0);
    assert_eq!(world.run(&named("replay", &["--from", "99"])).code, 2);

    assert_eq!(world.json(&named("disable", &[]))["off_because"], "asked");
    assert_eq!(world.json(&named("enable", &[]))["on"], true);
    let second = world.json(&named("rotate-secret", &["--keep", "1h"]));
    assert_ne!(second["secret"], json!(first));
    assert_eq!(store.webhook_secrets(org, "bridge").await.unwrap().unwrap().len(), 2);
    assert_eq!(world.run(&["webhook", "test", "nobody", "--organization", "north"]).code, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_from_a_file_is_taken_and_a_new_one_there_replaces_it() {
    let world = World::new();
    let text =
        file("https://ehr.example.com/in").replace("name = \"bridge\"", "name = \"bridge\"\nsecret_file = \"bridge.secret\"");
    world.write("org.toml", text);
    world.write("bridge.secret", "whsec_c2hvcnQ=\n");
    assert!(world.bad(&["org", "apply", "org.toml"]).err.contains("webhook[0].secret_file: must be 24 to 64 octets"));
    world.write("bridge.secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    assert_eq!(world.json(&["org", "apply", "org.toml"])["secrets"], json!([]));
    assert_eq!(world.json(&["org", "apply", "org.toml"])["applied"], false);
    world.write("bridge.secret", "whsec_NfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    assert_eq!(world.json(&["org", "apply", "org.toml"])["applied"], true);
    let store = world.store().await;
    let org = org(&store, "north").await;
    assert_eq!(store.webhook_secrets(org, "bridge").await.unwrap().unwrap().len(), 2, "the old one signs on for a day");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn death_between_the_post_and_its_record_tells_it_again_under_the_same_id() {
    let receiver = Receiver::start(Mood::Says(204)).await;
    let world = World::new();
    allow(&world);
    world.write("org.toml", file(&receiver.url));
    world.good(&["org", "apply", "org.toml"]);
    let store = world.store().await;
    deliveries(&store, org(&store, "north").await, "A1", &["pcp@direct.example.org"]).await;

    let serve = || {
        let mut serve = command(world.dir.path());
        serve.args(["serve", "--only", "track"]).env("POSTERN__WORKER__LEASE", "3s");
        serve.stderr(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        serve
    };
    let mut first = serve().env("POSTERN_FAILPOINT", "webhook_posted:2").spawn().unwrap();
    let died = tokio::task::spawn_blocking(move || first.wait().unwrap()).await.unwrap();
    assert!(!died.success());
    assert_eq!(receiver.kinds(), ["delivery.queued", "result.routed"], "both were taken, and nobody has noted it");

    let mut second = serve().spawn().unwrap();
    let began = Instant::now();
    while receiver.got().len() < 4 && began.elapsed() < Duration::from_secs(30) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    second.kill().unwrap();
    second.wait().unwrap();
    let ids: Vec<String> = receiver.got().iter().map(|request| request.header("webhook-id").to_owned()).collect();
    assert_eq!((ids.len(), &ids[..2]), (4, &ids[2..]));
}
