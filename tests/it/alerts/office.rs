//! A gateway in this process, an ordinary mail server that its alerts leave by, and a relay that is down until it is up.

use std::{sync::Arc, time::Duration};

use postern::{
    config::{Config, relay::RelaySettings},
    domain::OrgId,
    net::tls::{PemPair, self_signed},
    observe::health::Health,
    pipeline::{Gateway, PostOffice, Settings, alerting::Alerting},
    sandbox::{AsItIs, Hisp, HispSettings, Mailboxes, Ports, sink::Sink},
    send::{GoAhead, Job, Login, Outcome, Relay},
    store::blobs::Blobs,
};

use crate::{
    store::{make, world::World},
    support::postfix::free_port,
};

pub(crate) const MINUTE: Duration = Duration::from_mins(1);
pub(crate) const HOUR: Duration = Duration::from_hours(1);

pub(crate) struct Office<'w> {
    pub(crate) world: &'w World,
    mailboxes: Mailboxes,
    tls: PemPair,
    mail_port: u16,
    hisp_port: u16,
    more: String,
    server: Option<Hisp>,
    dir: tempfile::TempDir,
}

/// One process.
pub(crate) struct Process {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) alerting: Alerting,
}

impl<'w> Office<'w> {
    /// With these lines in `[alerts]` besides the operators' address.
    pub(crate) async fn open(world: &'w World, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mailboxes = Mailboxes::new(dir.path().join("mail"), world.clock.clone()).unwrap();
        let tls = self_signed(&["localhost"], 2).unwrap();
        std::fs::write(dir.path().join("ca.pem"), &tls.certificate).unwrap();
        let (mail_port, hisp_port) = (free_port(), free_port());
        let mut office = Self { world, mailboxes, tls, mail_port, hisp_port, more: more.to_owned(), server: None, dir };
        office.mail_up().await;
        office
    }

    pub(crate) async fn mail_up(&mut self) {
        let tls = PemPair { certificate: self.tls.certificate.clone(), key: self.tls.key.clone() };
        let mut settings = HispSettings::local(self.mailboxes.clone(), tls, Arc::new(AsItIs)).login("gateway", "pw");
        settings.ports = Ports { relay: self.mail_port, ..Ports::default() };
        self.server = Some(Hisp::start(settings).await.unwrap());
    }

    pub(crate) async fn mail_down(&mut self) {
        self.server.take().unwrap().stop().await;
    }

    /// The relay that messages leave by comes back.
    pub(crate) async fn hisp_up(&self) {
        Sink::start(self.hisp_port, &self.tls).await.unwrap();
    }

    fn relay(&self, name: &str, port: u16, more: &str) -> Relay {
        let ca = self.dir.path().join("ca.pem");
        let text = format!(
            "name = \"{name}\"\nhost = \"localhost\"\nport = {port}\nca_file = \"{}\"\nbreaker_after = 1\nbreaker_pause = \"10ms\"\n{more}",
            ca.display()
        );
        Relay::new(toml::from_str::<RelaySettings>(&text).unwrap()).unwrap()
    }

    pub(crate) fn config(&self) -> Config {
        toml::from_str(&format!(
            "[blobs]\nfolder = {:?}\n[alerts]\nname = \"lab\"\nto = [\"ops@lab.example\"]\nfrom = \"postern@lab.example\"\n\
             relay = \"office\"\n{}{}\n",
            self.dir.path().join("blobs"),
            // The disk of the machine that tests is nobody's affair.
            if self.more.contains("disk_percent") { "" } else { "disk_percent = 0\n" },
            self.more
        ))
        .unwrap()
    }

    /// A process of its own on the same store.
    pub(crate) async fn process(&self) -> Process {
        let config = self.config();
        let store = self.world.neighbour(Arc::clone(&self.world.clock)).await;
        let login = "auth = { user = \"gateway\", password = \"pw\" }";
        let relays = vec![self.relay("office", self.mail_port, login), self.relay("hisp", self.hisp_port, "tls = \"implicit\"")];
        let blobs = Blobs::in_folder(&config.blobs.folder).unwrap();
        let gateway = Gateway::new(store, blobs, PostOffice::new(relays, None), Settings::from(&config), Health::default());
        let alerting = Alerting::new(Arc::clone(&gateway), &config).unwrap();
        Process { gateway, alerting }
    }

    /// An organization whose file has these lines besides.
    pub(crate) async fn organization(&self, slug: &str, more: &str) -> OrgId {
        let mut file = make::organization(slug);
        let given: postern::domain::organization::OrganizationFile =
            toml::from_str(&format!("slug = \"{slug}\"\nname = \"{slug}\"\n{more}")).unwrap();
        (file.alerts, file.time_zone, file.webhooks) = (given.alerts, given.time_zone, given.webhooks);
        file.check().unwrap();
        self.world.store.apply_organization(&file, &[]).await.unwrap()
    }

    /// Subjects of the mails that `to` has, oldest first.
    pub(crate) fn subjects(&self, to: &str) -> Vec<String> {
        let subject = |mail: &String| mail.lines().find_map(|line| line.strip_prefix("Subject: ").map(str::to_owned));
        self.mails(to).iter().filter_map(subject).collect()
    }

    /// The mails that `to` has, oldest first.
    pub(crate) fn mails(&self, to: &str) -> Vec<String> {
        let mut entries = self.mailboxes.list(Some(&to.parse().unwrap())).unwrap();
        entries.sort_by_key(|entry| (entry.received_at, entry.id));
        entries.iter().map(|entry| String::from_utf8(self.mailboxes.raw(entry).unwrap()).unwrap()).collect()
    }
}

impl Process {
    /// Looks and tells; how many changes there were, and how many messages were taken.
    pub(crate) async fn round(&self) -> (usize, usize) {
        let changes = self.alerting.look_once().await.unwrap();
        (changes, self.alerting.tell_once().await.unwrap())
    }

    /// Tries the relay that messages leave by; whether it took one.
    pub(crate) async fn try_hisp(&self) -> bool {
        let (from, to) = ("a@lab.example".parse().unwrap(), "b@d.example".parse().unwrap());
        let job = Job::new(&from, &to, b"Subject: x\r\n\r\nx\r\n").unwrap();
        let outcome = self.gateway.post.relay("hisp").unwrap().send(&job, Login::Relay, || async { GoAhead::Go }).await;
        matches!(outcome, Outcome::Accepted { .. })
    }
}
