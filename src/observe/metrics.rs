//! Metrics for Prometheus: what [`super::events`] counts, and how full the queue is.

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

use super::{
    events,
    facts::{Configured, Word},
};
use crate::domain::{
    Reason,
    alert::AlertKind,
    delivery::{Disposition, NoticeKind, State},
    report::ResultState,
    route::DirectorySource,
};

/// Upper bounds of the histograms' buckets: seconds, from a quick relay to a very patient one.
const SECONDS: [f64; 15] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 14400.0];

/// What has been counted in this process.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

/// The counters cannot be set up: bad buckets, or somebody has set up others.
#[derive(Debug, thiserror::Error)]
#[error("setting the metrics up")]
pub struct MetricsError(#[from] BuildError);

impl Metrics {
    /// Begins to count, once in a process.
    ///
    /// # Errors
    /// [`MetricsError`] the second time.
    pub fn start() -> Result<Self, MetricsError> {
        let handle = PrometheusBuilder::new().set_buckets(&SECONDS)?.install_recorder()?;
        events::describe();
        metrics::describe_gauge!("postern_deliveries", "Deliveries in each state that is not an end.");
        metrics::describe_gauge!("postern_results", "Results in each state that is not an end.");
        metrics::describe_gauge!("postern_alerts_open", "Alerts that are open, of each kind.");
        metrics::describe_gauge!("postern_alerts_untold", "Messages about alerts that have not reached anybody yet.");
        metrics::describe_gauge!(
            "postern_identity_days_left",
            "Days until the first of our own certificates ends without another in its place."
        );
        metrics::describe_gauge!(
            "postern_deliveries_awaited",
            "Deliveries that were handed over and wait for the receiving side's word."
        );
        metrics::describe_counter!(
            "postern_delivery_ended_total",
            "Deliveries that came to their end, by what became of them and why."
        );
        metrics::describe_histogram!(
            "postern_notice_seconds",
            metrics::Unit::Seconds,
            "How long after a message was handed over a notice about it came, by the relay that took it (mx: none)."
        );
        for (name, what) in [
            ("postern_deliveries_awaited_oldest_seconds", "Age of the oldest delivery that waits for the receiving side's word."),
            ("postern_undelivered_oldest_seconds", "Age of the oldest delivery of which it is not known what became of it."),
            ("postern_deliveries_oldest_seconds", "Age of the oldest delivery in each state that is not an end."),
            (
                "postern_directory_age_seconds",
                "Age of the load of each directory source that answers; an organization's own list is not counted.",
            ),
            ("postern_results_oldest_seconds", "Age of the oldest result in each state that is not an end."),
        ] {
            metrics::describe_gauge!(name, metrics::Unit::Seconds, what);
        }
        Ok(Self(handle))
    }

    /// Everything counted so far, in the text form Prometheus reads. Call it also when nobody asks, every minute or
    /// so: it is what keeps the histograms small.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.run_upkeep();
        self.0.render()
    }
}

/// Says how many alerts are open, of each kind, also of those of which none is; and how much is still to be said.
#[expect(clippy::cast_precision_loss, reason = "nobody reads 2^52 alerts")]
pub fn alerts(open: &[(AlertKind, u64)], untold: u64) {
    for kind in AlertKind::ALL {
        let count = open.iter().find(|(of, _)| of == kind).map_or(0, |(_, count)| *count);
        metrics::gauge!("postern_alerts_open", "kind" => kind.as_str()).set(count as f64);
    }
    metrics::gauge!("postern_alerts_untold").set(untold as f64);
}

/// Says how many days are left to the first of our own certificates that nothing replaces.
#[expect(clippy::cast_precision_loss, reason = "no certificate lasts 2^52 days")]
pub fn identity_days_left(days: u64) {
    metrics::gauge!("postern_identity_days_left").set(days as f64);
}

/// Says how old the load of each source of the directory is.
pub fn directory_ages(ages: &[(DirectorySource, Duration)]) {
    for (source, age) in ages {
        metrics::gauge!("postern_directory_age_seconds", "source" => source.as_str()).set(age.as_secs_f64());
    }
}

/// Says how full the queue is: of each state, how many and how old the oldest is. States that are empty are named too, lest
/// they keep the last figure.
#[expect(clippy::cast_precision_loss, reason = "a queue of 2^52 deliveries has other problems")]
pub fn queue(deliveries: &[(State, u64, Duration)], results: &[(ResultState, u64, Duration)]) {
    for (state, count, oldest) in deliveries {
        metrics::gauge!("postern_deliveries", "state" => state.word()).set(*count as f64);
        metrics::gauge!("postern_deliveries_oldest_seconds", "state" => state.word()).set(oldest.as_secs_f64());
    }
    for (state, count, oldest) in results {
        metrics::gauge!("postern_results", "state" => state.word()).set(*count as f64);
        metrics::gauge!("postern_results_oldest_seconds", "state" => state.word()).set(oldest.as_secs_f64());
    }
}

/// Says how many deliveries wait for the receiving side's word, how old the oldest of them is, and the oldest of all that have
/// not come to an end.
#[expect(clippy::cast_precision_loss, reason = "a queue of 2^52 deliveries has other problems")]
pub fn undelivered(awaited: u64, oldest_awaited: Duration, oldest: Duration) {
    metrics::gauge!("postern_deliveries_awaited").set(awaited as f64);
    metrics::gauge!("postern_deliveries_awaited_oldest_seconds").set(oldest_awaited.as_secs_f64());
    metrics::gauge!("postern_undelivered_oldest_seconds").set(oldest.as_secs_f64());
}

/// A delivery that was handed over came to its end.
pub fn delivery_ended(disposition: Disposition, reason: Option<Reason>) {
    let reason = reason.map_or("none", |reason| reason.word());
    metrics::counter!("postern_delivery_ended_total", "outcome" => disposition.word(), "reason" => reason).increment(1);
}

/// A delivery ended without having been handed over.
pub fn delivery_refused(reason: Reason) {
    let outcome = State::Refused.word();
    metrics::counter!("postern_delivery_ended_total", "outcome" => outcome, "reason" => reason.word()).increment(1);
}

/// A notice came about a message that `relay` took so long ago. Relays are few; recipients are not, and are people's.
pub fn notice_came(relay: Configured<'_>, kind: NoticeKind, after: Duration) {
    metrics::histogram!("postern_notice_seconds", "relay" => relay.0.to_owned(), "kind" => kind.word())
        .record(after.as_secs_f64());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_rendered_with_buckets_and_counting_starts_once() {
        let counted = Metrics::start().unwrap();
        queue(&[(State::Queued, 3, Duration::from_secs(9))], &[(ResultState::Waiting, 2, Duration::from_secs(4))]);
        directory_ages(&[(DirectorySource::Nppes, Duration::from_mins(1))]);
        metrics::histogram!("postern_delivery_accepted_seconds").record(0.3);
        undelivered(4, Duration::from_secs(7), Duration::from_secs(9));
        delivery_ended(Disposition::Failed, Some(Reason::RemoteFailed));
        delivery_ended(Disposition::Dispatched, None);
        delivery_refused(Reason::Rejected5xx);
        notice_came(Configured("hisp-a"), NoticeKind::Processed, Duration::from_mins(20));
        let text = counted.render();
        for line in [
            "postern_deliveries{state=\"queued\"} 3",
            "postern_results{state=\"waiting\"} 2",
            "postern_directory_age_seconds{source=\"nppes\"} 60",
            "postern_deliveries_oldest_seconds{state=\"queued\"} 9",
            "postern_results_oldest_seconds{state=\"waiting\"} 4",
            "postern_delivery_accepted_seconds_bucket{le=\"0.5\"} 1",
            "postern_deliveries_awaited 4",
            "postern_undelivered_oldest_seconds 9",
            "postern_delivery_ended_total{outcome=\"failed\",reason=\"remote_failed\"} 1",
            "postern_delivery_ended_total{outcome=\"dispatched\",reason=\"none\"} 1",
            "postern_delivery_ended_total{outcome=\"refused\",reason=\"rejected_5xx\"} 1",
            "postern_notice_seconds_bucket{relay=\"hisp-a\",kind=\"processed\",le=\"1800\"} 1",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert!(Metrics::start().is_err());
    }
}
