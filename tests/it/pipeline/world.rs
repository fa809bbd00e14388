//! A gateway on SQLite that sends to a practice HISP, or to whatever server a test names.

use std::{path::Path, sync::Arc, time::Duration};

use postern::{
    config::{Config, discovery::DiscoverySection, relay::RelaySettings, worker::WorkerSection},
    crypto::{Hex, MasterKey, sha256},
    domain::{
        Clock, DeliveryId, DirectAddress, OrgId, OrgScope, order::Action, organization::SendMode, report::ResultStatus,
        time::Span,
    },
    net::tls::PemPair,
    observe::{SystemClock, health::Health},
    pipeline::{Gateway, PostOffice, Settings},
    sandbox::{Hisp, HispSettings, Mailboxes, mailbox::Door, practice::Practice, story::chapter},
    send::Relay,
    store::{
        Store, StoreOptions,
        blobs::Blobs,
        intake::StoredPdf,
        organization::NewIdentity,
        survey::{DeliveryView, HistoryLine},
        trust::AnchorKind,
    },
};
use sqlx::{AssertSqlSafe, SqlitePool};

use crate::{store::make, support::clock::TestClock};

/// Where everybody's mailbox is.
pub(crate) const DOMAIN: &str = "direct.lakeside.example";
/// What opens the edge door to any address.
pub(crate) const PASSWORD: &str = "practice-edge";

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) practice: Practice,
    pub(crate) mailboxes: Mailboxes,
    pub(crate) clock: Arc<TestClock>,
    blobs: Blobs,
    raw: SqlitePool,
    _hisp: Hisp,
    _dir: tempfile::TempDir,
}

/// What a world is made of.
pub(crate) struct Plan {
    pub(crate) worker: WorkerSection,
    pub(crate) relays: Vec<RelaySettings>,
    /// Asked where no load has an address.
    pub(crate) live: Vec<postern::config::live_directory::LiveDirectory>,
    /// How certificates are looked for. None: nobody is asked but the store.
    pub(crate) discovery: Option<DiscoverySection>,
    /// Makes the installation's own identities.
    pub(crate) own: fn(&Practice) -> Vec<NewIdentity>,
}

impl Default for Plan {
    fn default() -> Self {
        let worker = WorkerSection {
            poll: Span(Duration::from_millis(100)),
            retry_min: Span(Duration::from_secs(30)),
            ..WorkerSection::default()
        };
        Self { worker, relays: Vec::new(), live: Vec::new(), discovery: None, own: |_| Vec::new() }
    }
}

/// A relay on this machine without TLS.
pub(crate) fn plain(name: &str, port: u16) -> RelaySettings {
    toml::from_str(&format!("name = \"{name}\"\nhost = \"localhost\"\nport = {port}\ntls = \"none\"")).unwrap()
}

impl World {
    pub(crate) async fn open(plan: Plan) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        // TLS goes by the machine's clock, so everything begins now.
        let clock = Arc::new(TestClock::at(SystemClock.now()));
        let practice = Practice::open(&path("keys"), Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        let mailboxes = Mailboxes::new(path("mail"), Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        let hisp = hisp(&practice, mailboxes.clone()).await;

        let url = format!("sqlite:{}", path("postern.db").display());
        let options = StoreOptions { url: url.clone(), connections: 8, master: MasterKey::generate().unwrap() };
        let store = Store::open(options, Arc::clone(&clock) as Arc<dyn Clock>).await.unwrap();
        let raw = SqlitePool::connect(&url).await.unwrap();
        let blobs = Blobs::in_folder(&path("blobs")).unwrap();
        let own =
            [relay("hisp", &hisp, Door::Relay, &path("keys/ca.pem")), relay("edge", &hisp, Door::Edge, &path("keys/ca.pem"))];
        let relays = own.into_iter().chain(plan.relays).map(|settings| Relay::new(settings).unwrap()).collect();
        let post = PostOffice::new(relays, None).with_identities((plan.own)(&practice));
        let mut config = Config { worker: plan.worker, live_directory: plan.live, ..Config::default() };
        config.discovery =
            plan.discovery.unwrap_or_else(|| DiscoverySection { dns: false, ldap: false, ..DiscoverySection::default() });
        let settings = Settings::from(&config);
        let gateway = Gateway::new(store.clone(), blobs.clone(), post, settings, Health::default());
        Self { store, gateway, practice, mailboxes, clock, blobs, raw, _hisp: hisp, _dir: dir }
    }

    /// An organization that believes the practice authority and sends from these identities.
    pub(crate) async fn organization(&self, slug: &str, more: &str, identities: &[NewIdentity]) -> OrgId {
        let toml = format!("slug = \"{slug}\"\nname = \"{slug}\"\n{more}");
        let org = self.store.apply_organization(&toml::from_str(&toml).unwrap(), identities).await.unwrap();
        let anchor = self.practice.anchor();
        let print = Hex(&anchor.fingerprint()).to_string();
        self.store.import_anchor(org, AnchorKind::Anchor, anchor.der(), &print, anchor.valid_until()).await.unwrap();
        org
    }

    /// Lets it know the recipients' certificate.
    pub(crate) async fn knows_recipients(&self, org: OrgId) {
        let own = self.practice.domain(DOMAIN).unwrap().certificate;
        let print = Hex(&own.fingerprint()).to_string();
        self.store.import_certificate(org, DOMAIN, own.der(), &print, own.valid_until()).await.unwrap();
    }

    /// An organization that can send by `relay`.
    pub(crate) async fn sender(&self, slug: &str, relay: &str) -> OrgId {
        let identity = signing(&self.practice, &format!("results@direct.{slug}.example"), relay);
        let org = self.organization(slug, "[[site]]\nlocal_id = \"RIVERSIDE01\"\n", &[identity]).await;
        self.knows_recipients(org).await;
        org
    }

    /// Takes so many results, each for a mailbox of its own.
    pub(crate) async fn results(&self, org: OrgId, mailbox: &str, count: usize) {
        for number in 0..count {
            let mut order = make::order(&format!("{mailbox}{number}"));
            order.deliver_to[0].direct = Some(postern::domain::text::Stated::parse(&format!("{mailbox}{number}@{DOMAIN}")));
            self.result(org, &order).await;
        }
    }

    /// Takes one order with its final result.
    pub(crate) async fn result(&self, org: OrgId, order: &postern::domain::Order) {
        let key = self.store.key(org).await.unwrap();
        let pdf = chapter(0).pdf();
        self.blobs.put(org, &key, &pdf).await.unwrap();
        let sha256 = sha256(&pdf);
        let stored = StoredPdf { name: key.blob_name(&sha256).unwrap(), sha256, bytes: pdf.len() as u64 };
        self.store.take_order(org, order, Action::New).await.unwrap();
        let report = postern::domain::Report { site: order.site.clone(), ..make::report(&order.order_id, ResultStatus::Final) };
        self.store.take_result(org, &report, Some(&stored), None, make::WAIT).await.unwrap();
    }

    /// One result with one delivery, routed and not yet looked at.
    pub(crate) async fn queued(&self, org: OrgId, mailbox: &str) -> DeliveryId {
        self.results(org, mailbox, 1).await;
        self.gateway.route_all().await.unwrap();
        self.texts(&format!("SELECT id FROM delivery WHERE org_id = '{org}' ORDER BY id DESC LIMIT 1")).await[0].parse().unwrap()
    }

    pub(crate) async fn view(&self, id: DeliveryId) -> (DeliveryView, Vec<HistoryLine>) {
        self.store.delivery_view(OrgScope::All, id).await.unwrap().unwrap()
    }

    /// State and reason.
    pub(crate) async fn stands(&self, id: DeliveryId) -> String {
        let (view, _) = self.view(id).await;
        view.reason.map_or_else(|| view.state.to_string(), |reason| format!("{}({reason})", view.state))
    }

    /// How many of an organization's deliveries were accepted.
    pub(crate) async fn accepted(&self, org: OrgId) -> usize {
        let count = self
            .texts(&format!("SELECT CAST(COUNT(*) AS TEXT) FROM delivery WHERE org_id = '{org}' AND state = 'accepted'"))
            .await;
        count[0].parse().unwrap()
    }

    /// The first column of every row.
    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&self.raw).await.unwrap()
    }

    /// Runs one statement past the store.
    pub(crate) async fn run(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&self.raw).await.unwrap();
    }
}

/// An identity that signs, with a certificate of the practice authority.
pub(crate) fn signing(practice: &Practice, address: &str, relay: &str) -> NewIdentity {
    let address: DirectAddress = address.parse().unwrap();
    let (certificate, key) = practice.identity(&address).unwrap();
    let secret = Some(key.into_bytes().into());
    NewIdentity { address, mode: SendMode::StaRelay, relay: Some(relay.to_owned()), certificate: Some(certificate), secret }
}

async fn hisp(practice: &Practice, mailboxes: Mailboxes) -> Hisp {
    let (certificate, key) = practice.server("localhost").unwrap();
    let tls = PemPair { certificate: certificate.into_bytes(), key: key.into_bytes() };
    let mut settings = HispSettings::local(mailboxes, tls, Arc::new(practice.clone())).login("gateway", "practice");
    settings.edge_password = Some(PASSWORD.into());
    Hisp::start(settings).await.unwrap()
}

fn relay(name: &str, hisp: &Hisp, door: Door, ca: &Path) -> RelaySettings {
    let auth = if door == Door::Relay { "auth = { user = \"gateway\", password = \"practice\" }" } else { "" };
    let port = hisp.address(door).port();
    let text = format!("name = \"{name}\"\nhost = \"localhost\"\nport = {port}\nca_file = \"{}\"\n{auth}", ca.display());
    toml::from_str(&text).unwrap()
}
