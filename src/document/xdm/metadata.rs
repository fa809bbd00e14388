//! `METADATA.XML`: the documents for machines, as an ebRS `SubmitObjectsRequest` with one submission set (IHE ITI TF-3 4.2).
//!
//! Ids are those of the delivery, so the same delivery always says the same: see [`Entry`].

use uuid::Uuid;

use super::{
    Package,
    entry::Entry,
    hl7,
    rim::{self, Code, Rim},
    setting,
};
use crate::{
    document::{Confidentiality, Facts, codes, codes::oid, xml::Xml},
    domain::{order::Procedure, organization::PatientId},
};

/// Every version of the standard has the same numbers (IHE ITI TF-3 4.2.5).
mod scheme {
    pub(super) const DOCUMENT_ENTRY: &str = "urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1";
    pub(super) const AUTHOR: &str = "urn:uuid:93606bcf-9494-43ec-9b4e-a7748d1a838d";
    pub(super) const CLASS: &str = "urn:uuid:41a5887f-8865-4c09-adf7-e362475b143a";
    pub(super) const CONFIDENTIALITY: &str = "urn:uuid:f4f85eac-e6cb-4883-b524-f2705394840f";
    pub(super) const EVENT: &str = "urn:uuid:2c6b8cb7-8b2a-4051-b291-b1ae6a575ef4";
    pub(super) const FORMAT: &str = "urn:uuid:a09d5840-386c-46f2-b5ad-9c3699a4309d";
    pub(super) const FACILITY: &str = "urn:uuid:f33fb8ac-18af-42cc-ae0e-ed0b0bdb91e1";
    pub(super) const PRACTICE_SETTING: &str = "urn:uuid:cccf5598-8b07-4b77-a05e-ae952c785ead";
    pub(super) const TYPE: &str = "urn:uuid:f0306f51-975f-434e-a61c-c59651d33983";
    pub(super) const LIMITED_ENTRY: &str = "urn:uuid:ab9b591b-83ab-4d03-8f5d-f93b1fb92e85";
    pub(super) const ENTRY_PATIENT: &str = "urn:uuid:58a6f841-87b3-4a3e-92fd-a8ffeff98427";
    pub(super) const ENTRY_ID: &str = "urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab";

    pub(super) const SUBMISSION_SET: &str = "urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd";
    pub(super) const SUBMITTER: &str = "urn:uuid:a7058bb9-b4e4-4307-ba5b-e3f0ab85e12d";
    pub(super) const CONTENT_TYPE: &str = "urn:uuid:aa543740-bdda-424e-8c96-df4873be8500";
    pub(super) const LIMITED_SET: &str = "urn:uuid:5003a9db-8d8d-49e6-bf0c-990e34ac7707";
    pub(super) const SET_PATIENT: &str = "urn:uuid:6b5aea1a-874d-4603-a4bc-96a0a7b38446";
    pub(super) const SET_SOURCE: &str = "urn:uuid:554ac39e-e3fe-47fe-b233-965d2a147832";
    pub(super) const SET_ID: &str = "urn:uuid:96fdda7c-d067-4183-912e-bf5ee74998a8";
}

const APPROVED: &str = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved";
const REGISTRY_PACKAGE: &str = "urn:oasis:names:tc:ebxml-regrep:ObjectType:RegistryObject:RegistryPackage";
const HAS_MEMBER: &str = "urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember";
/// IHE's list of format codes. Those of C-CDA began there.
const FORMAT_CODES: &str = "1.3.6.1.4.1.19376.1.2.3";

/// What every document of the package says alike.
struct Common<'a> {
    facts: &'a Facts<'a>,
    title: String,
    /// CX of the patient, where the identifier may be shown.
    patient: Option<String>,
}

pub(super) fn write(package: &Package<'_>, entries: &[Entry<'_>]) -> Vec<u8> {
    let facts = package.facts;
    let common = Common { facts, title: facts.title(), patient: patient_id(facts) };
    let mut out = Vec::with_capacity(16 * 1024);
    let mut rim = Rim::new(Xml::new(&mut out));
    let namespaces = [
        ("xmlns:lcm", "urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0"),
        ("xmlns:rim", "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"),
    ];
    rim.xml.open("lcm:SubmitObjectsRequest", &namespaces);
    rim.xml.open("rim:RegistryObjectList", &[]);
    for entry in entries {
        common.document(&mut rim, entry);
    }
    let set = urn(Uuid::new_v5(&facts.document_id, b"submission set"));
    common.submission_set(&mut rim, package, &set);
    for entry in entries {
        rim.association(HAS_MEMBER, &set, &urn(entry.id), &[("SubmissionSetStatus", "Original")]);
        if let Some((kind, earlier)) = entry.relation {
            // IHE ITI TF-3 4.2.2.2: the new document is the source.
            let kind = format!("urn:ihe:iti:2007:AssociationType:{kind}");
            rim.association(&kind, &urn(entry.id), &urn(earlier), &[]);
        }
    }
    rim.xml.close("rim:RegistryObjectList");
    rim.xml.close("lcm:SubmitObjectsRequest");
    drop(rim);
    out
}

fn urn(id: Uuid) -> String {
    format!("urn:uuid:{id}")
}

/// The patient's identifier under the same rule as in the C-CDA: shown when it is to be, and never made up.
fn patient_id(facts: &Facts<'_>) -> Option<String> {
    let authority = facts.sender.assigning_authority.as_deref()?;
    let identifier = facts.order.patient.local_id.as_deref().filter(|id| !id.trim().is_empty())?;
    let cx = (facts.patient_id == PatientId::Mrn).then(|| hl7::cx(identifier, authority));
    cx.filter(|cx| cx.chars().count() <= rim::LONGEST)
}

impl Common<'_> {
    /// A document entry (IHE ITI TF-3 4.2.1.1).
    fn document(&self, rim: &mut Rim<'_>, entry: &Entry<'_>) {
        let (facts, id) = (self.facts, urn(entry.id));
        let attributes = [
            ("id", id.as_str()),
            ("mimeType", entry.format.media_type()),
            ("objectType", scheme::DOCUMENT_ENTRY),
            ("status", APPROVED),
        ];
        rim.xml.open("rim:ExtrinsicObject", &attributes);
        self.document_slots(rim, entry);
        rim.name(&self.title);
        if self.patient.is_none() {
            // Without the patient's identifier a registry may not take it for complete.
            rim.is_a(&id, scheme::LIMITED_ENTRY);
        }
        rim.author(&id, scheme::AUTHOR, &author(facts));
        rim.code(&id, scheme::CLASS, setting::class_code(facts));
        rim.code(&id, scheme::CONFIDENTIALITY, confidentiality(facts.confidentiality));
        if let Some(exam) = facts.order.procedure.as_ref().and_then(exam) {
            rim.code(&id, scheme::EVENT, exam);
        }
        let (value, name) = entry.format.code();
        rim.code(&id, scheme::FORMAT, Code { value, system: FORMAT_CODES, name });
        rim.code(&id, scheme::FACILITY, setting::FACILITY);
        rim.code(&id, scheme::PRACTICE_SETTING, setting::practice_setting(facts));
        rim.code(&id, scheme::TYPE, setting::type_code(facts, &self.title));
        if let Some(patient) = &self.patient {
            rim.identifier(&id, scheme::ENTRY_PATIENT, "XDSDocumentEntry.patientId", patient);
        }
        rim.identifier(&id, scheme::ENTRY_ID, "XDSDocumentEntry.uniqueId", &hl7::uuid_oid(entry.id));
        rim.xml.close("rim:ExtrinsicObject");
    }

    fn document_slots(&self, rim: &mut Rim<'_>, entry: &Entry<'_>) {
        let facts = self.facts;
        let order = &facts.order;
        rim.slot("creationTime", &[hl7::dtm(entry.created)]);
        rim.slot("hash", &[entry.hash()]);
        rim.slot("languageCode", &["en-US".to_owned()]);
        if let Some(signer) = facts.signer() {
            rim.slot("legalAuthenticator", &[hl7::clinician(signer)]);
        }
        rim.slot("serviceStartTime", &order.scheduled_at.map(hl7::dtm).into_iter().collect::<Vec<_>>());
        rim.slot("serviceStopTime", &facts.exam_ended_at().map(hl7::dtm).into_iter().collect::<Vec<_>>());
        rim.slot("size", &[entry.bytes.len().to_string()]);
        rim.slot("sourcePatientId", self.patient.as_slice());
        rim.slot("sourcePatientInfo", &hl7::pid(&order.patient, self.patient.as_deref()));
        rim.slot("URI", &[entry.name.to_owned()]);
        let placer = hl7::cxi(&order.order_id, &hl7::uuid_oid(facts.sender.root("order")), "urn:ihe:iti:xds:2013:order");
        rim.slot("urn:ihe:iti:xds:2013:referenceIdList", &[placer]);
    }

    /// The submission set (IHE ITI TF-3 4.2.1.2).
    fn submission_set(&self, rim: &mut Rim<'_>, package: &Package<'_>, id: &str) {
        let facts = self.facts;
        rim.xml.open("rim:RegistryPackage", &[("id", id), ("objectType", REGISTRY_PACKAGE), ("status", APPROVED)]);
        rim.slot("intendedRecipient", &intended_recipient(facts).into_iter().collect::<Vec<_>>());
        rim.slot("submissionTime", &[hl7::dtm(facts.made_at)]);
        rim.name(&self.title);
        rim.is_a(id, scheme::SUBMISSION_SET);
        if self.patient.is_none() {
            rim.is_a(id, scheme::LIMITED_SET);
        }
        let mut submitter = vec![("authorInstitution", hl7::party(&facts.sender.organization))];
        submitter.extend(package.from.map(|from| ("authorTelecommunication", hl7::xtn(from))));
        rim.author(id, scheme::SUBMITTER, &submitter);
        rim.code(id, scheme::CONTENT_TYPE, setting::class_code(facts));
        if let Some(patient) = &self.patient {
            rim.identifier(id, scheme::SET_PATIENT, "XDSSubmissionSet.patientId", patient);
        }
        rim.identifier(id, scheme::SET_SOURCE, "XDSSubmissionSet.sourceId", &hl7::uuid_oid(facts.sender.namespace));
        let unique = hl7::uuid_oid(Uuid::new_v5(&facts.document_id, b"submission set"));
        rim.identifier(id, scheme::SET_ID, "XDSSubmissionSet.uniqueId", &unique);
        rim.xml.close("rim:RegistryPackage");
    }
}

/// The reader where the report names one, and the organization behind the document.
fn author(facts: &Facts<'_>) -> Vec<(&'static str, String)> {
    let mut slots = Vec::new();
    if let Some(reader) = &facts.report.author {
        slots.push(("authorPerson", hl7::clinician(reader)));
    }
    slots.push(("authorInstitution", hl7::party(&facts.sender.organization)));
    slots.extend(facts.report.author.as_ref().and_then(hl7::specialty).map(|specialty| ("authorSpecialty", specialty)));
    slots
}

/// Organization, person and Direct address (IHE ITI TF-3 4.2.3.3.7).
fn intended_recipient(facts: &Facts<'_>) -> Option<String> {
    let recipient = facts.recipient;
    let organization = recipient.and_then(|recipient| recipient.organization.as_deref()).map(|name| hl7::xon(name, None));
    let person = recipient.map(|recipient| hl7::xcn(recipient.npi.as_ref(), recipient.name.as_ref()));
    let parts = [organization, person, facts.address.map(hl7::xtn)].map(Option::unwrap_or_default);
    let text = parts.join("|");
    let text = text.trim_end_matches('|');
    (!text.is_empty()).then(|| text.to_owned())
}

/// What was done, when it is a code of a known system.
fn exam(procedure: &Procedure) -> Option<Code<'_>> {
    let code = procedure.code.trim();
    let (system, _) = procedure.system.as_deref().and_then(codes::procedure)?;
    let name = procedure.display.as_deref().filter(|display| !display.trim().is_empty()).unwrap_or(code);
    let fits = !code.is_empty() && code.chars().count() <= rim::LONGEST;
    fits.then_some(Code { value: code, system, name })
}

fn confidentiality(kept: Confidentiality) -> Code<'static> {
    let name = match kept {
        Confidentiality::Normal => "Normal",
        Confidentiality::Restricted => "Restricted",
        Confidentiality::VeryRestricted => "Very restricted",
    };
    Code { value: kept.as_str(), system: oid::CONFIDENTIALITY, name }
}
