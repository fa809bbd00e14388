//! Mail that matches no organization: for whoever runs the installation, and kept as long as other mail is.

use zeroize::Zeroizing;

use super::{Doing as _, Result, Store, StoreError, at_rest, inbound::NOBODY, read};
use crate::domain::{Timestamp, id::InboundId};

/// One message as a list shows it: nothing of its content.
#[derive(Debug, Clone)]
pub struct UnmatchedView {
    /// Which.
    pub id: InboundId,
    /// The address it came for, which no organization has.
    pub to: String,
    /// Who handed it over, as the envelope says.
    pub from: Option<String>,
    /// By which way.
    pub way: String,
    /// When.
    pub received_at: Timestamp,
    /// Its size in octets.
    pub bytes: u64,
    /// What came of it.
    pub verdict: Option<String>,
    /// Why, in one sentence.
    pub detail: Option<String>,
    /// Whether its octets are still kept.
    pub kept: bool,
}

type Row = (String, String, Option<String>, String, i64, i64, Option<String>, Option<String>, bool);

fn view((id, to, from, way, received_at, bytes, verdict, detail, kept): Row) -> Result<UnmatchedView> {
    let (id, bytes) = (read("message id", &id)?, u64::try_from(bytes).unwrap_or(0));
    Ok(UnmatchedView { id, to, from, way, received_at: Timestamp(received_at), bytes, verdict, detail, kept })
}

/// Those that `rest` asks for.
macro_rules! unmatched {
    ($rest:literal) => {
        concat!(
            "SELECT id, identity, envelope_from, way, received_at, bytes, verdict, detail, sealed IS NOT NULL AS kept FROM inbound
             WHERE org_id IS NULL ",
            $rest
        )
    };
}

impl Store {
    /// Messages that match no organization, the newest first; older than one of them, when it is given.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn unmatched(&self, after: Option<&UnmatchedView>, most: u32) -> Result<Vec<UnmatchedView>> {
        let rows: Vec<Row> = on!(&self.db, pool => sqlx::query_as(unmatched!(
            "AND ($1 IS NULL OR received_at < $1 OR (received_at = $1 AND id < $2)) ORDER BY received_at DESC, id DESC LIMIT $3"))
            .bind(after.map(|one| one.received_at.micros())).bind(after.map(|one| one.id.to_string())).bind(i64::from(most))
            .fetch_all(pool).await)
        .doing("list mail that matches no organization")?;
        rows.into_iter().map(view).collect()
    }

    /// One of them. Mail of an organization is not among them.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn unmatched_message(&self, id: InboundId) -> Result<Option<UnmatchedView>> {
        let row: Option<Row> =
            on!(&self.db, pool => sqlx::query_as(unmatched!("AND id = $1")).bind(id.to_string()).fetch_optional(pool).await)
                .doing("look for mail that matches no organization")?;
        row.map(view).transpose()
    }

    /// The octets of such a message, as it came: whoever asks says so in the audit trail.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when there is none, it belongs to an organization, or it is no longer kept.
    pub async fn open_unmatched(&self, id: InboundId) -> Result<Zeroizing<Vec<u8>>> {
        let sealed: Option<Option<Vec<u8>>> =
            on!(&self.db, pool => sqlx::query_scalar("SELECT sealed FROM inbound WHERE org_id IS NULL AND id = $1")
            .bind(id.to_string()).fetch_optional(pool).await)
            .doing("read a message that matches no organization")?;
        let sealed = sealed.flatten().ok_or(StoreError::Lost)?;
        at_rest::open(&*self.installation_key().await?, NOBODY, "inbound", id.0, &sealed)
    }
}
