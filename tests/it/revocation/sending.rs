//! From a result to the wire: trust is that of the moment of sending.

use std::{
    fs,
    time::{Duration, Instant},
};

use postern::{
    domain::Clock as _,
    observe::SystemClock,
    trust::authority::{Authority, Binding, KeyKind, Order},
};
use serde_json::Value;

use super::issuer::{Issuer, Page};
use crate::support::installation::{Installation, Serving, text};

const DAY: Duration = Duration::from_hours(24);
const DOMAIN: &str = "direct.lakeside.example";

/// An installation whose recipient's certificate names a list at a server of ours.
struct Listed {
    installation: Installation,
    issuer: Issuer,
    authority: Authority,
    certificate: postern::trust::Certificate,
}

impl Listed {
    async fn new() -> Self {
        let revocation = "[revocation]\nallow = [\"127.0.0.0/8\"]\nretry_after = \"1s\"\npatience = \"2s\"\n";
        let installation = Installation::open(&format!("retry_max = \"1s\"\n{revocation}"), None).await;
        let issuer = Issuer::start().await;
        let key = |name: &str| fs::read(installation.dir.path().join("hisp/keys").join(name)).unwrap();
        let authority = Authority::from_pem(&key("ca.pem"), &key("ca.key")).unwrap();
        let now = SystemClock.now();
        let order = Order {
            key: KeyKind::P256,
            crl_url: Some(issuer.url("/ca.crl")),
            ..Order::new(Binding::Domain(DOMAIN.to_owned()), now.minus(DAY / 24), now.plus(DAY))
        };
        let certificate = authority.issue(&order).unwrap().certificate;
        let listed = Self { installation, issuer, authority, certificate };
        let shown = listed.installation.json(&["trust", "certificates", "list", "--organization", "north"]);
        for known in shown.as_array().unwrap() {
            listed.postern(&["trust", "certificates", "remove", "--organization", "north", &text(&known["fingerprint"])]);
        }
        fs::write(listed.installation.dir.path().join("listed.pem"), listed.certificate.pem().unwrap()).unwrap();
        listed.postern(&["trust", "certificates", "import", "--organization", "north", "listed.pem"]);
        listed
    }

    fn postern(&self, args: &[&str]) {
        self.installation.postern(args);
    }

    fn publish(&self, revoked: bool) {
        let now = SystemClock.now();
        let revoked: &[&postern::trust::Certificate] = if revoked { &[&self.certificate] } else { &[] };
        let list = self.authority.revocation_list(revoked, now.minus(Duration::from_secs(1)), now.plus(DAY)).unwrap();
        self.issuer.put("/ca.crl", Page::of(list));
    }

    async fn submit(&self, serving: &Serving, number: usize) -> String {
        self.installation.submit(serving, number, &format!("box{number}")).await.unwrap()
    }

    /// Waits until the delivery of a result is in `state`; gives it.
    async fn reaches(&self, result: &str, state: &str) -> Value {
        let began = Instant::now();
        loop {
            let found = self.installation.deliveries().into_iter().find(|delivery| text(&delivery["result"]) == result);
            if let Some(delivery) = found.filter(|delivery| text(&delivery["state"]) == state) {
                return delivery;
            }
            assert!(
                began.elapsed() < Duration::from_mins(1),
                "{:?}\n{}",
                self.installation.deliveries(),
                self.installation.logs()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recipient_revoked_in_a_newly_fetched_list_gets_nothing_more() {
    let listed = Listed::new().await;
    listed.publish(false);
    let serving = listed.installation.serve(None, None);
    let first = listed.submit(&serving, 1).await;
    listed.reaches(&first, "accepted").await;

    tokio::time::sleep(Duration::from_millis(1_100)).await;
    listed.publish(true);
    // Another process fetches it; the gateway finds it in the store.
    let refreshed = listed.installation.json(&["trust", "revocation", "refresh"]);
    assert!(refreshed[0]["problem"].is_null(), "{refreshed}");
    tokio::time::sleep(Duration::from_secs(6)).await;
    let second = listed.submit(&serving, 2).await;
    let delivery = listed.reaches(&second, "refused").await;
    assert_eq!(text(&delivery["reason"]), "revoked");
    drop(serving);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recipient_revoked_while_its_server_keeps_us_waiting_gets_nothing() {
    let listed = Listed::new().await;
    listed.publish(false);
    let serving = listed.installation.serve(None, None);
    // RCPT is answered after twenty seconds: the certificate was judged long before the first octet.
    let result = listed.installation.submit(&serving, 1, "slow20").await.unwrap();
    listed.reaches(&result, "claimed").await;
    let began = Instant::now();
    while listed.issuer.asked("/ca.crl") == 0 {
        assert!(began.elapsed() < Duration::from_mins(1), "{}", listed.installation.logs());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    listed.publish(true);
    listed.postern(&["trust", "revocation", "refresh"]);
    let delivery = listed.reaches(&result, "refused").await;
    assert_eq!(text(&delivery["reason"]), "revoked");
    assert!(listed.installation.arrivals().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_cannot_be_had_delays_a_delivery_and_does_not_fail_it() {
    let listed = Listed::new().await;
    listed.issuer.put("/ca.crl", Page::status(503));
    let serving = listed.installation.serve(None, None);
    let result = listed.submit(&serving, 1).await;
    let began = Instant::now();
    while listed.issuer.asked("/ca.crl") == 0 {
        assert!(began.elapsed() < Duration::from_mins(1), "{}", listed.installation.logs());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let waiting = listed.reaches(&result, "queued").await;
    assert!(listed.installation.arrivals().is_empty(), "{waiting}");
    let shown = crate::support::command::run(crate::support::command::command(listed.installation.dir.path()).args([
        "trust",
        "revocation",
        "list",
    ]));
    assert_eq!(shown.code, 1, "a list that is needed cannot be had: {}", shown.out);
    assert!(shown.out.contains("never_had") && shown.err.contains("503"), "{}{}", shown.out, shown.err);

    listed.publish(false);
    listed.reaches(&result, "accepted").await;
    let shown = listed.installation.json(&["trust", "revocation", "list"]);
    assert_eq!(text(&shown[0]["state"]), "current", "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_soft_fail_it_is_sent_with_a_warning_each_time() {
    let listed = Listed::new().await;
    let path = listed.installation.dir.path().join("north.toml");
    let file = fs::read_to_string(&path).unwrap().replace("[routing]", "[trust]\nrevocation = \"soft_fail\"\n[routing]");
    fs::write(&path, file).unwrap();
    listed.postern(&["org", "apply", "north.toml"]);
    let serving = listed.installation.serve(None, None);
    for number in 1..=2 {
        let result = listed.submit(&serving, number).await;
        listed.reaches(&result, "accepted").await;
    }
    let warnings = listed.installation.logs().matches("revocation_unchecked").count();
    assert_eq!(warnings, 2, "{}", listed.installation.logs());
}
