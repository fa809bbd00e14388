//! From which address a result is sent: the site's, else the organization's, else the installation's.

use std::{collections::BTreeSet, fs};

use postern::{
    domain::{Order, organization::SendMode, text::Stated},
    sandbox::practice::Practice,
    store::organization::NewIdentity,
};

use super::world::{DOMAIN, PASSWORD, Plan, World, signing};
use crate::{store::make, support::installation::Installation};

const OWN: &str = "results@direct.gateway.example";
const OWN_EDGE: &str = "edge@direct.gateway.example";

/// The installation has two: one that signs, and one that logs in.
fn own(practice: &Practice) -> Vec<NewIdentity> {
    let edge = NewIdentity {
        address: OWN_EDGE.parse().unwrap(),
        mode: SendMode::Edge,
        relay: Some("edge".to_owned()),
        certificate: None,
        secret: Some(PASSWORD.as_bytes().to_vec().into()),
    };
    vec![signing(practice, OWN, "hisp"), edge]
}

fn order(site: &str, mailbox: &str) -> Order {
    let mut order = Order { site: site.to_owned(), ..make::order(mailbox) };
    order.deliver_to[0].direct = Some(Stated::parse(&format!("{mailbox}@{DOMAIN}")));
    order
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_sends_from_its_own_address_else_its_organizations_else_the_installations() {
    let world = World::open(Plan { own, ..Plan::default() }).await;
    let practice = &world.practice;
    let (general, special) =
        (signing(practice, "results@direct.north.example", "hisp"), signing(practice, "eyes@direct.north.example", "hisp"));
    let sites = format!(
        "[[site]]\nlocal_id = \"PLAIN\"\n[[site]]\nlocal_id = \"EYES\"\nidentity = \"eyes@direct.north.example\"\n\
         [[site]]\nlocal_id = \"BORROWS\"\nidentity = \"{OWN_EDGE}\"\n"
    );
    let north = world.organization("north", &sites, &[general, special]).await;
    let south = world.organization("south", "[[site]]\nlocal_id = \"PLAIN\"\n", &[]).await;
    for org in [north, south] {
        world.knows_recipients(org).await;
    }
    let cases = [
        (north, "EYES", "eyes@direct.north.example", "hisp"),
        (north, "PLAIN", "results@direct.north.example", "hisp"),
        (south, "PLAIN", OWN, "hisp"),
        (north, "BORROWS", OWN_EDGE, "edge"),
    ];
    for (number, (org, site, ..)) in cases.iter().enumerate() {
        world.result(*org, &order(site, &format!("box{number}"))).await;
    }
    world.gateway.drain().await.unwrap();
    for (number, (org, site, from, relay)) in cases.iter().enumerate() {
        let mailbox = format!("box{number}@{DOMAIN}").parse().unwrap();
        let arrived = world.mailboxes.list(Some(&mailbox)).unwrap();
        let [entry] = arrived.as_slice() else { panic!("{site}: {arrived:?}") };
        assert_eq!(entry.sender.as_ref().unwrap().as_str(), *from, "{site}: MAIL FROM");
        let inner = String::from_utf8(world.mailboxes.inner(entry).unwrap()).unwrap();
        assert!(inner.contains(&format!("From: {from}")) || inner.contains(&format!("<{from}>")), "{site}: {inner:.500}");
        // Opened means verified: signed with the certificate of that very address. An edge HISP gets it unsealed.
        assert!(entry.opened || *relay == "edge", "{site}: {entry:?}");
        let evidence = world
            .texts(&format!(
                "SELECT state || ' ' || relay || ' ' || lane || ' ' || (certificate IS NOT NULL) || ' ' || message_id
                 FROM delivery WHERE org_id = '{org}' AND address LIKE 'box{number}@%'"
            ))
            .await;
        let sealed = i32::from(*relay != "edge");
        assert!(evidence[0].starts_with(&format!("accepted {relay} {relay} {sealed} ")), "{site}: {evidence:?}");
        let domain = from.split_once('@').unwrap().1;
        assert!(evidence[0].ends_with(&format!("@{domain}>")), "{site}: the Message-ID is its sender's: {evidence:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_organization_without_an_address_sends_from_the_one_in_the_configuration() {
    let installation = Installation::open("", None).await;
    let path = |name: &str| installation.dir.path().join(name);
    // The organization's identity becomes the installation's.
    let organization = fs::read_to_string(path("north.toml")).unwrap();
    let (before, rest) = organization.split_once("[[identity]]").unwrap();
    let (identity, price) = rest.split_once("[price]").unwrap();
    fs::write(path("north.toml"), format!("{before}[price]{price}")).unwrap();
    let configuration = fs::read_to_string(path("postern.toml")).unwrap();
    fs::write(path("postern.toml"), format!("{configuration}[[identity]]{identity}")).unwrap();
    installation.postern(&["org", "apply", "north.toml"]);

    let shown = installation.json(&["check-config"]);
    assert_eq!(shown["identity"][0]["address"], "results@direct.north.example");
    assert_eq!(shown["identity"][0]["key_file"], path("north.key").to_str().unwrap(), "paths count from the configuration");
    let serving = installation.serve(None, None);
    let result = installation.submit(&serving, 0, "pcp").await.unwrap();
    installation.settled(1);
    installation.ties(&BTreeSet::from([result]));
}
