//! What `postern doctor` says about revocation.

use std::time::Duration;

use postern::{
    domain::Clock as _,
    observe::SystemClock,
    trust::authority::{Authority, Binding, KeyKind, Order},
};
use serde_json::Value;

use super::issuer::{Issuer, Page};
use crate::admin::world::World;

const DAY: Duration = Duration::from_hours(24);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_says_of_each_certificate_of_ours_and_each_anchor_whether_its_revocation_can_be_told() {
    let now = SystemClock.now();
    let root = Authority::new("Root", KeyKind::P256, now.minus(DAY), now.plus(DAY * 400)).unwrap();
    let ending = Authority::new("Ending", KeyKind::P256, now.minus(DAY), now.plus(DAY * 5)).unwrap();
    let unknown = Authority::new("Unknown", KeyKind::P256, now.minus(DAY), now.plus(DAY * 400)).unwrap();
    let issuer = Issuer::start().await;
    let world = World::with("slug = \"north\"\nname = \"North\"\n");
    world.write(
        "postern.toml",
        "[discovery]\ndns = false\nldap = false\n[revocation]\nallow = [\"127.0.0.0/8\"]\npatience = \"3s\"\n",
    );
    for authority in [&root, &ending] {
        let file = world.write("ca.der", authority.certificate().der());
        world.good(&["trust", "anchors", "import", "--organization", "north", &file]);
    }
    let mut toml = "slug = \"north\"\nname = \"North\"\n".to_owned();
    let mut identity = |name: &str, by: &Authority, crl: Option<&str>| {
        let address = format!("{name}@direct.lab.example");
        let order = Order {
            key: KeyKind::P256,
            crl_url: crl.map(|path| issuer.url(path)),
            ..Order::new(Binding::Address(address.parse().unwrap()), now.minus(DAY), now.plus(DAY * 300))
        };
        let issued = by.issue(&order).unwrap();
        world.write(&format!("{name}.pem"), issued.certificate.pem().unwrap());
        world.write(&format!("{name}.key"), issued.key_pem().unwrap());
        toml += &format!(
            "[[identity]]\naddress = \"{address}\"\nmode = \"sta_mx\"\ncertificate_file = \"{name}.pem\"\nkey_file = \"{name}.key\"\n"
        );
        issued.certificate
    };
    identity("good", &root, Some("/good.crl"));
    let revoked = identity("revoked", &root, Some("/revoked.crl"));
    identity("silent", &root, Some("/none.crl"));
    identity("sourceless", &root, None);
    identity("homeless", &unknown, Some("/good.crl"));
    let list = |all: &[_]| Page::of(root.revocation_list(all, now.minus(DAY), now.plus(DAY)).unwrap());
    issuer.put("/good.crl", list(&[]));
    issuer.put("/revoked.crl", list(&[&revoked]));
    let file = world.write("org.toml", toml);
    world.good(&["org", "apply", &file]);

    let ran = world.run(&["doctor", "--json"]);
    let all: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    let says = |what: &str| {
        let found =
            all.iter().find(|one| one["what"].as_str().unwrap().contains(what)).unwrap_or_else(|| panic!("{what}: {all:#?}"));
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        (text("verdict"), text("says"), text("fix"))
    };
    for (what, verdict, words, fix) in [
        ("our certificate: good@", "good", "is not revoked", ""),
        ("our certificate: revoked@", "bad", "has been revoked", "trust identities import"),
        ("our certificate: silent@", "bad", "answered 404", "reaches the place"),
        ("our certificate: sourceless@", "good", "neither a revocation list nor a responder", ""),
        ("our certificate: homeless@", "note", "its issuer is not at hand", "put the certificates of its issuers"),
        ("anchor of north: O=Postern sandbox, CN=Ending", "note", "ends after", "trust anchors import"),
        ("revocation list of", "bad", "never_had", "trust revocation refresh"),
    ] {
        let (told, said, mend) = says(what);
        assert_eq!(told, verdict, "{what}: {said}");
        assert!(said.contains(words), "{what}: {said}");
        assert!(if fix.is_empty() { mend.is_empty() } else { mend.contains(fix) }, "{what}: {mend}");
    }
    assert_eq!(ran.code, 1);
}
