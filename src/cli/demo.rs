//! `postern demo`: everything on one machine, no configuration.

use std::{
    collections::BTreeMap,
    fs,
    io::IsTerminal as _,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::{
    Exit,
    assemble::{assemble, only_one},
    block_on, print, say,
    serve::{Doors, serve_until},
};
use crate::{
    config::{self, Config},
    crypto::{Hex, MasterKey},
    domain::{
        Clock, DirectAddress, Money, OrgId, OrgScope,
        organization::{OrganizationFile, SendMode},
        route::DirectorySource,
    },
    net::tls::PemPair,
    observe::{SystemClock, metrics::Metrics},
    resolve::directory,
    sandbox::{
        Desk, Hisp, HispSettings, Mailboxes,
        mailbox::Door,
        practice::Practice,
        story::{self, CAST, Cast, PRACTICE_DOMAINS},
    },
    store::{
        Store,
        directory::NewSnapshot,
        ledger::{EntryType, LineFilter},
        organization::NewIdentity,
        survey::Counts,
        trust::AnchorKind,
    },
};

/// Watch real PDFs become encrypted Direct messages, on this machine alone
///
/// Makes a practice HISP with its own certificate authority, three organizations, a directory of providers, and results
/// with real PDF reports; then routes, seals and sends them, and shows what became of each and what it cost.
/// Nobody in it exists and nothing leaves this machine.
#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// Leave after the summary instead of staying up (the default when the output is no terminal)
    #[arg(long)]
    once: bool,
    /// How many results to send
    #[arg(long, value_name = "N", default_value_t = 200)]
    results: u32,
    /// Folder to keep everything in; it must be empty or new. Without it a temporary one is made
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

/// Carries the notices.
mod courier;
/// Lets whoever watches into the console.
mod guest;

/// Longest the demo waits for its results.
const PATIENCE: Duration = Duration::from_mins(10);

pub(crate) fn run(demo: &Demo) -> anyhow::Result<Exit> {
    let once = demo.once || !std::io::stdout().is_terminal();
    let dir = folder(demo.dir.as_deref())?;
    block_on(async move { play(demo, &dir, once).await })?
}

/// An empty folder to work in.
fn folder(wanted: Option<&Path>) -> anyhow::Result<PathBuf> {
    let dir = match wanted {
        Some(dir) => dir.to_owned(),
        None => std::env::temp_dir().join(format!("postern-demo-{}", uuid::Uuid::now_v7().as_simple())),
    };
    fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    if fs::read_dir(&dir)?.next().is_some() {
        anyhow::bail!("{} is not empty: name a new folder with --dir", dir.display());
    }
    fs::canonicalize(&dir).with_context(|| format!("finding {}", dir.display()))
}

async fn play(demo: &Demo, dir: &Path, once: bool) -> anyhow::Result<Exit> {
    let began = Instant::now();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    say(&format!("Setting the stage in {}", dir.display()));
    let practice = Practice::open(&dir.join("hisp/keys"), Arc::clone(&clock))?;
    let hisp = open_hisp(dir, &practice, Arc::clone(&clock)).await?;
    say(&format!(
        "  a practice HISP with its own certificate authority (relay {}, edge {})",
        hisp.address(Door::Relay),
        hisp.address(Door::Edge)
    ));

    let config = write_configuration(dir, &hisp)?;
    crate::observe::setup::log(false, "postern=error").context("setting the log up")?;
    let metrics = Metrics::start().context("setting metrics up")?;
    let _lock = only_one(&config)?;
    let installation = assemble(&config, MasterKey::from_file(&config.keys.master_file)?, Arc::clone(&clock)).await?;
    let store = installation.gateway.store.clone();
    let mut organizations = Vec::new();
    for cast in &CAST {
        organizations.push(enrol(&store, cast, &practice).await?);
        say(&format!("  {} ({})", cast.slug, cast.shows));
    }
    let entries = load_directory(&store).await?;
    say(&format!("  a directory with {entries} entries"));

    let stop = CancellationToken::new();
    let doors = Doors { worker: true, web: !once, source: true, track: true };
    let gateway = tokio::spawn({
        let (config, stop) = (config.clone(), stop.clone());
        async move { serve_until(&config, installation, metrics, doors, stop).await }
    });
    say(&format!(
        "\n{} finished results arrive in the organizations' folders, each with its order and a PDF report.",
        demo.results
    ));
    let dropping = tokio::task::spawn_blocking({
        let (dir, results) = (dir.to_owned(), demo.results);
        move || drop_results(&dir, results)
    });
    let settled = watch(&store, demo.results).await?;
    dropping.await.context("writing the results")??;
    say("The practice HISP's notices come back.");
    let settled = courier::carry(&store, &Mailboxes::new(dir.join("hisp/notices"), Arc::clone(&clock))?).await? && settled;

    let summary = Summary::of(&store, &organizations, clock.now(), demo.results).await?;
    if demo.json {
        print(&format!("{}\n", serde_json::to_string_pretty(&summary.json())?))?;
    } else {
        print(&summary.text())?;
        print(&where_next(dir, &store, &hisp, &practice).await?)?;
    }
    say(&format!("\nDone in {:.1} s.", began.elapsed().as_secs_f64()));
    if demo.dir.is_none() && once && !demo.json {
        say(&format!("Everything is kept in {} until you remove it.", dir.display()));
    }
    if !once && gateway.is_finished() {
        gateway.await.context("the gateway stopped")??;
        return Ok(Exit::Bad);
    }
    if !once {
        let (login, password) = guest::invite(&store).await?;
        say(&format!(
            "The gateway stays up until you press Ctrl-C.\n\nSign in to the console at http://localhost:{}\n  name      {login}\n  password  {}",
            config.web.listen.port(),
            password.as_str()
        ));
        tokio::signal::ctrl_c().await.context("waiting for Ctrl-C")?;
    }
    stop.cancel();
    gateway.await.context("the gateway stopped")??;
    hisp.stop().await;
    // Nobody can look into a folder that is gone; who asked for JSON wants the figures alone.
    if demo.dir.is_none() && demo.json {
        fs::remove_dir_all(dir).with_context(|| format!("removing {}", dir.display()))?;
    }
    Ok(if settled && summary.ties() { Exit::Good } else { Exit::Bad })
}

const RELAY_PASSWORD: &str = "practice-relay";
const EDGE_PASSWORD: &str = "practice-edge";

async fn open_hisp(dir: &Path, practice: &Practice, clock: Arc<dyn Clock>) -> anyhow::Result<Hisp> {
    let (certificate, key) = practice.server("localhost")?;
    let tls = PemPair { certificate: certificate.into_bytes(), key: key.into_bytes() };
    let mailboxes = Mailboxes::new(dir.join("hisp/mail"), Arc::clone(&clock))?;
    let mut settings = HispSettings::local(mailboxes, tls, Arc::new(practice.clone())).login("gateway", RELAY_PASSWORD);
    settings.edge_password = Some(EDGE_PASSWORD.into());
    let notices = Mailboxes::new(dir.join("hisp/notices"), Arc::clone(&clock))?;
    settings.desk = Some(Arc::new(Desk::new(practice.clone(), notices, None, clock)));
    Ok(Hisp::start(settings).await?)
}

/// Writes the installation's configuration, so that every other command can look at it, and reads it as they will.
fn write_configuration(dir: &Path, hisp: &Hisp) -> anyhow::Result<Config> {
    fs::create_dir_all(dir.join("keys"))?;
    MasterKey::generate()?.create_file(&dir.join("keys/master.key"))?;
    let mut toml = format!(
        "# Written by `postern demo`.\n[web]\nlisten = \"{}\"\n[worker]\npoll = \"200ms\"\n[track]\npoll = \"200ms\"\n[console]\ncodes_for = []\n[test]\ntest_domains = [\"test.example\"]\n\
         [discovery]\ndns = false\nldap = false\n",
        free_port()?
    );
    for (name, door, auth) in [
        ("practice-hisp", Door::Relay, format!("auth = {{ user = \"gateway\", password = \"{RELAY_PASSWORD}\" }}\n")),
        ("practice-edge", Door::Edge, String::new()),
    ] {
        let port = hisp.address(door).port();
        toml += &format!(
            "[[relay]]\nname = \"{name}\"\nhost = \"localhost\"\nport = {port}\nca_file = \"hisp/keys/ca.pem\"\nmax_connections = 8\n{auth}"
        );
    }
    for cast in &CAST {
        let path = dir.join("inbox").join(cast.slug);
        fs::create_dir_all(&path)?;
        toml += &format!(
            "[[folder]]\norganization = \"{0}\"\npath = \"inbox/{0}\"\nsettle = \"250ms\"\npoll = \"200ms\"\n",
            cast.slug
        );
    }
    let file = dir.join("postern.toml");
    fs::write(&file, toml)?;
    Ok(config::load(Some(&file), &[])?.config)
}

fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Applies an organization's file, gives it an identity, and lets it trust the practice authority.
async fn enrol(store: &Store, cast: &Cast, practice: &Practice) -> anyhow::Result<(OrgId, &'static str)> {
    let file: OrganizationFile = toml::from_str(cast.file).context("reading a made-up organization")?;
    let address: DirectAddress = cast.address.parse()?;
    let mode: SendMode = cast.mode.parse()?;
    let identity = if mode == SendMode::Edge {
        let secret = Some(EDGE_PASSWORD.as_bytes().to_vec().into());
        NewIdentity { address, mode, relay: Some("practice-edge".into()), certificate: None, secret }
    } else {
        let (certificate, key) = practice.identity(&address)?;
        let secret = Some(key.into_bytes().into());
        NewIdentity { address, mode, relay: Some("practice-hisp".into()), certificate: Some(certificate), secret }
    };
    let org = store.apply_organization(&file, &[identity]).await?;
    let anchor = practice.anchor();
    store
        .import_anchor(org, AnchorKind::Anchor, anchor.der(), &Hex(&anchor.fingerprint()).to_string(), anchor.valid_until())
        .await?;
    for domain in PRACTICE_DOMAINS {
        let certificate = practice.domain(domain)?.certificate;
        store
            .import_certificate(
                org,
                domain,
                certificate.der(),
                &Hex(&certificate.fingerprint()).to_string(),
                certificate.valid_until(),
            )
            .await?;
    }
    Ok((org, cast.slug))
}

async fn load_directory(store: &Store) -> anyhow::Result<u64> {
    let new = NewSnapshot { source: DirectorySource::DirectTrust, org: None, file: "demo" };
    let text = story::directory();
    let read = move |sink: directory::rows::Sink<'_>| {
        directory::drain(directory::CsvDirectory::new(text.as_bytes(), &directory::Mapping::default())?, sink)
    };
    Ok(directory::load(store, new, read, directory::Terms::default()).await?.entries)
}

/// Writes orders, reports and results into the watched folders, the way a finished exam would arrive: under another
/// name first, then renamed.
fn drop_results(dir: &Path, results: u32) -> anyhow::Result<()> {
    for number in 0..results {
        let chapter = story::chapter(number);
        let inbox = dir.join("inbox").join(CAST[chapter.organization].slug);
        let put = |name: String, content: &[u8]| -> anyhow::Result<()> {
            let (part, whole) = (inbox.join(format!("{name}.part")), inbox.join(name));
            fs::write(&part, content)?;
            Ok(fs::rename(part, whole)?)
        };
        let id = &chapter.order_id;
        put(format!("{id}-order.json"), chapter.order.to_string().as_bytes())?;
        put(format!("{id}.pdf"), &chapter.pdf())?;
        put(format!("{id}.json"), chapter.result.to_string().as_bytes())?;
    }
    Ok(())
}

/// Shows progress until every result has its outcome. `false` when patience ran out.
async fn watch(store: &Store, results: u32) -> anyhow::Result<bool> {
    let bar = ProgressBar::with_draw_target(Some(u64::from(results)), ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template("  {bar:40} {pos}/{len} results  {msg}")?);
    let began = Instant::now();
    let mut said = Instant::now();
    loop {
        let counts = store.counts(OrgScope::All).await?;
        let decided = decided(&counts);
        let accepted = counts.deliveries.get(&crate::domain::delivery::State::Accepted).copied().unwrap_or(0);
        let moving = moving(&counts);
        let message = format!("{accepted} messages handed over, {moving} under way");
        bar.set_position(decided);
        bar.set_message(message.clone());
        if bar.is_hidden() && said.elapsed() > Duration::from_secs(2) {
            said = Instant::now();
            say(&format!("  {decided}/{results} results, {message}"));
        }
        if decided >= u64::from(results) && moving == 0 {
            bar.finish();
            return Ok(true);
        }
        if began.elapsed() > PATIENCE {
            bar.abandon();
            say("some results are still under way; showing what there is");
            return Ok(false);
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

fn decided(counts: &Counts) -> u64 {
    use crate::domain::report::ResultState as R;
    [R::Routed, R::Held, R::NotSent].iter().filter_map(|state| counts.results.get(state)).sum()
}

fn moving(counts: &Counts) -> u64 {
    use crate::domain::delivery::State as S;
    [S::Queued, S::Claimed, S::OnWire].iter().filter_map(|state| counts.deliveries.get(state)).sum()
}

/// What became of everything.
struct Summary {
    results: u32,
    counts: Counts,
    rules: BTreeMap<String, u64>,
    /// Failed deliveries that went another way, and that need a person.
    fallbacks: (u64, u64),
    fees: BTreeMap<(&'static str, String), (u64, Money)>,
}

impl Summary {
    async fn of(
        store: &Store,
        organizations: &[(OrgId, &'static str)],
        now: crate::domain::Timestamp,
        results: u32,
    ) -> anyhow::Result<Self> {
        let counts = store.counts(OrgScope::All).await?;
        let rules = store.rules_taken(OrgScope::All).await?;
        let mut fees: BTreeMap<(&'static str, String), (u64, Money)> = BTreeMap::new();
        for (org, slug) in organizations {
            let filter =
                LineFilter { org: *org, site: None, from: crate::domain::Timestamp(0), to: now.plus(Duration::from_secs(1)) };
            for line in store.ledger_lines(OrgScope::All, filter).await? {
                let messages = u64::from(line.entry_type == EntryType::Charge);
                let entry = fees.entry((slug, line.currency.as_str().to_owned())).or_default();
                *entry = (entry.0 + messages, entry.1.plus(line.amount).context("adding fees")?);
            }
        }
        Ok(Self { results, counts, rules, fallbacks: store.fallbacks(OrgScope::All).await?, fees })
    }

    /// Results in are results out, and every delivery has its charge or a reason for none.
    fn ties(&self) -> bool {
        let results: u64 = self.counts.results.values().sum();
        let lines: u64 = self.fees.values().map(|(lines, _)| lines).sum();
        results == u64::from(self.results) && self.counts.untied == 0 && lines == self.counts.charge_lines
    }

    fn json(&self) -> serde_json::Value {
        let mut charged: BTreeMap<&str, Money> = BTreeMap::new();
        for ((_, currency), (_, amount)) in &self.fees {
            let sum = charged.entry(currency).or_default();
            *sum = sum.plus(*amount).unwrap_or(*sum);
        }
        serde_json::json!({
            "results": self.counts.results.values().sum::<u64>(),
            "deliveries": words(&self.counts.deliveries),
            "dispositions": words(&self.counts.dispositions),
            "held": words(&self.counts.held),
            "charges": self.counts.charge_lines,
            "charged": charged,
            "ties": self.ties(),
        })
    }

    fn text(&self) -> String {
        let mut text = String::from("\nRouted by\n");
        for (rule, count) in &self.rules {
            text += &format!("  {count:>6}  {}\n", rule_words(rule));
        }
        text += "\nMessages\n";
        for (state, count) in &self.counts.deliveries {
            text += &format!("  {count:>6}  {state}\n");
        }
        text += "\nWhat the receiving side says\n";
        for (disposition, count) in &self.counts.dispositions {
            text += &format!("  {count:>6}  {disposition}\n");
        }
        let (made, person) = self.fallbacks;
        if made + person > 0 {
            text += "\nWhat could not be delivered\n";
            text += &format!(
                "  {made:>6}  sent to the organization's own address instead\n  {person:>6}  left to a person: postern worklist\n"
            );
        }
        let held: u64 = self.counts.held.values().sum();
        if held > 0 {
            text += &format!("\nResults that need a person ({held})\n");
            for (reason, count) in &self.counts.held {
                text += &format!("  {count:>6}  {reason}: {}\n", reason.meaning());
            }
        }
        text += "\nFees\n";
        for ((slug, currency), (lines, amount)) in &self.fees {
            text += &format!("  {:>9} {currency}  {slug}, {lines} messages\n", amount.to_string());
        }
        let verdict = if self.ties() { "tie" } else { "DO NOT TIE" };
        text + &format!(
            "\nThe totals {verdict}: {} results in, every message charged once or with a reason for none.\n",
            self.results
        )
    }
}

fn rule_words(rule: &str) -> &str {
    match rule {
        "order_address" => "the address on the order",
        "directory" => "the directory, by NPI",
        "site" => "the site's own address",
        "organization" => "the organization's address",
        other => other,
    }
}

fn words<K: ToString>(counts: &BTreeMap<K, u64>) -> BTreeMap<String, u64> {
    counts.iter().map(|(key, count)| (key.to_string(), *count)).collect()
}

async fn where_next(dir: &Path, store: &Store, _hisp: &Hisp, _practice: &Practice) -> anyhow::Result<String> {
    let held = store.worklist(OrgScope::All).await?;
    let order = held.first().map_or("DEMO000000", |item| item.order_id.as_str());
    let config = dir.join("postern.toml");
    let config = config.display();
    Ok(format!(
        "\nWhere to look next\n\
         \x20 postern -c {config} worklist\n\
         \x20 postern -c {config} explain {order}\n\
         \x20 postern -c {config} delivery list\n\
         \x20 postern -c {config} fees report --from 2020-01-01 --to 2100-01-01\n\
         \x20 postern hisp list --dir {}\n",
        dir.join("hisp").display()
    ))
}
