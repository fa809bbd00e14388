//! The signature path to an anchor.
//!
//! OpenSSL builds and verifies the path; an anchor is matched by verifying signatures, never by comparing names or key
//! identifiers. Anchors may be intermediates (Direct bundles hold many), so the path stops at the first anchor.

use openssl::{
    stack::Stack,
    x509::{
        X509, X509KeyUsage, X509StoreContext, X509VerifyResult,
        store::{X509Store, X509StoreBuilder},
        verify::{X509VerifyFlags, X509VerifyParam},
    },
};

use super::{Certificate, TrustError, checks};
use crate::{crypto::Sha256, domain::Timestamp};

/// Most intermediates between a certificate and its anchor; the reference implementations use the same bound.
const DEPTH: i32 = 5;

/// The authorities an organization believes.
#[derive(Debug, Clone, Default)]
pub struct Anchors {
    certificates: Vec<Certificate>,
    fingerprint: [u8; 32],
}

impl Anchors {
    /// A set of anchors; order and repetitions do not matter.
    #[must_use]
    pub fn new(mut certificates: Vec<Certificate>) -> Self {
        certificates.sort_by_key(Certificate::fingerprint);
        certificates.dedup();
        let mut digest = Sha256::new();
        for anchor in &certificates {
            digest.update(&anchor.fingerprint());
        }
        Self { certificates, fingerprint: digest.finish() }
    }

    /// Identifies the set: a verdict reached under one set may be kept for the same set.
    #[must_use]
    pub const fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// The anchors.
    #[must_use]
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    fn store(&self, at: Timestamp) -> Result<X509Store, TrustError> {
        let failed = TrustError::crypto("set up the anchors");
        let mut param = X509VerifyParam::new().map_err(&failed)?;
        param.set_flags(X509VerifyFlags::PARTIAL_CHAIN | X509VerifyFlags::TRUSTED_FIRST).map_err(&failed)?;
        param.set_time(at.micros().div_euclid(1_000_000));
        param.set_depth(DEPTH);
        let mut store = X509StoreBuilder::new().map_err(&failed)?;
        for anchor in &self.certificates {
            store.add_cert(anchor.x509().clone()).map_err(&failed)?;
        }
        store.set_param(&param).map_err(&failed)?;
        Ok(store.build())
    }
}

/// A verified path: the certificate first, its anchor last.
#[derive(Debug, Clone)]
pub struct Path(Vec<Certificate>);

impl Path {
    /// The certificates of the path, the anchor last.
    #[must_use]
    pub fn certificates(&self) -> &[Certificate] {
        &self.0
    }

    /// The first instant at which some certificate of the path is no longer valid.
    #[must_use]
    pub fn valid_until(&self) -> Timestamp {
        self.0.iter().map(Certificate::valid_until).min().unwrap_or_default()
    }

    /// The first instant at which all certificates of the path are valid.
    #[must_use]
    pub fn valid_from(&self) -> Timestamp {
        self.0.iter().map(Certificate::valid_from).max().unwrap_or_default()
    }
}

/// Finds and verifies a path from `certificate` over `intermediates` to one of `anchors`, all valid at `at`.
pub fn find(
    certificate: &Certificate,
    intermediates: &[Certificate],
    anchors: &Anchors,
    at: Timestamp,
) -> Result<Path, TrustError> {
    let failed = TrustError::crypto("verify a certificate path");
    let untrusted = |problem: &str| TrustError::Untrusted { subject: certificate.subject(), problem: problem.to_owned() };
    if anchors.certificates.is_empty() {
        return Err(untrusted("there are no anchors"));
    }
    let mut others = Stack::new().map_err(&failed)?;
    for other in intermediates {
        others.push(other.x509().clone()).map_err(&failed)?;
    }
    let store = anchors.store(at)?;
    let (result, chain) = X509StoreContext::new()
        .and_then(|mut context| {
            context.init(&store, certificate.x509(), &others, |context| {
                let good = context.verify_cert()?;
                let chain: Vec<X509> = context.chain().into_iter().flatten().map(ToOwned::to_owned).collect();
                Ok((if good { X509VerifyResult::OK } else { context.error() }, chain))
            })
        })
        .map_err(&failed)?;
    match result {
        X509VerifyResult::OK => {}
        other if is_out_of_date(other) => return Err(TrustError::PathOutOfDate { subject: certificate.subject() }),
        other => return Err(untrusted(other.error_string())),
    }
    let path: Vec<Certificate> = chain.iter().map(|x509| Certificate::from_x509(x509)).collect::<Result<_, _>>()?;
    let Some((anchor, below)) = path.split_last() else { return Err(untrusted("the path is empty")) };
    if !anchors.certificates.contains(anchor) {
        return Err(untrusted("the path does not end at an anchor"));
    }
    // The anchor is believed for what it is; what hangs below must be signed well, by authorities.
    for (place, below) in below.iter().enumerate() {
        checks::digest(below)?;
        if place > 0 {
            checks::key(below)?;
            may_issue(below).then_some(()).ok_or_else(|| untrusted("an issuer on the path is not an authority"))?;
        }
    }
    if path.len() > 1 {
        may_issue(anchor).then_some(()).ok_or_else(|| untrusted("the anchor is not an authority"))?;
    }
    Ok(Path(path))
}

/// Whether it may sign other certificates: RFC 5280 4.2.1.3 and 4.2.1.9. OpenSSL alone would also take version 1
/// certificates and bare key usages.
#[must_use]
pub fn may_issue(certificate: &Certificate) -> bool {
    let usage = certificate.x509().key_usage();
    certificate.is_authority() && usage.is_none_or(|usage| usage.contains(X509KeyUsage::KEY_CERT_SIGN))
}

fn is_out_of_date(result: X509VerifyResult) -> bool {
    const NOT_YET_VALID: i32 = 9; // X509_V_ERR_CERT_NOT_YET_VALID
    const HAS_EXPIRED: i32 = 10; // X509_V_ERR_CERT_HAS_EXPIRED
    [NOT_YET_VALID, HAS_EXPIRED].contains(&result.as_raw())
}
