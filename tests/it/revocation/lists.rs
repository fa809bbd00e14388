//! Revocation lists that are fetched.

use std::time::Duration;

use postern::{
    config::revocation::RevocationSection,
    crypto::der,
    domain::{Reason, time::Span},
    trust::{
        TrustError,
        authority::{
            Authority, Digest, Extension, KeyKind, Order,
            published::{ListOrder, list},
        },
    },
};

use super::{
    issuer::Page,
    world::{DAY, HOUR, START, World, settings},
};

#[tokio::test]
async fn a_certificate_on_its_issuers_list_is_refused_and_another_is_believed() {
    let world = World::new().await;
    let (good, bad) = (world.listed("/root.crl"), world.listed("/root.crl"));
    world.publish("/root.crl", &[&bad.certificate]);
    assert_eq!(world.reason(&good.certificate).await, None);
    assert_eq!(world.reason(&bad.certificate).await, Some(Reason::Revoked));
    assert_eq!(world.issuer.asked("/root.crl"), 1, "one list serves both");
}

#[tokio::test]
async fn d17_of_two_revoked_certificates_and_a_good_one_the_good_one_is_used() {
    let world = World::new().await;
    let [first, good, last] = [(); 3].map(|()| world.listed("/root.crl"));
    world.publish("/root.crl", &[&first.certificate, &last.certificate]);
    let chosen = world.choose(&[&first.certificate, &good.certificate, &last.certificate]).await.unwrap();
    assert_eq!(chosen.fingerprint(), good.certificate.fingerprint());
    let none = world.choose(&[&first.certificate, &last.certificate]).await.unwrap_err();
    assert_eq!(none.reason(), Reason::Revoked);
}

#[tokio::test]
async fn what_cannot_be_told_is_unavailable_under_hard_and_passes_with_a_mark_under_soft() {
    let (world, soft) = (World::new().await, World::new().await.soft());
    for (path, page) in [
        ("/missing", None),
        ("/broken", Some(Page::status(500))),
        ("/nonsense", Some(Page::of("<html>sorry</html>"))),
        ("/empty", Some(Page::of(""))),
    ] {
        for world in [&world, &soft] {
            if let Some(page) = &page {
                world.issuer.put(path, page.clone());
            }
        }
        let error = world.choose(&[&world.listed(path).certificate]).await.unwrap_err();
        assert_eq!((error.reason(), error.class()), (Reason::TrustUnavailable, postern::domain::Class::Retry), "{path}");
        assert!(error.to_string().contains("127.0.0.1"), "it says who did not answer: {error}");
        let passed = soft.choose(&[&soft.listed(path).certificate]).await.unwrap();
        assert_eq!(passed.unchecked().len(), 1, "{path}");
    }
}

#[tokio::test]
async fn a_certificate_that_names_no_source_is_believed_unless_the_policy_wants_one() {
    let mut world = World::new().await;
    let plain = world.root.issue(&world.order()).unwrap();
    let chosen = world.choose(&[&plain.certificate]).await.unwrap();
    assert!(chosen.unchecked().is_empty(), "nothing was left unchecked: there is nothing to check");
    assert_eq!(world.issuer.asked_at_all(), 0);
    world.strictness.require_revocation_source = true;
    let error = world.choose(&[&plain.certificate]).await.unwrap_err();
    assert!(matches!(error, TrustError::NoRevocationSource { .. }), "{error}");
    assert_eq!(error.reason(), Reason::Untrusted);
}

/// What a case does to an ordinary list.
type Change = Box<dyn Fn(&mut ListOrder<'_>)>;

#[tokio::test]
async fn only_a_current_list_of_the_issuer_about_the_whole_certificate_counts() {
    let day = |from: i64, until: i64| (after(from), after(until));
    let impostor = Authority::new("Root", KeyKind::P256, START.minus(DAY), START.plus(DAY * 9)).unwrap();
    // IssuingDistributionPoint, as DER puts it.
    let point = |parts: &[&[u8]]| Extension { id: "2.5.29.28", critical: true, value: der::sequence(parts).unwrap() };
    let yes = |number| der::tlv(der::implicit(number), &[&[0xff]]).unwrap();
    let reasons = der::tlv(der::implicit(3), &[&[6, 0x40]]).unwrap();
    let part = |url: &str| {
        let name = der::tlv(der::implicit(6), &[url.as_bytes()]).unwrap();
        der::tlv(der::explicit(0), &[&der::tlv(der::explicit(0), &[&name]).unwrap()]).unwrap()
    };
    let delta = Extension { id: "2.5.29.27", critical: true, value: vec![2, 1, 1] };
    let strange = Extension { id: "1.2.3.4", critical: true, value: vec![5, 0] };
    let harmless = Extension { critical: false, ..strange.clone() };
    let world = World::new().await;
    let here = world.issuer.url("/case");
    let cases: Vec<(&str, Change, bool)> = vec![
        ("an ordinary one", Box::new(|_| {}), true),
        ("of yesterday", Box::new(move |o| (o.from, o.until) = (day(-9, 0).0, Some(day(0, -1).1))), false),
        ("of tomorrow", Box::new(move |o| (o.from, o.until) = (day(1, 9).0, Some(day(1, 9).1))), false),
        ("a minute ahead of our clock", Box::new(|o| o.from = START.plus(Duration::from_mins(1))), true),
        ("without nextUpdate", Box::new(|o| o.until = None), false),
        ("signed with SHA-1", Box::new(|o| o.digest = Digest::Sha1), false),
        ("signed with SHA-384", Box::new(|o| o.digest = Digest::Sha384), true),
        ("a delta", Box::new(move |o| o.extensions = vec![delta.clone()]), false),
        (
            "with a critical extension nobody knows",
            Box::new({
                let e = strange.clone();
                move |o| o.extensions = vec![e.clone()]
            }),
            false,
        ),
        ("with another extension nobody knows", Box::new(move |o| o.extensions = vec![harmless.clone()]), true),
        (
            "for end entities",
            Box::new({
                let e = point(&[&yes(1)]);
                move |o| o.extensions = vec![e.clone()]
            }),
            true,
        ),
        (
            "for authorities",
            Box::new({
                let e = point(&[&yes(2)]);
                move |o| o.extensions = vec![e.clone()]
            }),
            false,
        ),
        (
            "for some reasons",
            Box::new({
                let e = point(&[&reasons]);
                move |o| o.extensions = vec![e.clone()]
            }),
            false,
        ),
        (
            "indirect",
            Box::new({
                let e = point(&[&yes(4)]);
                move |o| o.extensions = vec![e.clone()]
            }),
            false,
        ),
        (
            "for attribute certificates",
            Box::new({
                let e = point(&[&yes(5)]);
                move |o| o.extensions = vec![e.clone()]
            }),
            false,
        ),
        (
            "our part",
            Box::new({
                let e = point(&[&part(&here)]);
                move |o| o.extensions = vec![e.clone()]
            }),
            true,
        ),
        (
            "another part",
            Box::new({
                let e = point(&[&part("http://other/")]);
                move |o| o.extensions = vec![e.clone()]
            }),
            false,
        ),
    ];
    for (case, change, counts) in &cases {
        // A new world each: what counts once is remembered.
        let world = World { issuer: world.issuer.clone(), ..World::new().await };
        let certificate = world.listed("/case").certificate;
        let mut order = ListOrder::new(&[], START.minus(HOUR), START.plus(DAY));
        change(&mut order);
        world.issuer.put("/case", Page::of(list(&world.root, &order).unwrap()));
        let expected = if *counts { None } else { Some(Reason::TrustUnavailable) };
        assert_eq!(world.reason(&certificate).await, expected, "{case}");
    }
    // Whose entries may be somebody else's certificates.
    let certificate = world.listed("/case").certificate;
    let mut order = ListOrder::new(&[&certificate], START.minus(HOUR), START.plus(DAY));
    order.entry_extensions = vec![strange];
    world.issuer.put("/case", Page::of(list(&world.root, &order).unwrap()));
    assert_eq!(world.reason(&certificate).await, Some(Reason::TrustUnavailable), "entries with critical extensions");

    let forged = world.listed("/forged").certificate;
    let list = impostor.revocation_list(&[&forged], START.minus(HOUR), START.plus(DAY)).unwrap();
    world.issuer.put("/forged", Page::of(list));
    assert_eq!(world.reason(&forged).await, Some(Reason::TrustUnavailable), "forged lists revoke nobody");
}

fn after(days: i64) -> postern::domain::Timestamp {
    postern::domain::Timestamp(START.micros() + days * 86_400_000_000)
}

#[tokio::test]
async fn every_certificate_below_the_anchor_is_asked_about() {
    let mut world = World::new().await;
    let order = world.authority("Middle");
    let listed = |path: &str| Some(world.issuer.url(path));
    let middle =
        world.root.subordinate(&postern::trust::authority::AuthorityOrder { crl_url: listed("/root.crl"), ..order }).unwrap();
    let end = middle.issue(&Order { crl_url: listed("/middle.crl"), ..world.order() }).unwrap().certificate;
    let clean = middle.revocation_list(&[], START.minus(HOUR), START.plus(DAY)).unwrap();
    world.issuer.put("/middle.crl", Page::of(clean));
    world.publish("/root.crl", &[middle.certificate()]);
    world.intermediates = vec![middle.certificate().clone()];
    assert_eq!(world.reason(&end).await, Some(Reason::Revoked));
    assert_eq!((world.issuer.asked("/root.crl"), world.issuer.asked("/middle.crl")), (1, 1));
}

#[tokio::test]
async fn a_list_out_of_date_counts_only_as_long_as_the_policy_says() {
    let mut world = World::with(postern::config::revocation::RevocationSection { refresh: Span(HOUR), ..settings() }).await;
    let certificate = world.listed("/root.crl").certificate;
    let list = world.root.revocation_list(&[], START.minus(HOUR), START.plus(HOUR * 2)).unwrap();
    world.issuer.put("/root.crl", Page::of(list));
    assert_eq!(world.reason(&certificate).await, None);
    world.issuer.put("/root.crl", Page::status(503));
    world.clock.pass(HOUR * 3);
    assert_eq!(world.reason(&certificate).await, Some(Reason::TrustUnavailable));
    world.strictness.revocation_grace = Span(HOUR * 2);
    assert_eq!(world.reason(&certificate).await, None);
    world.clock.pass(HOUR * 2);
    assert_eq!(world.reason(&certificate).await, Some(Reason::TrustUnavailable));
}

#[tokio::test]
async fn a_revocation_in_a_newly_fetched_list_counts_at_once_and_an_old_list_cannot_undo_it() {
    let world = World::new().await;
    let certificate = world.listed("/root.crl").certificate;
    let old = world.root.revocation_list(&[], START.minus(HOUR), START.plus(DAY * 7)).unwrap();
    world.issuer.put("/root.crl", Page::of(old.clone()));
    let before = world.choose(&[&certificate]).await.unwrap();
    let news = world.inquirer.news();

    world.clock.pass(HOUR * 2);
    world.publish("/root.crl", &[&certificate]);
    let refreshed = world.inquirer.refresh_due().await;
    assert!(refreshed.len() == 1 && refreshed[0].problem.is_none(), "{refreshed:?}");
    assert!(world.inquirer.news() > news, "whoever keeps a verdict is told");
    assert!(before.is_valid_at(world.now()), "the dates alone would not say so");
    assert_eq!(world.reason(&certificate).await, Some(Reason::Revoked));

    world.clock.pass(HOUR * 2);
    world.issuer.put("/root.crl", Page::of(old));
    let refreshed = world.inquirer.refresh_all().await.unwrap();
    assert!(refreshed[0].problem.as_deref().is_some_and(|problem| problem.contains("older")), "{refreshed:?}");
    assert_eq!(world.reason(&certificate).await, Some(Reason::Revoked));
    // Nor when this process has forgotten that there was a newer one.
    assert_eq!(world.choose_by(&world.neighbour().await, &[&certificate]).await.unwrap_err().reason(), Reason::Revoked);
}

#[tokio::test]
async fn a_list_is_asked_for_again_before_it_runs_out_without_keeping_anybody_waiting() {
    let forever = Span(HOUR);
    let world = World::with(RevocationSection { patience: forever, timeout: forever, ..settings() }).await;
    let certificate = world.listed("/root.crl").certificate;
    world.publish("/root.crl", &[]);
    assert_eq!(world.reason(&certificate).await, None);
    world.clock.pass(HOUR / 2);
    assert_eq!(world.reason(&certificate).await, None);
    assert_eq!(world.issuer.asked("/root.crl"), 1, "it is fresh enough");
    world.clock.pass(HOUR);
    let list = world.root.revocation_list(&[], world.now(), world.now().plus(DAY)).unwrap();
    let (page, _gate) = Page::held(list);
    world.issuer.put("/root.crl", page);
    // The server says nothing: whoever waited for it would wait for an hour.
    let reason = tokio::time::timeout(Duration::from_mins(2), world.reason(&certificate)).await;
    assert_eq!(reason.expect("the old one still holds"), None);
    world.issuer.until_asked("/root.crl", 2).await;
}

#[tokio::test]
async fn a_list_that_promises_years_is_still_asked_for_again() {
    let world = World::new().await;
    let certificate = world.listed("/root.crl").certificate;
    let list = world.root.revocation_list(&[], START.minus(HOUR), START.plus(DAY * 4000)).unwrap();
    world.issuer.put("/root.crl", Page::of(list));
    assert_eq!(world.reason(&certificate).await, None);
    world.issuer.put("/root.crl", Page::status(404));
    world.clock.pass(DAY * 8);
    assert_eq!(world.reason(&certificate).await, Some(Reason::TrustUnavailable), "a week is the longest (max_age)");
}

#[tokio::test]
async fn lists_come_as_pem_and_after_redirects_too() {
    let world = World::new().await;
    let certificate = world.listed("/moved").certificate;
    let der = world.root.revocation_list(&[], START.minus(HOUR), START.plus(DAY)).unwrap();
    let pem = openssl::x509::X509Crl::from_der(&der).unwrap().to_pem().unwrap();
    world.issuer.put("/moved", Page::redirect("/further"));
    world.issuer.put("/further", Page::redirect(&world.issuer.url("/list.pem")));
    world.issuer.put("/list.pem", Page::of(pem));
    assert_eq!(world.reason(&certificate).await, None);
}
