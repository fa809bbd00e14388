//! What can be asked about certificates, and what can be answered. An answer is kept under its question.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::{domain::DirectAddress, observe::facts::Lookup};

/// One question to the outside.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Question {
    /// DNS: the certificates at a name.
    Certificates {
        /// The DNS name.
        name: String,
        /// The address or domain it stands for.
        about: String,
    },
    /// DNS: the LDAP directories of a domain.
    Directories {
        /// The domain.
        domain: String,
    },
    /// LDAP: the certificates of the entries with this `mail`.
    Entries {
        /// The directory.
        server: Server,
        /// The address or domain.
        mail: String,
    },
}

/// A directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Server {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Question {
    /// The certificates at the DNS name of an address: its `@` becomes a dot (RFC 4398 3.1 as Direct reads it: the dots of
    /// the local part part labels like all others).
    #[must_use]
    pub fn of_address(address: &DirectAddress) -> Self {
        let about = address.key();
        Self::Certificates { name: about.replacen('@', ".", 1), about }
    }

    /// The certificates at the DNS name of a domain.
    #[must_use]
    pub fn of_domain(address: &DirectAddress) -> Self {
        Self::Certificates { name: address.domain_key(), about: address.domain_key() }
    }

    /// The address or domain it is about.
    #[must_use]
    pub fn about(&self) -> &str {
        match self {
            Self::Certificates { about, .. } => about,
            Self::Directories { domain } => domain,
            Self::Entries { mail, .. } => mail,
        }
    }

    /// What an answer is kept under. One DNS name can stand for an address and for a domain; each is forgotten alone.
    pub(super) fn key(&self) -> String {
        format!("{self} for {}", self.about())
    }

    /// Who has to answer, for the log and the metrics.
    pub(super) const fn source(&self) -> Lookup {
        match self {
            Self::Certificates { .. } | Self::Directories { .. } => Lookup::Dns,
            Self::Entries { .. } => Lookup::Ldap,
        }
    }

    /// Who has to answer: when they are in trouble, all their questions are.
    pub(super) fn respondent(&self) -> String {
        match self {
            Self::Entries { server, .. } => server.to_string(),
            _ => self.about().rsplit('@').next().unwrap_or_default().to_owned(),
        }
    }
}

/// For people.
impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificates { name, .. } => write!(f, "DNS CERT {name}"),
            Self::Directories { domain } => write!(f, "DNS SRV {}", service(domain)),
            Self::Entries { server, mail } => write!(f, "LDAP {server} (mail={})", escaped(mail)),
        }
    }
}

/// The name under which the directories of a domain are.
pub(super) fn service(domain: &str) -> String {
    format!("_ldap._tcp.{domain}")
}

/// A value inside the text of a filter (RFC 4515 3): for people; on the wire a value is octets and needs no escape.
fn escaped(value: &str) -> String {
    let escape = |c: char| match c {
        '*' | '(' | ')' | '\\' | '\0' => format!("\\{:02x}", u32::from(c)),
        other => other.to_string(),
    };
    value.chars().map(escape).collect()
}

/// What was answered. "No answer" is none of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// At least one certificate, or something that is offered as one.
    Certificates(Vec<Candidate>),
    /// At least one directory, in the order in which to ask.
    Directories(Vec<Server>),
    /// There is none.
    Nothing,
}

/// Something that is offered as a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Where it had to be fetched from, when DNS gave a URL.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub url: Option<String>,
    /// What was there.
    pub content: Content,
}

/// What a candidate turned out to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// The bytes of a certificate, not read yet.
    Der(Der),
    /// It cannot be had, and that will not change by itself.
    Unusable(String),
    /// It could not be fetched now. An answer with one of these is not kept.
    Unavailable(String),
}

/// Bytes; in JSON base64.
#[derive(Clone, PartialEq, Eq)]
pub struct Der(pub Vec<u8>);

impl fmt::Debug for Der {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Der({} octets)", self.0.len())
    }
}

impl Serialize for Der {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Der {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}

impl Reply {
    /// Certificates, or nothing when there are none.
    pub(super) fn certificates(candidates: Vec<Candidate>) -> Self {
        if candidates.is_empty() { Self::Nothing } else { Self::Certificates(candidates) }
    }

    /// Whether it may be kept.
    pub(super) fn may_be_kept(&self) -> bool {
        match self {
            Self::Certificates(all) => !all.iter().any(|one| matches!(one.content, Content::Unavailable(_))),
            Self::Directories(_) | Self::Nothing => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_address_has_a_dot_for_its_at() {
        let address: DirectAddress = "Jo.Doe@Direct.Example.org".parse().unwrap();
        assert_eq!(Question::of_address(&address).to_string(), "DNS CERT jo.doe.direct.example.org");
        assert_eq!(Question::of_domain(&address).to_string(), "DNS CERT direct.example.org");
        assert_eq!(Question::of_address(&address).about(), "jo.doe@direct.example.org");
    }

    #[test]
    fn a_filter_shows_wild_cards_as_what_they_are() {
        let server = Server { host: "ldap.example.org".into(), port: 389 };
        let shown = Question::Entries { server, mail: "*)(uid=x@d.example".into() }.to_string();
        assert_eq!(shown, r"LDAP ldap.example.org:389 (mail=\2a\29\28uid=x@d.example)");
    }

    #[test]
    fn a_kept_answer_reads_back_the_same() {
        let content = |content| Candidate { url: Some("http://x.example/c".into()), content };
        for reply in [
            Reply::Nothing,
            Reply::Certificates(vec![content(Content::Der(Der(vec![0, 255, 7]))), content(Content::Unusable("no".into()))]),
            Reply::Directories(vec![Server { host: "a.example".into(), port: 389 }]),
        ] {
            let json = serde_json::to_vec(&reply).unwrap();
            assert_eq!(serde_json::from_slice::<Reply>(&json).unwrap(), reply);
            assert!(reply.may_be_kept());
        }
        assert!(!Reply::Certificates(vec![content(Content::Unavailable("503".into()))]).may_be_kept());
    }
}
