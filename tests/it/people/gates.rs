//! Every form of the console: refused without the mark of its page, to whoever has not the right, and for another's organization.

use std::collections::BTreeSet;

use postern::{
    domain::person::{Reach, Role, may},
    web::{auth::Who, routes},
};
use reqwest::Method;

use super::{rights::concrete, world::World};

shown! {
    async fn no_form_is_taken_without_the_mark_of_its_page(world: &World) {
        world.organization("north").await;
        let admin = world.person("root@lab.example", Role::Admin, Reach::Installation).await;
        let (_, named) = routes(&world.web);
        let forms: Vec<_> = named.iter().filter(|route| route.method == Method::POST && matches!(route.who, Who::Person(_))).collect();
        assert!(forms.len() >= 45, "{}", forms.len());
        for route in forms {
            let path = concrete(route.path, "x");
            // So many requests of one session would be too many at once.
            let mut browser = world.signed_in(admin).await;
            for seen in [browser.post(&path, &[("sure", "yes")]).await, browser.post(&path, &[("csrf", "0"), ("sure", "yes")]).await] {
                assert_eq!(seen.status, 403, "{path}: {}", seen.body);
                assert!(seen.body.contains("did not come from this page"), "{path}");
            }
            let parts = b"--part\r\ncontent-disposition: form-data; name=\"sure\"\r\n\r\nyes\r\n--part--\r\n".to_vec();
            assert_eq!(browser.send_as("multipart/form-data; boundary=part", &path, parts).await.status, 403, "{path} in parts");
        }
    }

    async fn no_form_is_taken_from_a_role_without_its_right(world: &World) {
        world.organization("north").await;
        let (_, named) = routes(&world.web);
        for role in [Role::Operator, Role::Billing, Role::Auditor] {
            let person = world.person(&format!("{role}@lab.example"), role, Reach::Installation).await;
            let mut browser = world.signed_in(person).await;
            let mark = browser.get("/account").await.field("csrf");
            for route in named.iter().filter(|route| route.method == Method::POST) {
                let Who::Person(right) = route.who else { continue };
                if may(role, &Reach::Installation, right) || route.path == "/sign-out" {
                    continue;
                }
                let seen = browser.post(&concrete(route.path, "x"), &[("csrf", &mark), ("for", "north")]).await;
                assert!(seen.status == 403 && seen.body.contains("does not include this"), "{role} {}: {}", route.path, seen.status);
            }
        }
    }

    async fn no_form_reaches_another_organization(world: &World) {
        let (mine, theirs) = (world.organization("north").await, world.organization("south").await);
        let delivery = world.database.queued(theirs, "A1").await.to_string();
        let result = world.database.result(theirs, "A2").await.to_string();
        let reach = Reach::of(BTreeSet::from([mine]));
        let operator = world.person("jo@north.example", Role::Operator, reach.clone()).await;
        let biller = world.person("mo@north.example", Role::Billing, reach).await;
        let before = world.actions().await.len();
        let mut browser = world.signed_in(operator).await;
        let mark = browser.get("/account").await.field("csrf");
        let anchor = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----";
        for (path, fields) in [
            ("/directory/decisions".to_owned(), vec![("action", "pin"), ("npi", "1234567893"), ("address", "a@d.example"), ("why", "x")]),
            ("/directory/rosters".to_owned(), vec![("file", "member_id,npi\nM1,1234567893\n")]),
            ("/directory/rosters/load".to_owned(), vec![("roster", delivery.as_str()), ("force", "yes")]),
            ("/directory/rosters/drop".to_owned(), vec![("roster", delivery.as_str())]),
            ("/directory/probe".to_owned(), vec![("address", "a@d.example")]),
            ("/trust/anchors".to_owned(), vec![("pem", anchor)]),
            ("/trust/anchors/remove".to_owned(), vec![("fingerprint", "00")]),
            ("/trust/bundles".to_owned(), vec![("name", "x"), ("url", "https://x.example")]),
            ("/trust/bundles/refresh".to_owned(), vec![("name", "x")]),
            ("/trust/bundles/remove".to_owned(), vec![("name", "x")]),
            ("/trust/certificates".to_owned(), vec![("pem", anchor)]),
            ("/trust/certificates/remove".to_owned(), vec![("fingerprint", "00")]),
            ("/organizations/south/test".to_owned(), vec![("site", "RIVERSIDE01"), ("address", "a@d.example")]),
            (format!("/deliveries/{delivery}"), vec![("what", "cancel")]),
            (format!("/deliveries/{delivery}/document"), vec![]),
            (format!("/deliveries/{delivery}/path"), vec![]),
            (format!("/results/{result}/reveal"), vec![]),
            (format!("/worklist/{result}"), vec![("action", "dismiss"), ("why", "x")]),
            (format!("/parked/{result}/replay"), vec![]),
            (format!("/parked/{result}/discard"), vec![("sure", "yes")]),
        ] {
            let fields = [&[("csrf", mark.as_str()), ("for", "south")][..], &fields].concat();
            let seen = browser.post(&path, &fields).await;
            assert_eq!(seen.status, 404, "{path}: {}", seen.body);
        }
        let mut browser = world.signed_in(biller).await;
        let mark = browser.get("/account").await.field("csrf");
        let correct = format!("/fees/south/2026-03/lines/{delivery}/correct");
        for path in ["/fees/south/2026-03/close", "/fees/south/2026-03/reconcile", "/fees/south/2026-03/reconcile/sign", &correct] {
            assert_eq!(browser.post(path, &[("csrf", &mark), ("sure", "yes")]).await.status, 404, "{path}");
        }
        for path in ["/fees/south", "/fees/south/2026-03", "/fees/south/2026-03/lines", "/fees/south/2026-03/export?format=csv", "/fees/south/2026-03/statement"] {
            assert_eq!(browser.get(path).await.status, 404, "{path}");
        }
        assert_eq!(world.database.state(delivery.parse().unwrap()).await, postern::domain::delivery::State::Queued);
        let done: Vec<String> = world.actions().await.split_off(before);
        assert!(done.iter().all(|action| action != "patient_revealed"), "{done:?}");
    }
}
