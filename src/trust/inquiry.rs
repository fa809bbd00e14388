//! Asking issuers: revocation lists, OCSP answers, and the certificates of issuers that a path lacks.
//!
//! Lists are asked for first, and responders only when no list can be had: one list serves every certificate of its issuer,
//! it holds while its server is down, and fetching it tells nobody to whom we write. Nothing that is fetched is believed by
//! itself: lists and answers must be signed by the issuer on a path that already leads to an anchor, and a fetched issuer
//! must have signed the certificate that named it.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::Instant;

use super::{
    Answers, Certificate, Crls, Policy, Revocation, TrustError, Trusted,
    path::Path,
    pointers::Pointers,
    revocation::Standing,
    sealable::{self, RecipientCertificate},
};
use crate::{
    config::revocation::RevocationSection,
    domain::{DirectAddress, Timestamp, statement::StatementKind},
    store::Store,
};

/// Guarded fetching with redirects, and a limit for each server.
mod fetching;
/// Issuers' certificates by AIA.
mod issuers;
/// What is being fetched, what is known, what did not answer.
mod shelf;

pub use shelf::Refreshed;
use shelf::{Had, Published, Shelf, Wanted};

/// More candidates than this for one address are not looked at.
const MOST_CANDIDATES: usize = 16;

/// Asks issuers, for everybody in this process. What it learns is shared through the store.
#[derive(Debug, Clone)]
pub struct Inquirer {
    shelf: Arc<Shelf>,
    patience: Duration,
}

/// What was gathered for some certificates.
#[derive(Debug, Clone, Default)]
pub struct Gathered {
    intermediates: Vec<Certificate>,
    crls: Crls,
    answers: Answers,
    problems: Vec<String>,
    unanswered: Option<String>,
}

impl Gathered {
    /// `policy` with all that was gathered at hand: what [`super::believe`] and `seal::open` are to judge by.
    #[must_use]
    pub const fn policy<'a>(&'a self, policy: Policy<'a>) -> Policy<'a> {
        Policy { intermediates: self.intermediates.as_slice(), crls: &self.crls, answers: &self.answers, ..policy }
    }

    /// What could not be had, in words.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// A verdict in the light of what could not be had: unavailable is not untrusted.
    #[must_use]
    pub fn explain(&self, error: TrustError) -> TrustError {
        match error {
            TrustError::Untrusted { problem, .. } if self.unanswered.is_some() => {
                let server = self.unanswered.as_deref().unwrap_or_default();
                TrustError::Unavailable(format!("{problem}, and {server}"))
            }
            TrustError::RevocationUnknown { subject, problem: None } if !self.problems.is_empty() => {
                TrustError::RevocationUnknown { subject, problem: Some(self.problems.join("; ")) }
            }
            other => other,
        }
    }

    fn add(&mut self, other: Self) {
        self.intermediates.extend(other.intermediates);
        self.crls.extend(other.crls);
        self.answers.extend(other.answers);
        self.problems.extend(other.problems);
        self.unanswered = self.unanswered.take().or(other.unanswered);
    }
}

impl Inquirer {
    /// Keeps what it learns in `store` and goes by its clock. Connects to nobody yet.
    #[must_use]
    pub fn new(store: Store, settings: &RevocationSection) -> Self {
        Self { patience: settings.patience.0, shelf: Arc::new(Shelf::new(store, settings)) }
    }

    /// Grows whenever something new was learnt about revocation: a verdict reached before is to be reached anew.
    #[must_use]
    pub fn news(&self) -> u64 {
        self.shelf.news()
    }

    /// Chooses the certificate to seal to, as [`super::choose`], and asks issuers for what that needs.
    pub async fn choose(
        &self,
        candidates: &[Certificate],
        policy: Policy<'_>,
        address: &DirectAddress,
        at: Timestamp,
    ) -> Result<Trusted, TrustError> {
        let deadline = Instant::now() + self.patience;
        let verdicts = candidates.iter().take(MOST_CANDIDATES).map(async |candidate| {
            // What no issuer can mend is not worth a question.
            let recipient = RecipientCertificate::checked(candidate.clone(), address, at)?;
            let (path, gathered) = self.gather_for(candidate, policy, at, deadline).await;
            path.and_then(|path| sealable::judge_on(path, recipient, gathered.policy(policy), at))
                .map_err(|error| gathered.explain(error))
        });
        sealable::best(join_all(verdicts).await.into_iter(), address)
    }

    /// Gathers what it takes to judge `certificates` under `policy`: issuers that their paths lack, and what is published
    /// about revocation of every certificate below the anchor. Comes back within the configured patience.
    pub async fn gather(&self, certificates: &[Certificate], policy: Policy<'_>, at: Timestamp) -> Gathered {
        let deadline = Instant::now() + self.patience;
        let each = certificates.iter().take(MOST_CANDIDATES).map(|one| self.gather_for(one, policy, at, deadline));
        let mut gathered = Gathered::default();
        join_all(each).await.into_iter().for_each(|(_, one)| gathered.add(one));
        gathered
    }

    /// The path as it was found with what was gathered, or why there is none.
    async fn gather_for(
        &self,
        certificate: &Certificate,
        policy: Policy<'_>,
        at: Timestamp,
        deadline: Instant,
    ) -> (Result<Path, TrustError>, Gathered) {
        let completed = issuers::complete(&self.shelf, certificate, &policy, at, deadline).await;
        let mut gathered = Gathered {
            intermediates: completed.intermediates,
            crls: policy.crls.clone(),
            answers: policy.answers.clone(),
            problems: Vec::new(),
            unanswered: completed.unanswered,
        };
        if let Ok(path) = &completed.path
            && policy.revocation != Revocation::Off
        {
            self.ask_about(path, at, deadline, &mut gathered).await;
        }
        (completed.path, gathered)
    }

    /// Asks about every certificate of a path that leads to an anchor: strangers cannot make us fetch lists.
    async fn ask_about(&self, path: &Path, at: Timestamp, deadline: Instant, gathered: &mut Gathered) {
        let pairs = path.certificates().windows(2).filter_map(|pair| match pair {
            [certificate, issuer] => Some((certificate, issuer)),
            _ => None,
        });
        for told in join_all(pairs.map(|(certificate, issuer)| self.told(certificate, issuer, at, deadline))).await {
            gathered.add(told);
        }
    }

    /// What is published about one certificate: the first that counts, lists before responders.
    async fn told(&self, certificate: &Certificate, issuer: &Certificate, at: Timestamp, deadline: Instant) -> Gathered {
        let pointers = Pointers::of(certificate);
        let mut told = Gathered::default();
        if pointers.names_a_source() && !pointers.can_be_asked() {
            told.problems.push("its issuer names only places that cannot be asked (not http, or not for all reasons)".to_owned());
        }
        for (kind, urls) in [(StatementKind::List, &pointers.lists), (StatementKind::Answer, &pointers.responders)] {
            for url in urls {
                let had = self.shelf.want(Wanted::new(kind, url, certificate, issuer), self.share(deadline)).await;
                if told.take(had, certificate, issuer, at) {
                    told.problems.clear();
                    return told;
                }
            }
        }
        told
    }

    /// Until when one question may take: a slow list must leave time to ask a responder.
    fn share(&self, deadline: Instant) -> Instant {
        deadline.min(Instant::now() + self.patience / 2)
    }

    /// Asks anew for every list that is due and was of use lately; returns what came of each. For one process at a time.
    pub async fn refresh_due(&self) -> Vec<Refreshed> {
        self.shelf.refresh_due().await
    }

    /// Asks anew for every list there is, due or not.
    pub async fn refresh_all(&self) -> Result<Vec<Refreshed>, crate::store::StoreError> {
        self.shelf.refresh_all().await
    }
}

impl Gathered {
    /// Takes what was had, whatever it is worth; says whether it counts now.
    fn take(&mut self, had: Had, certificate: &Certificate, issuer: &Certificate, at: Timestamp) -> bool {
        self.problems.extend(had.problem.map(|problem| problem.words));
        match had.published {
            Some(Published::List(list)) => {
                let counts = list.counts_for(certificate, issuer, at, Duration::ZERO).is_some();
                if !counts && self.problems.is_empty() {
                    self.problems.push("the list at hand does not speak about it".to_owned());
                }
                self.crls.push(list);
                counts
            }
            Some(Published::Answer(answer)) => {
                let says = answer.says(certificate, issuer, at, Duration::ZERO);
                self.answers.push(answer);
                matches!(says, Some((Standing::Good | Standing::Revoked, _)))
            }
            Some(Published::Issuers(_)) | None => false,
        }
    }
}

/// A path that was completed, or how far it came.
struct Completed {
    path: Result<Path, TrustError>,
    intermediates: Vec<Certificate>,
    unanswered: Option<String>,
}
