//! The store's promises, each kept on both engines: a journey is written once and runs as `...::sqlite` and
//! `...::postgres`.

/// Runs each journey on an empty SQLite file and on an empty PostgreSQL database of its own.
macro_rules! on_both_engines {
    ($($(#[$meta:meta])* async fn $name:ident($world:ident: &World) $journey:block)+) => {$(
        mod $name {
            use super::*;

            $(#[$meta])*
            async fn journey($world: &World) $journey

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                journey(&World::sqlite().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                journey(&World::postgres().await).await;
            }
        }
    )+};
}

pub(crate) mod make;
pub(crate) mod world;

mod at_rest;
pub(crate) mod billing;
mod bundles;
mod cancel;
mod changes;
mod choice;
mod directory;
mod group_commit;
mod heads;
mod identity_keys;
pub(crate) mod inbound;
mod intake;
mod interleaved;
mod leases;
mod ledger;
mod leftover;
mod load;
mod million;
mod moves;
mod peers;
mod places;
mod prices;
mod queue;
mod reconciling;
mod records;
mod schema;
mod statements;
mod tasks;
mod tenants;
mod totals;
mod versions;
