//! `postern token`.

use super::world::{World, org};

#[tokio::test]
async fn a_token_lets_in_until_it_is_revoked_and_stands_nowhere() {
    let world = World::with("slug = \"north\"\nname = \"North\"\n");
    let made = world.good(&["token", "create", "--organization", "north", "--name", "lab", "--ignore-unknown"]);
    let token = made.out.trim_end();
    assert!(token.starts_with("pt_") && !token.contains(char::is_whitespace), "{token}");
    let store = world.store().await;
    let holder = store.token_holder(token).await.unwrap().unwrap();
    assert_eq!((holder.org, holder.ignore_unknown), (Some(org(&store, "north").await), true));
    let file = std::fs::read(world.path("postern.db")).unwrap();
    assert!(!file.windows(token.len()).any(|part| part == token.as_bytes()));

    world.good(&["token", "revoke", "--organization", "north", "--name", "lab"]);
    assert!(store.token_holder(token).await.unwrap().is_none());
    world.bad(&["token", "revoke", "--organization", "north", "--name", "lab"]);
    assert_eq!(world.run(&["token", "create", "--organization", "south"]).code, 2);
}
