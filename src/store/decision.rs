//! What people decided about where results go: pins, suppressions, words about single recipients. Each is on record with who
//! and why, in the transaction that puts it into force.

use std::collections::HashMap;

use super::{Doing as _, Result, Store, Tx, read, read_json, worklist::reroute};
use crate::domain::{
    DirectAddress, Npi, OrderKey, OrgId, ResultId, Timestamp,
    choice::{Decided, Decides as What, Known, Named, Pin, Suppressed, Suppression},
};

/// Who decides, and why.
#[derive(Debug, Clone, Copy)]
pub struct Whom<'a> {
    /// Who.
    pub by: &'a str,
    /// Why, in their words. No patient's data: it is not encrypted.
    pub why: &'a str,
}

/// One decision on record.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Decision {
    /// What was decided.
    pub what: What,
    /// About what: an NPI, address or domain, or the id of a result.
    pub about: String,
    /// The result on whose account.
    pub result: Option<String>,
    /// What was chosen, or what was before.
    pub detail: String,
    /// Who, why and when.
    #[serde(flatten)]
    pub decided: Decided,
}

/// What a decision led to.
#[derive(Debug, Clone, Default)]
pub struct Led {
    /// What was in force before.
    pub before: Option<String>,
    /// Results that are routed again because of it.
    pub rerouted: Vec<ResultId>,
}

/// Results that wait for somebody to decide about an NPI. Along the index of what was not taken.
const UNDECIDED: &str = "SELECT DISTINCT r.id FROM route_recipient p JOIN result r ON r.org_id = p.org_id AND r.id = p.result_id
    WHERE p.org_id = $1 AND p.npi = $2 AND p.verdict <> 'taken'
        AND (r.state IN ('held', 'waiting') OR (r.state = 'routed' AND p.verdict = 'held')) ORDER BY r.id";

type SuppressionRow = (String, String, Option<i64>, String, String, i64);

impl Store {
    /// The pins of an organization, or of one NPI, by NPI.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn pins(&self, org: OrgId, npi: Option<&Npi>) -> Result<Vec<Pin>> {
        let rows: Vec<(String, String, String, String, i64)> = on!(&self.db, pool => sqlx::query_as(
            "SELECT npi, address, decided_by, why, decided_at FROM pin WHERE org_id = $1 AND ($2 IS NULL OR npi = $2) ORDER BY npi")
            .bind(org.to_string()).bind(npi.map(Npi::as_str)).fetch_all(pool).await)
        .doing("read pins")?;
        rows.into_iter()
            .map(|(npi, address, by, why, at)| {
                let decided = Decided { by, why, at: Timestamp(at) };
                Ok(Pin { npi: read("npi", &npi)?, address: read("address", &address)?, decided })
            })
            .collect()
    }

    /// What is not to be used now, by kind and word.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn suppressions(&self, org: OrgId) -> Result<Vec<Suppression>> {
        let rows: Vec<SuppressionRow> = on!(&self.db, pool => sqlx::query_as(
            "SELECT kind, what, until, decided_by, why, decided_at FROM suppression
             WHERE org_id = $1 AND (until IS NULL OR until > $2) ORDER BY kind, what")
            .bind(org.to_string()).bind(self.clock.now().micros()).fetch_all(pool).await)
        .doing("read suppressions")?;
        rows.into_iter()
            .map(|(kind, what, until, by, why, at)| {
                let decided = Decided { by, why, at: Timestamp(at) };
                Ok(Suppression { what: suppressed(&kind, &what)?, until: until.map(Timestamp), decided })
            })
            .collect()
    }

    /// Which results would be routed again if somebody decided about this NPI.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn undecided(&self, org: OrgId, npi: &Npi) -> Result<Vec<ResultId>> {
        let ids: Vec<String> = on!(&self.db, pool => sqlx::query_scalar(UNDECIDED).bind(org.to_string()).bind(npi.as_str())
            .fetch_all(pool).await)
        .doing("look which results wait for a decision about an NPI")?;
        ids.iter().map(|id| read("result id", id)).collect()
    }

    /// Chooses an address for an NPI, whatever the directory says. What waited for that is routed again.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn pin(&self, org: OrgId, npi: &Npi, address: &DirectAddress, whom: Whom<'_>) -> Result<Led> {
        let led = insist!(async {
            let mut tx = self.begin().await?;
            let now = self.now_within(&mut tx).await?;
            let led = pin(&mut tx, now, org, npi, address, None, whom).await?;
            self.announce(&mut tx).await?;
            tx.commit().await?;
            Ok(led)
        })?;
        self.wake();
        Ok(led)
    }

    /// Chooses none any more. Gives the address that was pinned.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn unpin(&self, org: OrgId, npi: &Npi, whom: Whom<'_>) -> Result<Option<String>> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let before: Option<String> =
            within!(&mut tx, c => sqlx::query_scalar("DELETE FROM pin WHERE org_id = $1 AND npi = $2 RETURNING address")
            .bind(org.to_string()).bind(npi.as_str()).fetch_optional(c).await)
            .doing("remove a pin")?;
        if let Some(before) = &before {
            record(&mut tx, org, now, (What::Unpin, npi.as_str(), before), None, whom).await?;
        }
        tx.commit().await?;
        Ok(before)
    }

    /// An address, NPI or domain is not used until then. `false` when that changes nothing but the reason.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn suppress(&self, org: OrgId, what: &Suppressed, until: Option<Timestamp>, whom: Whom<'_>) -> Result<bool> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let new = suppress(&mut tx, now, org, what, until, None, whom).await?;
        tx.commit().await?;
        Ok(new)
    }

    /// It is used again. `false` when it was not suppressed.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn unsuppress(&self, org: OrgId, what: &Suppressed, whom: Whom<'_>) -> Result<bool> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let gone = within!(&mut tx, c => sqlx::query("DELETE FROM suppression WHERE org_id = $1 AND kind = $2 AND what = $3")
            .bind(org.to_string()).bind(what.kind()).bind(what.key()).execute(c).await.map(|done| done.rows_affected()))
        .doing("lift a suppression")?;
        if gone > 0 {
            record(&mut tx, org, now, (What::Unsuppress, &what.key(), ""), None, whom).await?;
        }
        tx.commit().await?;
        Ok(gone > 0)
    }

    /// The latest decisions, newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn decisions(&self, org: OrgId, result: Option<ResultId>, most: u32) -> Result<Vec<Decision>> {
        type Row = (String, String, Option<String>, String, String, String, i64);
        let rows: Vec<Row> = on!(&self.db, pool => sqlx::query_as(
            "SELECT what, about, result_id, detail, decided_by, why, at FROM decision
             WHERE org_id = $1 AND ($2 IS NULL OR result_id = $2) ORDER BY id DESC LIMIT $3")
            .bind(org.to_string()).bind(result.map(|id| id.to_string())).bind(i64::from(most)).fetch_all(pool).await)
        .doing("read decisions")?;
        rows.into_iter()
            .map(|(what, about, result, detail, by, why, at)| {
                Ok(Decision {
                    what: read("decision", &what)?,
                    about,
                    result,
                    detail,
                    decided: Decided { by, why, at: Timestamp(at) },
                })
            })
            .collect()
    }

    /// What is known for routing beside order, rules and directory; how deliveries went and the roster are asked for apart.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn known(&self, org: OrgId, order: Option<OrderKey>, result: Option<ResultId>) -> Result<Known> {
        type Row = (String, String, Option<String>, String, String, i64);
        let now = self.now().await?;
        let rows: Vec<Row> = on!(&self.db, pool => sqlx::query_as(
            "SELECT 'suppressed' AS sort, what, kind, '', '', decided_at FROM suppression WHERE org_id = $1 AND (until IS NULL OR until > $2)
             UNION ALL SELECT 'named', origin, address, decided_by, why, decided_at FROM named_recipient WHERE org_id = $1 AND order_key = $3
             UNION ALL SELECT 'served', target, NULL, '', '', created_at FROM delivery WHERE org_id = $1 AND result_id = $4
                AND (state IN ('accepted', 'on_wire', 'unknown') OR (state = 'held' AND reason = 'unconfirmed_send'))
                AND COALESCE(disposition, '') NOT IN ('failed', 'expired')
             ORDER BY sort, 6, what")
            .bind(org.to_string()).bind(now.micros()).bind(order.map(|order| order.to_string())).bind(result.map(|result| result.to_string()))
            .fetch_all(pool).await)
        .doing("read what is known about an order")?;
        let mut known = Known { at: now, ..Known::default() };
        for (sort, what, more, by, why, at) in rows {
            match sort.as_str() {
                "suppressed" => known.suppressed.push(suppressed(more.as_deref().unwrap_or_default(), &what)?),
                "named" => {
                    let address = more.as_deref().map(|address| read("address", address)).transpose()?;
                    known.named.push(Named { origin: what, address, decided: Decided { by, why, at: Timestamp(at) } });
                }
                _ => known.served.push(read_json("target", what.as_bytes())?),
            }
        }
        Ok(known)
    }

    /// The pins of these NPIs.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn pins_of(&self, org: OrgId, npis: &[Npi]) -> Result<HashMap<Npi, Pin>> {
        let mut pins = HashMap::new();
        for npi in npis {
            pins.extend(self.pins(org, Some(npi)).await?.into_iter().map(|pin| (npi.clone(), pin)));
        }
        Ok(pins)
    }
}

fn suppressed(kind: &str, what: &str) -> Result<Suppressed> {
    Ok(match kind {
        "address" => Suppressed::Address(read("address", what)?),
        "npi" => Suppressed::Npi(read("npi", what)?),
        _ => Suppressed::Domain(what.to_owned()),
    })
}

/// Puts a pin into force, and routes again what waited for it.
pub(super) async fn pin(
    tx: &mut Tx,
    now: Timestamp,
    org: OrgId,
    npi: &Npi,
    address: &DirectAddress,
    result: Option<ResultId>,
    whom: Whom<'_>,
) -> Result<Led> {
    let before: Option<String> = within!(tx, c => sqlx::query_scalar("SELECT address FROM pin WHERE org_id = $1 AND npi = $2")
        .bind(org.to_string()).bind(npi.as_str()).fetch_optional(c).await)
    .doing("read a pin")?;
    within!(tx, c => sqlx::query(
        "INSERT INTO pin (org_id, npi, address, decided_by, why, decided_at) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (org_id, npi) DO UPDATE SET address = excluded.address, decided_by = excluded.decided_by, why = excluded.why,
            decided_at = excluded.decided_at")
        .bind(org.to_string()).bind(npi.as_str()).bind(address.as_str()).bind(whom.by).bind(whom.why).bind(now.micros())
        .execute(c).await.map(drop))
    .doing("pin an address")?;
    record(tx, org, now, (What::Pin, npi.as_str(), address.as_str()), result, whom).await?;
    let waiting: Vec<String> =
        within!(tx, c => sqlx::query_scalar(UNDECIDED).bind(org.to_string()).bind(npi.as_str()).fetch_all(c).await)
            .doing("look which results wait for a pin")?;
    let mut rerouted = Vec::new();
    for id in waiting {
        let id: ResultId = read("result id", &id)?;
        if reroute(tx, org, id, now).await? {
            rerouted.push(id);
        }
    }
    Ok(Led { before, rerouted })
}

/// Puts a suppression into force. `false` when it was already.
pub(super) async fn suppress(
    tx: &mut Tx,
    now: Timestamp,
    org: OrgId,
    what: &Suppressed,
    until: Option<Timestamp>,
    result: Option<ResultId>,
    whom: Whom<'_>,
) -> Result<bool> {
    let before: Option<Option<i64>> = within!(tx, c => sqlx::query_scalar(
        "SELECT until FROM suppression WHERE org_id = $1 AND kind = $2 AND what = $3")
        .bind(org.to_string()).bind(what.kind()).bind(what.key()).fetch_optional(c).await)
    .doing("read a suppression")?;
    within!(tx, c => sqlx::query(
        "INSERT INTO suppression (org_id, kind, what, until, decided_by, why, decided_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (org_id, kind, what) DO UPDATE SET until = excluded.until, decided_by = excluded.decided_by, why = excluded.why,
            decided_at = excluded.decided_at")
        .bind(org.to_string()).bind(what.kind()).bind(what.key()).bind(until.map(Timestamp::micros)).bind(whom.by).bind(whom.why)
        .bind(now.micros()).execute(c).await.map(drop))
    .doing("suppress an address")?;
    let detail = until.map_or_else(String::new, |until| format!("until {until}"));
    record(tx, org, now, (What::Suppress, &what.key(), &detail), result, whom).await?;
    let in_force = |until: &Option<i64>| until.is_none_or(|until| until > now.micros());
    Ok(before.filter(in_force) != Some(until.map(Timestamp::micros)))
}

/// Writes a decision down: what it is, about what, and the detail.
pub(super) async fn record(
    tx: &mut Tx,
    org: OrgId,
    now: Timestamp,
    (what, about, detail): (What, &str, &str),
    result: Option<ResultId>,
    whom: Whom<'_>,
) -> Result<()> {
    within!(tx, c => sqlx::query(
        "INSERT INTO decision (org_id, id, at, what, about, result_id, detail, decided_by, why) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
        .bind(org.to_string()).bind(uuid::Uuid::now_v7().to_string()).bind(now.micros()).bind(what.as_str()).bind(about)
        .bind(result.map(|id| id.to_string())).bind(detail).bind(whom.by).bind(whom.why).execute(c).await.map(drop))
    .doing("record a decision")
}
