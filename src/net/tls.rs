//! TLS set-up: one place that says which protocol versions, whose authority and which name.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    pin::Pin,
};

use openssl::{
    asn1::Asn1Time,
    bn::{BigNum, MsbOption},
    ec::{EcGroup, EcKey},
    error::ErrorStack,
    hash::MessageDigest,
    nid::Nid,
    pkey::PKey,
    ssl::{Ssl, SslAcceptor, SslConnector, SslConnectorBuilder, SslFiletype, SslMethod, SslVerifyMode, SslVersion},
    x509::{
        X509, X509NameBuilder,
        extension::{BasicConstraints, SubjectAlternativeName},
        store::X509StoreBuilder,
    },
};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use super::{gather::Gather, stream::Stream};

/// What went wrong with TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read.
    #[error("could not read {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file holds no certificate.
    #[error("{} holds no PEM certificate", .0.display())]
    NoCertificate(PathBuf),
    /// OpenSSL refused the settings.
    #[error("could not set up TLS ({what})")]
    SetUp {
        /// Doing what.
        what: &'static str,
        /// Why.
        source: ErrorStack,
    },
    /// The handshake failed; `why` says what about the certificate, if it was that.
    #[error("TLS handshake with {host} failed: {why}")]
    Handshake {
        /// With whom.
        host: String,
        /// Why, in OpenSSL's words.
        why: String,
    },
}

fn set_up(what: &'static str) -> impl FnOnce(ErrorStack) -> TlsError {
    move |source| TlsError::SetUp { what, source }
}

/// What a client shows and whom it believes.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClientFiles<'a> {
    /// PEM file of authorities; the system's own when absent. When present only these count.
    pub ca: Option<&'a Path>,
    /// PEM certificate chain and PEM key we show when asked.
    pub identity: Option<(&'a Path, &'a Path)>,
}

/// The client side of TLS; cheap to clone.
#[derive(Clone)]
pub struct ClientTls {
    connector: SslConnector,
    verify_name: bool,
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTls").field("verified", &self.verify_name).finish_non_exhaustive()
    }
}

fn client() -> Result<SslConnectorBuilder, TlsError> {
    let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(set_up("client"))?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_2)).map_err(set_up("protocol version"))?;
    // Asks the system for as much as there is, not for a record's five octets and then for the record.
    builder.set_read_ahead(true);
    Ok(builder)
}

impl ClientTls {
    /// A client that verifies chain and host name; TLS 1.2 or newer.
    pub fn verified(files: ClientFiles<'_>) -> Result<Self, TlsError> {
        let mut builder = client()?;
        if let Some(path) = files.ca {
            let mut store = X509StoreBuilder::new().map_err(set_up("trust store"))?;
            for certificate in read_certificates(path)? {
                store.add_cert(certificate).map_err(set_up("trust store"))?;
            }
            builder.set_cert_store(store.build());
        }
        if let Some((chain, key)) = files.identity {
            for path in [chain, key] {
                fs::metadata(path).map_err(|source| TlsError::File { path: path.to_owned(), source })?;
            }
            builder.set_certificate_chain_file(chain).map_err(set_up("client certificate"))?;
            builder.set_private_key_file(key, SslFiletype::PEM).map_err(set_up("client key"))?;
            builder.check_private_key().map_err(set_up("client key does not fit its certificate"))?;
        }
        Ok(Self { connector: builder.build(), verify_name: true })
    }

    /// A client that encrypts but believes any certificate: for mail exchangers, whose certificates nobody signs
    /// (RFC 7435). What is sent this way is protected by its own encryption.
    pub fn opportunistic() -> Result<Self, TlsError> {
        let mut builder = client()?;
        builder.set_verify(SslVerifyMode::NONE);
        Ok(Self { connector: builder.build(), verify_name: false })
    }

    /// Shakes hands with `host` over `tcp`.
    pub async fn connect(&self, host: &str, tcp: TcpStream) -> Result<Stream, TlsError> {
        let mut configuration = self.connector.configure().map_err(set_up("client"))?;
        configuration.set_verify_hostname(self.verify_name);
        // RFC 6066 3: no literal addresses in SNI.
        configuration.set_use_server_name_indication(host.parse::<IpAddr>().is_err());
        let ssl = configuration.into_ssl(host).map_err(set_up("host name"))?;
        let mut stream = SslStream::new(ssl, Gather::new(tcp)).map_err(set_up("client"))?;
        if let Err(error) = Pin::new(&mut stream).connect().await {
            let verdict = stream.ssl().verify_result();
            let why = if verdict == openssl::x509::X509VerifyResult::OK || !self.verify_name {
                error.to_string()
            } else {
                verdict.error_string().to_owned()
            };
            return Err(TlsError::Handshake { host: host.to_owned(), why });
        }
        Ok(Stream::Tls(Box::new(stream)))
    }
}

/// The PEM certificates in `path`, at least one.
pub(crate) fn read_certificates(path: &Path) -> Result<Vec<X509>, TlsError> {
    let pem = fs::read(path).map_err(|source| TlsError::File { path: path.to_owned(), source })?;
    match X509::stack_from_pem(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(TlsError::NoCertificate(path.to_owned())),
    }
}

/// The server side of TLS; cheap to clone.
#[derive(Clone)]
pub struct ServerTls(SslAcceptor);

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

impl ServerTls {
    /// A server that shows the PEM chain `certificate` with the PEM `key`. With `client_ca` (PEM) a client must show a
    /// certificate of that authority.
    pub fn new(certificate: &[u8], key: &[u8], client_ca: Option<&[u8]>) -> Result<Self, TlsError> {
        let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).map_err(set_up("server"))?;
        let mut chain = X509::stack_from_pem(certificate).map_err(set_up("server certificate"))?.into_iter();
        if let Some(own) = chain.next() {
            builder.set_certificate(&own).map_err(set_up("server certificate"))?;
        }
        for above in chain {
            builder.add_extra_chain_cert(above).map_err(set_up("server certificate chain"))?;
        }
        let key = PKey::private_key_from_pem(key).map_err(set_up("server key"))?;
        builder.set_private_key(&key).map_err(set_up("server key"))?;
        builder.check_private_key().map_err(set_up("server key does not fit its certificate"))?;
        if let Some(pem) = client_ca {
            let mut store = X509StoreBuilder::new().map_err(set_up("client authorities"))?;
            for certificate in X509::stack_from_pem(pem).map_err(set_up("client authorities"))? {
                store.add_cert(certificate).map_err(set_up("client authorities"))?;
            }
            builder.set_verify_cert_store(store.build()).map_err(set_up("client authorities"))?;
            builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
        }
        Ok(Self(builder.build()))
    }

    /// Shakes hands over `tcp`.
    pub async fn accept(&self, tcp: TcpStream) -> Result<Stream, TlsError> {
        let ssl = Ssl::new(self.0.context()).map_err(set_up("server"))?;
        let mut stream = SslStream::new(ssl, Gather::new(tcp)).map_err(set_up("server"))?;
        match Pin::new(&mut stream).accept().await {
            Ok(()) => Ok(Stream::Tls(Box::new(stream))),
            Err(error) => Err(TlsError::Handshake { host: "the client".to_owned(), why: error.to_string() }),
        }
    }
}

/// A certificate and its key, both PEM.
#[derive(Clone)]
pub struct PemPair {
    /// The certificate.
    pub certificate: Vec<u8>,
    /// Its private key.
    pub key: Vec<u8>,
}

impl std::fmt::Debug for PemPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PemPair(..)")
    }
}

/// A self-signed certificate for `names` (host names or addresses; the first is the subject) and a fresh P-256 key: what
/// a laboratory server shows. It may serve as its own authority. Valid from now for `days`.
pub fn self_signed(names: &[&str], days: u32) -> Result<PemPair, TlsError> {
    build_self_signed(names, days).map_err(set_up("self-signed certificate"))
}

fn build_self_signed(names: &[&str], days: u32) -> Result<PemPair, ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(Nid::COMMONNAME, names.first().copied().unwrap_or("localhost"))?;
    let name = name.build();
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::MAYBE_ZERO, false)?;

    let mut certificate = X509::builder()?;
    certificate.set_version(2)?;
    certificate.set_serial_number(&*serial.to_asn1_integer()?)?;
    certificate.set_subject_name(&name)?;
    certificate.set_issuer_name(&name)?;
    certificate.set_not_before(&*Asn1Time::days_from_now(0)?)?;
    certificate.set_not_after(&*Asn1Time::days_from_now(days)?)?;
    certificate.set_pubkey(&key)?;
    certificate.append_extension(BasicConstraints::new().critical().ca().build()?)?;
    let mut alternative = SubjectAlternativeName::new();
    for name in names {
        if name.parse::<IpAddr>().is_ok() {
            alternative.ip(name)
        } else {
            alternative.dns(name)
        };
    }
    let extension = alternative.build(&certificate.x509v3_context(None, None))?;
    certificate.append_extension(extension)?;
    certificate.sign(&key, MessageDigest::sha256())?;
    Ok(PemPair { certificate: certificate.build().to_pem()?, key: key.private_key_to_pem_pkcs8()? })
}
