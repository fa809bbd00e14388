//! The API as it is described, held against what it answers; and other organizations' ids at every route of it.

mod answers;
mod held;
mod quick_start;
mod tenants;

use std::collections::BTreeSet;

use postern::web::{api::openapi, routes};

use crate::people::world::World;

#[tokio::test]
async fn every_route_of_the_api_is_described_and_nothing_else_is() {
    let world = World::sqlite().await;
    let name = |method: &reqwest::Method, path: &str| format!("{method} {path}");
    let (_, named) = routes(&world.web);
    let routed: BTreeSet<String> =
        named.iter().filter(|route| route.path.starts_with("/v1/")).map(|route| name(&route.method, route.path)).collect();
    let described: BTreeSet<String> = openapi::described().iter().map(|(method, path)| name(method, path)).collect();
    let strangers: Vec<&String> = routed.symmetric_difference(&described).collect();
    assert!(strangers.is_empty(), "routed or described alone: {strangers:#?}");
    assert!(routed.len() > 60);
}

#[tokio::test]
async fn the_document_is_for_everybody_and_names_the_right_of_each_route() {
    let world = World::sqlite().await;
    let seen = world.browser().get(openapi::PATH).await;
    assert_eq!((seen.status, seen.headers["content-type"].to_str().unwrap()), (200, "application/json"));
    let document: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let (_, named) = routes(&world.web);
    for route in named.iter().filter(|route| route.path.starts_with("/v1/")) {
        let told = &document["paths"][route.path][route.method.as_str().to_lowercase()];
        match route.who {
            postern::web::auth::Who::Program(right) => {
                assert_eq!(told["security"][0]["token"][0], right.as_str(), "{}", route.path);
            }
            _ => assert_eq!(told["security"], serde_json::json!([]), "{}", route.path),
        }
        assert!(told["summary"].as_str().is_some_and(|text| text.len() > 3), "{}", route.path);
    }
}
