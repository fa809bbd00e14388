//! `postern directory`: load the directory of addresses, look at its loads, and ask it.

/// `postern directory import`.
mod import;
/// What files are imported, and in what parts.
mod jobs;
/// `postern directory list` and `rollback`.
mod list;
/// `postern directory lookup`.
mod lookup;
/// What an organization has decided about addresses.
pub(in crate::cli) mod pins;

use clap::{Args, Subcommand};

use super::{Exit, context::Global};

/// The directory of Direct addresses: load it, look at it, ask it, decide what it leaves open
#[derive(Debug, Args)]
pub(crate) struct Directory {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Import(import::Import),
    List(list::List),
    Lookup(lookup::Lookup),
    Rollback(list::Rollback),
    Pin(pins::PinArgs),
    Unpin(pins::Unpin),
    Suppress(pins::Suppress),
    Unsuppress(pins::Unsuppress),
    Pins(pins::Pins),
}

pub(crate) fn run(directory: &Directory, global: &Global) -> anyhow::Result<Exit> {
    match &directory.command {
        Command::Import(import) => import::run(import, global),
        Command::List(list) => list::run(list, global),
        Command::Lookup(lookup) => lookup::run(lookup, global),
        Command::Rollback(rollback) => list::roll_back(rollback, global),
        Command::Pin(args) => pins::pin(args, global),
        Command::Unpin(args) => pins::unpin(args, global),
        Command::Suppress(args) => pins::suppress(args, global),
        Command::Unsuppress(args) => pins::unsuppress(args, global),
        Command::Pins(args) => pins::pins(args, global),
    }
}
