//! A small certificate authority for the sandbox and for tests. Nothing it issues is fit for production.

use openssl::{
    asn1::{Asn1Integer, Asn1Object, Asn1OctetString, Asn1Time},
    bn::{BigNum, MsbOption},
    error::ErrorStack,
    hash::MessageDigest,
    pkey::{PKey, Private},
    rsa::Rsa,
    x509::{
        X509, X509Builder, X509Extension, X509NameBuilder,
        extension::{
            AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName, SubjectKeyIdentifier,
        },
    },
};

use super::{Certificate, TrustError};
use crate::{
    crypto::der,
    domain::{DirectAddress, Timestamp},
};

/// Lists and answers as an authority publishes them.
pub mod published;

/// An authority: its certificate and its key.
pub struct Authority {
    certificate: Certificate,
    key: PKey<Private>,
}

/// A certificate with its key.
#[derive(Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate: Certificate,
    /// Its key.
    pub key: PKey<Private>,
}

impl Issued {
    /// The key in PKCS#8 PEM.
    pub fn key_pem(&self) -> Result<String, TrustError> {
        key_pem(&self.key)
    }
}

/// Kinds of keys: those allowed, and some that are not, for tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA with so many bits.
    Rsa(u32),
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521, which Direct does not allow.
    P521,
}

impl KeyKind {
    /// A new key of this kind.
    pub fn generate(self) -> Result<PKey<Private>, TrustError> {
        let made = match self {
            Self::Rsa(bits) => Rsa::generate(bits).and_then(PKey::from_rsa),
            Self::P256 => PKey::ec_gen("P-256"),
            Self::P384 => PKey::ec_gen("P-384"),
            Self::P521 => PKey::ec_gen("P-521"),
        };
        made.map_err(TrustError::crypto("make a key"))
    }
}

/// What a certificate is bound to.
#[derive(Debug, Clone)]
pub enum Binding {
    /// One address: rfc822Name.
    Address(DirectAddress),
    /// One domain: dNSName.
    Domain(String),
    /// Nothing in the subjectAltName; the address only as the subject's e-mail attribute, which no longer binds.
    SubjectOnly(DirectAddress),
}

/// What a certificate may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// Signing and encryption.
    Dual,
    /// Signing only.
    Sign,
    /// Encryption only.
    Encrypt,
    /// No key usage extension at all.
    Unstated,
    /// Made out for web servers: an extended key usage without mail.
    WebServer,
    /// For signing OCSP answers in the issuer's place.
    OcspSigning,
}

/// The digest an authority signs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-1, which is no longer allowed.
    Sha1,
}

impl Digest {
    fn openssl(self) -> MessageDigest {
        match self {
            Self::Sha256 => MessageDigest::sha256(),
            Self::Sha384 => MessageDigest::sha384(),
            Self::Sha1 => MessageDigest::sha1(),
        }
    }
}

/// An order for a certificate. [`Order::new`] makes an ordinary one; change what should differ.
#[derive(Debug, Clone)]
pub struct Order {
    /// What it is bound to.
    pub binding: Binding,
    /// Its key.
    pub key: KeyKind,
    /// First valid instant.
    pub from: Timestamp,
    /// Last valid instant.
    pub until: Timestamp,
    /// What it may be used for.
    pub usage: Usage,
    /// The digest it is signed with.
    pub digest: Digest,
    /// Where its revocation list is published.
    pub crl_url: Option<String>,
    /// Where an OCSP responder answers about it.
    pub ocsp_url: Option<String>,
    /// Where its issuer's certificate is published.
    pub issuer_url: Option<String>,
    /// The certificate policies it asserts (OIDs).
    pub policies: Vec<String>,
    /// Whatever else a test wants in it.
    pub extensions: Vec<Extension>,
}

/// A ready-made extension.
#[derive(Debug, Clone)]
pub struct Extension {
    /// Its OID, dotted.
    pub id: &'static str,
    /// Whether it is critical.
    pub critical: bool,
    /// Its value in DER.
    pub value: Vec<u8>,
}

/// An order for an authority below another. [`AuthorityOrder::new`] makes an ordinary one; change what should differ.
#[derive(Debug, Clone)]
pub struct AuthorityOrder {
    /// Its common name.
    pub name: String,
    /// Its key.
    pub key: KeyKind,
    /// First valid instant.
    pub from: Timestamp,
    /// Last valid instant.
    pub until: Timestamp,
    /// Whether its basic constraints make it an authority.
    pub ca: bool,
    /// How many authorities may follow below it.
    pub path_length: Option<u32>,
    /// Whether its key usage lets it sign certificates and lists.
    pub signs: bool,
    /// The digest it is signed with.
    pub digest: Digest,
    /// Where the list of the authority above is published.
    pub crl_url: Option<String>,
    /// Where the certificate of the authority above is published.
    pub issuer_url: Option<String>,
    /// The certificate policies it asserts (OIDs).
    pub policies: Vec<String>,
    /// Whatever else a test wants in it.
    pub extensions: Vec<Extension>,
}

impl AuthorityOrder {
    /// A P-256 authority.
    #[must_use]
    pub fn new(name: &str, from: Timestamp, until: Timestamp) -> Self {
        Self {
            name: name.to_owned(),
            key: KeyKind::P256,
            from,
            until,
            ca: true,
            path_length: None,
            signs: true,
            digest: Digest::Sha256,
            crl_url: None,
            issuer_url: None,
            policies: Vec::new(),
            extensions: Vec::new(),
        }
    }
}

impl Order {
    /// An RSA-2048 certificate for signing and encryption, signed with SHA-256.
    #[must_use]
    pub const fn new(binding: Binding, from: Timestamp, until: Timestamp) -> Self {
        Self {
            binding,
            key: KeyKind::Rsa(2048),
            from,
            until,
            usage: Usage::Dual,
            digest: Digest::Sha256,
            crl_url: None,
            ocsp_url: None,
            issuer_url: None,
            policies: Vec::new(),
            extensions: Vec::new(),
        }
    }
}

impl Authority {
    /// A self-signed root named `name`.
    pub fn new(name: &str, kind: KeyKind, from: Timestamp, until: Timestamp) -> Result<Self, TrustError> {
        Self::made(&AuthorityOrder { key: kind, ..AuthorityOrder::new(name, from, until) }, kind.generate()?, None)
    }

    /// An authority below this one.
    pub fn intermediate(&self, name: &str, kind: KeyKind, from: Timestamp, until: Timestamp) -> Result<Self, TrustError> {
        self.subordinate(&AuthorityOrder { key: kind, ..AuthorityOrder::new(name, from, until) })
    }

    /// An authority below this one, as ordered.
    pub fn subordinate(&self, order: &AuthorityOrder) -> Result<Self, TrustError> {
        Self::made(order, order.key.generate()?, Some(self))
    }

    /// Another certificate for the name and key of `other`, signed by this authority: a cross-certificate, or a renewed one.
    pub fn certify(&self, other: &Self, order: &AuthorityOrder) -> Result<Self, TrustError> {
        Self::made(order, other.key.clone(), Some(self))
    }

    fn made(order: &AuthorityOrder, key: PKey<Private>, above: Option<&Self>) -> Result<Self, TrustError> {
        let x509 = authority_certificate(order, &key, above).map_err(TrustError::crypto("make an authority"))?;
        Ok(Self { certificate: Certificate::from_x509(&x509)?, key })
    }

    /// An authority from its stored certificate and key (PEM).
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, TrustError> {
        let certificate = Certificate::read_all(certificate)?
            .into_iter()
            .next()
            .ok_or_else(|| TrustError::malformed("the authority", "it has no certificate"))?;
        let key = PKey::private_key_from_pem(key).map_err(|error| TrustError::malformed("the authority's key", error))?;
        if !key.public_eq(certificate.key()) {
            return Err(TrustError::malformed("the authority", "key and certificate do not belong together"));
        }
        Ok(Self { certificate, key })
    }

    /// The authority's certificate.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Its key in PKCS#8 PEM.
    pub fn key_pem(&self) -> Result<String, TrustError> {
        key_pem(&self.key)
    }

    /// Issues a certificate.
    pub fn issue(&self, order: &Order) -> Result<Issued, TrustError> {
        let key = order.key.generate()?;
        let x509 = self.end_entity(order, &key).map_err(TrustError::crypto("issue a certificate"))?;
        Ok(Issued { certificate: Certificate::from_x509(&x509)?, key })
    }

    /// A revocation list (DER) naming `revoked`, good from `from` to `until`.
    pub fn revocation_list(&self, revoked: &[&Certificate], from: Timestamp, until: Timestamp) -> Result<Vec<u8>, TrustError> {
        published::list(self, &published::ListOrder::new(revoked, from, until))
    }

    fn end_entity(&self, order: &Order, key: &PKey<Private>) -> Result<X509, ErrorStack> {
        let mut builder = start(key, order.from, order.until)?;
        let mut subject = X509NameBuilder::new()?;
        match &order.binding {
            Binding::Address(address) => subject.append_entry_by_text("CN", &common_name(address.as_str()))?,
            Binding::Domain(domain) => subject.append_entry_by_text("CN", &common_name(domain))?,
            Binding::SubjectOnly(address) => {
                subject.append_entry_by_text("CN", &common_name(address.as_str()))?;
                subject.append_entry_by_text("emailAddress", address.as_str())?;
            }
        }
        builder.set_subject_name(&subject.build())?;
        builder.set_issuer_name(self.certificate.x509().subject_name())?;
        builder.append_extension(BasicConstraints::new().critical().build()?)?;
        if let Some(usage) = key_usage(order) {
            builder.append_extension(usage.build()?)?;
        }
        match order.usage {
            Usage::WebServer => builder.append_extension(ExtendedKeyUsage::new().server_auth().build()?)?,
            Usage::OcspSigning => builder.append_extension(ExtendedKeyUsage::new().other("OCSPSigning").build()?)?,
            _ => builder.append_extension(ExtendedKeyUsage::new().email_protection().build()?)?,
        }
        let mut names = SubjectAlternativeName::new();
        let bound = match &order.binding {
            Binding::Address(address) => Some(names.email(address.as_str())),
            Binding::Domain(domain) => Some(names.dns(domain)),
            Binding::SubjectOnly(_) => None,
        };
        if let Some(names) = bound {
            let names = names.build(&builder.x509v3_context(Some(self.certificate.x509()), None))?;
            builder.append_extension(names)?;
        }
        key_identifiers(&mut builder, Some(self))?;
        let places =
            Places { crl: order.crl_url.as_deref(), ocsp: order.ocsp_url.as_deref(), issuer: order.issuer_url.as_deref() };
        append(&mut builder, places, &order.policies, &order.extensions)?;
        builder.sign(&self.key, order.digest.openssl())?;
        Ok(builder.build())
    }
}

fn authority_certificate(order: &AuthorityOrder, key: &PKey<Private>, above: Option<&Authority>) -> Result<X509, ErrorStack> {
    let mut builder = start(key, order.from, order.until)?;
    let mut subject = X509NameBuilder::new()?;
    subject.append_entry_by_text("O", "Postern sandbox")?;
    subject.append_entry_by_text("CN", &common_name(&order.name))?;
    let subject = subject.build();
    builder.set_subject_name(&subject)?;
    builder.set_issuer_name(above.map_or(&*subject, |above| above.certificate.x509().subject_name()))?;
    let mut constraints = BasicConstraints::new();
    constraints.critical();
    if order.ca {
        constraints.ca();
    }
    if let Some(length) = order.path_length {
        constraints.pathlen(length);
    }
    builder.append_extension(constraints.build()?)?;
    let mut usage = KeyUsage::new();
    usage.critical();
    if order.signs {
        usage.key_cert_sign().crl_sign();
    } else {
        usage.digital_signature();
    }
    builder.append_extension(usage.build()?)?;
    key_identifiers(&mut builder, above)?;
    let places = Places { crl: order.crl_url.as_deref(), ocsp: None, issuer: order.issuer_url.as_deref() };
    append(&mut builder, places, &order.policies, &order.extensions)?;
    builder.sign(above.map_or(key, |above| &above.key), order.digest.openssl())?;
    Ok(builder.build())
}

fn start(key: &PKey<Private>, from: Timestamp, until: Timestamp) -> Result<X509Builder, ErrorStack> {
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    let mut serial = BigNum::new()?;
    // 126 bits that cannot be guessed; never zero, never negative (RFC 5280 4.1.2.2).
    serial.rand(126, MsbOption::ONE, false)?;
    builder.set_serial_number(&*Asn1Integer::from_bn(&serial)?)?;
    builder.set_not_before(&*time(from)?)?;
    builder.set_not_after(&*time(until)?)?;
    builder.set_pubkey(key)?;
    Ok(builder)
}

fn key_identifiers(builder: &mut X509Builder, issuer: Option<&Authority>) -> Result<(), ErrorStack> {
    let subject = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None))?;
    builder.append_extension(subject)?;
    if let Some(issuer) = issuer {
        let context = builder.x509v3_context(Some(issuer.certificate.x509()), None);
        let authority = AuthorityKeyIdentifier::new().keyid(true).build(&context)?;
        builder.append_extension(authority)?;
    }
    Ok(())
}

fn key_usage(order: &Order) -> Option<KeyUsage> {
    let mut usage = KeyUsage::new();
    usage.critical();
    if matches!(order.usage, Usage::Dual | Usage::Sign | Usage::WebServer | Usage::OcspSigning) {
        usage.digital_signature();
    }
    if matches!(order.usage, Usage::Dual | Usage::Encrypt | Usage::WebServer) {
        if matches!(order.key, KeyKind::Rsa(_)) {
            usage.key_encipherment()
        } else {
            usage.key_agreement()
        };
    }
    (order.usage != Usage::Unstated).then_some(usage)
}

/// Where more can be learnt.
#[derive(Clone, Copy)]
struct Places<'a> {
    crl: Option<&'a str>,
    ocsp: Option<&'a str>,
    issuer: Option<&'a str>,
}

fn append(builder: &mut X509Builder, places: Places<'_>, policies: &[String], more: &[Extension]) -> Result<(), ErrorStack> {
    if let Some(url) = places.crl {
        builder.append_extension(extension("2.5.29.31", false, &crl_point(url).unwrap_or_default())?)?;
    }
    if places.ocsp.is_some() || places.issuer.is_some() {
        builder.append_extension(extension("1.3.6.1.5.5.7.1.1", false, &access(&places).unwrap_or_default())?)?;
    }
    if !policies.is_empty() {
        builder.append_extension(extension("2.5.29.32", false, &asserted(policies).unwrap_or_default())?)?;
    }
    for more in more {
        builder.append_extension(extension(more.id, more.critical, &more.value)?)?;
    }
    Ok(())
}

fn extension(id: &str, critical: bool, value: &[u8]) -> Result<X509Extension, ErrorStack> {
    X509Extension::new_from_der(&*Asn1Object::from_str(id)?, critical, &*Asn1OctetString::new_from_bytes(value)?)
}

/// CRLDistributionPoints with one URL (RFC 5280 4.2.1.13).
fn crl_point(url: &str) -> der::Result<Vec<u8>> {
    let name = der::tlv(der::explicit(0), &[&der::tlv(der::implicit(6), &[url.as_bytes()])?])?;
    der::sequence(&[&der::sequence(&[&der::tlv(der::explicit(0), &[&name])?])?])
}

/// AuthorityInfoAccess (RFC 5280 4.2.2.1).
fn access(places: &Places<'_>) -> der::Result<Vec<u8>> {
    const OCSP: der::ObjectIdentifier = der::ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1");
    const ISSUERS: der::ObjectIdentifier = der::ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.2");
    let mut all = Vec::new();
    for (method, url) in [(OCSP, places.ocsp), (ISSUERS, places.issuer)] {
        if let Some(url) = url {
            all.extend(der::sequence(&[&der::oid(method)?, &der::tlv(der::implicit(6), &[url.as_bytes()])?])?);
        }
    }
    der::sequence(&[&all])
}

/// CertificatePolicies without qualifiers (RFC 5280 4.2.1.4).
fn asserted(policies: &[String]) -> der::Result<Vec<u8>> {
    let mut all = Vec::new();
    for policy in policies {
        all.extend(der::sequence(&[&der::oid(der::ObjectIdentifier::new(policy)?)?])?);
    }
    der::sequence(&[&all])
}

fn time(at: Timestamp) -> Result<Asn1Time, ErrorStack> {
    Asn1Time::from_unix(at.micros().div_euclid(1_000_000))
}

/// A common name has at most 64 characters (RFC 5280 A.1).
fn common_name(text: &str) -> String {
    text.chars().take(64).collect()
}

fn key_pem(key: &PKey<Private>) -> Result<String, TrustError> {
    let pem = key.private_key_to_pem_pkcs8().map_err(TrustError::crypto("encode a key"))?;
    String::from_utf8(pem).map_err(|error| TrustError::malformed("the key", error))
}
