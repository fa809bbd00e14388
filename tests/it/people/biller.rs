//! Somebody who bills finishes a month in the console, and nothing on the way is about a patient.

use std::{collections::BTreeSet, time::Duration};

use postern::domain::{
    OrgScope,
    delivery::Event as E,
    person::{Reach, Role},
};

use super::world::{Browser, Seen, World};
use crate::store::make;

/// A month with two charges; gives their Message-IDs.
async fn month(world: &World) -> Vec<String> {
    let org = world.organization("north").await;
    for order in ["A1", "A2"] {
        let id = world.database.queued(org, order).await;
        world.database.lead(org, id, &[E::Claimed, E::WireStarted, E::Accepted]).await;
    }
    world.database.texts("SELECT message_id FROM delivery ORDER BY id").await
}

/// Nothing of the patient, and nothing that leads to one.
fn check(path: &str, seen: &Seen) {
    assert!(seen.status == 200, "{path}: {} {}", seen.status, seen.body);
    for word in [
        make::FAMILY,
        "Morgan",
        make::LOCAL_ID,
        make::MEMBER_ID,
        "1964-02-17",
        "555-0142",
        make::ADDRESS,
        "/results/",
        "href=\"/deliveries",
    ] {
        assert!(!seen.body.contains(word), "{path} has {word}");
    }
}

async fn see(browser: &mut Browser, path: &str) -> Seen {
    let seen = browser.get(path).await;
    check(path, &seen);
    seen
}

shown! {
    async fn a_biller_finishes_a_month_and_never_meets_a_patient(world: &World) {
        let messages = month(world).await;
        let org = world.database.store.organizations(OrgScope::All).await.unwrap()[0].id;
        let biller = world.person("mo@lab.example", Role::Billing, Reach::of(BTreeSet::from([org]))).await;
        let mut browser = world.signed_in(biller).await;
        assert_eq!(browser.get("/").await.location, "/fees");
        for path in ["/fees", "/fees/north", "/organizations", "/organizations/north", "/webhooks", "/account"] {
            see(&mut browser, path).await;
        }
        let page = see(&mut browser, "/fees/north/2026-03").await;
        for words in ["At a glance", "0.50", "Statement", "Reconcile", "Close the month", "A draft"] {
            assert!(page.body.contains(words), "{words}: {}", page.body);
        }
        let lines = see(&mut browser, "/fees/north/2026-03/lines?entry=charge").await;
        assert!(lines.body.matches("<tr>").count() == 3, "{}", lines.body);
        assert!(see(&mut browser, "/fees/north/2026-03/lines?site=NOWHERE").await.body.contains("No line is like that"));
        for (path, kind, begins) in [
            ("/fees/north/2026-03/statement", "text/html", "<!doctype html>"),
            ("/fees/north/2026-03/statement?format=pdf", "application/pdf", "%PDF"),
            ("/fees/north/2026-03/statement?format=csv", "text/csv", ""),
            ("/fees/north/2026-03/export?format=csv", "text/csv", "id,"),
            ("/fees/north/2026-03/export?format=jsonl", "application/jsonl", "{\"id\""),
        ] {
            let seen = see(&mut browser, path).await;
            assert!(seen.headers["content-type"].to_str().unwrap().starts_with(kind), "{path}");
            assert!(seen.body.to_lowercase().starts_with(&begins.to_lowercase()), "{path}: {}", seen.body);
        }
        assert_eq!(browser.get("/fees/north/2026-03/export?format=csv").await.body.lines().count(), 3);
        assert_eq!(browser.get("/fees/north/2026-03/export?format=iif").await.status, 409, "an invoice is of a closed month");
        assert_eq!(browser.get("/fees/north/2026-03/export?format=xls").await.status, 400);

        let (here, file) = ("/fees/north/2026-03/reconcile", format!("Message-ID,To\r\n{},x\r\n<other@hisp.example>,y\r\n", messages[0]));
        let bad = browser.upload(here, here, &[("map", "message_id=Nope")], ("file", file.as_bytes())).await;
        assert!(bad.status == 422 && bad.body.contains("no column"), "{}", bad.body);
        let sent = browser.upload(here, here, &[("tolerance", "0")], ("file", file.as_bytes())).await;
        assert_eq!((sent.status, sent.location.as_str()), (303, here), "{}", sent.body);
        let found = see(&mut browser, here).await;
        for words in ["with us alone", "with the HISP alone", "&#60;other@hisp.example&#62;", "put it on the list of what you dispute", "Sign it off"] {
            assert!(found.body.contains(words), "{words}: {}", found.body);
        }
        let sign = format!("{here}/sign");
        assert_eq!(browser.send(&found, &sign, &[("digest", "00"), ("note", "agreed")]).await.status, 422, "only what was looked at");
        assert_eq!(browser.send(&found, &sign, &[("digest", &found.field("digest")), ("note", "")]).await.status, 422);
        let signed = browser.send(&found, &sign, &[("digest", &found.field("digest")), ("note", "agreed with the HISP")]).await;
        assert_eq!(signed.location, "/fees/north/2026-03?done=signed", "{}", signed.body);
        assert!(see(&mut browser, "/fees/north/2026-03").await.body.contains("agreed with the HISP"));

        let before = see(&mut browser, "/fees/north/2026-03/close").await;
        assert!(before.body.contains("/fees/north/2026-03/close?count=yes") && !before.body.contains("<form method=\"post\" action=\"/fees"));
        let early = see(&mut browser, "/fees/north/2026-03/close?count=yes").await;
        assert!(early.body.contains("It cannot be closed yet") && !early.body.contains("Close 2026-03</"), "{}", early.body);
        let refused = browser.send(&early, "/fees/north/2026-03/close", &[("sure", "yes")]).await;
        assert!(refused.status == 409 && refused.body.contains("It was not closed"), "{}", refused.body);
        world.database.pass(Duration::from_hours(24 * 31)).await;
        let mut browser = world.signed_in(biller).await;
        let ready = see(&mut browser, "/fees/north/2026-03/close?count=yes").await;
        assert!(ready.body.contains("What will stand in it") && ready.body.contains("Close it all the same"), "{}", ready.body);
        assert_eq!(browser.send(&ready, "/fees/north/2026-03/close", &[]).await.status, 422, "it was not looked at");
        assert_eq!(browser.send(&ready, "/fees/north/2026-03/close", &[("sure", "yes")]).await.status, 409, "by force alone, within its grace");
        let closed = browser.send(&ready, "/fees/north/2026-03/close", &[("sure", "yes"), ("force", "yes")]).await;
        assert_eq!(closed.location, "/fees/north/2026-03?done=closed", "{}", closed.body);
        let page = see(&mut browser, "/fees/north/2026-03").await;
        assert!(page.body.contains("Closed: it does not change any more") && !page.body.contains("Close the month"), "{}", page.body);
        let invoices = see(&mut browser, "/fees/north/2026-03/export?format=iif").await;
        assert!(invoices.body.starts_with("!TRNS") && invoices.body.contains("INVOICE"), "{}", invoices.body);
        assert!(world.database.store.kept_billing_statement(OrgScope::All, org, "2026-03".parse().unwrap(), org).await.unwrap().is_some());
        for path in ["/deliveries", "/worklist", "/inbox", "/audit", "/people", "/directory", "/trust", "/health", "/live"] {
            assert_eq!(browser.get(path).await.status, 403, "{path}");
        }
        let actions = world.actions().await;
        for action in ["data_exported", "reconciliation_signed", "setting_changed"] {
            assert!(actions.iter().any(|done| done == action), "{action}: {actions:?}");
        }
    }

    async fn a_biller_of_another_organization_sees_nothing_and_an_auditor_changes_nothing(world: &World) {
        month(world).await;
        let south = world.organization("south").await;
        let other = world.person("mo@south.example", Role::Billing, Reach::of(BTreeSet::from([south]))).await;
        let mut browser = world.signed_in(other).await;
        for path in ["/fees/north", "/fees/north/2026-03", "/fees/north/2026-03/export?format=csv", "/fees/north/2026-03/reconcile"] {
            assert_eq!(browser.get(path).await.status, 404, "{path}");
        }
        assert!(!browser.get("/fees").await.body.contains("north"));
        let auditor = world.person("eve@lab.example", Role::Auditor, Reach::Installation).await;
        let mut browser = world.signed_in(auditor).await;
        assert_eq!(browser.get("/fees/north/2026-03").await.status, 200);
        for path in ["/fees/north/2026-03/export?format=csv", "/fees/north/2026-03/close", "/fees/north/2026-03/reconcile"] {
            assert_eq!(browser.get(path).await.status, 403, "{path}");
        }
    }
}
