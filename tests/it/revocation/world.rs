//! An authority, its server, and somebody who asks.

use std::{sync::Arc, time::Duration};

use postern::{
    config::revocation::RevocationSection,
    crypto::MasterKey,
    domain::{
        Clock as _, DirectAddress, Reason, Timestamp,
        strictness::{Strictness, TrustRules, WhenUnknown},
        time::Span,
    },
    store::{Store, StoreOptions},
    trust::{
        Anchors, Certificate, Inquirer, Policy, TrustError, Trusted,
        authority::{Authority, AuthorityOrder, Binding, Issued, KeyKind, Order},
    },
};
use tempfile::TempDir;

use super::issuer::{Issuer, Page};
use crate::support::clock::TestClock;

pub(crate) const DAY: Duration = Duration::from_hours(24);
pub(crate) const HOUR: Duration = Duration::from_hours(1);
pub(crate) const RECIPIENT: &str = "pcp.demo@direct.clinic.example";

/// A Thursday in January 2026.
pub(crate) const START: Timestamp = Timestamp(1_768_490_130_000_000);

pub(crate) fn recipient() -> DirectAddress {
    RECIPIENT.parse().unwrap()
}

pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) store: Store,
    pub(crate) inquirer: Inquirer,
    pub(crate) issuer: Issuer,
    pub(crate) root: Authority,
    pub(crate) strictness: Strictness,
    pub(crate) intermediates: Vec<Certificate>,
}

/// Servers of this machine may be asked; whoever is slow is soon given up.
pub(crate) fn settings() -> RevocationSection {
    RevocationSection {
        allow: vec!["127.0.0.0/8".parse().unwrap()],
        patience: Span(Duration::from_secs(2)),
        timeout: Span(Duration::from_secs(8)),
        ..RevocationSection::default()
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(settings()).await
    }

    pub(crate) async fn with(settings: RevocationSection) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock::at(START));
        let store = open(&dir, &clock).await;
        let inquirer = Inquirer::new(store.clone(), &settings);
        let root = Authority::new("Root", KeyKind::P256, START.minus(DAY * 300), START.plus(DAY * 3000)).unwrap();
        let strictness = TrustRules::default().sending();
        Self { dir, clock, store, inquirer, issuer: Issuer::start().await, root, strictness, intermediates: Vec::new() }
    }

    /// The store and the asking of another process.
    pub(crate) async fn neighbour(&self) -> Inquirer {
        Inquirer::new(open(&self.dir, &self.clock).await, &settings())
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn soft(mut self) -> Self {
        self.strictness.revocation = WhenUnknown::SoftFail;
        self
    }

    /// An ordinary order for the recipient's certificate.
    #[expect(clippy::unused_self, reason = "it reads like everything else a world has")]
    pub(crate) fn order(&self) -> Order {
        let order = Order::new(Binding::Address(recipient()), START.minus(DAY * 30), START.plus(DAY * 300));
        Order { key: KeyKind::P256, ..order }
    }

    /// One that names a list at `path`.
    pub(crate) fn listed(&self, path: &str) -> Issued {
        self.root.issue(&Order { crl_url: Some(self.issuer.url(path)), ..self.order() }).unwrap()
    }

    /// Publishes a list of the root at `path`, good for a week.
    pub(crate) fn publish(&self, path: &str, revoked: &[&Certificate]) {
        let list = self.root.revocation_list(revoked, self.now().minus(HOUR), self.now().plus(DAY * 7)).unwrap();
        self.issuer.put(path, Page::of(list));
    }

    pub(crate) fn anchors(&self) -> Anchors {
        Anchors::new(vec![self.root.certificate().clone()])
    }

    pub(crate) async fn choose(&self, candidates: &[&Certificate]) -> Result<Trusted, TrustError> {
        self.choose_by(&self.inquirer, candidates).await
    }

    pub(crate) async fn choose_by(&self, inquirer: &Inquirer, candidates: &[&Certificate]) -> Result<Trusted, TrustError> {
        let candidates: Vec<Certificate> = candidates.iter().map(|one| (*one).clone()).collect();
        let anchors = self.anchors();
        let policy = Policy::under(&self.strictness, &anchors, &self.intermediates);
        inquirer.choose(&candidates, policy, &recipient(), self.now()).await
    }

    /// The reason why a certificate is not believed; `None` when it is.
    pub(crate) async fn reason(&self, certificate: &Certificate) -> Option<Reason> {
        self.choose(&[certificate]).await.err().map(|error| error.reason())
    }

    #[expect(clippy::unused_self, reason = "it reads like everything else a world has")]
    pub(crate) fn authority(&self, name: &str) -> AuthorityOrder {
        AuthorityOrder::new(name, START.minus(DAY * 30), START.plus(DAY * 300))
    }
}

async fn open(dir: &TempDir, clock: &Arc<TestClock>) -> Store {
    let url = format!("sqlite:{}", dir.path().join("postern.db").display());
    let master = MasterKey::from_text(&"0123456789abcdef".repeat(4)).unwrap();
    Store::open(StoreOptions { url, connections: 4, master }, Arc::clone(clock) as _).await.unwrap()
}
