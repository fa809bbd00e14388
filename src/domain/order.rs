//! Orders and patients, as the sender stated them.
//!
//! These types are stored (encrypted) as JSON and are not the wire shape: `source::wire` reads that and fills these.

use serde::{Deserialize, Serialize};

use super::{BirthDate, DirectAddress, Npi, OffsetTime, text::Stated, words};

words! {
    /// What a sender wants done with an order.
    pub enum Action {
        /// Create it (or repeat it: the same order twice is one).
        New = "new",
        /// Replace what was said before.
        Change = "change",
        /// Deliver nothing further for it.
        Cancel = "cancel",
    }
}

words! {
    /// How soon a result must arrive.
    pub enum Priority {
        /// In turn.
        Routine = "routine",
        /// First, with a shorter patience.
        Urgent = "urgent",
    }
}

words! {
    /// Who a recipient is to the patient.
    pub enum Role {
        /// The primary care provider.
        Pcp = "pcp",
        /// Whoever ordered the exam.
        Ordering = "ordering",
        /// Whoever referred the patient.
        Referring = "referring",
        /// Anybody else.
        Other = "other",
    }
}

words! {
    /// Which vocabulary the coded patient fields are written in.
    pub enum CodeSystem {
        /// HL7 v3, CDC and BCP 47 codes, as C-CDA uses them.
        V3 = "v3",
        /// HL7 v2 tables, to be mapped.
        V2 = "v2",
    }
}

/// A request for an exam, with the patient's demographics and its delivery instructions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The sender's key, unique in the organization.
    pub order_id: String,
    /// The site's `local_id`.
    pub site: String,
    /// Who was examined.
    pub patient: Patient,
    /// Who ordered it. Never a target by itself.
    pub ordering_provider: Option<Provider>,
    /// What was done.
    pub procedure: Option<Procedure>,
    /// The sender's visit number.
    pub encounter: Option<String>,
    /// The US state the exam took place in.
    pub exam_state: Option<String>,
    /// When the exam was due.
    pub scheduled_at: Option<OffsetTime>,
    /// The payer.
    pub health_plan: Option<HealthPlan>,
    /// How soon.
    pub priority: Priority,
    /// Hold every result of this order.
    pub do_not_deliver: bool,
    /// Delivery instructions, in the order given.
    pub deliver_to: Vec<Recipient>,
}

/// Who was examined. Name, birth date and gender are always there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patient {
    /// The site's identifier (medical record number).
    pub local_id: Option<String>,
    /// Legal name.
    pub name: PersonName,
    /// Date of birth.
    pub birth_date: BirthDate,
    /// Administrative gender.
    pub gender: Gender,
    /// Postal address.
    pub address: Option<PostalAddress>,
    /// Telephone, as written.
    pub phone: Option<String>,
    /// Marital status code.
    pub marital_status: Option<String>,
    /// Race codes.
    pub race: Vec<String>,
    /// Ethnicity code.
    pub ethnicity: Option<String>,
    /// Preferred language.
    pub language: Option<String>,
    /// The vocabulary of the four fields above.
    pub code_system: CodeSystem,
}

/// A person's name. `family` and the first `given` are never empty for a patient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonName {
    /// Family name.
    pub family: String,
    /// First name, then middle names.
    pub given: Vec<String>,
    /// `Dr`, `Mx` ...
    pub prefix: Option<String>,
    /// `MD`, `Jr` ...
    pub suffix: Option<String>,
}

impl PersonName {
    /// Prefix, given names, family name and suffix in reading order.
    #[must_use]
    pub fn plain(&self) -> String {
        let parts = self.prefix.iter().chain(&self.given).chain(std::iter::once(&self.family)).map(String::as_str);
        let name = parts.collect::<Vec<_>>().join(" ");
        match &self.suffix {
            Some(suffix) => format!("{name}, {suffix}"),
            None => name,
        }
    }
}

/// Administrative gender: what C-CDA can say, beside the code as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gender {
    /// The code as sent.
    pub sent: String,
    /// What it means in HL7 v3.
    pub code: GenderCode,
}

words! {
    /// HL7 v3 administrative gender (2.16.840.1.113883.5.1).
    pub enum GenderCode {
        /// Female.
        Female = "F",
        /// Male.
        Male = "M",
        /// Undifferentiated: anything stated that is neither.
        Undifferentiated = "UN",
        /// Not known: a nullFlavor.
        Unknown = "UNK",
    }
}

impl Gender {
    /// Reads the codes senders use; `None` for a code nobody knows.
    #[must_use]
    pub fn parse(sent: &str) -> Option<Self> {
        let code = match sent.trim().to_ascii_uppercase().as_str() {
            "F" | "FEMALE" => GenderCode::Female,
            "M" | "MALE" => GenderCode::Male,
            "O" | "A" | "UN" | "X" | "TM" | "TF" | "ND" | "EQ" | "NL" | "OTHER" => GenderCode::Undifferentiated,
            "U" | "N" | "UNK" | "UNKNOWN" => GenderCode::Unknown,
            _ => return None,
        };
        Some(Self { sent: sent.trim().to_owned(), code })
    }
}

/// A postal address.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PostalAddress {
    /// Street lines, at most four.
    #[serde(default)]
    pub lines: Vec<String>,
    /// City.
    #[serde(default)]
    pub city: Option<String>,
    /// State or province.
    #[serde(default)]
    pub state: Option<String>,
    /// ZIP or postal code.
    #[serde(default)]
    pub postal_code: Option<String>,
    /// ISO 3166 country; absent means US.
    #[serde(default)]
    pub country: Option<String>,
}

/// A clinician named on an order or a result.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Provider {
    /// NPI, or the text that was not one.
    pub npi: Option<Stated<Npi>>,
    /// NUCC taxonomy code.
    pub taxonomy: Option<String>,
    /// Name.
    pub name: Option<PersonName>,
}

/// What was done, as a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Procedure {
    /// The code itself.
    pub code: String,
    /// `CPT`, `LOINC`, `SNOMED` or an OID.
    pub system: Option<String>,
    /// Its name for people.
    pub display: Option<String>,
}

/// The payer behind an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthPlan {
    /// The sender's key of the plan.
    pub id: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// The member number.
    pub member_id: Option<String>,
}

/// One entry of `deliver_to`: a Direct address, an NPI, or both, and who that is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// Who this is to the patient.
    pub role: Role,
    /// Where to send, when the sender knows.
    pub direct: Option<Stated<DirectAddress>>,
    /// Whom to look up otherwise.
    pub npi: Option<Stated<Npi>>,
    /// Their name.
    pub name: Option<PersonName>,
    /// Their organization.
    pub organization: Option<String>,
}
