//! Postern: a results gateway.
//!
//! A diagnostics organization finishes an exam; the result is a PDF report. Postern finds who must receive it, wraps it
//! in a C-CDA Unstructured Document, seals it as a Direct message, hands it over by SMTP, and keeps a fee ledger.
//!
//! The tour, in the order a result walks through the rooms (tools first). Who may know whom is checked by
//! `tests/it/rooms.rs`.

/// What things are: types and pure rules; no I/O, no async, no clock.
pub mod domain;

/// Hashes, AEAD, keyed hashes, base64 lines, DER; any step may use it.
pub mod crypto;
/// TLS set-up, DNS, guarded fetch; any step may use it.
pub mod net;

/// Step 1: completed results and orders come in, exactly once.
pub mod source;

/// Step 2: who must get it, and why.
pub mod resolve;

/// Step 3: PDF checks and the C-CDA Unstructured Document.
pub mod document;

/// Step 4: the inner mail, sign, encrypt; open what comes back.
pub mod seal;
/// Whose certificate it is and why it is believed.
pub mod trust;

/// Step 5: the three send modes; one SMTP conversation with a deadline for each phase.
pub mod send;

/// Step 6: what became of every message.
pub mod track;

/// Step 7: prices, the ledger and fee reports.
pub mod bill;

/// The only room that knows the order of the steps.
pub mod pipeline;

/// The only room with SQL.
pub mod store;

/// The HTTP door: the JSON API, health and metrics.
pub mod web;

/// One thin file for each command.
pub mod cli;

/// A practice HISP for the demo, the tests and an integrator's laptop.
pub mod sandbox;

/// The installation's configuration.
pub mod config;

/// Typed events, redaction, the system clock, health.
pub mod observe;
