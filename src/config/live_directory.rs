//! `[[live_directory]]`: directories that are asked over the network when no load has an answer.

use std::path::{Path, PathBuf};

use crate::domain::{route::DirectorySource, time::Span, words};

words! {
    /// How a live directory is asked.
    pub enum LiveKind {
        /// The NPI Registry's API, version 2.1.
        Nppes = "nppes",
        /// A FHIR R4 server.
        Fhir = "fhir",
    }
}

impl LiveKind {
    /// What its answers count as.
    #[must_use]
    pub const fn source(self) -> DirectorySource {
        match self {
            Self::Nppes => DirectorySource::Nppes,
            Self::Fhir => DirectorySource::Fhir,
        }
    }
}

/// One directory that is asked. The lowest `rank` first; the next only when it has no address.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct LiveDirectory {
    /// What it is called here; its answers are kept under this name.
    pub name: String,
    /// `nppes` or `fhir`.
    pub kind: LiveKind,
    /// Where: the API of the registry (its own address without), or the base of the FHIR server.
    #[serde(default)]
    pub url: String,
    /// Which is asked first: the lowest.
    #[serde(default)]
    pub rank: i64,
    /// How long an address is kept.
    #[serde(default = "day")]
    pub ttl: Span,
    /// How long it is kept that there was none.
    #[serde(default = "hour")]
    pub negative_ttl: Span,
    /// For a whole look-up, all its requests and the wait for its turn.
    #[serde(default = "ten_seconds")]
    pub timeout: Span,
    /// Look-ups at the same time.
    #[serde(default = "four")]
    pub max_concurrent: usize,
    /// After how many failures in a row it is left alone for a while.
    #[serde(default = "five")]
    pub breaker_after: u32,
    /// How long it is left alone the first time; doubled up to sixteen times that while it stays away.
    #[serde(default = "half_a_minute")]
    pub breaker_pause: Span,
    /// File with the bearer token to send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// PEM file of the authorities the server's certificate is checked against, beside the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Allow plain `http` and private addresses: for a server on the same machine or network.
    #[serde(default)]
    pub internal: bool,
}

/// Where the NPI Registry answers.
pub const NPI_REGISTRY: &str = "https://npiregistry.cms.hhs.gov/api/";

const fn day() -> Span {
    Span::seconds(24 * 3600)
}
const fn hour() -> Span {
    Span::seconds(3600)
}
const fn ten_seconds() -> Span {
    Span::seconds(10)
}
const fn half_a_minute() -> Span {
    Span::seconds(30)
}
const fn four() -> usize {
    4
}
const fn five() -> u32 {
    5
}

impl LiveDirectory {
    /// Makes a path that is not absolute count from `folder`, where the configuration file is.
    pub fn paths_from(&mut self, folder: &Path) {
        self.token_file = self.token_file.take().map(|file| folder.join(file));
        self.ca_file = self.ca_file.take().map(|file| folder.join(file));
    }

    /// Where it is, without a slash at the end of a FHIR base.
    #[must_use]
    pub fn base(&self) -> &str {
        match self.kind {
            LiveKind::Nppes if self.url.is_empty() => NPI_REGISTRY,
            LiveKind::Nppes => &self.url,
            LiveKind::Fhir => self.url.trim_end_matches('/'),
        }
    }
}

/// What no single setting can know: every problem.
pub(super) fn problems(all: &[LiveDirectory]) -> Vec<String> {
    let mut problems = Vec::new();
    for (i, live) in all.iter().enumerate() {
        let mut must = |holds: bool, problem: &str| {
            if !holds {
                problems.push(format!("live_directory[{i}].{problem}"));
            }
        };
        must(!live.name.is_empty(), "name must not be empty");
        must(all[..i].iter().all(|other| other.name != live.name), "name is used twice");
        must(!live.base().contains(['?', '#', '@']), "url must have no query, fragment or password");
        must(!live.base().is_empty(), "url must be given for a FHIR server");
        must(live.internal || live.base().starts_with("https://"), "url must begin with https:// (or set internal = true)");
        must(live.max_concurrent > 0 && live.breaker_after > 0, "max_concurrent and breaker_after must be at least 1");
        must(!live.timeout.0.is_zero() && live.timeout.0.as_secs() <= 60, "timeout must be between 1ms and 60s");
    }
    problems
}

/// Their part of the sample file.
pub(super) const SAMPLE: &str = r#"# A directory that is asked over the network when no load has an address for an NPI.
# [[live_directory]]
# name = "npi-registry"
# kind = "nppes"          # or "fhir", with the base of the server as url
# url = "https://npiregistry.cms.hhs.gov/api/"
# rank = 0                # the lowest is asked first, the next when it has no address
# ttl = "24h"             # how long an address is kept
# negative_ttl = "1h"     # how long it is kept that there was none
# timeout = "10s"         # for a whole look-up
# max_concurrent = 4
# breaker_after = 5       # failures in a row, after which it is left alone for a while
# breaker_pause = "30s"
# token_file = "keys/directory.token"
# ca_file = "certs/directory-ca.pem"
# internal = false        # true: plain http and private addresses are allowed

"#;
