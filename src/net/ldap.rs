//! Certificates in LDAP directories: an anonymous bind, the bases from the root DSE, one search below each.
//!
//! The server is named by whoever owns the recipient's domain, so it may be anybody's and may say anything: time, bytes,
//! entries and bases are limited, referrals are not followed, and an answer that cannot be read is no answer.

/// The BER that LDAP needs.
mod ber;
/// The messages.
mod message;

use std::{net::SocketAddr, time::Duration};

use message::{Attribute, Filter, Outcome, Reply, Scope, Search};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::address::Guard;

/// Most octets one server may send us.
const MOST_BYTES: usize = 1 << 20;
/// Most entries taken below one base.
const MOST_ENTRIES: u16 = 20;
/// Most bases searched.
const MOST_BASES: usize = 16;
/// Most certificates taken from one server.
const MOST_CERTIFICATES: usize = 64;
/// Most addresses of one server tried.
const MOST_ADDRESSES: usize = 4;

/// RFC 4511 A.1.
const SUCCESS: u32 = 0;
const SIZE_LIMIT: u32 = 4;
const REFERRAL: u32 = 10;
const NO_SUCH_ATTRIBUTE: u32 = 16;
const UNDEFINED_ATTRIBUTE: u32 = 17;
const NO_SUCH_OBJECT: u32 = 32;

/// Asks directories.
#[derive(Debug, Clone)]
pub struct Ldap {
    /// How long one server may take, connecting included.
    pub patience: Duration,
    /// Which addresses may be connected to.
    pub guard: Guard,
}

/// What a directory has for an address or domain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holdings {
    /// The values of `userCertificate`, as they came.
    pub certificates: Vec<Vec<u8>>,
    /// The bases that were searched.
    pub bases: Vec<String>,
    /// The address that answered.
    pub at: Option<SocketAddr>,
}

/// A directory that did not answer. Never to be read as "it has none".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LdapError {
    /// It could not be reached.
    #[error("{0}")]
    Unreachable(String),
    /// Its addresses are ours.
    #[error("its address is in a private network, and [discovery] allow does not name it")]
    Private,
    /// It took too long.
    #[error("no answer in time")]
    Late,
    /// It sent more than anybody needs.
    #[error("it sent more than {MOST_BYTES} octets")]
    TooMuch,
    /// It speaks something else.
    #[error("the answer is no LDAP message")]
    Malformed,
    /// It said no.
    #[error("it answered with code {code} {says:?}")]
    Refused {
        /// The result code.
        code: u32,
        /// Its words.
        says: String,
    },
}

impl From<ber::Malformed> for LdapError {
    fn from(_: ber::Malformed) -> Self {
        Self::Malformed
    }
}

impl From<std::io::Error> for LdapError {
    fn from(error: std::io::Error) -> Self {
        Self::Unreachable(error.to_string())
    }
}

impl Ldap {
    /// The certificates of the entries below every base whose `mail` is `mail`, from the first of `addresses` (all of one
    /// server) that can be connected to.
    ///
    /// # Errors
    /// [`LdapError`] when the server did not answer: that is not "none".
    pub async fn certificates(&self, addresses: &[SocketAddr], mail: &str) -> Result<Holdings, LdapError> {
        let permitted: Vec<_> = addresses.iter().filter(|at| self.guard.permits(at.ip())).take(MOST_ADDRESSES).collect();
        if permitted.is_empty() {
            return Err(if addresses.is_empty() {
                LdapError::Unreachable("it has no address".into())
            } else {
                LdapError::Private
            });
        }
        timeout(self.patience, async {
            let mut last = LdapError::Late;
            for (n, at) in permitted.iter().enumerate() {
                // A dead address leaves time for the next.
                let share = self.patience / u32::try_from(permitted.len() - n + 1).unwrap_or(2);
                match timeout(share, TcpStream::connect(at)).await {
                    Ok(Ok(tcp)) => return self.converse(tcp, **at, mail).await,
                    Ok(Err(error)) => last = error.into(),
                    Err(_) => last = LdapError::Late,
                }
            }
            Err(last)
        })
        .await
        .unwrap_or(Err(LdapError::Late))
    }

    async fn converse(&self, tcp: TcpStream, at: SocketAddr, mail: &str) -> Result<Holdings, LdapError> {
        let mut talk = Talk { tcp, seen: 0, id: 0, buffer: Vec::new() };
        talk.bind().await?;
        let mut holdings = Holdings { bases: talk.bases(self.seconds()).await?, at: Some(at), ..Holdings::default() };
        for base in &holdings.bases {
            let found = Search {
                base,
                scope: Scope::Subtree,
                filter: Filter::Equal("mail", mail),
                attributes: &["userCertificate;binary", "userCertificate"],
                entries: MOST_ENTRIES,
                seconds: self.seconds(),
            };
            holdings.certificates.extend(talk.search(&found, is_certificate).await?);
        }
        holdings.certificates.sort();
        holdings.certificates.dedup();
        holdings.certificates.truncate(MOST_CERTIFICATES);
        talk.goodbye().await;
        Ok(holdings)
    }

    fn seconds(&self) -> u16 {
        u16::try_from(self.patience.as_secs().max(1)).unwrap_or(u16::MAX)
    }
}

/// The certificates in one message of a server, when it is one that can be understood: for tests that send anything.
#[must_use]
pub fn certificates_in(message: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (head, length) = ber::header(message).ok()??;
    match message::read(message.get(..head.checked_add(length)?)?).ok()?.1 {
        Reply::Entry(attributes) => Some(values(attributes, is_certificate)),
        _ => Some(Vec::new()),
    }
}

fn is_certificate(name: &[u8]) -> bool {
    // RFC 4523 2.1; options like ;binary may follow.
    let name = name.split(|octet| *octet == b';').next().unwrap_or_default();
    name.eq_ignore_ascii_case(b"userCertificate") || name == b"2.5.4.36"
}

fn is_context(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"namingContexts")
}

/// One connection.
struct Talk {
    tcp: TcpStream,
    seen: usize,
    id: u16,
    buffer: Vec<u8>,
}

impl Talk {
    async fn bind(&mut self) -> Result<(), LdapError> {
        self.id += 1;
        self.tcp.write_all(&message::bind(self.id)).await?;
        let bytes = self.message().await?;
        match message::read(&bytes)? {
            (_, Reply::Bound(Outcome { code: SUCCESS, .. })) => Ok(()),
            (_, Reply::Bound(Outcome { code, says })) => Err(LdapError::Refused { code, says }),
            _ => Err(LdapError::Malformed),
        }
    }

    /// The root DSE's naming contexts; the whole tree when it does not say.
    async fn bases(&mut self, seconds: u16) -> Result<Vec<String>, LdapError> {
        let root = Search {
            base: "",
            scope: Scope::Base,
            filter: Filter::Present("objectClass"),
            attributes: &["namingContexts"],
            entries: 1,
            seconds,
        };
        let contexts = self.search(&root, is_context).await?;
        let mut bases: Vec<String> = contexts.into_iter().filter_map(|base| String::from_utf8(base).ok()).collect();
        bases.sort();
        bases.dedup();
        bases.truncate(MOST_BASES);
        Ok(if bases.is_empty() { vec![String::new()] } else { bases })
    }

    /// The values of the attributes that are `wanted` in everything that was found.
    async fn search(&mut self, search: &Search<'_>, wanted: fn(&[u8]) -> bool) -> Result<Vec<Vec<u8>>, LdapError> {
        self.id += 1;
        self.tcp.write_all(&message::search(self.id, search)).await?;
        let (mut found, mut entries) = (Vec::new(), 0);
        loop {
            let bytes = self.message().await?;
            let (id, reply) = message::read(&bytes)?;
            match reply {
                Reply::Goodbye => return Err(LdapError::Unreachable("it hung up".into())),
                _ if id != u32::from(self.id) => return Err(LdapError::Malformed),
                Reply::Entry(attributes) => {
                    entries += 1;
                    // A server that does not keep to the limit it was given.
                    if entries > search.entries {
                        return Err(LdapError::TooMuch);
                    }
                    found.extend(values(attributes, wanted));
                }
                Reply::Elsewhere => {}
                Reply::Done(Outcome { code, says }) => {
                    return match code {
                        // The last four: it has no such entry, knows no such attribute, or says that others have it, whom we
                        // do not ask.
                        SUCCESS | SIZE_LIMIT | NO_SUCH_OBJECT | NO_SUCH_ATTRIBUTE | UNDEFINED_ATTRIBUTE | REFERRAL => Ok(found),
                        _ => Err(LdapError::Refused { code, says }),
                    };
                }
                Reply::Bound(_) => return Err(LdapError::Malformed),
            }
        }
    }

    /// The next whole message.
    async fn message(&mut self) -> Result<Vec<u8>, LdapError> {
        loop {
            if let Some((head, length)) = ber::header(&self.buffer)? {
                let whole = head + length;
                // Judged by its own words, before it is waited for.
                if whole > MOST_BYTES {
                    return Err(LdapError::TooMuch);
                }
                if self.buffer.len() >= whole {
                    let rest = self.buffer.split_off(whole);
                    return Ok(std::mem::replace(&mut self.buffer, rest));
                }
            }
            let read = self.tcp.read_buf(&mut self.buffer).await?;
            if read == 0 {
                return Err(LdapError::Unreachable("it hung up".into()));
            }
            self.seen += read;
            if self.seen > MOST_BYTES {
                return Err(LdapError::TooMuch);
            }
        }
    }

    async fn goodbye(&mut self) {
        self.id += 1;
        // What was wanted is here already.
        let _ = self.tcp.write_all(&message::unbind(self.id)).await;
    }
}

fn values(attributes: Vec<Attribute<'_>>, wanted: fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
    let wanted = attributes.into_iter().filter(|attribute| wanted(attribute.name));
    wanted.flat_map(|attribute| attribute.values).map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_known_by_its_name_with_and_without_options() {
        for (name, is) in [
            (&b"userCertificate;binary"[..], true),
            (b"USERCERTIFICATE", true),
            (b"2.5.4.36", true),
            (b"userCertificateX", false),
            (b"userSMIMECertificate;binary", false),
        ] {
            assert_eq!(is_certificate(name), is, "{}", String::from_utf8_lossy(name));
        }
    }

    #[tokio::test]
    async fn a_server_without_an_address_we_may_use_is_not_connected_to() {
        let ldap = Ldap { patience: Duration::from_secs(1), guard: Guard::default() };
        let ours: SocketAddr = ([127, 0, 0, 1], 389).into();
        assert_eq!(ldap.certificates(&[ours], "a@b.example").await, Err(LdapError::Private));
        assert!(matches!(ldap.certificates(&[], "a@b.example").await, Err(LdapError::Unreachable(_))));
    }
}
