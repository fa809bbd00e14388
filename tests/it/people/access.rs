//! Access is given and taken in the console; each secret is shown once.

use std::collections::BTreeSet;

use postern::domain::{
    OrgScope,
    person::{Reach, Right, Role},
};

use super::world::{Browser, Seen, World};

async fn admin(world: &World) -> Browser {
    let id = world.person("root@lab.example", Role::Admin, Reach::Installation).await;
    world.signed_in(id).await
}

/// What stands in the first `<code>` of a page.
fn secret(page: &Seen) -> String {
    page.body.split("<code>").nth(1).and_then(|rest| rest.split("</code>").next()).expect("a secret").to_owned()
}

shown! {
    async fn somebody_is_let_in_given_another_role_reset_and_disabled(world: &World) {
        let org = world.organization("north").await;
        let mut browser = admin(world).await;
        let store = &world.database.store;
        for (fields, why) in [
            (vec![("login", "two words"), ("role", "operator")], "must not have spaces"),
            (vec![("login", "root@lab.example"), ("role", "operator")], "under that name already"),
            (vec![("login", "mo@plan.example"), ("role", "viewer")], "tick at least one"),
            (vec![("login", "mo@plan.example"), ("role", "admin"), ("organization", "north")], "sees everything"),
            (vec![("login", "mo@plan.example"), ("role", "king")], "Choose a role"),
        ] {
            let seen = browser.fill("/people", "/people", &fields).await;
            assert!(seen.status == 422 && seen.body.contains(why), "{fields:?}: {}", seen.body);
        }
        let fields = [("login", "mo@plan.example"), ("name", "Mo"), ("role", "viewer"), ("organization", "north")];
        let shown = browser.fill("/people", "/people", &fields).await;
        assert_eq!(shown.status, 200, "{}", shown.body);
        let first = secret(&shown);
        assert_eq!(first.len(), 23, "{first}");
        let mo = store.person_called("mo@plan.example").await.unwrap().unwrap();
        assert_eq!((mo.known.role, mo.known.reach.clone()), (Role::Viewer, Reach::of(BTreeSet::from([org]))));
        let mut theirs = world.browser();
        assert_eq!(theirs.sign_in("mo@plan.example", &first).await.status, 303);
        assert_eq!(theirs.get("/deliveries").await.location, "/account/password", "good to choose another only");
        let here = format!("/people/{}", mo.known.id);
        assert!(browser.get(&here).await.body.contains("mo@plan.example"));
        assert_eq!(browser.fill(&here, &format!("{here}/role"), &[("role", "auditor")]).await.location, format!("{here}?done=role-given"));
        assert_eq!(store.person(mo.known.id).await.unwrap().unwrap().known.role, Role::Auditor);
        let again = browser.fill(&here, &format!("{here}/reset"), &[]).await;
        assert!(again.status == 200 && secret(&again) != first);
        assert_eq!(browser.fill(&here, &format!("{here}/disable"), &[]).await.location, format!("{here}?done=person-disabled"));
        assert!(world.browser().sign_in("mo@plan.example", &secret(&again)).await.body.contains("Sign in"));
        assert!(store.person(mo.known.id).await.unwrap().unwrap().disabled_at.is_some());
        assert_eq!(browser.fill(&here, &format!("{here}/enable"), &[]).await.location, format!("{here}?done=person-enabled"));
        let actions = world.actions().await;
        for action in ["person_added", "role_given", "person_reset", "person_disabled", "person_enabled"] {
            assert!(actions.iter().any(|done| done == action), "{action}: {actions:?}");
        }
    }

    async fn nobody_disables_themselves(world: &World) {
        let mut browser = admin(world).await;
        let me = world.database.store.person_called("root@lab.example").await.unwrap().unwrap().known.id;
        let here = format!("/people/{me}");
        let page = browser.get(&here).await;
        assert!(page.body.contains("That is you") && !page.body.contains(&format!("{here}/disable")));
        for what in ["disable", "reset", "role"] {
            assert_eq!(browser.send(&page, &format!("{here}/{what}"), &[("role", "viewer")]).await.status, 409, "{what}");
        }
        assert_eq!(browser.get("/people").await.status, 200);
    }

    async fn a_token_is_shown_once_rotated_and_revoked(world: &World) {
        let org = world.organization("north").await;
        let mut browser = admin(world).await;
        let store = &world.database.store;
        let page = browser.get("/people").await;
        let once = page.field("once");
        let fields = [("for", "north"), ("name", "lab"), ("scopes", "results:read fees"), ("expires", "90d"), ("once", once.as_str())];
        let shown = browser.send(&page, "/tokens", &fields).await;
        assert_eq!(shown.status, 200, "{}", shown.body);
        let token = secret(&shown);
        let holder = store.token_holder(&token).await.unwrap().unwrap();
        assert_eq!((holder.org, holder.rights), (Some(org), BTreeSet::from([Right::ResultsRead, Right::FeesRead, Right::FeesAct])));
        let twice = browser.send(&page, "/tokens", &fields).await;
        assert!(twice.status == 422 && twice.body.contains("sent before") && !twice.body.contains(&token), "{}", twice.body);
        assert_eq!(store.tokens(OrgScope::All).await.unwrap().len(), 1);
        for (scopes, expires) in [("everything", ""), ("people:act", ""), ("", "soon"), ("", "0s")] {
            let page = browser.get("/people").await;
            let once = page.body.rsplit("name=\"once\" value=\"").next().unwrap().split('"').next().unwrap().to_owned();
            let fields = [("for", "north"), ("name", "bad"), ("scopes", scopes), ("expires", expires), ("once", once.as_str())];
            assert_eq!(browser.send(&page, "/tokens", &fields).await.status, 422, "{scopes:?} {expires:?}");
        }
        let page = browser.get("/people").await;
        let fields = [("for", "north"), ("name", "lab"), ("once", &page.field("once"))];
        let next = secret(&browser.send(&page, "/tokens/rotate", &fields).await);
        assert!(next != token && store.token_holder(&next).await.unwrap().is_some());
        assert!(store.token_holder(&token).await.unwrap().is_some(), "it goes on for a day");
        let done = browser.fill("/people", "/tokens/revoke", &[("for", "north"), ("name", "lab")]).await;
        assert_eq!(done.location, "/people?done=token-revoked");
        assert!(store.token_holder(&next).await.unwrap().is_none() && store.token_holder(&token).await.unwrap().is_none());
        let done = browser.fill("/people", "/tokens/revoke", &[("for", "north"), ("name", "lab")]).await;
        assert_eq!(done.location, "/people?done=token-gone");
        assert!(!browser.get("/people").await.body.contains(&next), "never shown again");
    }
}
