//! The documents every rule is held against.

use super::*;
use crate::{
    document::{DocumentError, Facts, Party, Sender},
    domain::{
        DirectAddress, OffsetTime, Order, Patient, Report,
        order::{CodeSystem, Gender, PersonName, PostalAddress, Priority, Procedure, Provider},
        organization::PatientId,
        report::ResultStatus,
        route::IntendedRecipient,
        text::Stated,
        time::TimeZone,
    },
};

pub(in crate::document) const PDF: &[u8] = b"%PDF-1.4\nnot much of one\n%%EOF\n";

/// One document's facts.
#[derive(Debug, Clone)]
pub(in crate::document) struct Case {
    pub(in crate::document) name: String,
    pub(in crate::document) order: Order,
    pub(in crate::document) report: Report,
    pub(in crate::document) sender: Sender,
    pub(in crate::document) patient_id: PatientId,
    pub(in crate::document) recipient: Option<IntendedRecipient>,
    pub(in crate::document) address: Option<DirectAddress>,
    pub(in crate::document) version: u32,
    pub(in crate::document) relation: Option<Relation>,
    pub(in crate::document) confidentiality: Confidentiality,
}

fn name(family: &str, given: &[&str]) -> PersonName {
    PersonName { family: family.into(), given: given.iter().map(|g| (*g).into()).collect(), prefix: None, suffix: None }
}

fn address(lines: &[&str], city: &str, state: &str, postal_code: &str, country: &str) -> PostalAddress {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    PostalAddress {
        lines: lines.iter().map(|line| (*line).into()).collect(),
        city: some(city),
        state: some(state),
        postal_code: some(postal_code),
        country: some(country),
    }
}

fn at(text: &str) -> OffsetTime {
    text.parse().unwrap()
}

pub(in crate::document) fn uuid(last: u8) -> uuid::Uuid {
    format!("0190f7a0-0000-7000-8000-0000000000{last:02x}").parse().unwrap()
}

impl Case {
    /// Everything that can be said.
    pub(in crate::document) fn full() -> Self {
        let patient = Patient {
            local_id: Some("ZZ000417".into()),
            name: PersonName { prefix: Some("Dr".into()), suffix: Some("Jr".into()), ..name("Testriver", &["Morgan", "Q"]) },
            birth_date: "1964-02-17".parse().unwrap(),
            gender: Gender::parse("F").unwrap(),
            address: Some(address(&["12 Sample St", "Unit 3"], "Faketown", "FL", "32599", "US")),
            phone: Some("+1-850-555-0142".into()),
            marital_status: Some("M".into()),
            race: vec!["2106-3".into(), "2036-2".into()],
            ethnicity: Some("2148-5".into()),
            language: Some("en-US".into()),
            code_system: CodeSystem::V3,
        };
        let order = Order {
            order_id: "PLC700881".into(),
            site: "RIVERSIDE01".into(),
            patient,
            ordering_provider: Some(Provider {
                npi: Some(Stated::Valid("1234567893".parse().unwrap())),
                taxonomy: None,
                name: Some(name("Sample", &["Jordan"])),
            }),
            procedure: Some(Procedure {
                code: "92250".into(),
                system: Some("CPT".into()),
                display: Some("Fundus photography".into()),
            }),
            encounter: Some("ENC900431".into()),
            exam_state: Some("FL".into()),
            scheduled_at: Some(at("2026-01-15T08:45:00-05:00")),
            health_plan: None,
            priority: Priority::Routine,
            do_not_deliver: false,
            deliver_to: vec![],
        };
        let report = Report {
            order_id: order.order_id.clone(),
            site: order.site.clone(),
            status: ResultStatus::Final,
            completed_at: Some(at("2026-01-15T09:15:30-06:00")),
            title: Some("Retinal eye screening report".into()),
            document_code: Some("103592-2".into()),
            author: Some(Provider {
                npi: Some(Stated::Valid("1234567893".parse().unwrap())),
                taxonomy: Some("207W00000X".into()),
                name: Some(PersonName { suffix: Some("MD".into()), ..name("Reader", &["Casey"]) }),
            }),
        };
        let organization = Party {
            name: "North Clinics".into(),
            npi: Some("2000000044".parse().unwrap()),
            phone: Some("+1-937-555-0100".into()),
            address: Some(address(&["1 Test Way"], "Dayton", "OH", "45402", "")),
        };
        let sender = Sender {
            namespace: uuid(0xF0),
            site: Party { name: "Riverside".into(), ..organization.clone() },
            organization,
            assigning_authority: Some("2.16.840.1.113883.19.5".into()),
            document_code: "103592-2".into(),
            time_zone: TimeZone::utc(),
        };
        let recipient = IntendedRecipient {
            role: None,
            npi: Some("2000000010".parse().unwrap()),
            name: Some(name("Sample", &["Jordan"])),
            organization: Some("North Clinic".into()),
        };
        Self {
            name: "full".into(),
            order,
            report,
            sender,
            patient_id: PatientId::Null,
            recipient: Some(recipient),
            address: Some("pcp.demo@direct.example.org".parse().unwrap()),
            version: 1,
            relation: None,
            confidentiality: Confidentiality::Normal,
        }
    }

    /// Nothing that need not be said.
    fn minimal() -> Self {
        let mut case = Self::full();
        let nobody = Party { name: "North Clinics".into(), npi: None, phone: None, address: None };
        (case.sender.organization, case.sender.site, case.sender.assigning_authority) = (nobody.clone(), nobody, None);
        let patient = &mut case.order.patient;
        (patient.local_id, patient.address, patient.phone, patient.marital_status) = (None, None, None, None);
        (patient.race, patient.ethnicity, patient.language) = (vec![], None, None);
        patient.name = name("Doe", &["Sam"]);
        patient.gender = Gender::parse("U").unwrap();
        patient.birth_date = "1964".parse().unwrap();
        let order = &mut case.order;
        (order.ordering_provider, order.procedure, order.encounter, order.scheduled_at) = (None, None, None, None);
        let report = &mut case.report;
        (report.completed_at, report.title, report.document_code, report.author) = (None, None, None, None);
        (case.recipient, case.address) = (None, None);
        case
    }

    fn but(mut self, name: &str, change: impl FnOnce(&mut Self)) -> Self {
        name.clone_into(&mut self.name);
        change(&mut self);
        self
    }

    pub(in crate::document) fn omits_id(&self) -> bool {
        self.patient_id == PatientId::Omit
    }

    pub(in crate::document) fn facts(&self) -> Facts<'_> {
        Facts {
            document_id: uuid(1),
            set_id: uuid(2),
            version: self.version,
            relation: self.relation,
            order: &self.order,
            report: &self.report,
            sender: &self.sender,
            patient_id: self.patient_id,
            recipient: self.recipient.as_ref(),
            address: self.address.as_ref(),
            confidentiality: self.confidentiality,
            received_at: at("2026-01-15T11:00:00-05:00"),
            made_at: at("2026-01-15T12:00:00-05:00"),
        }
    }

    pub(in crate::document) fn write(&self, pdf: &[u8], out: &mut Vec<u8>) -> Result<Written, DocumentError> {
        write(&self.facts(), pdf, out)
    }

    pub(in crate::document) fn xml(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(PDF, &mut out).unwrap();
        out
    }

    pub(in crate::document) fn tree(&self) -> Element {
        Element::parse(&self.xml())
    }
}

pub(in crate::document) fn named(name: &str) -> Case {
    all().into_iter().find(|case| case.name == name).unwrap_or_else(|| panic!("no case {name}"))
}

/// Every document of the suite.
pub(in crate::document) fn all() -> Vec<Case> {
    let mut cases = vec![Case::full(), Case::minimal().but("minimal", |_| {})];
    cases.extend(patients());
    cases.extend(reports());
    cases.extend(acts());
    cases
}

fn patients() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name: String, change: &dyn Fn(&mut Patient)| {
        cases.push(Case::full().but(&name, |case| change(&mut case.order.patient)));
    };
    for code in ["F", "M", "O", "A", "UN", "X", "TM", "TF", "ND", "EQ", "NL", "other", "U", "N", "unknown"] {
        add(format!("gender {code}"), &|patient| patient.gender = Gender::parse(code).unwrap());
    }
    for (system, codes) in
        [(CodeSystem::V3, "A C D I L M P S T U W ASKU married"), (CodeSystem::V2, "A B C D E G I M N O P R S T U W X")]
    {
        for code in codes.split(' ') {
            add(format!("marital status {code} {system}"), &|patient| {
                (patient.marital_status, patient.code_system) = (Some(code.into()), system);
            });
        }
    }
    let races = "1002-5 2028-9 2054-5 2076-8 2106-3 2131-1 2500-7 1010-8 2036-2 2036-2,2028-9,2106-3 2131-1,2054-5 ASKU UNK W W,2106-3 W,B 2106-4 -";
    for (system, codes) in [(CodeSystem::V3, races), (CodeSystem::V2, "W B U A 2036-2 W,B,2131-1")] {
        for code in codes.split(' ') {
            add(format!("race {code} {system}"), &|patient| {
                (patient.race, patient.code_system) = (code.split(',').map(str::to_owned).collect(), system);
            });
        }
    }
    for (system, codes) in [(CodeSystem::V3, "2135-2 2186-5 2148-5 2184-0 ASKU H"), (CodeSystem::V2, "H N U 2180-8 X")] {
        for code in codes.split(' ') {
            add(format!("ethnicity {code} {system}"), &|patient| {
                (patient.ethnicity, patient.code_system) = (Some(code.into()), system);
            });
        }
    }
    for code in ["en", "es-MX", "eng", "zh-Hans", "hmn", "English", "Klingon", "und"] {
        add(format!("language {code}"), &|patient| patient.language = Some(code.into()));
    }
    for date in ["1964", "1964-02", "2026-01-15"] {
        add(format!("born {date}"), &|patient| patient.birth_date = date.parse().unwrap());
    }
    for phone in ["(850) 555-0142", "850.555.0142 x12", "+49 30 1234567", "none", "5"] {
        add(format!("phone {phone}"), &|patient| patient.phone = Some(phone.into()));
    }
    for (what, postal) in [
        ("foreign address", address(&["Unter den Linden 1"], "Berlin", "", "10117", "DE")),
        ("foreign address in words", address(&["10 Main St"], "Toronto", "ON", "M5V 2T6", "Canada")),
        ("address without street", address(&[], "Faketown", "FL", "32599", "")),
        ("address with nothing but a state", address(&[], "", "FL", "", "USA")),
        ("address with nothing but a country", address(&[], "", "", "", "US")),
        ("address with six lines", address(&["1", "2", "3", "4", "5", "6"], "Faketown", "FL", "32599", "US")),
    ] {
        add(what.into(), &|patient| patient.address = Some(postal.clone()));
    }
    add("characters XML cannot carry".into(), &|patient| {
        patient.name = name("Test\u{b}river <&>\"'", &["Mor\u{0}gan", "\u{FFFF}"]);
    });
    add("long and foreign names".into(), &|patient| {
        patient.name = PersonName {
            prefix: Some("Prof. Dr.".into()),
            ..name(&"Ñandú-Łęcki ".repeat(20), &["李", "\u{1F441}", &"x".repeat(250)])
        };
    });
    add("one name only".into(), &|patient| patient.name = name("Mononym", &[]));
    cases
}

fn author(case: &mut Case) -> &mut Provider {
    case.report.author.get_or_insert_default()
}

fn reports() -> Vec<Case> {
    let full = Case::full;
    let earlier = Earlier { id: Some(uuid(9)), set_id: uuid(2), version: 1 };
    let replaces = |case: &mut Case| {
        case.report.status = ResultStatus::Corrected;
        (case.version, case.relation) = (2, Some(Relation::Replaces(earlier)));
    };
    vec![
        full().but("mrn", |case| case.patient_id = PatientId::Mrn),
        full().but("mrn without a number", |case| (case.patient_id, case.order.patient.local_id) = (PatientId::Mrn, None)),
        full().but("mrn without authority", |case| (case.patient_id, case.sender.assigning_authority) = (PatientId::Mrn, None)),
        full().but("omit", |case| case.patient_id = PatientId::Omit),
        Case::minimal().but("omit in a minimal one", |case| case.patient_id = PatientId::Omit),
        full().but("corrected", replaces),
        full().but("corrected, parent by version only", |case| {
            replaces(case);
            case.relation = Some(Relation::Replaces(Earlier { id: None, ..earlier }));
        }),
        full().but("corrected for a new recipient", |case| (case.report.status, case.version) = (ResultStatus::Corrected, 2)),
        full().but("corrected already said", |case| {
            replaces(case);
            case.report.title = Some("Corrected report of the retina".into());
        }),
        full().but("addendum", |case| {
            case.report.status = ResultStatus::Addendum;
            case.relation = Some(Relation::Appends(Earlier { set_id: uuid(8), ..earlier }));
        }),
        full().but("preliminary", |case| case.report.status = ResultStatus::Preliminary),
        full().but("resend", |case| case.report.status = ResultStatus::Resend),
        full().but("no author", |case| case.report.author = None),
        full().but("author without name", |case| author(case).name = None),
        full().but("author without NPI", |case| author(case).npi = None),
        full().but("author with a bad NPI and taxonomy", |case| {
            (author(case).npi, author(case).taxonomy) = (Some(Stated::parse("123")), Some("eye doctor".into()));
        }),
        full().but("author with one name", |case| author(case).name = Some(name("Reader", &[]))),
        full().but("no completed_at", |case| case.report.completed_at = None),
        full().but("blank title", |case| case.report.title = Some(" ".into())),
        full().but("unknown document code", |case| {
            (case.report.title, case.report.document_code) = (None, Some("34122-2".into()));
        }),
        full().but("imaging", |case| case.report.document_code = Some("18748-4".into())),
        full().but("laboratory", |case| case.report.document_code = Some("11502-2".into())),
        full().but("restricted", |case| case.confidentiality = Confidentiality::Restricted),
        full().but("very restricted", |case| case.confidentiality = Confidentiality::VeryRestricted),
    ]
}

fn acts() -> Vec<Case> {
    let full = Case::full;
    let exam = |system: Option<&str>, code: &str, display: Option<&str>| {
        Some(Procedure { code: code.into(), system: system.map(str::to_owned), display: display.map(str::to_owned) })
    };
    let mut cases = vec![
        full().but("urgent", |case| case.order.priority = Priority::Urgent),
        full().but("no recipient", |case| (case.recipient, case.address) = (None, None)),
        full().but("recipient by address only", |case| case.recipient = None),
        full().but("recipient by name only", |case| {
            case.recipient = Some(IntendedRecipient { name: Some(name("Sample", &[])), ..IntendedRecipient::default() });
            case.address = None;
        }),
        full().but("recipient who says nothing", |case| {
            (case.recipient, case.address) = (Some(IntendedRecipient::default()), None);
        }),
        full().but("encounter without time", |case| case.order.scheduled_at = None),
        full().but("scheduled after completion", |case| case.order.scheduled_at = Some(at("2027-01-01T00:00:00+05:30"))),
        full().but("ordering provider by NPI", |case| case.order.ordering_provider.as_mut().unwrap().name = None),
        full().but("ordering provider unknown", |case| {
            let provider = case.order.ordering_provider.as_mut().unwrap();
            (provider.npi, provider.name) = (Some(Stated::parse("1")), None);
        }),
        full().but("sender says little", |case| {
            (case.sender.organization.phone, case.sender.site.address, case.sender.site.npi) = (None, None, None);
        }),
    ];
    for (system, code, display) in [
        (Some("LOINC"), "70946-1", Some("Fundus photo")),
        (Some("SNOMED"), "314971001", None),
        (Some("2.16.840.1.113883.6.4"), "XX", None),
        (Some("LOCAL"), "RET 1", Some("Retina")),
        (Some("CPT"), "92250 RT", None),
        (None, "92250", None),
        (None, " ", Some(" ")),
    ] {
        let name = format!("procedure {code} of {system:?}");
        cases.push(full().but(&name, |case| case.order.procedure = exam(system, code, display)));
    }
    cases
}

/// A case of 24 texts and 16 choices: whatever the store may hold, wherever it came from.
pub(in crate::document) fn made(texts: &[String], choices: u16, list: &[String]) -> Case {
    let choice = |bit: u16| choices & (1 << bit) != 0;
    let text = |at: usize| texts[at].clone();
    let some = |at: usize, bit: u16| choice(bit).then(|| texts[at].clone());
    let person =
        |at: usize| PersonName { family: text(at), given: list.to_vec(), prefix: some(at + 1, 0), suffix: some(at + 1, 1) };
    let place = |at: usize| PostalAddress {
        lines: list.to_vec(),
        city: some(at, 2),
        state: some(at + 1, 3),
        postal_code: some(at + 2, 4),
        country: some(at + 3, 5),
    };
    Case::full().but("made", |case| {
        let patient = &mut case.order.patient;
        patient.name = person(0);
        patient.address = choice(6).then(|| place(2));
        (patient.phone, patient.marital_status, patient.ethnicity, patient.language) =
            (some(6, 7), some(7, 8), some(8, 9), some(9, 10));
        patient.race = list.to_vec();
        patient.local_id = some(10, 11);
        patient.code_system = if choice(12) { CodeSystem::V2 } else { CodeSystem::V3 };
        case.patient_id = if choice(13) { PatientId::Mrn } else { PatientId::Null };
        case.order.order_id = format!("A{}", text(11));
        case.order.encounter = some(12, 14);
        case.order.procedure = Some(Procedure { code: text(13), system: some(14, 15), display: some(15, 0) });
        case.report.title = some(16, 1);
        case.report.author =
            choice(2).then(|| Provider { npi: Some(Stated::parse(&text(17))), taxonomy: some(18, 3), name: Some(person(19)) });
        case.sender.organization.name = text(21);
        case.sender.organization.phone = some(22, 5);
        case.recipient =
            Some(IntendedRecipient { name: Some(person(20)), organization: some(23, 6), ..IntendedRecipient::default() });
    })
}
