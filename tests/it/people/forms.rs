//! Forms that are not ours change nothing.

use super::world::{PASSWORD, World};

on_both_engines! {
    async fn a_form_without_our_mark_or_from_another_site_is_refused(world: &World) {
        let person = world.auditor().await;
        let mut browser = world.signed_in(person).await;
        let mark = browser.get("/account").await.field("csrf");
        let other = world.signed_in(person).await.get("/account").await.field("csrf");
        for fields in [&[][..], &[("csrf", "")], &[("csrf", "0")], &[("csrf", other.as_str())]] {
            assert_eq!(browser.post("/sign-out", fields).await.status, 403, "{fields:?}");
        }
        for header in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "none"),
            ("origin", "https://evil.example"),
            ("origin", "http://127.0.0.1:1"),
        ] {
            browser.headers = vec![(header.0, header.1.to_owned())];
            assert_eq!(browser.post("/sign-out", &[("csrf", &mark)]).await.status, 403, "{header:?}");
        }
        browser.headers.clear();
        assert_eq!(browser.get("/").await.status, 200, "still signed in");
        assert_eq!(world.actions().await.iter().filter(|action| *action == "foreign_request").count(), 9);
        for headers in [vec![("origin", world.url.clone())], vec![("origin", "null".to_owned()), ("sec-fetch-site", "same-origin".to_owned())]] {
            browser.headers = headers;
            let seen = browser.post("/account/sessions/end", &[("csrf", &mark)]).await;
            assert_eq!(seen.status, 303, "{}", seen.body);
        }
    }

    async fn nobody_is_signed_in_by_another_site(world: &World) {
        world.auditor().await;
        let mut browser = world.browser();
        let page = browser.get("/sign-in").await;
        let fields = [("login", "jo@lab.example"), ("password", PASSWORD)];
        assert_eq!(browser.post("/sign-in", &fields).await.status, 403);
        assert_eq!(world.browser().send(&page, "/sign-in", &fields).await.status, 403, "the mark belongs to the cookie");
        browser.headers.push(("sec-fetch-site", "cross-site".to_owned()));
        assert_eq!(browser.send(&page, "/sign-in", &fields).await.status, 403);
        browser.headers.clear();
        assert_eq!(browser.send(&page, "/sign-in", &fields).await.status, 303);
    }
}
