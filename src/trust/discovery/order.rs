//! The order of the steps.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Asked, Discovery, End, Freshness, Judge, Place, Said, Search, Step, Verdict,
    memory::Told,
    question::{Candidate, Content, Question, Reply},
};
use crate::{
    domain::{DirectAddress, OrgId},
    trust::{Certificate, TrustError, Trusted},
};

/// Kept certificates of which none is valid are doubted from this age on: they may have been replaced.
const DOUBT: Duration = Duration::from_mins(1);

/// Takes the steps until one ends the search.
pub(super) async fn search(
    discovery: &Discovery,
    org: OrgId,
    address: &DirectAddress,
    judge: &dyn Judge,
    freshness: Freshness,
) -> Search {
    let mut steps = Vec::new();
    for place in Place::ALL {
        let mut walk = Walk { discovery, judge, freshness, asked: Vec::new(), tally: Tally::default() };
        let on = match place {
            Place::Local => true,
            Place::DnsAddress | Place::DnsDomain => discovery.settings.dns,
            Place::LdapAddress | Place::LdapDomain => discovery.settings.ldap,
        };
        if on {
            walk.step(*place, org, address).await;
        }
        let Walk { asked, tally, .. } = walk;
        let (end, outcome) = if on { tally.end() } else { (End::Off, None) };
        steps.push(Step { place: *place, asked, end });
        if let Some(outcome) = outcome {
            return Search { steps, outcome };
        }
    }
    Search { steps, outcome: Err(TrustError::NoCertificate(address.to_string())) }
}

/// Asks one place of the outside, anew, and judges nothing.
pub(super) async fn look(discovery: &Discovery, place: Place, address: &DirectAddress) -> Vec<Asked> {
    struct Anybody;
    impl Judge for Anybody {
        fn judge<'a>(&'a self, certificate: &'a Certificate) -> futures_util::future::BoxFuture<'a, Result<Trusted, TrustError>> {
            Box::pin(async { Err(TrustError::NoCertificate(certificate.subject())) })
        }
    }
    let mut walk = Walk { discovery, judge: &Anybody, freshness: Freshness::Asked, asked: Vec::new(), tally: Tally::default() };
    match place {
        // Only what strangers can see.
        Place::Local => {}
        Place::DnsAddress => walk.put(&Question::of_address(&address.mailbox())).await,
        Place::DnsDomain => walk.put(&Question::of_domain(address)).await,
        Place::LdapAddress => walk.directories(address, &address.mailbox().key()).await,
        Place::LdapDomain => walk.directories(address, &address.domain_key()).await,
    }
    walk.asked
}

/// One step on its way.
struct Walk<'a> {
    discovery: &'a Discovery,
    judge: &'a dyn Judge,
    freshness: Freshness,
    asked: Vec<Asked>,
    tally: Tally,
}

/// What a step has brought so far.
#[derive(Default)]
struct Tally {
    best: Option<Trusted>,
    worst: Option<TrustError>,
    unavailable: Option<String>,
}

impl Tally {
    fn end(self) -> (End, Option<Result<Trusted, TrustError>>) {
        match self {
            Self { best: Some(best), .. } => (End::Valid, Some(Ok(best))),
            // What was not heard could have been valid: that it is unknown wins over what is known to be bad.
            Self { unavailable: Some(why), .. } => (End::Unavailable, Some(Err(TrustError::Unavailable(why)))),
            Self { worst: Some(worst @ TrustError::Unavailable(_)), .. } => (End::Unavailable, Some(Err(worst))),
            Self { worst: Some(worst), .. } => (End::Invalid, Some(Err(worst))),
            Self { .. } => (End::Nothing, None),
        }
    }

    /// This and what another question brought.
    fn and(mut self, other: Self) -> Self {
        for judged in [other.best.map(Ok), other.worst.map(Err)].into_iter().flatten() {
            self.add(&judged);
        }
        self.unavailable = self.unavailable.or(other.unavailable);
        self
    }

    fn add(&mut self, judged: &Result<Trusted, TrustError>) {
        match judged {
            // The one that lasts longest, of several that are valid.
            Ok(trusted) if self.best.as_ref().is_none_or(|best| best.valid_until() < trusted.valid_until()) => {
                self.best = Some(trusted.clone());
            }
            Err(error) if self.worst.as_ref().is_none_or(|worst| worst.progress() < error.progress()) => {
                self.worst = Some(error.clone());
            }
            Ok(_) | Err(_) => {}
        }
    }
}

impl Walk<'_> {
    async fn step(&mut self, place: Place, org: OrgId, address: &DirectAddress) {
        // `jo+lab@domain` is a mailbox of jo's: certificates are published for jo.
        let mailbox = address.mailbox();
        match place {
            Place::Local => self.local(org, address).await,
            Place::DnsAddress => self.put(&Question::of_address(&mailbox)).await,
            Place::DnsDomain => self.put(&Question::of_domain(address)).await,
            Place::LdapAddress => self.directories(address, &mailbox.key()).await,
            Place::LdapDomain => self.directories(address, &address.domain_key()).await,
        }
    }

    /// Imported and pinned certificates.
    async fn local(&mut self, org: OrgId, address: &DirectAddress) {
        let began = Instant::now();
        let store = &self.discovery.store;
        let mut rows = store.certificates_for(org, address).await;
        let mailbox = address.mailbox();
        if mailbox != *address
            && let Ok(rows) = &mut rows
            && rows.is_empty()
        {
            *rows = store.certificates_for(org, &mailbox).await.unwrap_or_default();
        }
        let said = match rows {
            Err(error) => {
                let why = format!("the store: {error}");
                self.tally.unavailable = Some(why.clone());
                Said::Unavailable(why)
            }
            Ok(rows) => {
                // One that cannot be read is no candidate; the others still are.
                let certificates = rows.iter().filter_map(|row| Certificate::from_der(&row.der).ok());
                let mut verdicts = Vec::new();
                for certificate in certificates {
                    verdicts.push(self.judge(None, Ok(certificate)).await);
                }
                if verdicts.is_empty() { Said::Nothing } else { Said::Certificates(verdicts) }
            }
        };
        let what = format!("imported certificates for {address}");
        self.asked.push(Asked { what, of: "this installation".into(), age: None, took: began.elapsed(), said });
    }

    /// Puts a question whose answer is certificates; when kept ones are all bad, once more to who publishes them.
    async fn put(&mut self, question: &Question) {
        let before = std::mem::take(&mut self.tally);
        let age = self.put_once(question, self.freshness).await;
        let bad = matches!(&self.tally, Tally { best: None, worst: Some(_), unavailable: None });
        if bad && age.is_some_and(|age| age >= DOUBT) {
            self.tally = Tally::default();
            self.put_once(question, Freshness::Asked).await;
        }
        self.tally = before.and(std::mem::take(&mut self.tally));
    }

    /// Gives the age of a kept answer.
    async fn put_once(&mut self, question: &Question, freshness: Freshness) -> Option<Duration> {
        let began = Instant::now();
        let told = self.discovery.memory.ask(question, freshness).await;
        let took = began.elapsed();
        let said = match told.as_deref() {
            Err(why) => {
                self.tally.unavailable = Some(format!("{question}: {why}"));
                Said::Unavailable(why.clone())
            }
            Ok(Told { reply: Reply::Certificates(candidates), .. }) => {
                let mut verdicts = Vec::new();
                for candidate in candidates {
                    verdicts.push(self.candidate(candidate).await);
                }
                Said::Certificates(verdicts)
            }
            Ok(_) => Said::Nothing,
        };
        self.note(question, told.as_deref().ok(), took, said)
    }

    fn note(&mut self, question: &Question, told: Option<&Told>, took: Duration, said: Said) -> Option<Duration> {
        let now = self.discovery.store.clock().now();
        let age = told.filter(|told| told.kept).map(|told| now.since(told.asked_at));
        let of = told.map(|told| told.by.clone()).unwrap_or_default();
        self.asked.push(Asked { what: question.to_string(), of, age, took, said });
        age
    }

    async fn candidate(&mut self, candidate: &Candidate) -> Verdict {
        let read = match &candidate.content {
            Content::Der(der) => Certificate::from_der(&der.0),
            Content::Unusable(why) => Err(TrustError::malformed("the certificate", why)),
            Content::Unavailable(why) => Err(TrustError::Unavailable(why.clone())),
        };
        self.judge(candidate.url.clone(), read).await
    }

    async fn judge(&mut self, url: Option<String>, read: Result<Certificate, TrustError>) -> Verdict {
        let (certificate, judged) = match read {
            Ok(certificate) => {
                let judged = self.judge.judge(&certificate).await;
                (Some(certificate), judged)
            }
            Err(error) => (None, Err(error)),
        };
        self.tally.add(&judged);
        Verdict { certificate, url, judged }
    }

    /// Asks every directory of the domain, until one has a valid certificate.
    async fn directories(&mut self, address: &DirectAddress, mail: &str) {
        let question = Question::Directories { domain: address.domain_key() };
        let began = Instant::now();
        let told = self.discovery.memory.ask(&question, self.freshness).await;
        let took = began.elapsed();
        let (servers, said) = match told.as_deref() {
            Err(why) => {
                self.tally.unavailable = Some(format!("{question}: {why}"));
                (Vec::new(), Said::Unavailable(why.clone()))
            }
            Ok(Told { reply: Reply::Directories(servers), .. }) => (servers.clone(), Said::Directories(servers.clone())),
            Ok(_) => (Vec::new(), Said::Nothing),
        };
        self.note(&question, told.as_deref().ok(), took, said);
        for server in servers {
            self.put(&Question::Entries { server, mail: mail.to_owned() }).await;
            if self.tally.best.is_some() {
                return;
            }
        }
    }
}
