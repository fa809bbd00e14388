//! Looking up certificates and servers: "there is none" and "I could not find out" are never mixed up, and every answer
//! says who gave it and how long it lasts.
//!
//! Name servers are asked one after the other until one *answers*. SERVFAIL, REFUSED, silence or a referral is no answer
//! (Direct has seen all four from resolvers that do not care for CERT); then the domain's own servers are asked.

use std::{
    collections::BTreeSet,
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hickory_resolver::{
    proto::{
        op::{Message, ResponseCode},
        rr::{Name, RData, RecordType, rdata::cert::CertType},
    },
    system_conf::read_system_conf,
};

use super::{
    DnsUnavailable,
    wire::{self, Ask},
};
use crate::net::address::Guard;

/// Most aliases followed.
const MOST_ALIASES: usize = 8;
/// Most name servers of a domain that are asked.
const MOST_SERVERS: usize = 6;
/// Most records taken from one answer.
const MOST_RECORDS: usize = 64;

/// How to look up.
#[derive(Debug, Clone)]
pub struct LookupRules {
    /// Recursive name servers, in the order in which they are asked; none: those of this machine.
    pub servers: Vec<SocketAddr>,
    /// How long one server may take for one answer.
    pub patience: Duration,
    /// Which addresses may be asked when a domain names its own servers.
    pub guard: Guard,
    /// The port on which a domain's own servers listen: 53, but for tests.
    pub port: u16,
}

/// Looks up.
#[derive(Debug)]
pub struct Lookup {
    rules: LookupRules,
    servers: Result<Vec<SocketAddr>, String>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// The records; empty when the name does not exist or has none of this kind.
    pub records: Vec<T>,
    /// How long it lasts, when the answer says so.
    pub lasts: Option<Duration>,
    /// Who answered.
    pub by: String,
}

/// A CERT record (RFC 4398).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertRecord {
    /// PKIX: a certificate.
    Certificate(Vec<u8>),
    /// IPKIX, or the private type URI: where a certificate is.
    Url(String),
    /// Another kind, which is nothing to us.
    Other(u16),
}

/// Where a service is (RFC 2782).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Lower first.
    pub priority: u16,
    /// Among equals, higher first.
    pub weight: u16,
    /// Host, without final dot.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// A name no DNS question can be asked about: an empty or too long label, or too long a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no DNS name can be made of it")]
pub struct NoName;

impl Lookup {
    /// Puts the rules in force. That this machine has no name servers is told when they are needed.
    #[must_use]
    pub fn new(rules: LookupRules) -> Self {
        let servers = if rules.servers.is_empty() { of_the_system() } else { Ok(rules.servers.clone()) };
        Self { rules, servers }
    }

    /// The certificates at `name`, whose dots part labels.
    ///
    /// # Errors
    /// [`DnsUnavailable`] when neither a resolver nor the domain's own servers would answer.
    pub async fn certificates(&self, name: &str) -> Result<Answer<CertRecord>, DnsUnavailable> {
        let asked = owner(name).map_err(|error| unavailable(name, error))?;
        let answer = match self.recursive(&asked, RecordType::CERT).await {
            Ok(answer) => answer,
            Err(first) => self.authoritative(&asked).await.map_err(|then| unavailable(name, format!("{first}; {then}")))?,
        };
        Ok(answer.map(|data| match data {
            RData::CERT(cert) => Some(cert_record(cert.cert_type, &cert.cert_data)),
            _ => None,
        }))
    }

    /// Where `service` (`_ldap._tcp.example.org`) is, in the order in which to try.
    ///
    /// # Errors
    /// [`DnsUnavailable`] when no resolver would answer.
    pub async fn services(&self, service: &str) -> Result<Answer<Service>, DnsUnavailable> {
        let asked = owner(service).map_err(|error| unavailable(service, error))?;
        let answer = self.recursive(&asked, RecordType::SRV).await.map_err(|why| unavailable(service, why))?;
        let mut answer = answer.map(|data| match data {
            RData::SRV(srv) if srv.port > 0 && !srv.target.is_root() => {
                Some(Service { priority: srv.priority, weight: srv.weight, host: plain(&srv.target), port: srv.port })
            }
            // RFC 2782: the target "." says that the service is not there.
            _ => None,
        });
        in_order(&mut answer.records);
        Ok(answer)
    }

    /// The addresses of `host`, IPv4 first.
    ///
    /// # Errors
    /// [`DnsUnavailable`] when no address is known and a resolver would not answer.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, DnsUnavailable> {
        if let Ok(literal) = host.parse() {
            return Ok(vec![literal]);
        }
        let asked = owner(host).map_err(|error| unavailable(host, error))?;
        let (four, six) = tokio::join!(self.recursive(&asked, RecordType::A), self.recursive(&asked, RecordType::AAAA));
        let failed = [&four, &six].into_iter().find_map(|answer| answer.as_ref().err().cloned());
        let answers = [four, six].into_iter().flatten().flat_map(|answer| answer.records);
        let found: Vec<IpAddr> = answers
            .filter_map(|data| match data {
                RData::A(a) => Some(IpAddr::V4(a.0)),
                RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
                _ => None,
            })
            .collect();
        match failed {
            Some(why) if found.is_empty() => Err(unavailable(host, why)),
            _ => Ok(found),
        }
    }

    /// Asks the resolvers, and again for the end of an alias they did not follow.
    async fn recursive(&self, name: &Name, kind: RecordType) -> Result<Answer<RData>, String> {
        let servers = self.servers.as_ref().map_err(Clone::clone)?;
        let mut asked = Ask { name: name.clone(), kind, recursive: true };
        for _ in 0..MOST_ALIASES {
            match self.first(servers, &asked, |_| true).await? {
                Said::Answer(answer) => return Ok(answer),
                Said::Alias(target) => asked.name = target,
            }
        }
        Err("the aliases have no end".to_owned())
    }

    /// Asks the servers that the domain of `name` names for itself.
    async fn authoritative(&self, name: &Name) -> Result<Answer<RData>, String> {
        let mut asked = Ask { name: name.clone(), kind: RecordType::CERT, recursive: false };
        for _ in 0..MOST_ALIASES {
            let servers = self.own_servers(&asked.name).await?;
            // A server that is not responsible knows nothing, whatever it says.
            match self.first(&servers, &asked, |message| message.metadata.authoritative).await? {
                Said::Answer(answer) => return Ok(answer),
                Said::Alias(target) => asked.name = target,
            }
        }
        Err("the aliases have no end".to_owned())
    }

    /// The name servers of the zone `name` is in, as far as they may be asked.
    async fn own_servers(&self, name: &Name) -> Result<Vec<SocketAddr>, String> {
        let mut zone = name.clone();
        while zone.num_labels() > 1 {
            let hosts: BTreeSet<String> = self.recursive(&zone, RecordType::NS).await?.records.iter().filter_map(host).collect();
            if hosts.is_empty() {
                zone = zone.base_name();
                continue;
            }
            let mut found = Vec::new();
            for host in hosts.iter().take(MOST_SERVERS) {
                // One bad name server must not fail the look-up.
                found.extend(self.addresses(host).await.unwrap_or_default());
            }
            found.retain(|address| self.rules.guard.permits(*address));
            if found.is_empty() {
                return Err(format!("none of the name servers of {} has an address that may be asked", plain(&zone)));
            }
            found.truncate(MOST_SERVERS);
            return Ok(found.into_iter().map(|address| SocketAddr::new(address, self.rules.port)).collect());
        }
        Err("the domain names no name servers".to_owned())
    }

    /// What the first server that answers says.
    async fn first(&self, servers: &[SocketAddr], ask: &Ask, counts: impl Fn(&Message) -> bool) -> Result<Said, String> {
        let mut failures = Vec::new();
        for server in servers {
            let said = match wire::ask(*server, ask, self.rules.patience).await {
                Ok(message) if counts(&message) => read(&message, ask, *server),
                Ok(_) => Err("is not responsible for the domain".to_owned()),
                Err(why) => Err(why),
            };
            match said {
                Ok(said) => return Ok(said),
                Err(why) => failures.push(format!("{server}: {why}")),
            }
        }
        Err(if failures.is_empty() { "there is no name server to ask".to_owned() } else { failures.join(", ") })
    }
}

impl<T> Answer<T> {
    fn map<U>(self, read: impl Fn(T) -> Option<U>) -> Answer<U> {
        Answer { records: self.records.into_iter().filter_map(read).take(MOST_RECORDS).collect(), lasts: self.lasts, by: self.by }
    }
}

/// What one server said.
#[derive(Debug)]
enum Said {
    Answer(Answer<RData>),
    /// The name is another's alias, and the server did not say what is there.
    Alias(Name),
}

/// Reads an answer. Only NOERROR and NXDOMAIN are answers.
fn read(message: &Message, ask: &Ask, server: SocketAddr) -> Result<Said, String> {
    let code = message.metadata.response_code;
    if !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
        return Err(format!("answered {code}"));
    }
    let (mut name, mut ttl) = (&ask.name, u32::MAX);
    for _ in 0..=MOST_ALIASES {
        let records: Vec<_> =
            message.answers.iter().filter(|record| record.record_type() == ask.kind && record.name == *name).collect();
        if !records.is_empty() {
            let lasts = records.iter().map(|record| record.ttl).min().unwrap_or(0).min(ttl);
            let records = records.into_iter().map(|record| record.data.clone()).collect();
            return Ok(said(records, Some(lasts), server));
        }
        let alias = message.answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if record.name == *name => Some((&target.0, record.ttl)),
            _ => None,
        });
        let Some((target, lasts)) = alias else { break };
        (name, ttl) = (target, ttl.min(lasts));
    }
    let negative = message.authorities.iter().find_map(|record| match &record.data {
        // RFC 2308 5.
        RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
        _ => None,
    });
    if code == ResponseCode::NXDomain || negative.is_some() {
        return Ok(said(Vec::new(), negative.map(|negative| negative.min(ttl)), server));
    }
    if *name != ask.name {
        return Ok(Said::Alias(name.clone()));
    }
    if message.authorities.iter().any(|record| record.record_type() == RecordType::NS) {
        return Err("sent us to other servers instead of answering".to_owned());
    }
    Ok(said(Vec::new(), None, server))
}

fn said(records: Vec<RData>, ttl: Option<u32>, server: SocketAddr) -> Said {
    let lasts = ttl.map(|seconds| Duration::from_secs(seconds.into()));
    Said::Answer(Answer { records, lasts, by: server.to_string() })
}

/// A complete name; each label may hold what a local part may hold.
fn owner(name: &str) -> Result<Name, NoName> {
    let labels = name.trim_end_matches('.').split('.').map(str::as_bytes);
    let mut name = Name::from_labels(labels).map_err(|_| NoName)?;
    name.set_fqdn(true);
    Ok(name)
}

/// Whether DNS can be asked about `name` at all.
///
/// # Errors
/// [`NoName`] when it cannot.
pub fn can_be_asked(name: &str) -> Result<(), NoName> {
    owner(name).map(drop)
}

fn plain(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_owned()
}

fn host(data: &RData) -> Option<String> {
    match data {
        RData::NS(host) => Some(plain(&host.0)),
        _ => None,
    }
}

/// The CERT records in an answer as it came over the wire, whatever was asked: for tests that send anything.
#[must_use]
pub fn cert_records(answer: &[u8]) -> Vec<CertRecord> {
    let Ok(message) = Message::from_vec(answer) else { return Vec::new() };
    let records = message.answers.iter().take(MOST_RECORDS).filter_map(|record| match &record.data {
        RData::CERT(cert) => Some(cert_record(cert.cert_type, &cert.cert_data)),
        _ => None,
    });
    records.collect()
}

fn cert_record(kind: CertType, data: &[u8]) -> CertRecord {
    match kind {
        CertType::PKIX => CertRecord::Certificate(data.to_vec()),
        CertType::IPKIX | CertType::URI => {
            // RFC 4398 2.1: after the URI of the private type, a NUL and more may follow.
            let url = data.split(|octet| *octet == 0).next().unwrap_or_default();
            CertRecord::Url(String::from_utf8_lossy(url).trim().to_owned())
        }
        other => CertRecord::Other(other.into()),
    }
}

/// Priority ascending; among equals weight descending. RFC 2782 draws lots by weight to share the load; certificates are
/// few, and whoever publishes them (and the federal test tool) expects the heavier first.
fn in_order(services: &mut [Service]) {
    services.sort_by(|a, b| {
        (a.priority, std::cmp::Reverse(a.weight), &a.host).cmp(&(b.priority, std::cmp::Reverse(b.weight), &b.host))
    });
}

fn of_the_system() -> Result<Vec<SocketAddr>, String> {
    let (config, _) = read_system_conf().map_err(|error| format!("the name servers of this machine are not known ({error})"))?;
    let mut servers = Vec::new();
    for server in config.name_servers() {
        let port = server.connections.first().map_or(53, |connection| connection.port);
        let address = SocketAddr::new(server.ip, port);
        if !servers.contains(&address) {
            servers.push(address);
        }
    }
    if servers.is_empty() { Err("this machine has no name servers".to_owned()) } else { Ok(servers) }
}

fn unavailable(name: &str, why: impl fmt::Display) -> DnsUnavailable {
    DnsUnavailable { name: name.to_owned(), why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(priority: u16, weight: u16, host: &str) -> Service {
        Service { priority, weight, host: host.to_owned(), port: 389 }
    }

    #[test]
    fn services_are_tried_by_priority_and_then_the_heavier_first() {
        let mut all = [service(10, 0, "d"), service(0, 5, "b"), service(0, 90, "a"), service(0, 5, "c")];
        in_order(&mut all);
        let hosts: Vec<&str> = all.iter().map(|one| one.host.as_str()).collect();
        assert_eq!(hosts, ["a", "b", "c", "d"]);
    }

    #[test]
    fn a_name_is_made_of_what_a_local_part_may_hold_and_of_nothing_else() {
        let long = "a".repeat(64);
        for (name, can) in [
            ("jo.doe.direct.example.org", true),
            ("o'neil$x=y.direct.example.org", true),
            ("_ldap._tcp.direct.example.org", true),
            ("", false),
            ("jo..direct.example.org", false),
            (&format!("{long}.example.org"), false),
            (&"abcdefgh.".repeat(30), false),
        ] {
            assert_eq!(can_be_asked(name).is_ok(), can, "{name}");
        }
    }

    #[test]
    fn what_follows_a_nul_in_a_url_record_is_not_part_of_the_url() {
        let url = |kind, data: &[u8]| cert_record(kind, data);
        assert_eq!(url(CertType::IPKIX, b"http://a.example/x"), CertRecord::Url("http://a.example/x".into()));
        assert_eq!(url(CertType::URI, b"http://a.example/x\0more"), CertRecord::Url("http://a.example/x".into()));
        assert_eq!(url(CertType::PGP, b"x"), CertRecord::Other(3));
    }
}
