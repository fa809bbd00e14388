//! What a decision would lead to: it is carried out in a transaction that is then given up, so that what is told is what the
//! same decision does in earnest.

use super::{Act, Whom};
use crate::{
    domain::{DeliveryId, OrgId, OrgScope, ResultId, delivery::Event},
    store::{Doing as _, Result, Store, StoreError, Tx, delivery::Move, ledger::Charges, moves::apply_move},
};

impl Store {
    /// What [`Store::act`] would do, without doing it: the results that would be routed again.
    ///
    /// # Errors
    /// As [`Store::act`].
    pub async fn foresee_act(&self, org: OrgId, result: ResultId, act: &Act, whom: Whom<'_>) -> Result<Vec<ResultId>> {
        insist!(async {
            let mut tx = self.begin().await?;
            let rerouted = self.act_within(&mut tx, org, result, act, whom).await;
            give_up(tx).await?;
            rerouted
        })
    }

    /// What taking a delivery off the worklist would do, without doing it: `true` when it would be marked as seen to,
    /// `false` when it would be closed.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when it is not there, [`StoreError::Illegal`] when it is too late to close it.
    pub async fn foresee_dismissal(&self, scope: OrgScope, id: DeliveryId) -> Result<bool> {
        let Some((view, _)) = self.delivery_view(scope, id).await? else { return Err(StoreError::Lost) };
        insist!(async {
            let mut tx = self.begin().await?;
            let foreseen = dismissal(&mut tx, self, view.org, id).await;
            give_up(tx).await?;
            foreseen
        })
    }
}

async fn give_up(tx: Tx) -> Result<()> {
    match tx {
        Tx::Sqlite(tx) => tx.rollback().await,
        Tx::Postgres(tx) => tx.rollback().await,
    }
    .doing("give a transaction up")
}

async fn dismissal(tx: &mut Tx, store: &Store, org: OrgId, id: DeliveryId) -> Result<bool> {
    let now = store.now_within(tx).await?;
    let held: Option<String> = within!(tx, c => sqlx::query_scalar(
        "SELECT id FROM delivery WHERE org_id = $1 AND id = $2 AND fallback = 'held'")
        .bind(org.to_string()).bind(id.to_string()).fetch_optional(c).await)
    .doing("look whether a delivery waits for a person")?;
    if held.is_some() {
        return Ok(true);
    }
    apply_move(tx, &mut Charges::default(), &Move::new(org, id, Event::Cancel), now).await?;
    Ok(false)
}
