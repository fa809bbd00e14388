//! A certificate one may seal to, and how it is chosen among candidates.

use std::time::Duration;

use openssl::pkey::Id;

use super::{
    Anchors, Answers, Certificate, Crls, Revocation, Sourceless, TrustError, checks, path,
    revocation::{self, Cleared},
};
use crate::domain::{DirectAddress, Timestamp, strictness::Strictness};

/// A certificate that was checked, on its own, for sealing to one address: within its dates, bound to the address or
/// its domain, allowed to encrypt, with a key strong enough. [`Trusted`] adds path and revocation.
#[derive(Debug, Clone)]
pub struct RecipientCertificate {
    certificate: Certificate,
}

impl RecipientCertificate {
    /// Makes the checks that need nothing but the certificate.
    pub fn checked(certificate: Certificate, address: &DirectAddress, at: Timestamp) -> Result<Self, TrustError> {
        checks::bound(&certificate, address)?;
        checks::usage(&certificate, checks::Purpose::Encrypt)?;
        checks::key(&certificate)?;
        checks::dates(&certificate, at)?;
        Ok(Self { certificate })
    }

    /// The certificate.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Whether its key agrees (ECDH) instead of transporting (RSA).
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.certificate.key().id() == Id::EC
    }
}

/// A recipient certificate believed under a set of anchors. Keep it by (fingerprint, anchors' fingerprint): as long as
/// [`Trusted::is_valid_at`] holds and nothing new about revocation has come in, nothing has to be looked at again.
#[derive(Debug, Clone)]
pub struct Trusted {
    recipient: RecipientCertificate,
    path: path::Path,
    anchors: [u8; 32],
    cleared: Cleared,
}

impl Trusted {
    /// What to seal to.
    #[must_use]
    pub const fn recipient(&self) -> &RecipientCertificate {
        &self.recipient
    }

    /// The certificates from the recipient's to the anchor.
    #[must_use]
    pub const fn path(&self) -> &path::Path {
        &self.path
    }

    /// The fingerprint of the recipient's certificate: the evidence of a delivery.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        self.recipient.certificate.fingerprint()
    }

    /// The fingerprint of the anchors under which it is believed.
    #[must_use]
    pub const fn anchors(&self) -> [u8; 32] {
        self.anchors
    }

    /// First instant at which the whole path is no longer valid.
    #[must_use]
    pub fn valid_until(&self) -> Timestamp {
        self.path.valid_until()
    }

    /// Whether every certificate of the path is valid at `at`, and what is known about its revocation still holds: the
    /// cheap check before each message.
    #[must_use]
    pub fn is_valid_at(&self, at: Timestamp) -> bool {
        (self.path.valid_from()..self.path.valid_until()).contains(&at) && at < self.cleared.until
    }

    /// Whose revocation is not known and was let pass, because the policy is soft.
    #[must_use]
    pub fn unchecked(&self) -> &[String] {
        &self.cleared.unchecked
    }
}

/// What a choice is made under.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    /// Authorities that help to build paths but are not believed by themselves.
    pub intermediates: &'a [Certificate],
    /// Authorities that are believed.
    pub anchors: &'a Anchors,
    /// Revocation lists at hand.
    pub crls: &'a Crls,
    /// OCSP answers at hand.
    pub answers: &'a Answers,
    /// What happens when none of both covers a certificate.
    pub revocation: Revocation,
    /// What happens when nobody promised that one would.
    pub sourceless: Sourceless,
    /// How long past its time a list or an answer still counts.
    pub grace: Duration,
    /// One of these certificate policies must be asserted all along the path; none: nobody asks.
    pub certificate_policies: &'a [String],
}

impl<'a> Policy<'a> {
    /// With these authorities and nothing else at hand: what is not covered passes.
    #[must_use]
    pub const fn new(anchors: &'a Anchors, intermediates: &'a [Certificate]) -> Self {
        const NO_LISTS: &Crls = &Crls::none();
        const NO_ANSWERS: &Answers = &Answers::none();
        Self {
            intermediates,
            anchors,
            crls: NO_LISTS,
            answers: NO_ANSWERS,
            revocation: Revocation::Soft,
            sourceless: Sourceless::Unknown,
            grace: Duration::ZERO,
            certificate_policies: &[],
        }
    }

    /// As strict as an organization wants it.
    #[must_use]
    pub fn under(strictness: &'a Strictness, anchors: &'a Anchors, intermediates: &'a [Certificate]) -> Self {
        Self {
            revocation: if strictness.hard_fail() { Revocation::Hard } else { Revocation::Soft },
            sourceless: if strictness.require_revocation_source { Sourceless::Refused } else { Sourceless::Accepted },
            grace: strictness.revocation_grace.0,
            certificate_policies: &strictness.certificate_policies,
            ..Self::new(anchors, intermediates)
        }
    }
}

/// Chooses the certificate to seal to among candidates: the valid one that lasts longest; when none is valid, the
/// reason of the one that came farthest.
pub fn choose(
    candidates: &[Certificate],
    policy: Policy<'_>,
    address: &DirectAddress,
    at: Timestamp,
) -> Result<Trusted, TrustError> {
    best(candidates.iter().map(|candidate| judge(candidate, policy, address, at)), address)
}

/// The best of several verdicts.
pub(super) fn best(
    verdicts: impl Iterator<Item = Result<Trusted, TrustError>>,
    address: &DirectAddress,
) -> Result<Trusted, TrustError> {
    let mut worst = TrustError::NoCertificate(address.to_string());
    let mut best: Option<Trusted> = None;
    for verdict in verdicts {
        match verdict {
            Ok(trusted) => {
                if best.as_ref().is_none_or(|best| best.valid_until() < trusted.valid_until()) {
                    best = Some(trusted);
                }
            }
            Err(error) if error.progress() > worst.progress() => worst = error,
            Err(_) => {}
        }
    }
    best.ok_or(worst)
}

/// Makes every check of one candidate.
fn judge(candidate: &Certificate, policy: Policy<'_>, address: &DirectAddress, at: Timestamp) -> Result<Trusted, TrustError> {
    let recipient = RecipientCertificate::checked(candidate.clone(), address, at)?;
    let path = path::find(candidate, policy.intermediates, policy.anchors, at)?;
    judge_on(path, recipient, policy, at)
}

/// The checks that are left when the path has been found and verified under the same `policy`, for `at`.
pub(super) fn judge_on(
    path: path::Path,
    recipient: RecipientCertificate,
    policy: Policy<'_>,
    at: Timestamp,
) -> Result<Trusted, TrustError> {
    let cleared = clear(&path, policy, at)?;
    Ok(Trusted { recipient, path, anchors: policy.anchors.fingerprint(), cleared })
}

/// The checks that are the same for sending and for receiving: path, certificate policies, revocation.
pub fn believe(certificate: &Certificate, policy: Policy<'_>, at: Timestamp) -> Result<(path::Path, Cleared), TrustError> {
    let path = path::find(certificate, policy.intermediates, policy.anchors, at)?;
    let cleared = clear(&path, policy, at)?;
    Ok((path, cleared))
}

fn clear(path: &path::Path, policy: Policy<'_>, at: Timestamp) -> Result<Cleared, TrustError> {
    checks::policies(path.certificates(), policy.certificate_policies)?;
    revocation::check(path.certificates(), &policy, at)
}
