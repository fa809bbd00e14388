//! Asking issuers: lists, answers and missing issuers from real HTTP servers, and OpenSSL as the independent judge.

pub(crate) mod guarded;
pub(crate) mod issuer;
pub(crate) mod world;

mod agreement;
mod answers;
mod doctor;
mod hostile;
mod issuers;
mod lists;
mod sending;
