//! Whose certificate it is and why it is believed.
//!
//! Five checks, none optional (Applicability Statement 4): dates, key and key usage, binding to the expected address or
//! domain, a signature path to an anchor, revocation. [`choose`] makes them for sending, `seal::open` for receiving.

/// A small certificate authority for the sandbox and for tests.
pub mod authority;
/// Bundles of trust anchors.
pub mod bundle;
/// A certificate that was read, and one that was checked for sealing.
pub mod certificate;
/// Every check by itself, for people.
pub mod checklist;
/// What can be told from one certificate alone.
pub mod checks;
/// A certificate in words.
pub mod describe;
/// Finding the certificates of a recipient.
pub mod discovery;
mod error;
/// Our own certificates and keys.
pub mod identity;
/// Asking issuers for what they publish.
pub mod inquiry;
/// The signature path to an anchor.
pub mod path;
/// Where a certificate says that more can be learnt.
pub mod pointers;
/// RSASSA-PSS: which parameters count.
pub mod pss;
/// Being found: DNS records and LDAP entries of our own certificates.
pub mod publish;
/// Revocation lists and OCSP answers: which of them count, and what they say.
pub mod revocation;
mod sealable;
mod signed;
/// What is taken when certificates are imported.
pub mod taking;

pub use certificate::Certificate;
pub use checklist::checklist;
pub use discovery::Discovery;
pub use error::TrustError;
pub use inquiry::{Gathered, Inquirer};
pub use path::Anchors;
pub use revocation::{Answers, Crls, Revocation, Sourceless};
pub use sealable::{Policy, RecipientCertificate, Trusted, believe, choose};
