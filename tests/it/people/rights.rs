//! Every route names who may take it, and everybody else is turned away.

use std::collections::BTreeSet;

use postern::{
    domain::person::{Reach, Right, Role, may},
    web::{auth::Who, routes},
};
use reqwest::Method;

use super::world::World;

/// With something in the place of what varies.
pub(crate) fn concrete(path: &str, id: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { id.to_owned() } else { part.to_owned() });
    parts.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn only_what_says_nothing_about_anybody_is_open() {
    let world = World::sqlite().await;
    let (_, named) = routes(&world.web);
    let open: Vec<&str> =
        named.iter().filter(|route| matches!(route.who, Who::Anyone | Who::Visitor)).map(|route| route.path).collect();
    let paths: BTreeSet<&str> = open.into_iter().collect();
    assert_eq!(
        paths,
        BTreeSet::from([
            "/assets/{file}",
            "/healthz",
            "/metrics",
            "/readyz",
            "/sign-in",
            "/sign-in/code",
            "/sign-in/provider",
            "/sign-in/provider/back",
            "/sign-in/provider/out",
            "/v1/openapi.json"
        ])
    );
}

on_both_engines! {
    async fn each_role_takes_the_routes_of_its_rights_and_no_others(world: &World) {
        let org = world.organization("north").await;
        let (_, named) = routes(&world.web);
        for role in Role::ALL {
            let reach = if *role == Role::Viewer { Reach::of(BTreeSet::from([org])) } else { Reach::Installation };
            let person = world.person(&format!("{role}@lab.example"), *role, reach.clone()).await;
            let mut browser = world.signed_in(person).await;
            for route in &named {
                let Who::Person(right) = route.who else { continue };
                // Without the mark of a form nothing is changed: whoever has the right gets so far, and no further.
                let seen = browser.ask(route.method.clone(), &concrete(route.path, "x"), None).await;
                let refused = seen.status == 403 && seen.body.contains("does not include this");
                assert_eq!(!refused, may(*role, &reach, right), "{role} {} {}: {}", route.method, route.path, seen.status);
            }
        }
    }

    async fn nobody_gets_anywhere_without_a_session_or_a_token(world: &World) {
        let (_, named) = routes(&world.web);
        let mut browser = world.browser();
        for route in &named {
            let seen = browser.ask(route.method.clone(), &concrete(route.path, "x"), None).await;
            match route.who {
                Who::Person(_) => assert!(seen.status == 303 && seen.location.starts_with("/sign-in"), "{} {}", route.path, seen.status),
                Who::Program(_) => assert_eq!(seen.status, 401, "{}", route.path),
                Who::Anyone | Who::Visitor => assert!(seen.status != 303 || route.path == "/sign-in/code", "{}", route.path),
            }
        }
    }

    async fn a_session_opens_no_route_of_programs_and_a_token_no_page(world: &World) {
        let org = world.organization("north").await;
        let person = world.person("root@lab.example", Role::Admin, Reach::Installation).await;
        let token = world.database.store.create_token(org, "t", false).await.unwrap();
        let (_, named) = routes(&world.web);
        let (mut signed_in, mut program) = (world.signed_in(person).await, world.browser());
        program.headers.push(("authorization", format!("Bearer {token}")));
        for route in &named {
            let path = concrete(route.path, "x");
            match route.who {
                Who::Program(_) => assert_eq!(signed_in.ask(route.method.clone(), &path, None).await.status, 401, "{path}"),
                Who::Person(_) => assert_eq!(program.ask(route.method.clone(), &path, None).await.status, 303, "{path}"),
                Who::Anyone | Who::Visitor => {}
            }
        }
    }

    async fn another_organizations_ids_lead_nowhere(world: &World) {
        let (mine, theirs) = (world.organization("north").await, world.organization("south").await);
        let result = world.database.result(theirs, "A1").await.to_string();
        let reach = Reach::of(BTreeSet::from([mine]));
        let viewer = world.person("payer@plan.example", Role::Viewer, reach).await;
        let token = world.database.store.create_token_with(mine, "t", false, true).await.unwrap();
        let (_, named) = routes(&world.web);
        let (mut person, mut program) = (world.signed_in(viewer).await, world.browser());
        program.headers.push(("authorization", format!("Bearer {token}")));
        for route in &named {
            // An address or an NPI is nobody's own.
            let varies = route.path.contains("{id}");
            for word in ["south", &theirs.to_string(), "nowhere"] {
                let path = format!("{}?organization={word}", concrete(route.path, &result));
                match route.who {
                    Who::Program(right) => {
                        let status = if right.of_the_installation() { 403 } else { 404 };
                        assert_eq!(program.ask(route.method.clone(), &path, None).await.status, status, "{path}");
                    }
                    Who::Person(right) if may(Role::Viewer, &Reach::of(BTreeSet::from([mine])), right) => {
                        assert_eq!(person.ask(route.method.clone(), &path, None).await.status, 404, "{path}");
                    }
                    _ => {}
                }
            }
            if varies && route.method == Method::GET {
                let path = concrete(route.path, &result);
                let seen = match route.who {
                    Who::Program(_) => program.get(&path).await,
                    Who::Person(_) => person.get(&path).await,
                    Who::Anyone | Who::Visitor => continue,
                };
                assert!(matches!(seen.status, 403 | 404), "{path}: {}", seen.status);
            }
        }
        // And it is there for whoever may see it.
        let theirs = world.database.store.create_token(theirs, "t", false).await.unwrap();
        program.headers = vec![("authorization", format!("Bearer {theirs}"))];
        assert_eq!(program.get(&format!("/v1/results/{result}")).await.status, 200);
    }
}

#[test]
fn there_is_a_right_for_every_role_to_lack_but_its_own_account() {
    for right in Right::ALL {
        let everybody = Role::ALL.iter().all(|role| role.rights().contains(right));
        assert_eq!(everybody, *right == Right::Account, "{right}");
    }
}
