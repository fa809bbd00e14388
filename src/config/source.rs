//! `[[folder]]` and `[[feed]]`: where results come from beside the API.

use std::path::{Path, PathBuf};

use crate::domain::time::Span;

/// A watched folder. It belongs to one organization: whoever can write to it speaks for that organization.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Folder {
    /// Slug of the organization.
    pub organization: String,
    /// The folder. Files that could not be taken are moved to `failed` inside it.
    pub path: PathBuf,
    /// How long a result waits for the PDF of the same name before it fails.
    #[serde(default = "pdf_wait")]
    pub pdf_wait: Span,
    /// How long a file must not have changed before it is read. Rename finished files in, and it costs nothing but this.
    #[serde(default = "settle")]
    pub settle: Span,
    /// How often the folder is looked at.
    #[serde(default = "folder_poll")]
    pub poll: Span,
    /// Keep what was taken, encrypted, in `done` inside the folder; it is deleted otherwise.
    #[serde(default)]
    pub keep: bool,
    /// Read past JSON fields nobody knows instead of refusing the file.
    #[serde(default)]
    pub ignore_unknown: bool,
}

/// A feed that completed results are pulled from: `GET url?after=CURSOR&limit=N`, then `POST url/ack`.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Feed {
    /// What it is called here. Its place in the feed is remembered under this name.
    pub name: String,
    /// Slug of the organization its results belong to.
    pub organization: String,
    /// Where, without a query: `https://...`.
    pub url: String,
    /// File with the bearer token to send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Most results asked for at a time. Each may hold a whole PDF, and a page is held in memory.
    #[serde(default = "batch")]
    pub batch: u32,
    /// Most octets of one page. A larger one is asked for again in smaller parts.
    #[serde(default = "page_bytes")]
    pub page_bytes: usize,
    /// How often to ask when there was nothing new.
    #[serde(default = "feed_poll")]
    pub poll: Span,
    /// Longest wait after failures; it doubles from one second, with jitter.
    #[serde(default = "back_off")]
    pub back_off: Span,
    /// Something new comes at least so often, on the days its organization names; silence is told. Not watched without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_within: Option<Span>,
    /// Allow plain `http` and private addresses: for a feed on the same machine or network.
    #[serde(default)]
    pub internal: bool,
    /// Read past JSON fields nobody knows instead of parking the item.
    #[serde(default)]
    pub ignore_unknown: bool,
}

const fn pdf_wait() -> Span {
    Span::seconds(60)
}
const fn settle() -> Span {
    Span::seconds(2)
}
const fn folder_poll() -> Span {
    Span::seconds(2)
}
const fn batch() -> u32 {
    20
}
const fn page_bytes() -> usize {
    64_000_000
}
const fn feed_poll() -> Span {
    Span::seconds(30)
}
const fn back_off() -> Span {
    Span::seconds(300)
}

impl Folder {
    /// Makes a path that is not absolute count from `folder`, where the configuration file is.
    pub fn paths_from(&mut self, folder: &Path) {
        self.path = folder.join(&self.path);
    }
}

impl Feed {
    /// As [`Folder::paths_from`].
    pub fn paths_from(&mut self, folder: &Path) {
        self.token_file = self.token_file.take().map(|file| folder.join(file));
    }
}

/// What no single setting can know: every problem.
pub(super) fn problems(folders: &[Folder], feeds: &[Feed]) -> Vec<String> {
    let mut problems = Vec::new();
    for (i, folder) in folders.iter().enumerate() {
        if folder.poll.0.is_zero() {
            problems.push(format!("folder[{i}].poll must be longer than nothing"));
        }
        if folders[..i].iter().any(|other| other.path == folder.path) {
            problems.push(format!("folder[{i}].path is watched twice: a folder belongs to one organization"));
        }
    }
    for (i, feed) in feeds.iter().enumerate() {
        let mut must = |holds: bool, problem: &str| {
            if !holds {
                problems.push(format!("feed[{i}].{problem}"));
            }
        };
        must(!feed.name.is_empty(), "name must not be empty");
        must(feeds[..i].iter().all(|other| other.name != feed.name), "name is used twice");
        must((1..=1_000).contains(&feed.batch), "batch must be 1 to 1000");
        must(!feed.poll.0.is_zero(), "poll must be longer than nothing");
        must(feed.expect_within.is_none_or(|within| !within.0.is_zero()), "expect_within must be longer than nothing");
        must(!feed.url.contains(['?', '#', '@']), "url must have no query, fragment or password");
        must(feed.internal || feed.url.starts_with("https://"), "url must begin with https:// (or set internal = true)");
    }
    problems
}

/// Their part of the sample file.
pub const SAMPLE: &str = r#"# A watched folder: NAME.json is an order (it has `patient`) or a result (it has `status`), NAME.pdf its document.
# [[folder]]
# organization = "north-clinics"
# path = "/var/spool/postern/north-clinics"
# pdf_wait = "60s"        # how long a result waits for the PDF of the same name
# settle = "2s"           # how long a file must not have changed before it is read
# poll = "2s"
# keep = false            # true: keep what was taken, encrypted, in done/
# ignore_unknown = false

# A feed that results are pulled from: GET url?after=CURSOR&limit=N, then POST url/ack.
# [[feed]]
# name = "lab"
# organization = "north-clinics"
# url = "https://lab.example/results"
# token_file = "lab.token"
# batch = 20
# page_bytes = 64000000
# poll = "30s"
# back_off = "5m"
# expect_within = "24h"   # silence longer than this is told to people; see [alerts]
# internal = false        # true: plain http and private addresses are allowed
# ignore_unknown = false
"#;
