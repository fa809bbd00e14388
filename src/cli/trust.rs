//! `postern trust`: whom an organization believes, and whose certificates it has been given.

/// Bundles of anchors.
mod bundles;
/// What DNS and LDAP said lately.
mod cache;
/// Our own certificates and keys.
mod identities;
/// Reading and judging what is imported.
mod import;
/// What recipient domains have shown.
mod peers;
/// What to put into DNS or LDAP.
mod publish;
/// What issuers published.
pub(super) mod revocation;
/// Lists and removal.
mod shelf;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{
    Exit,
    context::{Global, Output, Whose},
};
use crate::{domain::DirectAddress, store::trust::AnchorUse};

/// Trust: anchors and bundles of them, certificates of recipients, our own certificates and keys
#[derive(Debug, Args)]
pub(crate) struct Trust {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Authorities an organization believes, and those that help to build paths
    #[command(subcommand)]
    Anchors(Anchors),
    /// Sets of anchors that somebody else keeps, fetched again and again
    #[command(subcommand)]
    Bundles(bundles::Bundles),
    /// Certificates of recipients that an organization was given
    #[command(subcommand)]
    Certificates(Certificates),
    /// Certificates and keys that our own addresses sign and decrypt with
    #[command(subcommand)]
    Identities(identities::Identities),
    /// What recipient domains have shown they can open
    #[command(subcommand)]
    Peers(peers::Peers),
    /// What DNS and LDAP said about recipients' certificates lately
    #[command(subcommand)]
    Cache(cache::Cache),
    /// Print the DNS records and LDAP entries by which others find our certificates
    ///
    /// Peers answer us only when they find them. Exit code 1 when an identity has no certificate that can be published.
    Publish(publish::Publish),
    /// Revocation lists and what else issuers publish, as it was fetched for all organizations
    #[command(subcommand)]
    Revocation(Revocation),
}

#[derive(Debug, Subcommand)]
enum Revocation {
    /// List what was fetched: how old it is, and what did not answer
    ///
    /// Exit code 1 when a list that was needed lately is out of date or could not be had yet.
    List(ListStatements),
    /// Fetch every list anew, now; deliveries go by the new ones within seconds
    ///
    /// Exit code 1 when one could not be had; what was had before stays.
    Refresh(RefreshStatements),
}

#[derive(Debug, Args)]
struct ListStatements {
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
struct RefreshStatements {
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum Anchors {
    /// Import authorities; the same twice is one
    ///
    /// Exit code 1 when one was refused; the others are imported all the same.
    Import(ImportAnchors),
    /// List them, with their last day
    List(List),
    /// Remove one by its fingerprint
    Remove(Remove),
}

#[derive(Debug, Subcommand)]
enum Certificates {
    /// Import certificates under every address and domain they name; the same twice is one
    ///
    /// Authorities that come along in a file are left out: import them as anchors or intermediates. Exit code 1 when a
    /// certificate was refused because it can never be used; the others are imported all the same.
    Import(ImportCertificates),
    /// List them, with their last day
    List(List),
    /// Remove one, under every name, by its fingerprint
    Remove(Remove),
}

#[derive(Debug, Args)]
struct ImportAnchors {
    /// Whose policy believes them
    #[arg(long, value_name = "SLUG")]
    organization: String,
    /// They help to build paths but are not believed by themselves
    #[arg(long)]
    intermediate: bool,
    /// For sealing to recipients (send), for mail that comes in (receive), or both; the last word counts
    #[arg(long = "use", value_name = "USE", default_value_t = AnchorUse::Both)]
    used_for: AnchorUse,
    /// PEM (any number of certificates) or DER
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
struct ImportCertificates {
    /// Who sends to them
    #[arg(long, value_name = "SLUG")]
    organization: String,
    /// PEM (any number of certificates) or DER
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Import them for this address alone, which they must be bound to
    #[arg(long, value_name = "ADDRESS")]
    pin: Option<DirectAddress>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
struct Remove {
    /// Whose it is
    #[arg(long, value_name = "SLUG")]
    organization: String,
    /// SHA-256, hexadecimal; the first 8 digits or more are enough when they mean one
    fingerprint: String,
}

/// The two shelves certificates are kept on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shelf {
    Anchors,
    Certificates,
}

pub(crate) fn run(trust: &Trust, global: &Global) -> anyhow::Result<Exit> {
    match &trust.command {
        Command::Anchors(Anchors::Import(args)) => import::anchors(args, global),
        Command::Anchors(Anchors::List(args)) => shelf::list(args, Shelf::Anchors, global),
        Command::Anchors(Anchors::Remove(args)) => shelf::remove(args, Shelf::Anchors, global),
        Command::Bundles(command) => bundles::run(command, global),
        Command::Identities(command) => identities::run(command, global),
        Command::Peers(command) => peers::run(command, global),
        Command::Certificates(Certificates::Import(args)) => import::certificates(args, global),
        Command::Certificates(Certificates::List(args)) => shelf::list(args, Shelf::Certificates, global),
        Command::Certificates(Certificates::Remove(args)) => shelf::remove(args, Shelf::Certificates, global),
        Command::Cache(cache) => cache::run(cache, global),
        Command::Publish(args) => publish::run(args, global),
        Command::Revocation(Revocation::List(args)) => revocation::list(args, global),
        Command::Revocation(Revocation::Refresh(args)) => revocation::refresh(args, global),
    }
}
