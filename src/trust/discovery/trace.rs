//! What happened in a search, step by step: what `postern probe` shows.

use std::time::Duration;

use super::{Place, question::Server};
use crate::{
    domain::words,
    trust::{Certificate, TrustError, Trusted},
};

/// A search and its outcome.
#[derive(Debug, Clone)]
pub struct Search {
    /// The steps that were taken, in their order.
    pub steps: Vec<Step>,
    /// The certificate to seal to, or why there is none.
    pub outcome: Result<Trusted, TrustError>,
}

/// One place.
#[derive(Debug, Clone)]
pub struct Step {
    /// Which.
    pub place: Place,
    /// What was asked there.
    pub asked: Vec<Asked>,
    /// What that meant for the search.
    pub end: End,
}

words! {
    /// What a step meant for the search.
    pub enum End {
        /// A valid certificate: the search is over.
        Valid = "valid",
        /// Certificates, none valid: the search is over.
        Invalid = "invalid",
        /// There is nothing: the next step.
        Nothing = "nothing",
        /// No answer: the search is over, for now.
        Unavailable = "unavailable",
        /// Switched off in the configuration: the next step.
        Off = "off",
    }
}

/// One question and what came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What was asked.
    pub what: String,
    /// Who answered.
    pub of: String,
    /// How long ago, when the answer was kept from then.
    pub age: Option<Duration>,
    /// How long it took now.
    pub took: Duration,
    /// What came.
    pub said: Said,
}

/// What came.
#[derive(Debug, Clone)]
pub enum Said {
    /// These, each with its verdict.
    Certificates(Vec<Verdict>),
    /// These directories, in the order in which to ask.
    Directories(Vec<Server>),
    /// There is nothing.
    Nothing,
    /// No answer, and why.
    Unavailable(String),
}

/// One certificate, judged.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The certificate, when it could be read.
    pub certificate: Option<Certificate>,
    /// Where it was fetched from, when DNS gave a URL.
    pub url: Option<String>,
    /// Whether it will do.
    pub judged: Result<Trusted, TrustError>,
}

impl Search {
    pub(super) fn late(after: Duration) -> Self {
        let why = format!("the search was not done after {} seconds", after.as_secs());
        Self { steps: Vec::new(), outcome: Err(TrustError::Unavailable(why)) }
    }

    /// The place the certificate came from.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        self.steps.iter().find(|step| step.end == End::Valid).map(|step| step.place)
    }
}
