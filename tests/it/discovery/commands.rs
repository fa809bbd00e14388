//! `postern probe`, `postern trust publish`, `postern trust cache`, `postern doctor`.

use std::{fs, time::Duration};

use postern::{
    domain::{Clock as _, DirectAddress, Timestamp},
    observe::SystemClock,
    trust::{
        Certificate,
        authority::{Authority, Binding, KeyKind, Order},
    },
};
use serde_json::Value;

use super::world::{ADDRESS, DOMAIN, NAME, directories};
use crate::{
    admin::world::World,
    support::{
        bind::{Bind, cert},
        slapd::Slapd,
    },
};

const DAY: Duration = Duration::from_hours(24);
const LAB: &str = "direct.lab.example";

struct Shell {
    world: World,
    ca: Authority,
    now: Timestamp,
}

impl Shell {
    fn new() -> Self {
        let now = SystemClock.now();
        let ca = Authority::new("Test CA", KeyKind::P256, now.minus(DAY * 400), now.plus(DAY * 400)).unwrap();
        let world = World::with("slug = \"north\"\nname = \"North\"\n");
        let file = world.write("ca.der", ca.certificate().der());
        world.good(&["trust", "anchors", "import", "--organization", "north", &file]);
        Self { world, ca, now }
    }

    fn order(&self, name: &str) -> Order {
        let binding = name.parse().map_or_else(|_| Binding::Domain(name.to_owned()), Binding::Address);
        Order::new(binding, self.now.minus(DAY * 300), self.now.plus(DAY * 90))
    }

    fn certificate(&self, name: &str) -> Certificate {
        self.ca.issue(&self.order(name)).unwrap().certificate
    }

    fn ask(&self, bind: &Bind) {
        let toml = format!(
            "[discovery]\nresolvers = [\"{}\"]\nallow = [\"127.0.0.0/8\"]\ndns_timeout = \"2s\"\nserver_timeout = \"2s\"\n",
            bind.address
        );
        fs::write(self.world.path("postern.toml"), toml).unwrap();
    }

    /// An identity that seals here, with a certificate for this name.
    fn identity(&self, slug: &str, address: &str, bound_to: &str) -> Certificate {
        let issued = self.ca.issue(&self.order(bound_to)).unwrap();
        let chain = issued.certificate.pem().unwrap() + &self.ca.certificate().pem().unwrap();
        self.world.write(&format!("{slug}.pem"), chain);
        self.world.write(&format!("{slug}.key"), issued.key_pem().unwrap());
        let toml = format!(
            "slug = \"{slug}\"\nname = \"{slug}\"\n[[identity]]\naddress = \"{address}\"\nmode = \"sta_mx\"\n\
             certificate_file = \"{slug}.pem\"\nkey_file = \"{slug}.key\"\n"
        );
        let file = self.world.write(&format!("{slug}.toml"), toml);
        self.world.good(&["org", "apply", &file]);
        issued.certificate
    }

    fn being_found(&self, address: &str) -> Value {
        let ran = self.world.run(&["doctor", "--json"]);
        let all: Value = serde_json::from_str(&ran.out).unwrap();
        let what = format!("being found: {address}");
        all.as_array()
            .unwrap()
            .iter()
            .find(|finding| finding["what"] == what.as_str())
            .unwrap_or_else(|| panic!("{all:#}"))
            .clone()
    }
}

#[test]
fn a_probe_shows_every_step_and_the_path() {
    let shell = Shell::new();
    let good = shell.certificate(DOMAIN);
    let bind = Bind::start(&[(DOMAIN, cert("@", "PKIX", good.der()))]);
    shell.ask(&bind);
    let page = shell.world.good(&["probe", ADDRESS]).out;
    for words in [
        "1. Imported certificates",
        "nothing there",
        "2. DNS, for the address",
        "DNS CERT jo.doe.direct.clinic.example",
        "3. DNS, for the domain",
        &format!("answered by {}", bind.address),
        "bound to direct.clinic.example",
        "good",
        "Test CA (anchor)",
        "It can be sent to, with the certificate from: DNS, for the domain.",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("LDAP"), "{page}");

    let data = shell.world.json(&["probe", ADDRESS, "--organization", "north"]);
    assert_eq!((&data["sendable"], &data["place"]), (&true.into(), &"dns_domain".into()));
    assert_eq!(data["path"].as_array().unwrap().len(), 2);
    assert_eq!(data["certificate"]["fingerprint"], postern::crypto::Hex(&good.fingerprint()).to_string().as_str());
    assert!(data["steps"][2]["asked"][0]["age_seconds"].is_u64(), "kept from before: {data:#}");
    let fresh = shell.world.json(&["probe", ADDRESS, "--fresh"]);
    assert!(fresh["steps"][2]["asked"][0]["age_seconds"].is_null());
}

#[test]
fn a_probe_that_finds_nothing_to_send_to_says_why_and_what_to_do() {
    let shell = Shell::new();
    let expired = Order { until: shell.now.minus(DAY), ..shell.order(ADDRESS) };
    let expired = shell.ca.issue(&expired).unwrap().certificate;
    let bind = Bind::start(&[(DOMAIN, cert(NAME, "PKIX", expired.der()))]);
    shell.ask(&bind);
    let page = shell.world.bad(&["probe", ADDRESS]).out;
    for words in ["bad (expired_cert)", "The search ends here", "It cannot be sent to now (expired_cert)", "What to do:"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let ran = shell.world.run(&["probe", "nobody@direct.clinic.example", "--json"]);
    let data: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &data["reason"], data["steps"].as_array().unwrap().len()), (1, &"no_cert".into(), 5));
    drop(bind);
    let ran = shell.world.bad(&["probe", "somebody@direct.clinic.example"]);
    assert!(ran.out.contains("No answer is not the same as none") && ran.out.contains("trust_unavailable"), "{}", ran.out);
}

#[test]
fn a_probe_needs_to_know_who_would_send() {
    let shell = Shell::new();
    let file = shell.world.write("south.toml", "slug = \"south\"\nname = \"South\"\n");
    shell.world.good(&["org", "apply", &file]);
    let ran = shell.world.run(&["probe", ADDRESS]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("--organization"), "{}", ran.err);
    assert_eq!(shell.world.run(&["probe", "no address"]).code, 2);
}

#[test]
fn what_is_kept_can_be_seen_and_forgotten() {
    let shell = Shell::new();
    let bind = Bind::start(&[(DOMAIN, cert(NAME, "PKIX", shell.certificate(ADDRESS).der()))]);
    shell.ask(&bind);
    shell.world.good(&["probe", ADDRESS]);
    let list = shell.world.json(&["trust", "cache", "list"]);
    assert_eq!((&list[0]["about"], &list[0]["outcome"]), (&ADDRESS.into(), &"found".into()));
    assert_eq!(list[0]["asked_of"], bind.address.to_string().as_str());
    assert!(shell.world.good(&["trust", "cache", "list", ADDRESS]).out.contains("DNS CERT"));
    shell.world.good(&["trust", "cache", "forget", ADDRESS]);
    shell.world.bad(&["trust", "cache", "forget", ADDRESS]);
    assert_eq!(shell.world.json(&["trust", "cache", "list"]), serde_json::json!([]));
}

/// DCDT H1 and H2: hosted in DNS, for an address and for a domain; in both forms of the record.
#[test]
fn h1_h2_what_is_published_in_dns_is_found_by_strangers() {
    let shell = Shell::new();
    // An address that means something in a zone file.
    let address = "o'neil$x@direct.lab.example";
    shell.identity("one", address, address);
    shell.identity("two", "results@direct.lab.example", LAB);
    for form in ["zone", "type37"] {
        let bind = Bind::start(&[(LAB, String::new())]);
        shell.ask(&bind);
        for address in [address, "results@direct.lab.example"] {
            let before = shell.being_found(address);
            assert_eq!(before["verdict"], "bad", "{before}");
            assert!(before["fix"].as_str().unwrap().contains("postern trust publish"), "{before}");
        }
        let ran = shell.world.good(&["trust", "publish", "--form", form]);
        bind.publish(LAB, &ran.out);
        for (address, place) in [(address, "DNS for the address"), ("results@direct.lab.example", "DNS for the domain")] {
            let after = shell.being_found(address);
            assert_eq!(after["verdict"], "good", "{form}: {after}\n{}", ran.out);
            assert!(after["says"].as_str().unwrap().contains(place), "{after}");
        }
    }
    let rows = shell.world.json(&["trust", "publish", "--organization", "two"]);
    assert_eq!((rows.as_array().unwrap().len(), &rows[0]["name"]), (1, &LAB.into()));
}

/// DCDT H3 and H4: hosted in LDAP, for an address and for a domain.
#[test]
fn h3_h4_what_is_published_in_ldap_is_found_by_strangers() {
    let shell = Shell::new();
    let address = "o=neil@direct.lab.example";
    shell.identity("one", address, address);
    shell.identity("two", "results@direct.lab.example", LAB);
    let ran = shell.world.good(&["trust", "publish", "--form", "ldif", "--base", "dc=example"]);
    assert!(ran.err.contains("_ldap._tcp.direct.lab.example."), "{}", ran.err);
    let base = crate::support::slapd::ldif(&[], "dc=example");
    let directory = Slapd::with(&["dc=example"], &(base + "\n" + &ran.out), "");
    let bind = Bind::start(&[(LAB, directories(&[(0, 0, directory.address)]))]);
    shell.ask(&bind);
    for (address, place) in [(address, "LDAP for the address"), ("results@direct.lab.example", "LDAP for the domain")] {
        let after = shell.being_found(address);
        assert_eq!(after["verdict"], "good", "{after}\n{}", ran.out);
        assert!(after["says"].as_str().unwrap().contains(place), "{after}");
    }
}

#[test]
fn a_stranger_who_finds_an_old_certificate_first_is_told_of() {
    let shell = Shell::new();
    let address: DirectAddress = "results@direct.lab.example".parse().unwrap();
    let ours = shell.identity("one", address.as_str(), LAB);
    let old = shell.certificate(address.as_str());
    let records = cert("results", "PKIX", old.der()) + &cert("@", "PKIX", ours.der());
    let bind = Bind::start(&[(LAB, records)]);
    shell.ask(&bind);
    let found = shell.being_found(address.as_str());
    assert_eq!(found["verdict"], "bad");
    assert!(found["says"].as_str().unwrap().contains("another certificate in DNS for the address"), "{found}");
    drop(bind);
    let found = shell.being_found(address.as_str());
    assert!(found["says"].as_str().unwrap().contains("no answer"), "{found}");
}
