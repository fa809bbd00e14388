//! Every check of one certificate by itself, for people who want to know all that is wrong with it and not only the first.

use super::{Certificate, TrustError, Trusted, checks};
use crate::domain::{DirectAddress, Timestamp, words};

words! {
    /// What is checked before anything is sealed to a certificate, in this order.
    pub enum Check {
        /// It names the address or its domain, in its subjectAltName.
        Binding = "binding",
        /// It may be used to encrypt, and for mail.
        Usage = "usage",
        /// Its key is strong enough.
        Key = "key",
        /// It is within its dates.
        Dates = "dates",
        /// Signatures lead from it to an anchor, and every certificate of the path will do.
        Path = "path",
        /// The path asserts a certificate policy that is wanted, when one is.
        Policy = "policy",
        /// Nobody on the path has been revoked.
        Revocation = "revocation",
    }
}

/// What came of one check.
#[derive(Debug, Clone)]
pub enum Checked {
    /// It holds.
    Pass,
    /// It could not be told, and was let pass because the policy is soft.
    LetPass,
    /// It does not hold, or could not be told.
    Fail(TrustError),
    /// Nobody looked: what failed before decides.
    NotReached,
}

/// Every check of `certificate` for sealing to `address` at `at`, given the verdict that was reached. Those that need nothing
/// but the certificate are made here; what its path and its issuers say is taken from the verdict.
#[must_use]
pub fn checklist(
    certificate: &Certificate,
    address: &DirectAddress,
    at: Timestamp,
    judged: &Result<Trusted, TrustError>,
) -> Vec<(Check, Checked)> {
    let told = |outcome: Result<(), TrustError>| outcome.map_or_else(Checked::Fail, |()| Checked::Pass);
    // `jo+lab@domain` is jo's.
    let bound = checks::bound(certificate, address).or_else(|error| {
        let mailbox = address.mailbox();
        if mailbox == *address { Err(error) } else { checks::bound(certificate, &mailbox) }
    });
    let mut list = vec![
        (Check::Binding, told(bound)),
        (Check::Usage, told(checks::usage(certificate, checks::Purpose::Encrypt))),
        (Check::Key, told(checks::key(certificate))),
        (Check::Dates, told(checks::dates(certificate, at))),
    ];
    let alone = list.iter().all(|(_, checked)| matches!(checked, Checked::Pass));
    let late = [Check::Path, Check::Policy, Check::Revocation];
    match judged {
        Ok(trusted) => {
            let revocation = if trusted.unchecked().is_empty() { Checked::Pass } else { Checked::LetPass };
            list.extend([(Check::Path, Checked::Pass), (Check::Policy, Checked::Pass), (Check::Revocation, revocation)]);
        }
        Err(error) if alone => {
            let failed = match error {
                TrustError::NoPolicy { .. } => 1,
                TrustError::Revoked { .. } | TrustError::RevocationUnknown { .. } | TrustError::NoRevocationSource { .. } => 2,
                _ => 0,
            };
            list.extend(late.into_iter().enumerate().map(|(place, check)| {
                let checked = match place.cmp(&failed) {
                    std::cmp::Ordering::Less => Checked::Pass,
                    std::cmp::Ordering::Equal => Checked::Fail(error.clone()),
                    std::cmp::Ordering::Greater => Checked::NotReached,
                };
                (check, checked)
            }));
        }
        Err(_) => list.extend(late.map(|check| (check, Checked::NotReached))),
    }
    list
}
