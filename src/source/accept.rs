//! The one end of all ways in: octets become a durable order or result, or a refusal that names what to mend.
//!
//! Acknowledged means durable: an [`Accepted`] exists only after the PDF and the rows are on disk.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::{
    Refusal, SourceError,
    wire::{self, FieldProblem, OrderMessage, Parsed, ResultMessage, Unknown},
};
use crate::{
    crypto::{self, DataKey, Hex},
    domain::{
        Order, OrgId, OrgScope, Reason, ResultId,
        order::Action,
        report::{ResultState, ResultStatus},
        time::Date,
    },
    observe::{
        events::{OrderAccepted, ResultAccepted},
        facts::Door,
        failpoint,
    },
    store::{
        Store, StoreError,
        blobs::Blobs,
        intake::{Arrival, OrderTaken, ResultTaken, StoredPdf},
        organization::Organization,
        survey::{DeliveryView, ResultView},
    },
};

/// Looks at a PDF: an error is a stable code and a sentence whose subject is the PDF.
pub type PdfCheck = Arc<dyn Fn(&[u8]) -> Result<(), (&'static str, String)> + Send + Sync>;

/// Who is sending, as far as the way in knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sender {
    /// The organization it speaks for.
    pub org: OrgId,
    /// What to do with fields nobody knows.
    pub unknown: Unknown,
    /// The way it came in.
    pub door: Door,
}

/// How new it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// New.
    New,
    /// Known already; or, for an order, changed or cancelled.
    Same,
    /// New, and waits for its order.
    Waiting,
}

/// What a sender is told about something that is durable.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Accepted {
    /// How new it was.
    #[serde(skip)]
    pub kind: Kind,
    /// Our id of the order or result.
    pub id: Uuid,
    /// The sender's key of the order.
    pub order_id: String,
    /// Version of a result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Where it stands.
    pub state: &'static str,
    /// Why it waits, is held or not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What was taken, but not as sent.
    pub warnings: Vec<FieldProblem>,
    /// Its deliveries so far; for a cancelled order those that were too late to stop.
    pub deliveries: Vec<DeliverySummary>,
}

/// One delivery of a result.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DeliverySummary {
    /// Its id.
    pub id: Uuid,
    /// Where to.
    pub address: String,
    /// Where it stands.
    pub state: &'static str,
    /// Why it is held, refused ...
    pub reason: Option<Reason>,
}

/// Takes what comes in. Cheap to clone.
#[derive(Clone)]
pub struct Intake {
    store: Store,
    blobs: Blobs,
    check: PdfCheck,
    pdf_bytes: usize,
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake").field("store", &self.store).field("pdf_bytes", &self.pdf_bytes).finish_non_exhaustive()
    }
}

impl Intake {
    /// Takes into `store` and `blobs` what passes `check` and has at most `pdf_bytes` octets of PDF.
    #[must_use]
    pub fn new(store: Store, blobs: Blobs, check: PdfCheck, pdf_bytes: usize) -> Self {
        Self { store, blobs, check, pdf_bytes }
    }

    /// Where it is kept.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Where documents are kept.
    #[must_use]
    pub const fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// Most octets of a PDF.
    #[must_use]
    pub const fn pdf_bytes(&self) -> usize {
        self.pdf_bytes
    }

    /// Takes an order: new, changed or cancelled.
    ///
    /// # Errors
    /// [`SourceError::Refused`] when the sender has to change something; anything else when it could not be made durable.
    pub async fn order(&self, sender: &Sender, json: Bytes) -> Result<Accepted, SourceError> {
        let organization = self.organization(sender).await?;
        let Parsed { value: message, mut warnings } = read(json, sender.unknown, self.today(&organization), wire::order).await?;
        let (action, order_id) = (message.action(), message.order_id().to_owned());
        let taken = match message {
            OrderMessage::New(order) | OrderMessage::Change(order) => {
                warnings.extend(unknown_site(&organization, &order.site, "/site"));
                self.take_order(sender, &order, action).await?
            }
            OrderMessage::Cancel(_) => self.store.take_cancellation(sender.org, &order_id).await?,
        };
        let (kind, key, state, too_late) = match taken {
            OrderTaken::New(key) => (Kind::New, key, "open", Vec::new()),
            OrderTaken::Same(key) | OrderTaken::Changed(key) => (Kind::Same, key, "open", Vec::new()),
            OrderTaken::Cancelled(key, too_late) => (Kind::Same, key, "cancelled", too_late),
            OrderTaken::Unknown => return Err(Refusal::not_found("order").into()),
            OrderTaken::Differs => {
                let detail = "an order with this order_id says something else; send it with \"action\": \"change\" to replace it";
                return Err(Refusal::new(409, "use_change", detail).into());
            }
            OrderTaken::Immutable(field) => return Err(immutable(field).into()),
        };
        let mut deliveries = Vec::with_capacity(too_late.len());
        for id in too_late {
            let view = self.store.delivery_view(OrgScope::One(sender.org), id).await?;
            deliveries.extend(view.map(|(view, _)| summary(&view)));
        }
        OrderAccepted { org: sender.org, order: key, action, door: sender.door }.emit();
        Ok(Accepted { kind, id: key.0, order_id, version: None, state, reason: None, warnings, deliveries })
    }

    /// Takes a result, with its PDF inside `json` or beside it. `repeat` names this arrival, so that a resend which
    /// arrives twice under the same name is one; everything else is recognised by what it says.
    ///
    /// # Errors
    /// As [`Self::order`].
    pub async fn result(
        &self,
        sender: &Sender,
        json: Bytes,
        pdf: Option<Bytes>,
        repeat: Option<&str>,
    ) -> Result<Accepted, SourceError> {
        let organization = self.organization(sender).await?;
        let parsed = read(json, sender.unknown, self.today(&organization), wire::result).await?;
        let Parsed { value: mut message, mut warnings } = parsed;
        let pdf = match self.checked_pdf(&mut message, pdf).await? {
            Some(pdf) => Some((pdf, self.store.key(sender.org).await?)),
            None => None,
        };
        let report = &message.report;
        if !report.site.is_empty() {
            warnings.extend(unknown_site(&organization, &report.site, "/site"));
        }

        let change = self.carried_order(sender, message.order.as_deref()).await?;
        let stored = pdf.as_ref().map(|(pdf, key)| stored(pdf, key)).transpose()?;
        let repeat =
            repeat.filter(|_| report.status == ResultStatus::Resend).map(|name| repeat_key(sender, &report.order_id, name));
        let told_now = serde_json::to_string(&warnings).ok().filter(|_| !warnings.is_empty());
        let arrival = Arrival {
            report,
            pdf: stored.as_ref(),
            idempotency_key: repeat.as_deref(),
            wait_for_order: organization.file.routing.wait_for_order,
            warnings: told_now.as_deref(),
        };
        if let Some((pdf, key)) = &pdf {
            // What is refused is not stored first: nothing would ever refer to it.
            if let Some(refused) = self.store.foresee_refusal(sender.org, arrival).await? {
                return Err(refusal(&refused).into());
            }
            self.blobs.put(sender.org, key, pdf).await?;
        }
        failpoint::reach("intake_before_commit");
        let taken = self.store.take_arrival(sender.org, arrival).await?;
        failpoint::reach("intake_after_commit");
        let (kind, id, version) = match taken {
            ResultTaken::New(id, version) | ResultTaken::Cancelled(id, version) => (Kind::New, id, version),
            ResultTaken::Same(id, version) => (Kind::Same, id, version),
            ResultTaken::Waiting(id, version) => (Kind::Waiting, id, version),
            refused => return Err(refusal(&refused).into()),
        };
        let view = self.view(sender, id).await?;
        // Only once the new version stands: the version before must not be routed to somebody new meanwhile.
        if let Some(order) = change
            && self.is_latest(sender, &report.order_id, version).await?
            && let OrderTaken::Immutable(field) = self.take_carried(sender, order, kind, &view).await?
        {
            return Err(immutable(&format!("/order{field}")).into());
        }
        ResultAccepted { org: sender.org, result: id, status: report.status, door: sender.door }.emit();
        let view = self.view(sender, id).await?;
        self.tell(kind, &view, warnings).await
    }

    /// Where a result stands.
    ///
    /// # Errors
    /// [`SourceError::Refused`] (404) when the scope has no such result.
    pub async fn look(&self, scope: OrgScope, id: ResultId) -> Result<Accepted, SourceError> {
        let view = self.store.result_view(scope, id).await?;
        let view = view.ok_or_else(|| Refusal::not_found("result"))?;
        self.tell(Kind::Same, &view, Vec::new()).await
    }

    async fn organization(&self, sender: &Sender) -> Result<Organization, SourceError> {
        Ok(self.store.organization(sender.org).await?.ok_or(StoreError::NoOrganization)?)
    }

    fn today(&self, organization: &Organization) -> Date {
        organization.file.time_zone.date_at(self.store.clock().now())
    }

    /// The one PDF of a result, looked at; none for a resend.
    async fn checked_pdf(&self, message: &mut ResultMessage, beside: Option<Bytes>) -> Result<Option<Bytes>, SourceError> {
        let inside = message.pdf.take().map(Bytes::from);
        let refuse = |code, text: &str| Err(Refusal::field("/pdf", code, text).into());
        let pdf = match (inside, beside) {
            (Some(_), Some(_)) => return refuse("given_twice", "is given inside the result and beside it"),
            (None, None) if message.report.status == ResultStatus::Resend => return Ok(None),
            (None, None) => return refuse("missing", "is missing: give it inside the result or beside it"),
            (Some(_), None) | (None, Some(_)) if message.report.status == ResultStatus::Resend => {
                return refuse("unexpected", "must be absent from a resend: the latest version is sent again");
            }
            (Some(pdf), None) | (None, Some(pdf)) => pdf,
        };
        if pdf.len() > self.pdf_bytes {
            return Err(Refusal::too_large("/pdf", self.pdf_bytes).into());
        }
        let (check, content) = (Arc::clone(&self.check), pdf.clone());
        match tokio::task::spawn_blocking(move || check(&content)).await {
            Ok(Ok(())) => Ok(Some(pdf)),
            Ok(Err((code, message))) => Err(Refusal::field("/pdf", code, message).into()),
            // A PDF made to crash the check is refused like any other that fails it.
            Err(stopped) if stopped.is_panic() => refuse("unreadable", "cannot be read"),
            Err(_) => Err(SourceError::Interrupted("checking the PDF")),
        }
    }

    /// Sees to the order a result carries: stored at once when it is new, returned when it would change a known one.
    async fn carried_order<'m>(&self, sender: &Sender, order: Option<&'m Order>) -> Result<Option<&'m Order>, SourceError> {
        let Some(order) = order else { return Ok(None) };
        match self.store.order_called(sender.org, &order.order_id).await? {
            None => {
                // Somebody may have been first in this moment: then it is known, and not changed by us.
                self.take_order(sender, order, Action::New).await?;
                Ok(None)
            }
            Some((_, known)) if known == *order => Ok(None),
            // Another patient under a known order_id is never a change; it is somebody else's result.
            Some((_, known)) if known.patient.local_id != order.patient.local_id => {
                Err(immutable("/order/patient/local_id").into())
            }
            Some((_, known)) if known.site != order.site => Err(immutable("/order/site").into()),
            Some(_) => Ok(Some(order)),
        }
    }

    async fn is_latest(&self, sender: &Sender, order_id: &str, version: u32) -> Result<bool, SourceError> {
        let versions = self.store.results_of_order(OrgScope::One(sender.org), order_id).await?;
        Ok(versions.iter().all(|other| other.version <= version))
    }

    async fn take_order(&self, sender: &Sender, order: &Order, action: Action) -> Result<OrderTaken, StoreError> {
        failpoint::reach("order_before_commit");
        let taken = self.store.take_order(sender.org, order, action).await;
        failpoint::reach("order_after_commit");
        taken
    }

    async fn view(&self, sender: &Sender, id: ResultId) -> Result<ResultView, StoreError> {
        self.store.result_view(OrgScope::One(sender.org), id).await?.ok_or(StoreError::Lost)
    }

    /// Changes the order to what a result carries. A result that comes again says nothing new: only what was left undone when
    /// it came, because the process died between the two, is done now, and only if nobody has had another word since.
    async fn take_carried(
        &self,
        sender: &Sender,
        order: &Order,
        kind: Kind,
        view: &ResultView,
    ) -> Result<OrderTaken, StoreError> {
        if kind != Kind::Same {
            return self.take_order(sender, order, Action::Change).await;
        }
        self.store.take_carried(sender.org, order, view.received_at).await
    }

    /// What a sender is told, now and whenever it sends or asks again: what was told the first time, and what is new.
    async fn tell(&self, kind: Kind, view: &ResultView, now: Vec<FieldProblem>) -> Result<Accepted, SourceError> {
        let before = self.store.result_warnings(view.org, view.id).await?;
        let mut warnings: Vec<FieldProblem> = before.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
        warnings.extend(now.into_iter().filter(|warning| !warnings.contains(warning)).collect::<Vec<_>>());
        if view.state == ResultState::NotSent && view.reason == Some(Reason::Cancelled) {
            warnings.push(problem("/order_id", "order_cancelled", "is a cancelled order; the result is kept and not sent"));
        }
        Ok(told(kind, view, warnings))
    }
}

/// Where a PDF will be, and what it is known by.
fn stored(pdf: &Bytes, key: &DataKey) -> Result<StoredPdf, StoreError> {
    let sha256 = crypto::sha256(pdf);
    Ok(StoredPdf { name: key.blob_name(&sha256)?, sha256, bytes: pdf.len() as u64 })
}

/// What its sender is told about a result that is not taken.
fn refusal(refused: &ResultTaken) -> Refusal {
    match refused {
        ResultTaken::OtherSite => Refusal::field("/site", "site_mismatch", "is not the site of the order"),
        ResultTaken::NothingToResend => {
            Refusal::new(409, "nothing_to_resend", "this order has no result that could be sent again")
        }
        _ => {
            let detail = "a finished result of this order has other content; send this one with \"status\": \"corrected\"";
            Refusal::new(409, "use_corrected", detail)
        }
    }
}

/// Reads one of the wire shapes.
type Reader<T> = fn(&[u8], Unknown, Date) -> Result<Parsed<T>, Vec<FieldProblem>>;

/// Reads a message off the async threads: base64 of a large PDF takes a while.
async fn read<T: Send + 'static>(
    json: Bytes,
    unknown: Unknown,
    today: Date,
    reader: Reader<T>,
) -> Result<Parsed<T>, SourceError> {
    let parsed = tokio::task::spawn_blocking(move || reader(&json, unknown, today)).await;
    parsed.map_err(|_| SourceError::Interrupted("reading the message"))?.map_err(|errors| Refusal::fields(errors).into())
}

/// The name of an arrival, opaque and confined to its order and way in.
fn repeat_key(sender: &Sender, order_id: &str, name: &str) -> String {
    let text = format!("{}|{}|{order_id}|{name}", sender.door, order_id.len());
    Hex(&crypto::sha256(text.as_bytes())).to_string()
}

fn unknown_site(organization: &Organization, site: &str, field: &str) -> Option<FieldProblem> {
    let is_unknown = !organization.file.sites.is_empty() && organization.site(site).is_none();
    is_unknown.then(|| problem(field, "site_unknown", "is not a site of the organization; the organization's own settings apply"))
}

fn immutable(field: &str) -> Refusal {
    Refusal::field(field, "immutable", "cannot change once the order exists")
}

fn problem(field: &str, code: &'static str, message: &str) -> FieldProblem {
    FieldProblem { field: field.to_owned(), code: code.into(), message: message.to_owned() }
}

fn told(kind: Kind, view: &ResultView, warnings: Vec<FieldProblem>) -> Accepted {
    Accepted {
        kind,
        id: view.id.0,
        order_id: view.order_id.clone(),
        version: Some(view.version),
        state: view.state.as_str(),
        reason: view.reason,
        warnings,
        deliveries: view.deliveries.iter().map(summary).collect(),
    }
}

fn summary(view: &DeliveryView) -> DeliverySummary {
    DeliverySummary { id: view.id.0, address: view.address.clone(), state: view.state.as_str(), reason: view.reason }
}
