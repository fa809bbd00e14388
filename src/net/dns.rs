//! Mail hosts and their addresses. "There is none" and "I could not find out" are never mixed up.

/// Looking up certificates and servers, one question at a time.
pub mod lookup;
/// One question to one name server.
mod wire;

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

use futures_util::future::BoxFuture;
use hickory_resolver::{
    ResolverBuilder, TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
    proto::rr::RData,
};

/// Who takes mail for a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailHosts {
    /// These hosts, to be tried in this order. Without an MX record the domain itself (RFC 5321 5.1).
    Hosts(Vec<String>),
    /// Nobody: the domain says so (null MX, RFC 7505).
    NoMail,
    /// The domain does not exist or has neither MX nor address.
    NoSuchDomain,
}

/// The question could not be answered now. Never to be read as "there is none".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("DNS did not answer for {name}: {why}")]
pub struct DnsUnavailable {
    /// What was asked for.
    pub name: String,
    /// What went wrong.
    pub why: String,
}

/// Answers questions about mail hosts.
pub trait Resolve: Send + Sync + 'static {
    /// Who takes mail for `domain`.
    fn mail_hosts<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Result<MailHosts, DnsUnavailable>>;

    /// Where `host` listens on `port`; empty when it has no address.
    fn addresses<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Result<Vec<SocketAddr>, DnsUnavailable>>;
}

/// The real DNS, by the system's name servers.
pub struct Dns(TokioResolver);

impl std::fmt::Debug for Dns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dns")
    }
}

impl Dns {
    /// Uses these name servers, over UDP and, for large answers, TCP.
    pub fn at(servers: &[SocketAddr]) -> Result<Self, DnsUnavailable> {
        let servers = servers.iter().map(|server| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = server.port();
                connection
            });
            NameServerConfig::new(server.ip(), true, connections.to_vec())
        });
        let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
        Self::build(TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()))
    }

    /// Uses the name servers of `/etc/resolv.conf`.
    pub fn from_system() -> Result<Self, DnsUnavailable> {
        Self::build(TokioResolver::builder_tokio().map_err(|error| unusable(&error))?)
    }

    fn build(mut builder: ResolverBuilder<TokioRuntimeProvider>) -> Result<Self, DnsUnavailable> {
        // Every name we ask for is complete; a search list would tell a local resolver whom we write to.
        builder.options_mut().ndots = 0;
        builder.build().map(Self).map_err(|error| unusable(&error))
    }
}

fn unusable(error: &dyn std::fmt::Display) -> DnsUnavailable {
    DnsUnavailable { name: "the name servers".to_owned(), why: error.to_string() }
}

/// Complete, with its final dot, so that no search list is tried.
fn complete(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.'))
}

impl Resolve for Dns {
    fn mail_hosts<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Result<MailHosts, DnsUnavailable>> {
        Box::pin(async move {
            let answer = match self.0.mx_lookup(complete(domain)).await {
                Ok(answer) => answer,
                Err(error) if error.is_nx_domain() => return Ok(MailHosts::NoSuchDomain),
                // RFC 5321 5.1: a domain without MX but with an address is its own host, with preference 0.
                Err(error) if error.is_no_records_found() => {
                    let itself = self.addresses(domain, 0).await?;
                    let none = itself.is_empty();
                    return Ok(if none { MailHosts::NoSuchDomain } else { MailHosts::Hosts(vec![domain.to_owned()]) });
                }
                Err(error) => return Err(DnsUnavailable { name: domain.to_owned(), why: error.to_string() }),
            };
            // The answer holds the CNAMEs on the way too.
            let records = answer.answers().iter().filter_map(|record| match &record.data {
                RData::MX(mx) => Some((mx.preference, mx.exchange.to_utf8().trim_end_matches('.').to_owned())),
                _ => None,
            });
            Ok(in_order(records.collect()))
        })
    }

    fn addresses<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Result<Vec<SocketAddr>, DnsUnavailable>> {
        Box::pin(async move {
            match self.0.lookup_ip(complete(host)).await {
                Ok(answer) => Ok(answer.iter().map(|ip| SocketAddr::new(ip, port)).collect()),
                Err(error) if error.is_nx_domain() || error.is_no_records_found() => Ok(Vec::new()),
                Err(error) => Err(DnsUnavailable { name: host.to_owned(), why: error.to_string() }),
            }
        })
    }
}

/// Lowest preference first; equals in random order, so that they share the load (RFC 5321 5.1).
fn in_order(records: Vec<(u16, String)>) -> MailHosts {
    let hosts = records.iter().filter(|(_, host)| !host.is_empty()).count();
    // RFC 7505 3: the null MX stands alone; beside others it means nothing.
    if hosts == 0 {
        return if records.is_empty() { MailHosts::NoSuchDomain } else { MailHosts::NoMail };
    }
    let mut keyed: Vec<(u16, u32, String)> =
        records.into_iter().filter(|(_, host)| !host.is_empty()).map(|(preference, host)| (preference, dice(), host)).collect();
    keyed.sort();
    let mut hosts: Vec<String> = keyed.into_iter().map(|(_, _, host)| host).collect();
    hosts.dedup();
    MailHosts::Hosts(hosts)
}

fn dice() -> u32 {
    let mut bytes = [0; 4];
    // Without randomness the order is still right, only less fair.
    let _ = openssl::rand::rand_bytes(&mut bytes);
    u32::from_be_bytes(bytes)
}

/// A DNS of our own making, for tests and for the demo: domains to hosts, hosts to addresses with ports.
#[derive(Debug, Clone, Default)]
pub struct StaticDns {
    domains: HashMap<String, Result<MailHosts, DnsUnavailable>>,
    hosts: HashMap<String, Vec<SocketAddr>>,
}

impl StaticDns {
    /// `domain` answers with `hosts`.
    #[must_use]
    pub fn domain(mut self, domain: &str, hosts: MailHosts) -> Self {
        self.domains.insert(domain.to_ascii_lowercase(), Ok(hosts));
        self
    }

    /// `domain` cannot be looked up now.
    #[must_use]
    pub fn unavailable(mut self, domain: &str) -> Self {
        let error = DnsUnavailable { name: domain.to_owned(), why: "SERVFAIL".to_owned() };
        self.domains.insert(domain.to_ascii_lowercase(), Err(error));
        self
    }

    /// `host` listens at `addresses`, ports included.
    #[must_use]
    pub fn host(mut self, host: &str, addresses: &[SocketAddr]) -> Self {
        self.hosts.insert(host.to_ascii_lowercase(), addresses.to_vec());
        self
    }

    /// `domain` is served by one host of the same name at `address`.
    #[must_use]
    pub fn served_at(self, domain: &str, address: SocketAddr) -> Self {
        self.domain(domain, MailHosts::Hosts(vec![domain.to_owned()])).host(domain, &[address])
    }
}

impl Resolve for StaticDns {
    fn mail_hosts<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Result<MailHosts, DnsUnavailable>> {
        let found = self.domains.get(&domain.to_ascii_lowercase()).cloned();
        Box::pin(async move { found.unwrap_or(Ok(MailHosts::NoSuchDomain)) })
    }

    fn addresses<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Result<Vec<SocketAddr>, DnsUnavailable>> {
        let found = self.hosts.get(&host.to_ascii_lowercase()).cloned();
        let literal = host.parse::<IpAddr>().ok().map(|ip| vec![SocketAddr::new(ip, port)]);
        Box::pin(async move { Ok(found.or(literal).unwrap_or_default()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(list: &[(u16, &str)]) -> Vec<(u16, String)> {
        list.iter().map(|(preference, host)| (*preference, (*host).to_owned())).collect()
    }

    #[test]
    fn the_lowest_preference_comes_first() {
        let MailHosts::Hosts(hosts) = in_order(records(&[(20, "c"), (5, "a"), (10, "b")])) else { panic!() };
        assert_eq!(hosts, ["a", "b", "c"]);
    }

    #[test]
    fn equals_share_the_load() {
        let first = || match in_order(records(&[(10, "a"), (10, "b"), (20, "z")])) {
            MailHosts::Hosts(hosts) => {
                assert_eq!(hosts[2], "z");
                hosts[0].clone()
            }
            other => panic!("{other:?}"),
        };
        let seen: std::collections::HashSet<String> = (0..200).map(|_| first()).collect();
        assert_eq!(seen.len(), 2);
    }

    #[test]
    fn a_null_mx_means_no_mail_unless_it_stands_beside_others() {
        assert_eq!(in_order(records(&[(0, "")])), MailHosts::NoMail);
        assert_eq!(in_order(records(&[(0, ""), (10, "a")])), MailHosts::Hosts(vec!["a".into()]));
    }

    /// A name server with a zone of its own, answering over UDP.
    async fn name_server() -> SocketAddr {
        use hickory_resolver::proto::{
            op::{Message, ResponseCode},
            rr::{
                Record, RecordType,
                rdata::{A, CNAME, MX},
            },
        };
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut packet = [0; 1_500];
            while let Ok((n, from)) = socket.recv_from(&mut packet).await {
                let mut message = Message::from_vec(&packet[..n]).unwrap().into_response();
                let query = message.queries[0].clone();
                let name = query.name().to_utf8();
                let mut add = |owner: &str, data: RData| {
                    message.add_answer(Record::from_rdata(owner.parse().unwrap(), 60, data));
                };
                let mx = |preference: u16, host: &str| RData::MX(MX::new(preference, host.parse().unwrap()));
                match (name.as_str(), query.query_type()) {
                    ("clinic.example.", RecordType::MX) => {
                        add(&name, mx(20, "second.example."));
                        add(&name, mx(10, "first.example."));
                    }
                    ("alias.example.", RecordType::MX) => {
                        add(&name, RData::CNAME(CNAME("clinic.example.".parse().unwrap())));
                        add("clinic.example.", mx(10, "first.example."));
                    }
                    ("silent.example.", RecordType::MX) => add(&name, mx(0, ".")),
                    ("bare.example." | "first.example.", RecordType::A) => add(&name, RData::A(A::new(192, 0, 2, 7))),
                    ("broken.example.", _) => message.metadata.response_code = ResponseCode::ServFail,
                    ("bare.example." | "first.example." | "empty.example.", _) => {}
                    _ => message.metadata.response_code = ResponseCode::NXDomain,
                }
                socket.send_to(&message.to_vec().unwrap(), from).await.unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn absent_silent_and_unavailable_domains_are_told_apart() {
        let dns = Dns::at(&[name_server().await]).unwrap();
        let hosts = |names: &[&str]| Ok(MailHosts::Hosts(names.iter().map(|name| (*name).to_owned()).collect()));
        for (domain, expected) in [
            ("clinic.example", hosts(&["first.example", "second.example"])),
            ("alias.example", hosts(&["first.example"])),
            ("bare.example", hosts(&["bare.example"])),
            ("silent.example", Ok(MailHosts::NoMail)),
            ("empty.example", Ok(MailHosts::NoSuchDomain)),
            ("nowhere.example", Ok(MailHosts::NoSuchDomain)),
        ] {
            assert_eq!(dns.mail_hosts(domain).await, expected, "{domain}");
        }
        assert!(dns.mail_hosts("broken.example").await.is_err(), "SERVFAIL is not an absence");
        assert_eq!(dns.addresses("first.example", 25).await, Ok(vec![([192, 0, 2, 7], 25).into()]));
        assert_eq!(dns.addresses("nowhere.example", 25).await, Ok(Vec::new()));
    }
}
