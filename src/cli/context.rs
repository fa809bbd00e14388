//! What most commands need: the configuration and the clock.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use clap::Args;

use super::{assemble, block_on, shell};
use crate::{
    config::{self, Config, ConfigError, Loaded, environment, log::LogFormat},
    crypto::{CryptoError, MasterKey},
    domain::{Clock, OrgId, OrgScope},
    observe::{SystemClock, setup},
    store::{Store, organization::Organization},
};

/// Options every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The configuration file; without it ./postern.toml
    #[arg(short, long, global = true, value_name = "FILE", env = "POSTERN_CONFIG", help_heading = "Global options")]
    pub(crate) config: Option<PathBuf>,
    /// What was typed, for the audit trail.
    #[arg(skip)]
    pub(crate) ran: shell::Ran,
}

/// The option of every command that prints data.
#[derive(Debug, Args)]
pub(crate) struct Output {
    /// Print the data as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The option of every list that can be confined to one organization.
#[derive(Debug, Args)]
pub(crate) struct Whose {
    /// Only this organization's
    #[arg(long, value_name = "SLUG")]
    pub(crate) organization: Option<String>,
}

/// Options of the commands that talk to a running gateway.
#[derive(Debug, Args)]
pub(crate) struct Gateway {
    /// Where the gateway is
    #[arg(long, env = "POSTERN_URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) url: String,
    /// The organization's API token; better in the environment, where other users cannot see it
    #[arg(long, env = "POSTERN_TOKEN", hide_env_values = true)]
    pub(crate) token: config::Secret,
}

/// The configuration in force, and the clock.
pub(crate) struct Context {
    /// The configuration and where it came from.
    pub(crate) loaded: Loaded,
    /// Tells the time.
    pub(crate) clock: Arc<dyn Clock>,
}

impl Context {
    /// Reads the configuration.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub(crate) fn load(global: &Global) -> Result<Self, ConfigError> {
        let loaded = config::load(global.config.as_deref(), &variables()?)?;
        Ok(Self { loaded, clock: Arc::new(SystemClock) })
    }

    /// The configuration in force.
    pub(crate) const fn config(&self) -> &Config {
        &self.loaded.config
    }

    /// Starts logging as configured; the environment variable `POSTERN_LOG` overrides the levels.
    pub(crate) fn start_log(&self) -> anyhow::Result<()> {
        let log = &self.config().log;
        let filter = std::env::var("POSTERN_LOG").unwrap_or_else(|_| log.filter.clone());
        setup::log(log.format == LogFormat::Json, &filter).context("setting the log up")
    }

    /// Opens the store: for commands that look at or change something beside a running gateway.
    ///
    /// # Errors
    /// When it cannot be opened, or the master key cannot be read.
    pub(crate) async fn open_store(&self) -> anyhow::Result<Store> {
        assemble::open_store(self.config(), self.master_key()?, Arc::clone(&self.clock)).await
    }

    /// Reads the master key from where it was said to be.
    ///
    /// # Errors
    /// [`CryptoError`] names the file and what to do.
    pub(crate) fn master_key(&self) -> Result<MasterKey, CryptoError> {
        let keys = &self.config().keys;
        match &keys.master {
            Some(text) => MasterKey::from_text(text.expose()),
            None => MasterKey::from_file(&keys.master_file),
        }
    }
}

/// Runs `work` on the configured store and closes it.
pub(crate) fn with_store<T>(global: &Global, work: impl AsyncFnOnce(&Context, &Store) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let context = Context::load(global)?;
    block_on(async {
        let store = context.open_store().await?;
        let done = match on_record(global, &store).await {
            Ok(()) => work(&context, &store).await,
            Err(error) => Err(error),
        };
        store.close().await;
        done
    })?
}

/// Puts on record what is about to be done: when that is not possible, nothing is.
async fn on_record(global: &Global, store: &Store) -> anyhow::Result<()> {
    let org = match global.ran.organization() {
        Some(slug) => store.organization_by_slug(OrgScope::All, slug).await?.map(|found| found.id),
        None => None,
    };
    match global.ran.event(org) {
        Some(event) => store.witness(&shell::actor(), &event).await.context("writing the audit trail"),
        None => Ok(()),
    }
}

/// The organization somebody named.
pub(crate) async fn organization(store: &Store, slug: &str) -> anyhow::Result<Organization> {
    let found = store.organization_by_slug(OrgScope::All, slug).await?;
    found.with_context(|| format!("there is no organization {slug:?}; postern org list shows those there are"))
}

/// What the operator's shell looks at: one organization, or all.
pub(crate) async fn scope(store: &Store, slug: Option<&str>) -> anyhow::Result<OrgScope> {
    Ok(match slug {
        Some(slug) => OrgScope::One(organization(store, slug).await?.id),
        None => OrgScope::All,
    })
}

/// What organizations are called.
pub(crate) async fn slugs(store: &Store) -> anyhow::Result<HashMap<OrgId, String>> {
    let all = store.organizations(OrgScope::All).await?;
    Ok(all.into_iter().map(|organization| (organization.id, organization.file.slug)).collect())
}

/// The environment variables that are settings.
fn variables() -> Result<Vec<(String, String)>, ConfigError> {
    let settings = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    settings
        .filter(|(name, _)| name.starts_with(environment::PREFIX))
        .map(|(name, value)| match value.into_string() {
            Ok(value) => Ok((name, value)),
            Err(_) => Err(ConfigError::BadVariable { variable: name, problem: "is not UTF-8".to_owned() }),
        })
        .collect()
}
