//! `postern hisp serve`.

use std::{
    fs,
    io::Write as _,
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::Arc,
};

use anyhow::Context as _;
use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};

use super::Folder;
use crate::{
    cli::{Exit, block_on, print, say},
    config::relay::RelaySettings,
    net::tls::PemPair,
    observe::SystemClock,
    sandbox::{Desk, Hisp, HispSettings, Mailboxes, Ports, mailbox::Door, practice::Practice},
    send::Relay,
};

/// The user of the relay door.
const USER: &str = "gateway";

/// Run a practice HISP until Ctrl-C: an SMTP server with its own authority, mailboxes and mishaps
///
/// Every Direct address works; what is accepted lies in DIR/mail, opened and verified. Made at the first start: DIR/keys
/// with the authority (ca.pem is the anchor to import) and DIR/password, the password of the relay user `gateway` and of
/// every edge user.
#[derive(Debug, Args)]
#[command(after_long_help = MISHAPS)]
pub(crate) struct Serve {
    #[command(flatten)]
    folder: Folder,
    /// Address to listen on
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    listen: IpAddr,
    /// The host name in its certificate and greeting
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    host: String,
    /// Door for relayed messages (STARTTLS, user `gateway`); 0 takes any free port
    #[arg(long, value_name = "PORT", default_value_t = 2587)]
    relay_port: u16,
    /// Door for edge clients (STARTTLS, the sender logs in)
    #[arg(long, value_name = "PORT", default_value_t = 2588)]
    edge_port: u16,
    /// Door for other STAs (opportunistic STARTTLS, self-signed)
    #[arg(long, value_name = "PORT", default_value_t = 2525)]
    mx_port: u16,
    /// The relay door behind a certificate for another name
    #[arg(long, value_name = "PORT", default_value_t = 2589)]
    bad_tls_port: u16,
    /// Send the notices that the receiving side owes by SMTP to this port on this machine, in the clear; they are put into
    /// DIR/notices in any case
    #[arg(long, value_name = "PORT")]
    notices_port: Option<u16>,
    /// Print where the doors are as one line of JSON, once they are open
    #[arg(long)]
    json: bool,
}

const MISHAPS: &str = "\
Failures are chosen by the part of the recipient's address before the @ (and before a +):
  450, 451, 550, 554 ...     that answer to RCPT
  dot451, dot554 ...         that answer after the final dot
  full, full552              the mailbox is full, for now or for good
  slow, slow5                every answer from RCPT on takes 2 (5) seconds
  tarpit                     answers drip one byte a second
  dropdata                   the connection ends in the middle of the message
  lostreply                  the message is kept, the connection ends without an answer
  latereply, latereply2      the message is kept, the answer comes after 30 (2) seconds
  closing                    421 to RCPT

So are the notices that come back (any other address: processed, and dispatched when asked for):
  nomdn                      none
  processedonly              processed, whatever was asked for
  delayed, delayed9          everything 2 (9) seconds later
  latedispatch9              processed; dispatched 9 seconds later
  dispatchedonly, reversed   dispatched without, or before, processed
  failed, processedfailure   a failed MDN, alone or after processed
  bounced, distrusted        a signed DSN: no such mailbox, or not trusted
  twice                      everything twice
  whitespace, linebreak, extraspace, notype, nobrackets, oddcase, folded
                             malformed, and still to be understood
  nodisposition, othersender, otherid, otherrecipient, clear, stranger
                             must not count";

pub(super) fn run(serve: &Serve) -> anyhow::Result<Exit> {
    let clock = Arc::new(SystemClock);
    let dir = &serve.folder.dir;
    fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    let mailboxes = Mailboxes::new(serve.folder.mail(), clock.clone()).context("making the mailboxes")?;
    let practice = Practice::open(&dir.join("keys"), clock.clone()).context("opening the practice authority")?;
    let (certificate, key) = practice.server(&serve.host).context("making the server's certificate")?;
    let desk = desk(serve, practice.clone(), clock)?;
    let tls = PemPair { certificate: certificate.into_bytes(), key: key.into_bytes() };
    let password = password(&dir.join("password"))?;
    let mut settings = HispSettings::local(mailboxes, tls, Arc::new(practice)).login(USER, password.expose_secret());
    settings.edge_password = Some(password);
    settings.desk = Some(Arc::new(desk));
    settings.listen = serve.listen;
    settings.host.clone_from(&serve.host);
    settings.ports = Ports { relay: serve.relay_port, edge: serve.edge_port, mx: serve.mx_port, bad_tls: serve.bad_tls_port };
    block_on(async {
        let hisp = Hisp::start(settings).await?;
        announce(serve, &hisp)?;
        tokio::signal::ctrl_c().await.context("waiting for Ctrl-C")?;
        hisp.stop().await;
        Ok(Exit::Good)
    })?
}

/// Where notices are written, and where they are sent.
fn desk(serve: &Serve, practice: Practice, clock: Arc<SystemClock>) -> anyhow::Result<Desk> {
    let mailboxes = Mailboxes::new(serve.folder.dir.join("notices"), clock.clone()).context("making the mailboxes of notices")?;
    let post = serve.notices_port.map(|port| {
        let text = format!("name = \"notices\"\nhost = \"localhost\"\nport = {port}\ntls = \"none\"\n");
        let settings: RelaySettings = toml::from_str(&text).context("setting up the way of notices")?;
        Relay::new(settings).context("setting up the way of notices")
    });
    Ok(Desk::new(practice, mailboxes, post.transpose()?, clock))
}

fn announce(serve: &Serve, hisp: &Hisp) -> anyhow::Result<()> {
    let dir = &serve.folder.dir;
    if serve.json {
        let doors = Door::ALL.iter().map(|door| (door.to_string(), hisp.address(*door).to_string().into()));
        let mut all: serde_json::Map<String, serde_json::Value> = doors.collect();
        for (name, file) in [("ca_file", "keys/ca.pem"), ("password_file", "password")] {
            all.insert(name.to_owned(), dir.join(file).display().to_string().into());
        }
        all.insert("user".to_owned(), USER.into());
        return print(&format!("{}\n", serde_json::Value::Object(all)));
    }
    for (door, what) in [
        (Door::Relay, "sealed messages of a relaying STA"),
        (Door::Edge, "clear messages of edge clients"),
        (Door::Mx, "sealed messages of other STAs"),
        (Door::BadTls, "nothing: its certificate is for another name"),
    ] {
        say(&format!("{:<22} {door:<8} takes {what}", hisp.address(door)));
    }
    // Whole paths: the configuration lies in another folder.
    let whole = dir.canonicalize().with_context(|| format!("the folder {}", dir.display()))?;
    let relay = |name: &str, door| {
        format!(
            "[[relay]]\nname = \"{name}\"\nhost = \"{}\"\nport = {}\nca_file = \"{}\"\n",
            serve.host,
            hisp.address(door).port(),
            whole.join("keys/ca.pem").display(),
        )
    };
    let password = whole.join("password");
    say(&format!(
        "\nFor postern.toml:\n\n{}auth = {{ user = \"{USER}\", password_file = \"{}\" }}\n\n{}\n\
         An identity with mode = \"edge\" uses the second; its password_file is {} too.\n\
         Ctrl-C ends it. See what arrived: postern hisp list --dir {}",
        relay("practice", Door::Relay),
        password.display(),
        relay("practice-edge", Door::Edge),
        password.display(),
        dir.display(),
    ));
    Ok(())
}

/// The password in `file`; made at the first start, for its owner's eyes only.
fn password(file: &Path) -> anyhow::Result<SecretString> {
    let failed = || format!("the password file {}", file.display());
    if let Ok(text) = fs::read_to_string(file) {
        let line = text.lines().next().unwrap_or_default();
        anyhow::ensure!(!line.is_empty(), "{} is empty; delete it to get a new one", failed());
        return Ok(SecretString::from(line));
    }
    let mut random = [0; 16];
    crate::crypto::random(&mut random)?;
    let new = crate::crypto::Hex(&random).to_string();
    let mut made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).with_context(failed)?;
    writeln!(made, "{new}").with_context(failed)?;
    Ok(SecretString::from(new))
}
