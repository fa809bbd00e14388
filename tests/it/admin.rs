//! The operator's shell: organizations, tokens, the directory, trust, deliveries and fees.

mod billing;
mod decisions;
mod directory;
mod explain;
mod fees;
mod ledger_out;
mod operations;
mod organizations;
mod parked;
mod revocation;
mod submit;
mod tampering;
mod test_message;
mod tokens;
mod trust;
pub(crate) mod world;
