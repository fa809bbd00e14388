//! What was handed over, to be held against what a HISP has counted; and who stands for the comparison.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{
    Doing as _, Result, Store, audit, read, read_json,
    rows::{self, Cell},
    write_json,
};
use crate::{
    domain::{DeliveryId, Money, Month, OrgId, OrgScope, Timestamp, audit::Witness, delivery::Disposition, id::ReconciliationId},
    store::StoreError,
};

/// A message that a HISP or a recipient's server has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Which.
    pub delivery: DeliveryId,
    /// With its angle brackets.
    pub message_id: String,
    /// When it was taken.
    pub accepted_at: Timestamp,
    /// What is known of its end.
    pub disposition: Option<Disposition>,
    /// The way it went.
    pub channel: String,
    /// The relay it was handed to, or `mx`.
    pub relay: String,
    /// Test traffic.
    pub test: bool,
}

/// An address and a span of time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct To {
    /// As addresses are compared.
    pub address_key: String,
    /// From this instant on.
    pub from: Timestamp,
    /// Before this one.
    pub to: Timestamp,
}

/// How many of each there were.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Rows of the usage file.
    pub rows: u64,
    /// Messages of ours in the month.
    pub messages: u64,
    /// In both, and nothing differs.
    pub matched: u64,
    /// With us alone.
    pub ours_only: u64,
    /// With the HISP alone.
    pub theirs_only: u64,
    /// In both, at another price.
    pub price_differs: u64,
    /// In both, with another end.
    pub outcome_differs: u64,
    /// Prices that differed by no more than this are not counted as differing.
    #[serde(default)]
    pub tolerance: Money,
}

impl Counts {
    /// All that differs.
    #[must_use]
    pub const fn differences(&self) -> u64 {
        self.ours_only + self.theirs_only + self.price_differs + self.outcome_differs
    }
}

/// A comparison somebody stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signed {
    /// Which month.
    pub month: Month,
    /// The usage file, SHA-256 in hexadecimal digits.
    pub file_sha256: String,
    /// What was found.
    pub counts: Counts,
    /// Who stands for it.
    pub signed_by: String,
    /// What they wrote.
    pub note: String,
    /// When; set by the store.
    #[serde(serialize_with = "as_text")]
    pub signed_at: Timestamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn as_text<S: serde::Serializer>(at: &Timestamp, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

#[derive(sqlx::FromRow)]
struct SentRow {
    id: String,
    message_id: String,
    accepted_at: i64,
    disposition: Option<String>,
    channel: String,
    relay: String,
    test: bool,
}

impl SentRow {
    fn sent(self) -> Result<Sent> {
        Ok(Sent {
            delivery: read("delivery id", &self.id)?,
            message_id: self.message_id,
            accepted_at: Timestamp(self.accepted_at),
            disposition: self.disposition.as_deref().map(|word| read("disposition", word)).transpose()?,
            channel: self.channel,
            relay: self.relay,
            test: self.test,
        })
    }
}

/// A message, and the id it was asked for by.
#[derive(sqlx::FromRow)]
struct AskedRow {
    asked: String,
    #[sqlx(flatten)]
    sent: SentRow,
}

type SignedRow = (String, String, String, String, String, i64);

impl Store {
    /// Messages of an organization by the ids somebody else has for them: our own, or those under which a HISP knows them. Ids
    /// nobody knows, or of others, are left out.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn sent_as(&self, org: OrgId, message_ids: &[String]) -> Result<HashMap<String, Sent>> {
        if message_ids.is_empty() {
            return Ok(HashMap::new());
        }
        let keys: Vec<[Cell; 2]> = message_ids.iter().map(|id| [org.to_string().into(), id.as_str().into()]).collect();
        let rows: Vec<AskedRow> = rows::read(
            &self.db,
            "WITH k (org_id, message_id) AS (",
            keys,
            ") SELECT k.message_id AS asked, d.id, d.message_id, d.accepted_at, d.disposition, d.channel,
                  COALESCE(d.relay, '') AS relay, d.test
               FROM k JOIN delivery d ON d.message_id = k.message_id AND d.org_id = k.org_id WHERE d.accepted_at IS NOT NULL
               UNION ALL SELECT k.message_id AS asked, d.id, d.message_id, d.accepted_at, d.disposition, d.channel,
                  COALESCE(d.relay, '') AS relay, d.test
               FROM k JOIN message_alias a ON a.org_id = k.org_id AND a.message_id = k.message_id
               JOIN delivery d ON d.org_id = a.org_id AND d.id = a.delivery_id WHERE d.accepted_at IS NOT NULL",
        )
        .await
        .doing("look messages up by their ids")?;
        let mut found = HashMap::with_capacity(rows.len());
        for AskedRow { asked, sent } in rows {
            // What we call a message goes before what others call one.
            if sent.message_id == asked || !found.contains_key(&asked) {
                found.insert(asked, sent.sent()?);
            }
        }
        Ok(found)
    }

    /// Messages of an organization to one address in a span of time, the oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn sent_to(&self, org: OrgId, to: &To) -> Result<Vec<Sent>> {
        let found: Vec<SentRow> = on!(&self.db, pool => sqlx::query_as(
            "SELECT id, message_id, accepted_at, disposition, channel, COALESCE(relay, '') AS relay, test FROM delivery
             WHERE org_id = $1 AND address_key = $2 AND accepted_at >= $3 AND accepted_at < $4 ORDER BY accepted_at, id")
            .bind(org.to_string()).bind(&to.address_key).bind(to.from.micros()).bind(to.to.micros()).fetch_all(pool).await)
        .doing("look messages up by their recipient")?;
        found.into_iter().map(SentRow::sent).collect()
    }

    /// Messages of an organization that were taken in a span of time, oldest first, those behind `after`, at most `most`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn sent_page(
        &self,
        org: OrgId,
        from: Timestamp,
        to: Timestamp,
        after: Option<&Sent>,
        most: u32,
    ) -> Result<Vec<Sent>> {
        let (at, id) =
            after.map_or((from.micros(), String::new()), |sent| (sent.accepted_at.micros(), sent.delivery.to_string()));
        let found: Vec<SentRow> = on!(&self.db, pool => sqlx::query_as(
            "SELECT id, message_id, accepted_at, disposition, channel, COALESCE(relay, '') AS relay, test FROM delivery
             WHERE org_id = $1 AND accepted_at >= $2 AND accepted_at < $3 AND (accepted_at, id) > ($2, $4)
             ORDER BY accepted_at, id LIMIT $5")
            .bind(org.to_string()).bind(at).bind(to.micros()).bind(id).bind(i64::from(most)).fetch_all(pool).await)
        .doing("list what was handed over")?;
        found.into_iter().map(SentRow::sent).collect()
    }

    /// Records who stands for a comparison. `signed_at` is set here. Never changed again.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn sign_reconciliation(&self, org: OrgId, signed: &Signed, witness: Witness<'_>) -> Result<Timestamp> {
        let counts = String::from_utf8(write_json("counts", &signed.counts)?).unwrap_or_default();
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        within!(&mut tx, c => sqlx::query(
            "INSERT INTO reconciliation (org_id, id, month, file_sha256, counts, signed_by, note, signed_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
            .bind(org.to_string()).bind(ReconciliationId::new().to_string()).bind(signed.month.to_string()).bind(&signed.file_sha256)
            .bind(&counts).bind(&signed.signed_by).bind(&signed.note).bind(now.micros()).execute(c).await.map(drop))
        .doing("sign a reconciliation")?;
        audit::commit(tx, witness, now).await?;
        Ok(now)
    }

    /// The comparisons of an organization that somebody stands for, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn reconciliations(&self, scope: OrgScope, org: OrgId, month: Month) -> Result<Vec<Signed>> {
        if scope.org().is_some_and(|only| only != org) {
            return Err(StoreError::NoOrganization);
        }
        let rows: Vec<SignedRow> = on!(&self.db, pool => sqlx::query_as(
            "SELECT month, file_sha256, counts, signed_by, note, signed_at FROM reconciliation
             WHERE org_id = $1 AND month = $2 ORDER BY signed_at, id")
            .bind(org.to_string()).bind(month.to_string()).fetch_all(pool).await)
        .doing("list reconciliations")?;
        let signed = |(month, file_sha256, counts, signed_by, note, at): SignedRow| {
            Ok(Signed {
                month: read("month", &month)?,
                file_sha256,
                counts: read_json("counts", counts.as_bytes())?,
                signed_by,
                note,
                signed_at: Timestamp(at),
            })
        };
        rows.into_iter().map(signed).collect()
    }
}
