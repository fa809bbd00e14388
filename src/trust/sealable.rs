//! A certificate one may seal to, and how it is chosen among candidates.

use openssl::pkey::Id;

use super::{Anchors, Certificate, Crls, Revocation, TrustError, checks, path};
use crate::domain::{DirectAddress, Timestamp};

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
/// [`Trusted::is_valid_at`] holds, only revocation has to be looked at again.
#[derive(Debug, Clone)]
pub struct Trusted {
    recipient: RecipientCertificate,
    path: path::Path,
    anchors: [u8; 32],
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

    /// Whether every certificate of the path is valid at `at`: the cheap check before each message.
    #[must_use]
    pub fn is_valid_at(&self, at: Timestamp) -> bool {
        (self.path.valid_from()..self.path.valid_until()).contains(&at)
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
    /// What happens when none covers a certificate.
    pub revocation: Revocation,
}

/// Chooses the certificate to seal to among candidates: the valid one that lasts longest; when none is valid, the
/// reason of the one that came farthest.
pub fn choose(
    candidates: &[Certificate],
    policy: Policy<'_>,
    address: &DirectAddress,
    at: Timestamp,
) -> Result<Trusted, TrustError> {
    let mut worst = TrustError::NoCertificate(address.to_string());
    let mut best: Option<Trusted> = None;
    for candidate in candidates {
        match judge(candidate, policy, address, at) {
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

fn judge(candidate: &Certificate, policy: Policy<'_>, address: &DirectAddress, at: Timestamp) -> Result<Trusted, TrustError> {
    let recipient = RecipientCertificate::checked(candidate.clone(), address, at)?;
    let path = path::find(candidate, policy.intermediates, policy.anchors, at)?;
    policy.crls.check(path.certificates(), policy.revocation, at)?;
    Ok(Trusted { recipient, path, anchors: policy.anchors.fingerprint() })
}
