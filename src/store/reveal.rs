//! Patient data for one look: on record before it is decrypted.

use zeroize::Zeroizing;

use super::{Result, Store, StoreError};
use crate::domain::{
    Order, OrderKey, OrgId, OrgScope,
    audit::{Actor, Audited},
    id::LetterId,
};

/// What a person was allowed to see, after that was put on record. There is no other way to make one, and it neither prints
/// nor serializes itself.
pub struct Revealed<T>(T);

impl<T> Revealed<T> {
    /// To be shown now, and not kept.
    pub const fn shown(&self) -> &T {
        &self.0
    }

    /// The part of it that is shown.
    pub fn map<U>(self, part: impl FnOnce(T) -> U) -> Revealed<U> {
        Revealed(part(self.0))
    }
}

impl<T> std::fmt::Debug for Revealed<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Revealed(***)")
    }
}

impl Store {
    /// Puts on record that `actor` looks, then opens what they look at. When it cannot be recorded it is not opened.
    ///
    /// # Errors
    /// Those of recording and of opening.
    pub async fn reveal<T>(
        &self,
        actor: &Actor,
        event: &dyn Audited,
        open: impl AsyncFnOnce(&Self) -> Result<T>,
    ) -> Result<Revealed<T>> {
        self.witness(actor, event).await?;
        Ok(Revealed(open(self).await?))
    }

    /// An order with its patient.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when the scope has no such order.
    pub async fn reveal_order(
        &self,
        actor: &Actor,
        event: &dyn Audited,
        scope: OrgScope,
        org: OrgId,
        order: OrderKey,
    ) -> Result<Revealed<Order>> {
        within(scope, org)?;
        self.reveal(actor, event, async |store: &Self| Ok(store.order(org, order).await?.1)).await
    }

    /// A letter's content, as it was written.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when the scope has no such letter.
    pub async fn reveal_letter(
        &self,
        actor: &Actor,
        event: &dyn Audited,
        scope: OrgScope,
        org: OrgId,
        letter: LetterId,
    ) -> Result<Revealed<Zeroizing<Vec<u8>>>> {
        within(scope, org)?;
        self.reveal(actor, event, async |store: &Self| store.open_letter(org, letter).await).await
    }
}

/// Nobody looks past their scope, and nothing is put on record when they try with somebody else's id: that is the route's to do.
fn within(scope: OrgScope, org: OrgId) -> Result<()> {
    if scope.org().is_none_or(|only| only == org) { Ok(()) } else { Err(StoreError::Lost) }
}
