//! FHIR R4 resources as directories write them: the guides of US Core (`telecom` marked as Direct), NDH and its bulk files
//! (PractitionerRole with `Endpoint`), and mCSD (Organization and OrganizationAffiliation with `Endpoint`).
//!
//! Only what leads from an NPI to a Direct address is read; a reference is followed one step and never further, so resources
//! that refer to each other in a circle cost nothing.

/// Direct endpoints, kept small.
mod endpoints;
/// Files: one resource, a Bundle, or NDJSON.
pub mod file;
/// Putting resources together.
pub mod graph;
/// Organizations, kept small.
mod practices;
/// The shapes, as far as they matter here.
pub mod resource;

pub use graph::Graph;
pub use resource::Resource;
