//! LDAP: every directory until a valid certificate, bases, filters, referrals, refusals.

use std::time::Duration;

use postern::{
    domain::{Reason, time::Span},
    trust::discovery::{End, Place},
};
use tokio::time::Instant;

use super::world::{ADDRESS, DOMAIN, World, directories, found};
use crate::support::{
    bind::{Bind, free_port},
    slapd::{Slapd, ldif},
};

fn bind(all: &[(u16, u16, std::net::SocketAddr)]) -> Bind {
    Bind::start(&[(DOMAIN, directories(all))])
}

#[tokio::test]
async fn every_directory_is_asked_until_one_has_a_valid_certificate() {
    let world = World::new().await;
    let (bad, good) = (world.expired(ADDRESS), world.good(ADDRESS));
    let with_bad = Slapd::start(&[(ADDRESS, vec![bad.der()])]);
    let without = Slapd::start(&[]);
    let with_good = Slapd::start(&[(ADDRESS, vec![bad.der(), good.der()])]);
    let all = [(0, 0, with_bad.address), (1, 0, without.address), (2, 0, free_port()), (3, 0, with_good.address)];
    world.finds(&bind(&all), &good, Place::LdapAddress).await;
    assert_eq!((with_bad.searches(ADDRESS), without.searches(ADDRESS)), (1, 1));
}

#[tokio::test]
async fn what_a_silent_directory_may_hold_is_unknown_whatever_the_others_say() {
    let world = World::new().await;
    let bad = world.expired(ADDRESS);
    let (empty, with_bad) = (Slapd::start(&[]), Slapd::start(&[(ADDRESS, vec![bad.der()])]));
    world.fails(&bind(&[(0, 0, empty.address), (1, 0, free_port())]), Reason::TrustUnavailable).await;
    world.forget().await;
    let search = world.fails(&bind(&[(0, 0, with_bad.address), (1, 0, free_port())]), Reason::TrustUnavailable).await;
    assert_eq!(search.steps.last().map(|step| step.end), Some(End::Unavailable));
}

#[tokio::test]
async fn a_directory_that_accepts_and_says_nothing_costs_its_time_and_no_more() {
    let world = World::new().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bind = bind(&[(0, 0, silent.local_addr().unwrap())]);
    let mut settings = World::settings(&[bind.address]);
    settings.server_timeout = Span::seconds(1);
    let began = Instant::now();
    let search = world.search(&world.discovery_with(settings, world.rows.store.clone()), ADDRESS).await;
    assert_eq!(search.outcome.unwrap_err().reason(), Reason::TrustUnavailable);
    // Five minutes is what the whole search may take.
    assert!(began.elapsed() < Duration::from_mins(1), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_address_is_a_value_and_never_a_pattern() {
    let world = World::new().await;
    let other = world.good("jo.doe@direct.clinic.example");
    let directory = Slapd::start(&[(ADDRESS, vec![other.der()])]);
    let bind = bind(&[(0, 0, directory.address)]);
    let discovery = world.discovery(&bind);
    for address in ["*@direct.clinic.example", "j*@direct.clinic.example"] {
        let search = world.search(&discovery, address).await;
        assert_eq!(search.outcome.as_ref().unwrap_err().reason(), Reason::NoCert, "{search:#?}");
    }
    assert_eq!(directory.searches(r"\2A@direct.clinic.example"), 1, "{}", directory.log());
}

#[tokio::test]
async fn every_naming_context_is_searched() {
    let world = World::new().await;
    let good = world.good(ADDRESS);
    let content = ldif(&[], "dc=example") + "\n" + &ldif(&[(ADDRESS, vec![good.der()])], "dc=other");
    let directory = Slapd::with(&["dc=example", "dc=other"], &content, "");
    world.finds(&bind(&[(0, 0, directory.address)]), &good, Place::LdapAddress).await;
    assert_eq!(directory.searches(ADDRESS), 2);
}

#[tokio::test]
async fn referrals_are_not_followed() {
    let world = World::new().await;
    let good = world.good(ADDRESS);
    let elsewhere = Slapd::start(&[(ADDRESS, vec![good.der()])]);
    let referral = format!(
        "\ndn: ou=elsewhere,dc=example\nobjectClass: referral\nobjectClass: extensibleObject\nou: elsewhere\nref: ldap://{}/dc=example\n",
        elsewhere.address
    );
    let directory = Slapd::with(&["dc=example"], &(ldif(&[], "dc=example") + &referral), "");
    world.fails(&bind(&[(0, 0, directory.address)]), Reason::NoCert).await;
    assert!(!elsewhere.log().contains("BIND"), "{}", elsewhere.log());
}

#[tokio::test]
async fn a_directory_that_lets_nobody_in_is_no_answer() {
    let world = World::new().await;
    let good = world.good(ADDRESS);
    let content = ldif(&[(ADDRESS, vec![good.der()])], "dc=example");
    let closed = Slapd::with(&["dc=example"], &content, "disallow bind_anon\n");
    let search = world.fails(&bind(&[(0, 0, closed.address)]), Reason::TrustUnavailable).await;
    assert!(search.outcome.unwrap_err().to_string().contains("code 48"), "inappropriateAuthentication");
}

#[tokio::test]
async fn a_directory_in_our_own_network_is_not_connected_to_unless_it_is_allowed() {
    let world = World::new().await;
    let good = world.good(ADDRESS);
    let directory = Slapd::start(&[(ADDRESS, vec![good.der()])]);
    let bind = bind(&[(0, 0, directory.address)]);
    let mut settings = World::settings(&[bind.address]);
    settings.allow.clear();
    let search = world.search(&world.discovery_with(settings, world.rows.store.clone()), ADDRESS).await;
    assert_eq!(search.outcome.as_ref().unwrap_err().reason(), Reason::TrustUnavailable);
    assert!(search.outcome.unwrap_err().to_string().contains("[discovery] allow"));
    assert!(!directory.log().contains("BIND"), "{}", directory.log());
    found(&world.search(&world.discovery(&bind), ADDRESS).await, &good, Place::LdapAddress);
}
