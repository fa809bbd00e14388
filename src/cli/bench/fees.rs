//! What charging adds: the same messages through the same gateway, in turns with a charge in the transaction that settles them
//! and without one. In the turns without, the price list bills what was dispatched, and the sink tells nobody that it was.

use std::{path::Path, sync::Arc};

use anyhow::ensure;

use super::{About, Run, Sink, about, configuration, cpu_now, enrol, fill, median, work};
use crate::{
    cli::assemble::assemble,
    crypto::MasterKey,
    domain::{Clock, OrgScope, organization::Billable},
    observe::SystemClock,
    sandbox::report_pdf,
};

/// So often each of both has its turn.
const TURNS: u32 = 8;

/// What was measured: medians over the turns.
#[derive(Debug, serde::Serialize)]
pub(super) struct Charging {
    /// CPU per message that is charged.
    charged_cpu_ms: f64,
    /// CPU per message that is not.
    uncharged_cpu_ms: f64,
    /// How many times as much a charged one takes: the median of what each pair of turns says, so that noise meets both alike.
    #[serde(rename = "charging_ratio")]
    ratio: f64,
}

impl Charging {
    pub(super) fn table(&self) -> String {
        format!(
            "  charging               {:>9.2} ms   with a charge {:.2} ms, without {:.2} ms: {:+.1} %\n",
            self.charged_cpu_ms - self.uncharged_cpu_ms,
            self.charged_cpu_ms,
            self.uncharged_cpu_ms,
            (self.ratio - 1.0) * 100.0
        )
    }
}

/// Measures it. Each turn has a quarter of the messages of `run`: enough for transactions that many share, as under load.
pub(super) async fn measure(run: Run, dir: &Path) -> anyhow::Result<Charging> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let sink = Sink::start(dir)?;
    let installation = assemble(&configuration(dir, sink.port, run)?, MasterKey::generate()?, Arc::clone(&clock)).await?;
    let gateway = installation.gateway;
    let charged = enrol(&gateway, dir, &clock, About { slug: "charged", billable: Billable::Accepted }).await?;
    let uncharged = enrol(&gateway, dir, &clock, About { slug: "uncharged", billable: Billable::Dispatched }).await?;
    let pdf = report_pdf::make(7, &about(), run.pdf_kib);
    let each = run.messages.div_ceil(4).max(1);
    let (mut with, mut without, mut ratios, mut settled) = (Vec::new(), Vec::new(), Vec::new(), 0);
    // The first turn warms everything up and counts for nothing.
    for turn in 0..=TURNS {
        let mut pair = [0.0; 2];
        // Who begins changes: what is warm after the first is warm for both as often.
        let order = if turn % 2 == 0 { [0, 1] } else { [1, 0] };
        for which in order {
            let parties = [&charged, &uncharged][which];
            fill(&gateway, parties, &pdf, turn * each..(turn + 1) * each).await?;
            gateway.route_all().await?;
            settled += each;
            let before = cpu_now();
            work(&gateway, settled).await?;
            pair[which] = cpu_now().saturating_sub(before).as_secs_f64() * 1e3 / f64::from(each);
        }
        if turn > 0 {
            with.push(pair[0]);
            without.push(pair[1]);
            ratios.push(pair[0] / pair[1]);
        }
    }
    let charges = gateway.store.counts(OrgScope::One(charged.org)).await?.charge_lines;
    let none = gateway.store.counts(OrgScope::One(uncharged.org)).await?.charge_lines;
    ensure!(charges == u64::from(each * (TURNS + 1)) && none == 0, "{charges} charges with and {none} without a price");
    sink.end()?;
    Ok(Charging { charged_cpu_ms: median(with), uncharged_cpu_ms: median(without), ratio: median(ratios) })
}
