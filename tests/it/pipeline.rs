//! The pipeline with everything real around it, in this process, so that a test can hold its clock.

mod defects;
mod directory;
mod discovery;
mod doubts;
mod fair;
mod identities;
mod routes;
mod world;
