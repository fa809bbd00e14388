//! Servers of recipients that say nothing delay what goes to them, and nothing else.

use std::{net::SocketAddr, time::Duration};

use postern::{
    config::{
        discovery::{DiscoverySection, NameServer},
        worker::WorkerSection,
    },
    domain::{OrgId, text::Stated, time::Span},
};

use super::{
    fair::{accepted, work},
    world::{Plan, World},
};
use crate::{
    store::make,
    support::fake_dns::{FakeDns, Name, RData, RecordType, rdata, record},
};

/// Four places, one organization, one relay; this name server is asked, and nobody's patience ends while the test runs.
async fn world(resolver: SocketAddr) -> (World, OrgId) {
    let forever = Span::seconds(3_600);
    let discovery = DiscoverySection {
        resolvers: vec![NameServer(resolver)],
        dns_timeout: forever,
        server_timeout: forever,
        timeout: forever,
        allow: vec!["127.0.0.0/8".parse().unwrap()],
        ..DiscoverySection::default()
    };
    let plan = Plan::default();
    let worker = WorkerSection { concurrency: 4, ..plan.worker };
    let world = World::open(Plan { worker, discovery: Some(discovery), ..plan }).await;
    let org = world.sender("north", "hisp").await;
    (world, org)
}

/// Thirty results for people of thirty domains, and then twelve for those whose certificate is known: these are accepted.
async fn the_others_are_served(world: &World, org: OrgId) {
    for number in 0..30 {
        let mut order = make::order(&format!("S{number}"));
        order.deliver_to[0].direct = Some(Stated::parse(&format!("jo@direct.silent{number}.example")));
        world.result(org, &order).await;
    }
    let working = work(world);
    let waits = "SELECT CAST(COUNT(*) AS TEXT) FROM delivery WHERE address LIKE '%silent%' AND state = 'claimed'";
    while world.texts(waits).await[0].parse::<usize>().unwrap() < 4 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.results(org, "known", 12).await;
    accepted(world, org, 12).await;
    let rest = "SELECT DISTINCT state || ' ' || attempts || ' ' || fee FROM delivery WHERE address LIKE '%silent%'";
    assert_eq!(world.texts(rest).await, ["claimed 0 none"], "each of them waits, and none of them was given up");
    working.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_server_that_is_silent_never_stalls_deliveries_to_others() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (world, org) = world(silent.local_addr().unwrap()).await;
    the_others_are_served(&world, org).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_is_silent_never_stalls_deliveries_to_others() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let dns = FakeDns::start(move |name, kind, message| {
        match kind {
            RecordType::SRV => {
                let host = Name::from_ascii(format!("ldap.{}", name.trim_start_matches("_ldap._tcp."))).unwrap();
                message.add_answer(record(name, RData::SRV(rdata::SRV::new(0, 0, port, host))));
            }
            RecordType::A => {
                message.add_answer(record(name, RData::A(rdata::A::new(127, 0, 0, 1))));
            }
            _ => {}
        }
        true
    })
    .await;
    let (world, org) = world(dns.address).await;
    the_others_are_served(&world, org).await;
}
