//! Whether others find our certificates: looked up as a stranger would.

use futures_util::StreamExt as _;

use super::Finding;
use crate::{
    cli::context::Context,
    domain::{
        DirectAddress, OrgScope, Timestamp,
        organization::{Mode, SendMode},
    },
    store::organization::Organization,
    trust::{
        Certificate, Discovery,
        discovery::{Asked, Place, Said},
        publish::publications,
    },
};

const PUBLISH: &str = "publish what postern trust publish prints, in the DNS zone of the domain or in its LDAP directory";
const REPLACE: &str = "replace what is published there by what postern trust publish prints, or remove it";
const RENEW: &str = "give the identity a certificate that others can encrypt to";
const REACH: &str = "see that the name servers and directories of the domain answer from outside, over UDP and TCP";

/// So many identities are looked up at a time.
const AT_A_TIME: usize = 8;

/// Where strangers look, in their order.
const PLACES: [(Place, &str); 4] = [
    (Place::DnsAddress, "DNS for the address"),
    (Place::DnsDomain, "DNS for the domain"),
    (Place::LdapAddress, "LDAP for the address"),
    (Place::LdapDomain, "LDAP for the domain"),
];

/// What strangers find about every identity that seals here.
pub(super) async fn findings(context: &Context) -> Vec<Finding> {
    // A store that cannot be opened has its own finding.
    let Ok(store) = context.open_store().await else { return Vec::new() };
    let discovery = Discovery::new(context.config().discovery.clone(), store.clone());
    let mut findings = Vec::new();
    for organization in store.organizations(OrgScope::All).await.unwrap_or_default() {
        findings.extend(of(&discovery, &organization, context.clock.now()).await);
    }
    store.close().await;
    findings
}

async fn of(discovery: &Discovery, organization: &Organization, now: Timestamp) -> Vec<Finding> {
    let identities = organization.identities.iter().filter_map(|identity| {
        // In edge mode the HISP publishes.
        let seals = matches!(identity.mode, SendMode::StaRelay | SendMode::StaMx);
        identity.certificate.as_deref().filter(|_| seals).map(|pem| (&identity.address, pem))
    });
    let test = organization.file.mode == Mode::Test;
    let looking = identities.map(|(address, pem)| one(discovery, address, pem, test, now));
    futures_util::stream::iter(looking).buffered(AT_A_TIME).collect().await
}

async fn one(discovery: &Discovery, address: &DirectAddress, pem: &str, test: bool, now: Timestamp) -> Finding {
    let what = format!("being found: {address}");
    if test {
        return Finding::good(what, "not looked up: the organization is in test mode");
    }
    match Certificate::read_all(pem.as_bytes()).and_then(|read| publications(address, &read, now)) {
        Err(error) => Finding::bad(what, error, RENEW),
        Ok(ours) => {
            let ours: Vec<Certificate> = ours.into_iter().map(|one| one.certificate).collect();
            looked_up(discovery, address, &ours, what).await
        }
    }
}

/// What a stranger would find first decides.
async fn looked_up(discovery: &Discovery, address: &DirectAddress, ours: &[Certificate], what: String) -> Finding {
    let mut silent = None;
    for (place, name) in PLACES {
        let asked = discovery.look(place, address).await;
        match seen(&asked, ours) {
            Seen::Ours => return Finding::good(what, format!("strangers find its certificate in {name}")),
            Seen::Another(subject) => {
                let says = anyhow::anyhow!("strangers find another certificate in {name}, of {subject}");
                return Finding::bad(what, says, REPLACE);
            }
            Seen::Silence(why) => {
                silent.get_or_insert(format!("{name}: {why}"));
            }
            Seen::Nothing => {}
        }
    }
    match silent {
        Some(why) => Finding::bad(what, anyhow::anyhow!("strangers get no answer from {why}"), REACH),
        None => Finding::bad(what, anyhow::anyhow!("strangers find no certificate, neither in DNS nor in LDAP"), PUBLISH),
    }
}

enum Seen {
    Ours,
    Another(String),
    Silence(String),
    Nothing,
}

fn seen(asked: &[Asked], ours: &[Certificate]) -> Seen {
    let mut seen = Seen::Nothing;
    for said in asked.iter().map(|asked| &asked.said) {
        match said {
            Said::Certificates(all) => {
                let found: Vec<&Certificate> = all.iter().filter_map(|one| one.certificate.as_ref()).collect();
                if found.iter().any(|one| ours.contains(one)) {
                    return Seen::Ours;
                }
                let subject = found.first().map_or_else(|| "nobody: it cannot be read".to_owned(), |one| one.subject());
                seen = Seen::Another(subject);
            }
            Said::Unavailable(why) if matches!(seen, Seen::Nothing) => seen = Seen::Silence(why.clone()),
            _ => {}
        }
    }
    seen
}
