//! Metrics for Prometheus: what [`super::events`] counts, and how full the queue is.

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

use super::{events, facts::Word};
use crate::domain::{delivery::State, report::ResultState, route::DirectorySource};

/// Upper bounds of the histograms' buckets: seconds, from a quick relay to a very patient one.
const SECONDS: [f64; 12] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0];

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
        metrics::describe_gauge!(
            "postern_identity_days_left",
            "Days until the first of our own certificates ends without another in its place."
        );
        for (name, what) in [
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_rendered_with_buckets_and_counting_starts_once() {
        let counted = Metrics::start().unwrap();
        queue(&[(State::Queued, 3, Duration::from_secs(9))], &[(ResultState::Waiting, 2, Duration::from_secs(4))]);
        directory_ages(&[(DirectorySource::Nppes, Duration::from_secs(60))]);
        metrics::histogram!("postern_delivery_accepted_seconds").record(0.3);
        let text = counted.render();
        for line in [
            "postern_deliveries{state=\"queued\"} 3",
            "postern_results{state=\"waiting\"} 2",
            "postern_directory_age_seconds{source=\"nppes\"} 60",
            "postern_deliveries_oldest_seconds{state=\"queued\"} 9",
            "postern_results_oldest_seconds{state=\"waiting\"} 4",
            "postern_delivery_accepted_seconds_bucket{le=\"0.5\"} 1",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert!(Metrics::start().is_err());
    }
}
