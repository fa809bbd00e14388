//! Signing in: names, passwords, codes, and too many tries.

use std::time::{Duration, Instant};

use postern::{
    crypto::totp::Secret,
    domain::{
        Clock as _,
        audit::{Actor, Witness},
        person::{Reach, Role},
    },
    observe::events::PersonDisabled,
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
        assert_eq!(actions.iter().filter(|action| *action == "sign_in_locked").count(), 4, "two were locked, two found it so: {actions:?}");
        assert!(world.database.store.person(id).await.unwrap().unwrap().signed_in_at.is_some());
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
}

/// The secret that a page shows.
fn secret(page: &str) -> Secret {
    let key = page.split("Key: <code>").nth(1).unwrap().split('<').next().unwrap();
    let places = key.chars().filter(|c| !c.is_whitespace()).map(|c| "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".find(c).unwrap());
    let bits = places.fold(String::new(), |bits, place| bits + &format!("{place:05b}"));
    let octets = bits.as_bytes().chunks_exact(8).map(|octet| u8::from_str_radix(std::str::from_utf8(octet).unwrap(), 2).unwrap());
    Secret::from_octets(Zeroizing::new(octets.collect()))
}
