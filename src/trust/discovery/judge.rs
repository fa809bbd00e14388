//! Whether one certificate will do.

use futures_util::future::BoxFuture;

use crate::{
    domain::{DirectAddress, Timestamp},
    trust::{Certificate, Inquirer, Policy, TrustError, Trusted},
};

/// Judges one certificate for the address that is searched for.
pub trait Judge: Send + Sync {
    /// Whether `certificate` may be sealed to.
    fn judge<'a>(&'a self, certificate: &'a Certificate) -> BoxFuture<'a, Result<Trusted, TrustError>>;
}

/// Judges by an organization's policy, and asks issuers for what that needs.
#[derive(Debug, Clone, Copy)]
pub struct Believing<'a> {
    /// Who asks issuers.
    pub inquirer: &'a Inquirer,
    /// What is believed.
    pub policy: Policy<'a>,
    /// For whom.
    pub address: &'a DirectAddress,
    /// When.
    pub at: Timestamp,
}

impl Judge for Believing<'_> {
    fn judge<'a>(&'a self, certificate: &'a Certificate) -> BoxFuture<'a, Result<Trusted, TrustError>> {
        Box::pin(async move {
            let one = std::slice::from_ref(certificate);
            match self.inquirer.choose(one, self.policy, self.address, self.at).await {
                // `jo+lab@domain` is jo's: a certificate for `jo@domain` is the one that was looked for.
                Err(TrustError::NotBound { .. }) if self.address.mailbox() != *self.address => {
                    self.inquirer.choose(one, self.policy, &self.address.mailbox(), self.at).await
                }
                judged => judged,
            }
        })
    }
}
