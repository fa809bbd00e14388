//! `[events]`: what happened, told to the programs of organizations.

use std::path::{Path, PathBuf};

use super::section::section;
use crate::domain::{Network, time::Span};

section! {
    /// What happened, told to the programs of organizations: by GET /v1/events, and to the addresses that their files name in
    /// [[webhook]].
    ["events"] EventsSection {
        /// How long events are kept: so long a reader may stay away and a webhook may be told again.
        keep: Span = Span::seconds(30 * 24 * 3600),
        /// How long a webhook that fails is tried; then it is switched off, and that is an event too.
        retry_for: Span = Span::seconds(3 * 24 * 3600),
        /// The wait after its first failure. It grows fourfold with each, with jitter.
        retry_min: Span = Span::seconds(5),
        /// The longest wait between two tries.
        retry_max: Span = Span::seconds(6 * 3600),
        /// How long one POST may take, answer included.
        timeout: Span = Span::seconds(20),
        /// How many webhooks are told at the same time.
        concurrency: usize = 32,
        /// Whether plain http is allowed. What is told is signed, not encrypted.
        allow_http: bool = false,
        /// Networks of your own that webhooks may be in. Without one only the open internet is.
        allow_networks: Vec<Network> = Vec::new(); for example "[\"10.1.2.0/24\"]",
        /// PEM file with authorities to believe beside the system's.
        ca_file: Option<PathBuf> = None; for example "\"keys/own-ca.pem\"",
    }
}

impl EventsSection {
    /// Makes paths that are not absolute count from `folder`, where the configuration file is.
    pub(super) fn paths_from(&mut self, folder: &Path) {
        self.ca_file = self.ca_file.take().map(|file| folder.join(file));
    }

    /// What no single setting can know.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut must = |holds: bool, problem: &str| {
            if !holds {
                problems.push(problem.to_owned());
            }
        };
        must(self.keep.0 >= self.retry_for.0, "events.keep must not be shorter than events.retry_for");
        must(!self.retry_min.0.is_zero(), "events.retry_min must be longer than nothing");
        must(self.retry_min <= self.retry_max, "events.retry_min must not be longer than events.retry_max");
        must((1..=60).contains(&self.timeout.0.as_secs()), "events.timeout must be between 1s and 60s");
        must((1..=1000).contains(&self.concurrency), "events.concurrency must be between 1 and 1000");
        problems
    }
}
