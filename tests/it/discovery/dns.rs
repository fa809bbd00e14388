//! DNS: sizes, aliases, kinds of records, and servers that do not answer.

use std::{sync::Arc, time::Duration};

use postern::{
    domain::Reason,
    trust::{
        Discovery,
        discovery::{End, Place, Said},
    },
};
use tokio::time::Instant;

use super::world::{ADDRESS, DOMAIN, NAME, World, at_address, at_domain, directories, found};
use crate::support::{
    bind::{Bind, cert, free_port},
    fake_dns::{FakeDns, Name, RData, RecordType, ResponseCode, rdata, record},
    slapd::Slapd,
};

fn bind(records: &str) -> Bind {
    Bind::start(&[(DOMAIN, records.to_owned())])
}

/// The flags BIND notes for each question of this kind.
fn flags(bind: &Bind, what: &str) -> Vec<String> {
    let log = bind.log();
    let asked = log.lines().filter_map(|line| line.split_once(&format!("query: {what} ")));
    asked.map(|(_, rest)| rest.split(' ').next().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn what_fits_into_a_packet_comes_in_one_and_what_does_not_comes_over_tcp() {
    let world = World::new().await;
    let good = world.good(ADDRESS);
    let small = bind(&at_address(&[&good]));
    world.finds(&small, &good, Place::DnsAddress).await;
    let what = format!("{NAME}.{DOMAIN} IN CERT");
    assert!(matches!(&flags(&small, &what)[..], [one] if !one.contains('T') && one.contains('E')), "{}", small.log());

    world.forget().await;
    // Beyond 4096 octets: more than any size of EDNS in use.
    let large: Vec<_> = (0..4).map(|_| world.large(ADDRESS)).collect();
    let all: Vec<_> = large.iter().chain([&good]).collect();
    assert!(all.iter().map(|one| one.der().len()).sum::<usize>() > 4_096);
    let big = bind(&at_address(&all));
    world.finds(&big, &good, Place::DnsAddress).await;
    let flags = flags(&big, &what);
    assert!(matches!(&flags[..], [udp, tcp] if !udp.contains('T') && tcp.contains('T')), "{flags:?}");
}

#[tokio::test]
async fn aliases_are_followed_within_an_answer_and_beyond_it() {
    let world = World::new().await;
    let good = world.good(ADDRESS);
    let zones = [
        (DOMAIN, format!("{NAME} CNAME certificates.hosting.example.\n")),
        ("hosting.example", cert("certificates", "PKIX", good.der())),
    ];
    world.finds(&Bind::start(&zones), &good, Place::DnsAddress).await;

    // A resolver that gives the alias alone, and not what is there.
    let der = good.der().to_vec();
    let fake = FakeDns::start(move |name, kind, message| {
        let data = match (name, kind) {
            ("jo.doe.direct.clinic.example.", RecordType::CERT) => {
                RData::CNAME(rdata::CNAME(Name::from_ascii("certificates.hosting.example.").unwrap()))
            }
            ("certificates.hosting.example.", RecordType::CERT) => {
                RData::CERT(rdata::CERT::new(rdata::cert::CertType::PKIX, 0, 0.into(), der.clone()))
            }
            _ => return false,
        };
        message.add_answer(record(name, data));
        true
    })
    .await;
    let discovery = world.discovery_with(World::settings(&[fake.address]), world.rows.store.clone());
    found(&world.search(&discovery, ADDRESS).await, &good, Place::DnsAddress);

    let ring = FakeDns::start(|name, _, message| {
        let next = if name.starts_with("a.") { "b.ring.example." } else { "a.ring.example." };
        message.add_answer(record(name, RData::CNAME(rdata::CNAME(Name::from_ascii(next).unwrap()))));
        true
    })
    .await;
    let discovery = world.discovery_with(World::settings(&[ring.address]), world.rows.store.clone());
    let outcome = world.search(&discovery, "x@ring.example").await.outcome;
    assert_eq!(outcome.unwrap_err().reason(), Reason::TrustUnavailable);
}

#[tokio::test]
async fn a_certificate_may_stand_behind_a_url() {
    let world = World::new().await;
    let good = world.good(ADDRESS);
    let web = super::world::web(200, good.der().to_vec()).await;
    for kind in ["IPKIX", "URI"] {
        let url = format!("http://{}/jo.cer", web.address);
        let bind = bind(&cert(NAME, kind, url.as_bytes()));
        let search = world.search(&world.discovery(&bind), ADDRESS).await;
        found(&search, &good, Place::DnsAddress);
        let Said::Certificates(verdicts) = &search.steps[1].asked[0].said else { panic!("{search:#?}") };
        assert_eq!(verdicts[0].url.as_deref(), Some(url.as_str()));
        world.forget().await;
    }
    assert_eq!(web.visits(), 2);
}

#[tokio::test]
async fn a_url_does_not_lead_us_into_our_own_network() {
    let world = World::new().await;
    let web = super::world::web(200, world.good(ADDRESS).der().to_vec()).await;
    let bind = bind(&cert(NAME, "IPKIX", format!("http://{}/jo.cer", web.address).as_bytes()));
    let mut settings = World::settings(&[bind.address]);
    settings.allow.clear();
    let outcome = world.search(&world.discovery_with(settings, world.rows.store.clone()), ADDRESS).await.outcome;
    assert_eq!(outcome.unwrap_err().reason(), Reason::Malformed);
    assert_eq!(web.visits(), 0);
}

#[tokio::test]
async fn a_url_that_does_not_answer_now_is_not_none_and_spoils_no_certificate_beside_it() {
    let world = World::new().await;
    let (busy, gone) = (super::world::web(503, Vec::new()).await, super::world::web(404, Vec::new()).await);
    let url = |web: &super::world::Web| cert(NAME, "IPKIX", format!("http://{}/", web.address).as_bytes());
    let good = world.good(ADDRESS);
    for (records, expected) in [
        (url(&busy), Err(Reason::TrustUnavailable)),
        (url(&gone), Err(Reason::Malformed)),
        (url(&busy) + &at_address(&[&world.expired(ADDRESS)]), Err(Reason::TrustUnavailable)),
        (url(&busy) + &url(&gone) + &at_address(&[&good]), Ok(())),
    ] {
        let bind = bind(&records);
        let outcome = world.search(&world.discovery(&bind), ADDRESS).await.outcome;
        assert_eq!(outcome.map(drop).map_err(|error| error.reason()), expected, "{records}");
        world.forget().await;
    }
}

#[tokio::test]
async fn records_of_other_kinds_are_nothing_to_us() {
    let world = World::new().await;
    let good = world.good(DOMAIN);
    let records = cert(NAME, "PGP", b"a key") + &cert(NAME, "SPKI", b"another") + &at_domain(&[&good]);
    world.finds(&bind(&records), &good, Place::DnsDomain).await;
}

#[tokio::test]
async fn of_two_single_use_certificates_the_one_for_encryption_is_taken() {
    let world = World::new().await;
    let good = world.good(ADDRESS);
    world.finds(&bind(&at_address(&[&world.signing(ADDRESS), &good])), &good, Place::DnsAddress).await;
    world.forget().await;
    world.fails(&bind(&at_address(&[&world.signing(ADDRESS)])), Reason::KeyUsage).await;
}

#[tokio::test]
async fn a_sub_address_is_sent_to_with_the_certificate_of_its_mailbox() {
    let world = World::new().await;
    let good = world.good(ADDRESS);
    let bind = bind(&at_address(&[&good]));
    let discovery = world.discovery(&bind);
    found(&world.search(&discovery, "Jo.Doe+lab@direct.clinic.example").await, &good, Place::DnsAddress);
    assert!(!bind.log().contains("+lab"), "{}", bind.log());
    let outcome = world.search(&discovery, "jo@direct.clinic.example").await.outcome;
    assert_eq!(outcome.unwrap_err().reason(), Reason::NoCert, "another mailbox is another");
}

#[tokio::test]
async fn imported_certificates_come_first_and_bad_ones_end_the_search() {
    let world = World::new().await;
    let (imported, published) = (world.good(DOMAIN), world.good(ADDRESS));
    let bind = bind(&at_address(&[&published]));
    let import = async |certificate: &postern::trust::Certificate| {
        let store = &world.rows.store;
        let print = postern::crypto::Hex(&certificate.fingerprint()).to_string();
        store.import_certificate(world.org, DOMAIN, certificate.der(), &print, certificate.valid_until()).await.unwrap();
        print
    };
    let print = import(&imported).await;
    world.finds(&bind, &imported, Place::Local).await;
    assert_eq!(bind.asked(&format!("{NAME}.{DOMAIN} IN CERT")), 0);
    world.rows.store.remove_certificate(world.org, &print).await.unwrap();
    import(&world.expired(DOMAIN)).await;
    let search = world.fails(&bind, Reason::ExpiredCert).await;
    assert_eq!((search.steps.len(), search.steps[0].end), (1, End::Invalid));
}

/// A resolver that knows the domain's name server, and treats every question for CERT in this way.
async fn without_cert(how: Option<ResponseCode>) -> FakeDns {
    FakeDns::start(move |name, kind, message| {
        match (name, kind) {
            (_, RecordType::CERT) => match how {
                Some(code) => message.metadata.response_code = code,
                None => return false,
            },
            ("direct.clinic.example.", RecordType::NS) => {
                // One that is an address instead of a name, one that does not exist, and a good one.
                for host in ["127.0.0.99.", "gone.clinic.example.", "ns.clinic.example."] {
                    message.add_answer(record(name, RData::NS(rdata::NS(Name::from_ascii(host).unwrap()))));
                }
            }
            ("ns.clinic.example.", RecordType::A) => {
                message.add_answer(record(name, RData::A(rdata::A::new(127, 0, 0, 1))));
            }
            ("gone.clinic.example.", _) => message.metadata.response_code = ResponseCode::ServFail,
            _ => {}
        }
        true
    })
    .await
}

#[tokio::test]
async fn when_the_resolver_will_not_answer_for_certificates_the_domains_own_server_is_asked() {
    let world = World::new().await;
    let good = world.good(DOMAIN);
    let bind = bind(&at_domain(&[&good]));
    for how in
        [Some(ResponseCode::Refused), Some(ResponseCode::ServFail), Some(ResponseCode::NotImp), Some(ResponseCode::FormErr), None]
    {
        let resolver = without_cert(how).await;
        let mut settings = World::settings(&[resolver.address]);
        if how.is_none() {
            // Silence has to be waited for.
            settings.dns_timeout = postern::domain::time::Span::seconds(2);
        }
        let discovery = Discovery::with_dns_port(settings.clone(), world.rows.store.clone(), bind.address.port());
        let search = world.search(&discovery, ADDRESS).await;
        found(&search, &good, Place::DnsDomain);
        assert_eq!(search.steps[1].end, End::Nothing, "there is none for the address, says who knows");
        assert_eq!(search.steps[2].asked[0].of, bind.address.to_string());
        world.forget().await;

        // The same, but the domain's own server is in a network of ours.
        settings.allow.clear();
        let discovery = Discovery::with_dns_port(settings, world.rows.store.clone(), bind.address.port());
        let outcome = world.search(&discovery, ADDRESS).await.outcome;
        assert_eq!(outcome.unwrap_err().reason(), Reason::TrustUnavailable);
    }
}

#[tokio::test]
async fn no_answer_from_dns_is_not_none_and_ldap_is_not_asked_instead() {
    let world = World::new().await;
    let good = world.good(ADDRESS);
    let directory = Slapd::start(&[(ADDRESS, vec![good.der()])]);
    let port = directory.address.port();
    for how in [Some(ResponseCode::Refused), Some(ResponseCode::ServFail), None] {
        // The directory would be known, and has a good certificate.
        let resolver = FakeDns::start(move |name, kind, message| {
            match kind {
                RecordType::SRV => {
                    let host = Name::from_ascii("ldap.clinic.example.").unwrap();
                    message.add_answer(record(name, RData::SRV(rdata::SRV::new(0, 0, port, host))));
                }
                RecordType::A => {
                    message.add_answer(record(name, RData::A(rdata::A::new(127, 0, 0, 1))));
                }
                _ => match how {
                    Some(code) => message.metadata.response_code = code,
                    None => return false,
                },
            }
            true
        })
        .await;
        let mut settings = World::settings(&[resolver.address]);
        settings.dns_timeout = postern::domain::time::Span(Duration::from_millis(300));
        let search = world.search(&world.discovery_with(settings, world.rows.store.clone()), ADDRESS).await;
        assert_eq!(search.outcome.as_ref().unwrap_err().reason(), Reason::TrustUnavailable, "{search:#?}");
        assert_eq!(search.steps.last().map(|step| (step.place, step.end)), Some((Place::DnsAddress, End::Unavailable)));
        assert_eq!(world.rows.number("SELECT COUNT(*) FROM certificate_cache").await, 0, "silence is not kept");
    }
    assert_eq!(directory.searches(ADDRESS), 0);
}

#[tokio::test]
async fn one_dead_name_server_does_not_fail_the_look_up() {
    let world = World::new().await;
    let good = world.good(ADDRESS);
    let bind = bind(&at_address(&[&good]));
    let discovery = world.discovery_with(World::settings(&[free_port(), bind.address]), world.rows.store.clone());
    found(&world.search(&discovery, ADDRESS).await, &good, Place::DnsAddress);
}

#[tokio::test]
async fn what_is_switched_off_is_not_asked() {
    let world = World::new().await;
    let good = world.good(ADDRESS);
    let directory = Slapd::start(&[(ADDRESS, vec![good.der()])]);
    let bind = bind(&(at_address(&[&world.good(ADDRESS)]) + &directories(&[(0, 0, directory.address)])));
    let mut settings = World::settings(&[bind.address]);
    settings.dns = false;
    let search = world.search(&world.discovery_with(settings.clone(), world.rows.store.clone()), ADDRESS).await;
    found(&search, &good, Place::LdapAddress);
    assert_eq!(search.steps[1].end, End::Off);
    settings.ldap = false;
    let search = world.search(&world.discovery_with(settings, world.rows.store.clone()), ADDRESS).await;
    assert_eq!(search.outcome.unwrap_err().reason(), Reason::NoCert);
    assert_eq!(bind.asked(&format!("{NAME}.{DOMAIN} IN CERT")), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_domain_whose_dns_is_silent_does_not_stall_the_others() {
    let world = Arc::new(World::new().await);
    let good = world.good(ADDRESS);
    let der = good.der().to_vec();
    let fake = FakeDns::start(move |name, _, message| {
        if name.ends_with("silent.example.") {
            return false;
        }
        let data = RData::CERT(rdata::CERT::new(rdata::cert::CertType::PKIX, 0, 0.into(), der.clone()));
        message.add_answer(record(name, data));
        true
    })
    .await;
    let mut settings = World::settings(&[fake.address]);
    // Nobody's patience ends while the others are served.
    settings.dns_timeout = postern::domain::time::Span::seconds(3_600);
    let search_silent = |discovery: &Discovery| -> Vec<_> {
        let one = |n| {
            let (world, discovery) = (Arc::clone(&world), discovery.clone());
            tokio::spawn(async move { world.search(&discovery, &format!("p{n}@direct.silent.example")).await.outcome })
        };
        (0..200).map(one).collect()
    };
    let discovery = world.discovery_with(settings.clone(), world.rows.store.clone());
    let silent = search_silent(&discovery);
    fake.until_asked(1).await;
    let search = tokio::time::timeout(Duration::from_mins(2), world.search(&discovery, ADDRESS)).await;
    found(&search.expect("nobody waits for the silent domain"), &good, Place::DnsAddress);
    assert!(silent.iter().all(|task| !task.is_finished()), "the silent domain is still waited for");
    silent.iter().for_each(tokio::task::JoinHandle::abort);

    // With a second of patience two hundred of them wait together, and not each in turn.
    settings.dns_timeout = postern::domain::time::Span::seconds(1);
    let discovery = world.discovery_with(settings, world.rows.store.clone());
    let began = Instant::now();
    for task in search_silent(&discovery) {
        assert_eq!(task.await.unwrap().unwrap_err().reason(), Reason::TrustUnavailable);
    }
    assert!(began.elapsed() < Duration::from_secs(100), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_cold_recipients_are_looked_for_together_and_never_all_at_once() {
    let world = Arc::new(World::new().await);
    let domain = |n: usize| format!("direct.clinic{n}.example");
    let published: std::collections::HashMap<String, Vec<u8>> =
        (0..1_000).map(|n| (domain(n) + ".", world.good(&domain(n)).der().to_vec())).collect();
    let fake = FakeDns::start_slow(Duration::from_millis(50), move |name, _, message| {
        if let Some(der) = published.get(name) {
            let data = RData::CERT(rdata::CERT::new(rdata::cert::CertType::PKIX, 0, 0.into(), der.clone()));
            message.add_answer(record(name, data));
        }
        true
    })
    .await;
    let mut settings = World::settings(&[fake.address]);
    // However slow the machine is that runs this.
    (settings.dns_timeout, settings.timeout) =
        (postern::domain::time::Span::seconds(60), postern::domain::time::Span::seconds(600));
    let discovery = world.discovery_with(settings, world.rows.store.clone());
    let searches = (0..1_000).map(|n| {
        let (world, discovery, address) = (Arc::clone(&world), discovery.clone(), format!("jo@{}", domain(n)));
        tokio::spawn(async move { world.search(&discovery, &address).await })
    });
    for search in futures_util::future::join_all(searches).await {
        let search = search.unwrap();
        assert_eq!(search.outcome.as_ref().err().map(ToString::to_string), None);
        assert_eq!(search.steps.last().map(|step| step.place), Some(Place::DnsDomain));
    }
    assert!((9..=64).contains(&fake.most_open()), "{} questions at the same time", fake.most_open());
}
