//! Moves of deliveries: many in one transaction, with no more statements than one would take.

use std::collections::{HashMap, HashSet};

use super::{
    Doing as _, Result, StoreError, Tx,
    delivery::{Move, Moved},
    doubt::write_doubt,
    event::NewEvent,
    ledger::{Charge, Charges, EntryType},
    read,
    rows::{self, Cell},
};
use crate::domain::{
    Delivery, DirectAddress, Reason, Timestamp,
    delivery::{Disposition, EarlyNotice, Effect, Event, Fee, State},
    event::EventKind,
    organization::SendMode,
};

/// What a move goes by, as the row has it.
#[derive(sqlx::FromRow)]
struct AxesRow {
    org_id: String,
    id: String,
    state: String,
    reason: Option<String>,
    disposition: Option<String>,
    fee: String,
    unknown_attempts: i64,
    stopped: bool,
    early_notice: Option<String>,
    billable: String,
    when_unknown: String,
    wants_dispatched: bool,
    lease_owner: Option<String>,
    lease_until: Option<i64>,
    result_id: String,
    site: String,
    fee_code: String,
    test: bool,
    address: String,
    notice_at: Option<i64>,
    channel: String,
    status: String,
    payer: String,
    role: String,
}

impl AxesRow {
    fn delivery(&self) -> Result<Delivery> {
        Ok(Delivery {
            state: read("state", &self.state)?,
            reason: self.reason.as_deref().map(|text| read("reason", text)).transpose()?,
            disposition: self.disposition.as_deref().map(|text| read("disposition", text)).transpose()?,
            fee: read("fee", &self.fee)?,
            unknown_attempts: u8::try_from(self.unknown_attempts).unwrap_or(u8::MAX),
            stopped: self.stopped,
            early_notice: self.early_notice.as_deref().map(|text| read("notice", text)).transpose()?,
            billable: read("billable moment", &self.billable)?,
            when_unknown: read("unknown policy", &self.when_unknown)?,
            wants_dispatched: self.wants_dispatched,
        })
    }

    /// Whether this change may be made by whoever brings it.
    fn may(&self, change: &Move, now: Timestamp) -> bool {
        let held = self.lease_until.unwrap_or(0) > now.micros();
        match change.owner {
            // Facts beat leases.
            Some(_) if change.event == Event::Accepted => true,
            // A lease that ran out may be taken by anybody at any moment: nothing may begin under it.
            Some(owner) => held && self.lease_owner.as_deref() == Some(owner.to_string().as_str()),
            // Recovery speaks for workers that are gone. By now somebody else may have recovered the row, and a third be at work.
            None if matches!(change.event, Event::Released | Event::Lost) => !held,
            // Its clock may have been set anew since somebody looked.
            None if change.event == Event::DeadlinePassed => self.notice_at.is_none_or(|at| at <= now.micros()),
            None => true,
        }
    }
}

/// A change that is to be written.
struct Write<'a> {
    change: &'a Move,
    org: String,
    id: String,
    before: Delivery,
    after: Delivery,
    effects: Vec<Effect>,
}

/// Moves one delivery inside a transaction. What it charges is noted, to be written at the transaction's end. A move that
/// is refused (lost or illegal) has written nothing.
pub(super) async fn apply_move(tx: &mut Tx, charges: &mut Charges, change: &Move, now: Timestamp) -> Result<Moved> {
    apply_moves(tx, charges, &[change], now).await?.pop().unwrap_or(Err(StoreError::Lost))
}

/// Moves many, each answered by itself and in the order given: a second move of the same delivery sees what the first has
/// made of it. The outer error leaves the transaction of no use.
pub(super) async fn apply_moves(
    tx: &mut Tx,
    charges: &mut Charges,
    changes: &[&Move],
    now: Timestamp,
) -> Result<Vec<Result<Moved>>> {
    let mut answers: Vec<Result<Moved>> = changes.iter().map(|_| Err(StoreError::Lost)).collect();
    let mut todo: Vec<usize> = (0..changes.len()).collect();
    while !todo.is_empty() {
        let mut seen = HashSet::new();
        let (round, later) = todo.into_iter().partition::<Vec<_>, _>(|at| seen.insert((changes[*at].org, changes[*at].id)));
        let mut rows = read_axes(tx, &round.iter().map(|at| changes[*at]).collect::<Vec<_>>()).await?;
        let mut writes = Vec::with_capacity(round.len());
        for at in round {
            let change = changes[at];
            let row = rows.remove(&(change.org.to_string(), change.id.to_string()));
            answers[at] = match decide(change, row, charges, now) {
                Err(refused @ (StoreError::Lost | StoreError::Illegal(_))) => Err(refused),
                Err(broken) => return Err(broken),
                Ok(write) => {
                    let moved = Moved { delivery: write.after, effects: write.effects.clone() };
                    // What comes late is recorded as a notice and moves nothing.
                    let late = write.effects.is_empty() || write.effects == [Effect::RecordLate];
                    if write.after != write.before || !late {
                        writes.push(write);
                    }
                    Ok(moved)
                }
            };
        }
        if !writes.is_empty() {
            write_all(tx, &writes, now).await?;
            for Write { change, org, id, .. } in &writes {
                if let Some(doubt) = &change.doubt {
                    write_doubt(tx, org, id, doubt).await?;
                }
            }
        }
        todo = later;
    }
    Ok(answers)
}

fn decide<'a>(change: &'a Move, row: Option<AxesRow>, charges: &mut Charges, now: Timestamp) -> Result<Write<'a>> {
    let row = row.ok_or(StoreError::Lost)?;
    if !row.may(change, now) {
        return Err(StoreError::Lost);
    }
    let mut before = row.delivery()?;
    before.wants_dispatched |= change.event == Event::WireStarted && change.asks_dispatched;
    let (after, effects) = before.apply(change.event)?;
    if after.disposition != before.disposition
        && let Some(disposition) = after.disposition
    {
        charges.learn(change.org, &row.address, disposition);
    }
    for (effect, entry_type) in [(Effect::Charge, EntryType::Charge), (Effect::Credit, EntryType::Credit)] {
        if effects.contains(&effect) {
            let charge = Charge {
                delivery: change.id,
                entry_type,
                site: row.site.clone(),
                fee_code: row.fee_code.clone(),
                channel: row.channel.clone(),
                status: row.status.clone(),
                payer: row.payer.clone(),
                role: row.role.clone(),
                test: row.test,
                zone: change.zone.clone(),
            };
            charges.add(change.org, charge);
        }
    }
    for kind in EventKind::of_move(&before, &after) {
        charges.tell(&row.org_id, kind, told(&row.id, &row.result_id, &after));
    }
    Ok(Write { change, org: row.org_id, id: row.id, before, after, effects })
}

/// What an event tells of a delivery.
fn told(id: &str, result: &str, delivery: &Delivery) -> NewEvent {
    NewEvent {
        result: Some(result.to_owned()),
        delivery: Some(id.to_owned()),
        webhook: None,
        state: Some(delivery.state.as_str()),
        disposition: delivery.disposition.map(Disposition::as_str),
        reason: delivery.reason.map(Reason::as_str),
        fee: Some(delivery.fee.as_str()),
    }
}

/// Tells of a delivery that was just made.
pub(super) fn tell_made(charges: &mut Charges, org: &str, id: &str, result: &str) {
    let (state, fee) = (Some(State::Queued.as_str()), Some(Fee::None.as_str()));
    let made = NewEvent { result: Some(result.to_owned()), delivery: Some(id.to_owned()), state, fee, ..NewEvent::default() };
    charges.tell(org, EventKind::DeliveryQueued, made);
}

const KEYS: &str = "WITH k (org_id, id) AS (";
const AXES: &str =
    ") SELECT d.org_id, d.id, d.state, d.reason, d.disposition, d.fee, d.unknown_attempts, d.stopped, d.early_notice,
        d.billable, d.when_unknown, d.wants_dispatched, d.lease_owner, d.lease_until, d.result_id, d.site, d.fee_code, d.test,
        d.address, d.notice_at, d.channel, d.status, d.payer, d.role
    FROM k JOIN delivery d ON d.org_id = k.org_id AND d.id = k.id";
/// Everybody locks in one order, so that nobody waits in a circle. What is read is the row once its lock is had.
const LOCKED: &str = " ORDER BY d.org_id, d.id FOR UPDATE OF d";

async fn read_axes(tx: &mut Tx, changes: &[&Move]) -> Result<HashMap<(String, String), AxesRow>> {
    let keys = changes.iter().map(|change| [change.org.to_string().into(), change.id.to_string().into()]).collect();
    let found: Vec<AxesRow> = rows::fetch(tx, KEYS, keys, AXES, LOCKED).await.doing("read deliveries to move")?;
    Ok(found.into_iter().map(|row| ((row.org_id.clone(), row.id.clone()), row)).collect())
}

/// What came from outside, as every database can hold it: PostgreSQL takes no NUL in a text, and losing an acceptance to one
/// octet of a server's answer would send the message twice.
fn storable(text: Option<&str>) -> Option<String> {
    text.map(|text| text.replace('\0', "\u{fffd}"))
}

const MOVED: &str =
    "WITH n (org_id, id, state, reason, disposition, fee, unknown_attempts, stopped, early_notice, next_attempt_at, counts,
        patience, released, at, accepted_at, sealed_sha256, sealed_bytes, certificate, relay, reply, profile, sent_from,
        sent_mode, wants_dispatched, awaits, notice_at, anew, fallback) AS (";
const MOVE: &str = ") UPDATE delivery AS d SET state = n.state, reason = n.reason, disposition = n.disposition, fee = n.fee,
        unknown_attempts = n.unknown_attempts, stopped = n.stopped, early_notice = n.early_notice,
        next_attempt_at = COALESCE(n.next_attempt_at, d.next_attempt_at), attempts = d.attempts + n.counts,
        retry_until = d.retry_until + n.patience,
        lease_owner = CASE WHEN n.released THEN NULL ELSE d.lease_owner END,
        lease_until = CASE WHEN n.released THEN NULL ELSE d.lease_until END, updated_at = n.at,
        accepted_at = COALESCE(n.accepted_at, d.accepted_at), sealed_sha256 = COALESCE(n.sealed_sha256, d.sealed_sha256),
        sealed_bytes = COALESCE(n.sealed_bytes, d.sealed_bytes), certificate = COALESCE(n.certificate, d.certificate),
        relay = COALESCE(n.relay, d.relay), reply = COALESCE(n.reply, d.reply), profile = COALESCE(n.profile, d.profile),
        sent_from = COALESCE(n.sent_from, d.sent_from), sent_mode = COALESCE(n.sent_mode, d.sent_mode),
        wants_dispatched = n.wants_dispatched,
        notice_at = CASE WHEN n.awaits THEN COALESCE(n.notice_at, d.notice_at) ELSE NULL END,
        fallback = CASE WHEN n.anew THEN NULL ELSE COALESCE(n.fallback, d.fallback) END
    FROM n WHERE d.org_id = n.org_id AND d.id = n.id";
const HAPPENED: &str = "WITH n (org_id, id, at, event, state, detail) AS (";
const APPEND: &str = ") INSERT INTO delivery_event (org_id, delivery_id, seq, at, event, state, detail) SELECT n.org_id, n.id,
        (SELECT COALESCE(MAX(e.seq), 0) + 1 FROM delivery_event e WHERE e.org_id = n.org_id AND e.delivery_id = n.id),
        n.at, n.event, n.state, n.detail FROM n";

async fn write_all(tx: &mut Tx, writes: &[Write<'_>], now: Timestamp) -> Result<()> {
    let moved = writes.iter().map(|write| write.row(now)).collect();
    rows::execute(tx, MOVED, moved, MOVE).await.doing("move deliveries")?;
    let happened = writes.iter().map(|write| write.event(now)).collect();
    rows::execute(tx, HAPPENED, happened, APPEND).await.doing("record what happened to deliveries")
}

impl Write<'_> {
    /// As [`MOVED`] names it.
    fn row(&self, now: Timestamp) -> [Cell; 28] {
        let Self { change, before, after, effects, .. } = self;
        let next_attempt = if effects.contains(&Effect::StartUnknownWait) {
            Some(now.plus(change.unknown_wait).micros())
        } else if after.state == State::Queued && before.state != State::Queued {
            Some(now.plus(change.backoff).micros())
        } else {
            None
        };
        // A relay that cannot be reached costs no patience: what was waited for it is added to the time allowed.
        let free = change.event == Event::Deferred && !change.counts;
        let patience = if free { i64::try_from(change.backoff.as_micros()).unwrap_or(0) } else { 0 };
        let accepted = effects.contains(&Effect::StartNoticeClock);
        let evidence = &change.evidence;
        [
            self.org.clone().into(),
            self.id.clone().into(),
            after.state.as_str().into(),
            after.reason.map(Reason::as_str).into(),
            after.disposition.map(Disposition::as_str).into(),
            after.fee.as_str().into(),
            i64::from(after.unknown_attempts).into(),
            after.stopped.into(),
            after.early_notice.map(EarlyNotice::as_str).into(),
            next_attempt.into(),
            i64::from(change.counts).into(),
            patience.into(),
            (!matches!(after.state, State::Claimed | State::OnWire)).into(),
            now.micros().into(),
            accepted.then_some(now.micros()).into(),
            evidence.sealed_sha256.into(),
            evidence.sealed_bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)).into(),
            evidence.certificate.as_deref().into(),
            storable(evidence.relay.as_deref()).into(),
            storable(evidence.reply.as_deref()).into(),
            evidence.profile.map(|profile| profile.to_string()).into(),
            evidence.from.as_ref().map(DirectAddress::as_str).into(),
            evidence.mode.map(SendMode::as_str).into(),
            after.wants_dispatched.into(),
            after.awaits_notice().into(),
            // Both clocks, for `processed` and for `dispatched`, start at acceptance.
            accepted.then(|| now.plus(change.notice_within).micros()).into(),
            (change.event == Event::Retry).into(),
            effects.contains(&Effect::Fallback).then_some("due").into(),
        ]
    }

    /// As [`HAPPENED`] names it.
    fn event(&self, now: Timestamp) -> [Cell; 6] {
        [
            self.org.clone().into(),
            self.id.clone().into(),
            now.micros().into(),
            event_word(self.change.event).into(),
            self.after.state.as_str().into(),
            storable(self.change.note.as_deref()).into(),
        ]
    }
}

/// Appends to a delivery's history.
pub(super) async fn record_event(
    tx: &mut Tx,
    org: &str,
    id: &str,
    now: Timestamp,
    event: &str,
    state: State,
    note: Option<&str>,
) -> Result<()> {
    within!(tx, c => sqlx::query(
        "INSERT INTO delivery_event (org_id, delivery_id, seq, at, event, state, detail)
         VALUES ($1, $2, (SELECT COALESCE(MAX(seq), 0) + 1 FROM delivery_event WHERE org_id = $1 AND delivery_id = $2), $3, $4, $5, $6)")
        .bind(org).bind(id).bind(now.micros()).bind(event).bind(state.as_str()).bind(note).execute(c).await.map(drop))
    .doing("record what happened to a delivery")
}

const fn event_word(event: Event) -> &'static str {
    match event {
        Event::Claimed => "claimed",
        Event::Released => "released",
        Event::WireStarted => "on_wire",
        Event::Accepted => "accepted",
        Event::Refused(_) => "refused",
        Event::Deferred => "deferred",
        Event::Exhausted => "exhausted",
        Event::Lost => "lost",
        Event::Held(_) => "held",
        Event::UnknownWaitOver => "unknown_wait_over",
        Event::Cancel => "cancel",
        Event::Supersede => "supersede",
        Event::Retry => "retry",
        Event::Notice(_) => "notice",
        Event::DeadlinePassed => "deadline_passed",
        Event::CreditDue => "credit_due",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Db, migrations};

    /// What SQLite would do for a statement about two rows of so many columns, one step in a line.
    async fn plan(before: &str, columns: usize, after: &str) -> String {
        let pool = sqlx::SqlitePool::connect("sqlite::memory:").await.unwrap();
        migrations::run(&Db::Sqlite(pool.clone())).await.unwrap();
        let row = format!("({})", vec!["NULL"; columns].join(", "));
        let sql = format!("EXPLAIN QUERY PLAN {before}VALUES {row}, {row}{after}");
        let steps: Vec<(i64, i64, i64, String)> = sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(&pool).await.unwrap();
        steps.into_iter().map(|(_, _, _, step)| step.replace("COVERING ", "") + "\n").collect()
    }

    #[tokio::test]
    async fn on_sqlite_many_rows_are_found_one_by_one_along_the_primary_key() {
        for (before, columns, after, search) in [
            (KEYS, 2, AXES, "SEARCH d USING INDEX sqlite_autoindex_delivery_2 (org_id=? AND id=?)"),
            (MOVED, 28, MOVE, "SEARCH d USING INDEX sqlite_autoindex_delivery_2 (org_id=? AND id=?)"),
            (HAPPENED, 6, APPEND, "SEARCH e USING INDEX sqlite_autoindex_delivery_event_1 (org_id=? AND delivery_id=?)"),
        ] {
            let plan = plan(before, columns, after).await;
            assert!(plan.contains(search) && !plan.contains("SCAN d\n") && !plan.contains("SCAN e\n"), "{after}:\n{plan}");
        }
    }
}
