//! What happened, told to programs of others: a signed POST as Standard Webhooks 1.0.0 has it.
//!
//! [`sign`] is pure; [`post`] sends under the rules of the guarded fetch and says what became of it. When it is tried again is
//! not decided here.

/// One POST and what became of it.
pub mod post;
/// Signatures and their secrets.
pub mod sign;

pub use post::{Answer, Post, post, rules};
pub use sign::{SigningSecret, sign};
