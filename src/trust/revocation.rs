//! Revocation: which statements of issuers count, and what they say.
//!
//! A list or an OCSP answer counts only when it is signed by the certificate's issuer (or, an answer, by whom the issuer
//! appointed), is current, and speaks about the whole certificate. What is forged, foreign or outdated is neither believed
//! nor able to block a good certificate.

use std::{sync::Arc, time::Duration};

use super::{Certificate, Policy, TrustError, certificate::is_pem, pointers::Pointers};
use crate::domain::{Timestamp, words};

/// OCSP answers.
mod answer;
/// Revocation lists.
mod list;

pub(super) use answer::request;
pub use answer::{Answer, Standing};
pub use list::List;

/// An issuer's clock may run this much ahead of ours.
const SKEW: Duration = Duration::from_mins(5);

words! {
    /// What happens when nothing that counts covers a certificate.
    pub enum Revocation {
        /// It is not believed.
        Hard = "hard",
        /// It is believed.
        Soft = "soft",
        /// Revocation is not looked at.
        Off = "off",
    }
}

/// What `hard` makes of a certificate whose issuer names neither a revocation list nor a responder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sourceless {
    /// The same as of any other: something must cover it.
    #[default]
    Unknown,
    /// It is believed: nobody ever promised to say more about it.
    Accepted,
    /// It is refused for good.
    Refused,
}

/// Revocation lists at hand.
#[derive(Debug, Default, Clone)]
pub struct Crls(Vec<Arc<List>>);

impl Crls {
    /// None.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Adds the lists of one file: DER, or PEM with any number of lists.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), TrustError> {
        let ders = if is_pem(bytes) { pem_bodies(bytes)? } else { vec![bytes.to_vec()] };
        for der in ders {
            self.0.push(Arc::new(List::read(der)?));
        }
        Ok(())
    }

    /// Adds one list.
    pub fn push(&mut self, list: Arc<List>) {
        self.0.push(list);
    }

    /// Adds all of `others`.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }
}

/// OCSP answers at hand.
#[derive(Debug, Default, Clone)]
pub struct Answers(Vec<Arc<Answer>>);

impl Answers {
    /// None.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Adds one answer.
    pub fn push(&mut self, answer: Arc<Answer>) {
        self.0.push(answer);
    }

    /// Adds all of `others`.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }
}

/// What came of looking at a path nobody of which is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleared {
    /// Until when what was found out holds; the end of time when there was nothing to find out.
    pub until: Timestamp,
    /// Whose revocation is not known and was let pass, because the policy is soft.
    pub unchecked: Vec<String>,
}

/// Looks at every certificate of `path` (the anchor last) but the anchor itself, which is believed for what it is.
pub fn check(path: &[Certificate], policy: &Policy<'_>, at: Timestamp) -> Result<Cleared, TrustError> {
    let mut cleared = Cleared { until: Timestamp(i64::MAX), unchecked: Vec::new() };
    if policy.revocation == Revocation::Off {
        return Ok(cleared);
    }
    for pair in path.windows(2) {
        let [certificate, issuer] = pair else { continue };
        match standing(certificate, issuer, policy, at)? {
            Some(until) => cleared.until = cleared.until.min(until),
            None => let_pass(certificate, policy, &mut cleared)?,
        }
    }
    Ok(cleared)
}

/// Until when a certificate is known not to be revoked; `None` when nothing that counts speaks about it.
fn standing(
    certificate: &Certificate,
    issuer: &Certificate,
    policy: &Policy<'_>,
    at: Timestamp,
) -> Result<Option<Timestamp>, TrustError> {
    let revoked = || TrustError::Revoked { subject: certificate.subject() };
    let mut good: Option<Timestamp> = None;
    for list in &policy.crls.0 {
        if let Some(until) = list.counts_for(certificate, issuer, at, policy.grace) {
            if list.names(certificate) {
                return Err(revoked());
            }
            good = good.max(Some(until));
        }
    }
    for answer in &policy.answers.0 {
        match answer.says(certificate, issuer, at, policy.grace) {
            Some((Standing::Revoked, _)) => return Err(revoked()),
            Some((Standing::Good, until)) => good = good.max(Some(until)),
            Some((Standing::Unknown, _)) | None => {}
        }
    }
    Ok(good)
}

fn let_pass(certificate: &Certificate, policy: &Policy<'_>, cleared: &mut Cleared) -> Result<(), TrustError> {
    let subject = certificate.subject();
    let named = Pointers::of(certificate).names_a_source();
    match (policy.sourceless, policy.revocation) {
        (Sourceless::Refused, _) if !named => Err(TrustError::NoRevocationSource { subject }),
        (Sourceless::Accepted, _) if !named => Ok(()),
        (_, Revocation::Hard) => Err(TrustError::RevocationUnknown { subject, problem: None }),
        _ => {
            cleared.unchecked.push(subject);
            Ok(())
        }
    }
}

/// Whether something said from `from` until `until` holds at `at`, and until when.
fn current(from: Timestamp, until: Timestamp, at: Timestamp, grace: Duration) -> Option<Timestamp> {
    let until = until.plus(grace);
    (from.minus(SKEW) <= at && at < until).then_some(until)
}

/// Whether something said from `from` until `until` holds at `at`.
pub(super) fn holds(from: Timestamp, until: Timestamp, at: Timestamp) -> bool {
    current(from, until, at, Duration::ZERO).is_some()
}

/// A serial number, whatever zeros it is written with.
fn serial(octets: &[u8]) -> &[u8] {
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    &octets[zeros..]
}

fn pem_bodies(bytes: &[u8]) -> Result<Vec<Vec<u8>>, TrustError> {
    x509_parser::pem::Pem::iter_from_buffer(bytes)
        .map(|block| {
            let block = block.map_err(|error| TrustError::malformed("the revocation list", error))?;
            if block.label == "X509 CRL" {
                Ok(block.contents)
            } else {
                Err(TrustError::malformed("the revocation list", format!("the PEM block is a {}", block.label)))
            }
        })
        .collect()
}
