//! One recipient's side (BIND, slapd, an authority) and our side (a store, anchors).

use std::{net::SocketAddr, sync::Mutex, time::Duration};

use postern::{
    config::{
        discovery::{DiscoverySection, NameServer},
        revocation::RevocationSection,
    },
    domain::{Clock as _, DirectAddress, OrgId, Reason, Timestamp, time::Span},
    store::Store,
    trust::{
        Anchors, Certificate, Discovery, Inquirer, Policy,
        authority::{Authority, Binding, KeyKind, Order, Usage},
        discovery::{Believing, Freshness, Place, Search},
    },
};

use crate::{
    store::world::{START, World as Rows},
    support::bind::{Bind, cert},
};

pub(super) const DAY: Duration = Duration::from_hours(24);
/// The recipient's domain, a zone of its own.
pub(super) const DOMAIN: &str = "direct.clinic.example";
/// The recipient.
pub(super) const ADDRESS: &str = "jo.doe@direct.clinic.example";
/// The name of the recipient in the zone.
pub(super) const NAME: &str = "jo.doe";

pub(super) struct World {
    pub(super) rows: Rows,
    pub(super) org: OrgId,
    pub(super) ca: Authority,
    anchors: Anchors,
    inquirer: Inquirer,
    made: Mutex<u32>,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::on(Rows::sqlite().await).await
    }

    pub(super) async fn on(rows: Rows) -> Self {
        let org = rows.organization("north").await;
        let ca = Authority::new("Test CA", KeyKind::P256, START.minus(DAY * 900), START.plus(DAY * 900)).unwrap();
        let anchors = Anchors::new(vec![ca.certificate().clone()]);
        let inquirer = Inquirer::new(rows.store.clone(), &RevocationSection::default());
        Self { rows, org, ca, anchors, inquirer, made: Mutex::new(0) }
    }

    /// A certificate for an address or a domain, valid for some days from now, each time for one day more: so that each can
    /// be told from the others.
    pub(super) fn good(&self, name: &str) -> Certificate {
        let mut made = self.made.lock().unwrap();
        *made += 1;
        self.issue(&self.order(name, START.plus(DAY * (100 + *made))))
    }

    /// One that ended yesterday.
    pub(super) fn expired(&self, name: &str) -> Certificate {
        self.issue(&self.order(name, START.minus(DAY)))
    }

    /// One that only signs.
    pub(super) fn signing(&self, name: &str) -> Certificate {
        self.issue(&Order { usage: Usage::Sign, ..self.order(name, START.plus(DAY * 400)) })
    }

    /// A large one, of another key.
    pub(super) fn large(&self, name: &str) -> Certificate {
        self.issue(&Order { key: KeyKind::Rsa(4096), ..self.order(name, START.plus(DAY * 50)) })
    }

    #[expect(clippy::unused_self, reason = "read as the world's")]
    pub(super) fn order(&self, name: &str, until: Timestamp) -> Order {
        let binding = name.parse().map_or_else(|_| Binding::Domain(name.to_owned()), Binding::Address);
        Order { key: KeyKind::P256, ..Order::new(binding, START.minus(DAY * 300), until) }
    }

    pub(super) fn issue(&self, order: &Order) -> Certificate {
        self.ca.issue(order).unwrap().certificate
    }

    /// Asks this name server, and nobody else.
    pub(super) fn settings(servers: &[SocketAddr]) -> DiscoverySection {
        DiscoverySection {
            resolvers: servers.iter().map(|server| NameServer(*server)).collect(),
            dns_timeout: Span::seconds(3),
            server_timeout: Span::seconds(3),
            // Longer than a busy machine takes for anything here.
            timeout: Span::seconds(300),
            allow: vec!["127.0.0.0/8".parse().unwrap()],
            ..DiscoverySection::default()
        }
    }

    pub(super) fn discovery(&self, bind: &Bind) -> Discovery {
        self.discovery_with(Self::settings(&[bind.address]), self.rows.store.clone())
    }

    #[expect(clippy::unused_self, reason = "read as the world's")]
    pub(super) fn discovery_with(&self, settings: DiscoverySection, store: Store) -> Discovery {
        Discovery::new(settings, store)
    }

    pub(super) async fn search(&self, discovery: &Discovery, address: &str) -> Search {
        self.search_as(discovery, address, Freshness::Kept).await
    }

    pub(super) async fn search_as(&self, discovery: &Discovery, address: &str, freshness: Freshness) -> Search {
        let address: DirectAddress = address.parse().unwrap();
        let policy = Policy::new(&self.anchors, &[]);
        let judge = Believing { inquirer: &self.inquirer, policy, address: &address, at: self.rows.clock.now() };
        discovery.find(self.org, &address, &judge, freshness).await
    }

    /// Forgets everything about the recipient.
    pub(super) async fn forget(&self) {
        let about = [ADDRESS.to_owned(), DOMAIN.to_owned()];
        self.rows.store.forget(&about, self.rows.clock.now()).await.unwrap();
    }

    /// The search finds `expected`, in this place.
    pub(super) async fn finds(&self, bind: &Bind, expected: &Certificate, place: Place) {
        let search = self.search(&self.discovery(bind), ADDRESS).await;
        found(&search, expected, place);
    }

    /// The search ends without a certificate, for this reason.
    pub(super) async fn fails(&self, bind: &Bind, reason: Reason) -> Search {
        let search = self.search(&self.discovery(bind), ADDRESS).await;
        let failed = search.outcome.as_ref().expect_err("nothing may be sent");
        assert_eq!(failed.reason(), reason, "{failed}: {search:#?}");
        search
    }
}

/// The search found this certificate, in this place.
pub(super) fn found(search: &Search, expected: &Certificate, place: Place) {
    match &search.outcome {
        Ok(trusted) => {
            assert_eq!(trusted.recipient().certificate(), expected, "another one was chosen: {search:#?}");
            assert_eq!(search.place(), Some(place));
        }
        Err(error) => panic!("{error}: {search:#?}"),
    }
}

/// CERT records of the recipient.
pub(super) fn at_address(certificates: &[&Certificate]) -> String {
    certificates.iter().map(|one| cert(NAME, "PKIX", one.der())).collect()
}

/// CERT records of the domain.
pub(super) fn at_domain(certificates: &[&Certificate]) -> String {
    certificates.iter().map(|one| cert("@", "PKIX", one.der())).collect()
}

/// SRV records: priority, weight, where; and the hosts they name.
pub(super) fn directories(all: &[(u16, u16, SocketAddr)]) -> String {
    let record = |(n, (priority, weight, at)): (usize, &(u16, u16, SocketAddr))| {
        format!("_ldap._tcp SRV {priority} {weight} {} ldap{n}\nldap{n} A {}\n", at.port(), at.ip())
    };
    all.iter().enumerate().map(record).collect()
}

/// A web server with one answer to everything.
pub(super) struct Web {
    pub(super) address: SocketAddr,
    visits: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl Web {
    pub(super) fn visits(&self) -> usize {
        self.visits.load(std::sync::atomic::Ordering::SeqCst)
    }
}

pub(super) async fn web(status: u16, body: Vec<u8>) -> Web {
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    raw_web([head.into_bytes(), body].concat()).await
}

/// The same, with the whole answer.
pub(super) async fn raw_web(answer: Vec<u8>) -> Web {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let web = Web { address: listener.local_addr().unwrap(), visits: std::sync::Arc::default() };
    let visits = std::sync::Arc::clone(&web.visits);
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            visits.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let mut request = [0; 2_000];
            let _ = tcp.read(&mut request).await;
            let _ = tcp.write_all(&answer).await;
        }
    });
    web
}
