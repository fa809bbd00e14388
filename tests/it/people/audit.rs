//! The audit trail: what is changed or taken away shows, and what cannot be recorded does not happen.

use postern::{
    domain::{
        OrgScope,
        audit::{Actor, Witness},
        person::{Reach, Role},
    },
    observe::events::{PatientRevealed, RoleGiven},
    store::audit::AuditFilter,
};

use super::world::{PASSWORD, World};
use crate::support::command::run;

on_both_engines! {
    async fn a_changed_moved_or_missing_line_breaks_the_chain(world: &World) {
        let (north, south) = (world.organization("north").await, world.organization("south").await);
        let store = &world.database.store;
        let actor = Actor::shell(0, "root");
        for _ in 0..4 {
            for org in [north, south] {
                store.witness(&actor, &PatientRevealed { org, order: postern::domain::OrderKey::new() }).await.unwrap();
            }
        }
        assert_eq!(store.verify_audit(Some(north)).await.unwrap(), Ok(4));
        let (end, place) = (format!("WHERE chain = '{north}' AND seq = 4"), format!("WHERE chain = '{north}' AND seq = 2"));
        world.database.run(&format!("UPDATE audit_event SET actor_name = 'somebody else' {place}")).await;
        assert_eq!(store.verify_audit(Some(north)).await.unwrap(), Err(2));
        world.database.run(&format!("UPDATE audit_event SET actor_name = 'root' {place}")).await;
        assert_eq!(store.verify_audit(Some(north)).await.unwrap(), Ok(4));
        world.database.run(&format!("DELETE FROM audit_event {end}")).await;
        assert_eq!(store.verify_audit(Some(north)).await.unwrap(), Err(4), "the last one is missing");
        world.database.run(&format!("DELETE FROM audit_event {place}")).await;
        assert_eq!(store.verify_audit(Some(north)).await.unwrap(), Err(2));
        assert_eq!(store.verify_audit(Some(south)).await.unwrap(), Ok(4), "each has its own");
        let events = store.audit_events(OrgScope::One(south), &AuditFilter { limit: 100, ..AuditFilter::default() }).await.unwrap();
        assert!(events.len() == 4 && events.iter().all(|event| event.chain == south.to_string()));
    }

    async fn many_at_once_make_one_chain(world: &World) {
        let org = world.organization("north").await;
        let tasks = (0..20).map(|_| {
            let store = world.database.store.clone();
            tokio::spawn(async move {
                store.witness(&Actor::gateway(), &PatientRevealed { org, order: postern::domain::OrderKey::new() }).await.unwrap();
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        assert_eq!(world.database.store.verify_audit(Some(org)).await.unwrap(), Ok(20));
    }

    async fn what_cannot_be_recorded_is_neither_shown_nor_changed(world: &World) {
        let org = world.organization("north").await;
        world.database.order(org, "A1").await;
        let (order, _) = world.database.store.find_order(org, "A1").await.unwrap().unwrap();
        let (store, actor) = (&world.database.store, Actor::shell(0, "root"));
        let event = PatientRevealed { org, order };
        let shown = store.reveal_order(&actor, &event, OrgScope::One(org), org, order).await.unwrap();
        assert_eq!(shown.shown().order_id, "A1");
        assert_eq!(format!("{shown:?}"), "Revealed(***)");
        let elsewhere = world.organization("south").await;
        assert!(store.reveal_order(&actor, &event, OrgScope::One(elsewhere), org, order).await.is_err());
        assert_eq!(store.verify_audit(Some(org)).await.unwrap(), Ok(1));

        let person = world.auditor().await;
        world.database.run("ALTER TABLE audit_event RENAME TO taken_away").await;
        assert!(store.reveal_order(&actor, &event, OrgScope::One(org), org, order).await.is_err());
        let event = RoleGiven { person, organizations: 0, role: Role::Admin };
        assert!(store.set_role(person, Role::Admin, &Reach::Installation, Witness::new(&actor, &event)).await.is_err());
        assert_eq!(store.person(person).await.unwrap().unwrap().known.role, Role::Auditor);
        let mut browser = world.browser();
        assert_eq!(browser.sign_in("jo@lab.example", PASSWORD).await.status, 503, "nobody is let in unrecorded");
    }
}

#[tokio::test]
async fn the_shell_lets_people_in_and_everything_it_does_is_on_record() {
    let world = crate::admin::world::World::with("slug = \"north\"\nname = \"North\"\n");
    let made = world.good(&["user", "add", "jo@lab.example", "--role", "viewer", "--organization", "north"]);
    assert_eq!(made.out.trim().len(), 23, "a first password: {}", made.out);
    assert_eq!(world.run(&["user", "add", "JO@lab.example", "--role", "auditor"]).code, 2, "the name is taken");
    assert_eq!(world.run(&["user", "add", "x", "--role", "viewer"]).code, 2, "a viewer of nothing");
    assert_eq!(world.run(&["user", "add", "x", "--role", "admin", "--organization", "north"]).code, 2);
    world.good(&["user", "role", "jo@lab.example", "--role", "billing"]);
    let again = world.good(&["user", "reset", "jo@lab.example", "--codes"]);
    assert_ne!(again.out, made.out);
    world.good(&["user", "disable", "jo@lab.example"]);
    let people = world.json(&["user", "list"]);
    assert_eq!((&people[0]["role"], &people[0]["disabled"]), (&"billing".into(), &true.into()), "{people}");
    let token = world.good(&["token", "create", "--organization", "north", "--scope", "fees", "--expires", "90d"]).out;
    world.good(&["token", "rotate", "--organization", "north", "--name", "default"]);
    assert_eq!(world.run(&["token", "create", "--organization", "north", "--scope", "people:act"]).code, 2);
    assert_eq!(world.run(&["token", "create", "--organization", "north", "--scope", "everything"]).code, 2);
    assert_eq!(world.json(&["token", "list"]).as_array().unwrap().len(), 2);

    let trail = world.json(&["audit", "list", "--limit", "100"]);
    let actions: Vec<&str> = trail.as_array().unwrap().iter().rev().map(|event| event["action"].as_str().unwrap()).collect();
    let (first, rest) = actions.split_first().unwrap();
    assert_eq!(*first, "command_run", "org apply");
    let expected =
        ["person_added", "role_given", "codes_removed", "person_reset", "person_disabled", "token_made", "token_rotated"];
    assert_eq!(rest, expected);
    assert!(trail.as_array().unwrap().iter().all(|event| event["actor_kind"] == "shell" && event["actor_name"] != ""));
    for secret in [made.out.trim(), again.out.trim(), token.trim()] {
        assert!(!trail.to_string().contains(secret), "{secret}");
    }
    let exported = world.good(&["audit", "export"]).out;
    assert!(exported.lines().count() == 7 && exported.lines().last().unwrap().contains("data_exported"), "{exported}");
    assert_eq!(world.json(&["audit", "verify"])["verified"], true);
    assert_eq!(world.json(&["verify"])["verified"], true);

    // Over the wire, as served.
    let serving = world.serve(Some("web"));
    let page = reqwest::get(format!("{}/sign-in", serving.url)).await.unwrap();
    assert!(page.status().is_success() && page.text().await.unwrap().contains("Sign in"));
    let mut child = crate::support::command::command(world.dir.path());
    child.args(["user", "add", "new@lab.example", "--role", "auditor", "--password-stdin"]);
    child.stdin(std::fs::File::open(world.path(&world.write("pw", "too short\n"))).unwrap());
    assert_eq!(run(&mut child).code, 2);
}
