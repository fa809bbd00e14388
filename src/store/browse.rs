//! Deliveries as people look for them: across organizations, by what they remember, the newest first; and what is kept about one.

use super::{
    Doing as _, Result, Store, StoreError,
    delivery_list::{CLOCKS, DeliveryEntry, EntryRow, SELECT, Value, Wanted, first_id},
    read,
};
use crate::domain::{
    DeliveryId, DirectAddress, Npi, OrderKey, OrgId, OrgScope, Reason, ResultId, Timestamp,
    delivery::{Disposition, State},
    order::Priority,
};

/// What people look for: all that is said must hold.
#[derive(Debug, Clone, Default)]
pub struct Sought {
    /// What programs may ask for, too. An order is named by `orders`, its key being nothing for a URL.
    pub wanted: Wanted,
    /// To this address.
    pub address: Option<DirectAddress>,
    /// To a recipient with this NPI.
    pub npi: Option<Npi>,
    /// With this Message-ID.
    pub message_id: Option<String>,
    /// Of one of these orders.
    pub orders: Option<Vec<OrderKey>>,
}

/// What is kept about one delivery besides: evidence and clocks, nothing about a patient.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Its order.
    pub order: OrderKey,
    /// How soon.
    pub priority: Priority,
    /// When it is tried next.
    pub next_attempt_at: Timestamp,
    /// Until when it is tried.
    pub retry_until: Timestamp,
    /// The delivery it sends again.
    pub resend_of: Option<DeliveryId>,
    /// The failed delivery it takes the place of.
    pub fallback_of: Option<DeliveryId>,
    /// Digest of the sealed message, in hexadecimal digits.
    pub sealed_sha256: Option<String>,
    /// Its octets.
    pub sealed_bytes: Option<i64>,
    /// Digest of the recipient's certificate.
    pub certificate: Option<String>,
    /// With which algorithms it was sealed.
    pub profile: Option<String>,
    /// By which way it went.
    pub relay: Option<String>,
    /// From which of our addresses.
    pub sent_from: Option<String>,
    /// In which mode.
    pub sent_mode: Option<String>,
    /// The server's answer, verbatim.
    pub reply: Option<String>,
    /// Digest of the PDF.
    pub pdf_sha256: String,
    /// Its octets.
    pub pdf_bytes: i64,
}

#[derive(sqlx::FromRow)]
struct KeptRow {
    order_key: String,
    priority: String,
    next_attempt_at: i64,
    retry_until: i64,
    resend_of: Option<String>,
    fallback_of: Option<String>,
    sealed_sha256: Option<Vec<u8>>,
    sealed_bytes: Option<i64>,
    certificate: Option<String>,
    profile: Option<String>,
    relay: Option<String>,
    sent_from: Option<String>,
    sent_mode: Option<String>,
    reply: Option<String>,
    pdf_sha256: Vec<u8>,
    pdf_bytes: i64,
}

/// The document of a result: where it lies.
#[derive(Debug, Clone, Copy)]
pub struct Shelf {
    /// Whose.
    pub org: OrgId,
    /// Its order, when that has come.
    pub order: Option<OrderKey>,
    /// Digest of the PDF.
    pub pdf: [u8; 32],
}

/// How a list is walked, from what is said. The database must not choose: without it a rare value is looked for among all.
enum Walk {
    /// Along an index that is in order.
    Along,
    /// Few rows are collected and put in order.
    Few,
}

// An expression is in no index, so that the one that leads to a rare value is taken.
const ORG_ASIDE: &str = "d.org_id || '' =";
const ORG: &str = "d.org_id =";

impl Store {
    /// The newest of those sought, at most `most`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn browse(&self, scope: OrgScope, sought: &Sought, most: u32) -> Result<Vec<DeliveryEntry>> {
        let Some(reason) = sought.wanted.reason else { return self.browse_with(scope, sought, None, most).await };
        // What a queued one waits for is its reason, too; each has an index of its own.
        let mut found = self.browse_with(scope, sought, Some(("d.reason =", reason)), most).await?;
        found.extend(self.browse_with(scope, sought, Some(("d.waiting_for =", reason)), most).await?);
        found.retain(|entry| entry.reason == Some(reason));
        found.sort_by_key(|entry| std::cmp::Reverse(entry.id.to_string()));
        found.dedup_by_key(|entry| entry.id);
        found.truncate(most as usize);
        Ok(found)
    }

    async fn browse_with(
        &self,
        scope: OrgScope,
        sought: &Sought,
        reason: Option<(&'static str, Reason)>,
        most: u32,
    ) -> Result<Vec<DeliveryEntry>> {
        let Sought { wanted, address, npi, message_id, orders } = sought;
        let mut only: Vec<(String, Value)> = Vec::new();
        let mut say = |condition: &str, value: String| only.push((condition.to_owned(), Value::Text(value)));
        let (mut walk, mut aside) = (Walk::Along, false);
        let mut literal = String::new();
        if let Some(id) = message_id {
            say("d.message_id =", id.clone());
            walk = Walk::Few;
        }
        if let Some(npi) = npi {
            literal += " AND (d.org_id, d.result_id) IN (SELECT p.org_id, p.result_id FROM route_recipient p WHERE p.npi = $1 AND p.npi IS NOT NULL)";
            only.insert(0, (String::new(), Value::Text(npi.as_str().to_owned())));
            walk = Walk::Few;
        }
        let mut say = |condition: &str, value: String| only.push((condition.to_owned(), Value::Text(value)));
        if let Some(address) = address {
            say("d.address_key =", address.key());
            aside = true;
        }
        if let Some((condition, reason)) = reason {
            say(condition, reason.as_str().to_owned());
            aside = true;
        }
        if let Some(state) = wanted.state {
            say("d.state =", state.as_str().to_owned());
            if state != State::Accepted {
                literal += " AND d.state <> 'accepted'";
                aside = true;
            }
        }
        if let Some(disposition) = wanted.disposition {
            say("d.disposition =", disposition.as_str().to_owned());
            if matches!(disposition, Disposition::Awaited | Disposition::Failed | Disposition::Expired | Disposition::Unconfirmed)
            {
                literal += " AND d.disposition IN ('awaited', 'failed', 'expired', 'unconfirmed')";
                aside = true;
            }
        }
        if let Some(site) = &wanted.site {
            say("d.site =", site.clone());
            aside = true;
        }
        if let Some(orders) = orders {
            let keys: Vec<String> = orders.iter().take(200).map(|key| format!("'{}'", key.0)).collect();
            let keys = if keys.is_empty() { "''".to_owned() } else { keys.join(", ") };
            literal += &format!(" AND d.org_id IN (SELECT id FROM organization) AND d.order_key IN ({keys})");
            walk = Walk::Few;
        }
        if let Some(org) = scope.org() {
            say(if aside { ORG_ASIDE } else { ORG }, org.to_string());
        }
        if let Some(after) = wanted.after {
            say("d.id <", after.to_string());
        }
        for (since, word, exact) in [(true, "d.id >=", "d.created_at >="), (false, "d.id <", "d.created_at <")] {
            let Some(at) = (if since { wanted.since } else { wanted.until }) else { continue };
            let near = if since { at.minus(CLOCKS) } else { at.plus(CLOCKS) };
            only.push((word.to_owned(), Value::Text(first_id(near))));
            only.push((exact.to_owned(), Value::Number(at.micros())));
        }
        let mut sql = format!("{SELECT} WHERE 1 = 1{literal}");
        for (place, (condition, _)) in only.iter().enumerate().filter(|(_, (condition, _))| !condition.is_empty()) {
            sql += &format!(" AND {condition} ${}", place + 1);
        }
        sql += match walk {
            Walk::Along => " ORDER BY d.id DESC",
            Walk::Few => " ORDER BY d.id || '' DESC",
        };
        sql += &format!(" LIMIT {most}");
        let rows: Vec<EntryRow> = on!(&self.db, pool => {
            let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql));
            for (_, value) in only {
                query = match value {
                    Value::Text(text) => query.bind(text),
                    Value::Number(number) => query.bind(number),
                };
            }
            query.fetch_all(pool).await
        })
        .doing("look for deliveries")?;
        rows.into_iter().map(EntryRow::entry).collect()
    }

    /// One delivery. Another organization's is not there.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn delivery_in(&self, scope: OrgScope, id: DeliveryId) -> Result<Option<DeliveryEntry>> {
        match self.delivery_view(scope, id).await? {
            Some((view, _)) => self.delivery_entry(view.org, id).await,
            None => Ok(None),
        }
    }

    /// What is kept about one delivery besides.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when there is none.
    pub async fn kept_about(&self, org: OrgId, id: DeliveryId) -> Result<Kept> {
        let row: Option<KeptRow> = on!(&self.db, pool => sqlx::query_as(
            "SELECT d.order_key, d.priority, d.next_attempt_at, d.retry_until, d.resend_of, d.fallback_of, d.sealed_sha256, d.sealed_bytes,
                d.certificate, d.profile, d.relay, d.sent_from, d.sent_mode, d.reply, r.pdf_sha256, r.pdf_bytes
             FROM delivery d JOIN result r ON r.org_id = d.org_id AND r.id = d.result_id WHERE d.org_id = $1 AND d.id = $2")
            .bind(org.to_string()).bind(id.to_string()).fetch_optional(pool).await)
        .doing("read what is kept about a delivery")?;
        let row = row.ok_or(StoreError::Lost)?;
        let other = |id: Option<String>| id.map(|id| read("delivery id", &id)).transpose();
        let hex = |octets: &[u8]| crate::crypto::Hex(octets).to_string();
        Ok(Kept {
            order: read("order key", &row.order_key)?,
            priority: read("priority", &row.priority)?,
            next_attempt_at: Timestamp(row.next_attempt_at),
            retry_until: Timestamp(row.retry_until),
            resend_of: other(row.resend_of)?,
            fallback_of: other(row.fallback_of)?,
            sealed_sha256: row.sealed_sha256.as_deref().map(hex),
            sealed_bytes: row.sealed_bytes,
            certificate: row.certificate,
            profile: row.profile,
            relay: row.relay,
            sent_from: row.sent_from,
            sent_mode: row.sent_mode,
            reply: row.reply,
            pdf_sha256: hex(&row.pdf_sha256),
            pdf_bytes: row.pdf_bytes,
        })
    }

    /// Where the document of a result lies. Another organization's is not there.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn shelf(&self, scope: OrgScope, result: ResultId) -> Result<Option<Shelf>> {
        let row: Option<(String, Option<String>, Vec<u8>)> = on!(&self.db, pool => sqlx::query_as(
            "SELECT org_id, order_key, pdf_sha256 FROM result WHERE org_id IN (SELECT id FROM organization WHERE $2 IS NULL OR id = $2) AND id = $1")
            .bind(result.to_string()).bind(scope.org().map(|org| org.to_string())).fetch_optional(pool).await)
        .doing("look where a document lies")?;
        let Some((org, order, pdf)) = row else { return Ok(None) };
        let pdf = pdf.try_into().map_err(|_| StoreError::Lost)?;
        let order = order.map(|order| read("order key", &order)).transpose()?;
        Ok(Some(Shelf { org: read("organization id", &org)?, order, pdf }))
    }

    /// The orders of the patient whom a sender knows by `word`: its own identifier, or the plan's. Found by keyed hashes.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn orders_of_patient(&self, scope: OrgScope, word: &str) -> Result<Vec<OrderKey>> {
        let mut found = Vec::new();
        let all: Vec<String> =
            on!(&self.db, pool => sqlx::query_scalar("SELECT id FROM organization WHERE $1 IS NULL OR id = $1")
            .bind(scope.org().map(|org| org.to_string())).fetch_all(pool).await)
            .doing("read organizations")?;
        for org in all {
            let org: OrgId = read("organization id", &org)?;
            let key = self.key(org).await?;
            let (patient, member) = (key.search_hash("local_id", word)?, key.search_hash("member_id", word)?);
            let keys: Vec<String> = on!(&self.db, pool => sqlx::query_scalar(
                "SELECT id FROM order_ WHERE org_id = $1 AND patient = $2 UNION SELECT id FROM order_ WHERE org_id = $1 AND member = $3 LIMIT 200")
                .bind(org.to_string()).bind(&patient).bind(&member).fetch_all(pool).await)
            .doing("look for a patient's orders")?;
            for key in keys {
                found.push(read("order key", &key)?);
            }
        }
        Ok(found)
    }

    /// The organizations by id, with their slugs.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn slugs(&self, scope: OrgScope) -> Result<std::collections::BTreeMap<OrgId, String>> {
        let rows: Vec<(String, String)> =
            on!(&self.db, pool => sqlx::query_as("SELECT id, slug FROM organization WHERE $1 IS NULL OR id = $1")
            .bind(scope.org().map(|org| org.to_string())).fetch_all(pool).await)
            .doing("read organizations")?;
        rows.into_iter().map(|(id, slug)| Ok((read("organization id", &id)?, slug))).collect()
    }
}
