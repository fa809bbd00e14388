//! Every page as whoever hears it, or has no script, meets it: generated from the routes there are.

use std::collections::BTreeMap;

use postern::{
    domain::{
        OrgScope,
        delivery::Event as E,
        person::{Reach, Role},
    },
    web::{auth::Who, routes},
};
use reqwest::Method;

use super::world::{Browser, Seen, World};
use crate::support::markup::faults;

/// What is no page of the console's: files, events, and the statement, which is a page to be printed by itself.
const NO_PAGES: [&str; 6] = [
    "/results/{id}/document",
    "/reports/export",
    "/fees/{slug}/{month}/export",
    "/fees/{slug}/{month}/statement",
    "/live",
    "/deliveries/{id}/live",
];

/// Pages that were looked at, by their titles, and what is wrong with any.
#[derive(Default)]
struct Looked(BTreeMap<String, String>, Vec<String>);

impl Looked {
    fn at(&mut self, path: &str, seen: &Seen) {
        let (title, faults) = faults(&seen.body);
        self.1.extend(faults.into_iter().map(|fault| format!("{path}: {fault}")));
        if let Some(other) = self.0.insert(title.clone(), path.to_owned()).filter(|other| other != path) {
            self.1.push(format!("{path} and {other} are both called {title:?}"));
        }
    }

    async fn posted(&mut self, browser: &mut Browser, from: &str, path: &str, fields: &[(&str, &str)]) -> Seen {
        let seen = browser.fill(from, path, fields).await;
        assert_eq!(seen.status, 200, "{path}: {} {}", seen.location, seen.body);
        self.at(path, &seen);
        seen
    }
}

shown! {
    async fn every_page_is_well_written_for_whoever_hears_it_or_has_no_script(world: &World) {
        let org = world.organization("north").await;
        let id = world.database.queued(org, "A1").await;
        world.database.lead(org, id, &[E::Claimed, E::WireStarted, E::Accepted]).await;
        let held = world.database.queued(org, "A2").await;
        world.database.lead(org, held, &[E::Claimed, E::Held(postern::domain::Reason::NoIdentity)]).await;
        let (entry, _) = world.database.store.delivery_view(OrgScope::All, id).await.unwrap().unwrap();
        let line = world.database.texts("SELECT id FROM ledger_line").await.remove(0);
        let admin = world.person("root@lab.example", Role::Admin, Reach::Installation).await;
        let mut browser = world.signed_in(admin).await;
        let mut looked = Looked::default();
        let (_, named) = routes(&world.web);
        let pages = named.iter().filter(|route| route.method == Method::GET && matches!(route.who, Who::Person(_)));
        for route in pages.filter(|route| !NO_PAGES.contains(&route.path)) {
            let own = if route.path.starts_with("/results") { entry.result.to_string() } else if route.path.starts_with("/people") { admin.to_string() }
                else if route.path.starts_with("/fees") { line.clone() } else { id.to_string() };
            let path = route.path.replace("{slug}", "north").replace("{month}", "2026-03").replace("{id}", &own);
            let seen = browser.get(&path).await;
            // There is no letter and no parked item; that something is missing is a page, too.
            let missing = route.path.starts_with("/inbox/{id}") || route.path.starts_with("/parked");
            assert_eq!(seen.status, if missing { 404 } else { 200 }, "{path}: {}", seen.body);
            if !missing {
                looked.at(&path, &seen);
            }
        }
        assert!(looked.0.len() >= 28, "{:?}", looked.0);
        let mut others = Looked::default();
        others.at("/deliveries/x", &browser.get("/deliveries/x").await);
        others.at("/sign-in", &world.browser().get("/sign-in").await);
        let (here, line) = (format!("/deliveries/{id}"), format!("/fees/north/2026-03/lines/{line}"));
        others.posted(&mut browser, "/deliveries", "/deliveries", &[("id", &held.to_string())]).await;
        others.posted(&mut browser, "/deliveries", "/search", &[("q", "nothing goes by that")]).await;
        others.posted(&mut browser, &format!("/results/{}", entry.result), &format!("/results/{}/reveal", entry.result), &[]).await;
        others.posted(&mut browser, &line, &format!("{line}/correct"), &[("amount", "0.10"), ("reason", "agreed")]).await;
        let file = browser.get("/organizations/north/edit").await.field("mark");
        let text = "slug = 'north'\nname = 'Another North'";
        others.posted(&mut browser, "/organizations/north/edit", "/organizations/north/edit", &[("file", text), ("mark", &file)]).await;
        let one = browser.get(&here).await;
        looked.at(&here, &one);
        assert!(one.body.contains("aria-current=\"page\""), "one is nowhere");
        assert!(looked.1.is_empty() && others.1.is_empty(), "{:#?} {:#?}", looked.1, others.1);
    }
}
