//! `[web]`: the HTTP door.

use std::net::SocketAddr;

use super::section::section;
use crate::domain::time::Span;

section! {
    /// The HTTP door: the API, health and metrics. It speaks plain HTTP: put a reverse proxy with TLS before it,
    /// and let nobody but the proxy reach it.
    ["web"] WebSection {
        /// Address and port to listen on.
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080)),
        /// Most octets of a request's body. A PDF inside JSON takes a third more than its size.
        body_bytes: usize = 12_000_000,
        /// How long a request may take, upload included.
        request_timeout: Span = Span::seconds(60),
        /// How long a client may take to send the header of a request, and to take in an answer.
        header_timeout: Span = Span::seconds(10),
        /// How long a connection may stay open between two requests. Let the proxy give its own up sooner.
        idle_timeout: Span = Span::seconds(75),
        /// Longest silence within an upload.
        upload_silence: Span = Span::seconds(10),
        /// Octets a second an upload must make on average, once it has lasted as long as the longest silence.
        upload_rate: u32 = 1_000,
        /// Most connections at the same time. When there are more, idle ones are closed and new ones wait.
        connections: usize = 1_000,
        /// Most uploads at the same time.
        uploads: usize = 64,
        /// Most uploads of one organization, or of one person at the console, at the same time; what comes beyond is told to come again (429).
        uploads_per_organization: usize = 16,
        /// Most probes of addresses at the same time; look-ups and explanations that may ask live directories count as such.
        probes: usize = 16,
        /// Most of them of one organization at the same time; what comes beyond waits a moment, then is told to come again (429).
        probes_per_organization: usize = 4,
        /// Most of them of one organization in a minute: each may ask name servers, directories and issuers of others.
        probes_per_minute: u32 = 30,
        /// Most octets of uploads held in memory at the same time.
        upload_memory: usize = 256_000_000,
        /// The same for one organization.
        upload_memory_per_organization: usize = 64_000_000,
    }
}

impl WebSection {
    /// What no single setting can know: every problem.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut must = |holds: bool, problem: &str| {
            if !holds {
                problems.push(format!("web.{problem}"));
            }
        };
        must(self.connections > 0, "connections must be at least 1");
        must(self.uploads_per_organization > 0, "uploads_per_organization must be at least 1");
        must(self.uploads_per_organization <= self.uploads, "uploads_per_organization must not be more than web.uploads");
        must(self.probes_per_organization > 0, "probes_per_organization must be at least 1");
        must(self.probes_per_organization <= self.probes, "probes_per_organization must not be more than web.probes");
        must(self.probes_per_minute > 0, "probes_per_minute must be at least 1");
        must(
            self.body_bytes <= self.upload_memory_per_organization,
            "upload_memory_per_organization must have room for web.body_bytes",
        );
        must(
            self.upload_memory_per_organization <= self.upload_memory,
            "upload_memory_per_organization must not be more than web.upload_memory",
        );
        for (name, span) in [
            ("request_timeout", self.request_timeout),
            ("header_timeout", self.header_timeout),
            ("idle_timeout", self.idle_timeout),
            ("upload_silence", self.upload_silence),
        ] {
            must(!span.0.is_zero(), &format!("{name} must be longer than nothing"));
        }
        problems
    }
}
