//! `postern trust`.

use std::time::Duration;

use postern::{
    domain::{Clock as _, Timestamp},
    observe::SystemClock,
    trust::{
        Certificate,
        authority::{Authority, Binding, Digest, KeyKind, Order, Usage},
    },
};

use super::world::World;

const DAY: Duration = Duration::from_hours(24);

struct Trust {
    world: World,
    authority: Authority,
    now: Timestamp,
}

impl Trust {
    fn new() -> Self {
        let now = SystemClock.now();
        let authority = Authority::new("Test CA", KeyKind::P256, now.minus(DAY * 400), now.plus(DAY * 400)).unwrap();
        Self { world: World::with("slug = \"north\"\nname = \"North\"\n"), authority, now }
    }

    fn order(&self, binding: &str, days: u32) -> Order {
        let binding = binding.parse().map_or_else(|_| Binding::Domain(binding.to_owned()), Binding::Address);
        Order::new(binding, self.now.minus(DAY * 300), self.now.plus(DAY * days))
    }

    fn pem(&self, order: &Order) -> String {
        self.authority.issue(order).unwrap().certificate.pem().unwrap()
    }

    fn import(&self, what: &str, content: impl AsRef<[u8]>, more: &[&str]) -> crate::support::command::Ran {
        let file = self.world.write("import.pem", content);
        self.world.run(&[&["trust", what, "import", "--organization", "north", &file], more].concat())
    }
}

#[test]
fn certificates_are_kept_under_every_name_and_listed_with_what_expires() {
    let trust = Trust::new();
    let anchor = trust.import("anchors", trust.authority.certificate().der(), &[]);
    assert_eq!(anchor.code, 0, "{}", anchor.err);
    let chain = trust.pem(&trust.order("direct.soon.example", 30))
        + &trust.authority.certificate().pem().unwrap()
        + &trust.pem(&trust.order("pcp@direct.later.example", 300));
    let ran = trust.import("certificates", chain, &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("left out") && !ran.err.contains("warning"), "{}", ran.err);

    let list = trust.world.json(&["trust", "certificates", "list", "--organization", "north"]);
    let rows: Vec<_> =
        list.as_array().unwrap().iter().map(|row| (row["name"].as_str().unwrap(), row["mark"].as_str().unwrap())).collect();
    assert_eq!(rows, [("direct.soon.example", "expires soon"), ("pcp@direct.later.example", "")]);
    let list = trust.world.good(&["trust", "anchors", "list"]);
    assert!(list.out.contains("anchor"), "{}", list.out);

    let fingerprint = list.out.lines().nth(1).unwrap().split_whitespace().last().unwrap();
    let remove = ["trust", "anchors", "remove", "--organization", "north"];
    trust.world.good(&[&remove[..], &[&fingerprint[..12].to_uppercase()]].concat());
    trust.world.bad(&[&remove[..], &[fingerprint]].concat());
    assert_eq!(trust.world.run(&[&remove[..], &["xyz"]].concat()).code, 2);
    assert_eq!(trust.world.json(&["trust", "anchors", "list"]), serde_json::json!([]));
}

#[test]
fn what_can_never_be_sealed_to_is_refused_with_the_reason_and_the_rest_is_imported() {
    let trust = Trust::new();
    let expired = Order::new(Binding::Domain("a.example".into()), trust.now.minus(DAY * 300), trust.now.minus(DAY));
    let signing = Order { usage: Usage::Sign, ..trust.order("b.example", 300) };
    let sha1 = Order { digest: Digest::Sha1, ..trust.order("c.example", 300) };
    let weak = Order { key: KeyKind::Rsa(1024), ..trust.order("d.example", 300) };
    let all = [&expired, &signing, &sha1, &weak, &trust.order("good.example", 300)].map(|order| trust.pem(order)).concat();
    let ran = trust.import("certificates", all, &[]);
    assert_eq!(ran.code, 1);
    for why in ["expired after", "may not be used for encryption", "is signed with", "RSA 1024"] {
        assert!(ran.err.contains(why), "{why}: {}", ran.err);
    }
    assert!(ran.err.contains("there are no anchors"), "{}", ran.err);
    let list = trust.world.json(&["trust", "certificates", "list"]);
    assert_eq!((list.as_array().unwrap().len(), &list[0]["name"]), (1, &"good.example".into()));
    assert_eq!(trust.import("certificates", "no certificate", &[]).code, 1);
}

#[test]
fn a_certificate_can_be_pinned_to_an_address_it_is_bound_to_and_to_no_other() {
    let trust = Trust::new();
    let pem = trust.pem(&trust.order("direct.example.org", 300));
    assert_eq!(trust.import("certificates", &pem, &["--pin", "pcp@elsewhere.example"]).code, 1);
    assert_eq!(trust.import("certificates", &pem, &["--pin", "PCP@Direct.example.org"]).code, 0);
    let list = trust.world.json(&["trust", "certificates", "list"]);
    assert_eq!((list.as_array().unwrap().len(), &list[0]["name"]), (1, &"pcp@direct.example.org".into()));
}

#[test]
fn nobody_becomes_an_anchor_who_may_not_sign_certificates() {
    let trust = Trust::new();
    let leaf = trust.import("anchors", trust.pem(&trust.order("direct.example.org", 300)), &[]);
    assert_eq!(leaf.code, 1);
    assert!(leaf.err.contains("is not an authority"), "{}", leaf.err);
    let below = trust.authority.intermediate("Below", KeyKind::P256, trust.now.minus(DAY), trust.now.plus(DAY * 9)).unwrap();
    let below: &Certificate = below.certificate();
    assert_eq!(trust.import("anchors", below.der(), &["--intermediate"]).code, 0);
    assert_eq!(trust.world.json(&["trust", "anchors", "list"])[0]["name"], "intermediate");
}
