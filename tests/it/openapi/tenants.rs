//! Another organization's ids and words, at every route there is, of the API and of the console: nothing is told, nothing changes.

use std::collections::BTreeSet;

use postern::{
    domain::{
        OrgId, OrgScope,
        delivery::Event,
        id::PersonId,
        person::{Reach, Right, Role, may},
    },
    store::audit::AuditFilter,
    web::{
        auth::{Named, Who},
        routes,
    },
};
use reqwest::Method;

use crate::{
    people::world::{Browser, Seen, World},
    store::world::World as Database,
};

/// Every table that holds something of an organization, and how to make one text of a row that a reader of this organization
/// does not change by looking.
const TABLES: &[&str] = &[
    "order_",
    "result",
    "delivery",
    "delivery_event",
    "ledger_line",
    "pin",
    "suppression",
    "organization",
    "webhook",
    "trust_anchor",
    "certificate",
    "trust_bundle",
    "roster",
    "billing_period",
    "letter",
    "parked",
];

/// What nobody but its owner may ever read.
const SECRET: &str = "SECRET-ORDER-417";

/// So many routes are asked for in one session.
const ROUTES: usize = 10;

struct Theirs {
    org: OrgId,
    result: String,
    delivery: String,
    parked: String,
}

impl Theirs {
    async fn new(world: &World) -> Self {
        let org = world.organization("south").await;
        let delivery = world.database.queued(org, SECRET).await;
        world.database.lead(org, delivery, &[Event::Claimed, Event::WireStarted, Event::Accepted]).await;
        let view = world.database.store.delivery_view(OrgScope::All, delivery).await.unwrap().unwrap().0;
        let item = format!(r#"{{"order_id":"{SECRET}"}}"#);
        world.database.store.park(org, "lab", SECRET, &serde_json::json!({}), item.as_bytes()).await.unwrap();
        let parked = world.database.store.parked(OrgScope::One(org)).await.unwrap()[0].id.to_string();
        Self { org, result: view.result.to_string(), delivery: delivery.to_string(), parked }
    }

    /// What stands in the place of `{...}`: an id of theirs that fits, or a word of theirs.
    fn at(&self, path: &str) -> String {
        let place = |part: &str| match part {
            "{id}" if path.contains("deliveries") => self.delivery.clone(),
            "{id}" if path.contains("parked") => self.parked.clone(),
            "{id}" => self.result.clone(),
            "{slug}" => "south".to_owned(),
            "{month}" => "2026-03".to_owned(),
            "{npi}" => "1234567893".to_owned(),
            "{address}" => crate::store::make::ADDRESS.to_owned(),
            "{fingerprint}" => "ab".repeat(32),
            part if part.starts_with('{') => "south".to_owned(),
            part => part.to_owned(),
        };
        path.split('/').map(place).collect::<Vec<_>>().join("/")
    }

    /// Bodies that name what is theirs.
    fn body(&self, path: &str) -> Option<String> {
        let Self { delivery, .. } = self;
        Some(match path {
            "/v1/deliveries/search" | "/v1/explain" => format!(r#"{{"order_id":"{SECRET}"}}"#),
            "/v1/deliveries/retry" => format!(r#"{{"ids":["{delivery}"]}}"#),
            "/v1/fees/adjust" => format!(r#"{{"delivery":"{delivery}","amount":"0.10","reason":"because"}}"#),
            "/v1/fees/periods/{month}/close" => r#"{"force":true}"#.to_owned(),
            "/v1/parked/{id}/discard" => r#"{"sure":true}"#.to_owned(),
            "/v1/worklist/{id}" => r#"{"action":"dismiss","reason":"because"}"#.to_owned(),
            "/v1/tokens/revoke" | "/v1/tokens/rotate" => r#"{"name":"theirs"}"#.to_owned(),
            "/v1/orders" => format!(r#"{{"order_id":"{SECRET}","action":"cancel"}}"#),
            path if path.starts_with("/v1/") => "{}".to_owned(),
            _ => return None,
        })
    }

    /// Everything of theirs, as one text for each table.
    async fn rows(&self, world: &World) -> Vec<String> {
        let mut all = Vec::new();
        for table in TABLES {
            let column = if *table == "organization" { "id" } else { "org_id" };
            let count = world.database.number(&format!("SELECT COUNT(*) FROM {table} WHERE {column} = '{}'", self.org)).await;
            all.push(format!("{table} {count}"));
        }
        let delivery =
            format!("SELECT state || updated_at || stopped || fee FROM delivery WHERE org_id = '{}' ORDER BY id", self.org);
        all.extend(world.database.texts(&delivery).await);
        all.extend(world.database.texts(&format!("SELECT state FROM result WHERE org_id = '{}' ORDER BY id", self.org)).await);
        all.extend(world.database.texts(&format!("SELECT state FROM order_ WHERE org_id = '{}' ORDER BY id", self.org)).await);
        all.extend(world.database.texts(&format!("SELECT file FROM organization WHERE id = '{}'", self.org)).await);
        all
    }
}

async fn ask(program: &mut Browser, route: &Named, path: &str, body: Option<&str>) -> Seen {
    let json = program.headers.iter().any(|(name, _)| *name == "authorization") && route.method != Method::GET;
    program.headers.retain(|(name, _)| *name != "content-type");
    if !json {
        return program.ask(route.method.clone(), path, None).await;
    }
    let mut seen = program.json(route.method.clone(), path, body.unwrap_or("{}")).await;
    if seen.status == 415 {
        // What takes files.
        seen = program.sent(route.method.clone(), path, "text/csv", "member_id,npi\n").await;
    }
    seen
}

fn silent(seen: &Seen, what: &str) {
    for word in [SECRET, "Testriver", "south clinic"] {
        assert!(!seen.body.contains(word), "{what} tells {word}: {}", seen.body);
    }
}

/// In a world where no role must set codes up first, which would keep it from its routes.
async fn every_route_with_what_is_theirs(world: &World) {
    let (mine, theirs) = (world.organization("north").await, Theirs::new(world).await);
    world.database.store.create_token(theirs.org, "theirs", false).await.unwrap();
    let (_, named) = routes(&world.web);
    let before = theirs.rows(world).await;
    // Everything a token of one organization can have, and every role that can be confined to one.
    let token = world.database.store.create_token_with(mine, "t", false, true).await.unwrap();
    let mut program = world.browser();
    program.headers.push(("authorization", format!("Bearer {token}")));
    let reach = Reach::of(BTreeSet::from([mine]));
    let mut people: Vec<(Role, PersonId, Browser)> = Vec::new();
    for role in [Role::Operator, Role::Billing, Role::Auditor, Role::Viewer] {
        let person = world.person(&format!("{role}@north.example"), role, reach.clone()).await;
        people.push((role, person, world.signed_in(person).await));
    }
    let mut asked = 0;
    for (place, route) in named.iter().enumerate() {
        let path = theirs.at(route.path);
        // One session may not ask that often.
        if place % ROUTES == 0 {
            for (_, person, browser) in &mut people {
                *browser = world.signed_in(*person).await;
            }
        }
        let varies = route.path.contains("{id}") || route.path.contains("{slug}");
        for named in [None, Some("south".to_owned()), Some(theirs.org.to_string())] {
            let at = named.as_ref().map_or_else(|| path.clone(), |org| format!("{path}?organization={org}"));
            let what = format!("{} {at}", route.method);
            match route.who {
                Who::Program(right) => {
                    let seen = ask(&mut program, route, &at, theirs.body(route.path).as_deref()).await;
                    asked += 1;
                    silent(&seen, &what);
                    assert!(seen.status < 500, "{what}: {} {}", seen.status, seen.body);
                    if named.is_some() {
                        let status = if right.of_the_installation() { 403 } else { 404 };
                        assert_eq!(seen.status, status, "{what}: {}", seen.body);
                    } else if varies {
                        assert!(matches!(seen.status, 403 | 404 | 422), "{what}: {} {}", seen.status, seen.body);
                        assert!(seen.status != 422 || route.path != "/v1/worklist/{id}", "{what}: {}", seen.body);
                    }
                }
                Who::Person(right) => {
                    for (role, _, browser) in &mut people {
                        let seen = browser.ask(route.method.clone(), &at, None).await;
                        silent(&seen, &format!("{role} {what}"));
                        asked += 1;
                        if !may(*role, &reach, right) {
                            assert_eq!(seen.status, 403, "{role} {what}");
                        } else if named.is_some() || varies && route.method == Method::GET {
                            assert_eq!(seen.status, 404, "{role} {what}");
                        }
                    }
                }
                Who::Anyone | Who::Visitor => {}
            }
        }
    }
    assert!(asked > 300, "{asked}");
    assert_eq!(theirs.rows(world).await, before, "something has changed");
    // Nor is anything of it in their audit trail, and their token still works.
    let filter = AuditFilter { limit: 100, ..AuditFilter::default() };
    let trail = world.database.store.audit_events(OrgScope::One(theirs.org), &filter).await.unwrap();
    assert!(trail.is_empty(), "{trail:?}");
    let own = world.database.store.create_token_with(theirs.org, "own", false, true).await.unwrap();
    program.headers = vec![("authorization", format!("Bearer {own}"))];
    let seen = program.get(&format!("/v1/deliveries/{}", theirs.delivery)).await;
    assert!(seen.status == 200 && seen.body.contains(SECRET), "it is there for whoever may see it: {}", seen.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_route_tells_or_changes_anything_of_another_organization_on_sqlite() {
    every_route_with_what_is_theirs(&World::without_codes(Database::sqlite().await).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_route_tells_or_changes_anything_of_another_organization_on_postgres() {
    every_route_with_what_is_theirs(&World::without_codes(Database::postgres().await).await).await;
}

on_both_engines! {
    async fn lists_and_searches_of_one_organization_have_nothing_of_another(world: &World) {
        let (mine, theirs) = (world.organization("north").await, Theirs::new(world).await);
        let token = world.database.store.create_token_with(mine, "t", false, true).await.unwrap();
        let mut program = world.browser();
        program.headers.push(("authorization", format!("Bearer {token}")));
        let (_, named) = routes(&world.web);
        for route in named.iter().filter(|route| route.method == Method::GET && !route.path.contains('{')) {
            if !matches!(route.who, Who::Program(right) if !right.of_the_installation()) {
                continue;
            }
            for query in ["", "?month=2026-03", "?since=2020-01-01T00:00:00Z&until=2030-01-01T00:00:00Z"] {
                let seen = program.get(&format!("{}{query}", route.path)).await;
                silent(&seen, route.path);
                for word in [theirs.org.to_string(), theirs.delivery.clone(), theirs.result.clone(), "south".to_owned()] {
                    assert!(!seen.body.contains(&word), "{} tells {word}: {}", route.path, seen.body);
                }
            }
        }
        let asked = program.json(Method::POST, "/v1/deliveries/search", &format!(r#"{{"order_id":"{SECRET}"}}"#)).await;
        assert_eq!((asked.status, asked.body.as_str()), (200, r#"{"deliveries":[],"next":null}"#));
        assert!(Right::ALL.len() > 20);
    }
}
