//! A practice HISP: what a real one does at the other end of each send mode, and the failures a real one cannot be asked for.
//!
//! It has four doors, each a TLS SMTP server:
//!
//! | door | for | asks for |
//! | --- | --- | --- |
//! | relay | `sta_relay` | STARTTLS, then a login; takes sealed messages for anybody |
//! | edge | `edge` | STARTTLS, then a login that must be the sender; takes clear messages |
//! | mx | `sta_mx` | nothing; offers STARTTLS with its self-signed certificate; takes sealed messages |
//! | bad_tls | drills | STARTTLS with a certificate for another name |
//!
//! What it accepts is on disk (fsynced) before it says 250: one folder for each recipient, see [`mailbox`]. Sealed messages
//! are opened and verified by the [`Opener`] it is given; the result is kept beside what arrived.
//!
//! Any address works. Some local parts choose a failure, see [`mishap`]: `slow`, `450`, `550`, `full`, `tarpit`,
//! `dropdata`, `lostreply`, `latereply` ... With a [`Desk`] it answers with notices, which the address chooses too, see
//! [`answers`]: `nomdn`, `processedonly`, `failed`, `delayed` ...

/// What the receiving side says, chosen by the address.
pub mod answers;
/// Where the notices are written.
pub mod desk;
/// What an opened message encloses.
pub mod enclosed;
/// What arrived, on disk.
pub mod mailbox;
/// Failures chosen by the address.
pub mod mishap;
/// The PDF inside a delivered message.
pub mod pdf;
/// Keys: an authority, certificates, the opening of what arrives.
pub mod practice;
/// Reports to practise with: real PDFs about patients who do not exist.
pub mod report_pdf;
/// The doors and who may come in.
pub mod server;
mod session;
/// A server that takes everything and keeps nothing, for measuring.
pub mod sink;
/// The made-up organizations, orders and results of the demo.
pub mod story;

pub use desk::Desk;
pub use mailbox::Mailboxes;
pub use server::{Hisp, HispSettings, Ports};

use crate::domain::DirectAddress;

/// Opens a sealed message: decrypts it with the recipient's key and verifies who signed it.
pub trait Opener: Send + Sync + 'static {
    /// The inner message, or in one sentence why there is none.
    fn open(&self, recipient: &DirectAddress, message: &[u8]) -> Result<Vec<u8>, String>;
}

/// Takes the message as it is: for the edge door, and where no keys are at hand.
#[derive(Debug, Clone, Copy, Default)]
pub struct AsItIs;

impl Opener for AsItIs {
    fn open(&self, _: &DirectAddress, message: &[u8]) -> Result<Vec<u8>, String> {
        Ok(message.to_vec())
    }
}
