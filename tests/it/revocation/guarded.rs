//! Everything that fetches from where strangers say, against every way into our own network.

use postern::{
    config::revocation::RevocationSection,
    crypto::der,
    domain::Reason,
    trust::{
        Certificate,
        authority::{Extension, Order},
        bundle::refresh,
    },
};
use tokio::net::TcpListener;

use super::{
    issuer::Page,
    world::{World, settings},
};

/// Ways to write an address of this machine or of the network around it; `PORT` is one that somebody listens on.
pub(crate) const INSIDE: [&str; 17] = [
    "127.0.0.1:PORT",
    "127.1:PORT",
    "2130706433:PORT",
    "0x7f.0.0.1:PORT",
    "0177.0.0.1:PORT",
    "localhost:PORT",
    "[::1]:PORT",
    "[::ffff:127.0.0.1]:PORT",
    "[::ffff:7f00:1]:PORT",
    "[64:ff9b::7f00:1]:PORT",
    "0.0.0.0:PORT",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "169.254.169.254",
    "[fe80::1]",
    "[fd00:ec2::254]",
];
pub(crate) const OTHER_SCHEMES: [&str; 5] = [
    "ldap://127.0.0.1:PORT/",
    "file:///etc/passwd",
    "ftp://127.0.0.1:PORT/",
    "gopher://127.0.0.1:PORT/",
    "dict://127.0.0.1:PORT/",
];

/// Somebody who must not be connected to.
pub(crate) struct Trap {
    listener: TcpListener,
    also: Option<TcpListener>,
}

impl Trap {
    pub(crate) async fn set() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // Where there is no IPv6, nobody can be led there.
        let also = TcpListener::bind(("::1", port)).await.ok();
        Self { listener, also }
    }

    pub(crate) fn url(&self, text: &str) -> String {
        let text = text.replace("PORT", &self.listener.local_addr().unwrap().port().to_string());
        if text.contains("://") { text } else { format!("http://{text}/x") }
    }

    pub(crate) async fn is_untouched(&self, case: &str) {
        let moment = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(moment, self.listener.accept()).await.is_err(), "{case}: was connected to");
        if let Some(also) = &self.also {
            assert!(tokio::time::timeout(moment, also.accept()).await.is_err(), "{case}: was connected to");
        }
    }
}

/// AuthorityInfoAccess with one place: `ad-ocsp` or `ad-caIssuers` (RFC 5280 4.2.2.1).
fn access(method: &str, url: &str) -> Extension {
    let name = der::tlv(der::implicit(6), &[url.as_bytes()]).unwrap();
    let method = der::oid(der::ObjectIdentifier::new_unwrap(method)).unwrap();
    let entry = der::sequence(&[&method, &name]).unwrap();
    Extension { id: "1.3.6.1.5.5.7.1.1", critical: false, value: der::sequence(&[&entry]).unwrap() }
}

fn nobody_allowed() -> RevocationSection {
    RevocationSection { allow: Vec::new(), ..settings() }
}

/// A certificate that sends us to `url` for a list, an answer, or its issuer.
fn sent_to(world: &World, what: &str, url: &str) -> Certificate {
    let order = match what {
        "list" => Order { crl_url: Some(url.to_owned()), ..world.order() },
        "answer" => Order { extensions: vec![access("1.3.6.1.5.5.7.48.1", url)], ..world.order() },
        _ => Order { extensions: vec![access("1.3.6.1.5.5.7.48.2", url)], ..world.order() },
    };
    if what == "issuer" {
        // Of an intermediate that nobody has.
        let from = world.now().minus(super::world::DAY);
        let middle = world.root.intermediate(
            "Middle",
            postern::trust::authority::KeyKind::P256,
            from,
            world.now().plus(super::world::DAY * 30),
        );
        return middle.unwrap().issue(&order).unwrap().certificate;
    }
    world.root.issue(&order).unwrap().certificate
}

#[tokio::test]
async fn no_certificate_leads_us_into_our_own_network_however_the_address_is_written() {
    let trap = Trap::set().await;
    for what in ["list", "answer", "issuer"] {
        // Each has a name of its own, so none is left alone because of another.
        let world = World::with(nobody_allowed()).await;
        for place in INSIDE.iter().chain(&OTHER_SCHEMES) {
            let url = trap.url(place);
            let error = world.choose(&[&sent_to(&world, what, &url)]).await.unwrap_err();
            let wanted = if what == "issuer" { Reason::Untrusted } else { Reason::TrustUnavailable };
            assert_eq!(error.reason(), wanted, "{what} {url}: {error}");
            trap.is_untouched(&format!("{what} {url}")).await;
        }
    }
}

#[tokio::test]
async fn no_bundle_is_fetched_from_inside_unless_it_is_marked_and_never_by_a_redirect() {
    let trap = Trap::set().await;
    for place in INSIDE {
        let url = trap.url(place).replace("http://", "https://");
        let error = refresh::fetch(&url, false).await.unwrap_err();
        let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        assert!(why.contains("private network"), "{url}: {why}");
        trap.is_untouched(&url).await;
    }
    for place in OTHER_SCHEMES.iter().copied().chain(["http://127.0.0.1:PORT/"]) {
        assert!(refresh::fetch(&trap.url(place), false).await.is_err(), "{place}");
        trap.is_untouched(place).await;
    }
    let world = World::new().await;
    world.issuer.put("/bundle", Page::redirect(&trap.url("127.0.0.1:PORT")));
    let moved = refresh::fetch(&world.issuer.url("/bundle"), true).await.unwrap_err();
    assert!(moved.to_string().contains("302"), "{moved}");
    trap.is_untouched("a redirect").await;
}

/// The network that is allowed ends where it ends: a server inside it may send us to its neighbour, where we do not go.
#[tokio::test]
async fn each_hop_of_a_redirect_is_checked_like_a_first_request() {
    let section = RevocationSection { allow: vec!["127.0.0.1/32".parse().unwrap()], ..settings() };
    for (hop, reason) in [("127.0.0.2", Some(Reason::TrustUnavailable)), ("127.0.0.1", None)] {
        let world = World::with(section.clone()).await;
        world.publish("/real.crl", &[]);
        let trap = TcpListener::bind("127.0.0.2:0").await.unwrap();
        let to = match hop {
            "127.0.0.1" => world.issuer.url("/real.crl"),
            _ => format!("http://{}/root.crl", trap.local_addr().unwrap()),
        };
        world.issuer.put("/root.crl", Page::redirect(&to));
        assert_eq!(world.reason(&world.listed("/root.crl").certificate).await, reason, "{hop}");
        let knocked = tokio::time::timeout(std::time::Duration::from_millis(50), trap.accept()).await;
        assert!(knocked.is_err(), "{hop}");
    }
}
