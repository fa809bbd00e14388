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
    admin::world::{World, deliveries, org},
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

/// The answer that the guide for integrators shows.
fn example_of_the_guide() -> Value {
    let guide = fs::read_to_string("docs/integrating.md").unwrap();
    let section = guide.split_once("## Can an address be sent to?").unwrap().1;
    let example = section.split_once("```json").unwrap().1.split_once("```").unwrap().0;
    serde_json::from_str(example).unwrap()
}

/// Which fields there are, and how many of everything; not what they say.
fn shape(data: &Value) -> Value {
    match data {
        Value::Object(fields) => fields.iter().map(|(name, field)| (name.clone(), shape(field))).collect(),
        Value::Array(all) => all.iter().map(shape).collect(),
        _ => Value::Null,
    }
}

/// What a running gateway says over its API, and the command through it, is what the command says by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_over_the_api_says_the_same_as_the_command() {
    let shell = Shell::new();
    let good = shell.certificate(DOMAIN);
    let bind = Bind::start(&[(DOMAIN, cert("@", "PKIX", good.der()))]);
    shell.ask(&bind);
    // Anchors of somebody else's are not ours.
    let file = shell.world.write("south.toml", "slug = \"south\"\nname = \"South\"\n");
    shell.world.good(&["org", "apply", &file]);
    let token = |slug: &str| {
        shell.world.good(&["token", "create", "--organization", slug, "--scope", "deliveries:read"]).out.trim().to_owned()
    };
    let (north, south) = (token("north"), token("south"));
    let serving = shell.world.serve(Some("web"));
    let client = reqwest::Client::new();
    let asks = async |token: &str, what: &str| {
        let answer = client.get(format!("{}/v1/probe/{what}", serving.url)).bearer_auth(token).send().await.unwrap();
        let (status, kind) = (answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap().to_owned());
        let body: Value = answer.json().await.unwrap();
        assert_eq!(kind, if status == 200 { "application/json" } else { "application/problem+json" }, "{body}");
        (status, body)
    };
    let timeless = |mut data: Value| {
        for step in data["steps"].as_array_mut().unwrap() {
            for asked in step["asked"].as_array_mut().unwrap() {
                (asked["took_ms"], asked["age_seconds"]) = (0.into(), 0.into());
            }
        }
        data
    };
    let (status, over) = asks(&north, ADDRESS).await;
    assert_eq!(shape(&over), shape(&example_of_the_guide()), "docs/integrating.md shows what is said: {over:#}");
    assert_eq!((status, &over["sendable"], &over["organization"]), (200, &true.into(), &"north".into()), "{over:#}");
    let checks = over["steps"][2]["asked"][0]["certificates"][0]["checks"].as_array().unwrap().clone();
    assert_eq!(checks.len(), 7);
    assert!(checks.iter().all(|check| check["result"] == "pass"), "{checks:?}");
    let here = shell.world.json(&["probe", ADDRESS, "--organization", "north"]);
    assert_eq!(timeless(over.clone()), timeless(here));
    let through = shell.world.json(&["probe", ADDRESS, "--url", &serving.url, "--token", &north]);
    assert_eq!(timeless(over), timeless(through));
    let page = shell.world.good(&["probe", ADDRESS, "--url", &serving.url, "--token", &north]).out;
    assert!(page.contains("It can be sent to, with the certificate from: DNS, for the domain."), "{page}");
    assert!(page.contains("revocation  pass"), "{page}");

    // Each organization by its own anchors, and whoever shows no token not at all.
    let (status, body) = asks(&south, ADDRESS).await;
    assert_eq!((status, &body["sendable"], &body["reason"]), (200, &false.into(), &"untrusted".into()), "{body:#}");
    let verdict = &body["steps"][2]["asked"][0]["certificates"][0];
    let result = |name: &str| verdict["checks"].as_array().unwrap().iter().find(|check| check["check"] == name).unwrap().clone();
    assert_eq!((result("binding")["result"].clone(), result("path")["result"].clone()), ("pass".into(), "fail".into()));
    assert!(result("path")["why"].as_str().unwrap().contains("there are no anchors"));
    assert_eq!(result("revocation")["result"], "not_reached");
    let ran = shell.world.bad(&["probe", ADDRESS, "--url", &serving.url, "--token", &south]);
    assert!(ran.out.contains("path        FAIL"), "{}", ran.out);
    assert_eq!(asks("nobody's", ADDRESS).await.0, 401);
    assert_eq!(asks(&north, "no-address").await.1["code"], "malformed");
    assert_eq!(asks(&north, &format!("{ADDRESS}?slow=true")).await.0, 400);
    // What must not stand in a URL goes in the body.
    let question = async |body: Value| {
        let url = format!("{}/v1/probe", serving.url);
        let answer = client.post(url).bearer_auth(&north).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (status, body) = question(serde_json::json!({ "address": ADDRESS })).await;
    assert_eq!((status, &body["sendable"], &body["place"]), (200, &true.into(), &"dns_domain".into()), "{body:#}");
    for wrong in
        [serde_json::json!({ "address": "none" }), serde_json::json!({}), serde_json::json!({ "address": ADDRESS, "slow": true })]
    {
        let (status, body) = question(wrong).await;
        assert_eq!((status, &body["code"]), (400, &"malformed".into()), "{body:#}");
    }

    // Asked anew it asks anew.
    let before = bind.asked(&format!("{DOMAIN} IN CERT"));
    assert_eq!(asks(&north, ADDRESS).await.0, 200);
    assert_eq!(bind.asked(&format!("{DOMAIN} IN CERT")), before);
    assert_eq!(asks(&north, &format!("{ADDRESS}?fresh=true")).await.0, 200);
    assert_eq!(bind.asked(&format!("{DOMAIN} IN CERT")), before + 1);

    // The path of a delivery's certificate is the same question, held against what it was sealed to.
    let store = shell.world.store().await;
    let made = deliveries(&store, org(&store, "north").await, "P1", &[ADDRESS]).await[0];
    store.close().await;
    let looks = shell.world.good(&["token", "create", "--organization", "north", "--scope", "trust:read"]).out;
    let path = format!("{}/v1/deliveries/{made}/path", serving.url);
    let answer = client.post(&path).bearer_auth(looks.trim()).send().await.unwrap();
    let (status, body) = (answer.status().as_u16(), answer.json::<Value>().await.unwrap());
    assert_eq!(
        (status, &body["now"]["sendable"], &body["sealed_to"], &body["same"]),
        (200, &true.into(), &Value::Null, &Value::Null)
    );
    assert_eq!(body["now"]["path"].as_array().unwrap().len(), 2, "{body:#}");
    assert_eq!(client.post(&path).bearer_auth(&south).send().await.unwrap().status(), 403);
}

/// However many probes one organization asks for, name servers hear of no more than its share, and another is served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_organization_cannot_make_us_hammer_name_servers() {
    let shell = Shell::new();
    let bind = Bind::start(&[(DOMAIN, String::new())]);
    shell.ask(&bind);
    // The next turn comes a minute after the last: however slow the machine, none comes while we ask.
    let toml = fs::read_to_string(shell.world.path("postern.toml")).unwrap() + "[web]\nprobes_per_minute = 1\n";
    shell.world.write("postern.toml", toml);
    let file = shell.world.write("south.toml", "slug = \"south\"\nname = \"South\"\n");
    shell.world.good(&["org", "apply", &file]);
    let token = |slug: &str| {
        shell.world.good(&["token", "create", "--organization", slug, "--scope", "deliveries:read"]).out.trim().to_owned()
    };
    let (north, south) = (token("north"), token("south"));
    let serving = shell.world.serve(Some("web"));
    let client = reqwest::Client::new();
    let asks = async |token: &str, n: usize| {
        let url = format!("{}/v1/probe/p{n}@{DOMAIN}?fresh=true", serving.url);
        let answer = client.get(url).bearer_auth(token).send().await.unwrap();
        let again = answer.headers().get("retry-after").cloned();
        (answer.status().as_u16(), again.is_some(), answer.json::<Value>().await.unwrap()["code"].clone())
    };
    let answers = futures_util::future::join_all((0..40).map(|n| asks(&north, n))).await;
    let (served, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|(status, ..)| *status == 200);
    assert_eq!((served.len(), refused.len()), (1, 39), "{answers:?}");
    assert!(refused.iter().all(|refused| **refused == (429, true, "too_many_probes".into())), "{refused:?}");
    assert_eq!(bind.log().matches("IN CERT").count(), 2, "the address and its domain, for the one that was served");
    assert_eq!(asks(&south, 1).await.0, 200, "the others do not notice");
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
