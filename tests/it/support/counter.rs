//! A store on disk with organizations in it, and the intake that takes into it: where what comes in is handed over.

use std::{path::Path, sync::Arc};

use postern::{
    crypto::MasterKey,
    domain::{OrgId, OrgScope, organization::OrganizationFile},
    observe::SystemClock,
    source::{Intake, PdfCheck},
    store::{Store, StoreOptions, blobs::Blobs, survey::ResultView},
};
use serde_json::{Value, json};

/// Most octets of a PDF here: small, so that a test can go over it.
pub(crate) const PDF_BYTES: usize = 200_000;

/// What is opened in the test's own folder.
pub(crate) struct Counter {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) intake: Intake,
    pub(crate) org: OrgId,
    master: String,
}

impl Counter {
    pub(crate) async fn open() -> Self {
        Self::with(None).await
    }

    /// The same in the database at `url`.
    pub(crate) async fn on(url: &str) -> Self {
        Self::with(Some(url)).await
    }

    async fn with(url: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let master = MasterKey::generate().unwrap();
        let file = dir.path().join("master.key");
        master.create_file(&file).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let (store, intake) = open(dir.path(), url, &text).await;
        let counter = Self { dir, store, intake, org: OrgId::new(), master: text };
        let org = counter.organization("north-clinics").await;
        Self { org, ..counter }
    }

    /// What is there after the process was gone: everything opened anew.
    pub(crate) async fn reopened(&self) -> Store {
        open(self.dir.path(), None, &self.master).await.0
    }

    pub(crate) async fn organization(&self, slug: &str) -> OrgId {
        let toml = format!("slug = \"{slug}\"\nname = \"{slug}\"\n[[site]]\nlocal_id = \"RIVERSIDE01\"\n");
        let file: OrganizationFile = toml::from_str(&toml).unwrap();
        self.store.apply_organization(&file, &[]).await.unwrap()
    }

    /// Every version of the result of an order, as anybody in the organization sees it.
    pub(crate) async fn results(&self, order_id: &str) -> Vec<ResultView> {
        self.store.results_of_order(OrgScope::One(self.org), order_id).await.unwrap()
    }
}

async fn open(dir: &Path, url: Option<&str>, master: &str) -> (Store, Intake) {
    let url = url.map_or_else(|| format!("sqlite:{}", dir.join("postern.db").display()), str::to_owned);
    let options = StoreOptions { url, connections: 4, master: MasterKey::from_text(master.trim()).unwrap() };
    let store = Store::open(options, Arc::new(SystemClock)).await.unwrap();
    let blobs = Blobs::in_folder(&dir.join("blobs")).unwrap();
    let check: PdfCheck = Arc::new(|pdf: &[u8]| {
        assert!(!pdf.ends_with(b"PANIC"), "a document made to crash whoever reads it");
        if pdf.starts_with(b"%PDF-") { Ok(()) } else { Err(("not_pdf", "is not a PDF".to_owned())) }
    });
    let intake = Intake::new(store.clone(), blobs, check, PDF_BYTES);
    (store, intake)
}

/// A small PDF with this in it.
pub(crate) fn pdf(content: &str) -> Vec<u8> {
    format!("%PDF-1.7\n{content}\n%%EOF\n").into_bytes()
}

/// An order.
pub(crate) fn order(order_id: &str) -> Value {
    json!({ "order_id": order_id, "site": "RIVERSIDE01",
        "patient": { "local_id": "ZZ000417", "name": { "family": "Testriver", "given": ["Morgan"] },
                     "birth_date": "1964-02-17", "gender": "F" },
        "deliver_to": [ { "role": "pcp", "direct": "pcp.demo@direct.example.org" } ] })
}

/// A result, without its PDF.
pub(crate) fn result(order_id: &str, status: &str) -> Value {
    json!({ "order_id": order_id, "site": "RIVERSIDE01", "status": status })
}

/// `value` with `member` set.
pub(crate) fn with(mut value: Value, member: &str, to: Value) -> Value {
    value[member] = to;
    value
}

/// The same as base64.
pub(crate) fn base64(content: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(content)
}
