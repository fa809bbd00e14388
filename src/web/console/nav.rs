//! The way from page to page: what a role may see, and which one it is at.

use crate::{
    domain::{
        OrgId,
        person::{Reach, Right},
    },
    web::auth::Person,
};

/// One place of the console.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Its path.
    pub path: &'static str,
    /// What it is called.
    pub words: &'static str,
    /// One is there.
    pub here: bool,
}

/// Places that belong together.
#[derive(Debug)]
pub struct Group {
    /// What they have in common.
    pub words: &'static str,
    /// The places the role may go to.
    pub places: Vec<Place>,
}

/// Where, what it is called, and the right it takes.
type Listed = (&'static str, &'static str, Right);

const GROUPS: [(&str, &[Listed]); 3] = [
    (
        "Results",
        &[
            ("/", "Overview", Right::DeliveriesRead),
            ("/deliveries", "Deliveries", Right::DeliveriesRead),
            ("/worklist", "Worklist", Right::DeliveriesRead),
            ("/inbox", "Inbox", Right::InboxRead),
            ("/reports", "Reports", Right::DeliveriesRead),
        ],
    ),
    (
        "Business",
        &[
            ("/organizations", "Organizations", Right::OrganizationsRead),
            ("/fees", "Fees", Right::FeesRead),
            ("/webhooks", "Webhooks", Right::OrganizationsRead),
        ],
    ),
    (
        "Installation",
        &[
            ("/directory", "Directory", Right::DirectoryRead),
            ("/trust", "Trust", Right::TrustRead),
            ("/alerts", "Alerts", Right::HealthRead),
            ("/health", "Health", Right::HealthRead),
            ("/audit", "Audit", Right::AuditRead),
            ("/people", "People and tokens", Right::PeopleRead),
        ],
    ),
];

impl Person {
    /// Where they may go.
    #[must_use]
    pub fn places(&self) -> Vec<Group> {
        let may = |places: &[(&'static str, &'static str, Right)]| {
            let allowed = places.iter().filter(|(_, _, right)| self.duty.is_none() && self.may(*right));
            allowed.map(|(path, words, _)| Place { path, words, here: *path == self.place }).collect::<Vec<_>>()
        };
        let groups = GROUPS.iter().map(|(words, places)| Group { words, places: may(places) });
        groups.filter(|group| !group.places.is_empty()).collect()
    }

    /// What follows a path about something of `org`: whoever is confined to several organizations looks at one at a time.
    #[must_use]
    pub fn about(&self, org: OrgId) -> String {
        match &self.known.reach {
            Reach::Organizations(all) if all.len() > 1 => format!("?organization={org}"),
            _ => String::new(),
        }
    }
}
