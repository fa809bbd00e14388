//! A certificate that was read: its bytes, its facts, and nothing believed yet.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use openssl::{
    pkey::{Id, PKey, Public},
    x509::{X509, X509Ref},
};
use x509_parser::prelude::{FromDer as _, GeneralName, ParsedExtension, X509Certificate};

use super::TrustError;
use crate::{crypto::sha256::hex, domain::Timestamp};

/// Most certificates that were read lately and are remembered.
const MOST: usize = 2_000;

/// An X.509 certificate. Cheap to clone.
#[derive(Clone)]
pub struct Certificate(Arc<Facts>);

struct Facts {
    x509: X509,
    der: Vec<u8>,
    key: PKey<Public>,
    issuer: Vec<u8>,
    serial: Vec<u8>,
    key_id: Option<Vec<u8>>,
    names: Names,
    ca: bool,
    from: Timestamp,
    until: Timestamp,
    fingerprint: [u8; 32],
}

/// The names a certificate is bound to: those of its subjectAltName and no others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// rfc822Name entries, as written.
    pub addresses: Vec<String>,
    /// dNSName entries, as written.
    pub domains: Vec<String>,
}

impl Certificate {
    /// Reads one DER certificate. Trailing bytes are an error.
    ///
    /// The same bytes are the same certificate: those of anchors and recipients are met with every message, and OpenSSL takes
    /// longer to read one than to verify several signatures. What was read lately is remembered by its SHA-256.
    pub fn from_der(der: &[u8]) -> Result<Self, TrustError> {
        static LATELY: Mutex<Option<HashMap<[u8; 32], Certificate>>> = Mutex::new(None);
        let fingerprint = crate::crypto::sha256(der);
        let lately = || LATELY.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lately().as_ref().and_then(|known| known.get(&fingerprint)) {
            return Ok(known.clone());
        }
        let read = Self::read(der, fingerprint)?;
        let mut lately = lately();
        let known = lately.get_or_insert_default();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(fingerprint, read.clone());
        Ok(read)
    }

    fn read(der: &[u8], fingerprint: [u8; 32]) -> Result<Self, TrustError> {
        let unreadable = |problem: &str| TrustError::malformed("the certificate", problem);
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|error| unreadable(&error.to_string()))?;
        if !rest.is_empty() {
            return Err(unreadable("bytes follow its end"));
        }
        let x509 = X509::from_der(der).map_err(|error| unreadable(&error.to_string()))?;
        let key = x509.public_key().map_err(|_| unreadable("its public key is of no known kind"))?;
        let tbs = &parsed.tbs_certificate;
        let instant = |seconds: i64| Timestamp(seconds.saturating_mul(1_000_000));
        let mut names = Names::default();
        for (place, extension) in tbs.extensions().iter().enumerate() {
            // RFC 5280 4.2: each at most once. Of two, one reader would take the first and another the last.
            if tbs.extensions()[..place].iter().any(|earlier| earlier.oid == extension.oid) {
                return Err(unreadable("one of its extensions is there twice"));
            }
            match extension.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(san) => names.take(&san.general_names),
                ParsedExtension::ParseError { .. } => return Err(unreadable("one of its extensions is broken")),
                _ => {}
            }
        }
        Ok(Self(Arc::new(Facts {
            issuer: tbs.issuer.as_raw().to_vec(),
            serial: tbs.raw_serial().to_vec(),
            key_id: x509.subject_key_id().map(|id| id.as_slice().to_vec()),
            names,
            ca: matches!(tbs.basic_constraints(), Ok(Some(constraints)) if constraints.value.ca),
            from: instant(tbs.validity.not_before.timestamp()),
            // notAfter names the last valid second (RFC 5280 4.1.2.5).
            until: instant(tbs.validity.not_after.timestamp().saturating_add(1)),
            fingerprint,
            der: der.to_vec(),
            x509,
            key,
        })))
    }

    /// Reads a file: one DER certificate, or any number of PEM ones (at least one).
    pub fn read_all(bytes: &[u8]) -> Result<Vec<Self>, TrustError> {
        if !is_pem(bytes) {
            return Ok(vec![Self::from_der(bytes)?]);
        }
        let stack =
            X509::stack_from_pem(bytes).map_err(|error| TrustError::malformed("the PEM certificates", error.to_string()))?;
        if stack.is_empty() {
            return Err(TrustError::malformed("the PEM certificates", "there is none"));
        }
        stack.iter().map(|x509| Self::from_x509(x509)).collect()
    }

    pub(crate) fn from_x509(x509: &X509Ref) -> Result<Self, TrustError> {
        Self::from_der(&x509.to_der().map_err(TrustError::crypto("encode a certificate"))?)
    }

    /// The certificate's bytes.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// The certificate in PEM.
    pub fn pem(&self) -> Result<String, TrustError> {
        let pem = self.0.x509.to_pem().map_err(TrustError::crypto("encode a certificate"))?;
        String::from_utf8(pem).map_err(|error| TrustError::malformed("the certificate", error))
    }

    /// The SHA-256 of its bytes: what evidence records.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        self.0.fingerprint
    }

    /// First valid instant.
    #[must_use]
    pub fn valid_from(&self) -> Timestamp {
        self.0.from
    }

    /// First instant at which it is no longer valid.
    #[must_use]
    pub fn valid_until(&self) -> Timestamp {
        self.0.until
    }

    /// What it is bound to.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.0.names
    }

    /// Whether its basic constraints make it an authority.
    #[must_use]
    pub fn is_authority(&self) -> bool {
        self.0.ca
    }

    /// The issuer's name in DER: with the serial number it identifies the certificate (RFC 5652 10.2.4).
    #[must_use]
    pub fn issuer_der(&self) -> &[u8] {
        &self.0.issuer
    }

    /// The value octets of the serial number.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        &self.0.serial
    }

    /// The subject key identifier.
    #[must_use]
    pub fn key_id(&self) -> Option<&[u8]> {
        self.0.key_id.as_deref()
    }

    /// The certificate as OpenSSL knows it.
    #[must_use]
    pub fn x509(&self) -> &X509 {
        &self.0.x509
    }

    /// Its public key.
    #[must_use]
    pub fn key(&self) -> &PKey<Public> {
        &self.0.key
    }

    /// The certificate policies it asserts, as dotted numbers (RFC 5280 4.2.1.4).
    #[must_use]
    pub fn policies(&self) -> Vec<String> {
        let Ok((_, parsed)) = X509Certificate::from_der(&self.0.der) else { return Vec::new() };
        let all = parsed.extensions().iter().filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::CertificatePolicies(policies) => Some(policies),
            _ => None,
        });
        all.flatten().map(|policy| policy.policy_id.to_id_string()).collect()
    }

    /// Whether its issuer's name is that of `issuer`; nothing is verified.
    #[must_use]
    pub fn names_as_issuer(&self, issuer: &Self) -> bool {
        self.0.x509.issuer_name().try_cmp(issuer.0.x509.subject_name()).is_ok_and(std::cmp::Ordering::is_eq)
    }

    /// Whether its issuer has its own name: a root.
    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        self.names_as_issuer(self)
    }

    /// Whether the signature on it was made with the key of `issuer`.
    #[must_use]
    pub fn is_signed_by(&self, issuer: &Self) -> bool {
        self.0.x509.verify(&issuer.0.key).unwrap_or(false)
    }

    /// Its key in words: `RSA 2048`, `P-256`.
    #[must_use]
    pub fn key_words(&self) -> String {
        match (self.0.key.id(), self.0.key.ec_key().ok().and_then(|key| key.group().curve_name())) {
            (Id::RSA, _) => format!("RSA {}", self.0.key.bits()),
            (_, Some(openssl::nid::Nid::X9_62_PRIME256V1)) => "P-256".to_owned(),
            (_, Some(openssl::nid::Nid::SECP384R1)) => "P-384".to_owned(),
            (_, Some(curve)) => curve.short_name().unwrap_or("another curve").to_owned(),
            (other, None) => openssl::nid::Nid::from_raw(other.as_raw()).long_name().unwrap_or("unknown").to_owned(),
        }
    }

    /// Its subject, for people.
    #[must_use]
    pub fn subject(&self) -> String {
        X509Certificate::from_der(&self.0.der).map_or_else(|_| String::new(), |(_, parsed)| parsed.subject().to_string())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, {})", self.subject(), hex(&self.0.fingerprint[..8]))
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl Names {
    fn take(&mut self, entries: &[GeneralName<'_>]) {
        for entry in entries {
            match entry {
                GeneralName::RFC822Name(address) => self.addresses.push((*address).to_owned()),
                GeneralName::DNSName(domain) => self.domains.push((*domain).to_owned()),
                _ => {}
            }
        }
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<&str> = self.addresses.iter().chain(&self.domains).map(String::as_str).collect();
        f.write_str(if all.is_empty() { "nobody".to_owned() } else { all.join(", ") }.as_str())
    }
}

/// Whether `bytes` are PEM rather than DER.
#[must_use]
pub fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(11).any(|window| window == b"-----BEGIN ")
}
