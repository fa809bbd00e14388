//! Journeys through the real thing, and checks of the repository itself: one binary, which links once.
//!
//! `cfg(test)` tells the linter that `expect` is at home in all of this: a journey that cannot go on has failed.
#![cfg(test)]

mod admin;
mod api;
mod arrivals;
mod bad_input;
mod cli;
mod crash;
mod demo;
mod directory;
mod discovery;
mod docs;
mod document;
mod feed;
mod folder;
mod hostile;
mod keys;
mod load;
mod pipeline;
mod revocation;
mod rooms;
mod routing;
mod seal;
mod send;
mod soak;
mod stewards;
#[macro_use]
mod store;
mod alerts;
mod events;
mod openapi;
mod people;
mod support;
mod track;
mod uploads;
mod workers;
mod xdm;
