//! `postern bench`: the real pipeline against a TLS sink, beside the primitives it cannot do without.

/// What charging adds.
mod fees;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    ops::Range,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use rustix::time::{ClockId, clock_gettime};
use tokio_util::sync::CancellationToken;

use super::{Exit, assemble::assemble, block_on, context::Output, print, say};
use crate::{
    config::Config,
    crypto::{Hex, MasterKey},
    domain::{
        Clock, DirectAddress, OrgScope, Timestamp,
        delivery::State,
        organization::{Billable, OrganizationFile, SendMode},
        time::Span,
    },
    observe::{SystemClock, metrics::Metrics, setup},
    pipeline::Gateway,
    sandbox::{practice::Practice, report_pdf, story},
    seal::{Inner, KeySigner, Profile, Seal, Sealer, floor::Floor},
    source::wire::{self, OrderMessage, Unknown},
    store::{intake::StoredPdf, organization::NewIdentity, trust::AnchorKind},
    trust::RecipientCertificate,
};

/// Measure the gateway on this machine, beside the primitives it cannot do without
///
/// Sends messages through the real pipeline, from claim to durable answer and charge, on SQLite, logging and counting as a
/// gateway does, over TLS to a sink in a process of its own that is not counted. In the same run it measures the floor: one RSA-2048 signature, SHA-256 and
/// AES-256-CBC over the message, one RSA encryption and one base64 pass (floor_seal), and the two base64 passes for
/// document and attachment (floor). Ratios hold on a noisy machine; absolute figures do not.
///
/// With --fees it goes on with turns that are charged and turns that are not, nine of each with a quarter of the messages, and
/// says what charging adds.
#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    /// How many messages to send
    #[arg(long, value_name = "N", default_value_t = 400)]
    messages: u32,
    /// Size of each PDF; without it 300, 50 and 2048 are measured one after the other (with --json 300 alone)
    #[arg(long, value_name = "KIB")]
    pdf_kib: Option<usize>,
    /// Deliveries at work at the same time
    #[arg(long, value_name = "N", default_value_t = 16)]
    workers: usize,
    /// Measure what charging adds, too
    #[arg(long)]
    fees: bool,
    #[command(flatten)]
    output: Output,
}

/// What one run measured.
#[derive(Debug, serde::Serialize)]
struct Measured {
    messages_per_second: f64,
    cpu_ms_per_message: f64,
    seal_cpu_ms: f64,
    floor_cpu_ms: f64,
    floor_seal_cpu_ms: f64,
    seal_ratio: f64,
    ratio: f64,
    peak_rss_mib: f64,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    charging: Option<fees::Charging>,
}

pub(crate) fn run(bench: &Bench) -> anyhow::Result<Exit> {
    ensure!(
        bench.messages > 0 && bench.workers > 0 && bench.pdf_kib != Some(0),
        "--messages, --workers and --pdf-kib must be at least 1"
    );
    if cfg!(debug_assertions) {
        say("this is a debug build: its figures mean nothing (cargo run --release -- bench)");
    }
    let sizes = match bench.pdf_kib {
        Some(size) => vec![size],
        None if bench.output.json => vec![300],
        None => vec![300, 50, 2048],
    };
    let base = std::env::temp_dir().join(format!("postern-bench-{}", uuid::Uuid::now_v7().as_simple()));
    fs::create_dir_all(&base).with_context(|| format!("making {}", base.display()))?;
    // A running gateway logs and counts what it does; so does this one.
    let log = fs::File::create(base.join("log")).context("making a file for the log")?;
    setup::log_into(log, "info").context("setting the log up")?;
    let _metrics = Metrics::start().context("setting metrics up")?;
    let done = measure_all(bench, &sizes, &base);
    fs::remove_dir_all(&base).with_context(|| format!("removing {}", base.display()))?;
    done
}

fn measure_all(bench: &Bench, sizes: &[usize], base: &Path) -> anyhow::Result<Exit> {
    for &size in sizes {
        // Large ones take longer and say as much with fewer.
        let messages = if size > 1000 && bench.pdf_kib.is_none() { bench.messages.div_ceil(5) } else { bench.messages };
        let run = Run { messages, pdf_kib: size, workers: bench.workers };
        let dir = base.join(size.to_string());
        fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        let mut measured = block_on(measure(run, &dir))??;
        if bench.fees {
            let dir = dir.join("fees");
            fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
            measured.charging = Some(block_on(fees::measure(run, &dir))??);
        }
        if bench.output.json {
            print(&format!("{}\n", serde_json::to_string_pretty(&measured)?))?;
        } else {
            print(&table(run, &measured))?;
        }
    }
    Ok(Exit::Good)
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
struct Run {
    messages: u32,
    pdf_kib: usize,
    workers: usize,
}

fn table(bench: Run, m: &Measured) -> String {
    format!(
        "{} messages with a PDF of {} KiB, {} at a time\n\
         \x20 messages per second    {:>9.1}\n\
         \x20 CPU per message        {:>9.2} ms   {:.2} times the floor of {:.2} ms\n\
         \x20 sealing                {:>9.2} ms   {:.2} times its floor of {:.2} ms\n\
         \x20 peak memory            {:>9.0} MiB\n{}",
        bench.messages,
        bench.pdf_kib,
        bench.workers,
        m.messages_per_second,
        m.cpu_ms_per_message,
        m.ratio,
        m.floor_cpu_ms,
        m.seal_cpu_ms,
        m.seal_ratio,
        m.floor_seal_cpu_ms,
        m.peak_rss_mib,
        m.charging.as_ref().map_or_else(String::new, fees::Charging::table)
    )
}

async fn measure(bench: Run, dir: &Path) -> anyhow::Result<Measured> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let sink = Sink::start(dir)?;
    let config = configuration(dir, sink.port, bench)?;
    let installation = assemble(&config, MasterKey::generate()?, Arc::clone(&clock)).await?;
    let gateway = installation.gateway;
    let parties = enrol(&gateway, dir, &clock, About { slug: "bench", billable: Billable::Accepted }).await?;
    let pdf = report_pdf::make(7, &about(), bench.pdf_kib);
    fill(&gateway, &parties, &pdf, 0..bench.messages).await?;

    gateway.route_all().await?;
    let (wall, cpu) = (Instant::now(), cpu_now());
    work(&gateway, bench.messages).await?;
    let (wall, cpu) = (wall.elapsed(), cpu_now().saturating_sub(cpu));
    let peak = peak_rss_mib()?;
    let counts = gateway.store.counts(OrgScope::All).await?;
    let accepted = counts.deliveries.get(&State::Accepted).copied().unwrap_or(0);
    ensure!(accepted == u64::from(bench.messages) && counts.charge_lines == accepted, "only {accepted} messages were accepted");
    sink.end()?;

    let inner = inner_message(&parties, &pdf)?;
    let (floor_seal, floor, seal) = floors(&parties, &inner, &pdf)?;
    let cpu_ms = cpu.as_secs_f64() * 1e3 / f64::from(bench.messages);
    Ok(Measured {
        messages_per_second: f64::from(bench.messages) / wall.as_secs_f64(),
        cpu_ms_per_message: cpu_ms,
        seal_cpu_ms: seal,
        floor_cpu_ms: floor,
        floor_seal_cpu_ms: floor_seal,
        seal_ratio: seal / floor_seal,
        ratio: cpu_ms / floor,
        peak_rss_mib: peak,
        charging: None,
    })
}

/// CPU time of this process: the sink has a process of its own.
fn cpu_now() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

fn peak_rss_mib() -> anyhow::Result<f64> {
    let status = fs::read_to_string("/proc/self/status").context("reading this process's memory")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("the system does not tell the peak memory")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse().context("reading the peak memory")?;
    Ok(kib / 1024.0)
}

/// The sink, in a process of its own that is not counted.
struct Sink {
    child: Child,
    port: u16,
}

impl Sink {
    fn start(dir: &Path) -> anyhow::Result<Self> {
        let mut sink = Command::new(std::env::current_exe().context("finding this program")?)
            .args(["hisp", "sink", "--certificate"])
            .arg(dir.join("sink.pem"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the sink")?;
        let mut line = String::new();
        let out = sink.stdout.as_mut().context("the sink has no output")?;
        BufReader::new(out).read_line(&mut line).context("waiting for the sink")?;
        let said: serde_json::Value = serde_json::from_str(&line).context("reading the sink's address")?;
        let address: std::net::SocketAddr = said["address"].as_str().context("the sink named no address")?.parse()?;
        Ok(Self { child: sink, port: address.port() })
    }

    fn end(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        self.child.wait().context("waiting for the sink")?;
        Ok(())
    }
}

fn configuration(dir: &Path, port: u16, bench: Run) -> anyhow::Result<Config> {
    let toml = format!(
        "[worker]\nconcurrency = {0}\nbatch = {0}\n[discovery]\ndns = false\nldap = false\n[[relay]]\nname = \"sink\"\nhost = \"localhost\"\nport = {port}\ntls = \"implicit\"\n\
         ca_file = \"sink.pem\"\nmax_connections = {0}\n",
        bench.workers
    );
    let file = dir.join("postern.toml");
    fs::File::create(&file)?.write_all(toml.as_bytes())?;
    Ok(crate::config::load(Some(&file), &[])?.config)
}

/// Who sends and who receives.
struct Parties {
    org: crate::domain::OrgId,
    from: DirectAddress,
    to: DirectAddress,
    signer: KeySigner,
    recipient: RecipientCertificate,
    at: Timestamp,
}

/// Who sends, and when it is charged for.
#[derive(Debug, Clone, Copy)]
struct About {
    slug: &'static str,
    billable: Billable,
}

async fn enrol(gateway: &Gateway, dir: &Path, clock: &Arc<dyn Clock>, about: About) -> anyhow::Result<Parties> {
    let practice = Practice::open(&dir.join("keys"), Arc::clone(clock))?;
    let About { slug, billable } = about;
    let (from, to): (DirectAddress, DirectAddress) =
        (format!("results@direct.{slug}.example").parse()?, "clinic@direct.peer.example".parse()?);
    let file: OrganizationFile = toml::from_str(&format!(
        "slug = \"{slug}\"\nname = \"Bench\"\n[[site]]\nlocal_id = \"LAB\"\ntarget = [{{ direct = \"clinic@direct.peer.example\" }}]\n\
         [price]\nrate = [{{ from = \"2020-01-01\", fee_code = \"direct\", amount = \"0.25\", billable = \"{billable}\" }}]\n",
    ))?;
    let (certificate, key) = practice.identity(&from)?;
    let signer = KeySigner::read(certificate.as_bytes(), key.as_bytes())?;
    let identity = NewIdentity {
        address: from.clone(),
        mode: SendMode::StaRelay,
        relay: Some("sink".into()),
        certificate: Some(certificate),
        secret: Some(key.into_bytes().into()),
    };
    let org = gateway.store.apply_organization(&file, &[identity]).await?;
    let anchor = practice.anchor();
    let print = |certificate: &crate::trust::Certificate| Hex(&certificate.fingerprint()).to_string();
    gateway.store.import_anchor(org, AnchorKind::Anchor, anchor.der(), &print(anchor), anchor.valid_until()).await?;
    let own = practice.domain(&to.domain_key())?.certificate;
    gateway.store.import_certificate(org, &to.domain_key(), own.der(), &print(&own), own.valid_until()).await?;
    let at = clock.now();
    let recipient = RecipientCertificate::checked(own, &to, at)?;
    Ok(Parties { org, from, to, signer, recipient, at })
}

fn about() -> report_pdf::ReportAbout {
    report_pdf::ReportAbout {
        title: "Retinal eye screening report".into(),
        organization: "Bench".into(),
        patient: "Morgan Testriver".into(),
        birth_date: "1964-02-17".into(),
        order_id: "BENCH".into(),
        completed: "2026-01-15 10:15".into(),
        reader: "Casey Reader, MD".into(),
    }
}

/// So many different PDFs there are: each message reads one that others have pushed out of the processor's caches.
const DIFFERENT: u32 = 64;

/// Puts orders and results into the store: not measured, the measurement begins at the claim of the deliveries.
async fn fill(gateway: &Gateway, parties: &Parties, pdf: &[u8], numbers: Range<u32>) -> anyhow::Result<()> {
    let key = gateway.store.key(parties.org).await?;
    let mut stored = Vec::new();
    for number in 0..numbers.end.min(DIFFERENT) {
        let pdf = [pdf, format!("% {number}\n").as_bytes()].concat();
        let sha256 = gateway.blobs.put(parties.org, &key, &pdf).await?;
        stored.push(StoredPdf { name: key.blob_name(&sha256)?, sha256, bytes: pdf.len() as u64 });
    }
    let today = crate::domain::time::TimeZone::utc().date_at(parties.at);
    for (number, stored) in numbers.zip(stored.iter().cycle()) {
        let mut chapter = story::chapter(number);
        for value in [&mut chapter.order, &mut chapter.result] {
            value["site"] = "LAB".into();
        }
        chapter.order["deliver_to"] = serde_json::json!([]);
        chapter.order["do_not_deliver"] = false.into();
        let order = wire::order(chapter.order.to_string().as_bytes(), Unknown::Refuse, today);
        let report = wire::result(chapter.result.to_string().as_bytes(), Unknown::Refuse, today);
        let (Ok(order), Ok(report)) = (order, report) else { anyhow::bail!("a made-up order is not valid") };
        let OrderMessage::New(order_facts) = order.value else { anyhow::bail!("a made-up order is not new") };
        gateway.store.take_order(parties.org, &order_facts, crate::domain::order::Action::New).await?;
        gateway.store.take_result(parties.org, &report.value.report, Some(stored), None, Span::seconds(3600)).await?;
    }
    Ok(())
}

async fn work(gateway: &Arc<Gateway>, messages: u32) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let working = tokio::spawn({
        let (gateway, stop) = (Arc::clone(gateway), stop.clone());
        async move { gateway.work_until(&stop).await }
    });
    let began = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let settled = gateway.store.settled_count().await?;
        if settled >= u64::from(messages) {
            break;
        }
        ensure!(began.elapsed() < Duration::from_mins(30), "only {settled} of {messages} messages were settled");
    }
    stop.cancel();
    working.await.context("the worker stopped")
}

/// The inner message of one result, as the pipeline composes it.
fn inner_message(parties: &Parties, pdf: &[u8]) -> anyhow::Result<Inner> {
    let mut cda = b"<ClinicalDocument>".to_vec();
    cda.resize(cda.len() + pdf.len().div_ceil(3) * 4 + 6000, b'A');
    let mut message = format!(
        "From: {}\r\nTo: {}\r\nSubject: Clinical result\r\nDate: Thu, 15 Jan 2026 10:15:30 -0500\r\nMessage-ID: <bench@direct.bench.example>\r\n\
         MIME-Version: 1.0\r\nContent-Type: application/xml\r\nContent-Transfer-Encoding: base64\r\n\r\n",
        parties.from, parties.to
    )
    .into_bytes();
    crate::crypto::base64_lines(&cda, &mut message);
    Ok(Inner::parse(&message)?)
}

/// CPU milliseconds of floor_seal, floor and our sealing, taken in turns so that noise meets all three alike.
fn floors(parties: &Parties, inner: &Inner, pdf: &[u8]) -> anyhow::Result<(f64, f64, f64)> {
    let mut primitives = Floor::new()?;
    let cda = vec![b'A'; pdf.len().div_ceil(3) * 4 + 6000];
    let (mut sealer, mut out) = (Sealer::new(), Vec::new());
    let with = Seal { signer: &parties.signer, recipient: &parties.recipient, profile: Profile::default(), at: parties.at };
    let (mut floor_seal, mut passes, mut seal) = (Vec::new(), Vec::new(), Vec::new());
    let mut octets = 0;
    let began = Instant::now();
    while floor_seal.len() < 20 || (floor_seal.len() < 2000 && began.elapsed() < Duration::from_secs(4)) {
        let start = cpu_now();
        octets += primitives.pass(inner.bytes())?;
        let one = cpu_now();
        octets += Floor::base64(pdf) + Floor::base64(&cda);
        let two = cpu_now();
        octets += sealer.seal_inner(inner, with, &mut out)?.size;
        let three = cpu_now();
        floor_seal.push(one.saturating_sub(start));
        passes.push(two.saturating_sub(one));
        seal.push(three.saturating_sub(two));
    }
    ensure!(octets > 0, "nothing was measured");
    let (floor_seal, passes, seal) = (median_ms(&floor_seal), median_ms(&passes), median_ms(&seal));
    Ok((floor_seal, floor_seal + passes, seal))
}

fn median_ms(times: &[Duration]) -> f64 {
    median(times.iter().map(|time| time.as_secs_f64() * 1e3).collect())
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}
