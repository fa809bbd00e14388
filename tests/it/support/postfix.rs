//! A real Postfix with its own configuration, queue and ports, and Dovecot's auth service for its logins.
//!
//! Nothing of the machine's own mail system is touched: everything lives in one temporary folder and ends with the test.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use postern::net::tls::{PemPair, self_signed};

use super::dovecot::Dovecot;

/// The password of every user.
pub(crate) const PASSWORD: &str = "correct horse";
/// The user we are when we relay.
pub(crate) const STA_USER: &str = "gateway";
/// An edge user.
pub(crate) const EDGE_USER: &str = "results@lab.example";

/// Ports of its doors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Doors {
    /// STARTTLS, login.
    pub(crate) relay: u16,
    /// TLS from the first byte, login.
    pub(crate) implicit: u16,
    /// STARTTLS, login, the sender must be the one who logged in.
    pub(crate) edge: u16,
    /// STARTTLS, client certificate.
    pub(crate) certificate: u16,
    /// STARTTLS offered with a self-signed certificate; takes mail for its own domain from anybody.
    pub(crate) mx: u16,
}

/// What makes it the HISP of an edge client.
struct Hisp {
    /// Lines of main.cf; `ETC` is the folder it is in.
    main: String,
    files: Vec<(&'static str, String)>,
    /// The line of the client's mailbox.
    mailbox: String,
}

impl Hisp {
    fn arrange(self, root: &Path, mailboxes: &[&str]) {
        let etc = root.join("etc");
        let main = fs::read_to_string(etc.join("main.cf")).unwrap();
        // What is said here is said instead: Postfix warns of a setting that is made twice.
        let names: Vec<&str> = self.main.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name).collect();
        let kept = main.lines().filter(|line| !names.iter().any(|name| line.starts_with(&format!("{name} ="))));
        let lines: Vec<&str> = kept.chain(self.main.lines()).collect();
        write(&etc.join("main.cf"), lines.join("\n").replace("ETC", &etc.display().to_string()) + "\n");
        for (name, content) in &self.files {
            write(&etc.join(name), content);
        }
        let own = root.strip_prefix("/").unwrap().display();
        let boxes: Vec<String> = mailboxes.iter().map(|name| format!("{name}@clinic.example {own}/mail/{name}/\n")).collect();
        write(&etc.join("mailboxes"), boxes.concat() + &self.mailbox);
    }
}

/// A running Postfix.
pub(crate) struct Postfix {
    dir: tempfile::TempDir,
    dovecot: Child,
    pub(crate) doors: Doors,
    /// PEM file with the authority of its certificate for `localhost`.
    pub(crate) ca: PathBuf,
    /// PEM files of the client certificate the certificate door knows, and of its key.
    pub(crate) client: (PathBuf, PathBuf),
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn need(program: &str) {
    assert!(
        Path::new(program).exists(),
        "{program} is missing: run scripts/test, which installs postfix and dovecot-core with their services blocked"
    );
}

fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::write(path, content).unwrap();
}

fn pair(dir: &Path, name: &str, pem: &PemPair) -> (PathBuf, PathBuf) {
    let (certificate, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    write(&certificate, &pem.certificate);
    write(&key, &pem.key);
    (certificate, key)
}

impl Postfix {
    /// Starts one that has mailboxes for everybody at `clinic.example` named in `mailboxes`.
    pub(crate) fn start(mailboxes: &[&str]) -> Self {
        Self::start_with(mailboxes, "")
    }

    /// Starts one that is the HISP of [`EDGE_USER`], whose mailbox `imap` has; they have one certificate. It gives each message an id
    /// of its own, keeps a copy for its sender, and gives up on `gone.example` after a few seconds.
    pub(crate) fn edge_hisp(mailboxes: &[&str], imap: &Dovecot) -> Self {
        let (domain, user) = (EDGE_USER.split_once('@').unwrap().1, EDGE_USER);
        // Read from the root: the mailboxes of two servers lie in two places.
        let mailbox = imap.mailbox(user);
        let inside = mailbox.strip_prefix("/").unwrap().display();
        let (certificate, key) = (imap.ca.display(), imap.ca.with_extension("key"));
        let hisp = Hisp {
            main: format!(
                "virtual_mailbox_domains = clinic.example {domain}\nsender_bcc_maps = texthash:ETC/copies\nheader_checks = regexp:ETC/rename\n\
                 virtual_mailbox_base = /\nmaximal_queue_lifetime = 4s\nbounce_queue_lifetime = 4s\nqueue_run_delay = 1s\nminimal_backoff_time = 1s\n\
                 maximal_backoff_time = 1s\nsmtp_connect_timeout = 1s\n\
                 smtpd_tls_cert_file = {certificate}\nsmtpd_tls_key_file = {}\n",
                key.display()
            ),
            files: vec![
                ("copies", format!("{user} {user}\n")),
                (
                    "rename",
                    "/^Message-ID:[[:space:]]*<([^@>]*)@([^>]*)>/ REPLACE Message-ID: <renamed.$1@hisp.example>\n".to_owned(),
                ),
            ],
            mailbox: format!("{user} {inside}/\n"),
        };
        Self::start_as(mailboxes, "gone.example smtp:[127.0.0.1]:1\n", Some(hisp))
    }

    /// Starts one that hands mail for `domain` to the server on `port` of this machine.
    pub(crate) fn relaying(domain: &str, port: u16) -> Self {
        Self::start_with(&[], &format!("{domain} smtp:[127.0.0.1]:{port}\n"))
    }

    fn start_with(mailboxes: &[&str], transport: &str) -> Self {
        Self::start_as(mailboxes, transport, None)
    }

    fn start_as(mailboxes: &[&str], transport: &str, hisp: Option<Hisp>) -> Self {
        need("/usr/sbin/postfix");
        need("/usr/sbin/dovecot");
        let dir = tempfile::Builder::new().prefix("postfix-").tempdir().unwrap();
        let root = dir.path();
        // Postfix and Dovecot drop to users of their own and must be able to walk in.
        fs::set_permissions(root, fs::Permissions::from_mode(0o755)).unwrap();
        for folder in ["etc", "queue", "data", "mail", "dovecot"] {
            fs::create_dir(root.join(folder)).unwrap();
        }
        run(Command::new("chown").arg("postfix").arg(root.join("data")));
        run(Command::new("chown").arg("nobody").arg(root.join("mail")));
        let (ca, _) = pair(root, "server", &self_signed(&["localhost"], 2).unwrap());
        pair(root, "mx", &self_signed(&["whoever.invalid"], 2).unwrap());
        let client = pair(root, "client", &self_signed(&["gateway.example"], 2).unwrap());

        let doors =
            Doors { relay: free_port(), implicit: free_port(), edge: free_port(), certificate: free_port(), mx: free_port() };
        configure(root, doors, mailboxes);
        write(&root.join("etc/transport"), transport);
        if let Some(hisp) = hisp {
            hisp.arrange(root, mailboxes);
        }
        run(Command::new("/usr/sbin/postfix").arg("-c").arg(root.join("etc")).arg("start"));
        // The socket of the logins lies in Postfix's queue, which exists only now.
        let dovecot = start_dovecot(root);
        let postfix = Self { dir, dovecot, doors, ca, client };
        postfix.wait_until_ready();
        postfix
    }

    fn wait_until_ready(&self) {
        let socket = self.dir.path().join("queue/private/auth");
        let deadline = Instant::now() + Duration::from_secs(20);
        while !socket.exists() || std::net::TcpStream::connect(("127.0.0.1", self.doors.mx)).is_err() {
            assert!(Instant::now() < deadline, "Postfix did not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What has arrived in the mailbox of `name`, when something has.
    pub(crate) async fn delivered(&self, name: &str) -> String {
        let folder = self.dir.path().join("mail").join(name).join("new");
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let first = fs::read_dir(&folder).ok().and_then(|mut files| files.next());
            if let Some(file) = first {
                return fs::read_to_string(file.unwrap().path()).unwrap();
            }
            assert!(Instant::now() < deadline, "nothing arrived for {name}: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("data/postfix.log")).unwrap_or_default()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let _ = Command::new("/usr/sbin/postfix").arg("-c").arg(self.dir.path().join("etc")).arg("stop").output();
        // Dovecot's master takes its children with it when it is asked to leave.
        super::end(&mut self.dovecot);
    }
}

fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn configure(root: &Path, doors: Doors, mailboxes: &[&str]) {
    let r = root.display();
    let main = format!(
        "compatibility_level = 3.6
queue_directory = {r}/queue
data_directory = {r}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {r}/data/postfix.log
maillog_file_prefixes = {r}
myhostname = postfix.example
mydestination =
mynetworks =
inet_interfaces = loopback-only
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
local_transport = error:none
default_transport = error:5.1.2 nobody goes there
transport_maps = texthash:{r}/etc/transport
smtp_tls_security_level = may
virtual_mailbox_domains = clinic.example
virtual_mailbox_base = {r}/mail
virtual_mailbox_maps = texthash:{r}/etc/mailboxes
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_minimum_uid = 100
message_size_limit = 2000000
mailbox_size_limit = 0
virtual_mailbox_limit = 0
smtpd_tls_cert_file = {r}/server.pem
smtpd_tls_key_file = {r}/server.key
smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_tls_received_header = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
smtpd_sasl_security_options = noanonymous
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions =
"
    );
    write(&root.join("etc/main.cf"), main);
    let Doors { relay, implicit, edge, certificate, mx } = doors;
    let master = format!(
        "postlog unix-dgram n - n - 1 postlogd
127.0.0.1:{relay} inet n - n - - smtpd
  -o smtpd_sasl_auth_enable=yes
127.0.0.1:{implicit} inet n - n - - smtpd
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_tls_wrappermode=yes
127.0.0.1:{edge} inet n - n - - smtpd
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_sender_login_maps=texthash:{r}/etc/logins
  -o smtpd_sender_restrictions=reject_sender_login_mismatch
127.0.0.1:{certificate} inet n - n - - smtpd
  -o smtpd_tls_ask_ccert=yes
  -o smtpd_tls_req_ccert=yes
  -o smtpd_tls_CAfile={r}/client.pem
  -o smtpd_relay_restrictions=permit_tls_all_clientcerts,reject
127.0.0.1:{mx} inet n - n - - smtpd
  -o smtpd_tls_security_level=may
  -o smtpd_tls_cert_file={r}/mx.pem
  -o smtpd_tls_key_file={r}/mx.key
  -o smtpd_relay_restrictions=reject_unauth_destination
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
smtp unix - - n - - smtp
anvil unix - - n - 1 anvil
"
    );
    write(&root.join("etc/master.cf"), master);
    write(&root.join("etc/logins"), format!("{EDGE_USER} {EDGE_USER}\n"));
    let boxes: Vec<String> = mailboxes.iter().map(|name| format!("{name}@clinic.example {name}/\n")).collect();
    write(&root.join("etc/mailboxes"), boxes.concat());
}

fn start_dovecot(root: &Path) -> Child {
    let r = root.display();
    write(&root.join("dovecot/users"), format!("{STA_USER}:{{PLAIN}}{PASSWORD}::::::\n{EDGE_USER}:{{PLAIN}}{PASSWORD}::::::\n"));
    write(
        &root.join("dovecot/dovecot.conf"),
        format!(
            "protocols =
ssl = no
base_dir = {r}/dovecot/run
state_dir = {r}/dovecot/state
log_path = {r}/dovecot/log
instance_name = test
auth_mechanisms = plain login
auth_username_chars =
auth_failure_delay = 0
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {r}/dovecot/users
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}}
service auth {{
  unix_listener {r}/queue/private/auth {{
    mode = 0666
  }}
}}
"
        ),
    );
    Command::new("/usr/sbin/dovecot")
        .args(["-F", "-c"])
        .arg(root.join("dovecot/dovecot.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
