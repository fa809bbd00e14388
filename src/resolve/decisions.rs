//! What people decide about addresses, checked and told to whoever watches: pins and suppressions.

use crate::{
    domain::{
        Class, DirectAddress, Npi, OrgId, Timestamp,
        choice::{Decides, Suppressed},
        text::{self, BadText},
    },
    observe::events::DecisionMade,
    store::{
        Store, StoreError,
        decision::{Led, Whom},
    },
};

/// Most characters of a reason.
const REASON_LIMIT: usize = 500;

/// Why a decision was not taken.
#[derive(Debug, thiserror::Error)]
pub enum DecisionError {
    /// The name or the reason cannot be written down.
    #[error("{what} {problem}")]
    Text {
        /// `who decides` or `the reason`.
        what: &'static str,
        /// What is wrong.
        problem: BadText,
    },
    /// The store.
    #[error("the decision could not be stored")]
    Store(#[from] StoreError),
}

impl DecisionError {
    /// Whether trying again can help.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::Store(cause) => cause.class(),
            Self::Text { .. } => Class::Permanent,
        }
    }
}

/// Who decides and why, as it can be written down: a decision nobody gave a reason for helps nobody later.
///
/// # Errors
/// [`DecisionError::Text`].
pub fn whom<'a>(by: &'a str, why: &'a str) -> Result<Whom<'a>, DecisionError> {
    let bad = |what| move |problem| DecisionError::Text { what, problem };
    let by = text::line(by, text::FIELD_LIMIT).map_err(bad("who decides"))?;
    let why = text::line(why, REASON_LIMIT).map_err(bad("the reason"))?;
    Ok(Whom { by, why })
}

/// Chooses an address for an NPI; what waited for that is routed again.
///
/// # Errors
/// When it cannot be stored.
pub async fn pin(store: &Store, org: OrgId, npi: &Npi, address: &DirectAddress, whom: Whom<'_>) -> Result<Led, DecisionError> {
    let led = store.pin(org, npi, address, whom).await?;
    DecisionMade { org, result: None, rerouted: led.rerouted.len(), what: Decides::Pin }.emit();
    Ok(led)
}

/// Chooses none any more; gives the address that was pinned.
///
/// # Errors
/// When it cannot be stored.
pub async fn unpin(store: &Store, org: OrgId, npi: &Npi, whom: Whom<'_>) -> Result<Option<String>, DecisionError> {
    let before = store.unpin(org, npi, whom).await?;
    if before.is_some() {
        DecisionMade { org, result: None, rerouted: 0, what: Decides::Unpin }.emit();
    }
    Ok(before)
}

/// An address, NPI or domain is not used, until then. `false` when it was so before.
///
/// # Errors
/// When it cannot be stored.
pub async fn suppress(
    store: &Store,
    org: OrgId,
    what: &Suppressed,
    until: Option<Timestamp>,
    whom: Whom<'_>,
) -> Result<bool, DecisionError> {
    let new = store.suppress(org, what, until, whom).await?;
    DecisionMade { org, result: None, rerouted: 0, what: Decides::Suppress }.emit();
    Ok(new)
}

/// It is used again. `false` when it was not suppressed.
///
/// # Errors
/// When it cannot be stored.
pub async fn unsuppress(store: &Store, org: OrgId, what: &Suppressed, whom: Whom<'_>) -> Result<bool, DecisionError> {
    let lifted = store.unsuppress(org, what, whom).await?;
    if lifted {
        DecisionMade { org, result: None, rerouted: 0, what: Decides::Unsuppress }.emit();
    }
    Ok(lifted)
}
