//! Deliveries of a running gateway to recipients whose certificates are found in DNS.

use std::fs;

use serde_json::json;

use crate::support::{
    bind::{Bind, cert},
    installation::{Installation, text, wait_for},
};

const DOMAIN: &str = "direct.lakeside.example";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_goes_out_under_a_certificate_found_in_dns_and_a_refused_one_makes_it_forgotten() {
    let bind = Bind::start(&[(DOMAIN, String::new())]);
    let discovery = format!("[discovery]\nresolvers = [\"{}\"]\ndns_timeout = \"2s\"", bind.address);
    let installation = Installation::open(&discovery, None).await;
    // Nothing is imported any more: the certificate is in DNS alone.
    let imported = installation.json(&["trust", "certificates", "list"]);
    let print = text(&imported[0]["fingerprint"]);
    installation.postern(&["trust", "certificates", "remove", "--organization", "north", &print]);
    let pem = fs::read(installation.dir.path().join(format!("hisp/keys/{DOMAIN}.pem"))).unwrap();
    let published = postern::trust::Certificate::read_all(&pem).unwrap();
    bind.publish(DOMAIN, &cert("@", "PKIX", published[0].der()));

    let serving = installation.serve(None, None);
    installation.submit(&serving, 1, "jo").await.unwrap();
    installation.settled(1);
    let cached = || installation.json(&["trust", "cache", "list", DOMAIN]);
    assert_eq!((cached()[0]["outcome"].clone(), bind.asked(&format!("{DOMAIN} IN CERT"))), (json!("found"), 1));
    assert_eq!(installation.arrivals().len(), 1, "the HISP could open it");

    // What was heard a moment ago would be heard again, so it is kept.
    std::thread::sleep(std::time::Duration::from_secs(6));
    // The receiving side refuses: perhaps it has renewed its certificate. The next delivery asks again.
    installation.submit(&serving, 2, "550").await.unwrap();
    wait_for("the refusal", || installation.states().contains_key("refused").then_some(()));
    wait_for("the forgetting", || (cached() == json!([])).then_some(()));
    assert_eq!(cached(), json!([]));
    installation.submit(&serving, 3, "jo").await.unwrap();
    wait_for("the delivery", || (installation.states().get("accepted") == Some(&2)).then_some(()));
    assert!(bind.asked(&format!("{DOMAIN} IN CERT")) >= 2);
}
