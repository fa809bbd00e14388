//! What goes wrong on our side: defects of the program and mistakes in the set-up. Neither loses a delivery or is charged.

use std::{collections::BTreeSet, time::Duration};

use postern::{
    domain::{
        OrgScope,
        delivery::{Event, Fee},
        organization::SendMode,
    },
    store::organization::NewIdentity,
};
use serde_json::Value;

use super::world::{Plan, World, signing};
use crate::support::installation::{Installation, text, wait_for};

/// Panics at `point` once; gives what is told of the delivery afterwards.
async fn panics_at(point: &str) -> Value {
    let installation = Installation::open("retry_max = \"1s\"", None).await;
    let serving = installation.serve(None, Some(&format!("{point}:1:panic")));
    let result = installation.submit(&serving, 0, "pcp").await.unwrap();
    installation.settled(1);
    installation.ties(&BTreeSet::from([result]));
    assert!(installation.logs().contains("a defect of the program"), "{}", installation.logs());
    let id = text(&installation.deliveries()[0]["id"]);
    installation.json(&["delivery", "show", &id])
}

fn history(delivery: &Value) -> Vec<(String, String)> {
    let lines = delivery["history"].as_array().unwrap();
    lines.iter().map(|line| (text(&line["event"]), line["detail"].as_str().unwrap_or_default().to_owned())).collect()
}

const DEFECT: &str = "the work on it stopped because of a defect";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_defect_before_the_wire_puts_the_delivery_back_at_once_and_it_is_sent_and_charged_once() {
    let delivery = panics_at("delivery_sealed").await;
    assert!(history(&delivery).contains(&("deferred".to_owned(), DEFECT.to_owned())), "{delivery:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_defect_on_the_wire_leaves_the_outcome_unknown_and_it_is_sent_once_more_and_charged_once() {
    let delivery = panics_at("delivery_answered").await;
    assert!(history(&delivery).contains(&("lost".to_owned(), DEFECT.to_owned())), "{delivery:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistake_in_the_set_up_holds_the_delivery_with_its_reason_and_mending_it_sends_it() {
    let world = World::open(Plan::default()).await;
    let address = "results@direct.north.example";
    let good = || signing(&world.practice, address, "hisp");
    let other = signing(&world.practice, "other@direct.north.example", "hisp");
    let edge = |secret: &[u8]| NewIdentity { mode: SendMode::StaRelay, secret: Some(secret.to_vec().into()), ..good() };
    let mistakes: Vec<(&str, Vec<NewIdentity>, &str)> = vec![
        ("none", vec![], "no address to send from"),
        ("relay", vec![signing(&world.practice, address, "nowhere")], "no [[relay]] named 'nowhere'"),
        ("garbage", vec![edge(b"no key at all")], "cannot be used"),
        ("stranger", vec![NewIdentity { secret: other.secret.clone(), ..good() }], "cannot be used"),
        ("keyless", vec![NewIdentity { secret: None, ..good() }], "no certificate and key"),
    ];
    for (slug, identities, says) in mistakes {
        let sites = "[[site]]\nlocal_id = \"RIVERSIDE01\"\n";
        let org = world.organization(slug, sites, &identities).await;
        world.knows_recipients(org).await;
        let id = world.queued(org, slug).await;
        // Longer than any patience: what is our mistake is never the delivery's end.
        world.clock.pass(Duration::from_hours(72));
        world.gateway.drain().await.unwrap();
        let (view, history) = world.view(id).await;
        assert_eq!(world.stands(id).await, "held(no_identity)", "{slug}: {history:?}");
        assert_eq!((view.fee, view.attempts), (Fee::None, 0), "{slug}");
        let detail = history.last().and_then(|line| line.detail.clone()).unwrap_or_default();
        assert!(detail.contains(says), "{slug}: {detail}");
        assert!(!detail.contains("BEGIN") && !detail.contains("no key at all"), "{detail}");

        world.organization(slug, sites, &[good()]).await;
        world.store.ask_delivery(OrgScope::One(org), id, Event::Retry, "mended").await.unwrap();
        world.clock.pass(Duration::from_secs(10));
        world.gateway.drain().await.unwrap();
        assert_eq!(world.stands(id).await, "accepted", "{slug}");
    }
    assert_eq!(world.texts("SELECT DISTINCT fee FROM delivery").await, ["charged"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_defect_met_in_what_follows_one_failure_calls_a_person_and_stops_no_other() {
    let installation = Installation::open("retry_max = \"1s\"", None).await;
    let serving = installation.serve(None, Some("fallback_due:2:panic"));
    for number in 0..3 {
        installation.submit(&serving, number, &format!("550+{number}")).await.unwrap();
    }
    let followed = || {
        let all = installation.deliveries();
        let histories = all.iter().map(|one| history(&installation.json(&["delivery", "show", &text(&one["id"])])));
        let notes: Vec<String> = histories.flatten().filter(|(event, _)| event == "fallback").map(|(_, note)| note).collect();
        (notes.len() == 3).then_some(notes)
    };
    let mut notes = wait_for("what follows", followed).unwrap_or_else(|| panic!("{}", installation.logs()));
    notes.sort();
    let none_left = "there is no other way left: a person has to look";
    assert_eq!(notes, [&format!("{DEFECT}: a person has to look"), none_left, none_left]);
    assert_eq!(installation.json(&["worklist"]).as_array().unwrap().len(), 3);
    assert!(installation.logs().contains("a defect of the program"), "{}", installation.logs());
}

/// Strangers choose every octet of what comes in. A defect that one message meets, wherever it is met, is no other message's:
/// the loop goes on, and that one is looked at again.
async fn panics_with_a_notice_at(point: &str) {
    let installation = Installation::open("retry_max = \"1s\"", None).await;
    let mut serving = installation.serve(None, None);
    let mut results = BTreeSet::new();
    for number in 0..3 {
        results.insert(installation.submit(&serving, number, &format!("pcp{number}")).await.unwrap());
    }
    installation.settled(3);
    serving.terminate();
    serving.end();
    // `processed` and `dispatched` of each.
    installation.bring_notices(6).await;
    let _serving = installation.serve(None, Some(&format!("{point}:2:panic")));
    let dispatched = || installation.deliveries().iter().all(|delivery| delivery["disposition"] == "dispatched");
    wait_for("every notice", || dispatched().then_some(())).unwrap_or_else(|| panic!("{}", installation.logs()));
    assert!(installation.logs().contains("a defect of the program"), "{}", installation.logs());
    installation.ties(&results);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_defect_met_in_one_message_that_came_in_stops_no_other_and_it_is_looked_at_again() {
    panics_with_a_notice_at("inbound_claimed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_defect_after_a_notice_was_recorded_records_it_no_second_time() {
    panics_with_a_notice_at("notice_after_commit").await;
}
