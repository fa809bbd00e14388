//! What is kept, for how long, by whom it is shared, and when it is forgotten: on both engines.

use std::{sync::Arc, time::Duration};

use postern::{
    domain::{Clock as _, DirectAddress, Reason, time::Span},
    trust::discovery::{Freshness, Place},
};

use super::world::{ADDRESS, DAY, DOMAIN, NAME, World, at_address, at_domain, directories, found};
use crate::{
    store::world::World as Rows,
    support::{
        bind::{Bind, cert, free_port},
        slapd::Slapd,
    },
};

/// Runs each journey on both engines.
macro_rules! on_both_engines {
    ($($(#[$meta:meta])* async fn $name:ident($world:ident: &World) $journey:block)+) => {$(
        mod $name {
            use super::*;

            $(#[$meta])*
            async fn journey($world: &World) $journey

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                journey(&World::on(Rows::sqlite().await).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                journey(&World::on(Rows::postgres().await).await).await;
            }
        }
    )+};
}

fn bind(records: &str) -> Bind {
    Bind::start(&[(DOMAIN, records.to_owned())])
}

/// How often the certificates of the recipient were asked for.
fn asked(bind: &Bind) -> usize {
    bind.asked(&format!("{NAME}.{DOMAIN} IN CERT"))
}

async fn kept(world: &World) -> i64 {
    world.rows.number("SELECT COUNT(*) FROM certificate_cache").await
}

on_both_engines! {
    async fn what_was_found_is_kept_as_long_as_dns_says_and_its_age_is_shown(world: &World) {
        let good = world.good(ADDRESS);
        let bind = bind(&at_address(&[&good]));
        let discovery = world.discovery(&bind);
        let first = world.search(&discovery, ADDRESS).await;
        assert_eq!(first.steps[1].asked[0].age, None);
        world.rows.pass(Duration::from_secs(59)).await;
        let second = world.search(&discovery, ADDRESS).await;
        found(&second, &good, Place::DnsAddress);
        let asked_now = &second.steps[1].asked[0];
        assert_eq!((asked_now.age, &asked_now.of), (Some(Duration::from_secs(59)), &bind.address.to_string()));
        assert_eq!(asked(&bind), 1);
        // The zone's TTL is 60 seconds.
        world.rows.pass(Duration::from_secs(1)).await;
        found(&world.search(&discovery, ADDRESS).await, &good, Place::DnsAddress);
        assert_eq!(asked(&bind), 2);
        found(&world.search_as(&discovery, ADDRESS, Freshness::Asked).await, &good, Place::DnsAddress);
        assert_eq!(asked(&bind), 3, "asked anew when that is wanted");
    }

    async fn nothing_is_kept_longer_than_the_installation_allows(world: &World) {
        let good = world.good(ADDRESS);
        let bind = bind(&format!("{NAME} 86400 {}", at_address(&[&good]).trim_start_matches(NAME)));
        let mut settings = World::settings(&[bind.address]);
        settings.cache_max = Span::seconds(600);
        let discovery = world.discovery_with(settings, world.rows.store.clone());
        for (pass, questions) in [(0, 1), (599, 1), (1, 2)] {
            world.rows.pass(Duration::from_secs(pass)).await;
            found(&world.search(&discovery, ADDRESS).await, &good, Place::DnsAddress);
            assert_eq!(asked(&bind), questions);
        }
    }

    async fn that_there_is_none_is_kept_shortly(world: &World) {
        let bind = bind("");
        let discovery = world.discovery(&bind);
        // The zone's SOA says 30 seconds.
        for (pass, questions) in [(0, 1), (29, 1), (1, 2)] {
            world.rows.pass(Duration::from_secs(pass)).await;
            let outcome = world.search(&discovery, ADDRESS).await.outcome;
            assert_eq!(outcome.unwrap_err().reason(), Reason::NoCert);
            assert_eq!(asked(&bind), questions);
        }
        let mut settings = World::settings(&[bind.address]);
        settings.cache_none_max = Span::seconds(0);
        let discovery = world.discovery_with(settings, world.rows.store.clone());
        world.rows.pass(Duration::from_mins(1)).await;
        for questions in [3, 4] {
            assert!(world.search(&discovery, ADDRESS).await.outcome.is_err());
            assert_eq!(asked(&bind), questions, "kept for no time at all");
        }
    }

    async fn silence_is_not_kept(world: &World) {
        let discovery = world.discovery_with(World::settings(&[free_port()]), world.rows.store.clone());
        let outcome = world.search(&discovery, ADDRESS).await.outcome;
        assert_eq!(outcome.unwrap_err().reason(), Reason::TrustUnavailable);
        assert_eq!(kept(world).await, 0);
        // Another process, whose name server answers, finds it at once.
        let good = world.good(ADDRESS);
        world.finds(&bind(&at_address(&[&good])), &good, Place::DnsAddress).await;
    }

    async fn two_workers_share_what_one_was_told(world: &World) {
        let good = world.good(ADDRESS);
        let directory = Slapd::start(&[(ADDRESS, vec![good.der()])]);
        let bind = bind(&directories(&[(0, 0, directory.address)]));
        found(&world.search(&world.discovery(&bind), ADDRESS).await, &good, Place::LdapAddress);
        let neighbour = world.rows.neighbour(Arc::clone(&world.rows.clock)).await;
        let other = world.discovery_with(World::settings(&[bind.address]), neighbour);
        let search = world.search(&other, ADDRESS).await;
        found(&search, &good, Place::LdapAddress);
        assert!(search.steps.iter().skip(1).flat_map(|step| &step.asked).all(|asked| asked.age.is_some()), "{search:#?}");
        assert_eq!((asked(&bind), directory.searches(ADDRESS)), (1, 1));
    }

    async fn what_is_forgotten_is_asked_anew_by_everybody(world: &World) {
        let (old, new) = (world.good(DOMAIN), world.good(DOMAIN));
        let bind = bind(&at_domain(&[&old]));
        let (one, other) = (world.discovery(&bind), world.discovery(&bind));
        found(&world.search(&one, ADDRESS).await, &old, Place::DnsDomain);
        bind.publish(DOMAIN, &at_domain(&[&new]));
        found(&world.search(&other, ADDRESS).await, &old, Place::DnsDomain);
        let address: DirectAddress = ADDRESS.to_uppercase().parse().unwrap();
        assert_eq!(one.forget(&address, Duration::ZERO).await.unwrap(), 2, "that the address has none, and what the domain has");
        found(&world.search(&other, ADDRESS).await, &new, Place::DnsDomain);
    }

    async fn a_kept_certificate_that_is_no_longer_valid_is_doubted_before_the_search_ends(world: &World) {
        let order = world.order(ADDRESS, world.rows.clock.now().plus(Duration::from_mins(2)));
        let (old, new) = (world.issue(&order), world.good(ADDRESS));
        let long = |certificate: &postern::trust::Certificate| cert(&format!("{NAME} 3600"), "PKIX", certificate.der());
        let bind = bind(&long(&old));
        let discovery = world.discovery(&bind);
        found(&world.search(&discovery, ADDRESS).await, &old, Place::DnsAddress);
        world.rows.pass(Duration::from_mins(3)).await;
        let outcome = world.search(&discovery, ADDRESS).await.outcome;
        assert_eq!(outcome.unwrap_err().reason(), Reason::ExpiredCert, "asked again, and it is still the old one");
        assert_eq!(asked(&bind), 2);
        // What is known to be bad since a moment ago is not asked for again and again.
        assert!(world.search(&discovery, ADDRESS).await.outcome.is_err());
        assert_eq!(asked(&bind), 2);
        bind.publish(DOMAIN, &long(&new));
        world.rows.pass(Duration::from_secs(61)).await;
        found(&world.search(&discovery, ADDRESS).await, &new, Place::DnsAddress);
    }

    async fn what_expired_is_thrown_away(world: &World) {
        let good = world.good(ADDRESS);
        let bind = bind(&at_address(&[&good]));
        let discovery = world.discovery(&bind);
        found(&world.search(&discovery, ADDRESS).await, &good, Place::DnsAddress);
        assert_eq!(world.rows.store.all_kept(None).await.unwrap().len(), 1);
        world.rows.pass(DAY).await;
        assert_eq!(world.rows.store.all_kept(None).await.unwrap(), []);
        let outcome = world.search(&discovery, "nobody@direct.clinic.example").await.outcome;
        assert!(outcome.is_err());
        let about = world.rows.texts("SELECT DISTINCT about FROM certificate_cache ORDER BY about").await;
        assert_eq!(about, [DOMAIN, "nobody@direct.clinic.example"]);
    }

    async fn a_thousand_deliveries_to_one_domain_ask_once(world: &World) {
        let good = world.good(DOMAIN);
        let bind = bind(&at_domain(&[&good]));
        let discovery = world.discovery(&bind);
        let addresses: Vec<String> = (0..1_000).map(|n| format!("p{}@{DOMAIN}", n % 50)).collect();
        let searches = addresses.iter().map(|address| world.search(&discovery, address));
        for search in futures_util::future::join_all(searches).await {
            found(&search, &good, Place::DnsDomain);
        }
        assert_eq!(bind.asked(&format!("{DOMAIN} IN CERT")), 1, "the domain");
        for n in 0..50 {
            assert_eq!(bind.asked(&format!("p{n}.{DOMAIN} IN CERT")), 1, "each address");
        }
    }
}

#[tokio::test]
async fn each_organization_judges_for_itself_what_is_kept_for_all() {
    let world = World::new().await;
    let good = world.good(ADDRESS);
    let bind = bind(&at_address(&[&good]));
    found(&world.search(&world.discovery(&bind), ADDRESS).await, &good, Place::DnsAddress);
    // The same rows, other anchors.
    let stranger = World::new().await;
    let discovery = world.discovery(&bind);
    let search = stranger.search(&discovery, ADDRESS).await;
    assert_eq!(search.outcome.unwrap_err().reason(), Reason::Untrusted);
    assert_eq!(asked(&bind), 1);
}

#[tokio::test]
async fn a_search_that_is_given_up_leaves_nobody_waiting() {
    let world = World::new().await;
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut settings = World::settings(&[silent.local_addr().unwrap()]);
    settings.dns_timeout = Span::seconds(3);
    let discovery = world.discovery_with(settings, world.rows.store.clone());
    let given_up = tokio::time::timeout(Duration::from_millis(50), world.search(&discovery, ADDRESS)).await;
    assert!(given_up.is_err());
    // Whoever asks the same afterwards gets the answer of the question that is still on its way.
    let outcome = tokio::time::timeout(Duration::from_mins(2), world.search(&discovery, ADDRESS)).await.unwrap().outcome;
    assert_eq!(outcome.unwrap_err().reason(), Reason::TrustUnavailable);
}
