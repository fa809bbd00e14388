//! Servers and certificates that mean harm.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use postern::{
    config::revocation::RevocationSection,
    crypto::der,
    domain::{Reason, time::Span},
    trust::{
        Certificate, Crls,
        authority::{
            Extension, Order,
            published::{AnswerOrder, answer},
        },
        pointers::Pointers,
        revocation::{Answer, List, Standing},
    },
};
use proptest::prelude::*;

use super::{
    issuer::Page,
    world::{DAY, HOUR, START, World, settings},
};

/// CRLDistributionPoints with these URLs, one point each.
fn points(urls: &[String]) -> Extension {
    let mut all = Vec::new();
    for url in urls {
        let name = der::tlv(der::implicit(6), &[url.as_bytes()]).unwrap();
        let name = der::tlv(der::explicit(0), &[&der::tlv(der::explicit(0), &[&name]).unwrap()]).unwrap();
        all.extend(der::sequence(&[&name]).unwrap());
    }
    Extension { id: "2.5.29.31", critical: false, value: der::sequence(&[&all]).unwrap() }
}

#[tokio::test]
async fn of_a_hundred_places_a_few_are_tried() {
    let world = World::new().await;
    let urls: Vec<String> = (0..100).map(|n| world.issuer.url(&format!("/{n}"))).collect();
    let end = world.root.issue(&Order { extensions: vec![points(&urls)], ..world.order() }).unwrap().certificate;
    assert_eq!(world.reason(&end).await, Some(Reason::TrustUnavailable));
    assert_eq!(world.issuer.asked_at_all(), 4);
}

#[tokio::test]
async fn places_that_cannot_be_asked_leave_the_question_open() {
    let world = World::new().await;
    for url in ["ldap://127.0.0.1/cn=x", "file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/", "nonsense", ""] {
        let extensions = vec![points(&[url.to_owned()])];
        let end = world.root.issue(&Order { extensions, ..world.order() }).unwrap().certificate;
        assert!(Pointers::of(&end).names_a_source() && !Pointers::of(&end).can_be_asked(), "{url}");
        assert_eq!(world.reason(&end).await, Some(Reason::TrustUnavailable), "{url}");
    }
}

#[tokio::test]
async fn our_own_network_is_not_asked_unless_it_is_allowed() {
    let world = World::with(RevocationSection { allow: vec!["10.0.0.0/8".parse().unwrap()], ..settings() }).await;
    world.publish("/root.crl", &[]);
    let error = world.choose(&[&world.listed("/root.crl").certificate]).await.unwrap_err();
    assert_eq!(error.reason(), Reason::TrustUnavailable);
    assert!(error.to_string().contains("private network"), "{error}");
    // Nor by a redirect from outside; here every hop is inside, so the first one is already refused.
    assert_eq!(world.issuer.asked_at_all(), 0);
}

#[tokio::test]
async fn redirects_in_a_circle_end() {
    let world = World::new().await;
    world.issuer.put("/a", Page::redirect("/b"));
    world.issuer.put("/b", Page::redirect("/a"));
    assert_eq!(world.reason(&world.listed("/a").certificate).await, Some(Reason::TrustUnavailable));
    assert_eq!(world.issuer.asked_at_all(), 4);
}

#[tokio::test]
async fn a_list_larger_than_allowed_is_not_taken() {
    let world = World::with(RevocationSection { list_bytes: 2_000, ..settings() }).await;
    let many: Vec<_> = (0..200).map(|_| world.listed("/root.crl").certificate).collect();
    world.publish("/root.crl", &many.iter().collect::<Vec<_>>());
    assert_eq!(world.reason(&world.listed("/root.crl").certificate).await, Some(Reason::TrustUnavailable));
}

#[tokio::test]
async fn a_long_list_is_read_quickly_and_every_entry_counts() {
    let world = World::with(RevocationSection { patience: Span(Duration::from_mins(1)), ..settings() }).await;
    let many: Vec<_> = (0..40).map(|_| world.listed("/root.crl").certificate).collect();
    let all: Vec<&Certificate> = many.iter().cycle().take(50_000).collect();
    let list = world.root.revocation_list(&all, START.minus(HOUR), START.plus(DAY)).unwrap();
    assert!(list.len() > 1_500_000);
    let began = Instant::now();
    let read = List::read(list.clone()).unwrap();
    // Quadratic in the entries it would take many minutes.
    assert!(began.elapsed() < Duration::from_mins(1), "{:?}", began.elapsed());
    assert_eq!(read.len(), 50_000);
    world.issuer.put("/root.crl", Page::of(list));
    for revoked in &many {
        assert_eq!(world.reason(revoked).await, Some(Reason::Revoked));
    }
    assert_eq!(world.reason(&world.listed("/root.crl").certificate).await, None);
}

#[tokio::test]
async fn many_who_want_the_same_list_fetch_it_once() {
    let world = World::new().await;
    let list = world.root.revocation_list(&[], START.minus(HOUR), START.plus(DAY)).unwrap();
    world.issuer.put("/root.crl", Page::slow(list, Duration::from_millis(300)));
    let ends: Vec<_> = (0..40).map(|_| world.listed("/root.crl").certificate).collect();
    let reasons = join_all(ends.iter().map(|end| world.reason(end))).await;
    assert!(reasons.iter().all(Option::is_none), "{reasons:?}");
    assert_eq!(world.issuer.asked("/root.crl"), 1);
}

#[tokio::test]
async fn a_slow_server_costs_a_few_seconds_once_and_is_believed_when_it_answers_at_last() {
    let patience = Duration::from_secs(2);
    let section = RevocationSection { patience: Span(patience), timeout: Span(Duration::from_hours(1)), ..settings() };
    let world = World::with(section).await;
    let list = world.root.revocation_list(&[], START.minus(HOUR), START.plus(DAY)).unwrap();
    let (page, gate) = Page::held(list);
    world.issuer.put("/root.crl", page);
    let ends: Vec<_> = (0..20).map(|_| world.listed("/root.crl").certificate).collect();
    let began = Instant::now();
    for end in &ends {
        assert_eq!(world.reason(end).await, Some(Reason::TrustUnavailable));
    }
    assert!(began.elapsed() < patience * 10, "only the first one waited: {:?}", began.elapsed());
    gate.open();
    let waited = Instant::now();
    while world.reason(&ends[0]).await.is_some() {
        assert!(waited.elapsed() < Duration::from_mins(2), "the fetch went on by itself and landed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(world.issuer.asked("/root.crl"), 1);
}

#[tokio::test]
async fn a_server_that_failed_is_left_alone_for_a_while_and_then_asked_again() {
    let world = World::new().await;
    let end = world.listed("/root.crl").certificate;
    for _ in 0..5 {
        assert_eq!(world.reason(&end).await, Some(Reason::TrustUnavailable));
    }
    assert_eq!(world.issuer.asked("/root.crl"), 1);
    world.publish("/root.crl", &[]);
    world.clock.pass(Duration::from_secs(61));
    assert_eq!(world.reason(&end).await, None);
}

/// A sound list and a sound answer, to be spoilt.
fn sound() -> &'static (Vec<u8>, Vec<u8>, Certificate, Certificate) {
    use std::sync::OnceLock;
    static SOUND: OnceLock<(Vec<u8>, Vec<u8>, Certificate, Certificate)> = OnceLock::new();
    SOUND.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new().await;
            let end = world.root.issue(&world.order()).unwrap().certificate;
            let list = world.root.revocation_list(&[], START.minus(HOUR), START.plus(DAY)).unwrap();
            let order = AnswerOrder::new(Standing::Good, START.minus(HOUR), START.plus(HOUR));
            let answer = answer(&world.root, &end, &order).unwrap();
            (list, answer, end, world.root.certificate().clone())
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn nothing_that_a_server_gives_makes_us_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = List::from_file(bytes.clone());
        let _ = Answer::read(&bytes);
        let _ = Crls::default().add(&bytes);
        let _ = Certificate::read_all(&bytes);
    }

    #[test]
    fn a_list_with_one_octet_changed_is_never_the_issuers(place in any::<prop::sample::Index>(), flip in 1_u8..) {
        let (list, _, _, root) = sound();
        let mut spoilt = list.clone();
        spoilt[place.index(list.len())] ^= flip;
        if let Ok(list) = List::read(spoilt) {
            prop_assert!(!list.is_by(root));
        }
    }

    #[test]
    fn an_answer_with_one_octet_changed_says_nothing(place in any::<prop::sample::Index>(), flip in 1_u8..) {
        let (_, answer, end, root) = sound();
        let mut spoilt = answer.clone();
        let place = place.index(answer.len());
        spoilt[place] ^= flip;
        if let Ok(read) = Answer::read(&spoilt) {
            // The certificate that is sent along is not signed by the answer; all else is.
            let says = read.says(end, root, START, Duration::ZERO);
            let in_certificate = place + root.der().len() + 16 > answer.len();
            prop_assert!(says.is_none() || in_certificate, "octet {place}: {says:?}");
        }
    }

    #[test]
    fn a_list_cut_short_is_none(cut in any::<prop::sample::Index>()) {
        let (list, answer, ..) = sound();
        prop_assert!(List::read(list[..cut.index(list.len())].to_vec()).is_err());
        prop_assert!(Answer::read(&answer[..cut.index(answer.len())]).is_err());
    }
}
