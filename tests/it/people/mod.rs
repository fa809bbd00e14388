//! People and programs: who gets in, what they may do, and what goes on record.

/// On both engines, where no role must set codes up first.
macro_rules! shown {
    ($(async fn $name:ident($world:ident: &World) $body:block)+) => {$(
        mod $name {
            use super::*;

            async fn check($world: &World) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                check(&World::without_codes(crate::store::world::World::sqlite().await).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                check(&World::without_codes(crate::store::world::World::postgres().await).await).await;
            }
        }
    )+};
}

mod access;
mod audit;
mod biller;
mod confined;
mod correcting;
mod deciding;
mod fees;
mod following;
mod forms;
mod gates;
mod large;
mod loading;
mod markup;
#[cfg(feature = "oidc")]
mod oidc;
mod organizations;
mod pages;
mod programs;
mod rights;
mod sessions;
mod sign_in;
mod tokens;
mod trust;
pub(crate) mod world;
