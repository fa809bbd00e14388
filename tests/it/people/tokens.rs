//! Tokens of programs: what they may do, when they end, and how many requests they make.

use std::{collections::BTreeSet, time::Duration};

use postern::{
    config::console::ConsoleSection,
    domain::{
        OrgId, OrgScope, Timestamp,
        audit::{Actor, Witness},
        id::TokenId,
        person::Right,
    },
    observe::{
        events::{TokenMade, TokenRotated},
        facts::Named,
    },
    store::token::NewToken,
    web::{auth::Who, routes},
};

use super::{rights::concrete, world::World};

pub(super) async fn token(world: &World, org: Option<OrgId>, rights: &[Right], expires_at: Option<Timestamp>) -> String {
    let id = TokenId::new();
    let rights: BTreeSet<Right> = rights.iter().copied().collect();
    let event = TokenMade { org, token: id, name: Named("t"), rights: rights.len() };
    let new = NewToken { id, org, name: "t", rights, ignore_unknown: false, expires_at };
    world.database.store.make_token(&new, Witness::new(&Actor::shell(0, "root"), &event)).await.unwrap()
}

/// What a token is told.
async fn told(world: &World, token: &str, method: reqwest::Method, path: &str) -> u16 {
    let mut program = world.browser();
    program.headers.push(("authorization", format!("Bearer {token}")));
    program.ask(method, path, None).await.status
}

on_both_engines! {
    async fn a_token_takes_the_routes_of_its_scopes_and_no_others(world: &World) {
        let org = world.organization("north").await;
        let (_, named) = routes(&world.web);
        for right in Right::ALL {
            let token = token(world, Some(org), &[*right], None).await;
            for route in &named {
                let Who::Program(needed) = route.who else { continue };
                let status = told(world, &token, route.method.clone(), &concrete(route.path, "x")).await;
                let may = needed == *right && !needed.of_the_installation();
                assert_eq!(status != 403, may, "{right} {}: {status}", route.path);
                assert_ne!(status, 401, "{right} {}", route.path);
            }
        }
        assert!(world.actions().await.contains(&"right_missing".to_owned()));
    }

    async fn a_token_ends_and_is_exchanged_while_both_work(world: &World) {
        let org = world.organization("north").await;
        let now = crate::store::world::START;
        let first = token(world, Some(org), &[Right::ResultsRead], Some(now.plus(Duration::from_hours(100)))).await;
        let works = async |token: &str| told(world, token, reqwest::Method::GET, "/v1/results/x").await == 404;
        assert!(works(&first).await);
        let id = TokenId::new();
        let new = NewToken { id, org: Some(org), name: "t", rights: BTreeSet::new(), ignore_unknown: false, expires_at: None };
        let event = TokenRotated { org: Some(org), token: id, name: Named("t") };
        let (actor, store) = (Actor::shell(0, "root"), &world.database.store);
        let second = store.rotate_token(&new, Duration::from_hours(1), Witness::new(&actor, &event)).await.unwrap().unwrap();
        assert!(works(&first).await && works(&second).await);
        world.database.pass(Duration::from_hours(1)).await;
        assert!(!works(&first).await && works(&second).await);
        let listed = store.tokens(OrgScope::One(org)).await.unwrap();
        assert_eq!(listed.len(), 2);
        assert!(listed.iter().all(|token| token.used_at.is_some() && token.rights == BTreeSet::from([Right::ResultsRead])));
        let elsewhere = world.organization("south").await;
        assert!(store.tokens(OrgScope::One(elsewhere)).await.unwrap().is_empty());
        let gone = NewToken { id: TokenId::new(), org: None, ..new };
        assert!(store.rotate_token(&gone, Duration::ZERO, Witness::new(&actor, &event)).await.unwrap().is_none());
        assert_eq!(store.verify_audit(Some(org)).await.unwrap(), Ok(2));
    }

    async fn a_token_of_the_installation_says_whom_it_speaks_for(world: &World) {
        let north = world.organization("north").await;
        let result = world.database.result(north, "A1").await;
        let token = token(world, None, &[Right::ResultsRead, Right::OrdersWrite], None).await;
        let get = reqwest::Method::GET;
        assert_eq!(told(world, &token, get.clone(), &format!("/v1/results/{result}")).await, 200, "it sees everybody's");
        assert_eq!(told(world, &token, get, &format!("/v1/results/{result}?organization=north")).await, 200);
        assert_eq!(told(world, &token, reqwest::Method::POST, "/v1/orders").await, 400, "for whom?");
        assert_eq!(told(world, &token, reqwest::Method::POST, "/v1/orders?organization=north").await, 415);
    }
}

#[tokio::test]
async fn a_token_that_asks_too_often_is_told_to_come_again() {
    let world = World::with(ConsoleSection { requests_per_minute: 1, ..ConsoleSection::default() }).await;
    let org = world.organization("north").await;
    let token = token(&world, Some(org), &[Right::ResultsRead], None).await;
    let ask = async || told(&world, &token, reqwest::Method::GET, "/v1/results/x").await;
    assert_eq!((ask().await, ask().await), (404, 429));
}
