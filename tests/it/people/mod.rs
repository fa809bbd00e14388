//! People and programs: who gets in, what they may do, and what goes on record.

mod audit;
mod fees;
mod forms;
mod large;
#[cfg(feature = "oidc")]
mod oidc;
mod pages;
mod rights;
mod sessions;
mod sign_in;
mod tokens;
pub(crate) mod world;
