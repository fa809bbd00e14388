//! How fast an upload comes: one that stands still, or crawls, gives its place to others.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{body::Body, extract::Request, http::StatusCode};
use futures_util::TryStreamExt as _;
use tokio::time::{Instant, interval};

use super::Problem;
use crate::config::web::WebSection;

/// What an upload is held to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Longest time in which nothing comes; as long as this nothing is said about the rate.
    silence: Duration,
    /// Octets a second on average from then on.
    rate: u32,
    /// How long all of it may take.
    whole: Duration,
}

/// Counts the octets of one body.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter(Arc<AtomicU64>);

impl Pace {
    pub(super) fn new(settings: &WebSection) -> Self {
        Self { silence: settings.upload_silence.0, rate: settings.upload_rate, whole: settings.request_timeout.0 }
    }

    /// Returns (never otherwise) what is wrong when what `meter` counts comes too slowly.
    pub(super) async fn lost(self, meter: &Meter) -> Problem {
        let begun = Instant::now();
        let (mut seen, mut moved) = (0, begun);
        let mut look = interval(Duration::from_millis(250).min(self.silence));
        loop {
            look.tick().await;
            let (now, octets) = (Instant::now(), meter.octets());
            if octets > seen {
                (seen, moved) = (octets, now);
            }
            let lasted = now - begun;
            let owed = lasted.saturating_sub(self.silence).as_millis() * u128::from(self.rate) / 1000;
            if now - moved > self.silence || u128::from(octets) < owed || lasted > self.whole {
                return Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the upload was too slow; nothing was taken");
            }
        }
    }
}

impl Meter {
    /// The same request, its body counted.
    pub(super) fn count(&self, request: Request) -> Request {
        let counted = Arc::clone(&self.0);
        request.map(|body| {
            let add = move |chunk: &axum::body::Bytes| {
                counted.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            };
            Body::from_stream(body.into_data_stream().inspect_ok(add))
        })
    }

    pub(super) fn octets(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { silence: Duration::from_millis(400), rate: 10_000, whole: Duration::from_millis(1500) };

    /// After how many milliseconds an upload that brings `octets` every `every` milliseconds is given up.
    async fn given_up_after(octets: u64, every: u64) -> u128 {
        let meter = Meter::default();
        let coming = meter.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(every)).await;
                coming.0.fetch_add(octets, Ordering::Relaxed);
            }
        });
        let begun = Instant::now();
        PACE.lost(&meter).await;
        begun.elapsed().as_millis()
    }

    #[tokio::test]
    async fn an_upload_that_stands_still_or_crawls_or_never_ends_is_given_up() {
        let (still, crawling, endless) =
            tokio::join!(given_up_after(1_000_000, 60_000), given_up_after(20, 20), given_up_after(1_000, 20));
        assert!((400..1000).contains(&still), "it stands still: {still}");
        assert!((400..1400).contains(&crawling), "it crawls: {crawling}");
        assert!(endless >= 1500, "it does not end: {endless}");
    }
}
