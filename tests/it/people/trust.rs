//! Whom we believe is changed in the console, with the checks of the command.

use std::time::Duration;

use postern::{
    domain::{
        OrgScope,
        person::{Reach, Role},
    },
    trust::authority::{Authority, Binding, KeyKind, Order, Usage},
};

use super::world::{Browser, World};
use crate::store::{make, world::START};

const DAY: Duration = Duration::from_hours(24);

async fn operator(world: &World) -> Browser {
    let id = world.person("jo@lab.example", Role::Operator, Reach::Installation).await;
    world.signed_in(id).await
}

fn authority(left: u32) -> Authority {
    Authority::new("Community", KeyKind::P256, START.minus(DAY * 400), START.plus(DAY * left)).unwrap()
}

shown! {
    async fn an_anchor_is_added_from_a_file_or_pasted_and_removed(world: &World) {
        let org = world.organization("north").await;
        let (mut browser, store, ca) = (operator(world).await, &world.database.store, authority(800));
        let pem = ca.certificate().pem().unwrap();
        let done = browser.upload("/trust", "/trust/anchors", &[("for", "north"), ("kind", "anchor"), ("use", "send")], ("file", pem.as_bytes())).await;
        assert_eq!((done.status, done.location.as_str()), (303, "/trust?done=anchor-kept"), "{}", done.body);
        let anchors = store.anchors(OrgScope::One(org)).await.unwrap();
        assert_eq!((anchors.len(), anchors[0].used_for.unwrap().as_str()), (1, "send"));
        let page = browser.get("/trust").await;
        assert!(page.body.contains("Community") && page.body.contains(&anchors[0].fingerprint[..16]), "{}", page.body);
        for (pem, why) in [("nonsense".to_owned(), "Nothing was changed"), (String::new(), "choose a file"),
            (authority(0).certificate().pem().unwrap(), "expired")] {
            let seen = browser.fill("/trust", "/trust/anchors", &[("for", "north"), ("pem", &pem)]).await;
            assert!(seen.status == 422 && seen.body.contains(why), "{why}: {}", seen.body);
        }
        let person = ca.issue(&person()).unwrap().certificate;
        let text = person.pem().unwrap();
        let seen = browser.fill("/trust", "/trust/anchors", &[("for", "north"), ("pem", &text)]).await;
        assert!(seen.status == 422 && seen.body.contains("not an authority"), "{}", seen.body);
        assert_eq!(store.anchors(OrgScope::One(org)).await.unwrap().len(), 1);
        let kept = browser.fill("/trust", "/trust/certificates", &[("for", "north"), ("pem", &text)]).await;
        assert_eq!(kept.location, "/trust?done=certificate-kept", "{}", kept.body);
        let known = store.certificates(OrgScope::One(org)).await.unwrap();
        assert_eq!((known.len(), known[0].name.as_str()), (1, make::ADDRESS));
        let seen = browser.fill("/trust", "/trust/certificates", &[("for", "north"), ("pem", &pem)]).await;
        assert!(seen.status == 422 && seen.body.contains("only authorities"), "{}", seen.body);
        for (path, print, word) in [
            ("/trust/certificates/remove", &known[0].fingerprint, "removed"),
            ("/trust/anchors/remove", &anchors[0].fingerprint, "removed"),
            ("/trust/anchors/remove", &anchors[0].fingerprint, "gone"),
        ] {
            let done = browser.fill("/trust", path, &[("for", "north"), ("fingerprint", print)]).await;
            assert_eq!(done.location, format!("/trust?done={word}"), "{path}");
        }
        assert!(store.anchors(OrgScope::All).await.unwrap().is_empty() && store.certificates(OrgScope::All).await.unwrap().is_empty());
        assert!(world.actions().await.iter().filter(|action| *action == "setting_changed").count() >= 4);
    }

    async fn a_bundle_that_cannot_be_had_changes_nothing(world: &World) {
        let org = world.organization("north").await;
        let mut browser = operator(world).await;
        for (name, url, why) in [
            ("community", "http://bundles.example/a.p7b", "must begin with https://"),
            ("community", "https://user@bundles.example/a.p7b", "carry no password"),
            ("", "https://bundles.example/a.p7b", "1 to 100 octets"),
            ("community", "https://127.0.0.1:1/a.p7b", "Nothing was changed"),
        ] {
            let fields = [("for", "north"), ("name", name), ("url", url)];
            let seen = browser.fill("/trust", "/trust/bundles", &fields).await;
            assert!(seen.status == 422 && seen.body.contains(why), "{why}: {}", seen.body);
        }
        assert!(world.database.store.bundles(OrgScope::One(org)).await.unwrap().is_empty());
        for path in ["/trust/bundles/refresh", "/trust/bundles/remove"] {
            let done = browser.fill("/trust", path, &[("for", "north"), ("name", "community")]).await;
            assert_eq!(done.location, "/trust?done=gone", "{path}");
        }
    }
}

fn person() -> Order {
    let to = Binding::Address(make::ADDRESS.parse().unwrap());
    Order { usage: Usage::Dual, key: KeyKind::P256, ..Order::new(to, START.minus(DAY), START.plus(DAY * 300)) }
}
