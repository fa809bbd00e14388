//! Prices, terms and months of an organization, as they were read for an earlier charge.
//!
//! They change a few times a month and every charge needs them. Whatever changes one of them raises `ledger_head.revision` in its
//! own transaction; whoever charges has taken the head, so what was read under the same revision is still true.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    domain::{OrgId, Timestamp},
    store::{Doing as _, Result, Tx, period::OpenPeriods, price::PriceBook},
};

/// What the charges of one organization are priced by, and which months they can go to.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) prices: PriceBook,
    pub(super) periods: OpenPeriods,
}

/// Those that this process has read, with their revisions. Clones share them.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Books(Arc<Mutex<HashMap<OrgId, (i64, Arc<Book>)>>>);

impl Books {
    /// What holds at `now`. The ledger's head must have been taken, and said `revision`.
    pub(super) async fn open(&self, tx: &mut Tx, org: OrgId, revision: i64, now: Timestamp) -> Result<Arc<Book>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&org).cloned();
        if let Some((_, book)) = known.filter(|(at, book)| *at == revision && book.periods.reach(org, now)) {
            return Ok(book);
        }
        let periods = OpenPeriods::take(tx, [org].iter(), now).await?;
        let prices = PriceBook::read(tx, [org].iter()).await?;
        // A month that this transaction begins is there when it is committed, with another revision.
        let lasts = !periods.has_begun() && prices.knows_sponsors();
        let book = Arc::new(Book { prices, periods });
        if lasts {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(org, (revision, Arc::clone(&book)));
        }
        Ok(book)
    }
}

/// Notes that prices, terms or months of an organization are others than before.
pub(in crate::store) async fn revise(tx: &mut Tx, org: OrgId) -> Result<()> {
    within!(tx, c => sqlx::query("UPDATE ledger_head SET revision = revision + 1 WHERE org_id = $1")
        .bind(org.to_string()).execute(c).await.map(drop))
    .doing("note new prices or months")
}
