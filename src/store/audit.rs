//! The audit trail: append-only, hash-chained, one chain for each organization and one for the installation.
//!
//! What goes on record is committed before anybody is answered; where something changes, in the same transaction.

use std::net::IpAddr;

use super::{Doing as _, Result, Store, StoreError, Tx, read, write_json};
use crate::{
    crypto::{self, Hex},
    domain::{
        OrgId, OrgScope, Timestamp,
        audit::{Actor, ActorKind, Audited, Entry, Outcome, Witness},
        id::AuditId,
    },
};

/// The chain of what belongs to no organization.
pub const INSTALLATION: &str = "installation";

/// One line of the trail.
#[derive(Debug, Clone, serde::Serialize)]
pub struct AuditEvent {
    /// In which chain: an organization's id, or `installation`.
    pub chain: String,
    /// Its place there, from 1.
    pub seq: i64,
    /// Its id.
    pub id: AuditId,
    /// When.
    #[serde(serialize_with = "as_text")]
    pub at: Timestamp,
    /// Who: what kind of somebody.
    pub actor_kind: ActorKind,
    /// Who: the id.
    pub actor: String,
    /// Who: as they were called then.
    pub actor_name: String,
    /// Where from.
    pub address: String,
    /// In which request, as the log names it.
    pub request: String,
    /// What was done.
    pub action: String,
    /// To what kind of thing.
    pub object_kind: String,
    /// To which.
    pub object: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Everything else about it.
    pub facts: serde_json::Value,
    /// The hash of the line before.
    pub previous: String,
    /// The hash of this one.
    pub hash: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn as_text<S: serde::Serializer>(at: &Timestamp, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

/// Which lines are wanted.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// From this instant on.
    pub from: Option<Timestamp>,
    /// Before this one.
    pub to: Option<Timestamp>,
    /// By whom: an id, or what they are called.
    pub actor: Option<String>,
    /// What was done.
    pub action: Option<String>,
    /// To which object.
    pub object: Option<String>,
    /// Older than this line: the last one of the page before.
    pub before: Option<AuditId>,
    /// At most so many.
    pub limit: u32,
}

/// The end of a chain: what a daily signature is made over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditHead {
    /// Which.
    pub chain: String,
    /// How many lines it has.
    pub seq: i64,
    /// The hash of the last.
    pub hash: String,
}

/// A line as it lies in the database.
#[derive(sqlx::FromRow)]
struct Row {
    chain: String,
    seq: i64,
    id: String,
    at: i64,
    actor_kind: String,
    actor: String,
    actor_name: String,
    address: String,
    request: String,
    action: String,
    object_kind: String,
    object: String,
    outcome: String,
    facts: String,
    previous: String,
    hash: String,
}

impl Row {
    /// What its hash must be: over every field, each with its length before it, so that no two lines read the same.
    fn expected_hash(&self) -> String {
        let texts = [
            &self.previous,
            &self.chain,
            &self.id,
            &self.actor_kind,
            &self.actor,
            &self.actor_name,
            &self.address,
            &self.request,
            &self.action,
            &self.object_kind,
            &self.object,
            &self.outcome,
            &self.facts,
        ]
        .map(|text| format!("{}:{text}", text.len()));
        let numbers = [self.seq, self.at].map(|number| format!("{number};"));
        Hex(&crypto::sha256([texts.concat(), numbers.concat()].concat().as_bytes())).to_string()
    }

    fn event(self) -> Result<AuditEvent> {
        Ok(AuditEvent {
            chain: self.chain,
            seq: self.seq,
            id: read("audit id", &self.id)?,
            at: Timestamp(self.at),
            actor_kind: read("actor", &self.actor_kind)?,
            actor: self.actor,
            actor_name: self.actor_name,
            address: self.address,
            request: self.request,
            action: self.action,
            object_kind: self.object_kind,
            object: self.object,
            outcome: read("outcome", &self.outcome)?,
            facts: super::read_json("facts", self.facts.as_bytes())?,
            previous: self.previous,
            hash: self.hash,
        })
    }
}

/// The lines that `rest` asks for.
macro_rules! lines {
    ($rest:literal) => {
        concat!(
            "SELECT chain, seq, id, at, actor_kind, actor, actor_name, address, request, action, object_kind, object, outcome, facts,
                previous, hash FROM audit_event ",
            $rest
        )
    };
}

impl Store {
    /// Puts on record what `actor` does, and then logs and counts it. Nothing may be shown or answered before this returns.
    ///
    /// # Errors
    /// When it cannot be written: then what was to be done must not be.
    pub async fn witness(&self, actor: &Actor, event: &dyn Audited) -> Result<()> {
        let entry = event.entry();
        insist!(self.witness_once(actor, &entry))?;
        event.announce();
        Ok(())
    }

    async fn witness_once(&self, actor: &Actor, entry: &Entry) -> Result<()> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        append(&mut tx, actor, entry, now).await?;
        tx.commit().await
    }

    /// Lines the scope may see, the newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn audit_events(&self, scope: OrgScope, filter: &AuditFilter) -> Result<Vec<AuditEvent>> {
        let sql = lines!(
            "WHERE ($1 IS NULL OR chain = $1) AND ($2 IS NULL OR at >= $2) AND ($3 IS NULL OR at < $3)
             AND ($4 IS NULL OR actor = $4 OR actor_name = $4) AND ($5 IS NULL OR action = $5) AND ($6 IS NULL OR object = $6)
             AND ($7 IS NULL OR id < $7) ORDER BY id DESC LIMIT $8"
        );
        let limit = i64::from(filter.limit.clamp(1, 10_000));
        let rows: Vec<Row> = on!(&self.db, pool => sqlx::query_as(sql)
            .bind(scope.org().map(|org| org.to_string()))
            .bind(filter.from.map(Timestamp::micros)).bind(filter.to.map(Timestamp::micros))
            .bind(filter.actor.as_deref()).bind(filter.action.as_deref()).bind(filter.object.as_deref())
            .bind(filter.before.map(|id| id.to_string())).bind(limit).fetch_all(pool).await)
        .doing("read the audit trail")?;
        rows.into_iter().map(Row::event).collect()
    }

    /// One chain from its beginning, or from after the line `after`, in order: what an export is made of.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn audit_chain(&self, org: Option<OrgId>, after: i64) -> Result<Vec<AuditEvent>> {
        let sql = lines!("WHERE chain = $1 AND seq > $2 ORDER BY seq LIMIT 5000");
        let rows: Vec<Row> = on!(&self.db, pool => sqlx::query_as(sql).bind(chain_of(org)).bind(after).fetch_all(pool).await)
            .doing("read the audit trail")?;
        rows.into_iter().map(Row::event).collect()
    }

    /// The ends of all chains the scope may see.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn audit_heads(&self, scope: OrgScope) -> Result<Vec<AuditHead>> {
        let rows: Vec<(String, i64, String)> = on!(&self.db, pool => sqlx::query_as(
            "SELECT chain, seq, hash FROM audit_head WHERE ($1 IS NULL OR chain = $1) ORDER BY chain")
            .bind(scope.org().map(|org| org.to_string())).fetch_all(pool).await)
        .doing("read the ends of the audit trail")?;
        Ok(rows.into_iter().map(|(chain, seq, hash)| AuditHead { chain, seq, hash }).collect())
    }

    /// Recomputes a chain: how many lines it has, or the place of the first that does not fit. A line missing at the end is
    /// the place after the last.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn verify_audit(&self, org: Option<OrgId>) -> Result<std::result::Result<i64, i64>> {
        let chain = chain_of(org);
        // Lines and head as they were at one instant: others go on being written.
        let mut tx = self.begin_reading().await?;
        let head: Option<(i64, String)> = within!(&mut tx, c =>
            sqlx::query_as("SELECT seq, hash FROM audit_head WHERE chain = $1").bind(&chain).fetch_optional(c).await)
        .doing("read the end of an audit trail")?;
        let sql = lines!("WHERE chain = $1 AND seq > $2 ORDER BY seq LIMIT 5000");
        let (mut place, mut previous, mut after) = (0, String::new(), i64::MIN);
        loop {
            let rows: Vec<Row> = within!(&mut tx, c =>
                sqlx::query_as(sql).bind(&chain).bind(after).fetch_all(c).await)
            .doing("read the audit trail")?;
            let Some(last) = rows.last() else { break };
            after = last.seq;
            for row in rows {
                place += 1;
                if row.seq != place || row.previous != previous || row.hash != row.expected_hash() {
                    return Ok(Err(place));
                }
                previous = row.hash;
            }
        }
        Ok(if head.unwrap_or_default() == (place, previous) { Ok(place) } else { Err(place + 1) })
    }
}

fn chain_of(org: Option<OrgId>) -> String {
    org.map_or_else(|| INSTALLATION.to_owned(), |org| org.to_string())
}

/// Puts a change on record as the last step of its transaction, commits both, and then logs and counts it.
pub(super) async fn commit(mut tx: Tx, witness: Witness<'_>, now: Timestamp) -> Result<()> {
    append(&mut tx, witness.actor, &witness.event.entry(), now).await?;
    tx.commit().await?;
    witness.event.announce();
    Ok(())
}

/// The same for what several lines are to be written about, or none: what is done at the shell is on record as the command.
pub(super) async fn commit_all(mut tx: Tx, witnesses: &[Witness<'_>], now: Timestamp) -> Result<()> {
    for witness in witnesses {
        append(&mut tx, witness.actor, &witness.event.entry(), now).await?;
    }
    tx.commit().await?;
    for witness in witnesses {
        witness.event.announce();
    }
    Ok(())
}

/// Appends one line to its chain, inside the transaction of what it is about. Whoever appends holds the chain's end until
/// the transaction does, so call it last.
pub(super) async fn append(tx: &mut Tx, actor: &Actor, entry: &Entry, now: Timestamp) -> Result<()> {
    let chain = chain_of(entry.org);
    within!(tx, c => sqlx::query("INSERT INTO audit_head (chain, seq, hash) VALUES ($1, 0, '') ON CONFLICT (chain) DO NOTHING")
        .bind(&chain).execute(c).await.map(drop))
    .doing("begin an audit trail")?;
    let head: Option<(i64, String)> =
        locked!(tx, query_as("SELECT seq, hash FROM audit_head WHERE chain = $1").bind(&chain).fetch_optional)
            .doing("take the end of an audit trail")?;
    let (seq, previous) = head.ok_or(StoreError::Lost)?;
    let facts = write_json("facts", &entry.facts)?;
    let (object_kind, object) = entry.object.as_ref().map_or(("", ""), |(kind, id)| (kind, id));
    let mut row = Row {
        chain,
        seq: seq + 1,
        id: AuditId::new().to_string(),
        at: now.micros(),
        actor_kind: actor.kind.to_string(),
        actor: line(&actor.id),
        actor_name: line(&actor.name),
        address: actor.address.as_ref().map(IpAddr::to_string).unwrap_or_default(),
        request: actor.request.clone().unwrap_or_default(),
        action: entry.action.to_owned(),
        object_kind: object_kind.to_owned(),
        object: line(object),
        outcome: entry.outcome.to_string(),
        facts: String::from_utf8_lossy(&facts).into_owned(),
        previous,
        hash: String::new(),
    };
    row.hash = row.expected_hash();
    within!(tx, c => sqlx::query(
        "INSERT INTO audit_event (chain, seq, id, at, actor_kind, actor, actor_name, address, request, action, object_kind, object, outcome,
            facts, previous, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)")
        .bind(&row.chain).bind(row.seq).bind(&row.id).bind(row.at).bind(&row.actor_kind).bind(&row.actor).bind(&row.actor_name)
        .bind(&row.address).bind(&row.request).bind(&row.action).bind(&row.object_kind).bind(&row.object).bind(&row.outcome)
        .bind(&row.facts).bind(&row.previous).bind(&row.hash).execute(c).await.map(drop))
    .doing("write the audit trail")?;
    within!(tx, c => sqlx::query("UPDATE audit_head SET seq = $1, hash = $2 WHERE chain = $3")
        .bind(row.seq).bind(&row.hash).bind(&row.chain).execute(c).await.map(drop))
    .doing("move the end of an audit trail")
}

/// One line, however it was given: nobody writes a second one into an export.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}
