//! Orders and results come in: durable before anybody is told so, and the same thing twice is one.

use super::{
    Doing as _, Result, Store, StoreError, Tx, at_rest,
    delivery::{Move, apply_move},
    event::NewEvent,
    ledger::Charges,
    read, read_json, write_json,
};
use crate::{
    crypto::{self, DataKey, Hex},
    domain::{
        DeliveryId, Order, OrderKey, OrgId, Reason, Report, ResultId, Timestamp,
        delivery::{Event, State},
        event::EventKind,
        order::{Action, Priority},
        report::{ResultState, ResultStatus},
        time::Span,
    },
};

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderTaken {
    /// It is new.
    New(OrderKey),
    /// It is known and says the same.
    Same(OrderKey),
    /// It was changed; what is not on the wire is routed again.
    Changed(OrderKey),
    /// It was cancelled; these deliveries were too late to stop.
    Cancelled(OrderKey, Vec<DeliveryId>),
    /// Nothing is known under this key.
    Unknown,
    /// It is known and says something else: that is a change, and must be called one.
    Differs,
    /// A field that may not change would.
    Immutable(&'static str),
}

/// What became of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResultTaken {
    /// It is new, with this version.
    New(ResultId, u32),
    /// It is known.
    Same(ResultId, u32),
    /// It is new and waits for its order.
    Waiting(ResultId, u32),
    /// A final result with other content exists: send it as corrected.
    UseCorrected,
    /// There is nothing to send again.
    NothingToResend,
    /// Its order belongs to another site.
    OtherSite,
    /// Its order was cancelled; it is kept and not sent.
    Cancelled(ResultId, u32),
}

/// A PDF that is already durable in the file store.
#[derive(Debug, Clone)]
pub struct StoredPdf {
    /// Its name there.
    pub name: String,
    /// SHA-256 of its content.
    pub sha256: [u8; 32],
    /// Its size in octets.
    pub bytes: u64,
}

/// A result as it arrives.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// What it says.
    pub report: &'a Report,
    /// Its PDF; a resend has none.
    pub pdf: Option<&'a StoredPdf>,
    /// Names it among its repeats: counts for a resend, per order.
    pub idempotency_key: Option<&'a str>,
    /// How long it waits for its order.
    pub wait_for_order: Span,
    /// What its sender is told about it, as JSON; names fields, never values.
    pub warnings: Option<&'a str>,
}

#[derive(sqlx::FromRow)]
struct OrderRow {
    id: String,
    site: String,
    state: String,
    content: String,
    sealed: Vec<u8>,
    updated_at: i64,
}

#[derive(sqlx::FromRow)]
struct VersionRow {
    id: String,
    version: i64,
    status: String,
    content: String,
    sealed: Vec<u8>,
    pdf: String,
    pdf_sha256: Vec<u8>,
    pdf_bytes: i64,
}

/// A keyed hash of a content, so that a repeat is recognised without opening anything.
fn content_hash(key: &DataKey, field: &str, parts: &[&[u8]]) -> Result<String> {
    let plain = crypto::sha256(&parts.concat());
    Ok(key.search_hash(field, &Hex(&plain).to_string())?)
}

impl Store {
    /// Takes an order: new, changed or cancelled. Durable when it returns.
    ///
    /// # Errors
    /// When it cannot be stored: then nobody may be told that it was.
    pub async fn take_order(&self, org: OrgId, order: &Order, action: Action) -> Result<OrderTaken> {
        let key = self.key(org).await?;
        insist!(self.take_order_once(&key, org, order, action))
    }

    async fn take_order_once(&self, key: &DataKey, org: OrgId, order: &Order, action: Action) -> Result<OrderTaken> {
        let mut tx = self.begin().await?;
        lock(&mut tx, org, &order.order_id).await?;
        let known = order_row(&mut tx, org, &order.order_id).await?;
        let taken = match (known, action) {
            (None, Action::New) => self.insert_order(&mut tx, key, org, order).await?,
            (None, Action::Change | Action::Cancel) => OrderTaken::Unknown,
            (Some(row), Action::Cancel) => self.cancel_order(&mut tx, org, &order.order_id, &row).await?,
            (Some(row), Action::New | Action::Change) => self.change_order(&mut tx, key, org, order, &row, action).await?,
        };
        self.announce(&mut tx).await?;
        tx.commit().await?;
        self.wake();
        Ok(taken)
    }

    /// Changes an order to what a result that came in at `as_of` carried, unless somebody has changed or cancelled it since:
    /// theirs is the later word. Durable when it returns.
    ///
    /// # Errors
    /// As [`Store::take_order`].
    pub async fn take_carried(&self, org: OrgId, order: &Order, as_of: Timestamp) -> Result<OrderTaken> {
        let key = self.key(org).await?;
        insist!(async {
            let mut tx = self.begin().await?;
            lock(&mut tx, org, &order.order_id).await?;
            let taken = match order_row(&mut tx, org, &order.order_id).await? {
                None => OrderTaken::Unknown,
                Some(row) if row.updated_at > as_of.micros() => OrderTaken::Same(read("order key", &row.id)?),
                Some(row) => self.change_order(&mut tx, &key, org, order, &row, Action::Change).await?,
            };
            self.announce(&mut tx).await?;
            tx.commit().await?;
            self.wake();
            Ok(taken)
        })
    }

    /// Cancels an order by the sender's key: all that a cancellation names. Durable when it returns.
    ///
    /// # Errors
    /// As [`Store::take_order`].
    pub async fn take_cancellation(&self, org: OrgId, order_id: &str) -> Result<OrderTaken> {
        let mut tx = self.begin().await?;
        lock(&mut tx, org, order_id).await?;
        let taken = match order_row(&mut tx, org, order_id).await? {
            Some(row) => self.cancel_order(&mut tx, org, order_id, &row).await?,
            None => OrderTaken::Unknown,
        };
        tx.commit().await?;
        Ok(taken)
    }

    /// The order with the sender's key, opened.
    ///
    /// # Errors
    /// When the database does not answer or the order cannot be opened.
    pub async fn order_called(&self, org: OrgId, order_id: &str) -> Result<Option<(OrderKey, Order)>> {
        let key: Option<String> =
            on!(&self.db, pool => sqlx::query_scalar("SELECT id FROM order_ WHERE org_id = $1 AND order_id = $2")
            .bind(org.to_string()).bind(order_id).fetch_optional(pool).await)
            .doing("look an order up")?;
        match key {
            Some(key) => Ok(Some(self.order(org, read("order key", &key)?).await?)),
            None => Ok(None),
        }
    }

    async fn insert_order(&self, tx: &mut Tx, key: &DataKey, org: OrgId, order: &Order) -> Result<OrderTaken> {
        let id = OrderKey::new();
        let json = write_json("order", order)?;
        let now = self.now_within(tx).await?;
        let search = |field: &str, value: Option<&String>| value.map(|value| key.search_hash(field, value)).transpose();
        let patient = search("local_id", order.patient.local_id.as_ref())?;
        let member = search("member_id", order.health_plan.as_ref().and_then(|plan| plan.member_id.as_ref()))?;
        within!(tx, c => sqlx::query(
            "INSERT INTO order_ (org_id, id, order_id, site, state, priority, sealed, content, patient, member, set_id, created_at, updated_at)
             VALUES ($1, $2, $3, $4, 'open', $5, $6, $7, $8, $9, $10, $11, $11)")
            .bind(org.to_string()).bind(id.to_string()).bind(&order.order_id).bind(&order.site).bind(order.priority.as_str())
            .bind(at_rest::seal(key, org, "order_", id.0, &json)?).bind(content_hash(key, "order", &[&json])?).bind(patient).bind(member)
            .bind(uuid::Uuid::now_v7().to_string()).bind(now.micros()).execute(c).await.map(drop))
        .doing("store an order")?;
        // Results that came first go on now. A worker that is giving one up at this moment loses its lease. One of another site
        // stays where it is, for a person: this is not the order it belongs to. So does one that a person has dismissed; it has
        // its order now, so that a change of it or a person can take it up again.
        within!(tx, c => sqlx::query(
            "UPDATE result SET order_key = $1, priority = $2, state = CASE WHEN state = 'not_sent' THEN state ELSE 'received' END,
                reason = CASE WHEN state = 'not_sent' THEN reason END, next_attempt_at = $3, wait_until = NULL,
                lease_owner = NULL, lease_until = NULL, site = $6
             WHERE org_id = $4 AND order_id = $5 AND (site = $6 OR site = '') AND order_key IS NULL")
            .bind(id.to_string()).bind(order.priority.as_str()).bind(now.micros()).bind(org.to_string()).bind(&order.order_id)
            .bind(&order.site).execute(c).await.map(drop))
        .doing("release the results that waited for an order")?;
        Ok(OrderTaken::New(id))
    }

    async fn change_order(
        &self,
        tx: &mut Tx,
        key: &DataKey,
        org: OrgId,
        order: &Order,
        row: &OrderRow,
        action: Action,
    ) -> Result<OrderTaken> {
        let id: OrderKey = read("order key", &row.id)?;
        let json = write_json("order", order)?;
        let content = content_hash(key, "order", &[&json])?;
        if content == row.content && row.state == "open" {
            return Ok(OrderTaken::Same(id));
        }
        if action == Action::New {
            return Ok(OrderTaken::Differs);
        }
        let before: Order = read_json("order", &at_rest::open(key, org, "order_", id.0, &row.sealed)?)?;
        if before.patient.local_id != order.patient.local_id {
            return Ok(OrderTaken::Immutable("/patient/local_id"));
        }
        if row.site != order.site {
            return Ok(OrderTaken::Immutable("/site"));
        }
        let now = self.now_within(tx).await?;
        let member = order.health_plan.as_ref().and_then(|plan| plan.member_id.as_ref());
        let member = member.map(|value| key.search_hash("member_id", value)).transpose()?;
        within!(tx, c => sqlx::query(
            "UPDATE order_ SET state = 'open', priority = $1, sealed = $2, content = $3, member = $4, updated_at = $5 WHERE org_id = $6 AND id = $7")
            .bind(order.priority.as_str()).bind(at_rest::seal(key, org, "order_", id.0, &json)?).bind(content).bind(member)
            .bind(now.micros()).bind(org.to_string()).bind(id.to_string()).execute(c).await.map(drop))
        .doing("change an order")?;
        // The sender's new word ends what people said about the recipients of the old one.
        within!(tx, c => sqlx::query("DELETE FROM named_recipient WHERE org_id = $1 AND order_key = $2")
            .bind(org.to_string()).bind(id.to_string()).execute(c).await.map(drop))
        .doing("end what was said about the recipients of an order")?;
        // The latest version (with what was added to it) is routed again; what is on the wire or settled stays as it is. A worker
        // that is routing it at this moment loses its lease, so that it cannot record a route of the order as it was.
        within!(tx, c => sqlx::query(
            "UPDATE result SET state = 'received', reason = NULL, priority = $1, next_attempt_at = $2, wait_until = NULL,
                lease_owner = NULL, lease_until = NULL
             WHERE org_id = $3 AND order_id = $4 AND order_key = $5 AND version >= COALESCE(
                (SELECT MAX(version) FROM result WHERE org_id = $3 AND order_id = $4 AND order_key = $5 AND status <> 'addendum'), 0)")
            .bind(order.priority.as_str()).bind(now.micros()).bind(org.to_string()).bind(&order.order_id).bind(id.to_string())
            .execute(c).await.map(drop))
        .doing("route results again")?;
        // The same for a worker that is sealing: its lease ends now, so that it cannot put the order as it was on the wire.
        within!(tx, c => sqlx::query("UPDATE delivery SET lease_until = $1 WHERE org_id = $2 AND order_key = $3 AND state = 'claimed' AND lease_until > $1")
            .bind(now.micros()).bind(org.to_string()).bind(id.to_string()).execute(c).await.map(drop))
        .doing("take deliveries back from their workers")?;
        within!(tx, c => sqlx::query("UPDATE delivery SET priority = $1 WHERE org_id = $2 AND order_key = $3 AND state IN ('queued', 'held')")
            .bind(order.priority.as_str()).bind(org.to_string()).bind(id.to_string()).execute(c).await.map(drop))
        .doing("change the priority of deliveries")?;
        Ok(OrderTaken::Changed(id))
    }

    async fn cancel_order(&self, tx: &mut Tx, org: OrgId, order_id: &str, row: &OrderRow) -> Result<OrderTaken> {
        let now = self.now_within(tx).await?;
        within!(tx, c => sqlx::query("UPDATE order_ SET state = 'cancelled', updated_at = $1 WHERE org_id = $2 AND id = $3")
            .bind(now.micros()).bind(org.to_string()).bind(&row.id).execute(c).await.map(drop))
        .doing("cancel an order")?;
        let results: Vec<String> = within!(tx, c => sqlx::query_scalar(
            "UPDATE result SET state = 'not_sent', reason = $1, lease_owner = NULL, lease_until = NULL
             WHERE org_id = $2 AND order_id = $3 AND order_key = $4 AND state IN ('received', 'waiting', 'held') RETURNING id")
            .bind(Reason::Cancelled.as_str()).bind(org.to_string()).bind(order_id).bind(&row.id).fetch_all(c).await)
        .doing("stop the results of a cancelled order")?;
        let deliveries: Vec<(String, String)> = locked!(tx, query_as(
            "SELECT id, state FROM delivery WHERE org_id = $1 AND order_key = $2 AND state NOT IN ('cancelled', 'superseded') ORDER BY created_at, id")
            .bind(org.to_string()).bind(&row.id).fetch_all)
        .doing("find the deliveries of a cancelled order")?;
        let (mut too_late, mut charges) = (Vec::new(), Charges::default());
        for result in results {
            let (state, reason) = (Some(ResultState::NotSent.as_str()), Some(Reason::Cancelled.as_str()));
            let stopped = NewEvent { result: Some(result), state, reason, ..NewEvent::default() };
            charges.tell(&org.to_string(), EventKind::ResultNotSent, stopped);
        }
        for (id, state) in deliveries {
            let id: DeliveryId = read("delivery id", &id)?;
            if read::<State>("state", &state)? == State::Accepted {
                too_late.push(id);
                continue;
            }
            let moved = apply_move(tx, &mut charges, &Move::new(org, id, Event::Cancel), now).await?;
            if moved.delivery.may_have_arrived() {
                too_late.push(id);
            }
        }
        charges.write(tx, now).await?;
        Ok(OrderTaken::Cancelled(read("order key", &row.id)?, too_late))
    }

    /// Takes a result whose PDF is already durable. Durable when it returns. The idempotency key counts for a resend, per order.
    ///
    /// # Errors
    /// When it cannot be stored: then nobody may be told that it was.
    pub async fn take_result(
        &self,
        org: OrgId,
        report: &Report,
        pdf: Option<&StoredPdf>,
        idempotency_key: Option<&str>,
        wait_for_order: Span,
    ) -> Result<ResultTaken> {
        self.take_arrival(org, Arrival { report, pdf, idempotency_key, wait_for_order, warnings: None }).await
    }

    /// As [`Store::take_result`], and keeps what its sender is told about it.
    ///
    /// # Errors
    /// As [`Store::take_result`].
    pub async fn take_arrival(&self, org: OrgId, arrival: Arrival<'_>) -> Result<ResultTaken> {
        let key = self.key(org).await?;
        insist!(async {
            let mut tx = self.begin().await?;
            lock(&mut tx, org, &arrival.report.order_id).await?;
            let taken = match self.judge(&mut tx, &key, org, &arrival).await? {
                Verdict::Known(taken) => taken,
                Verdict::New(new, order) => self.insert_result(&mut tx, &key, org, *new, order.as_ref(), &arrival).await?,
            };
            self.announce(&mut tx).await?;
            tx.commit().await?;
            self.wake();
            Ok(taken)
        })
    }

    /// Whether a result would be refused as things are now, and how: asked before its PDF is stored, which would
    /// otherwise be left behind. What it says now binds nobody: [`Store::take_arrival`] decides.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn foresee_refusal(&self, org: OrgId, arrival: Arrival<'_>) -> Result<Option<ResultTaken>> {
        let key = self.key(org).await?;
        let mut tx = self.begin_reading().await?;
        Ok(match self.judge(&mut tx, &key, org, &arrival).await? {
            Verdict::Known(refused) if refused.is_refusal() => Some(refused),
            _ => None,
        })
    }

    /// What was told about a result when it came, as JSON.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn result_warnings(&self, org: OrgId, id: ResultId) -> Result<Option<String>> {
        on!(&self.db, pool => sqlx::query_scalar("SELECT warnings FROM result WHERE org_id = $1 AND id = $2 AND warnings IS NOT NULL")
            .bind(org.to_string()).bind(id.to_string()).fetch_optional(pool).await)
        .doing("read what was told about a result")
    }

    /// What is to become of a result; writes nothing.
    async fn judge(&self, tx: &mut Tx, key: &DataKey, org: OrgId, arrival: &Arrival<'_>) -> Result<Verdict> {
        let (report, known) = (arrival.report, |taken| Ok(Verdict::Known(taken)));
        // Everything else is known again by its content; under a key used before it must not be taken for what came then.
        if let Some(repeat) = arrival.repeat() {
            let before: Option<(String, i64)> = within!(tx, c => sqlx::query_as(
                "SELECT id, version FROM result WHERE org_id = $1 AND order_id = $2 AND idempotency_key = $3")
                .bind(org.to_string()).bind(&report.order_id).bind(repeat).fetch_optional(c).await)
            .doing("look an idempotency key up")?;
            if let Some((id, version)) = before {
                return known(ResultTaken::Same(read("result id", &id)?, narrow(version)));
            }
        }
        let order = order_row(tx, org, &report.order_id).await?;
        if order.as_ref().is_some_and(|order| !report.site.is_empty() && order.site != report.site) {
            return known(ResultTaken::OtherSite);
        }
        let versions: Vec<VersionRow> = within!(tx, c => sqlx::query_as(
            "SELECT id, version, status, content, sealed, pdf, pdf_sha256, pdf_bytes FROM result
             WHERE org_id = $1 AND order_id = $2 AND resend_of IS NULL ORDER BY version DESC")
            .bind(org.to_string()).bind(&report.order_id).fetch_all(c).await)
        .doing("read the versions of a result")?;

        let new = if report.status == ResultStatus::Resend {
            let Some(latest) = versions.first() else { return known(ResultTaken::NothingToResend) };
            let latest_id: ResultId = read("result id", &latest.id)?;
            NewResult {
                report: read_json("report", &at_rest::open(key, org, "result", latest_id.0, &latest.sealed)?)?,
                content: latest.content.clone(),
                version: latest.version,
                resend_of: Some(latest_id),
                pdf: StoredPdf {
                    name: latest.pdf.clone(),
                    sha256: latest.pdf_sha256.clone().try_into().map_err(|_| StoreError::Lost)?,
                    bytes: u64::try_from(latest.pdf_bytes).unwrap_or(0),
                },
            }
        } else {
            let Some(pdf) = arrival.pdf else { return known(ResultTaken::NothingToResend) };
            let content = content_hash(key, "result", &[&write_json("report", report)?, &pdf.sha256])?;
            if let Some(same) = versions.iter().find(|version| version.content == content) {
                return known(ResultTaken::Same(read("result id", &same.id)?, narrow(same.version)));
            }
            let finished = versions.iter().any(|version| version.status != ResultStatus::Preliminary.as_str());
            if finished && matches!(report.status, ResultStatus::Final | ResultStatus::Preliminary) {
                return known(ResultTaken::UseCorrected);
            }
            let version = versions.first().map_or(1, |latest| latest.version + 1);
            NewResult { report: report.clone(), content, version, resend_of: None, pdf: pdf.clone() }
        };
        Ok(Verdict::New(Box::new(new), order))
    }

    async fn insert_result(
        &self,
        tx: &mut Tx,
        key: &DataKey,
        org: OrgId,
        new: NewResult,
        order: Option<&OrderRow>,
        arrival: &Arrival<'_>,
    ) -> Result<ResultTaken> {
        let id = ResultId::new();
        let now = self.now_within(tx).await?;
        let wait_until = order.is_none().then(|| now.plus(arrival.wait_for_order.0).micros());
        let (state, reason) = match order {
            None => (ResultState::Waiting, Some(Reason::WaitingForOrder)),
            Some(order) if order.state == "cancelled" => (ResultState::NotSent, Some(Reason::Cancelled)),
            Some(_) => (ResultState::Received, None),
        };
        let priority = match order {
            Some(order) => {
                let sealed = at_rest::open(key, org, "order_", read::<OrderKey>("order key", &order.id)?.0, &order.sealed)?;
                read_json::<Order>("order", &sealed)?.priority
            }
            None => Priority::Routine,
        };
        let json = write_json("report", &new.report)?;
        within!(tx, c => sqlx::query(
            "INSERT INTO result (org_id, id, order_key, order_id, site, version, status, resend_of, priority, state, reason, sealed, content,
                idempotency_key, pdf, pdf_sha256, pdf_bytes, received_at, next_attempt_at, wait_until, warnings)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, COALESCE($19, $18), $19, $20)")
            .bind(org.to_string()).bind(id.to_string()).bind(order.map(|order| order.id.as_str())).bind(&new.report.order_id)
            .bind(order.map_or(new.report.site.as_str(), |order| order.site.as_str())).bind(new.version).bind(new.report.status.as_str()).bind(new.resend_of.map(|id| id.to_string()))
            .bind(priority.as_str()).bind(state.as_str()).bind(reason.map(Reason::as_str))
            .bind(at_rest::seal(key, org, "result", id.0, &json)?).bind(&new.content).bind(arrival.repeat()).bind(&new.pdf.name)
            .bind(new.pdf.sha256.to_vec()).bind(i64::try_from(new.pdf.bytes).unwrap_or(i64::MAX)).bind(now.micros()).bind(wait_until)
            .bind(arrival.warnings).execute(c).await.map(drop))
        .doing("store a result")?;
        let version = narrow(new.version);
        Ok(match state {
            ResultState::Waiting => ResultTaken::Waiting(id, version),
            ResultState::NotSent => ResultTaken::Cancelled(id, version),
            _ => ResultTaken::New(id, version),
        })
    }
}

/// What is to become of a result.
enum Verdict {
    /// Nothing new comes of it.
    Known(ResultTaken),
    /// It is stored, under its order if that is known.
    New(Box<NewResult>, Option<OrderRow>),
}

impl Arrival<'_> {
    /// The idempotency key, where it counts.
    fn repeat(&self) -> Option<&str> {
        self.idempotency_key.filter(|_| self.report.status == ResultStatus::Resend)
    }
}

impl ResultTaken {
    /// Whether nothing was stored and nothing is known: the sender has to change something.
    const fn is_refusal(&self) -> bool {
        matches!(self, Self::UseCorrected | Self::NothingToResend | Self::OtherSite)
    }
}

struct NewResult {
    report: Report,
    content: String,
    version: i64,
    resend_of: Option<ResultId>,
    pdf: StoredPdf,
}

fn narrow(version: i64) -> u32 {
    u32::try_from(version).unwrap_or(u32::MAX)
}

async fn order_row(tx: &mut Tx, org: OrgId, order_id: &str) -> Result<Option<OrderRow>> {
    within!(tx, c => sqlx::query_as("SELECT id, site, state, content, sealed, updated_at FROM order_ WHERE org_id = $1 AND order_id = $2")
        .bind(org.to_string()).bind(order_id).fetch_optional(c).await)
    .doing("look an order up")
}

/// One at a time for one order of one organization. SQLite has one writer anyway.
pub(super) async fn lock(tx: &mut Tx, org: OrgId, order_id: &str) -> Result<()> {
    if let Tx::Postgres(tx) = tx {
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
            .bind(format!("{org}|{order_id}"))
            .execute(&mut **tx)
            .await
            .doing("lock an order")?;
    }
    Ok(())
}
