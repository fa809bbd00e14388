//! Step 6: what became of every message.
//!
//! A [`Notice`] is read tolerantly ([`mdn`], [`dsn`]), because peers fold, space and capitalize as they like; and believed
//! strictly ([`matching`]): it must name our message and its recipient, and come from where it must. [`deadlines`] watches
//! the clock by which silence is judged; [`reply`] writes the notices that we owe to others.

/// The end of both ways in.
pub mod arrivals;
/// Whether the clock by which silence is judged can be believed.
pub mod deadlines;
mod dsn;
/// How an event is told.
pub mod event;
mod fields;
/// The mailboxes of a HISP.
pub mod imap;
/// Whether a notice counts for a delivery.
pub mod matching;
mod mdn;
/// MDNs and DSNs.
pub mod notice;
/// Mail of strangers, parsed.
pub mod parsed;
/// The delivery receipt of an existing interface.
pub mod receipt;
/// The notices that we send back.
pub mod reply;
/// Our own SMTP door.
pub mod smtp_in;
/// What happened, told to programs of others: signed, by POST.
pub mod webhook;

pub use arrivals::Arrivals;
pub use deadlines::ClockWatch;
pub use matching::{Doubt, Sent, Voucher, believe};
pub use notice::{About, Form, Notice};
