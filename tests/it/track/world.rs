//! A gateway in this process on one store, and a practice HISP that answers.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use postern::{
    config::relay::{AuthSettings, RelaySettings},
    domain::{
        Clock, DeliveryId, DirectAddress, Inbound, OrgId, OrgScope,
        id::{IdentityId, InboundId},
        inbound::{Channel, Way},
        order::Action,
        organization::SendMode,
        report::ResultStatus,
        text::Stated,
    },
    net::tls::self_signed,
    observe::health::Health,
    pipeline::{Gateway, PostOffice, Settings},
    sandbox::{Desk, Hisp, HispSettings, Mailboxes, mailbox::Door, practice::Practice, story::chapter},
    send::Relay,
    store::{
        blobs::Blobs,
        intake::{OrderTaken, ResultTaken, StoredPdf},
        organization::NewIdentity,
        trust::AnchorKind,
    },
};
use secrecy::SecretString;
use uuid::Uuid;

use crate::store::{make, world::World};

/// The address that sends.
pub(crate) const US: &str = "results@direct.lab.example";
/// Where everybody's mailbox is.
pub(crate) const DOMAIN: &str = "direct.example.org";

pub(crate) struct Tracking<'w> {
    pub(crate) world: &'w World,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) org: OrgId,
    pub(crate) identity: IdentityId,
    pub(crate) practice: Practice,
    pub(crate) mailboxes: Mailboxes,
    pub(crate) notices: Mailboxes,
    mode: SendMode,
    borrows: bool,
    blobs: Blobs,
    brought: Mutex<HashSet<Uuid>>,
    _hisp: Hisp,
    dir: tempfile::TempDir,
}

impl<'w> Tracking<'w> {
    /// With an organization that sends in `mode`, and these further lines in its file.
    pub(crate) async fn open(world: &'w World, mode: SendMode, more: &str) -> Self {
        Self::open_by(world, mode, more, rules()).await
    }

    /// The same, by these settings.
    pub(crate) async fn open_by(world: &'w World, mode: SendMode, more: &str, settings_of_gateway: Settings) -> Self {
        Self::open_as(world, mode, more, settings_of_gateway, false).await
    }

    /// With an organization that has no address of its own: it sends from the installation's.
    pub(crate) async fn borrowing(world: &'w World, mode: SendMode) -> Self {
        Self::open_as(world, mode, "", rules(), true).await
    }

    async fn open_as(world: &'w World, mode: SendMode, more: &str, settings_of_gateway: Settings, borrows: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let clock: Arc<dyn Clock> = world.clock.clone();
        let practice = Practice::open(&path("keys"), Arc::clone(&clock)).unwrap();
        let mailboxes = Mailboxes::new(path("mail"), Arc::clone(&clock)).unwrap();
        let notices = Mailboxes::new(path("notices"), Arc::clone(&clock)).unwrap();
        let tls = self_signed(&["localhost"], 2).unwrap();
        std::fs::write(path("ca.pem"), &tls.certificate).unwrap();
        let mut settings = HispSettings::local(mailboxes.clone(), tls, Arc::new(practice.clone())).login("gateway", "pw");
        settings.edge_password = Some("edge pw".into());
        settings.desk = Some(Arc::new(Desk::new(practice.clone(), notices.clone(), None, Arc::clone(&clock))));
        let hisp = Hisp::start(settings).await.unwrap();

        let door = if mode == SendMode::Edge { Door::Edge } else { Door::Relay };
        let port = hisp.address(door).port();
        let mut relay: RelaySettings = toml::from_str(&format!("name = \"hisp\"\nhost = \"localhost\"\nport = {port}")).unwrap();
        relay.ca_file = Some(path("ca.pem"));
        let password = Some(SecretString::from("pw"));
        relay.auth = Some(AuthSettings { user: "gateway".into(), password, password_file: None });
        let (theirs, installations) =
            if borrows { (vec![], vec![identity(&practice, mode)]) } else { (vec![identity(&practice, mode)], vec![]) };
        let post = PostOffice::new(vec![Relay::new(relay).unwrap()], None).with_identities(installations);
        let blobs = Blobs::in_folder(&path("blobs")).unwrap();
        let gateway = Gateway::new(world.store.clone(), blobs.clone(), post, settings_of_gateway, Health::default());
        let org = enrol(world, &practice, more, &theirs).await;
        let own = world.store.organization(org).await.unwrap().unwrap().identities;
        let identity = own.iter().chain(&gateway.post.identities()).next().unwrap().id;
        let brought = Mutex::default();
        Self { world, gateway, org, identity, practice, mailboxes, notices, mode, borrows, blobs, brought, _hisp: hisp, dir }
    }

    /// A file of this installation's own folder.
    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// The gateway as it is after its process died: nothing of it left but what the store has.
    pub(crate) async fn restarted(&self) -> Arc<Gateway> {
        let store = self.world.neighbour(Arc::clone(&self.world.clock)).await;
        let blobs = Blobs::in_folder(&self.dir.path().join("blobs")).unwrap();
        Gateway::new(store, blobs, PostOffice::new(vec![], None), rules(), Health::default())
    }

    /// Sends one result to `local@DOMAIN`; its delivery, which was accepted.
    pub(crate) async fn send(&self, order_id: &str, local: &str) -> DeliveryId {
        let all = self.submit(order_id, &[&format!("{local}@{DOMAIN}")]).await;
        all.into_iter().next().expect("a delivery")
    }

    /// Takes a result for these addresses, and works until nothing is due. Its deliveries.
    pub(crate) async fn submit(&self, order_id: &str, addresses: &[&str]) -> Vec<DeliveryId> {
        let mut order = make::order(order_id);
        let recipient = order.deliver_to.remove(0);
        for address in addresses {
            let mut recipient = recipient.clone();
            recipient.direct = Some(Stated::parse(address));
            order.deliver_to.push(recipient);
        }
        self.submit_order(&order).await
    }

    /// The document of every result here.
    pub(crate) async fn stored_pdf(&self) -> StoredPdf {
        let content = chapter(0).pdf();
        let key = self.world.store.key(self.org).await.unwrap();
        let sha256 = self.blobs.put(self.org, &key, &content).await.unwrap();
        StoredPdf { name: "test".into(), sha256, bytes: content.len() as u64 }
    }

    /// Takes an order with its result, and works until nothing is due. Its deliveries.
    pub(crate) async fn submit_order(&self, order: &postern::domain::Order) -> Vec<DeliveryId> {
        let (store, order_id) = (&self.world.store, &order.order_id);
        assert!(matches!(store.take_order(self.org, order, Action::New).await.unwrap(), OrderTaken::New(_)));
        let pdf = self.stored_pdf().await;
        let report = make::report(order_id, ResultStatus::Final);
        let taken = store.take_result(self.org, &report, Some(&pdf), None, make::WAIT).await.unwrap();
        assert!(matches!(taken, ResultTaken::New(..)), "{taken:?}");
        self.gateway.drain().await.unwrap();
        self.deliveries(order_id).await
    }

    /// The deliveries of an order's result, in the order they were made.
    pub(crate) async fn deliveries(&self, order_id: &str) -> Vec<DeliveryId> {
        let sql = format!(
            "SELECT d.id FROM delivery d JOIN result r ON r.org_id = d.org_id AND r.id = d.result_id
             WHERE r.order_id = '{order_id}' ORDER BY d.created_at, d.id"
        );
        self.world.texts(&sql).await.iter().map(|id| id.parse().unwrap()).collect()
    }

    /// What a door would bring: `raw` for our address, over the way that is right for the mode.
    pub(crate) fn mail(&self, raw: Vec<u8>) -> Inbound {
        let (way, channel) = match self.mode {
            SendMode::Edge => (Way::Imap, Channel::Mailbox(self.identity)),
            _ => (Way::Smtp, Channel::None),
        };
        Inbound {
            id: InboundId::new(),
            org: (!self.borrows).then_some(self.org),
            identity: US.parse().unwrap(),
            way,
            channel,
            envelope_from: None,
            envelope_to: vec![US.parse().unwrap()],
            received_at: self.world.clock.now(),
            raw,
        }
    }

    /// The practice HISP's notices that were not brought yet, once there are `count` of them, in the order they were written.
    pub(crate) async fn written(&self, count: usize) -> Vec<Vec<u8>> {
        let began = Instant::now();
        loop {
            let entries = self.notices.list(None).unwrap();
            let brought = self.brought.lock().unwrap().clone();
            let new: Vec<_> = entries.iter().filter(|entry| !brought.contains(&entry.id)).collect();
            if new.len() >= count {
                self.brought.lock().unwrap().extend(new.iter().map(|entry| entry.id));
                return new.iter().map(|entry| self.notices.raw(entry).unwrap()).collect();
            }
            assert!(began.elapsed() < Duration::from_mins(1), "{} of {count} notices", new.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Brings `count` notices, one after the other.
    pub(crate) async fn bring(&self, count: usize) {
        for raw in self.written(count).await {
            self.take(self.mail(raw)).await;
        }
    }

    /// Keeps one message and deals with it.
    pub(crate) async fn take(&self, mail: Inbound) {
        self.world.store.keep_inbound(&mail).await.unwrap();
        assert!(self.gateway.take_due_mail().await.unwrap() <= 1);
        assert_eq!(self.world.number("SELECT COUNT(*) FROM inbound WHERE state = 'received'").await, 0, "it is dealt with");
    }

    /// State, disposition, reason and fee of a delivery.
    pub(crate) async fn stands(&self, id: DeliveryId) -> String {
        let axes = "state || ' ' || COALESCE(disposition, '-') || ' ' || COALESCE(reason, '-') || ' ' || fee";
        self.world.column(id, axes).await
    }

    /// What was recorded of notices about a delivery: `stated:verdict`.
    pub(crate) async fn recorded(&self, id: DeliveryId) -> Vec<String> {
        let notices = self.world.store.notices(OrgScope::One(self.org), id).await.unwrap();
        notices.iter().map(|notice| format!("{}:{}", notice.stated, notice.verdict)).collect()
    }

    /// Ledger lines of a delivery: `entry_type amount`, in order.
    pub(crate) async fn lines(&self, id: DeliveryId) -> Vec<String> {
        self.world
            .texts(&format!("SELECT entry_type || ' ' || amount FROM ledger_line WHERE delivery_id = '{id}' ORDER BY seq"))
            .await
    }

    /// The totals tie and the chain holds.
    pub(crate) async fn ties(&self) {
        let counts = self.world.store.counts(OrgScope::All).await.unwrap();
        assert_eq!((counts.untied, counts.charged), (0, counts.charge_lines));
        assert!(self.world.store.verify_ledger(self.org).await.unwrap().is_ok());
    }
}

pub(crate) fn rules() -> Settings {
    let mut config = postern::config::Config::default();
    // Nobody is asked but the store.
    (config.discovery.dns, config.discovery.ldap) = (false, false);
    Settings::from(&config)
}

/// The address that sends, which the practice authorities know.
fn identity(practice: &Practice, mode: SendMode) -> NewIdentity {
    let (address, relay): (DirectAddress, _) = (US.parse().unwrap(), Some("hisp".into()));
    if mode == SendMode::Edge {
        return NewIdentity { address, mode, relay, certificate: None, secret: Some(b"edge pw".to_vec().into()) };
    }
    let (certificate, key) = practice.identity(&address).unwrap();
    NewIdentity { address, mode, relay, certificate: Some(certificate), secret: Some(key.into_bytes().into()) }
}

async fn enrol(world: &World, practice: &Practice, more: &str, identities: &[NewIdentity]) -> OrgId {
    let mut file = make::organization("north");
    let more: postern::domain::organization::OrganizationFile =
        toml::from_str(&format!("slug = \"north\"\nname = \"North\"\n{more}")).unwrap();
    (file.choice, file.time_zone) = (more.choice, more.time_zone);
    (file.routing, file.tracking, file.targets, file.peers) = (more.routing, more.tracking, more.targets, more.peers);
    if let Some(price) = more.price {
        file.price = Some(price);
    }
    for site in more.sites {
        file.sites.retain(|known| known.local_id != site.local_id);
        file.sites.push(site);
    }
    file.check().unwrap();
    let org = world.store.apply_organization(&file, identities).await.unwrap();
    let anchor = practice.anchor();
    world.store.import_anchor(org, AnchorKind::Anchor, anchor.der(), "anchor", anchor.valid_until()).await.unwrap();
    for domain in [DOMAIN, "direct.elsewhere.example"] {
        let certificate = practice.domain(domain).unwrap().certificate;
        world.store.import_certificate(org, domain, certificate.der(), domain, certificate.valid_until()).await.unwrap();
    }
    org
}
