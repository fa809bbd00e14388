//! A real slapd with entries of the test's own, on a free port, as the user `openldap`.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpStream},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::bind::free_port;

/// A running directory.
pub(crate) struct Slapd {
    dir: tempfile::TempDir,
    process: Child,
    pub(crate) address: SocketAddr,
}

/// An entry: its `mail`, and its certificates.
pub(crate) type Entry<'a> = (&'a str, Vec<&'a [u8]>);

impl Slapd {
    /// Serves these entries below `dc=example`.
    pub(crate) fn start(entries: &[Entry<'_>]) -> Self {
        Self::with(&["dc=example"], &ldif(entries, "dc=example"), "")
    }

    /// Serves an LDIF below these bases, with more lines of configuration.
    pub(crate) fn with(bases: &[&str], ldif: &str, more: &str) -> Self {
        assert!(Path::new("/usr/sbin/slapd").exists(), "slapd is missing: run scripts/test, which installs it");
        for _ in 0..5 {
            if let Some(slapd) = Self::try_start(bases, ldif, more) {
                return slapd;
            }
        }
        panic!("slapd did not start");
    }

    fn try_start(bases: &[&str], ldif: &str, more: &str) -> Option<Self> {
        let dir = tempfile::Builder::new().prefix("slapd-").tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let root = dir.path().display();
        let mut conf = String::new();
        for schema in ["core", "cosine", "inetorgperson"] {
            conf += &format!("include /etc/ldap/schema/{schema}.schema\n");
        }
        conf += &format!("pidfile {root}/pid\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\nloglevel stats\n{more}\n");
        for (n, base) in bases.iter().enumerate() {
            let place = dir.path().join(format!("db{n}"));
            fs::create_dir(&place).unwrap();
            fs::set_permissions(&place, fs::Permissions::from_mode(0o777)).unwrap();
            conf += &format!(
                "database mdb\nmaxsize 33554432\nsuffix \"{base}\"\ndirectory {}\ndbnosync\naccess to * by * read\n",
                place.display()
            );
        }
        let conf_file = dir.path().join("slapd.conf");
        fs::write(&conf_file, conf).unwrap();
        // slapadd fills one database at a time: the one its first entry belongs to.
        for (n, base) in bases.iter().enumerate() {
            let part = dir.path().join(format!("{n}.ldif"));
            let records =
                ldif.split("\n\n").filter(|record| record.replace("\n ", "").lines().next().is_some_and(|dn| dn.ends_with(base)));
            let records: Vec<&str> = records.collect();
            fs::write(&part, records.join("\n\n") + "\n").unwrap();
            if records.is_empty() {
                continue;
            }
            let added = Command::new("/usr/sbin/slapadd")
                .args(["-q", "-b", base, "-f"])
                .arg(&conf_file)
                .arg("-l")
                .arg(&part)
                .output()
                .unwrap();
            assert!(added.status.success(), "{}\n{ldif}", String::from_utf8_lossy(&added.stderr));
        }
        let address = free_port();
        let log = File::create(dir.path().join("log")).unwrap();
        let mut command = Command::new("/usr/sbin/slapd");
        command.arg("-f").arg(&conf_file).args(["-h", &format!("ldap://{address}"), "-d", "stats"]);
        if fs::metadata(dir.path()).unwrap().uid() == 0 {
            let owned = Command::new("chown").arg("-R").arg("openldap").arg(dir.path()).status().unwrap();
            assert!(owned.success());
            command.args(["-u", "openldap", "-g", "openldap"]);
        }
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut slapd = Self { dir, process, address };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if slapd.process.try_wait().unwrap().is_some() {
                eprintln!("{}", slapd.log());
                return None;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "slapd does not start:\n{}", slapd.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(slapd)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// How often entries of `mail` were searched for.
    pub(crate) fn searches(&self, mail: &str) -> usize {
        self.log().matches(&format!("filter=\"(mail={mail})\"")).count()
    }

    /// Stops answering, for good.
    pub(crate) fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Entries below `base`, and the base itself.
pub(crate) fn ldif(entries: &[Entry<'_>], base: &str) -> String {
    let dc = base.split(',').next().unwrap().trim_start_matches("dc=");
    let mut text = format!("dn: {base}\nobjectClass: dcObject\nobjectClass: organization\ndc: {dc}\no: {dc}\n");
    for (n, (mail, certificates)) in entries.iter().enumerate() {
        text += &format!("\ndn: cn=entry {n},{base}\nobjectClass: inetOrgPerson\ncn: entry {n}\nsn: entry\nmail: {mail}\n");
        for certificate in certificates {
            text += &format!("userCertificate;binary:: {}\n", STANDARD.encode(certificate));
        }
    }
    text
}
