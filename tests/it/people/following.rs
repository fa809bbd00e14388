//! What is opened when somebody asks, what follows by itself, and what people keep for themselves.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use postern::{
    domain::{
        OrgScope,
        audit::{Actor, Witness},
        delivery::Event,
        person::{Reach, Role},
    },
    observe::events::{PersonDisabled, PersonEnabled},
    store::inbound::Kept,
};

use super::world::World;
use crate::store::make;

shown! {
    async fn the_document_of_a_delivery_is_shown_beside_its_pdf_and_on_record_first(world: &World) {
        let org = world.organization("north").await;
        let id = world.database.queued(org, "A1").await;
        let auditor = world.person("eve@lab.example", Role::Auditor, Reach::Installation).await;
        let mut browser = world.signed_in(auditor).await;
        let page = browser.get(&format!("/deliveries/{id}")).await;
        assert!(!page.body.contains("Show the document") && !page.body.contains(make::FAMILY));
        assert_eq!(browser.send(&page, &format!("/deliveries/{id}/document"), &[]).await.status, 403);
        let operator = world.person("jo@lab.example", Role::Operator, Reach::Installation).await;
        let mut browser = world.signed_in(operator).await;
        let page = browser.get(&format!("/deliveries/{id}")).await;
        assert!(page.body.contains("Show the document") && !page.body.contains(make::FAMILY), "{}", page.body);
        let shown = browser.send(&page, &format!("/deliveries/{id}/document"), &[]).await;
        assert_eq!(shown.status, 200, "{}", shown.body);
        let (entry, _) = world.database.store.delivery_view(OrgScope::All, id).await.unwrap().unwrap();
        for words in [make::FAMILY, "Morgan", "1964-02-17", "Organization north", "application/pdf", &format!("/results/{}/document", entry.result)] {
            assert!(shown.body.contains(words), "{words}: {}", shown.body);
        }
        assert!(shown.headers["content-security-policy"].to_str().unwrap().contains("frame-src 'self'"));
        assert!(world.actions().await.contains(&"patient_revealed".to_owned()));
        // Nobody here answers probes: it is said, and nothing else happens.
        let path = browser.send(&page, &format!("/deliveries/{id}/path"), &[]).await;
        assert!(path.status == 503 && path.body.contains("Nobody answers probes"), "{}", path.body);
    }

    async fn a_page_follows_what_happens_as_far_as_its_reader_may_see(world: &World) {
        let (mine, theirs) = (world.organization("north").await, world.organization("south").await);
        let (id, other) = (world.database.queued(mine, "A1").await, world.database.queued(theirs, "A2").await);
        let viewer = world.person("payer@plan.example", Role::Viewer, Reach::of(BTreeSet::from([mine]))).await;
        let mut browser = world.signed_in(viewer).await;
        let page = browser.get(&format!("/deliveries/{id}")).await;
        assert!(page.body.contains(&format!("data-live=\"/deliveries/{id}/live\"")) && page.body.contains("<script src=\"/assets/console-"));
        let script = page.body.split("<script src=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let script = browser.get(&script).await;
        assert!(script.status == 200 && script.headers["content-type"].to_str().unwrap().starts_with("text/javascript"));
        let (status, first) = browser.follow(&format!("/deliveries/{id}/live")).await;
        assert!(status == 200 && first.contains("event: state") && first.contains("queued"), "{first}");
        world.database.lead(mine, id, &[Event::Claimed, Event::WireStarted, Event::Accepted]).await;
        let (_, first) = browser.follow(&format!("/deliveries/{id}/live")).await;
        assert!(first.contains("accepted"), "{first}");
        let (_, first) = browser.follow("/live").await;
        assert!(first.contains("event: tiles") && first.contains("On their way"), "{first}");
        assert_eq!(browser.get(&format!("/deliveries/{other}/live")).await.status, 404);
        assert_eq!(browser.get("/live").await.status, 406, "what reads no events would wait for an end");
        assert_eq!(world.browser().get("/live").await.status, 303, "nobody follows without a session");
    }

    async fn who_is_signed_out_or_disabled_follows_nothing_more(world: &World) {
        let org = world.organization("north").await;
        let id = world.database.queued(org, "A1").await;
        let who = world.person("jo@lab.example", Role::Auditor, Reach::Installation).await;
        for case in ["signed out", "disabled", "idle"] {
            let mut browser = world.signed_in(who).await;
            let mut following = browser.following(&format!("/deliveries/{id}/live")).await;
            assert!(following.chunk().await.unwrap().is_some(), "{case}: it follows");
            let (store, actor) = (&world.database.store, Actor::gateway());
            match case {
                "signed out" => assert_eq!(browser.fill("/account", "/sign-out", &[]).await.status, 303),
                "disabled" => store.disable_person(who, true, Witness::new(&actor, &PersonDisabled { person: who })).await.unwrap(),
                _ => world.database.pass(Duration::from_hours(1)).await,
            }
            let begun = Instant::now();
            while following.chunk().await.unwrap_or_default().is_some() {}
            assert!(begun.elapsed() < Duration::from_secs(20), "{case}: {:?}", begun.elapsed());
            store.disable_person(who, false, Witness::new(&actor, &PersonEnabled { person: who })).await.unwrap();
        }
    }

    async fn a_filter_is_kept_under_a_name_and_for_oneself(world: &World) {
        world.organization("north").await;
        let (jo, mo) = (
            world.person("jo@lab.example", Role::Operator, Reach::Installation).await,
            world.person("mo@lab.example", Role::Operator, Reach::Installation).await,
        );
        let mut browser = world.signed_in(jo).await;
        let list = "/deliveries?state=held&reason=no_cert";
        let fields = [("called", "Waits for certificates"), ("state", "held"), ("reason", "no_cert"), ("done", "x")];
        let saved = browser.fill(list, "/deliveries/filters", &fields).await;
        assert_eq!(saved.location, format!("{list}&done=filter-saved"), "{}", saved.body);
        let page = browser.get("/deliveries").await;
        assert!(page.body.contains("Waits for certificates") && page.body.contains("/deliveries?state=held&#38;reason=no_cert"), "{}", page.body);
        assert!(!world.signed_in(mo).await.get("/deliveries").await.body.contains("Waits for certificates"));
        assert_eq!(browser.fill(list, "/deliveries/filters", &[("called", ""), ("state", "held")]).await.status, 422);
        assert_eq!(browser.fill(list, "/deliveries/filters", &[("called", "x"), ("state", "gone")]).await.status, 422);
        for number in 1..20 {
            browser.fill(list, "/deliveries/filters", &[("called", &number.to_string()), ("state", "held")]).await;
        }
        let full = browser.fill(list, "/deliveries/filters", &[("called", "one more"), ("state", "held")]).await;
        assert!(full.location.ends_with("done=filters-full"), "{}", full.location);
        let gone = browser.fill(list, "/deliveries/filters/remove", &[("called", "Waits for certificates")]).await;
        assert_eq!(gone.location, "/deliveries?done=filter-removed");
        assert!(!browser.get("/deliveries").await.body.contains("Waits for certificates"));
    }

    async fn mail_that_matches_no_organization_is_for_admins_and_reading_it_is_on_record(world: &World) {
        let mail = crate::store::inbound::mail(None, "Subject: hello\r\n\r\nto nobody here");
        assert!(matches!(world.database.store.keep_inbound(&mail).await.unwrap(), Kept::New(_)));
        let operator = world.person("jo@lab.example", Role::Operator, Reach::Installation).await;
        assert_eq!(world.signed_in(operator).await.get("/inbox/unmatched").await.status, 403);
        let admin = world.person("root@lab.example", Role::Admin, Reach::Installation).await;
        let mut browser = world.signed_in(admin).await;
        assert!(browser.get("/inbox").await.body.contains("/inbox/unmatched"));
        let page = browser.get("/inbox/unmatched").await;
        assert!(page.body.contains(&mail.id.to_string()) && !page.body.contains("to nobody here"), "{}", page.body);
        let read = browser.send(&page, &format!("/inbox/unmatched/{}/read", mail.id), &[]).await;
        assert!(read.status == 200 && read.body.contains("to nobody here"), "{}", read.body);
        assert!(world.actions().await.contains(&"unmatched_read".to_owned()));
        let other = browser.send(&page, &format!("/inbox/unmatched/{}/read", postern::domain::id::InboundId::new()), &[]).await;
        assert_eq!(other.status, 404);
    }
}
