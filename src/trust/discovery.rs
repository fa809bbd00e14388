//! Finding the certificates of a recipient, in the order every Direct sender keeps (Applicability Statement 5):
//!
//! 1. imported ones, 2. DNS CERT for the address, 3. DNS CERT for its domain, 4. LDAP for the address, 5. LDAP for the
//! domain, on the directories that DNS names.
//!
//! A step is taken only when the one before gave *nothing*. So certificates are judged between the steps:
//!
//! - one valid certificate among several is taken;
//! - certificates of which none is valid end the search: whoever published them meant them, and a later place may hold
//!   older ones, or somebody else's;
//! - a source that did not answer ends the search too, as *unavailable*: nobody knows what it would have said, and going
//!   on would read silence as "none". LDAP directories of one domain are the exception, because they hold the same: the
//!   next is asked, and only when no valid certificate comes from any of them does the silent one count.

/// Asking the network.
mod ask;
/// Whether one certificate will do.
mod judge;
/// What was answered lately, and who is being asked now.
mod memory;
/// The order of the steps.
mod order;
/// Questions and answers.
pub mod question;
/// What happened, step by step.
pub mod trace;

use std::{sync::Arc, time::Duration};

pub use judge::{Believing, Judge};
pub use question::Question;
pub use trace::{Asked, End, Said, Search, Step, Verdict};

use crate::{
    config::discovery::DiscoverySection,
    domain::{DirectAddress, OrgId, words},
    store::{Store, StoreError},
};

words! {
    /// The places where certificates are looked for, in their order.
    pub enum Place {
        /// Imported or pinned here.
        Local = "local",
        /// DNS CERT records of the address.
        DnsAddress = "dns_address",
        /// DNS CERT records of the domain.
        DnsDomain = "dns_domain",
        /// LDAP entries of the address.
        LdapAddress = "ldap_address",
        /// LDAP entries of the domain.
        LdapDomain = "ldap_domain",
    }
}

/// Whether what was answered lately will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// What is kept and has not expired is an answer.
    Kept,
    /// Everybody is asked anew.
    Asked,
}

/// Finds certificates. One for a process: it knows who is being asked already, so that a thousand deliveries to one
/// domain ask once.
#[derive(Clone)]
pub struct Discovery {
    store: Store,
    settings: Arc<DiscoverySection>,
    memory: Arc<memory::Memory>,
}

impl std::fmt::Debug for Discovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Discovery").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Discovery {
    /// Finds by these settings. What cannot be set up (a machine without name servers) is unavailable when it is asked.
    #[must_use]
    pub fn new(settings: DiscoverySection, store: Store) -> Self {
        let network = ask::Network::new(&settings, ask::DNS_PORT);
        Self::over(settings, store, Arc::new(network))
    }

    /// The same, with the domains' own name servers on another port: for tests, which may not listen on 53.
    #[must_use]
    pub fn with_dns_port(settings: DiscoverySection, store: Store, port: u16) -> Self {
        let network = ask::Network::new(&settings, port);
        Self::over(settings, store, Arc::new(network))
    }

    fn over(settings: DiscoverySection, store: Store, network: Arc<dyn ask::Ask>) -> Self {
        let settings = Arc::new(settings);
        let memory = Arc::new(memory::Memory::new(store.clone(), network, &settings));
        Self { store, settings, memory }
    }

    /// Looks for a certificate of `address` that `judge` approves, as `org` sees it.
    pub async fn find(&self, org: OrgId, address: &DirectAddress, judge: &dyn Judge, freshness: Freshness) -> Search {
        let patience = self.settings.timeout.0;
        let search = order::search(self, org, address, judge, freshness);
        tokio::time::timeout(patience, search).await.unwrap_or_else(|_| Search::late(patience))
    }

    /// What one place holds for `address`, whatever the others say: what a stranger would see there. Nothing is judged.
    pub async fn look(&self, place: Place, address: &DirectAddress) -> Vec<Asked> {
        order::look(self, place, address).await
    }

    /// Forgets what was answered about an address and its domain, at least `age` ago: after a failure that a replaced
    /// certificate would explain, so that the next search asks again. What was heard a moment ago would be heard again.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget(&self, address: &DirectAddress, age: Duration) -> Result<u64, StoreError> {
        self.store.forget(&names(address), self.store.clock().now().minus(age)).await
    }
}

/// Everything an answer about an address may be kept under.
#[must_use]
pub fn names(address: &DirectAddress) -> Vec<String> {
    let mut names = vec![address.key(), address.mailbox().key(), address.domain_key()];
    names.dedup();
    names
}
