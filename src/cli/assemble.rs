//! Puts an installation together from its configuration: what `serve`, `demo` and `bench` run.

use std::{
    fs::File,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail, ensure};

use super::org::credentials::{Credentials, read_identities};

use crate::{
    config::Config,
    crypto::MasterKey,
    document::pdf,
    domain::Clock,
    net::dns::Dns,
    observe::health::Health,
    pipeline::{Gateway, PostOffice, Settings},
    send::{Mx, Relay},
    source::accept::Intake,
    store::{Store, StoreOptions, blobs::Blobs, identity_key::KeyPlace, organization::NewIdentity},
};

/// A gateway and its way in, over one store.
pub(crate) struct Installation {
    /// The pipeline.
    pub(crate) gateway: Arc<Gateway>,
    /// The end of all ways in.
    pub(crate) intake: Intake,
}

/// Opens the store alone: for commands that look or change something beside a running gateway.
pub(crate) async fn open_store(config: &Config, master: MasterKey, clock: Arc<dyn Clock>) -> anyhow::Result<Store> {
    let options = StoreOptions { url: config.store.url.expose().to_owned(), connections: config.store.connections, master };
    Store::open(options, clock).await.context("opening the store")
}

/// Opens everything. Connects to no relay yet.
pub(crate) async fn assemble(config: &Config, master: MasterKey, clock: Arc<dyn Clock>) -> anyhow::Result<Installation> {
    let store = open_store(config, master, Arc::clone(&clock)).await?;
    let intake = intake(config, &store)?;
    let blobs = intake.blobs().clone();
    let relays = config.relay.iter().cloned().map(Relay::new).collect::<Result<Vec<_>, _>>().context("setting up a relay")?;
    // Only sta_mx needs a name server; a machine without one can still relay.
    let mx = match Dns::from_system().map(|resolver| Mx::new(config.mx.clone(), Arc::new(resolver))) {
        Ok(mx) => Some(mx.context("setting up direct delivery")?),
        Err(error) => {
            tracing::warn!(%error, "direct delivery (sta_mx) is not possible here");
            None
        }
    };
    let own = own_identities(config, &*clock)?;
    let settings = Settings::from(config);
    Ok(Installation {
        gateway: Gateway::new(store, blobs, PostOffice::new(relays, mx).with_identities(own), settings, Health::default()),
        intake,
    })
}

/// The way in, for commands that hand something in beside a running gateway.
pub(crate) fn intake(config: &Config, store: &Store) -> anyhow::Result<Intake> {
    let blobs = Blobs::in_folder(&config.blobs.folder).context("opening the file store")?;
    let limit = config.limits.pdf_bytes;
    let check =
        Arc::new(move |bytes: &[u8]| pdf::check(bytes, limit).map(drop).map_err(|problem| (problem.code(), problem.to_string())));
    Ok(Intake::new(store.clone(), blobs, check, limit))
}

/// The addresses the installation itself sends from, with their keys and passwords.
fn own_identities(config: &Config, clock: &dyn Clock) -> anyhow::Result<Vec<NewIdentity>> {
    // The configuration has made the paths absolute.
    let read = read_identities(&config.identity, Path::new(""), &config.token, clock.now());
    let Credentials { mut identities, keys, warnings, mut problems, .. } = read;
    for key in keys {
        match key.key {
            KeyPlace::Stored(pem) => {
                if let Some(identity) = identities.iter_mut().find(|identity| identity.address == key.address) {
                    identity.secret = Some(pem);
                }
            }
            KeyPlace::Token(_) => problems.push(format!(
                "identity {}: a key on a token belongs to an organization: name it in the organization's file",
                key.address
            )),
        }
    }
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    ensure!(problems.is_empty(), "the installation's own identities cannot be used:\n  {}", problems.join("\n  "));
    Ok(identities)
}

/// On SQLite exactly one gateway runs: whoever holds this file's lock. PostgreSQL needs none.
pub(crate) fn only_one(config: &Config) -> anyhow::Result<Option<File>> {
    let Some(database) = config.store.url.sqlite_file() else { return Ok(None) };
    let path = PathBuf::from(format!("{}.lock", database.display()));
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("opening {}", path.display()))?;
    if rustix::fs::flock(file.as_fd(), rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
        bail!("another gateway is already running on {}; stop it first, or use PostgreSQL for several", database.display());
    }
    Ok(Some(file))
}
