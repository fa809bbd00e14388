//! The signature path to an anchor.
//!
//! The path is searched for here, signature by signature, and then judged as a whole by OpenSSL (dates, constraints,
//! critical extensions). An anchor is matched by verifying signatures, never by comparing names or key identifiers. Anchors
//! may be intermediates (Direct bundles hold many), so the path stops at the first anchor.

use openssl::{
    stack::Stack,
    x509::{
        X509ExtendedKeyUsage, X509KeyUsage, X509Ref, X509StoreContext, X509VerifyResult,
        store::{X509Store, X509StoreBuilder},
        verify::{X509VerifyFlags, X509VerifyParam},
    },
};

use super::{Certificate, TrustError, checks};
use crate::{crypto::Sha256, domain::Timestamp};

/// Most intermediates between a certificate and its anchor; the reference implementations use the same bound.
const DEPTH: usize = 5;
/// Most signatures verified in search of one path.
const MOST_VERIFICATIONS: usize = 64;

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
    search(certificate, intermediates, anchors, at).map_err(|failed| failed.error)
}

/// Why there is no path, and what might help.
#[derive(Debug)]
pub(super) struct NoPath {
    /// The most telling problem.
    pub(super) error: TrustError,
    /// Certificates whose issuer is not at hand.
    pub(super) ends: Vec<Certificate>,
    /// Every certificate that the search came to.
    pub(super) reached: Vec<Certificate>,
}

/// The same as [`find`]; when there is no path, it says where the search ended.
pub(super) fn search(
    certificate: &Certificate,
    intermediates: &[Certificate],
    anchors: &Anchors,
    at: Timestamp,
) -> Result<Path, Box<NoPath>> {
    let mut climb = Climb {
        intermediates,
        anchors,
        at,
        verifications: 0,
        problem: None,
        ends: Vec::new(),
        reached: vec![certificate.clone()],
    };
    if let Some(path) = climb.on(&mut vec![certificate.clone()]) {
        return Ok(path);
    }
    let untrusted = |problem: String| TrustError::Untrusted { subject: certificate.subject(), problem };
    let error = climb.problem.unwrap_or_else(|| {
        untrusted(match climb.ends.first() {
            _ if anchors.certificates.is_empty() => "there are no anchors".to_owned(),
            Some(end) if end.is_self_issued() => format!("it ends at '{}', which is not an anchor", end.subject()),
            Some(end) => format!("the issuer of '{}' is not known", end.subject()),
            None => "the search for a path was given up".to_owned(),
        })
    });
    Err(Box::new(NoPath { error, ends: climb.ends, reached: climb.reached }))
}

/// A search from a certificate upwards. Each step must verify by signature; what is reached by one way only may be
/// cross-certified by another, so a way that fails is not the end.
struct Climb<'a> {
    intermediates: &'a [Certificate],
    anchors: &'a Anchors,
    at: Timestamp,
    verifications: usize,
    problem: Option<TrustError>,
    ends: Vec<Certificate>,
    reached: Vec<Certificate>,
}

impl Climb<'_> {
    /// Goes on from the last certificate of `trail`.
    fn on(&mut self, trail: &mut Vec<Certificate>) -> Option<Path> {
        let last = trail.last()?.clone();
        if self.anchors.certificates.contains(&last) {
            match verified(trail, self.at) {
                Ok(path) => return Some(path),
                Err(error) => self.remember(error),
            }
        }
        if trail.len() > DEPTH + 1 {
            return None;
        }
        let (anchors, intermediates) = (self.anchors, self.intermediates);
        let mut higher = false;
        for issuer in anchors.certificates.iter().chain(intermediates) {
            if trail.contains(issuer) || !self.issued(issuer, &last) {
                continue;
            }
            higher = true;
            if !self.reached.contains(issuer) {
                self.reached.push(issuer.clone());
            }
            trail.push(issuer.clone());
            let found = self.on(trail);
            trail.pop();
            if found.is_some() {
                return found;
            }
        }
        if !higher && !self.ends.contains(&last) {
            self.ends.push(last);
        }
        None
    }

    /// Whether `issuer` signed `certificate`. A heap of look-alikes must not cost seconds.
    fn issued(&mut self, issuer: &Certificate, certificate: &Certificate) -> bool {
        if !certificate.names_as_issuer(issuer) || self.verifications >= MOST_VERIFICATIONS {
            return false;
        }
        self.verifications += 1;
        certificate.is_signed_by(issuer)
    }

    /// Of several problems the first is told, unless a later one says more.
    fn remember(&mut self, error: TrustError) {
        if self.problem.as_ref().is_none_or(|known| known.progress() < error.progress()) {
            self.problem = Some(error);
        }
    }
}

/// Verifies exactly this path, whose last certificate is an anchor.
fn verified(trail: &[Certificate], at: Timestamp) -> Result<Path, TrustError> {
    let failed = TrustError::crypto("verify a certificate path");
    let (Some(certificate), Some((anchor, below))) = (trail.first(), trail.split_last()) else {
        return Err(TrustError::malformed("the path", "it is empty"));
    };
    let untrusted = |problem: &str| TrustError::Untrusted { subject: certificate.subject(), problem: problem.to_owned() };
    let mut others = Stack::new().map_err(&failed)?;
    for other in below.iter().skip(1) {
        others.push(other.x509().clone()).map_err(&failed)?;
    }
    let store = store(anchor, at)?;
    let (result, chain) = X509StoreContext::new()
        .and_then(|mut context| {
            context.init(&store, certificate.x509(), &others, |context| {
                let good = context.verify_cert()?;
                let chain: Result<Vec<Vec<u8>>, _> = context.chain().into_iter().flatten().map(X509Ref::to_der).collect();
                let chain = chain?;
                Ok((if good { X509VerifyResult::OK } else { context.error() }, chain))
            })
        })
        .map_err(&failed)?;
    match result {
        X509VerifyResult::OK => {}
        other if is_out_of_date(other) => return Err(TrustError::PathOutOfDate { subject: certificate.subject() }),
        other => return Err(untrusted(other.error_string())),
    }
    if !chain.iter().map(Vec::as_slice).eq(trail.iter().map(Certificate::der)) {
        return Err(untrusted("OpenSSL would take another path"));
    }
    // The anchor is believed for what it is, so nobody asks who signed it; but what it signs with must be strong.
    for (place, link) in trail.iter().enumerate() {
        if place + 1 < trail.len() {
            checks::digest(link)?;
        }
        if place > 0 {
            checks::key(link)?;
            may_issue(link).then_some(()).ok_or_else(|| untrusted("an issuer on the path is not an authority"))?;
            issues_for_mail(link).then_some(()).ok_or_else(|| untrusted("an issuer on the path may not issue for mail"))?;
        }
    }
    Ok(Path(trail.to_vec()))
}

fn store(anchor: &Certificate, at: Timestamp) -> Result<X509Store, TrustError> {
    let failed = TrustError::crypto("set up an anchor");
    let mut param = X509VerifyParam::new().map_err(&failed)?;
    param.set_flags(X509VerifyFlags::PARTIAL_CHAIN | X509VerifyFlags::TRUSTED_FIRST).map_err(&failed)?;
    param.set_time(at.micros().div_euclid(1_000_000));
    let mut store = X509StoreBuilder::new().map_err(&failed)?;
    store.add_cert(anchor.x509().clone()).map_err(&failed)?;
    store.set_param(&param).map_err(&failed)?;
    Ok(store.build())
}

/// Whether an authority's extended key usage, when it has one, leaves room for mail: it binds what is issued below.
fn issues_for_mail(certificate: &Certificate) -> bool {
    let for_mail = X509ExtendedKeyUsage::SMIME | X509ExtendedKeyUsage::ANYEKU;
    certificate.x509().extended_key_usage().is_none_or(|usage| usage.intersects(for_mail))
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
