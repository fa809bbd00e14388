//! Closing a month with all that belongs to it: what the ledger writes, its signature, and the statements that are handed out.

use super::{BillError, Statement};
use crate::{
    domain::{Month, OrgScope},
    store::{
        Store, StoreError,
        ledger::close::{Close, Closing, Refusal},
        organization::Organization,
    },
};

/// Closes a month of an organization, or tells what that would do.
///
/// # Errors
/// [`BillError`] when the store fails. That it is refused is an answer.
pub async fn close(
    store: &Store,
    organization: &Organization,
    month: Month,
    close: &Close,
) -> Result<Result<Closing, Refusal>, BillError> {
    let closing = match store.close_period(organization, month, close).await? {
        Ok(closing) => closing,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if closing.closed {
        // What was closed cannot be cut off without a signature that shows it.
        store.sign_heads(OrgScope::One(organization.id)).await?;
        let record = closing.period.record.as_ref();
        for payer in record.into_iter().flat_map(|record| &record.payers) {
            let payer = store.organization(payer.id).await?.ok_or(StoreError::NoOrganization)?;
            let statement = Statement::make(store, organization, month, &payer).await?;
            store.keep_billing_statement(organization.id, month, payer.id, &statement.json()?).await?;
        }
    }
    Ok(Ok(closing))
}
