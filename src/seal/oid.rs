//! Object identifiers of CMS and its algorithms.

use crate::crypto::der::ObjectIdentifier as Oid;

const fn oid(text: &str) -> Oid {
    Oid::new_unwrap(text)
}

// Content types (RFC 5652, RFC 5083).
pub(super) const DATA: Oid = oid("1.2.840.113549.1.7.1");
pub(super) const SIGNED_DATA: Oid = oid("1.2.840.113549.1.7.2");
pub(super) const ENVELOPED_DATA: Oid = oid("1.2.840.113549.1.7.3");
pub(super) const AUTH_ENVELOPED_DATA: Oid = oid("1.2.840.113549.1.9.16.1.23");

// Attributes (RFC 5652 11, RFC 8551 2.5.2).
pub(super) const CONTENT_TYPE: Oid = oid("1.2.840.113549.1.9.3");
pub(super) const MESSAGE_DIGEST: Oid = oid("1.2.840.113549.1.9.4");
pub(super) const SIGNING_TIME: Oid = oid("1.2.840.113549.1.9.5");
pub(super) const SMIME_CAPABILITIES: Oid = oid("1.2.840.113549.1.9.15");

// Digests (RFC 5754).
pub(super) const SHA1: Oid = oid("1.3.14.3.2.26");
pub(super) const SHA256: Oid = oid("2.16.840.1.101.3.4.2.1");
pub(super) const SHA384: Oid = oid("2.16.840.1.101.3.4.2.2");
pub(super) const SHA512: Oid = oid("2.16.840.1.101.3.4.2.3");

// Signatures (RFC 5754, RFC 5753).
pub(super) const RSA: Oid = oid("1.2.840.113549.1.1.1");
pub(super) const SHA256_RSA: Oid = oid("1.2.840.113549.1.1.11");
pub(super) const SHA384_RSA: Oid = oid("1.2.840.113549.1.1.12");
pub(super) const SHA512_RSA: Oid = oid("1.2.840.113549.1.1.13");
pub(super) const ECDSA_SHA256: Oid = oid("1.2.840.10045.4.3.2");
pub(super) const ECDSA_SHA384: Oid = oid("1.2.840.10045.4.3.3");
pub(super) const ECDSA_SHA512: Oid = oid("1.2.840.10045.4.3.4");

// Key transport and agreement (RFC 4055, RFC 5753, RFC 3394).
pub(super) const RSA_OAEP: Oid = oid("1.2.840.113549.1.1.7");
pub(super) const MGF1: Oid = oid("1.2.840.113549.1.1.8");
pub(super) const P_SPECIFIED: Oid = oid("1.2.840.113549.1.1.9");
pub(super) const EC_PUBLIC_KEY: Oid = oid("1.2.840.10045.2.1");
pub(super) const ECDH_SHA1_KDF: Oid = oid("1.3.133.16.840.63.0.2");
pub(super) const ECDH_SHA256_KDF: Oid = oid("1.3.132.1.11.1");
pub(super) const ECDH_SHA384_KDF: Oid = oid("1.3.132.1.11.2");
pub(super) const ECDH_SHA512_KDF: Oid = oid("1.3.132.1.11.3");
pub(super) const AES128_WRAP: Oid = oid("2.16.840.1.101.3.4.1.5");
pub(super) const AES192_WRAP: Oid = oid("2.16.840.1.101.3.4.1.25");
pub(super) const AES256_WRAP: Oid = oid("2.16.840.1.101.3.4.1.45");

// Content ciphers (RFC 3565, RFC 5084).
pub(super) const AES128_CBC: Oid = oid("2.16.840.1.101.3.4.1.2");
pub(super) const AES192_CBC: Oid = oid("2.16.840.1.101.3.4.1.22");
pub(super) const AES256_CBC: Oid = oid("2.16.840.1.101.3.4.1.42");
pub(super) const AES128_GCM: Oid = oid("2.16.840.1.101.3.4.1.6");
pub(super) const AES192_GCM: Oid = oid("2.16.840.1.101.3.4.1.26");
pub(super) const AES256_GCM: Oid = oid("2.16.840.1.101.3.4.1.46");
