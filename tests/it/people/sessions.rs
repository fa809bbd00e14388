//! Sessions: when they end, and that nobody keeps one from before.

use std::time::Duration;

use postern::{
    config::console::ConsoleSection,
    crypto::password::{Cost, hash},
    domain::{
        Timestamp,
        audit::{Actor, Witness},
        id::PersonId,
        person::{Reach, Role},
    },
    observe::{
        events::{PersonAdded, RoleGiven},
        facts::Named,
    },
    store::person::NewPerson,
};

use super::world::{PASSWORD, World};

on_both_engines! {
    async fn a_session_ends_when_nothing_is_done_in_it_and_after_eight_hours_however_busy(world: &World) {
        let person = world.auditor().await;
        let mut idle = world.signed_in(person).await;
        world.database.pass(Duration::from_mins(14)).await;
        assert_eq!(idle.get("/").await.status, 200);
        world.database.pass(Duration::from_secs(14 * 60 + 59)).await;
        assert_eq!(idle.get("/").await.status, 200, "what was done a while ago counts");
        world.database.pass(Duration::from_mins(15)).await;
        assert_eq!(idle.get("/").await.location, "/sign-in");

        let mut busy = world.signed_in(person).await;
        for _ in 0..(8 * 6 - 1) {
            world.database.pass(Duration::from_mins(10)).await;
            assert_eq!(busy.get("/").await.status, 200);
        }
        world.database.pass(Duration::from_mins(10)).await;
        assert_eq!(busy.get("/").await.location, "/sign-in");
    }

    async fn a_session_id_from_before_is_never_taken_over(world: &World) {
        world.auditor().await;
        let mut browser = world.browser();
        let planted = "ab".repeat(32);
        browser.cookies.insert("postern".to_owned(), planted.clone());
        assert_eq!(browser.get("/").await.location, "/sign-in");
        browser.sign_in("jo@lab.example", PASSWORD).await;
        let first = browser.cookies["postern"].clone();
        assert_ne!(first, planted);
        let stored = world.database.texts("SELECT hash FROM console_session").await;
        assert!(stored.len() == 1 && stored[0] != first, "its hash is stored, not itself");
        let mut thief = world.browser();
        thief.cookies.insert("postern".to_owned(), stored[0].clone());
        assert_eq!(thief.get("/").await.location, "/sign-in", "what the database holds opens nothing");
        let mut copy = world.browser();
        copy.cookies.clone_from(&browser.cookies);
        browser.sign_in("jo@lab.example", PASSWORD).await;
        assert_eq!((copy.get("/").await.location.as_str(), browser.get("/").await.status), ("/sign-in", 200), "signing in again");
    }

    async fn signing_out_ends_it_for_whoever_has_the_cookie_and_everywhere_else_when_asked(world: &World) {
        let person = world.auditor().await;
        let (mut one, mut two, mut three) = (world.signed_in(person).await, world.signed_in(person).await, world.signed_in(person).await);
        let mut copy = world.browser();
        copy.cookies = one.cookies.clone();
        let out = one.fill("/", "/sign-out", &[]).await;
        assert_eq!(out.location, "/sign-in");
        assert!(out.set_cookies[0].contains("Max-Age=0"), "{:?}", out.set_cookies);
        assert_eq!(copy.get("/").await.location, "/sign-in");
        assert_eq!(two.fill("/account", "/account/sessions/end", &[]).await.location, "/account");
        assert_eq!((two.get("/").await.status, three.get("/").await.location.as_str()), (200, "/sign-in"));
        assert!(world.actions().await.ends_with(&["signed_out".to_owned(), "sessions_ended".to_owned()]));
    }

    async fn another_role_or_password_ends_what_was_signed_in_before(world: &World) {
        let person = world.auditor().await;
        let (mut one, mut two) = (world.signed_in(person).await, world.signed_in(person).await);
        let fields = [("old", PASSWORD), ("new", "another walk by the sea"), ("again", "another walk by the sea")];
        let wrong = one.fill("/account/password", "/account/password", &[("old", "no"), fields[1], fields[2]]).await;
        assert_eq!(wrong.status, 422);
        assert_eq!(one.fill("/account/password", "/account/password", &fields).await.status, 303);
        assert_eq!((one.get("/").await.status, two.get("/").await.location.as_str()), (200, "/sign-in"));
        let (actor, event) = (Actor::shell(0, "root"), RoleGiven { person, organizations: 0, role: Role::Billing });
        world.database.store.set_role(person, Role::Billing, &Reach::Installation, Witness::new(&actor, &event)).await.unwrap();
        assert_eq!(one.get("/").await.location, "/sign-in");
        assert_eq!(world.browser().sign_in("jo@lab.example", PASSWORD).await.status, 422);
        assert_eq!(world.browser().sign_in("jo@lab.example", "another walk by the sea").await.status, 303);
    }

    async fn a_first_password_is_good_only_to_choose_another_and_not_for_long(world: &World) {
        let (id, actor) = (PersonId::new(), Actor::shell(0, "root"));
        let event = PersonAdded { person: id, login: Named("new"), organizations: 0, role: Role::Billing };
        let hashed = hash(PASSWORD, Cost { memory: 64, passes: 1 }).unwrap();
        let until = Timestamp(crate::store::world::START.micros()).plus(Duration::from_hours(1));
        let new = NewPerson { id, login: "newcomer", name: "N", role: Role::Billing, reach: &Reach::Installation, password: Some(&hashed), first_until: until };
        world.database.store.add_person(&new, Witness::new(&actor, &event)).await.unwrap();
        assert!(world.database.store.add_person(&NewPerson { id: PersonId::new(), login: "NewComer", ..new }, Witness::new(&actor, &event)).await.is_err());
        let mut browser = world.browser();
        assert_eq!(browser.sign_in("newcomer", PASSWORD).await.location, "/");
        assert_eq!(browser.get("/").await.location, "/account/password");
        for bad in ["short", "passwordpassword", "my name is newcomer", PASSWORD] {
            let seen = browser.fill("/account/password", "/account/password", &[("old", PASSWORD), ("new", bad), ("again", bad)]).await;
            assert_eq!(seen.status, 422, "{bad}");
        }
        world.database.pass(Duration::from_mins(61)).await;
        assert_eq!(world.browser().sign_in("newcomer", PASSWORD).await.status, 422, "too late");
    }
}

#[tokio::test]
async fn cookies_are_for_this_host_over_tls_alone_and_pages_say_what_they_may_do() {
    let url = Some("https://console.example".to_owned());
    let world = World::with(ConsoleSection { url, ..ConsoleSection::default() }).await;
    world.auditor().await;
    let mut browser = world.browser();
    let page = browser.get("/sign-in").await;
    assert_eq!(page.set_cookies.len(), 1);
    assert!(page.set_cookies[0].starts_with("__Host-postern-visit="), "{:?}", page.set_cookies);
    let seen = browser.send(&page, "/sign-in", &[("login", "jo@lab.example"), ("password", PASSWORD)]).await;
    let cookie = &seen.set_cookies[0];
    let (_, attributes) = cookie.split_once("; ").unwrap();
    assert!(cookie.starts_with("__Host-postern=") && attributes == "Path=/; HttpOnly; Secure; SameSite=Lax", "{cookie}");
    let home = browser.get("/").await;
    assert_eq!(home.status, 200);
    for (name, part) in [
        ("content-security-policy", "default-src 'none'"),
        ("content-security-policy", "frame-ancestors 'none'"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("strict-transport-security", "max-age="),
        ("cache-control", "no-store"),
        ("permissions-policy", "camera=()"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert!(home.headers[name].to_str().unwrap().contains(part), "{name}: {:?}", home.headers[name]);
    }
    assert!(!home.headers["content-security-policy"].to_str().unwrap().contains("unsafe"));
    for page in [&page, &home] {
        assert!(!page.body.contains("<script>") && !page.body.contains("style=\""), "nothing inline");
    }
}

#[tokio::test]
async fn without_tls_the_console_answers_this_machine_alone() {
    let world = World::with(ConsoleSection::default()).await;
    let mut browser = world.browser();
    browser.headers.push(("host", "evil.example".to_owned()));
    assert_eq!(browser.get("/sign-in").await.status, 421, "a name of somebody else's that points here");
    let seen = world.browser().get("/sign-in").await;
    assert!(seen.set_cookies[0].starts_with("postern-visit=") && seen.set_cookies[0].contains("HttpOnly"));
    assert!(!seen.headers.contains_key("strict-transport-security"));
}
