//! The discovery cases of the federal test tool (DCDT), by its own set-up: bad certificates are planted at the later
//! places, so whoever asks out of order is caught.

use postern::{
    domain::Reason,
    trust::discovery::{End, Place},
};

use super::world::{ADDRESS, DOMAIN, World, at_address, at_domain, directories};
use crate::support::{
    bind::{Bind, free_port},
    slapd::Slapd,
};

fn bind(records: &str) -> Bind {
    Bind::start(&[(DOMAIN, records.to_owned())])
}

#[tokio::test]
async fn d01_an_address_bound_certificate_in_dns_is_found() {
    let world = World::new().await;
    let good = world.good(ADDRESS);
    let (domain, ldap) = (world.good(DOMAIN), world.good(ADDRESS));
    let directory = Slapd::start(&[(ADDRESS, vec![ldap.der()])]);
    let records =
        at_address(&[&good]) + &at_domain(&[&domain, &world.expired(DOMAIN)]) + &directories(&[(0, 0, directory.address)]);
    world.finds(&bind(&records), &good, Place::DnsAddress).await;
    assert_eq!(directory.searches(ADDRESS), 0, "nobody asks further than needed");
}

#[tokio::test]
async fn d02_a_domain_bound_certificate_in_dns_is_found() {
    let world = World::new().await;
    let good = world.good(DOMAIN);
    let ldap = world.good(ADDRESS);
    let directory = Slapd::start(&[(ADDRESS, vec![ldap.der()])]);
    let records = at_domain(&[&good]) + &directories(&[(0, 0, directory.address)]);
    world.finds(&bind(&records), &good, Place::DnsDomain).await;
    assert_eq!(directory.searches(ADDRESS), 0);
}

#[tokio::test]
async fn d03_an_address_bound_certificate_in_ldap_is_found() {
    let world = World::new().await;
    let (good, bad) = (world.good(ADDRESS), world.expired(DOMAIN));
    let directory = Slapd::start(&[(ADDRESS, vec![good.der()]), (DOMAIN, vec![bad.der()])]);
    world.finds(&bind(&directories(&[(0, 0, directory.address)])), &good, Place::LdapAddress).await;
    assert_eq!(directory.searches(DOMAIN), 0);
}

#[tokio::test]
async fn d04_a_domain_bound_certificate_in_ldap_is_found() {
    let world = World::new().await;
    let good = world.good(DOMAIN);
    let directory = Slapd::start(&[(DOMAIN, vec![good.der()]), ("other@direct.clinic.example", vec![])]);
    world.finds(&bind(&directories(&[(0, 0, directory.address)])), &good, Place::LdapDomain).await;
    assert_eq!(directory.searches(ADDRESS), 1);
}

#[tokio::test]
async fn d05_an_invalid_address_bound_certificate_in_dns_ends_the_search() {
    let world = World::new().await;
    let records = at_address(&[&world.expired(ADDRESS)]) + &at_domain(&[&world.good(DOMAIN)]);
    let search = world.fails(&bind(&records), Reason::ExpiredCert).await;
    assert_eq!(search.steps.last().map(|step| (step.place, step.end)), Some((Place::DnsAddress, End::Invalid)));
}

#[tokio::test]
async fn d06_an_invalid_domain_bound_certificate_in_dns_ends_the_search() {
    let world = World::new().await;
    let good = world.good(ADDRESS);
    let directory = Slapd::start(&[(ADDRESS, vec![good.der()])]);
    let records = at_domain(&[&world.expired(DOMAIN)]) + &directories(&[(0, 0, directory.address)]);
    let search = world.fails(&bind(&records), Reason::ExpiredCert).await;
    assert_eq!(search.steps.last().map(|step| step.place), Some(Place::DnsDomain));
    assert_eq!(directory.searches(ADDRESS), 0);
}

#[tokio::test]
async fn d07_an_invalid_address_bound_certificate_in_ldap_ends_the_search() {
    let world = World::new().await;
    let (bad, good) = (world.expired(ADDRESS), world.good(DOMAIN));
    let directory = Slapd::start(&[(ADDRESS, vec![bad.der()]), (DOMAIN, vec![good.der()])]);
    let search = world.fails(&bind(&directories(&[(0, 0, directory.address)])), Reason::ExpiredCert).await;
    assert_eq!(search.steps.last().map(|step| step.place), Some(Place::LdapAddress));
}

#[tokio::test]
async fn d08_an_invalid_domain_bound_certificate_in_ldap_ends_the_search() {
    let world = World::new().await;
    let bad = world.expired(DOMAIN);
    let directory = Slapd::start(&[(DOMAIN, vec![bad.der()])]);
    let search = world.fails(&bind(&directories(&[(0, 0, directory.address)])), Reason::ExpiredCert).await;
    assert_eq!(search.steps.last().map(|step| step.place), Some(Place::LdapDomain));
}

#[tokio::test]
async fn d09_of_a_valid_and_an_invalid_certificate_the_valid_one_is_taken() {
    let world = World::new().await;
    let good = world.good(ADDRESS);
    let records = at_address(&[&world.expired(ADDRESS), &good, &world.good("somebody@else.example")]);
    world.finds(&bind(&records), &good, Place::DnsAddress).await;
}

#[tokio::test]
async fn d10_when_the_first_directory_is_down_the_second_is_asked() {
    let world = World::new().await;
    let good = world.good(ADDRESS);
    let up = Slapd::start(&[(ADDRESS, vec![good.der()])]);
    world.finds(&bind(&directories(&[(0, 0, free_port()), (1, 0, up.address)])), &good, Place::LdapAddress).await;
}

#[tokio::test]
async fn d11_without_certificates_and_directories_nothing_is_sent() {
    let world = World::new().await;
    let search = world.fails(&bind(""), Reason::NoCert).await;
    assert_eq!(search.steps.len(), 5, "every place was asked");
}

#[tokio::test]
async fn d12_with_a_dead_directory_nothing_is_sent_and_nothing_is_concluded() {
    let world = World::new().await;
    let search = world.fails(&bind(&directories(&[(0, 0, free_port())])), Reason::TrustUnavailable).await;
    assert_eq!(search.steps.last().map(|step| (step.place, step.end)), Some((Place::LdapAddress, End::Unavailable)));
}

#[tokio::test]
async fn d13_when_everybody_answers_and_nobody_has_one_nothing_is_sent() {
    let world = World::new().await;
    let directory = Slapd::start(&[("other@direct.clinic.example", vec![])]);
    world.fails(&bind(&directories(&[(0, 0, directory.address)])), Reason::NoCert).await;
    assert_eq!((directory.searches(ADDRESS), directory.searches(DOMAIN)), (1, 1));
}

#[tokio::test]
async fn d14_a_certificate_too_large_for_a_packet_is_found() {
    let world = World::new().await;
    let good = world.large(ADDRESS);
    assert!(good.der().len() > 512);
    world.finds(&bind(&at_address(&[&good])), &good, Place::DnsAddress).await;
}

#[tokio::test]
async fn d15_directories_are_asked_by_priority() {
    let world = World::new().await;
    let (right, wrong) = (world.good(ADDRESS), world.good(ADDRESS));
    let (first, second) = (Slapd::start(&[(ADDRESS, vec![right.der()])]), Slapd::start(&[(ADDRESS, vec![wrong.der()])]));
    let records = directories(&[(20, 100, second.address), (10, 1, first.address)]);
    world.finds(&bind(&records), &right, Place::LdapAddress).await;
    assert_eq!(second.searches(ADDRESS), 0);
}

#[tokio::test]
async fn d16_directories_of_one_priority_are_asked_by_weight() {
    let world = World::new().await;
    let (right, wrong) = (world.good(ADDRESS), world.good(ADDRESS));
    let (heavy, light) = (Slapd::start(&[(ADDRESS, vec![right.der()])]), Slapd::start(&[(ADDRESS, vec![wrong.der()])]));
    let records = directories(&[(0, 10, light.address), (0, 90, heavy.address)]);
    world.finds(&bind(&records), &right, Place::LdapAddress).await;
    assert_eq!(light.searches(ADDRESS), 0);
}
