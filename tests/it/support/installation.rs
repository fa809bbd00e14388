//! A whole installation: the real `postern` in a folder of its own, and a practice HISP that it sends to.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use postern::{
    crypto::MasterKey,
    domain::{
        DirectAddress, Inbound, OrgScope,
        id::InboundId,
        inbound::{Channel, Way},
    },
    net::tls::PemPair,
    observe::SystemClock,
    sandbox::{Desk, Hisp, HispSettings, Mailboxes, mailbox::Door, practice::Practice, story::chapter},
    send::Relay,
    store::{Store, StoreOptions},
};
use serde_json::{Value, json};

use super::{
    command::{command, run},
    counter::{base64, order},
    postfix::free_port,
};

/// Longest anything here is waited for: far more than it takes, because tests run beside each other.
const PATIENCE: Duration = Duration::from_secs(90);
/// Where everybody's mailbox is.
const DOMAIN: &str = "direct.lakeside.example";

/// How an installation is set up.
#[derive(Default)]
pub(crate) struct Arrangement<'a> {
    /// Settings in the section `[worker]`.
    pub(crate) worker: &'a str,
    /// The database; SQLite without one.
    pub(crate) url: Option<&'a str>,
    /// Further settings of the relay.
    pub(crate) relay: &'a str,
    /// Further sections of `postern.toml`.
    pub(crate) more: &'a str,
    /// Further sections of the organization's file.
    pub(crate) organization: &'a str,
    /// The one identity, in edge mode at the relay `edge`, instead of the usual one: address and password.
    pub(crate) edge: Option<(&'a str, &'a str)>,
    /// Domains beside the usual one whose certificates are known.
    pub(crate) domains: &'a [&'a str],
    /// The HISP hands its notices to our SMTP door.
    pub(crate) notices_come: bool,
    /// Nothing has to outlive this machine: everything is kept in memory, where there is such a place.
    pub(crate) in_memory: bool,
}

/// A folder made by `postern init` with one organization, which sends through the practice HISP.
pub(crate) struct Installation {
    pub(crate) dir: tempfile::TempDir,
    token: String,
    mailboxes: Mailboxes,
    notices: Mailboxes,
    client: reqwest::Client,
    pdf: String,
    started: AtomicU32,
    hisp: Hisp,
    /// What every command finds in its environment.
    pub(crate) variables: Vec<(String, String)>,
}

/// A running `postern serve`, killed when dropped.
pub(crate) struct Serving {
    child: Child,
    log: PathBuf,
    /// Where it listens; empty without a web door.
    pub(crate) url: String,
}

impl Installation {
    /// With these settings in the section `[worker]`, in SQLite or in the database at `url`.
    pub(crate) async fn open(worker: &str, url: Option<&str>) -> Self {
        Self::arranged(Arrangement { worker, url, ..Arrangement::default() }).await
    }

    /// As arranged.
    pub(crate) async fn arranged(arrangement: Arrangement<'_>) -> Self {
        let memory = Path::new("/dev/shm");
        let dir = if arrangement.in_memory && memory.is_dir() {
            tempfile::tempdir_in(memory).unwrap()
        } else {
            tempfile::tempdir().unwrap()
        };
        let path = |name: &str| dir.path().join(name);
        let practice = Practice::open(&path("hisp/keys"), Arc::new(SystemClock)).unwrap();
        let (certificate, key) = practice.server("localhost").unwrap();
        let mailboxes = Mailboxes::new(path("hisp/mail"), Arc::new(SystemClock)).unwrap();
        let tls = PemPair { certificate: certificate.into_bytes(), key: key.into_bytes() };
        let mut settings = HispSettings::local(mailboxes.clone(), tls, Arc::new(practice.clone())).login("gateway", "practice");
        let notices = Mailboxes::new(path("hisp/notices"), Arc::new(SystemClock)).unwrap();
        let door = arrangement.notices_come.then(free_port);
        let post = door.map(|port| {
            let text = format!("name = \"postern\"\nhost = \"localhost\"\nport = {port}\ntls = \"none\"\nmax_connections = 6\nbreaker_pause = \"200ms\"");
            Relay::new(toml::from_str(&text).unwrap()).unwrap()
        });
        settings.desk = Some(Arc::new(Desk::new(practice.clone(), notices.clone(), post, Arc::new(SystemClock))));
        let hisp = Hisp::start(settings).await.unwrap();
        let mut installation = Self {
            token: String::new(),
            mailboxes,
            notices,
            client: reqwest::Client::builder().timeout(PATIENCE / 2).build().unwrap(),
            pdf: base64(&chapter(0).pdf()),
            started: AtomicU32::new(0),
            dir,
            hisp,
            variables: Vec::new(),
        };
        installation.postern(&["init", "."]);
        installation.configure(&arrangement, door);
        installation.enrol(&practice, &arrangement);
        installation.token = installation.postern(&["token", "create", "--organization", "north"]).trim_end().to_owned();
        installation
    }

    fn configure(&self, arrangement: &Arrangement<'_>, door: Option<u16>) {
        let Arrangement { worker, url, relay, more, .. } = arrangement;
        let port = self.hisp.address(Door::Relay).port();
        let store = url.map(|url| format!("[store]\nurl = \"{url}\"\n")).unwrap_or_default();
        let door = door.map(|port| format!("[smtp_in]\nlisten = \"127.0.0.1:{port}\"\nper_minute = 0\n")).unwrap_or_default();
        let toml = format!(
            "{store}[web]\nlisten = \"127.0.0.1:0\"\n[worker]\npoll = \"200ms\"\nretry_min = \"500ms\"\n{worker}\n{door}{more}\n\
             [[relay]]\nname = \"hisp\"\nhost = \"localhost\"\nport = {port}\nca_file = \"hisp/keys/ca.pem\"\n\
             auth = {{ user = \"gateway\", password = \"practice\" }}\n{relay}\n"
        );
        fs::write(self.dir.path().join("postern.toml"), toml).unwrap();
    }

    fn enrol(&self, practice: &Practice, arrangement: &Arrangement<'_>) {
        let address: DirectAddress = "results@direct.north.example".parse().unwrap();
        let (certificate, key) = practice.identity(&address).unwrap();
        let path = |name: &str| self.dir.path().join(name);
        fs::write(path("north.pem"), certificate).unwrap();
        fs::write(path("north.key"), key).unwrap();
        fs::set_permissions(path("north.key"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let identity = match arrangement.edge {
            None => format!(
                "address = \"{address}\"\nmode = \"sta_relay\"\nrelay = \"hisp\"\ncertificate_file = \"north.pem\"\nkey_file = \"north.key\""
            ),
            Some((address, password)) => {
                fs::write(path("edge.password"), password).unwrap();
                fs::set_permissions(path("edge.password"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
                format!("address = \"{address}\"\nmode = \"edge\"\nrelay = \"edge\"\npassword_file = \"edge.password\"")
            }
        };
        let toml = format!(
            "slug = \"north\"\nname = \"North\"\n[routing]\nunknown_wait = \"1s\"\n[[site]]\nlocal_id = \"RIVERSIDE01\"\n\
             [[identity]]\n{identity}\n\
             [price]\ncurrency = \"USD\"\nrate = [{{ from = \"2020-01-01\", fee_code = \"direct\", amount = \"0.25\" }}]\n{}\n",
            arrangement.organization
        );
        fs::write(path("north.toml"), toml).unwrap();
        self.postern(&["org", "apply", "north.toml"]);
        self.postern(&["trust", "anchors", "import", "--organization", "north", "hisp/keys/ca.pem"]);
        for domain in [DOMAIN].iter().chain(arrangement.domains) {
            practice.domain(domain).unwrap();
            let certificate = format!("hisp/keys/{domain}.pem");
            self.postern(&["trust", "certificates", "import", "--organization", "north", &certificate]);
        }
    }

    /// From now on deliveries are billable at this moment.
    pub(crate) fn bill_at(&self, moment: &str) {
        let file = self.dir.path().join("north.toml");
        let toml = fs::read_to_string(&file).unwrap();
        fs::write(&file, toml.replace("amount = \"0.25\" }", &format!("amount = \"0.25\", billable = \"{moment}\" }}"))).unwrap();
        self.postern(&["org", "apply", "north.toml"]);
    }

    /// Runs a command here, which must end well; gives its data.
    pub(crate) fn postern(&self, args: &[&str]) -> String {
        let ran = run(command(self.dir.path()).args(args).envs(self.variables.clone()));
        assert_eq!(ran.code, 0, "{args:?}:\n{}{}", ran.out, ran.err);
        ran.out
    }

    /// The same, which may fail.
    pub(crate) fn postern_tries(&self, args: &[&str]) -> bool {
        run(command(self.dir.path()).args(args)).code == 0
    }

    /// The same, as data for programs.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.postern(&[args, &["--json"]].concat())).unwrap()
    }

    /// The same, however it ends.
    pub(crate) fn json_of_any_end(&self, args: &[&str]) -> Value {
        serde_json::from_str(&run(command(self.dir.path()).args([args, &["--json"]].concat())).out).unwrap()
    }

    /// Starts `postern serve`, or one part of it, to die at `failpoint` if there is one.
    pub(crate) fn serve(&self, only: Option<&str>, failpoint: Option<&str>) -> Serving {
        let log = self.dir.path().join(format!("serve-{}.log", self.started.fetch_add(1, Ordering::Relaxed)));
        let mut command = command(self.dir.path());
        command.envs(self.variables.clone());
        command.arg("serve").stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        command.args(only.iter().flat_map(|part| ["--only", part]));
        // What is about to die gets the shortest lease there is: the next one need not wait long.
        command.envs(failpoint.iter().flat_map(|name| [("POSTERN_FAILPOINT", *name), ("POSTERN__WORKER__LEASE", "3s")]));
        let mut serving = Serving { child: command.spawn().unwrap(), log, url: String::new() };
        if only.is_none_or(|part| part == "web") {
            serving.url = wait_for("the HTTP door", || serving.listens_at()).unwrap_or_default();
        }
        serving
    }

    /// Submits result `number` for `local_part`, once: what a sender sees when the gateway dies meanwhile is an error.
    pub(crate) async fn submit(&self, serving: &Serving, number: usize, local_part: &str) -> Result<String, String> {
        let order_id = format!("R{number:04}");
        let mut order = order(&order_id);
        order["deliver_to"] = json!([{ "role": "pcp", "direct": format!("{local_part}@{DOMAIN}") }]);
        let result = json!({ "order_id": order_id, "site": "RIVERSIDE01", "status": "final", "order": order, "pdf": self.pdf });
        self.post(serving, &result).await
    }

    /// Submits a result as it is; gives its id.
    pub(crate) async fn post(&self, serving: &Serving, result: &Value) -> Result<String, String> {
        let request = self.client.post(format!("{}/v1/results", serving.url)).bearer_auth(&self.token);
        let answer = request.json(result).send().await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let body: Value = answer.json().await.map_err(|error| error.to_string())?;
        assert!(status.is_success() || status.is_server_error(), "{status}: {body}");
        body["id"].as_str().map(str::to_owned).ok_or_else(|| body.to_string())
    }

    /// How many notices the HISP has written.
    pub(crate) fn notices(&self) -> usize {
        self.notices.list(None).unwrap().len()
    }

    /// The Message-IDs that have arrived, each as often as it did.
    pub(crate) fn arrived(&self) -> BTreeMap<String, usize> {
        let mut arrived = BTreeMap::new();
        for entry in self.mailboxes.list(None).unwrap() {
            assert!(entry.opened, "{entry:?}");
            *arrived.entry(entry.message_id.expect("a Message-ID")).or_default() += 1;
        }
        arrived
    }

    /// The one message in a mailbox, sealed as it arrived.
    pub(crate) fn sealed_to(&self, local_part: &str) -> Vec<u8> {
        let entries = self.mailboxes.list(None).unwrap();
        let mailbox: DirectAddress = format!("{local_part}@{DOMAIN}").parse().unwrap();
        let entry = entries.iter().find(|entry| entry.recipient == mailbox).expect("a message");
        let pattern = format!("{}.eml", entry.id);
        let mut folders =
            fs::read_dir(self.dir.path().join("hisp/mail")).unwrap().map(|folder| folder.unwrap().path().join(&pattern));
        fs::read(folders.find(|file| file.exists()).expect("its file")).unwrap()
    }

    /// Every delivery there is.
    pub(crate) fn deliveries(&self) -> Vec<Value> {
        serde_json::from_value(self.json(&["delivery", "list", "--limit", "1000"])).unwrap()
    }

    /// How many deliveries are in each state.
    pub(crate) fn states(&self) -> BTreeMap<String, usize> {
        let mut states = BTreeMap::new();
        for delivery in self.deliveries() {
            *states.entry(text(&delivery["state"])).or_default() += 1;
        }
        states
    }

    /// Waits until there are `deliveries` and all of them are accepted.
    pub(crate) fn settled(&self, deliveries: usize) {
        let expected = BTreeMap::from([("accepted".to_owned(), deliveries)]);
        let (began, mut states) = (Instant::now(), BTreeMap::new());
        while states != expected {
            assert!(began.elapsed() < PATIENCE, "not settled: {states:?}\n{}", self.logs());
            std::thread::sleep(Duration::from_millis(200));
            states = self.states();
        }
    }

    /// How often the HISP has each Message-ID; one mailbox has one delivery, and so one Message-ID.
    pub(crate) fn arrivals(&self) -> BTreeMap<String, usize> {
        let mut arrivals = BTreeMap::new();
        let mut mailboxes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for entry in self.mailboxes.list(None).unwrap() {
            assert!(entry.opened, "{entry:?}");
            let id = entry.message_id.expect("a Message-ID").trim_matches(['<', '>']).to_owned();
            *arrivals.entry(id.clone()).or_default() += 1;
            mailboxes.entry(entry.recipient.to_string()).or_default().insert(id);
        }
        assert!(mailboxes.values().all(|ids| ids.len() == 1), "one delivery under two Message-IDs: {mailboxes:?}");
        arrivals
    }

    /// Nothing is lost and nothing is charged twice: `results` went in, each became one accepted and charged delivery,
    /// which arrived.
    pub(crate) fn ties(&self, results: &BTreeSet<String>) {
        let (deliveries, arrivals) = (self.deliveries(), self.arrivals());
        let sent: BTreeSet<String> = deliveries.iter().map(|delivery| text(&delivery["result"])).collect();
        assert_eq!(&sent, results, "each result has its delivery");
        assert_eq!(deliveries.len(), results.len(), "each result has one delivery");
        for delivery in &deliveries {
            assert_eq!((&delivery["state"], &delivery["fee"]), (&json!("accepted"), &json!("charged")), "{delivery}");
        }
        let ids: BTreeSet<String> =
            deliveries.iter().map(|delivery| text(&delivery["message_id"]).trim_matches(['<', '>']).to_owned()).collect();
        assert_eq!(arrivals.keys().cloned().collect::<BTreeSet<_>>(), ids, "what was accepted is what arrived");
        let verified = self.json(&["verify"]);
        let fees = self.json(&["fees", "report", "--from", "2020-01-01", "--to", "2100-01-01"]);
        let cents = 25 * results.len();
        let amount = format!("{}.{:02}", cents / 100, cents % 100);
        assert!(fees["totals"].to_string().contains(&format!("\"{amount}\"")), "{amount}: {fees}\n{verified}");
    }

    /// The store of an installation on SQLite, beside whatever runs on it.
    pub(crate) async fn store(&self) -> Store {
        let master = MasterKey::from_file(&self.dir.path().join("keys/master.key")).unwrap();
        let url = format!("sqlite:{}", self.dir.path().join("postern.db").display());
        Store::open(StoreOptions { url, connections: 2, master }, Arc::new(SystemClock)).await.unwrap()
    }

    /// The store of an installation in the database at `url`, beside whatever runs on it.
    pub(crate) async fn store_at(&self, url: &str) -> Store {
        let master = MasterKey::from_file(&self.dir.path().join("keys/master.key")).unwrap();
        Store::open(StoreOptions { url: url.to_owned(), connections: 2, master }, Arc::new(SystemClock)).await.unwrap()
    }

    /// Brings the practice HISP's notices in, once there are so many: durable, as a door would leave them.
    pub(crate) async fn bring_notices(&self, count: usize) {
        let entries =
            wait_for("the notices", || Some(self.notices.list(None).unwrap()).filter(|all| all.len() >= count)).unwrap();
        let store = self.store().await;
        let org = store.organization_by_slug(OrgScope::All, "north").await.unwrap().unwrap().id;
        for entry in entries {
            let mail = Inbound {
                id: InboundId::new(),
                org: Some(org),
                identity: entry.recipient.clone(),
                way: Way::Smtp,
                channel: Channel::None,
                envelope_from: None,
                envelope_to: vec![entry.recipient.clone()],
                received_at: entry.received_at,
                raw: self.notices.raw(&entry).unwrap(),
            };
            store.keep_inbound(&mail).await.unwrap();
        }
        store.close().await;
    }

    /// What every gateway here has said, for a failure.
    pub(crate) fn logs(&self) -> String {
        let all = (0..self.started.load(Ordering::Relaxed)).map(|n| {
            let text = fs::read_to_string(self.dir.path().join(format!("serve-{n}.log"))).unwrap_or_default();
            format!("--- serve {n}\n{text}")
        });
        all.collect()
    }
}

impl Serving {
    fn listens_at(&self) -> Option<String> {
        let text = fs::read_to_string(&self.log).ok()?;
        let (_, url) = text.split_once("listening on ")?;
        url.split_once('\n').map(|(url, _)| url.to_owned())
    }

    /// Waits for its end.
    pub(crate) fn end(&mut self) -> ExitStatus {
        wait_for("the end of the gateway", || self.child.try_wait().unwrap())
            .unwrap_or_else(|| panic!("the gateway does not end:\n{}", fs::read_to_string(&self.log).unwrap_or_default()))
    }

    /// Waits for the failpoint.
    pub(crate) fn aborts(&mut self) {
        const SIGABRT: i32 = 6;
        let status = self.end();
        assert_eq!(status.signal(), Some(SIGABRT), "{status}:\n{}", fs::read_to_string(&self.log).unwrap_or_default());
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop.
    pub(crate) fn terminate(&self) {
        super::signal("TERM", &self.child);
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A string in JSON.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// Asks until there is an answer, or patience ends.
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if began.elapsed() > PATIENCE {
            eprintln!("waited in vain for {what}");
            return None;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
