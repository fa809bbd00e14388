//! `[smtp_in]`: the door for mail to our addresses.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::section::section;
use crate::domain::time::Span;

section! {
    /// The door for mail to our addresses: notices and replies, from HISPs and peers that deliver to us. It takes mail for
    /// the addresses of identities and for no other, and says 250 only when a message is on disk. Closed unless `listen`
    /// is set.
    ["smtp_in"] SmtpInSection {
        /// Address and port to listen on; other STAs come to port 25.
        listen: Option<SocketAddr> = None; for example "\"0.0.0.0:25\"",
        /// The name in its greeting: the host that the MX record of our domains names.
        host: String = "localhost".to_owned(),
        /// PEM certificate, with its chain, for STARTTLS. Without one TLS is not offered.
        certificate_file: Option<PathBuf> = None; for example "\"keys/mx.pem\"",
        /// PEM private key that belongs to it.
        key_file: Option<PathBuf> = None; for example "\"keys/mx.key\"",
        /// Refuse mail that does not come under TLS. What comes sealed needs no TLS, and many STAs use none.
        require_tls: bool = false,
        /// Most octets of one message.
        message_bytes: usize = 25_000_000,
        /// Connections open at the same time. Where a relay names where it comes from (`inbound_from`), a quarter of them is kept
        /// for relays.
        connections: usize = 64,
        /// Of these, from one address; relays named in the configuration are not counted.
        per_client: usize = 8,
        /// Messages a minute from one address; relays named in the configuration are not counted. 0 sets no limit.
        per_minute: u32 = 120,
        /// Octets a minute from one address, each message as often as it has addressees here: so often it is kept. Relays named in
        /// the configuration are not counted. 0 sets no limit.
        bytes_per_minute: usize = 50_000_000,
        /// How long a client may say nothing.
        idle: Span = Span::seconds(300),
        /// How long a client that is no relay of ours may stay without bringing a message, and how long one message of it may take.
        without_message: Span = Span::seconds(300),
    }
}

impl SmtpInSection {
    /// Makes paths that are not absolute count from `folder`, where the configuration file is.
    pub(super) fn paths_from(&mut self, folder: &Path) {
        for file in [&mut self.certificate_file, &mut self.key_file] {
            *file = file.take().map(|file| folder.join(file));
        }
    }

    /// What no single setting can know.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.certificate_file.is_some() != self.key_file.is_some() {
            problems.push("smtp_in.certificate_file and smtp_in.key_file belong together".to_owned());
        }
        if self.require_tls && self.certificate_file.is_none() {
            problems.push("smtp_in.require_tls needs smtp_in.certificate_file".to_owned());
        }
        if self.message_bytes < 100_000 {
            problems.push("smtp_in.message_bytes must be at least 100000".to_owned());
        }
        if self.connections == 0 || self.per_client == 0 {
            problems.push("smtp_in.connections and smtp_in.per_client must be at least 1".to_owned());
        }
        if self.idle.0.as_secs() < 5 || self.without_message.0.as_secs() < 5 {
            problems.push("smtp_in.idle and smtp_in.without_message must be at least 5s".to_owned());
        }
        if self.bytes_per_minute != 0 && self.bytes_per_minute < self.message_bytes {
            problems.push("smtp_in.bytes_per_minute must have room for smtp_in.message_bytes".to_owned());
        }
        problems
    }
}
