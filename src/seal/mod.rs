//! Step 4: the inner mail, sign, encrypt; and open what comes back.
//!
//! A Direct message has four layers (RFC 8551, ANSI/DS 2019-01-100-2021): the inner message is *wrapped* whole as
//! `message/rfc822`, *signed* detached, *encrypted*, and put under outer headers that say nothing about the patient.

mod agree;
mod ber;
mod body;
mod context;
mod decrypt;
mod describe;
mod encrypt;
mod entity;
/// One message sealed to one recipient.
pub mod envelope;
mod error;
/// The primitives sealing is measured against.
pub mod floor;
/// The inner message composed for a result.
pub mod letter;
mod mime;
mod oid;
/// Decrypt, verify, unwrap.
pub mod open;
mod outer;
mod shown;
mod sign;
mod token;
mod verify;

pub use crate::domain::profile::{Cipher, KeyTransport, Profile};
pub use body::Facts;
pub use context::{Category, Context};
pub use decrypt::{Own, OwnKey};
pub use describe::{describe_cms, describe_message};
pub use envelope::{Seal, Sealed, Sealer};
pub use error::{OpenError, SealError};
pub use letter::{Enclosed, Letter};
pub use open::{Opening, Presented, Verified, open, presented, unproven};
pub use outer::{Inner, Outer};
pub use shown::shown;
pub use sign::{KeySigner, Signer, read_key};
pub use token::{TokenSigner, belongs};

use decrypt::Decrypted;
