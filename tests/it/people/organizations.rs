//! Organizations' files, webhooks and test messages in the console.

use postern::domain::{
    OrgScope,
    person::{Reach, Role},
};

use super::world::{Browser, Seen, World};
use crate::store::make;

async fn admin(world: &World) -> Browser {
    let id = world.person("root@lab.example", Role::Admin, Reach::Installation).await;
    world.signed_in(id).await
}

/// What stands in the text area of a page.
fn text(page: &Seen) -> String {
    let inside = page.body.split("<textarea").nth(1).and_then(|rest| rest.split_once(">\n")).expect("a text area").1;
    let text = inside.split("</textarea>").next().unwrap();
    text.replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&#38;", "&")
        .replace("&#60;", "<")
        .replace("&#62;", ">")
        .replace("&quot;", "\"")
        .replace("&amp;", "&")
}

shown! {
    async fn a_file_is_changed_after_its_changes_were_seen(world: &World) {
        let org = world.organization("north").await;
        let mut browser = admin(world).await;
        let (path, store) = ("/organizations/north/edit", &world.database.store);
        let page = browser.get(path).await;
        let (before, mark) = (text(&page), page.field("mark"));
        let after = before.replace("Organization north", "North & South");
        assert_ne!(before, after, "{before}");
        let asked = browser.send(&page, path, &[("file", &after), ("mark", &mark)]).await;
        assert!(asked.status == 200 && asked.body.contains("What would change") && asked.body.contains("Apply 1 change"), "{}", asked.body);
        assert_eq!(store.organization(org).await.unwrap().unwrap().file.name, "Organization north", "nothing has happened yet");
        let done = browser.send(&asked, path, &[("file", &after), ("mark", &mark), ("sure", "yes")]).await;
        assert_eq!((done.status, done.location.as_str()), (303, "/organizations/north?done=applied"), "{}", done.body);
        assert_eq!(store.organization(org).await.unwrap().unwrap().file.name, "North & South");
        let late = browser.send(&page, path, &[("file", &before), ("mark", &mark), ("sure", "yes")]).await;
        assert!(late.status == 422 && late.body.contains("meanwhile"), "{}", late.body);
        let mark = browser.get(path).await.field("mark");
        for (file, why) in [
            ("slug = ".to_owned(), "TOML parse error"),
            (after.replace("slug = \"north\"", "slug = \"other\""), "cannot be changed"),
            (format!("{after}\n[[identity]]\naddress = \"a@d.example\"\nmode = \"sta_mx\"\n"), "certificates and keys"),
            (after.replace("mode = \"production\"", "mode = \"both\""), "mode"),
        ] {
            let seen = browser.send(&page, path, &[("file", &file), ("mark", &mark), ("sure", "yes")]).await;
            assert!(seen.status == 422 && seen.body.contains(why), "{why}: {}", seen.body);
        }
        let shown = browser.get("/organizations/north").await;
        assert!(shown.body.contains("What it goes by") && shown.body.contains("0.25 USD, at accepted"), "{}", shown.body);
        assert!(world.actions().await.contains(&"setting_changed".to_owned()));
    }

    async fn an_organization_is_begun_from_a_file(world: &World) {
        let mut browser = admin(world).await;
        let page = browser.get("/new-organization").await;
        let file = text(&page);
        let asked = browser.send(&page, "/new-organization", &[("file", &file)]).await;
        assert!(asked.status == 200 && asked.body.contains("Create it?"), "{}", asked.body);
        let done = browser.send(&page, "/new-organization", &[("file", &file), ("sure", "yes")]).await;
        assert_eq!(done.location, "/organizations/new-clinics?done=applied", "{}", done.body);
        assert!(world.database.store.organization_by_slug(OrgScope::All, "new-clinics").await.unwrap().is_some());
        let again = browser.send(&page, "/new-organization", &[("file", &file), ("sure", "yes")]).await;
        assert!(again.status == 422 && again.body.contains("already"), "{}", again.body);
    }

    async fn a_test_message_is_a_result_like_any_other(world: &World) {
        let org = world.organization("north").await;
        let id = world.person("jo@lab.example", Role::Operator, Reach::Installation).await;
        let mut browser = world.signed_in(id).await;
        let page = browser.get("/organizations/north").await;
        let send = [("site", make::SITE), ("address", make::ADDRESS)];
        let bad = browser.send(&page, "/organizations/north/test", &[("site", make::SITE), ("address", "nobody")]).await;
        assert!(bad.status == 422 && bad.body.contains("is not a Direct address"), "{}", bad.body);
        assert_eq!(browser.send(&page, "/organizations/north/test", &[("site", "NOWHERE"), ("address", make::ADDRESS)]).await.status, 422);
        let done = browser.send(&page, "/organizations/north/test", &send).await;
        assert!(done.status == 303 && done.location.starts_with("/results/") && done.location.ends_with("done=sent-test"), "{} {}", done.location, done.body);
        assert_eq!(world.database.number(&format!("SELECT COUNT(*) FROM result WHERE org_id = '{org}'")).await, 1);
        let shown = browser.get(&done.location).await;
        assert!(shown.body.contains("TEST-") && shown.body.contains("A test message is on its way"), "{}", shown.body);
    }

    async fn a_webhook_is_switched_replayed_and_given_a_new_secret(world: &World) {
        let mut file = make::organization("north");
        file.webhooks = serde_json::from_str(r#"[{ "name": "bridge", "url": "https://bridge.example/in" }]"#).unwrap();
        let org = world.database.store.apply_organization(&file, &[]).await.unwrap();
        world.database.queued(org, "A1").await;
        let mut browser = admin(world).await;
        let store = &world.database.store;
        let named = [("for", "north"), ("name", "bridge")];
        let page = browser.get("/webhooks").await;
        assert!(page.body.contains("https://bridge.example/in") && page.body.contains("delivery.queued"), "{}", page.body);
        assert!(browser.send(&page, "/webhooks/disable", &named).await.location.ends_with("done=webhook-off"));
        assert!(store.webhooks(OrgScope::All).await.unwrap()[0].off.is_some());
        assert!(browser.send(&page, "/webhooks/enable", &named).await.location.ends_with("done=webhook-on"));
        world.database.run("UPDATE webhook SET told = 2").await;
        let since = [&named[..], &[("since", "2026-01-01T00:00")]].concat();
        let asked = browser.send(&page, "/webhooks/replay", &since).await;
        assert!(asked.status == 200 && asked.body.contains("Tell it 2 events"), "{}", asked.body);
        assert_eq!(store.webhooks(OrgScope::All).await.unwrap()[0].told, 2, "nothing has happened yet");
        let done = browser.send(&asked, "/webhooks/replay", &[&since[..], &[("sure", "yes")]].concat()).await;
        assert!(done.location.ends_with("done=replayed"), "{}", done.body);
        assert_eq!(store.webhooks(OrgScope::All).await.unwrap()[0].told, 0);
        assert_eq!(browser.send(&page, "/webhooks/replay", &[&named[..], &[("since", "yesterday")]].concat()).await.status, 422);
        assert_eq!(browser.send(&page, "/webhooks/disable", &[("for", "north"), ("name", "nobody")]).await.status, 404);
        let secret = browser.send(&page, "/webhooks/rotate", &named).await;
        assert!(secret.status == 200 && secret.body.contains("whsec_"), "{}", secret.body);
        assert!(!browser.get("/webhooks").await.body.contains("whsec_"));
    }
}
