//! A real Dovecot: the IMAP mailboxes of a HISP, in a folder of their own.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use postern::net::tls::self_signed;

use super::postfix::free_port;

/// A running Dovecot.
pub(crate) struct Dovecot {
    dir: tempfile::TempDir,
    child: Child,
    delivered: AtomicU32,
    /// STARTTLS.
    pub(crate) imap: u16,
    /// TLS from the first byte.
    pub(crate) imaps: u16,
    /// PEM file with the authority of its certificate for `localhost`.
    pub(crate) ca: PathBuf,
}

impl Dovecot {
    /// Starts one with these mailboxes: address and password.
    pub(crate) fn start(users: &[(&str, &str)]) -> Self {
        Self::with(users, "")
    }

    /// The same with more configuration.
    pub(crate) fn with(users: &[(&str, &str)], more: &str) -> Self {
        assert!(
            Path::new("/usr/lib/dovecot/imap").exists(),
            "Dovecot's IMAP is missing: run scripts/test, which installs dovecot-imapd with its service blocked"
        );
        let dir = tempfile::Builder::new().prefix("dovecot-").tempdir().unwrap();
        let root = dir.path();
        // It drops to users of its own, which must be able to walk in.
        fs::set_permissions(root, fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(root.join("mail")).unwrap();
        fs::set_permissions(root.join("mail"), fs::Permissions::from_mode(0o777)).unwrap();
        let pair = self_signed(&["localhost"], 2).unwrap();
        fs::write(root.join("server.pem"), &pair.certificate).unwrap();
        fs::write(root.join("server.key"), &pair.key).unwrap();
        let (imap, imaps) = (free_port(), free_port());
        let lines: Vec<String> = users.iter().map(|(user, password)| format!("{user}:{{PLAIN}}{password}::::::\n")).collect();
        fs::write(root.join("users"), lines.concat()).unwrap();
        fs::write(root.join("dovecot.conf"), configuration(root, imap, imaps, more)).unwrap();
        let child = Command::new("/usr/sbin/dovecot")
            .args(["-F", "-c"])
            .arg(root.join("dovecot.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let ca = root.join("server.pem");
        let dovecot = Self { dir, child, delivered: AtomicU32::new(0), imap, imaps, ca };
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", imaps)).is_err() {
            assert!(Instant::now() < deadline, "Dovecot did not start: {}", dovecot.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        dovecot
    }

    /// Where the mailbox of a user is: made, so that others can deliver into it.
    pub(crate) fn mailbox(&self, user: &str) -> PathBuf {
        let maildir = self.maildir(user);
        for folder in ["tmp", "new", "cur"] {
            fs::create_dir_all(maildir.join(folder)).unwrap();
            fs::set_permissions(maildir.join(folder), fs::Permissions::from_mode(0o777)).unwrap();
        }
        fs::set_permissions(&maildir, fs::Permissions::from_mode(0o777)).unwrap();
        maildir
    }

    fn maildir(&self, user: &str) -> PathBuf {
        self.dir.path().join("mail").join(user)
    }

    /// Puts a message into a mailbox, as delivery does (maildir: written aside, then renamed in).
    pub(crate) fn deliver(&self, user: &str, message: &str) {
        let maildir = self.mailbox(user);
        let name = format!("{:06}.test", self.delivered.fetch_add(1, Ordering::SeqCst));
        fs::write(maildir.join("tmp").join(&name), message).unwrap();
        fs::set_permissions(maildir.join("tmp").join(&name), fs::Permissions::from_mode(0o666)).unwrap();
        fs::rename(maildir.join("tmp").join(&name), maildir.join("new").join(&name)).unwrap();
    }

    /// The file names of the messages in a mailbox; the flags stand at their ends.
    pub(crate) fn messages(&self, user: &str) -> Vec<String> {
        let mut names = Vec::new();
        for folder in ["new", "cur"] {
            let files = fs::read_dir(self.maildir(user).join(folder)).into_iter().flatten();
            names.extend(files.map(|file| file.unwrap().file_name().into_string().unwrap()));
        }
        names.sort();
        names
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Ends it, as a HISP's maintenance does.
    pub(crate) fn stop(&mut self) {
        super::end(&mut self.child);
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        self.stop();
    }
}

fn configuration(root: &Path, imap: u16, imaps: u16, more: &str) -> String {
    let r = root.display();
    format!(
        "protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{r}/server.pem
ssl_key = <{r}/server.key
base_dir = {r}/run
state_dir = {r}/state
log_path = {r}/log
instance_name = test-imap
auth_mechanisms = plain login
auth_username_chars =
auth_failure_delay = 0
first_valid_uid = 100
mail_location = maildir:{r}/mail/%u
maildir_stat_dirs = yes
mail_fsync = never
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {r}/users
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home={r}/mail/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
{more}
"
    )
}
