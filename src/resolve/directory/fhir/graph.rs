//! Puts resources together: NPI -> Practitioner <- PractitionerRole -> Endpoint, NPI -> Organization -> Endpoint, and what is
//! said directly. A million endpoints fit into memory because only Direct ones are kept, as text side by side, and references as
//! hashes.

use std::collections::HashSet;

use super::{Resource, endpoints::Endpoints, practices::Practices};
use crate::{
    crypto::sha256::sha256,
    domain::{
        DirectAddress, Npi,
        route::{AddressKind, AffiliatedWith, DirectoryRow},
    },
    resolve::directory::{Item, Reject, clean, load::KNOWN},
};

/// A resource by the hash of its type and id. Ninety-six bits: nobody meets somebody else's by chance.
pub(super) type Key = [u8; 12];

/// Somebody refers to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Link {
    /// The practitioner, or the participating organization.
    owner: Key,
    endpoint: Key,
    organization: Option<Key>,
    rank: Option<i32>,
}

/// What was learnt from resources.
#[derive(Debug, Default)]
pub struct Graph {
    today: String,
    /// Whether who has no address is left out: another source tells who there is.
    only_addresses: bool,
    endpoints: Endpoints,
    /// Whether every endpoint was seen: a link to something else leads nowhere.
    endpoints_known: bool,
    links: Vec<Link>,
    organizations: Practices,
    /// The organizations somebody refers to; all of them when nobody has said.
    wanted: Option<HashSet<Key>>,
    /// Endpoints that an organization calls its own.
    owned: HashSet<Key>,
    /// How many practitioners and organizations were seen, and how many NPIs.
    seen: u64,
    npis: u64,
}

impl Graph {
    /// An empty one; what ended before `today` (`YYYY-MM-DD`) is left out.
    #[must_use]
    pub fn new(today: &str) -> Self {
        Self { today: today.to_owned(), ..Self::default() }
    }

    /// Learns what others refer to: endpoints, roles, affiliations, organizations. Says what became of it, for the counts.
    pub fn learn(&mut self, resource: &Resource<'_>, full_url: &str, line: u64) -> Option<Item> {
        match resource.resource_type.as_ref() {
            "Endpoint" => return Some(self.endpoint(resource, full_url, line)),
            "PractitionerRole" if resource.active != Some(false) && !resource.is_over(&self.today) => {
                let organization = resource.organization.as_ref().and_then(|of| key(&of.reference));
                self.link(resource, resource.practitioner.as_ref().and_then(|of| key(&of.reference)), organization);
            }
            "OrganizationAffiliation" if resource.active != Some(false) && !resource.is_over(&self.today) => {
                let member = resource.participating_organization.as_ref().and_then(|of| key(&of.reference));
                self.link(resource, member, member);
            }
            "Organization" => {
                for name in own_keys(resource, full_url) {
                    if self.wanted.as_ref().is_none_or(|wanted| wanted.contains(&name)) {
                        self.organizations.insert(name, &affiliation(resource));
                    }
                }
                for (reference, _) in resource.endpoints() {
                    self.owned.extend(key(reference));
                }
            }
            _ => {}
        }
        None
    }

    fn endpoint(&mut self, resource: &Resource<'_>, full_url: &str, line: u64) -> Item {
        let connection = resource.connection().unwrap_or("no type");
        let of = format!("Endpoint {} {}", clean::name(connection).unwrap_or_default(), known_status(&resource.status));
        let mut item = Item { of: Some(of.into()), row: None, reject: None };
        if connection != "direct-project" {
            return item;
        }
        let reject = |reason: String| Some(Reject { line, column: "address".to_owned(), reason });
        // Whether `active` means anything differs from release to release; these two do.
        if matches!(resource.status.as_ref(), "entered-in-error" | "off") || resource.is_over(&self.today) {
            item.reject = Some(Reject { line, column: "status".to_owned(), reason: "is no longer in use".to_owned() });
            return item;
        }
        match clean::address(resource.address.as_str().unwrap_or_default()) {
            Err(why) => item.reject = reject(why),
            Ok(address) => {
                for name in own_keys(resource, full_url) {
                    if self.endpoints.insert(name, &address, resource.rank()).is_none() {
                        item.reject = reject("is one more than there is room for".to_owned());
                    }
                }
            }
        }
        item
    }

    fn link(&mut self, resource: &Resource<'_>, owner: Option<Key>, organization: Option<Key>) {
        let Some(owner) = owner else { return };
        for (reference, rank) in resource.endpoints() {
            let leads = |endpoint: &Key| !self.endpoints_known || self.endpoints.find(endpoint).is_some();
            if let Some(endpoint) = key(reference).filter(leads) {
                // A place among a few addresses; what is farther off is all the same.
                let rank = rank.map(|rank| i32::try_from(rank).unwrap_or(i32::MAX));
                self.links.push(Link { owner, endpoint, organization, rank });
            }
        }
    }

    /// Every endpoint was seen: from now on a link to one that is not Direct is left out at once. For files that come in an order
    /// in which they are first.
    pub fn know_endpoints(&mut self) {
        self.endpoints.settle();
        self.endpoints_known = true;
    }

    /// Leaves organizations out that nobody refers to: for files that come in an order in which who does is known by now.
    pub fn narrow(&mut self) {
        self.wanted = Some(self.links.iter().filter_map(|link| link.organization).collect());
    }

    /// Leaves out who has no address: of ten million, another source tells that they exist.
    pub fn only_addresses(&mut self) {
        self.only_addresses = true;
    }

    /// Everything is learnt: now who refers to what can be looked up.
    pub fn close(&mut self) {
        self.endpoints.settle();
        self.links.sort_unstable();
        self.links.dedup();
        let mut last = None;
        for link in &self.links {
            if last != Some((link.owner, link.endpoint))
                && let Some(endpoint) = self.endpoints.find(&link.endpoint)
            {
                self.endpoints.count(endpoint);
            }
            last = Some((link.owner, link.endpoint));
        }
    }

    /// What a Practitioner or an Organization comes to.
    pub fn say(&mut self, resource: &Resource<'_>, full_url: &str, line: u64) -> Vec<Item> {
        let person = match resource.resource_type.as_ref() {
            "Practitioner" => true,
            "Organization" => false,
            _ => return Vec::new(),
        };
        self.seen += 1;
        let Some(npi) = resource.npi() else {
            let wrong = resource.names_an_npi();
            let reject = Reject { line, column: "identifier".to_owned(), reason: "is no valid NPI".to_owned() };
            return if wrong { vec![Item::rejected("no valid NPI", reject)] } else { Vec::new() };
        };
        self.npis += 1;
        if resource.active == Some(false) {
            return vec![Item { of: Some("not active".into()), row: None, reject: None }];
        }
        let own = if person { AffiliatedWith::default() } else { affiliation(resource) };
        let kind = if person { AddressKind::Personal } else { AddressKind::Organization };
        let mut items = Vec::new();
        for (address, rank) in resource.direct_telecoms() {
            items.push(match address {
                Ok(address) => Item::taken("address in telecom", row(&npi, address, kind, rank, own.clone())),
                Err(reason) => Item::rejected("address in telecom", Reject { line, column: "telecom".to_owned(), reason }),
            });
        }
        let mut found: Vec<(Key, Option<i64>, AffiliatedWith)> = Vec::new();
        for (reference, rank) in resource.endpoints() {
            found.extend(key(reference).map(|endpoint| (endpoint, rank, own.clone())));
        }
        for name in own_keys(resource, full_url) {
            let from = self.links.partition_point(|link| link.owner < name);
            for link in self.links.iter().skip(from).take_while(|link| link.owner == name) {
                let affiliation = link.organization.map(|of| self.organizations.get(&of)).unwrap_or_default();
                found.push((link.endpoint, link.rank.map(i64::from), affiliation));
            }
        }
        for (name, rank, affiliation) in found {
            let Some(place) = self.endpoints.find(&name) else { continue };
            let Some((address, own_rank)) = self.endpoints.address(place) else { continue };
            let shared = self.endpoints.is_shared(place) || self.owned.contains(&name) || !person;
            let kind = if shared { AddressKind::Organization } else { AddressKind::Personal };
            items.push(Item::taken("address at an endpoint", row(&npi, address, kind, rank.or(own_rank), affiliation)));
        }
        if items.iter().all(|item| item.row.is_none()) {
            if self.only_addresses {
                items.push(Item { of: Some("without a Direct address".into()), row: None, reject: None });
                return items;
            }
            let known =
                DirectoryRow { npi, address: None, kind: None, rank: None, affiliation: AffiliatedWith::default(), active: true };
            items.push(Item::taken(KNOWN, known));
        }
        items
    }

    /// Whether there were practitioners or organizations, and none of them had an NPI that we could find: then the way in
    /// which NPIs are written has changed, and the file is not empty but not understood.
    #[must_use]
    pub const fn found_no_npi(&self) -> bool {
        self.seen > 0 && self.npis == 0
    }
}

fn row(npi: &Npi, address: DirectAddress, kind: AddressKind, rank: Option<i64>, affiliation: AffiliatedWith) -> DirectoryRow {
    DirectoryRow { npi: npi.clone(), address: Some(address), kind: Some(kind), rank, affiliation, active: true }
}

fn affiliation(organization: &Resource<'_>) -> AffiliatedWith {
    let (state, postal_code) = organization.place();
    clean::affiliation(organization.npi(), organization.title(), state, postal_code)
}

fn known_status(status: &str) -> &str {
    const KNOWN: &[&str] = &["active", "suspended", "error", "off", "entered-in-error", "test"];
    KNOWN.iter().find(|known| **known == status).copied().unwrap_or("without status")
}

/// What a resource can be referred to by: its type and id, and the name it has in its Bundle.
fn own_keys<'a>(resource: &'a Resource<'a>, full_url: &'a str) -> impl Iterator<Item = Key> {
    let by_id =
        (!resource.id.is_empty()).then(|| hash(&[resource.resource_type.as_bytes(), b"/", resource.id.as_bytes()].concat()));
    let by_name = key(full_url).filter(|name| Some(*name) != by_id);
    by_id.into_iter().chain(by_name)
}

/// What a reference means: `Type/id`, the same at the end of a URL or with a version, or `urn:uuid:...`. One into the
/// resource itself (`#id`) means nothing here.
fn key(reference: &str) -> Option<Key> {
    if reference.starts_with("urn:") {
        return Some(hash(reference.as_bytes()));
    }
    let reference = reference.split("/_history/").next().unwrap_or_default();
    let mut parts = reference.rsplit('/');
    let (id, of) = (parts.next()?, parts.next()?);
    (!id.is_empty() && !of.is_empty()).then(|| hash(&[of.as_bytes(), b"/", id.as_bytes()].concat()))
}

fn hash(text: &[u8]) -> Key {
    let whole = sha256(text);
    std::array::from_fn(|place| whole[place])
}

#[cfg(test)]
mod tests;
