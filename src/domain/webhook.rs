//! Whom an organization's events are told to: the tables `[[webhook]]` of an organization file.

use serde::{Deserialize, Serialize};

use super::{
    event::{EventKind, Wanted},
    organization::BadOrganization,
    text::{FIELD_LIMIT, line},
    words,
};

words! {
    /// In which shape events are told.
    pub enum Format {
        /// `{"type", "timestamp", "data"}`, as Standard Webhooks recommends.
        Standard = "standard",
        /// The delivery receipt that consumers of other diagnostics platforms read.
        Receipt = "receipt",
    }
}

words! {
    /// Why a webhook is off.
    pub enum OffBecause {
        /// Somebody wanted it so.
        Asked = "asked",
        /// Its other end answered 410: it wants nothing more.
        Gone = "gone",
        /// It failed for longer than is tried.
        Failing = "failing",
    }
}

/// A program that is told what happens, by signed POST.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookFile {
    /// What it is called: its place in the feed and its secret are kept under this name.
    pub name: String,
    /// Where to: `https://...`.
    pub url: String,
    /// Which events: kinds like `delivery.failed`, `delivery.*`, or `*` (default).
    #[serde(default = "all")]
    pub events: Vec<Wanted>,
    /// `standard` (default) or `receipt`.
    #[serde(default = "standard")]
    pub format: Format,
    /// Whether the order's `order_id` is told; without it, an event names only our ids.
    #[serde(default = "yes")]
    pub order_id: bool,
    /// How many are told at the same time, 1 to 16. With 1 (default) they come in order.
    #[serde(default = "one")]
    pub at_once: u8,
    /// File with the secret (`whsec_...`), relative to the organization file. Read once and stored encrypted. Without it one
    /// is made, and shown once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<String>,
}

fn all() -> Vec<Wanted> {
    vec![Wanted::All]
}
const fn standard() -> Format {
    Format::Standard
}
const fn yes() -> bool {
    true
}
const fn one() -> u8 {
    1
}

impl WebhookFile {
    /// Whether it is told of `kind`.
    #[must_use]
    pub fn wants(&self, kind: EventKind) -> bool {
        self.events.iter().any(|wanted| wanted.takes(kind))
    }
}

/// What is wrong with a list of them: every problem.
#[must_use]
pub fn problems(webhooks: &[WebhookFile]) -> Vec<BadOrganization> {
    let mut problems = Vec::new();
    for (i, webhook) in webhooks.iter().enumerate() {
        let mut bad = |field: &str, problem: &str| {
            problems.push(BadOrganization { field: format!("webhook[{i}].{field}"), problem: problem.to_owned() });
        };
        if webhook.name.is_empty() || line(&webhook.name, FIELD_LIMIT).is_err() {
            bad("name", "must be one line with a name");
        }
        if webhooks[..i].iter().any(|earlier| earlier.name == webhook.name) {
            bad("name", "is used twice");
        }
        if !is_address(&webhook.url) {
            bad("url", "must be an address like https://host/path, without user name, password and fragment");
        }
        if webhook.events.is_empty() {
            bad("events", "names none: leave it out for all");
        }
        if !(1..=16).contains(&webhook.at_once) {
            bad("at_once", "must be between 1 and 16");
        }
    }
    problems
}

/// Whether `url` has the shape of one that may be posted to. Whether it may be is decided at each POST.
fn is_address(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let plain = url.len() <= 2_000 && url.bytes().all(|b| b.is_ascii_graphic()) && !url.contains('#');
    plain && !host.is_empty() && !host.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> WebhookFile {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_name_and_an_address_are_enough() {
        let webhook = read("name = \"bridge\"\nurl = \"https://ehr.example/in?x=1\"");
        assert_eq!(problems(std::slice::from_ref(&webhook)), []);
        assert!(webhook.wants(EventKind::DeliveryFailed) && webhook.wants(EventKind::ResultHeld));
        assert_eq!((webhook.at_once, webhook.format), (1, Format::Standard));
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let bad = read("name = \"\"\nurl = \"https://user:pw@ehr.example/\"\nevents = []\nat_once = 17");
        let found = problems(&[bad.clone(), bad]);
        let fields: Vec<&str> = found.iter().map(|problem| problem.field.as_str()).collect();
        let first = ["webhook[0].name", "webhook[0].url", "webhook[0].events", "webhook[0].at_once"];
        assert_eq!(fields[..4], first);
        assert!(fields.contains(&"webhook[1].name"));
        for url in ["ftp://a/", "https://", "https:///x", "https://a/#f", "https://a b/", ""] {
            assert!(!is_address(url), "{url}");
        }
    }
}
