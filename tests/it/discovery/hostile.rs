//! Servers of somebody who means harm. Whatever they say, we neither fall nor wait nor conclude.

use std::{net::SocketAddr, time::Duration};

use postern::{
    config::discovery::DiscoverySection,
    domain::{Reason, time::Span},
    trust::discovery::{End, Place},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::Instant,
};

use super::world::{ADDRESS, DOMAIN, NAME, World, at_address, at_domain, directories, found, raw_web};
use crate::{
    revocation::guarded::{INSIDE, OTHER_SCHEMES, Trap},
    support::{
        bind::{Bind, cert},
        fake_dns::{FakeDns, RData, RecordType, ResponseCode, rdata, record},
    },
};

/// The answer to a bind that lets us in.
const WELCOME: &[u8] = b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00";

/// Says `first` to the bind and `then`, again and again, to what follows.
async fn directory(first: &[u8], then: Vec<u8>, again: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let first = first.to_vec();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let (first, then) = (first.clone(), then.clone());
            tokio::spawn(async move {
                let mut request = [0; 2_000];
                let _ = tcp.read(&mut request).await;
                let _ = tcp.write_all(&first).await;
                let _ = tcp.read(&mut request).await;
                for _ in 0..again {
                    if tcp.write_all(&then).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_directory_that_sends_anything_is_no_answer_and_costs_little() {
    let world = World::new().await;
    // A SEQUENCE in a SEQUENCE in a SEQUENCE: a reader that recurses runs out of stack.
    let mut nested = vec![0x30, 0x83, 0x01, 0x86, 0xa0];
    nested.extend([0x30, 0x80].repeat(50_000));
    // An entry that nobody asked for, for ever.
    let entry = b"\x30\x0b\x02\x01\x02\x64\x06\x04\x00\x30\x02\x30\x00".to_vec();
    let cases: Vec<(&str, &[u8], Vec<u8>, usize)> = vec![
        ("another protocol", b"HTTP/1.1 400 Bad Request\r\n\r\n", Vec::new(), 1),
        ("an announced gigabyte", b"\x30\x84\x40\x00\x00\x00", b"x".to_vec(), 1),
        ("more than memory", b"\x30\x84\xff\xff\xff\xff", b"x".to_vec(), 1),
        ("the indefinite form", b"\x30\x80\x02\x01\x01", Vec::new(), 1),
        ("nothing but nesting", WELCOME, nested, 1),
        ("entries without end", WELCOME, entry, 1_000_000),
        ("zeros without end", WELCOME, vec![0; 4_096], 1_000_000),
        ("an answer to another question", WELCOME, b"\x30\x0c\x02\x01\x63\x65\x07\x0a\x01\x00\x04\x00\x04\x00".to_vec(), 1),
        ("nothing at all", b"", Vec::new(), 0),
        ("half of a message", WELCOME, b"\x30\x0c\x02\x01".to_vec(), 1),
    ];
    for (name, first, then, again) in cases {
        let at = directory(first, then, again).await;
        let bind = Bind::start(&[(DOMAIN, directories(&[(0, 0, at)]))]);
        let mut settings = World::settings(&[bind.address]);
        settings.server_timeout = Span(Duration::from_millis(1_500));
        let began = Instant::now();
        let search = world.search(&world.discovery_with(settings, world.rows.store.clone()), ADDRESS).await;
        let failed = search.outcome.expect_err(name);
        assert_eq!(failed.reason(), Reason::TrustUnavailable, "{name}: {failed}");
        assert!(began.elapsed() < Duration::from_mins(1), "{name}: {:?}", began.elapsed());
        world.forget().await;
    }
}

#[tokio::test]
async fn no_record_in_dns_leads_us_into_our_own_network() {
    let trap = Trap::set().await;
    let world = World::new().await;
    let places: Vec<&str> = INSIDE.iter().chain(&OTHER_SCHEMES).copied().collect();
    let record = |(n, place): (usize, &&str)| cert(&format!("p{n}"), "IPKIX", trap.url(place).as_bytes());
    let bind = Bind::start(&[(DOMAIN, places.iter().enumerate().map(record).collect())]);
    let settings = DiscoverySection { allow: Vec::new(), ldap: false, ..World::settings(&[bind.address]) };
    let discovery = world.discovery_with(settings, world.rows.store.clone());
    for (n, place) in places.iter().enumerate() {
        let search = world.search(&discovery, &format!("p{n}@{DOMAIN}")).await;
        let error = search.outcome.expect_err(place);
        assert_eq!(error.reason(), Reason::Malformed, "{place}: {error}");
    }
    trap.is_untouched("a CERT record").await;
}

/// RFC 4511 4.1.10 and 4.5.3: a directory may send us to another one, which anybody may have written into it.
#[tokio::test]
async fn a_referral_is_not_followed_and_what_it_hides_is_not_there() {
    let world = World::new().await;
    let trap = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ldap://{}/dc=example??sub", trap.local_addr().unwrap());
    let tlv = |tag: u8, parts: &[&[u8]]| {
        let value = parts.concat();
        [&[tag, u8::try_from(value.len()).unwrap()][..], &value].concat()
    };
    let message = |id: u8, operation: &[u8]| tlv(0x30, &[&[2, 1, id], operation]);
    let to = tlv(4, &[url.as_bytes()]);
    let done = |code: u8, more: &[u8]| tlv(0x65, &[&[10, 1, code, 4, 0, 4, 0], more]);
    for answer in [
        // Beside what was found, and in its place.
        vec![message(3, &tlv(0x73, &[&to])), message(3, &done(0, &[]))],
        vec![message(3, &done(10, &tlv(0xa3, &[&to])))],
    ] {
        let answers = [vec![message(2, &done(0, &[]))], answer].concat().concat();
        let at = directory(WELCOME, answers, 1).await;
        let bind = Bind::start(&[(DOMAIN, directories(&[(0, 0, at)]))]);
        world.fails(&bind, Reason::NoCert).await;
        world.forget().await;
    }
    let knocked = tokio::time::timeout(Duration::from_millis(100), trap.accept()).await;
    assert!(knocked.is_err(), "the referral was followed");
}

#[tokio::test]
async fn what_is_offered_as_a_certificate_and_is_none_ends_the_search() {
    let world = World::new().await;
    for garbage in [&b"not a certificate at all"[..], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &[0]] {
        let records = cert(NAME, "PKIX", garbage) + &at_domain(&[&world.good(DOMAIN)]);
        let bind = Bind::start(&[(DOMAIN, records)]);
        let search = world.fails(&bind, Reason::Malformed).await;
        assert_eq!(search.steps.last().map(|step| (step.place, step.end)), Some((Place::DnsAddress, End::Invalid)));
        world.forget().await;
    }
    // Beside a good one it does no harm.
    let good = world.good(ADDRESS);
    let bind = Bind::start(&[(DOMAIN, cert(NAME, "PKIX", b"garbage") + &at_address(&[&good]))]);
    world.finds(&bind, &good, Place::DnsAddress).await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_or_is_not_ours_is_no_answer() {
    let world = World::new().await;
    let der = world.good(ADDRESS).der().to_vec();
    let fake = FakeDns::start(move |name, kind, message| {
        if kind != RecordType::CERT {
            return false;
        }
        // Somebody guesses: the certificate is right, the id is not.
        message.metadata.id ^= 1;
        let data = RData::CERT(rdata::CERT::new(rdata::cert::CertType::PKIX, 0, 0.into(), der.clone()));
        message.add_answer(record(name, data));
        true
    })
    .await;
    let mut settings = World::settings(&[fake.address]);
    settings.dns_timeout = Span(Duration::from_millis(300));
    let search = world.search(&world.discovery_with(settings, world.rows.store.clone()), ADDRESS).await;
    assert_eq!(search.outcome.unwrap_err().reason(), Reason::TrustUnavailable);
}

#[tokio::test]
async fn a_resolver_that_sends_us_elsewhere_has_not_answered() {
    let world = World::new().await;
    let fake = FakeDns::start(|_, kind, message| {
        if kind == RecordType::NS {
            message.metadata.response_code = ResponseCode::Refused;
            return true;
        }
        let host = crate::support::fake_dns::Name::from_ascii("a.root.example.").unwrap();
        message.add_authority(record("example.", RData::NS(rdata::NS(host))));
        true
    })
    .await;
    let discovery = world.discovery_with(World::settings(&[fake.address]), world.rows.store.clone());
    let search = world.search(&discovery, ADDRESS).await;
    assert_eq!(search.outcome.unwrap_err().reason(), Reason::TrustUnavailable);
}

#[tokio::test]
async fn a_service_that_is_said_not_to_be_there_is_not_looked_for() {
    let world = World::new().await;
    let bind = Bind::start(&[(DOMAIN, "_ldap._tcp SRV 0 0 0 .\n".to_owned())]);
    world.fails(&bind, Reason::NoCert).await;
}

#[tokio::test]
async fn a_url_that_answers_with_too_much_or_sends_us_elsewhere_is_of_no_use() {
    let world = World::new().await;
    let huge = [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &vec![b'x'; 1 << 20]].concat();
    let moved = b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n".to_vec();
    let text = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_vec();
    for answer in [huge, moved, text] {
        let web = raw_web(answer).await;
        let bind = Bind::start(&[(DOMAIN, cert(NAME, "IPKIX", format!("http://{}/", web.address).as_bytes()))]);
        world.fails(&bind, Reason::Malformed).await;
        assert_eq!(web.visits(), 1);
        world.forget().await;
    }
    let bind = Bind::start(&[(DOMAIN, cert(NAME, "IPKIX", b"file:///etc/passwd"))]);
    world.fails(&bind, Reason::Malformed).await;
}

#[tokio::test]
async fn a_flood_of_records_is_cut_and_what_is_kept_still_works() {
    let world = World::new().await;
    let all: Vec<_> = (0..90).map(|_| world.good(ADDRESS)).collect();
    let bind = Bind::start(&[(DOMAIN, at_address(&all.iter().collect::<Vec<_>>()))]);
    let search = world.search(&world.discovery(&bind), ADDRESS).await;
    let chosen = search.outcome.as_ref().map(|trusted| trusted.recipient().certificate().clone()).unwrap();
    found(&search, &chosen, Place::DnsAddress);
    assert!(format!("{:?}", search.steps[1]).matches("Verdict {").count() <= 64);
}
