//! Revocation lists: which of them count, and what they say.
//!
//! A list counts only when its issuer is the certificate's issuer, its signature verifies under that issuer's key, it is
//! current, and it speaks about the whole certificate. A forged, foreign or outdated list is neither believed nor able
//! to block a good certificate.

use openssl::x509::{CrlStatus, X509Crl, X509KeyUsage};
use x509_parser::prelude::{CertificateRevocationList, FromDer as _, ParsedExtension};

use super::{Certificate, TrustError, certificate::is_pem, checks};
use crate::domain::{Timestamp, words};

words! {
    /// What happens when no list that counts covers a certificate.
    pub enum Revocation {
        /// It is not believed.
        Hard = "hard",
        /// It is believed.
        Soft = "soft",
        /// Lists are not looked at.
        Off = "off",
    }
}

/// Revocation lists at hand.
#[derive(Debug, Default, Clone)]
pub struct Crls(Vec<Crl>);

#[derive(Debug, Clone)]
struct Crl {
    list: std::sync::Arc<List>,
}

struct List {
    crl: X509Crl,
    issuer: Vec<u8>,
    from: Timestamp,
    until: Timestamp,
    scope: Scope,
}

impl std::fmt::Debug for List {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "List({}..{})", self.from, self.until)
    }
}

/// Whom a list speaks about (RFC 5280 5.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    All,
    EndEntities,
    Authorities,
    /// Deltas, indirect lists, lists for some reasons only: not understood, so never believed.
    Partial,
}

impl Crls {
    /// Adds the lists of one file: DER, or PEM with any number of lists.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), TrustError> {
        let ders = if is_pem(bytes) { pem_bodies(bytes)? } else { vec![bytes.to_vec()] };
        for der in ders {
            self.0.push(Crl { list: std::sync::Arc::new(List::read(&der)?) });
        }
        Ok(())
    }

    /// Whether no certificate of `path` (the anchor last) is revoked at `at`. The anchor itself is not asked about.
    pub fn check(&self, path: &[Certificate], mode: Revocation, at: Timestamp) -> Result<(), TrustError> {
        if mode == Revocation::Off {
            return Ok(());
        }
        for pair in path.windows(2) {
            let [certificate, issuer] = pair else { continue };
            let mut known = false;
            for list in self.0.iter().map(|crl| &crl.list).filter(|list| list.counts_for(certificate, issuer, at)) {
                known = true;
                if matches!(list.crl.get_by_serial(certificate.x509().serial_number()), CrlStatus::Revoked(_)) {
                    return Err(TrustError::Revoked { subject: certificate.subject() });
                }
            }
            if !known && mode == Revocation::Hard {
                return Err(TrustError::RevocationUnknown { subject: certificate.subject() });
            }
        }
        Ok(())
    }
}

impl List {
    fn read(der: &[u8]) -> Result<Self, TrustError> {
        let unreadable = |problem: String| TrustError::malformed("the revocation list", problem);
        let (_, parsed) = CertificateRevocationList::from_der(der).map_err(|error| unreadable(error.to_string()))?;
        let crl = X509Crl::from_der(der).map_err(|error| unreadable(error.to_string()))?;
        let instant = |seconds: i64| Timestamp(seconds.saturating_mul(1_000_000));
        Ok(Self {
            crl,
            issuer: parsed.issuer().as_raw().to_vec(),
            from: instant(parsed.last_update().timestamp()),
            // A list without nextUpdate promises nothing about how long it is good (RFC 5280 5.1.2.5 demands one).
            until: parsed.next_update().map_or(Timestamp(i64::MIN), |next| instant(next.timestamp())),
            scope: Scope::of(&parsed),
        })
    }

    fn counts_for(&self, certificate: &Certificate, issuer: &Certificate, at: Timestamp) -> bool {
        let right_kind = match self.scope {
            Scope::All => true,
            Scope::EndEntities => !certificate.is_authority(),
            Scope::Authorities => certificate.is_authority(),
            Scope::Partial => false,
        };
        let may_sign = issuer.x509().key_usage().is_none_or(|usage| usage.contains(X509KeyUsage::CRL_SIGN));
        right_kind
            && may_sign
            && self.issuer == certificate.issuer_der()
            && (self.from..self.until).contains(&at)
            && self.well_signed()
            && self.crl.verify(issuer.key()).unwrap_or(false)
    }

    fn well_signed(&self) -> bool {
        let algorithm = self.crl.to_der().ok().and_then(|der| {
            let (_, parsed) = CertificateRevocationList::from_der(&der).ok()?;
            openssl::asn1::Asn1Object::from_str(&parsed.signature_algorithm.algorithm.to_id_string()).ok()
        });
        algorithm.is_some_and(|algorithm| checks::allowed_signature(algorithm.nid()))
    }
}

impl Scope {
    fn of(list: &CertificateRevocationList<'_>) -> Self {
        let mut scope = Self::All;
        for extension in list.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::IssuingDistributionPoint(point) => {
                    scope = match point {
                        p if p.indirect_crl || p.only_contains_attribute_certs || p.only_some_reasons.is_some() => Self::Partial,
                        p if p.only_contains_user_certs && p.only_contains_ca_certs => Self::Partial,
                        p if p.only_contains_user_certs => Self::EndEntities,
                        p if p.only_contains_ca_certs => Self::Authorities,
                        _ => scope,
                    };
                }
                _ if extension.critical => return Self::Partial,
                _ => {}
            }
        }
        scope
    }
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
