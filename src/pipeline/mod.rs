//! The only room that knows the order of the steps: claim, work, retry, recover, shut down.
//!
//! A [`Gateway`] holds everything handed in. A [`worker`] claims results and deliveries under leases; [`routing`] turns a
//! result into deliveries; [`delivering`] takes one delivery from claim to a durable answer. Every durable step goes
//! through the store's group commit, and the rules of each step are pure functions elsewhere.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::{Mutex, Semaphore};

use crate::{
    config::{
        Config, directory::DirectorySection, discovery::DiscoverySection, events::EventsSection, limits::LimitsSection,
        live_directory::LiveDirectory, revocation::RevocationSection, test::TestSection, token::TokenSection,
        track::TrackSection, worker::WorkerSection,
    },
    domain::{Clock, id::ProcessId},
    observe::health::Health,
    resolve::directory::Live,
    store::{Committer, Store, blobs::Blobs, lease::Lease, way_in::Held},
    trust::{Discovery, Inquirer},
};

/// What the ledger adds up to.
pub mod adding_up;
/// Alerts: looking, and telling people.
pub mod alerting;
/// How long to wait before trying again.
pub mod backoff;
/// What is believed for a few seconds: organizations, keys, judged certificates.
mod beliefs;
/// One delivery, from claim to a durable answer.
pub mod delivering;
/// What follows when a delivery has failed for good.
mod fallback;
/// One message that came in, from claim to its verdict.
pub mod inbound;
/// What a route depends on, gathered.
pub mod knowledge;
/// One letter: document, message, seal.
pub mod letter;
/// The metering system is told of ledger lines.
pub mod metering;
/// Relays and mail exchangers, by name.
pub mod post;
/// Whether an address can be sent to.
pub mod probing;
/// A delivery's document, for a person who reads it.
pub mod reading;
/// What dead workers left behind.
pub mod recovery;
/// The notices we owe to others.
mod replying;
/// One result, from claim to its deliveries.
pub mod routing;
/// Who waits for a certificate takes no place.
mod standing;
/// Keeping revocation lists fresh.
mod statements;
/// Webhooks are told what happened.
pub mod telling;
/// What crashes and refusals left behind is removed.
pub mod tidying;
/// Keys on a token, opened once.
pub(crate) mod tokens;
/// The loop that follows what comes back.
pub mod tracking;
/// A webhook is tried out.
pub mod trying;
/// The loop.
pub mod worker;

pub use post::PostOffice;

/// What the pipeline goes by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The work of sending.
    pub worker: WorkerSection,
    /// Following what comes back.
    pub track: TrackSection,
    /// What happened, told to programs.
    pub events: EventsSection,
    /// Size limits.
    pub limits: LimitsSection,
    /// The directory of addresses.
    pub directory: DirectorySection,
    /// Directories asked when no load has an answer.
    pub live_directory: Vec<LiveDirectory>,
    /// Finding certificates.
    pub discovery: DiscoverySection,
    /// Test traffic.
    pub test: TestSection,
    /// What issuers publish, and how it is fetched.
    pub revocation: RevocationSection,
    /// Where signing keys may be.
    pub token: TokenSection,
}

impl From<&Config> for Settings {
    fn from(config: &Config) -> Self {
        Self {
            worker: config.worker.clone(),
            limits: config.limits.clone(),
            directory: config.directory.clone(),
            live_directory: config.live_directory.clone(),
            discovery: config.discovery.clone(),
            test: config.test.clone(),
            revocation: config.revocation.clone(),
            token: config.token.clone(),
            track: config.track.clone(),
            events: config.events.clone(),
        }
    }
}

/// Everything the pipeline works with, handed in.
pub struct Gateway {
    /// Everything durable.
    pub store: Store,
    /// PDFs.
    pub blobs: Blobs,
    /// Group commit.
    pub committer: Committer,
    /// Ways out.
    pub post: PostOffice,
    /// Asks issuers about revocation.
    pub inquirer: Inquirer,
    /// What it goes by.
    pub settings: Settings,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// This start of this process.
    pub process: ProcessId,
    /// Whether its parts work, for the health page.
    pub health: Health,
    /// Directories asked when no load has an answer.
    pub live: Arc<Live>,
    /// Finds the certificates of recipients.
    pub discovery: Discovery,
    beliefs: beliefs::Beliefs,
    desk: letter::Desk,
    /// CPU work runs on so many threads at a time.
    cpu: Semaphore,
    /// Who makes a message or sends it: as many as there are places.
    making: Semaphore,
    /// Who waits for a certificate without a place.
    standing: Semaphore,
    /// The mailboxes that clocks wait for, as was told last.
    held_clocks: Mutex<BTreeMap<String, Held>>,
}

impl Gateway {
    /// Puts a gateway together.
    #[must_use]
    pub fn new(store: Store, blobs: Blobs, post: PostOffice, settings: Settings, health: Health) -> Arc<Self> {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Arc::new(Self {
            committer: Committer::start(store.clone()),
            clock: Arc::clone(store.clock()),
            beliefs: beliefs::Beliefs::default(),
            desk: letter::Desk::default(),
            cpu: Semaphore::new(cores),
            making: Semaphore::new(settings.worker.concurrency.max(1)),
            standing: Semaphore::new(standing::MOST_STANDING),
            held_clocks: Mutex::default(),
            process: ProcessId::new(),
            live: Arc::new(Live::new(&settings.live_directory, store.clone())),
            discovery: Discovery::new(settings.discovery.clone(), store.clone()),
            inquirer: Inquirer::new(store.clone(), &settings.revocation),
            store,
            blobs,
            post,
            settings,
            health,
        })
    }

    /// A lease of its own for one batch of claims.
    fn fresh_lease(&self) -> Lease {
        Lease { owner: ProcessId::new(), length: self.settings.worker.lease.0 }
    }

    /// The lease this process takes for its tasks.
    #[must_use]
    pub const fn lease(&self) -> Lease {
        Lease { owner: self.process, length: self.settings.worker.lease.0 }
    }
}
