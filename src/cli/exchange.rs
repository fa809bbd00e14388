//! One request to a running gateway and its answer.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::{
    cli::{context::Gateway, say},
    config::Secret,
    crypto::{Hex, random},
    net::fetch::{FetchRules, Fetcher},
};

/// What a gateway answered.
pub(super) struct Answer {
    /// HTTP status.
    pub(super) status: u16,
    /// An accepted message, or a problem (RFC 9457).
    pub(super) body: Value,
}

impl Answer {
    /// Whether it was taken.
    pub(super) const fn is_success(&self) -> bool {
        self.status / 100 == 2
    }
}

/// Posts JSON.
pub(super) async fn post_json(gateway: &Gateway, path: &str, json: Vec<u8>) -> anyhow::Result<Answer> {
    post(gateway, path, "application/json", json).await
}

/// Posts a result and its PDF as the two parts of a form (RFC 7578).
pub(super) async fn post_form(gateway: &Gateway, path: &str, result: &[u8], pdf: &[u8]) -> anyhow::Result<Answer> {
    // Random, so that it cannot stand in the content.
    let mut boundary = [0; 24];
    random(&mut boundary)?;
    let boundary = Hex(&boundary).to_string();
    let mut body = Vec::with_capacity(result.len() + pdf.len() + 512);
    for (name, kind, content) in [("result", "application/json", result), ("pdf", "application/pdf", pdf)] {
        // No file name: it could name a patient.
        let head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\nContent-Type: {kind}\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    post(gateway, path, &format!("multipart/form-data; boundary={boundary}"), body).await
}

async fn post(gateway: &Gateway, path: &str, kind: &str, body: Vec<u8>) -> anyhow::Result<Answer> {
    if !is_private(&gateway.url) {
        say("warning: without https, the token and the patient's data cross the network for all to read");
    }
    ask(&gateway.url, &gateway.token, path, kind, body).await
}

/// Asks what can be answered without anything about a patient.
pub(super) async fn question(url: &str, token: &Secret, path: &str, json: Vec<u8>) -> anyhow::Result<Answer> {
    if !is_private(url) {
        say("warning: without https, the token crosses the network for all to read");
    }
    ask(url, token, path, "application/json", json).await
}

async fn ask(url: &str, token: &Secret, path: &str, kind: &str, body: Vec<u8>) -> anyhow::Result<Answer> {
    // The person names the gateway, so its address may be anywhere.
    let rules = FetchRules { allow_http: true, allow_private: true, timeout: Duration::from_mins(3), ..FetchRules::default() };
    let place = format!("{}{path}", url.trim_end_matches('/'));
    let bearer = format!("Bearer {}", token.expose());
    let headers = [("Authorization", bearer.as_str()), ("Accept", "application/json"), ("Content-Type", kind)];
    let fetched = Fetcher::new(rules)?.post(&place, &headers, body).await.context("the gateway did not answer")?;
    match serde_json::from_slice(&fetched.body) {
        Ok(body) => Ok(Answer { status: fetched.status, body }),
        Err(_) => bail!("what answered at {url} (HTTP {}) is no gateway", fetched.status),
    }
}

/// Whether nobody else can listen: TLS, or this machine.
fn is_private(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return true };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.split(']').next())
        .unwrap_or_else(|| host.split(':').next().unwrap_or_default());
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tls_and_this_machine_are_private() {
        for url in ["https://gateway.example", "http://127.0.0.1:8080", "http://localhost/x", "http://[::1]:8080"] {
            assert!(is_private(url), "{url}");
        }
        for url in ["http://gateway.example", "http://127.0.0.1.example", "http://10.0.0.1:8080", "http://localhost.example/"] {
            assert!(!is_private(url), "{url}");
        }
    }
}
