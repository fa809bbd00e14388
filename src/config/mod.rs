//! The installation's configuration: one struct per section.
//!
//! A setting is declared once, with its default and its words for people, in the file of its section; the sample file
//! and the list of environment variables are printed from there.

/// `[alerts]`.
pub mod alerts;
/// `[blobs]`.
pub mod blobs;
/// `[console]`.
pub mod console;
/// `[directory]`.
pub mod directory;
/// `[discovery]`.
pub mod discovery;
/// Settings from the environment.
pub mod environment;
/// What can be wrong with a configuration.
pub mod error;
/// `[events]`.
pub mod events;
/// `[fees]`.
pub mod fees;
/// `[[identity]]`.
pub mod identity;
/// `imap` of a `[[relay]]`.
pub mod imap;
/// `[keys]`.
pub mod keys;
/// `[limits]`.
pub mod limits;
/// `[[live_directory]]`.
pub mod live_directory;
/// Finding and reading the file.
pub mod load;
/// `[log]`.
pub mod log;
/// `[oidc]`.
pub mod oidc;
/// Organization files.
pub mod organization;
/// `[[relay]]`.
pub mod relay;
/// `[revocation]`.
pub mod revocation;
/// The commented sample file.
pub mod sample;
/// Values that are never printed.
pub mod secret;
mod section;
/// `[smtp_in]`.
pub mod smtp_in;
/// `[[folder]]` and `[[feed]]`.
pub mod source;
/// `[store]`.
pub mod store;
/// `[test]`.
pub mod test;
/// `[token]`.
pub mod token;
/// `[track]`.
pub mod track;
/// `[web]`.
pub mod web;
/// `[worker]`.
pub mod worker;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use error::ConfigError;
pub use load::{Loaded, load};
pub use secret::Secret;
use section::Section;

use crate::domain::{address::is_host_name, organization::IdentityFile};

/// Everything that can be set. A section or setting that is absent has its default; one that is not known is an error.
/// Serialized, it shows no secrets.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where rows are kept.
    pub store: store::StoreSection,
    /// Where documents are kept.
    pub blobs: blobs::BlobsSection,
    /// What encrypts both.
    pub keys: keys::KeysSection,
    /// Where signing keys may be instead.
    pub token: token::TokenSection,
    /// The HTTP door.
    pub web: web::WebSection,
    /// The pages for people.
    pub console: console::ConsoleSection,
    /// Signing in to them through an OpenID provider.
    pub oidc: oidc::OidcSection,
    /// The door for mail to our addresses.
    pub smtp_in: smtp_in::SmtpInSection,
    /// The work of sending.
    pub worker: worker::WorkerSection,
    /// Following what comes back.
    pub track: track::TrackSection,
    /// What happened, told to programs.
    pub events: events::EventsSection,
    /// What deliveries cost us, and who counts them with us.
    pub fees: fees::FeesSection,
    /// How large things may be.
    pub limits: limits::LimitsSection,
    /// The directory of addresses.
    pub directory: directory::DirectorySection,
    /// Finding the certificates of recipients.
    pub discovery: discovery::DiscoverySection,
    /// Revocation lists, OCSP answers, issuers' certificates.
    pub revocation: revocation::RevocationSection,
    /// Who is told when something is wrong.
    pub alerts: alerts::AlertsSection,
    /// Test traffic.
    pub test: test::TestSection,
    /// What is logged, and how.
    pub log: log::LogSection,
    /// Relays that identities name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relay: Vec<relay::RelaySettings>,
    /// The addresses the installation itself sends from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub identity: Vec<IdentityFile>,
    /// Direct delivery to mail exchangers.
    pub mx: relay::MxSettings,
    /// Directories asked when no load has an answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub live_directory: Vec<live_directory::LiveDirectory>,
    /// Watched folders.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub folder: Vec<source::Folder>,
    /// Feeds that results are pulled from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub feed: Vec<source::Feed>,
}

/// The sections that are one table each, in the order of the sample file.
const SECTIONS: &[&section::Description] = &[
    &store::StoreSection::DESCRIPTION,
    &blobs::BlobsSection::DESCRIPTION,
    &keys::KeysSection::DESCRIPTION,
    &token::TokenSection::DESCRIPTION,
    &web::WebSection::DESCRIPTION,
    &console::ConsoleSection::DESCRIPTION,
    &oidc::OidcSection::DESCRIPTION,
    &smtp_in::SmtpInSection::DESCRIPTION,
    &worker::WorkerSection::DESCRIPTION,
    &track::TrackSection::DESCRIPTION,
    &events::EventsSection::DESCRIPTION,
    &fees::FeesSection::DESCRIPTION,
    &limits::LimitsSection::DESCRIPTION,
    &directory::DirectorySection::DESCRIPTION,
    &discovery::DiscoverySection::DESCRIPTION,
    &revocation::RevocationSection::DESCRIPTION,
    &alerts::AlertsSection::DESCRIPTION,
    &test::TestSection::DESCRIPTION,
    &log::LogSection::DESCRIPTION,
];

impl Config {
    /// Makes paths that are not absolute count from `folder`, where the configuration file is.
    fn paths_from(&mut self, folder: &Path) {
        self.store.url = self.store.url.counted_from(folder);
        self.blobs.folder = folder.join(&self.blobs.folder);
        self.keys.master_file = folder.join(&self.keys.master_file);
        self.token.pin_file = self.token.pin_file.take().map(|file| folder.join(file));
        self.folder.iter_mut().for_each(|watched| watched.paths_from(folder));
        self.feed.iter_mut().for_each(|feed| feed.paths_from(folder));
        self.oidc.paths_from(folder);
        self.smtp_in.paths_from(folder);
        self.events.paths_from(folder);
        self.live_directory.iter_mut().for_each(|live| live.paths_from(folder));
        for relay in &mut self.relay {
            relay.paths_from(folder);
        }
        self.identity.iter_mut().for_each(|own| identity::paths_from(own, folder));
    }

    /// What no single setting can know: every problem, each with the name of its setting.
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut must = |holds: bool, problem: &str| {
            if !holds {
                problems.push(problem.to_owned());
            }
        };
        must(self.store.connections > 0, "store.connections must be at least 1");
        must(self.worker.concurrency > 0, "worker.concurrency must be at least 1");
        must(self.worker.batch > 0, "worker.batch must be at least 1");
        must(self.worker.lease.0.as_secs() >= 3, "worker.lease must be at least 3s: it is renewed every third");
        must(!self.worker.retry_min.0.is_zero(), "worker.retry_min must be longer than nothing");
        must(self.worker.retry_min <= self.worker.retry_max, "worker.retry_min must not be longer than worker.retry_max");
        must(!self.worker.poll.0.is_zero(), "worker.poll must be longer than nothing");
        must(!self.track.poll.0.is_zero() && self.track.poll.0.as_secs() <= 60, "track.poll must be between 1ms and 60s");
        must(self.track.batch > 0, "track.batch must be at least 1");
        must(self.limits.pdf_bytes > 0, "limits.pdf_bytes must be at least 1");
        must(!self.revocation.refresh.0.is_zero(), "revocation.refresh must be longer than nothing");
        must(self.revocation.list_bytes > 0, "revocation.list_bytes must be at least 1");
        let domains = self.test.test_domains.iter().all(|domain| is_host_name(domain));
        must(domains, "test.test_domains must be domains like hisp.test");
        // A PDF inside JSON is base64: four octets for three.
        let body = self.limits.pdf_bytes.saturating_mul(4).div_ceil(3);
        must(self.web.body_bytes > body, "web.body_bytes must have room for limits.pdf_bytes in base64 (a third more)");
        problems.extend(discovery::problems(&self.discovery));
        problems.extend(self.alerts.problems(&self.relay));
        problems.extend(self.web.problems());
        problems.extend(self.console.problems());
        problems.extend(self.oidc.problems());
        problems.extend(self.smtp_in.problems());
        problems.extend(self.events.problems());
        problems.extend(self.fees.problems());
        problems.extend(source::problems(&self.folder, &self.feed));
        problems.extend(identity::problems(&self.identity, &self.relay));
        problems.extend(live_directory::problems(&self.live_directory));
        for (i, relay) in self.relay.iter().enumerate() {
            problems.extend(relay.check().err().map(|problem| problem.to_string()));
            if self.relay[..i].iter().any(|other| other.name == relay.name) {
                problems.push(format!("relay[{i}].name is used twice"));
            }
        }
        problems
    }
}
