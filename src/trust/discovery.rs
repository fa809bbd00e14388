//! The door through which certificates are found: a local store first; DNS and LDAP fit the same door.

use super::Certificate;
use crate::domain::{DirectAddress, OrgId, words};

words! {
    /// Where certificates came from.
    pub enum Source {
        /// Imported or pinned here.
        Local = "local",
        /// A DNS CERT record.
        Dns = "dns",
        /// An LDAP directory.
        Ldap = "ldap",
    }
}

/// What a search brought. The three are never confused: only [`Found::None`] says that there is no certificate.
#[derive(Debug, Clone)]
pub enum Found {
    /// Candidates, none judged yet. If all turn out invalid, no later source is asked.
    Certificates {
        /// The candidates.
        certificates: Vec<Certificate>,
        /// Where they came from.
        source: Source,
    },
    /// The source answered: there is none.
    None,
    /// The source did not answer; nothing follows from that.
    Unavailable {
        /// What happened, for the operator.
        why: String,
    },
}

/// Finds certificates for an address or its domain. Judging them is [`super::choose`]'s work.
pub trait Discovery: Send + Sync {
    /// Looks for certificates of `address`, as `org` would see them.
    fn find(&self, org: OrgId, address: &DirectAddress) -> impl Future<Output = Found> + Send;
}
