//! What comes back: our own SMTP door, and the mailboxes of a HISP.

mod edge_hisp;
mod imap;
mod smtp_in;

use postern::{
    domain::{IdentityId, OrgId, organization::SendMode},
    store::{inbound::Addressee, organization::NewIdentity},
    track::arrivals::OwnAddress,
};

use crate::store::{make, world::World};

/// The edge identity everything here comes for.
const RESULTS: &str = "results@lab.example";
/// Its mailbox password.
const PASSWORD: &str = "correct horse";

/// An address of the installation itself, with a mailbox at the relay `hisp`.
const OWN: &str = "results@gateway.example";

/// That address, as the ways in know it.
fn own() -> OwnAddress {
    let addressee = Addressee { org: None, identity: IdentityId::new(), address: OWN.parse().unwrap() };
    OwnAddress { addressee, relay: Some("hisp".to_owned()), password: Some(PASSWORD.into()) }
}

/// An organization with the edge identity [`RESULTS`], whose HISP is the relay `hisp`.
async fn enrolled(world: &World, slug: &str, address: &str) -> OrgId {
    let identity = NewIdentity {
        address: address.parse().unwrap(),
        mode: SendMode::Edge,
        relay: Some("hisp".to_owned()),
        certificate: None,
        secret: Some(PASSWORD.as_bytes().to_vec().into()),
    };
    world.store.apply_organization(&make::organization(slug), &[identity]).await.unwrap()
}

/// What is kept, as `identity way channel from to`, oldest first.
async fn kept(world: &World) -> Vec<String> {
    world
        .texts("SELECT identity || ' ' || way || ' ' || channel || ' ' || COALESCE(envelope_from, '<>') || ' ' || envelope_to FROM inbound ORDER BY id")
        .await
}

/// The messages themselves, opened.
async fn messages(world: &World) -> Vec<Vec<u8>> {
    let claimed = world.store.claim_inbound(&make::lease(), 100).await.unwrap();
    claimed.into_iter().map(|claimed| claimed.mail.raw).collect()
}
