//! Signing in through an OpenID provider: who is let in, as whom, and everything that must not get anybody in.
//!
//! The journey through a real provider, in a real browser, is in `tests/browser`.

mod provider;

use std::collections::BTreeSet;

use postern::{
    config::{
        console::ConsoleSection,
        oidc::{GroupRole, OidcSection},
    },
    crypto::hash::hmac_sha256,
    domain::{
        audit::{Actor, Witness},
        person::{Reach, Role},
    },
    observe::events::{PersonDisabled, ProviderForgotten},
};
use serde_json::{Value, json};

use self::provider::{CLIENT, Provider, back, encode, key, signed};
use super::world::{Seen, World};
use crate::{
    store::world::World as Database,
    support::installation::{Arrangement, Installation},
};

/// Makes a token of what a good one would say.
type Forge = Box<dyn Fn(&Provider, Value) -> String>;

/// Whoever was let in is at the page they wanted.
fn is_in(seen: &Seen) -> bool {
    seen.status == 303 && seen.location == "/account" && seen.set_cookies.iter().any(|cookie| cookie.starts_with("postern="))
}

async fn known_by_the_providers_own_name(database: Database) {
    let provider = Provider::start().await;
    let world = World::vouching(database, &provider.settings()).await;
    let id = world.auditor().await;
    assert!(world.browser().get("/sign-in").await.body.contains("Sign in with your organization"));

    let mut browser = world.browser();
    let seen = provider.through(&world, &mut browser, json!({})).await;
    assert!(is_in(&seen), "{} {} {}", seen.status, seen.location, seen.body);
    assert!(seen.set_cookies.iter().any(|cookie| cookie.starts_with("postern-passage=;")), "{:?}", seen.set_cookies);
    assert!(browser.get("/account").await.body.contains("jo@lab.example"));
    let actions = world.actions().await;
    assert!(actions.ends_with(&["provider_linked".into(), "signed_in".into()]), "{actions:?}");

    // From now on the address says nothing: not for them, and not for whoever has it next.
    let moved = provider.through(&world, &mut world.browser(), json!({ "email": "joan@lab.example" })).await;
    assert!(is_in(&moved), "{}", moved.body);
    let heir = provider.through(&world, &mut world.browser(), json!({ "sub": "subject-8" })).await;
    assert_eq!(heir.status, 422, "{}", heir.body);
    let forgotten = ProviderForgotten { person: id };
    let actor = Actor::shell(0, "root");
    let witness = Witness::new(&actor, &forgotten);
    assert!(world.database.store.unlink_person(id, witness).await.unwrap());
    assert!(is_in(&provider.through(&world, &mut world.browser(), json!({ "sub": "subject-8" })).await));

    // Signing out here says that one may still be signed in there.
    let page = browser.get("/account").await;
    let out = browser.send(&page, "/sign-out", &[]).await;
    assert_eq!(out.location, "/sign-in?left=provider");
    assert!(browser.get(&out.location).await.body.contains("/sign-in/provider/out"));
    let there = browser.get("/sign-in/provider/out").await.location;
    assert!(there.starts_with(&format!("{}/end?client_id=us&post_logout_redirect_uri=http", provider.url)), "{there}");
    assert!(world.database.store.verify_audit(None).await.unwrap().is_ok());
}

#[tokio::test]
async fn whoever_the_provider_vouches_for_is_known_by_its_own_name_for_them_sqlite() {
    known_by_the_providers_own_name(Database::sqlite().await).await;
}

#[tokio::test]
async fn whoever_the_provider_vouches_for_is_known_by_its_own_name_for_them_postgres() {
    known_by_the_providers_own_name(Database::postgres().await).await;
}

#[tokio::test]
async fn a_token_that_is_wrong_in_one_word_lets_nobody_in() {
    let provider = Provider::start().await;
    let world = World::vouching(Database::sqlite().await, &provider.settings()).await;
    world.auditor().await;
    let now = world.now().micros() / 1_000_000;
    let said = |name: &'static str, value: Value| -> Forge {
        Box::new(move |provider, mut claims| {
            claims[name] = value.clone();
            provider.sign(&claims)
        })
    };
    let unsigned = |alg: &'static str| -> Forge {
        Box::new(move |_, claims| {
            format!("{}.{}.", encode(json!({ "alg": alg }).to_string().as_bytes()), encode(claims.to_string().as_bytes()))
        })
    };
    let attacks: Vec<(&str, Forge)> = vec![
        ("of another way in", said("nonce", json!("another"))),
        ("without a way in", said("nonce", json!(null))),
        ("expired", said("exp", json!(now - 61))),
        ("old", said("iat", json!(now - 601))),
        ("of tomorrow", said("iat", json!(now + 86_400))),
        ("for somebody else", said("aud", json!("them"))),
        ("for others besides", said("aud", json!(["us", "them"]))),
        ("given to somebody else", said("azp", json!("them"))),
        ("of another provider", said("iss", json!("https://evil.example"))),
        ("about nobody", said("sub", json!(""))),
        ("with another token's hash", said("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA"))),
        ("with an address nobody verified", said("email_verified", json!(false))),
        ("about nobody here", said("email", json!("nobody@lab.example"))),
        ("unsigned", unsigned("none")),
        ("unsigned, written otherwise", unsigned("NONE")),
        ("signed by somebody else", Box::new(|_, claims| signed(&json!({ "alg": "RS256", "kid": "k1" }), &claims, &key()))),
        (
            "signed with a key nobody knows",
            Box::new(|_, claims| signed(&json!({ "alg": "RS256", "kid": "k9" }), &claims, &key())),
        ),
        (
            "signed with our secret",
            Box::new(|_, claims| {
                let header = json!({ "alg": "HS256", "kid": "k1" }).to_string();
                let words = format!("{}.{}", encode(header.as_bytes()), encode(claims.to_string().as_bytes()));
                format!("{words}.{}", encode(&hmac_sha256(CLIENT.1.as_bytes(), &[words.as_bytes()]).unwrap()))
            }),
        ),
        (
            "signed with the public key as a secret",
            Box::new(|provider, claims| {
                let pem = provider.script().keys[0].1.public_key_to_pem().unwrap();
                let header = json!({ "alg": "HS256", "kid": "k1" }).to_string();
                let words = format!("{}.{}", encode(header.as_bytes()), encode(claims.to_string().as_bytes()));
                format!("{words}.{}", encode(&hmac_sha256(&pem, &[words.as_bytes()]).unwrap()))
            }),
        ),
        ("no token", Box::new(|_, _| "nonsense".to_owned())),
    ];
    for (why, forge) in &attacks {
        let (mut browser, asked) = provider.led(&world, "/account").await;
        let token = forge(&provider, provider.claims(&asked, world.now()));
        provider.script().token = token;
        let seen = browser.get(&back(&asked)).await;
        assert_eq!((seen.status, browser.get("/account").await.status), (422, 303), "{why}: {}", seen.body);
        assert!(!seen.set_cookies.iter().any(|cookie| cookie.starts_with("postern=")), "{why}");
    }
    assert_eq!(world.database.number("SELECT COUNT(*) FROM user_provider").await, 0);
    let refused = world.actions().await.iter().filter(|action| *action == "sign_in_failed").count();
    assert_eq!(refused, attacks.len(), "each is on record");
    let seen = provider.through(&world, &mut world.browser(), json!({})).await;
    assert!(is_in(&seen), "the same without a forgery: {}", seen.body);
}

#[tokio::test]
async fn a_way_back_that_is_another_browsers_or_another_providers_or_was_used_before_leads_nowhere() {
    let provider = Provider::start().await;
    let world = World::vouching(Database::sqlite().await, &provider.settings()).await;
    world.auditor().await;
    let refused = |why: &str, seen: &Seen| assert_eq!(seen.status, 422, "{why}: {}", seen.body);

    // A victim whose browser is sent to the end of the attacker's way, with the attacker's code (CSRF of signing in).
    let (_, theirs) = provider.led(&world, "/account").await;
    provider.says(&provider.claims(&theirs, world.now()));
    refused("no way begun", &world.browser().get(&back(&theirs)).await);
    let (mut victim, own) = provider.led(&world, "/account").await;
    refused("the state of another", &victim.get(&back(&theirs)).await);
    let (mut victim, mine) = provider.led(&world, "/account").await;
    let redirected = mine["state"].split_once('.').unwrap().0.to_owned() + "." + &encode(b"/people");
    refused("another place to go", &victim.get(&format!("/sign-in/provider/back?code=a-code&state={redirected}")).await);
    assert_eq!(provider.script().exchanged, 0, "no code was shown to the provider");

    // A code that was stolen on somebody else's way (PKCE): the provider notices.
    let (mut thief, way) = provider.led(&world, "/account").await;
    provider.says(&provider.claims(&way, world.now()));
    provider.script().challenge = own["code_challenge"].clone();
    refused("a stolen code", &thief.get(&back(&way)).await);
    assert_eq!(provider.script().exchanged, 1);

    // Another provider's answer (mix-up), and one that only says no.
    let (mut mixed, way) = provider.led(&world, "/account").await;
    provider.says(&provider.claims(&way, world.now()));
    refused("another provider", &mixed.get(&format!("{}&iss=https%3A%2F%2Fevil.example", back(&way))).await);
    let (mut denied, way) = provider.led(&world, "/account").await;
    refused("a refusal", &denied.get(&format!("/sign-in/provider/back?error=access_denied&state={}", way["state"])).await);
    let (mut without, way) = provider.led(&world, "/account").await;
    refused("no code", &without.get(&format!("/sign-in/provider/back?state={}", way["state"])).await);
    assert_eq!(provider.script().exchanged, 1);

    // The same way once more, even with its cookie kept and a provider that takes a code twice.
    let (mut browser, way) = provider.led(&world, "/account").await;
    provider.says(&provider.claims(&way, world.now()));
    let cookies = browser.cookies.clone();
    let named = format!("{}&iss={}", back(&way), encode_query(&provider.url));
    assert!(is_in(&browser.get(&named).await));
    browser.cookies = cookies;
    refused("a way that was used", &browser.get(&named).await);
}

fn encode_query(text: &str) -> String {
    text.replace(':', "%3A").replace('/', "%2F")
}

#[tokio::test]
async fn a_new_key_is_looked_for_once_and_not_for_every_token_that_names_one() {
    let provider = Provider::start().await;
    let world = World::vouching(Database::sqlite().await, &provider.settings()).await;
    world.auditor().await;
    assert!(is_in(&provider.through(&world, &mut world.browser(), json!({})).await));
    assert!(is_in(&provider.through(&world, &mut world.browser(), json!({})).await));
    assert_eq!(provider.script().keys_asked, 1, "they are kept");
    provider.script().keys.push(("k2".into(), key()));
    assert!(is_in(&provider.through(&world, &mut world.browser(), json!({})).await), "signed with the new one");
    assert_eq!(provider.script().keys_asked, 2);
    for _ in 0..3 {
        let (mut browser, asked) = provider.led(&world, "/account").await;
        provider.script().token =
            signed(&json!({ "alg": "RS256", "kid": "made up" }), &provider.claims(&asked, world.now()), &key());
        assert_eq!(browser.get(&back(&asked)).await.status, 422);
    }
    assert_eq!(provider.script().keys_asked, 2, "nobody makes us ask by naming keys");
}

#[tokio::test]
async fn groups_give_roles_and_take_them_and_let_nobody_in_who_is_in_none() {
    let provider = Provider::start().await;
    let group = |name: &str, role, organizations: &[&str]| GroupRole {
        name: name.into(),
        role,
        organizations: organizations.iter().map(|slug| (*slug).to_owned()).collect(),
    };
    let groups =
        vec![group("bill", Role::Billing, &[]), group("plan", Role::Viewer, &["north"]), group("gone", Role::Viewer, &["x"])];
    let settings = OidcSection { group: groups, create: true, ..provider.settings() };
    let world = World::vouching(Database::sqlite().await, &settings).await;
    let north = world.organization("north").await;
    let store = &world.database.store;
    let somebody = async || store.person_called("new@plan.example").await.unwrap();
    let come = async |groups: Value| {
        let claims = json!({ "sub": "s1", "email": "new@plan.example", "name": "New Body", "groups": groups });
        provider.through(&world, &mut world.browser(), claims).await
    };
    for none in [json!([]), json!(["other"]), json!("Bill"), json!(["gone"])] {
        assert_eq!(come(none.clone()).await.status, 422, "{none}");
    }
    assert!(somebody().await.is_none(), "nobody was made");
    assert!(is_in(&come(json!(["other", "plan"])).await));
    let person = somebody().await.unwrap();
    assert_eq!((person.known.role, person.known.reach), (Role::Viewer, Reach::of(BTreeSet::from([north]))));
    assert_eq!((person.known.name.as_str(), store.password_of(person.known.id).await.unwrap()), ("New Body", None));
    // The first of ours decides, whatever order theirs are in; what was signed in with the old role ends.
    let mut before = world.signed_in(person.known.id).await;
    assert!(is_in(&come(json!(["plan", "bill"])).await));
    assert_eq!(somebody().await.unwrap().known.role, Role::Billing);
    assert_eq!(before.get("/account").await.status, 303);
    assert_eq!(come(json!(["other"])).await.status, 422, "and out again");
    let actions = world.actions().await;
    for action in ["person_added", "provider_linked", "role_given", "signed_in"] {
        assert!(actions.iter().any(|done| done == action), "{action}: {actions:?}");
    }
    // What the token does not say is asked for, and must be about the same.
    provider.script().more = json!({ "sub": "s1", "groups": ["bill"], "iss": "ignored" });
    let (mut browser, asked) = provider.led(&world, "/account").await;
    let mut said = provider.claims(&asked, world.now());
    said["sub"] = json!("s1");
    said.as_object_mut().unwrap().remove("groups");
    provider.says(&said);
    assert!(is_in(&browser.get(&back(&asked)).await));
    provider.script().more["sub"] = json!("s2");
    let asked = provider.led_again(&mut browser, "/account").await;
    said["nonce"] = json!(asked["nonce"]);
    provider.says(&said);
    assert_eq!(browser.get(&back(&asked)).await.status, 422);
}

#[tokio::test]
async fn codes_of_ours_are_asked_for_unless_the_provider_sees_to_them_and_nobody_disabled_gets_in() {
    for (codes, place) in [(true, "/account/codes"), (false, "")] {
        let provider = Provider::start().await;
        let settings = OidcSection { codes, ..provider.settings() };
        let world = World::open_with(Database::sqlite().await, ConsoleSection::default(), &settings).await;
        let id = world.person("jo@lab.example", Role::Operator, Reach::Installation).await;
        let mut browser = world.browser();
        assert!(is_in(&provider.through(&world, &mut browser, json!({})).await));
        assert_eq!(browser.get("/deliveries").await.location, place, "the role needs codes");
        let actor = Actor::shell(0, "root");
        let event = PersonDisabled { person: id };
        let witness = Witness::new(&actor, &event);
        world.database.store.disable_person(id, true, witness).await.unwrap();
        assert_eq!(provider.through(&world, &mut world.browser(), json!({})).await.status, 422);
    }
}

#[tokio::test]
async fn nobody_is_made_unless_that_is_set() {
    let provider = Provider::start().await;
    let world = World::vouching(Database::sqlite().await, &provider.settings()).await;
    world.auditor().await;
    assert_eq!(provider.through(&world, &mut world.browser(), json!({ "email": "x@lab.example" })).await.status, 422);
    assert_eq!(world.database.store.people().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_provider_that_does_not_answer_or_calls_itself_otherwise_is_no_way_in_and_no_wrong_try() {
    let provider = Provider::start().await;
    provider.script().metadata = json!({ "issuer": "https://evil.example" });
    let world = World::vouching(Database::sqlite().await, &provider.settings()).await;
    let seen = world.browser().get("/sign-in/provider").await;
    assert!(seen.status == 503 && seen.body.contains("could not be asked"), "{} {}", seen.status, seen.body);
    let insecure = Provider::start().await;
    insecure.script().metadata = json!({ "token_endpoint": "ftp://127.0.0.1/token" });
    let other = World::vouching(Database::sqlite().await, &insecure.settings()).await;
    assert_eq!(other.browser().get("/sign-in/provider").await.status, 503);
    let nobody = OidcSection { issuer: Some("http://127.0.0.1:1".into()), client_id: "us".into(), ..OidcSection::default() };
    let alone = World::vouching(Database::sqlite().await, &nobody).await;
    assert_eq!(alone.browser().get("/sign-in/provider").await.status, 503);
    for world in [&world, &other, &alone] {
        assert!(world.actions().await.is_empty());
    }
    // Without a provider there is no such place.
    let none = World::sqlite().await;
    assert_eq!(none.browser().get("/sign-in/provider").await.status, 404);
    assert!(!none.browser().get("/sign-in").await.body.contains("/sign-in/provider"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_says_whether_the_provider_can_be_used() {
    let provider = Provider::start().await;
    let more = format!("[oidc]\nissuer = \"{}\"\nclient_id = \"us\"\n", provider.url);
    let installation = Installation::arranged(Arrangement { more: &more, ..Arrangement::default() }).await;
    let finding = || {
        let all = installation.json_of_any_end(&["doctor"]);
        all.as_array().unwrap().iter().find(|one| one["what"] == "OpenID provider").unwrap().clone()
    };
    assert_eq!(finding()["verdict"], "good", "{}", finding());
    provider.script().metadata = json!({ "issuer": "https://evil.example" });
    assert!(finding()["verdict"] == "bad" && finding()["says"].as_str().unwrap().contains("calls itself"), "{}", finding());
}
