//! An installation made by `postern init`, and a second hand on its store, as a running gateway has one.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::PathBuf,
    process::{Child, Stdio},
    sync::Arc,
};

use postern::{
    crypto::MasterKey,
    domain::{Clock, DeliveryId, OrgId, OrgScope, delivery::Event, order::Action, report::ResultStatus},
    observe::SystemClock,
    store::{Committer, Store, StoreOptions, delivery::Move},
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    store::make,
    support::command::{Ran, command, run},
};

/// What must never be shown.
const PATIENT: [&str; 4] = ["Testriver", "Morgan", "1964-02-17", "ZZ000417"];

pub(crate) struct World {
    pub(crate) dir: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let world = Self { dir };
        world.good(&["init", "."]);
        world
    }

    /// With this organization applied.
    pub(crate) fn with(toml: &str) -> Self {
        let world = Self::new();
        world.good(&["org", "apply", &world.write("org.toml", toml)]);
        world
    }

    /// Runs `postern ARGS` here. Nothing about the patient may be said, whatever is asked.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        let ran = run(command(self.dir.path()).args(args));
        for word in PATIENT {
            assert!(!ran.out.contains(word) && !ran.err.contains(word), "{args:?} shows {word}:\n{}{}", ran.out, ran.err);
        }
        ran
    }

    /// The same, which must end well.
    pub(crate) fn good(&self, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{args:?}:\n{}{}", ran.out, ran.err);
        ran
    }

    /// The same, which must say that what was asked about is bad.
    pub(crate) fn bad(&self, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, 1, "{args:?}:\n{}{}", ran.out, ran.err);
        ran
    }

    /// The data for programs of a command that ends well.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let out = self.good(&[args, &["--json"]].concat()).out;
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{args:?}: {error}:\n{out}"))
    }

    /// Writes a file that its owner alone can read; gives its name.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        let file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&path);
        std::io::Write::write_all(&mut file.unwrap(), content.as_ref()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        name.to_owned()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The same store, opened beside the command.
    pub(crate) async fn store(&self) -> Store {
        self.store_at(Arc::new(SystemClock)).await
    }

    /// The same, by another clock.
    pub(crate) async fn store_at(&self, clock: Arc<dyn Clock>) -> Store {
        let master = MasterKey::from_file(&self.path("keys/master.key")).unwrap();
        let url = format!("sqlite:{}", self.path("postern.db").display());
        Store::open(StoreOptions { url, connections: 4, master }, clock).await.unwrap()
    }

    /// A gateway that runs here.
    pub(crate) fn serve(&self, only: Option<&str>) -> Serving {
        let mut command = command(self.dir.path());
        command.arg("serve").env("POSTERN__WEB__LISTEN", "127.0.0.1:0").stderr(Stdio::piped()).stdout(Stdio::null());
        if let Some(only) = only {
            command.args(["--only", only]);
        }
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let url = lines.find_map(|line| line.split_once("listening on ").map(|(_, url)| url.to_owned()));
        let url = url.expect("it says where it listens");
        // What it says from here on must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Serving { child, url }
    }
}

/// A running gateway; stopped when dropped.
pub(crate) struct Serving {
    child: Child,
    pub(crate) url: String,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Takes an order with its result and routes it to these addresses.
pub(crate) async fn deliveries(store: &Store, org: OrgId, order_id: &str, addresses: &[&str]) -> Vec<DeliveryId> {
    store.take_order(org, &make::order(order_id), Action::New).await.unwrap();
    let report = make::report(order_id, ResultStatus::Final);
    store.take_result(org, &report, Some(&make::pdf(1)), None, make::WAIT).await.unwrap();
    let lease = make::lease();
    let committer = Committer::start(store.clone());
    let mut made = Vec::new();
    for work in store.claim_results(&lease, 100, 0).await.unwrap() {
        made.extend(committer.route(make::routing(work.org, work.id, &lease, addresses)).await.unwrap().deliveries);
    }
    made
}

/// Tells a delivery what happened to it.
pub(crate) async fn happened(store: &Store, id: DeliveryId, events: &[Event]) {
    let committer = Committer::start(store.clone());
    let (view, _) = store.delivery_view(OrgScope::All, id).await.unwrap().unwrap();
    for event in events {
        let zone = store.organization(view.org).await.unwrap().unwrap().file.time_zone;
        committer.apply(Move { zone, ..Move::new(view.org, id, *event) }).await.unwrap();
    }
}

pub(crate) async fn org(store: &Store, slug: &str) -> OrgId {
    store.organization_by_slug(OrgScope::All, slug).await.unwrap().unwrap().id
}

/// Two columns or more after each other, however wide they are.
pub(crate) fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}
