//! Signing in: names, passwords, codes, and too many tries.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use postern::{
    crypto::totp::Secret,
    domain::{
        Clock as _,
        audit::{Actor, Witness},
        person::{Reach, Role},
    },
    observe::events::PersonDisabled,
    store::sign_in::TryKey,
};
use zeroize::Zeroizing;

use super::world::{PASSWORD, World};

on_both_engines! {
    async fn the_right_password_opens_a_session_and_goes_on_record(world: &World) {
        world.auditor().await;
        let mut browser = world.browser();
        assert_eq!(browser.get("/").await.location, "/sign-in");
        assert_eq!(browser.get("/account?x=1").await.location, "/sign-in?next=/account%3Fx%3D1");
        let seen = browser.sign_in("JO@lab.example", PASSWORD).await;
        assert_eq!((seen.status, seen.location.as_str()), (303, "/"), "{}", seen.body);
        let seen = browser.get("/").await;
        assert!(seen.status == 200 && seen.body.contains("jo@lab.example"), "{}", seen.body);
        assert_eq!(world.actions().await.last().unwrap(), "signed_in");
        assert_eq!(world.database.store.verify_audit(None).await.unwrap(), Ok(3));
    }

    async fn after_five_wrong_tries_the_right_password_does_not_help_for_a_growing_while(world: &World) {
        let id = world.auditor().await;
        let mut browser = world.browser();
        for _ in 0..5 {
            assert_eq!(browser.sign_in("jo@lab.example", "wrong wrong wrong").await.status, 422);
        }
        assert_eq!(browser.sign_in("jo@lab.example", PASSWORD).await.status, 422, "locked");
        world.database.pass(Duration::from_secs(31)).await;
        assert_eq!(browser.sign_in("jo@lab.example", "wrong wrong wrong").await.status, 422);
        world.database.pass(Duration::from_secs(31)).await;
        assert_eq!(browser.sign_in("jo@lab.example", PASSWORD).await.status, 422, "twice as long");
        world.database.pass(Duration::from_secs(30)).await;
        assert_eq!(browser.sign_in("jo@lab.example", PASSWORD).await.status, 303);
        let actions = world.actions().await;
        assert_eq!(actions.iter().filter(|action| *action == "sign_in_failed").count(), 6);
        assert_eq!(actions.iter().filter(|action| *action == "sign_in_locked").count(), 2, "each wait once, when it begins: {actions:?}");
        assert!(world.database.store.person(id).await.unwrap().unwrap().signed_in_at.is_some());
    }

    async fn of_two_hundred_tries_at_once_no_more_are_judged_than_are_forgiven(world: &World) {
        world.auditor().await;
        let mut first = world.browser();
        let mark = first.get("/sign-in").await.field("csrf");
        let tries = (0..200).map(|n| {
            let (mut browser, mark) = (first.window(), mark.clone());
            async move {
                let password = format!("guess number {n}");
                browser.post("/sign-in", &[("csrf", &mark), ("login", "jo@lab.example"), ("password", &password)]).await.status
            }
        });
        let statuses: Vec<u16> = join_all(tries).await;
        assert!(statuses.iter().all(|status| *status == 422), "{statuses:?}");
        let actions = world.actions().await;
        let judged = actions.iter().filter(|action| *action == "sign_in_failed").count();
        assert_eq!(judged, 5, "each that was judged is on record");
        assert_eq!(actions.iter().filter(|action| *action == "sign_in_locked").count(), 1);
        assert_eq!(world.browser().sign_in("jo@lab.example", PASSWORD).await.status, 422, "locked");
        world.database.pass(Duration::from_secs(31)).await;
        assert_eq!(world.browser().sign_in("jo@lab.example", PASSWORD).await.status, 303);
        assert_eq!(world.actions().await.len(), actions.len() + 1, "who must wait leaves nothing on record");
    }

    async fn right_tries_count_for_nothing_however_many_people_share_an_address(world: &World) {
        world.auditor().await;
        let office = async |store: &postern::store::Store| {
            let keys = [(TryKey::Name("somebody"), 5), (TryKey::Address("192.0.2.1"), 3)];
            let counted = store.begin_try(&keys).await.unwrap().expect("nobody is locked out");
            store.take_back_try(&counted).await.unwrap();
        };
        for _ in 0..10 {
            office(&world.database.store).await;
        }
        // Two at the same time, of which one is wrong: that one stays.
        let store = &world.database.store;
        let key = [(TryKey::Name("somebody"), 5)];
        let (right, wrong) = (store.begin_try(&key).await.unwrap().unwrap(), store.begin_try(&key).await.unwrap().unwrap());
        assert_eq!((right.wrong, wrong.wrong), (1, 2));
        store.take_back_try(&right).await.unwrap();
        assert_eq!(store.begin_try(&key).await.unwrap().unwrap().wrong, 2);
        for expected in 3..=5 {
            assert_eq!(store.begin_try(&key).await.unwrap().unwrap().wrong, expected);
        }
        assert!(store.begin_try(&key).await.unwrap().is_none(), "locked");
    }

    async fn tries_are_counted_by_the_name_an_account_has_and_by_no_other(world: &World) {
        let store = &world.database.store;
        let count = async |name: &str| store.begin_try(&[(TryKey::Name(name), 99)]).await.unwrap().unwrap().wrong;
        assert_eq!([count("mo-re@lab.example").await, count(" Mo-Re@LAB.example ").await], [1, 2], "one account");
        assert_eq!(count("more@lab.example").await, 1, "another one");
        assert_eq!(count("mo re@lab.example").await, 1, "and another");
    }

    async fn where_too_many_wrong_tries_came_from_no_place_is_taken_and_nothing_recorded(world: &World) {
        world.auditor().await;
        let store = &world.database.store;
        for _ in 0..100 {
            assert!(store.begin_try(&[(TryKey::Address("127.0.0.1"), 100)]).await.unwrap().is_some());
        }
        let before = world.actions().await.len();
        let begun = Instant::now();
        let first = world.browser();
        let tries = (0..60).map(|n| {
            let mut browser = first.window();
            async move { browser.sign_in(&format!("nobody{n}@lab.example"), "wrong wrong wrong").await.status }
        });
        assert!(join_all(tries).await.into_iter().all(|status| status == 422));
        assert!(begun.elapsed() >= Duration::from_millis(300), "no refusal comes sooner");
        assert_eq!(world.actions().await.len(), before);
        assert_eq!(world.database.number("SELECT COUNT(*) FROM sign_in_try").await, 1, "no name is counted");
    }

    async fn who_has_an_account_cannot_be_found_out(world: &World) {
        let id = world.auditor().await;
        let mut browser = world.browser();
        let mut ask = async |login: &str| {
            let begun = Instant::now();
            let seen = browser.sign_in(login, "wrong wrong wrong").await;
            (seen.status, seen.body.replace(login, "LOGIN").replace(&seen.field("csrf"), "MARK"), begun.elapsed())
        };
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for _ in 0..7 {
            let (there, nobody) = (ask("jo@lab.example").await, ask("no@lab.example").await);
            assert_eq!((there.0, &there.1), (nobody.0, &nobody.1));
            known.push(there.2);
            unknown.push(nobody.2);
        }
        known.sort();
        unknown.sort();
        assert!(known[0] >= Duration::from_millis(300) && unknown[0] >= Duration::from_millis(300), "no refusal comes sooner");
        let apart = known[3].abs_diff(unknown[3]);
        assert!(apart < Duration::from_millis(250), "as a rule {:?} and {:?}", known[3], unknown[3]);
        let actor = Actor::gateway();
        world.database.store.disable_person(id, true, Witness::new(&actor, &PersonDisabled { person: id })).await.unwrap();
        world.database.pass(Duration::from_hours(25)).await;
        assert_eq!(ask("jo@lab.example").await.1, ask("no@lab.example").await.1);
        let kept = world.database.texts("SELECT key FROM sign_in_try").await;
        assert!(!kept.is_empty() && kept.iter().all(|key| !key.contains("lab")), "names are kept as hashes: {kept:?}");
    }

    async fn a_code_works_once_and_a_recovery_code_once(world: &World) {
        world.person("op@lab.example", Role::Operator, Reach::Installation).await;
        let mut browser = world.browser();
        browser.sign_in("op@lab.example", PASSWORD).await;
        assert_eq!(browser.get("/").await.location, "/account/codes", "operators sign in with codes");
        let page = browser.get("/account/codes").await;
        assert!(page.body.contains("<svg") && !page.body.contains("<img"), "{}", page.body);
        let secret = secret(&page.body);
        let code = |step: i64| secret.code(step).unwrap();
        let step = world.database.clock.now().micros() / 30_000_000;
        let offer = page.field("offer");
        let wrong = browser.send(&page, "/account/codes", &[("offer", &offer), ("code", "000000")]).await;
        assert_eq!(wrong.status, 422);
        let shown = browser.send(&page, "/account/codes", &[("offer", &offer), ("code", &code(step))]).await;
        assert_eq!(shown.status, 200, "{}", shown.body);
        let recovery: Vec<&str> = shown.body.split("<code>").skip(1).map(|rest| rest.split('<').next().unwrap()).collect();
        assert_eq!(recovery.len(), 10);
        assert_eq!(browser.get("/").await.status, 200);

        // The code that set it up is used up, and so is each one after it.
        let mut other = world.browser();
        assert_eq!(other.sign_in("op@lab.example", PASSWORD).await.location, "/sign-in/code?next=/");
        assert_eq!(other.get("/").await.location, "/sign-in", "a password alone is not enough");
        assert_eq!(other.fill("/sign-in/code", "/sign-in/code", &[("code", &code(step))]).await.status, 422);
        world.database.pass(Duration::from_secs(30)).await;
        let before = other.cookies["postern"].clone();
        assert_eq!(other.fill("/sign-in/code", "/sign-in/code", &[("code", &code(step + 1))]).await.status, 303);
        assert_ne!(other.cookies["postern"], before, "the session is another one now");
        assert_eq!(other.get("/").await.status, 200);
        let mut third = world.browser();
        third.sign_in("op@lab.example", PASSWORD).await;
        assert_eq!(third.fill("/sign-in/code", "/sign-in/code", &[("code", &code(step + 1))]).await.status, 422, "replayed");
        assert_eq!(third.fill("/sign-in/code", "/sign-in/code", &[("code", recovery[0])]).await.status, 303);
        let mut fourth = world.browser();
        fourth.sign_in("op@lab.example", PASSWORD).await;
        assert_eq!(fourth.fill("/sign-in/code", "/sign-in/code", &[("code", recovery[0])]).await.status, 422, "used up");
        let shouted = recovery[1].to_uppercase().replace('-', " ");
        assert_eq!(fourth.fill("/sign-in/code", "/sign-in/code", &[("code", &shouted)]).await.status, 303);

        let stored = world.database.texts("SELECT hash FROM recovery_code").await;
        assert!(recovery.iter().all(|code| !stored.iter().any(|hash| hash.contains(code))));
        assert_eq!(world.database.number("SELECT COUNT(*) FROM user_ WHERE totp IS NOT NULL").await, 1);
    }

    async fn guessing_codes_locks_like_guessing_passwords(world: &World) {
        world.person("op@lab.example", Role::Operator, Reach::Installation).await;
        let mut browser = world.browser();
        browser.sign_in("op@lab.example", PASSWORD).await;
        let page = browser.get("/account/codes").await;
        let (secret, step) = (secret(&page.body), world.database.clock.now().micros() / 30_000_000);
        browser.send(&page, "/account/codes", &[("offer", &page.field("offer")), ("code", &secret.code(step).unwrap())]).await;
        let mut guesser = world.browser();
        guesser.sign_in("op@lab.example", PASSWORD).await;
        for n in 1..=5 {
            assert_eq!(guesser.fill("/sign-in/code", "/sign-in/code", &[("code", "123123")]).await.status, 422);
            // The right password in between does not wipe the slate.
            let status = if n < 5 { 303 } else { 422 };
            assert_eq!(guesser.sign_in("op@lab.example", PASSWORD).await.status, status, "{n}");
        }
        let right = secret.code(step + 1).unwrap();
        assert_eq!(guesser.fill("/sign-in/code", "/sign-in/code", &[("code", &right)]).await.status, 422, "locked");
    }

    async fn of_many_codes_at_once_no_more_are_judged_than_are_forgiven(world: &World) {
        world.person("op@lab.example", Role::Operator, Reach::Installation).await;
        let mut browser = world.browser();
        browser.sign_in("op@lab.example", PASSWORD).await;
        let page = browser.get("/account/codes").await;
        let (secret, step) = (secret(&page.body), world.database.clock.now().micros() / 30_000_000);
        browser.send(&page, "/account/codes", &[("offer", &page.field("offer")), ("code", &secret.code(step).unwrap())]).await;
        let mut guesser = world.browser();
        guesser.sign_in("op@lab.example", PASSWORD).await;
        let mark = guesser.get("/sign-in/code").await.field("csrf");
        let before = world.actions().await.len();
        let tries = (0..200).map(|n| {
            let (mut browser, mark) = (guesser.window(), mark.clone());
            async move { browser.post("/sign-in/code", &[("csrf", &mark), ("code", &format!("{n:06}"))]).await.status }
        });
        assert!(join_all(tries).await.into_iter().all(|status| status == 422));
        let judged = world.actions().await[before..].iter().filter(|action| *action == "sign_in_failed").count();
        assert_eq!(judged, 5);
    }

    async fn codes_are_replaced_only_by_who_shows_the_password_or_a_present_code(world: &World) {
        world.person("op@lab.example", Role::Operator, Reach::Installation).await;
        let mut browser = world.browser();
        browser.sign_in("op@lab.example", PASSWORD).await;
        let step = || world.database.clock.now().micros() / 30_000_000;
        let page = browser.get("/account/codes").await;
        assert!(!page.body.contains("There are codes already"), "at first there is nothing to show");
        let old = secret(&page.body);
        let fields = [("offer", page.field("offer")), ("code", old.code(step()).unwrap())];
        let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
        assert_eq!(browser.send(&page, "/account/codes", &fields).await.status, 200);
        let mut replace = async |shown: &str, value: &str| {
            world.database.pass(Duration::from_secs(30)).await;
            let page = browser.get("/account/codes").await;
            assert!(page.body.contains("There are codes already"), "{}", page.body);
            let new = secret(&page.body);
            let (offer, code) = (page.field("offer"), new.code(step()).unwrap());
            let value = if value == "code" { old.code(step()).unwrap() } else { value.to_owned() };
            let fields = [("offer", offer.as_str()), ("code", code.as_str()), (shown, value.as_str())];
            (browser.send(&page, "/account/codes", &fields).await.status, new)
        };
        for (shown, value) in [("other", ""), ("password", ""), ("password", "wrong wrong wrong"), ("present", "000000")] {
            assert_eq!(replace(shown, value).await.0, 422, "{shown}");
        }
        assert_eq!(replace("present", "code").await.0, 200, "the telephone they have");
        assert_eq!(replace("password", PASSWORD).await.0, 200);
        // Guessing here is guessing there. The fifth wrong one locks for the half minute that each takes here.
        for _ in 0..4 {
            assert_eq!(replace("password", "wrong wrong wrong").await.0, 422);
        }
        assert_eq!(replace("password", PASSWORD).await.0, 422, "locked");
        assert_eq!(world.actions().await.iter().filter(|action| *action == "codes_set_up").count(), 3);
    }
}

/// The secret that a page shows.
fn secret(page: &str) -> Secret {
    let key = page.split("Key: <code>").nth(1).unwrap().split('<').next().unwrap();
    let places = key.chars().filter(|c| !c.is_whitespace()).map(|c| "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".find(c).unwrap());
    let bits = places.fold(String::new(), |bits, place| bits + &format!("{place:05b}"));
    let octets = bits.as_bytes().chunks_exact(8).map(|octet| u8::from_str_radix(std::str::from_utf8(octet).unwrap(), 2).unwrap());
    Secret::from_octets(Zeroizing::new(octets.collect()))
}
