//! What somebody asks to be decided about addresses, at the shell or over the API: one way to carry it out, and to say what
//! it would do.

use serde::Serialize;
use serde_json::{Value, json};

use super::decisions::{self, DecisionError};
use crate::{
    domain::{
        DirectAddress, Npi, Timestamp,
        choice::{Decided, Suppressed},
        time::Span,
    },
    store::{Store, StoreError, decision::Whom, organization::Organization},
};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// This address for this NPI, whatever the directory says.
    Pin(Npi, DirectAddress),
    /// The directory decides again.
    Unpin(Npi),
    /// Not to be used: for so long, or until it is lifted.
    Suppress(Suppressed, Option<Span>),
    /// To be used again.
    Unsuppress(Suppressed),
}

impl Ask {
    /// About whom or what.
    #[must_use]
    pub fn about(&self) -> String {
        match self {
            Self::Pin(npi, _) | Self::Unpin(npi) => npi.to_string(),
            Self::Suppress(what, _) | Self::Unsuppress(what) => what.to_string(),
        }
    }
}

/// What came of it, or would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Came {
    /// It is pinned.
    Pinned {
        /// For whom.
        npi: Npi,
        /// Where to.
        address: DirectAddress,
        /// What was pinned before.
        before: Option<String>,
        /// How many results that waited for it are routed again.
        rerouted: usize,
    },
    /// It is not pinned any more.
    Unpinned {
        /// For whom.
        npi: Npi,
        /// What was pinned; nothing, when there was nothing to take back.
        before: Option<String>,
    },
    /// It is not used.
    Suppressed {
        /// `address`, `npi` or `domain`.
        kind: &'static str,
        /// What.
        what: Suppressed,
        /// Until when; until it is lifted without.
        #[serde(serialize_with = "as_text")]
        until: Option<Timestamp>,
    },
    /// It may be used again.
    Lifted {
        /// `address`, `npi` or `domain`.
        kind: &'static str,
        /// What.
        what: Suppressed,
        /// Whether it had been suppressed.
        lifted: bool,
        /// Whether the organization's own file says so, which is changed there.
        in_file: bool,
    },
}

#[expect(clippy::ref_option, reason = "serde hands the field in like this")]
fn as_text<S: serde::Serializer>(at: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    at.map(|at| at.to_string()).serialize(to)
}

/// Carries it out for the organization; with `dry_run` only says what would come of it.
///
/// # Errors
/// When it cannot be stored.
pub async fn carry_out(
    store: &Store,
    organization: &Organization,
    ask: &Ask,
    dry_run: bool,
    whom: Whom<'_>,
) -> Result<Came, DecisionError> {
    let org = organization.id;
    match ask {
        Ask::Pin(npi, address) => {
            let before = pinned(store, organization, npi).await?;
            let rerouted = if dry_run {
                store.undecided(org, npi).await?.len()
            } else {
                decisions::pin(store, org, npi, address, whom).await?.rerouted.len()
            };
            Ok(Came::Pinned { npi: npi.clone(), address: address.clone(), before, rerouted })
        }
        Ask::Unpin(npi) => {
            let before =
                if dry_run { pinned(store, organization, npi).await? } else { decisions::unpin(store, org, npi, whom).await? };
            Ok(Came::Unpinned { npi: npi.clone(), before })
        }
        Ask::Suppress(what, lasting) => {
            let until = lasting.map(|span| store.clock().now().plus(span.0));
            if !dry_run {
                decisions::suppress(store, org, what, until, whom).await?;
            }
            Ok(Came::Suppressed { kind: what.kind(), what: what.clone(), until })
        }
        Ask::Unsuppress(what) => {
            let lifted = if dry_run {
                store.suppressions(org).await?.iter().any(|known| known.what == *what)
            } else {
                decisions::unsuppress(store, org, what, whom).await?
            };
            let in_file = organization.file.choice.suppress.contains(what);
            Ok(Came::Lifted { kind: what.kind(), what: what.clone(), lifted, in_file })
        }
    }
}

async fn pinned(store: &Store, organization: &Organization, npi: &Npi) -> Result<Option<String>, DecisionError> {
    Ok(store.pins(organization.id, Some(npi)).await?.pop().map(|pin| pin.address.to_string()))
}

/// `{"pins":[..],"suppressions":[..],"suppressed_in_file":[..]}`: what is in force, with who decided it, when and why.
///
/// # Errors
/// When the store fails.
pub async fn in_force(store: &Store, organization: &Organization) -> Result<Value, StoreError> {
    let (pins, suppressions) = (store.pins(organization.id, None).await?, store.suppressions(organization.id).await?);
    let by = |decided: &Decided| (decided.by.clone(), decided.why.clone(), decided.at.to_string());
    let pins: Vec<Value> = pins
        .iter()
        .map(|pin| {
            let (by, why, at) = by(&pin.decided);
            json!({ "npi": pin.npi, "address": pin.address, "by": by, "why": why, "at": at })
        })
        .collect();
    let suppressions: Vec<Value> = suppressions
        .iter()
        .map(|known| {
            let (by, why, at) = by(&known.decided);
            json!({ "kind": known.what.kind(), "what": known.what, "until": known.until.map(|until| until.to_string()),
                    "by": by, "why": why, "at": at })
        })
        .collect();
    Ok(json!({ "pins": pins, "suppressions": suppressions, "suppressed_in_file": organization.file.choice.suppress }))
}
