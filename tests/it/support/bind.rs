//! A real BIND with zones of the test's own, on a free port, as the user `bind`.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// A running name server.
pub(crate) struct Bind {
    dir: tempfile::TempDir,
    named: Child,
    pub(crate) address: SocketAddr,
}

/// What is in a zone besides SOA and NS: lines of a zone file.
pub(crate) type Zone<'a> = (&'a str, String);

impl Bind {
    /// Serves these zones and nothing else.
    pub(crate) fn start(zones: &[Zone<'_>]) -> Self {
        assert!(Path::new("/usr/sbin/named").exists(), "named is missing: run scripts/test, which installs bind9");
        // The port is free when it is looked for; somebody else may be quicker.
        for _ in 0..5 {
            if let Some(bind) = Self::try_start(zones) {
                return bind;
            }
        }
        panic!("BIND did not start");
    }

    fn try_start(zones: &[Zone<'_>]) -> Option<Self> {
        let dir = tempfile::Builder::new().prefix("bind-").tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let address = free_port();
        let mut conf = format!(
            "options {{ directory \"{0}\"; listen-on port {1} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; pid-file none;\n\
             session-keyfile \"{0}/session.key\"; managed-keys-directory \"{0}\"; lock-file none; recursion no; querylog yes;\n\
             dnssec-validation no; empty-zones-enable no; notify no; tcp-clients 100; }};\ncontrols {{ }};\n",
            dir.path().display(),
            address.port()
        );
        for (name, _) in zones {
            conf += &format!("zone \"{name}\" {{ type primary; file \"{name}.zone\"; check-names ignore; }};\n");
        }
        fs::write(dir.path().join("named.conf"), conf).unwrap();
        for (name, records) in zones {
            write(dir.path(), name, 1, records);
        }
        let log = File::create(dir.path().join("log")).unwrap();
        let mut command = Command::new("/usr/sbin/named");
        command.arg("-g").arg("-n1").arg("-c").arg(dir.path().join("named.conf"));
        if fs::metadata(dir.path()).unwrap().uid() == 0 {
            command.args(["-u", "bind"]);
        }
        let named = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut bind = Self { dir, named, address };
        let began = Instant::now();
        while !bind.log().contains("running\n") {
            if bind.named.try_wait().unwrap().is_some() || bind.log().contains("address in use") {
                return None;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "BIND does not start:\n{}", bind.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(!bind.log().contains("not loaded due to errors"), "{}", bind.log());
        Some(bind)
    }

    /// Publishes something else from now on.
    pub(crate) fn publish(&self, zone: &str, records: &str) {
        let loads = |bind: &Self| bind.log().matches(&format!("zone {zone}/IN: loaded serial")).count();
        let before = loads(self);
        let serial = u32::try_from(before + 1).unwrap();
        write(self.dir.path(), zone, serial, records);
        super::signal("HUP", &self.named);
        let began = Instant::now();
        while loads(self) == before {
            assert!(began.elapsed() < Duration::from_secs(30), "BIND does not load the zone:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// How often `what` (`bob.d.example IN CERT`) was asked.
    pub(crate) fn asked(&self, what: &str) -> usize {
        self.log().matches(&format!("query: {what} ")).count()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Stops answering, for good.
    pub(crate) fn stop(&mut self) {
        let _ = self.named.kill();
        let _ = self.named.wait();
    }
}

impl Drop for Bind {
    fn drop(&mut self) {
        self.stop();
    }
}

fn write(dir: &Path, zone: &str, serial: u32, records: &str) {
    let text =
        format!("$TTL 60\n$ORIGIN {zone}.\n@ SOA ns hostmaster {serial} 60 60 60 30\n@ NS ns\nns A 127.0.0.1\n{records}\n");
    fs::write(dir.join(format!("{zone}.zone")), text).unwrap();
}

/// A port that is free for UDP and for TCP.
pub(crate) fn free_port() -> SocketAddr {
    loop {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = tcp.local_addr().unwrap();
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

/// A CERT record of the type `kind` at `name` (of the zone, or with a final dot).
pub(crate) fn cert(name: &str, kind: &str, data: &[u8]) -> String {
    format!("{name} CERT {kind} 0 0 {}\n", STANDARD.encode(data))
}
