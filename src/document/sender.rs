//! The sending organization and site, as they stand in a document.

use uuid::Uuid;

use crate::domain::{Npi, order::PostalAddress, organization::OrganizationFile, time::TimeZone};

/// An organization or site with what a clinician needs to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// Name.
    pub name: String,
    /// NPI.
    pub npi: Option<Npi>,
    /// Telephone, as written.
    pub phone: Option<String>,
    /// Postal address.
    pub address: Option<PostalAddress>,
}

/// Who sends: the same for every document of one site.
#[derive(Debug, Clone, PartialEq)]
pub struct Sender {
    /// Under which the organization's own keys (orders, encounters) are unique in the world. An order id may not stand
    /// under the OID of the patient identifiers, where it would name a patient.
    pub namespace: Uuid,
    /// The organization: custodian of the document.
    pub organization: Party,
    /// The site that saw the patient.
    pub site: Party,
    /// OID under which the site's patient identifiers are assigned.
    pub assigning_authority: Option<String>,
    /// LOINC document code when a report names none.
    pub document_code: String,
    /// The zone of its clocks.
    pub time_zone: TimeZone,
}

impl Sender {
    /// The sender of results of the site `local_id`. What the site does not say about itself is the organization's; a
    /// site the file does not know is the organization itself.
    #[must_use]
    pub fn of(file: &OrganizationFile, local_id: &str) -> Self {
        let organization =
            Party { name: file.name.clone(), npi: file.npi.clone(), phone: file.phone.clone(), address: file.address.clone() };
        let site = file.sites.iter().find(|site| site.local_id == local_id).map_or_else(
            || organization.clone(),
            |site| Party {
                name: site.name.clone().unwrap_or_else(|| organization.name.clone()),
                npi: site.npi.clone().or_else(|| organization.npi.clone()),
                phone: site.phone.clone().or_else(|| organization.phone.clone()),
                address: site.address.clone().or_else(|| organization.address.clone()),
            },
        );
        // RFC 9562 5.5: the same name in the same name space is the same id, on every machine and after every restart.
        let namespace = match &file.document.assigning_authority {
            Some(oid) => Uuid::new_v5(&Uuid::NAMESPACE_OID, oid.as_bytes()),
            None => Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("organization {}", file.slug).as_bytes()),
        };
        Self {
            namespace,
            organization,
            site,
            assigning_authority: file.document.assigning_authority.clone(),
            document_code: file.document.document_code.clone(),
            time_zone: file.time_zone.clone(),
        }
    }

    /// The set that all versions of the documents about one order belong to.
    #[must_use]
    pub fn set_id(&self, order_id: &str) -> Uuid {
        Uuid::new_v5(&self.root("set"), order_id.as_bytes())
    }

    /// The root of one kind of the organization's own keys.
    pub(super) fn root(&self, kind: &str) -> Uuid {
        Uuid::new_v5(&self.namespace, kind.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(toml: &str) -> OrganizationFile {
        toml::from_str(toml).unwrap()
    }

    #[test]
    fn a_site_borrows_from_its_organization_what_it_does_not_say() {
        let file = file(
            "slug = 'north'\nname = 'North'\nnpi = '2000000044'\nphone = '+1-937-555-0100'\n\
             [[site]]\nlocal_id = 'R1'\nname = 'Riverside'\nphone = '+1-937-555-0199'\n[[site]]\nlocal_id = 'R2'",
        );
        let site = Sender::of(&file, "R1").site;
        assert_eq!((site.name.as_str(), site.phone.as_deref()), ("Riverside", Some("+1-937-555-0199")));
        assert_eq!(site.npi, file.npi);
        assert_eq!(Sender::of(&file, "R2").site.name, "North");
        assert_eq!(Sender::of(&file, "unknown").site, Sender::of(&file, "R1").organization);
    }

    #[test]
    fn keys_of_different_kinds_and_organizations_never_share_a_root() {
        let north = Sender::of(&file("slug = 'north'\nname = 'North'"), "");
        let south = Sender::of(&file("slug = 'south'\nname = 'North'"), "");
        assert_ne!(north.root("order"), north.root("encounter"));
        assert_ne!(north.root("order"), south.root("order"));
        assert_ne!(north.set_id("A1"), north.set_id("A2"));
        assert_eq!(north.set_id("A1"), Sender::of(&file("slug = 'north'\nname = 'North'"), "").set_id("A1"));
    }
}
