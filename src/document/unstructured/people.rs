//! Who had a part in the document.

use super::parts;
use crate::{
    document::{Facts, codes, codes::oid, xml::Xml},
    domain::{order::Provider, route::IntendedRecipient},
};

/// The reader, when known, and the gateway that put the document together (CONF:1198-5444, 16790).
pub(super) fn authors(xml: &mut Xml<'_>, facts: &Facts<'_>) {
    if let Some(reader) = &facts.report.author {
        xml.open("author", &[]);
        xml.empty("time", &[("value", &facts.completed_at().hl7())]); // CONF:1198-5445
        xml.open("assignedAuthor", &[]);
        clinician_role(xml, facts, reader);
        parts::person(xml, "assignedPerson", reader.name.as_ref());
        parts::organization(xml, "representedOrganization", &facts.sender.organization);
        xml.close("assignedAuthor");
        xml.close("author");
    }
    let organization = &facts.sender.organization;
    xml.open("author", &[]);
    xml.empty("time", &[("value", &facts.made_at.hl7())]);
    xml.open("assignedAuthor", &[]);
    xml.empty("id", &[("root", &facts.sender.root("gateway").to_string())]);
    parts::address(xml, "WP", organization.address.as_ref());
    parts::phone(xml, "WP", organization.phone.as_deref());
    xml.open("assignedAuthoringDevice", &[]); // CONF:1198-16784, 16785
    xml.text("manufacturerModelName", "Postern");
    xml.text("softwareName", concat!("Postern ", env!("CARGO_PKG_VERSION")));
    xml.close("assignedAuthoringDevice");
    parts::organization(xml, "representedOrganization", organization);
    xml.close("assignedAuthor");
    xml.close("author");
}

/// id, code, addr, telecom: the front of every role a clinician plays. Reached through the organization.
fn clinician_role(xml: &mut Xml<'_>, facts: &Facts<'_>, clinician: &Provider) {
    parts::npi(xml, parts::provider_npi(clinician));
    if let Some((code, name)) = clinician.taxonomy.as_deref().and_then(codes::taxonomy) {
        let mut attributes = vec![("code", code), ("codeSystem", oid::NUCC)];
        attributes.extend(name.map(|name| ("displayName", name)));
        xml.empty("code", &attributes); // CONF:1198-16787, 16788
    }
    parts::address(xml, "WP", facts.sender.organization.address.as_ref());
    parts::phone(xml, "WP", facts.sender.organization.phone.as_deref());
}

/// A clinician of the sending organization in full.
pub(super) fn assigned_entity(xml: &mut Xml<'_>, facts: &Facts<'_>, clinician: &Provider) {
    xml.open("assignedEntity", &[]);
    clinician_role(xml, facts, clinician);
    parts::person(xml, "assignedPerson", clinician.name.as_ref());
    parts::organization(xml, "representedOrganization", &facts.sender.organization);
    xml.close("assignedEntity");
}

/// The organization that keeps the original (CONF:1198-5519 to 5525, 5559).
pub(super) fn custodian(xml: &mut Xml<'_>, facts: &Facts<'_>) {
    xml.open("custodian", &[]);
    xml.open("assignedCustodian", &[]);
    parts::organization(xml, "representedCustodianOrganization", &facts.sender.organization);
    xml.close("assignedCustodian");
    xml.close("custodian");
}

/// Whom this copy is meant for (CONF:1198-5565 ff.).
pub(super) fn information_recipient(xml: &mut Xml<'_>, facts: &Facts<'_>) {
    let said =
        |recipient: &IntendedRecipient| recipient.npi.is_some() || recipient.name.is_some() || recipient.organization.is_some();
    let recipient = facts.recipient.filter(|recipient| said(recipient));
    if recipient.is_none() && facts.address.is_none() {
        return;
    }
    xml.open("informationRecipient", &[("typeCode", "PRCP")]);
    xml.open("intendedRecipient", &[]);
    if let Some(npi) = recipient.and_then(|recipient| recipient.npi.as_ref()) {
        parts::npi(xml, Some(npi));
    }
    if let Some(address) = facts.address {
        parts::direct(xml, address);
    }
    if let Some(name) = recipient.and_then(|recipient| recipient.name.as_ref()) {
        parts::person(xml, "informationRecipient", Some(name));
    }
    if let Some(organization) = recipient.and_then(|recipient| recipient.organization.as_deref()) {
        xml.open("receivedOrganization", &[]);
        xml.text("name", organization);
        xml.close("receivedOrganization");
    }
    xml.close("intendedRecipient");
    xml.close("informationRecipient");
}

/// The reader signs a finished report (CONF:1198-5579 to 5597).
pub(super) fn legal_authenticator(xml: &mut Xml<'_>, facts: &Facts<'_>) {
    let Some(reader) = facts.signer() else { return };
    xml.open("legalAuthenticator", &[]);
    xml.empty("time", &[("value", &facts.completed_at().hl7())]);
    xml.empty("signatureCode", &[("code", "S")]);
    assigned_entity(xml, facts, reader);
    xml.close("legalAuthenticator");
}

/// Who ordered the exam: a referrer (REF), as in the Diagnostic Imaging Report.
pub(super) fn ordering_provider(xml: &mut Xml<'_>, facts: &Facts<'_>) {
    let Some(provider) = &facts.order.ordering_provider else { return };
    let npi = parts::provider_npi(provider);
    if npi.is_none() && provider.name.is_none() {
        return;
    }
    xml.open("participant", &[("typeCode", "REF")]);
    xml.open("associatedEntity", &[("classCode", "PROV")]);
    parts::npi(xml, npi);
    // CONF:1198-10006: a person, if only one without a name.
    parts::person(xml, "associatedPerson", provider.name.as_ref());
    xml.close("associatedEntity");
    xml.close("participant");
}
