//! A FHIR server: who has the NPI, then the roles with their endpoints. Every criterion is checked again here, because servers
//! ignore those they do not know and then answer with everybody.

use std::collections::HashSet;

use serde::Deserialize as _;
use serde_json::Value;

use super::{Place, Reply, Trouble, reply};
use crate::{
    domain::{Npi, route::DirectoryRow},
    resolve::directory::fhir::{Graph, Resource, resource::NPI_SYSTEMS},
};

/// Most pages of one search. A clinician has a few roles.
const MOST_PAGES: usize = 5;

type Resources = Vec<(String, Value)>;

pub(super) async fn ask(place: &Place, npi: &Npi, today: &str) -> Result<Reply, Trouble> {
    let base = place.settings.base();
    let tokens = NPI_SYSTEMS.map(|system| format!("{}%7C{npi}", system.replace(':', "%3A").replace('/', "%2F"))).join(",");
    let mut resources = search(place, &format!("{base}/Practitioner?identifier={tokens}")).await?;
    if has(&resources, npi) {
        let roles = format!(
            "{base}/PractitionerRole?practitioner.identifier={tokens}&_include=PractitionerRole:endpoint&_include=PractitionerRole:organization"
        );
        resources.extend(search(place, &roles).await?);
    } else {
        resources = search(place, &format!("{base}/Organization?identifier={tokens}&_include=Organization:endpoint")).await?;
        if !has(&resources, npi) {
            return Ok(Reply::Unknown);
        }
    }
    Ok(reply(rows(&resources, npi, today)))
}

fn has(resources: &Resources, npi: &Npi) -> bool {
    each(resources).any(|(_, resource)| {
        matches!(resource.resource_type.as_ref(), "Practitioner" | "Organization") && resource.npi().as_ref() == Some(npi)
    })
}

fn each(resources: &Resources) -> impl Iterator<Item = (&str, Resource<'_>)> {
    // One that is not shaped as it should be costs nothing but itself.
    resources.iter().filter_map(|(name, value)| Some((name.as_str(), Resource::deserialize(value).ok()?)))
}

fn rows(resources: &Resources, npi: &Npi, today: &str) -> Vec<DirectoryRow> {
    let mut graph = Graph::new(today);
    for (name, resource) in each(resources) {
        graph.learn(&resource, name, 0);
    }
    graph.close();
    let mut rows = Vec::new();
    for (name, resource) in each(resources) {
        let items = graph.say(&resource, name, 0);
        rows.extend(items.into_iter().filter_map(|item| item.row).filter(|row| row.npi == *npi));
    }
    let mut seen = HashSet::new();
    rows.retain(|row| seen.insert(crate::store::directory::fingerprint(row)));
    rows
}

/// All pages of a search; more than so many are no answer, since the address we look for may be on the next.
async fn search(place: &Place, url: &str) -> Result<Resources, Trouble> {
    let unusable = |why: &str| Trouble::Unusable(why.to_owned());
    let (mut resources, mut url) = (Resources::new(), url.to_owned());
    for _ in 0..MOST_PAGES {
        let page = place.get(&url, "application/fhir+json").await?.body;
        let bundle: Resource<'_> =
            serde_json::from_slice(&page).map_err(|_| unusable("answered with something that is not FHIR"))?;
        if bundle.resource_type != "Bundle" {
            return Err(unusable("answered with something that is no Bundle"));
        }
        let next = bundle.link.iter().find(|link| link.relation == "next").map(|link| link.url.to_string());
        resources.extend(bundle.entry.into_iter().map(|entry| (entry.full_url.into_owned(), entry.resource)));
        match next {
            None => return Ok(resources),
            Some(next) => {
                url =
                    follow(place.settings.base(), &next).ok_or_else(|| unusable("leads to another server for the next page"))?;
            }
        }
    }
    Err(unusable("has more pages than one clinician can fill"))
}

/// The next page; only on the same server, which alone is trusted and gets our token.
fn follow(base: &str, next: &str) -> Option<String> {
    if !next.contains("://") {
        return (!next.starts_with("//")).then(|| format!("{base}/{}", next.trim_start_matches('/')));
    }
    let origin = |url: &str| {
        let (scheme, rest) = url.split_once("://")?;
        Some((scheme.to_ascii_lowercase(), rest.split(['/', '?', '#']).next()?.to_ascii_lowercase()))
    };
    (origin(base)? == origin(next)?).then(|| next.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_lies_on_the_same_server() {
        let base = "https://d.example/fhir";
        assert_eq!(follow(base, "https://D.example/other?page=2").as_deref(), Some("https://D.example/other?page=2"));
        assert_eq!(follow(base, "?page=2").as_deref(), Some("https://d.example/fhir/?page=2"));
        for elsewhere in [
            "https://e.example/fhir",
            "http://d.example/fhir",
            "//e.example/x",
            "https://d.example:8443/x",
            "https://d.example@e.example/",
        ] {
            assert_eq!(follow(base, elsewhere), None, "{elsewhere}");
        }
    }
}
