//! `postern serve`: run the gateway.

use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Exit,
    assemble::{Installation, assemble, only_one},
    block_on,
    context::{Context, Global},
    say,
};
use crate::{
    config::{Config, console::Reached},
    domain::{OrgId, OrgScope},
    observe::{health::Part, metrics::Metrics},
    pipeline::{alerting::Alerting, metering::Metering, telling::Teller},
    source::{
        feed::Feed,
        folder::{Folder, watched_twice},
    },
    track::{Arrivals, imap::Mailboxes, smtp_in::SmtpIn},
    trust::{bundle, identity},
    web,
};

/// A part of the gateway that can run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Only {
    /// Routing and sending
    Worker,
    /// The HTTP door
    Web,
    /// Watched folders and feeds
    Source,
    /// What comes back: the SMTP door, the HISPs' mailboxes, notices and their clocks; and the webhooks that are told of it
    Track,
}

/// Run the gateway until it is told to stop (Ctrl-C, SIGTERM)
///
/// Without --only everything runs in this process: the HTTP door, watched folders and feeds, routing and sending, the SMTP
/// door and the mailboxes for what comes back, and what follows from it.
/// On PostgreSQL any number of processes on any number of machines can share the work.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// Run only this part
    #[arg(long, value_name = "PART")]
    only: Option<Only>,
}

pub(crate) fn run(serve: &Serve, global: &Global) -> anyhow::Result<Exit> {
    let context = Context::load(global)?;
    context.start_log()?;
    let metrics = Metrics::start().context("setting metrics up")?;
    let config = context.config().clone();
    let _lock = only_one(&config)?;
    let (master, only) = (context.master_key()?, serve.only);
    block_on(async move {
        let installation = assemble(&config, master, context.clock).await?;
        let stop = CancellationToken::new();
        tokio::spawn(stop_on_signal(stop.clone()));
        serve_until(&config, installation, metrics, Doors::of(only), stop).await
    })??;
    Ok(Exit::Good)
}

/// What runs in this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Doors {
    /// Routing and sending.
    pub(crate) worker: bool,
    /// The HTTP door.
    pub(crate) web: bool,
    /// Folders and feeds.
    pub(crate) source: bool,
    /// What comes back.
    pub(crate) track: bool,
}

impl Doors {
    fn of(only: Option<Only>) -> Self {
        let runs = |part| only.is_none_or(|only| only == part);
        Self { worker: runs(Only::Worker), web: runs(Only::Web), source: runs(Only::Source), track: runs(Only::Track) }
    }
}

/// Runs an installation until `stop`, then ends in good order: nothing new is taken, what runs is finished.
pub(crate) async fn serve_until(
    config: &Config,
    installation: Installation,
    metrics: Metrics,
    doors: Doors,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let Installation { gateway, intake } = installation;
    let tasks = TaskTracker::new();
    if doors.web {
        let listen = config.web.listen;
        let listener = TcpListener::bind(listen).await.with_context(|| format!("listening on {listen}"))?;
        say(&format!("listening on http://{}", listener.local_addr()?));
        let web = web::Web::new(&config.web, intake.clone(), gateway.health.clone(), Some(metrics))
            .probing(gateway.prober())
            .explaining(&config.directory, &config.test, gateway.live.clone())
            .costing(&config.fees)
            .feeding(&config.feed)
            .telling(&config.events)
            .with_console(&config.console)
            .vouching(&config.oidc)
            .context("setting up [oidc]")?;
        match web.reached() {
            Reached::Closed => say("the console is closed: it would be open to others without TLS; set url in [console]"),
            Reached::Insecure => say("the console is open without TLS: what people type can be read on the way"),
            Reached::Secure(_) | Reached::Loopback => {}
        }
        let stopped = stop.clone();
        tasks.spawn(async move {
            if let Err(error) = web::serve(web, listener, stopped).await {
                tracing::error!(%error, "the HTTP door has closed");
            }
        });
    }
    if doors.source {
        if !config.folder.is_empty() || !config.feed.is_empty() {
            gateway.health.expect(Part::Source, Duration::from_mins(15));
        }
        if let Some(path) = watched_twice(&config.folder) {
            bail!("the folder {} is watched twice, under two spellings: a folder belongs to one organization", path.display());
        }
        for settings in &config.folder {
            let org = organization(&gateway.store, &settings.organization).await?;
            let folder = Folder::new(settings.clone(), org, intake.clone());
            tasks.spawn(folder.run(gateway.lease(), gateway.health.clone(), stop.clone()));
        }
        for settings in &config.feed {
            let org = organization(&gateway.store, &settings.organization).await?;
            let token = settings
                .token_file
                .as_ref()
                .map(|file| std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display())));
            let feed = Feed::new(settings.clone(), org, intake.clone(), token.transpose()?.as_deref().map(str::trim))?;
            tasks.spawn(feed.run(gateway.lease(), gateway.health.clone(), stop.clone()));
        }
    }
    if doors.track {
        let arrivals =
            Arrivals::new(gateway.store.clone(), std::sync::Arc::clone(&gateway.clock)).with_own(gateway.post.own_addresses());
        if let Some(listen) = config.smtp_in.listen {
            let door = SmtpIn::open(listen, config.smtp_in.clone(), &config.relay, arrivals.clone()).await?;
            say(&format!("taking mail on {}", door.address()?));
            tasks.spawn(door.run(stop.clone()));
        }
        let with_mailboxes: Vec<&str> =
            config.relay.iter().filter(|relay| relay.imap.is_some()).map(|relay| relay.name.as_str()).collect();
        gateway.store.keep_ways_in_of(&with_mailboxes).await?;
        for relay in &config.relay {
            let mailboxes = Mailboxes::of(relay, arrivals.clone());
            if let Some(mailboxes) = mailboxes.with_context(|| format!("setting up the mailboxes of relay {}", relay.name))? {
                let mailboxes = mailboxes.telling(gateway.health.clone());
                tasks.spawn(mailboxes.run(gateway.lease(), stop.clone()));
            }
        }
    }
    if doors.worker {
        let (tidying, stopped) = (std::sync::Arc::clone(&gateway), stop.clone());
        tasks.spawn(async move { tidying.tidy_until(&stopped).await });
        let (adding, stopped) = (std::sync::Arc::clone(&gateway), stop.clone());
        tasks.spawn(async move { adding.add_up_until(&stopped).await });
        tasks.spawn(bundle::refresh::keep(gateway.store.clone(), gateway.lease(), stop.clone()));
        tasks.spawn(identity::expiry::keep(gateway.store.clone(), stop.clone()));
        let gateway = std::sync::Arc::clone(&gateway);
        let stopped = stop.clone();
        tasks.spawn(async move { gateway.work_until(&stopped).await });
    }
    if doors.track {
        let teller = Teller::new(std::sync::Arc::clone(&gateway)).context("setting up [events]")?;
        tasks.spawn(teller.run(stop.clone()));
        if let Some(metering) = Metering::new(std::sync::Arc::clone(&gateway), &config.fees).context("setting up [fees]")? {
            tasks.spawn(metering.run(stop.clone()));
        }
        let gateway = std::sync::Arc::clone(&gateway);
        let stopped = stop.clone();
        tasks.spawn(async move { gateway.track_until(&stopped).await });
    }
    // Every process says how it is; of several, one judges and tells.
    let alerting = Alerting::new(std::sync::Arc::clone(&gateway), config).context("setting up alerts")?;
    tasks.spawn(std::sync::Arc::new(alerting).run(stop.clone()));
    tasks.close();
    stop.cancelled().await;
    let patience = config.worker.grace.0 + Duration::from_secs(5);
    if tokio::time::timeout(patience, tasks.wait()).await.is_err() {
        tracing::warn!("some tasks did not end in time");
    }
    gateway.store.close().await;
    Ok(())
}

async fn organization(store: &crate::store::Store, slug: &str) -> anyhow::Result<OrgId> {
    let found = store.organization_by_slug(OrgScope::All, slug).await?;
    Ok(found.with_context(|| format!("there is no organization '{slug}': apply its file first (postern org apply FILE)"))?.id)
}

async fn stop_on_signal(stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        tracing::error!("signals cannot be listened to");
        return;
    };
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    stop.cancel();
    // A second one means now.
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    #[expect(clippy::exit, reason = "somebody asked twice; leases take care of the rest")]
    std::process::exit(130);
}
