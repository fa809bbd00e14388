//! Asking the network: DNS, LDAP, and the URLs that DNS may point to.

use std::{net::SocketAddr, time::Duration};

use futures_util::future::{BoxFuture, join_all};

use super::question::{Candidate, Content, Der, Question, Reply, Server, service};
use crate::{
    config::discovery::DiscoverySection,
    net::{
        address::Guard,
        dns::lookup::{Answer, CertRecord, Lookup, LookupRules, can_be_asked},
        fetch::{FetchRules, Fetched, Fetcher},
        ldap::Ldap,
    },
    trust::Certificate,
};

/// Where name servers listen.
pub(super) const DNS_PORT: u16 = 53;
/// Most URLs of one answer that are fetched.
const MOST_URLS: usize = 4;
/// Most directories of one domain that are asked.
const MOST_DIRECTORIES: usize = 10;
/// Far more than any certificate has.
const URL_BYTES: usize = 100_000;

/// An answer that came just now.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    pub(super) reply: Reply,
    pub(super) by: String,
    /// How long it lasts, when it says so.
    pub(super) lasts: Option<Duration>,
}

/// Whoever can be asked.
pub(super) trait Ask: Send + Sync {
    /// The answer; an error is "no answer", with what went wrong.
    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<Heard, String>>;
}

/// The real network.
#[derive(Debug)]
pub(super) struct Network {
    dns: Lookup,
    ldap: Ldap,
    fetcher: Result<Fetcher, String>,
}

impl Network {
    pub(super) fn new(settings: &DiscoverySection, port: u16) -> Self {
        let guard = Guard::allowing(settings.allow.clone());
        let patience = settings.server_timeout.0;
        let dns = Lookup::new(LookupRules {
            servers: settings.resolvers.iter().map(|server| server.0).collect(),
            patience: settings.dns_timeout.0,
            guard: guard.clone(),
            port,
        });
        let fetcher = Fetcher::new(FetchRules {
            // What is fetched is signed by its issuer, and judged.
            allow_http: true,
            guard: guard.clone(),
            max_bytes: URL_BYTES,
            connect_timeout: patience,
            timeout: patience,
            ..FetchRules::default()
        });
        Self { dns, ldap: Ldap { patience, guard }, fetcher: fetcher.map_err(|error| error.to_string()) }
    }

    async fn certificates(&self, name: &str) -> Result<Heard, String> {
        if let Err(error) = can_be_asked(name) {
            // Nobody can publish anything there, so nothing is there.
            return Ok(Heard { reply: Reply::Nothing, by: error.to_string(), lasts: None });
        }
        let Answer { records, lasts, by } = self.dns.certificates(name).await.map_err(|error| error.why)?;
        let (mut candidates, mut urls) = (Vec::new(), Vec::new());
        for record in records {
            match record {
                CertRecord::Certificate(der) => candidates.push(Candidate { url: None, content: Content::Der(Der(der)) }),
                CertRecord::Url(url) if urls.len() < MOST_URLS && !urls.contains(&url) => urls.push(url),
                // Other kinds (PGP, SPKI) are nothing to us.
                CertRecord::Url(_) | CertRecord::Other(_) => {}
            }
        }
        candidates.extend(join_all(urls.into_iter().map(|url| self.fetched(url))).await.into_iter().flatten());
        Ok(Heard { reply: Reply::certificates(candidates), by, lasts })
    }

    async fn fetched(&self, url: String) -> Vec<Candidate> {
        let contents = match &self.fetcher {
            Err(why) => vec![Content::Unavailable(why.clone())],
            Ok(fetcher) => match fetcher.get(&url, &[]).await {
                Ok(answer) => contents(&answer),
                Err(error) if error.is_temporary() => vec![Content::Unavailable(error.to_string())],
                Err(error) => vec![Content::Unusable(error.to_string())],
            },
        };
        contents.into_iter().map(|content| Candidate { url: Some(url.clone()), content }).collect()
    }

    async fn directories(&self, domain: &str) -> Result<Heard, String> {
        let service = service(domain);
        if let Err(error) = can_be_asked(&service) {
            return Ok(Heard { reply: Reply::Nothing, by: error.to_string(), lasts: None });
        }
        let Answer { records, lasts, by } = self.dns.services(&service).await.map_err(|error| error.why)?;
        let mut servers = Vec::new();
        for service in records.into_iter().take(MOST_DIRECTORIES) {
            let server = Server { host: service.host, port: service.port };
            if !servers.contains(&server) {
                servers.push(server);
            }
        }
        let reply = if servers.is_empty() { Reply::Nothing } else { Reply::Directories(servers) };
        Ok(Heard { reply, by, lasts })
    }

    async fn entries(&self, server: &Server, mail: &str) -> Result<Heard, String> {
        let addresses = self.dns.addresses(&server.host).await.map_err(|error| error.to_string())?;
        let addresses: Vec<_> = addresses.into_iter().map(|ip| SocketAddr::new(ip, server.port)).collect();
        let holdings = self.ldap.certificates(&addresses, mail).await.map_err(|error| error.to_string())?;
        let by = match holdings.at {
            Some(at) => format!("{at}, below {}", shown(&holdings.bases)),
            None => server.to_string(),
        };
        let certificates = holdings.certificates.into_iter();
        let candidates = certificates.map(|der| Candidate { url: None, content: Content::Der(Der(der)) }).collect();
        Ok(Heard { reply: Reply::certificates(candidates), by, lasts: None })
    }
}

fn shown(bases: &[String]) -> String {
    let name = |base: &String| if base.is_empty() { "the root".to_owned() } else { format!("{base:?}") };
    bases.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn contents(answer: &Fetched) -> Vec<Content> {
    if !answer.is_success() {
        let why = format!("the web server answered with status {}", answer.status);
        let later = matches!(answer.status, 408 | 425 | 429) || answer.status >= 500;
        return vec![if later { Content::Unavailable(why) } else { Content::Unusable(why) }];
    }
    match Certificate::read_all(&answer.body) {
        Ok(all) => all.iter().map(|one| Content::Der(Der(one.der().to_vec()))).collect(),
        Err(error) => vec![Content::Unusable(error.to_string())],
    }
}

impl Ask for Network {
    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<Heard, String>> {
        Box::pin(async move {
            match question {
                Question::Certificates { name, .. } => self.certificates(name).await,
                Question::Directories { domain } => self.directories(domain).await,
                Question::Entries { server, mail } => self.entries(server, mail).await,
            }
        })
    }
}
