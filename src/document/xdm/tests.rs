//! Packages of every document of the suite, held against the rules of IHE ITI TF-3 as a table of our own.

mod shall;

use proptest::prelude::*;

use super::*;
use crate::document::{
    unstructured::tests::{
        any_case,
        cases::{self, Case, PDF},
        tree::Element,
    },
    xdm::unpack::unpack,
};

const SUBSET: &str = "IHE_XDM/SUBSET01/";

/// A package of the case, and the C-CDA in it.
fn packaged(case: &Case, pdf: &[u8], beside: bool) -> (Vec<u8>, Vec<u8>) {
    let (facts, mut cda, mut out) = (case.facts(), Vec::new(), Vec::new());
    case.write(pdf, &mut cda).unwrap();
    let from = "results@direct.north.example".parse().unwrap();
    let package = Package { facts: &facts, from: Some(&from), cda: &cda, pdf: beside.then_some(pdf) };
    write(&package, &mut out).unwrap();
    (out, cda)
}

/// Every file of a package with its content.
fn files(zip: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(Cursor::new(zip)).unwrap();
    let read = |index| {
        let mut file = archive.by_index(index).unwrap();
        assert_eq!(file.compression(), CompressionMethod::Stored);
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut file, &mut content).unwrap();
        (file.name().unwrap().into_owned(), content)
    };
    (0..zip::ZipArchive::new(Cursor::new(zip)).unwrap().len()).map(read).collect()
}

fn file(zip: &[u8], name: &str) -> Vec<u8> {
    files(zip).into_iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("no {name}")).1
}

fn metadata(zip: &[u8]) -> Element {
    Element::parse(&file(zip, &format!("{SUBSET}METADATA.XML")))
}

/// The values of a slot.
fn slot(object: &Element, name: &str) -> Vec<String> {
    let slot = object.all("rim:Slot").find(|slot| slot.attribute("name") == Some(name));
    slot.iter().flat_map(|slot| slot.find("rim:ValueList").all("rim:Value")).map(|value| value.text.clone()).collect()
}

#[test]
fn every_package_meets_every_shall() {
    for case in cases::all() {
        for beside in [false, true] {
            let (zip, _) = packaged(&case, PDF, beside);
            shall::check(&case, &metadata(&zip), if beside { 2 } else { 1 });
        }
    }
}

#[test]
fn one_full_package_looks_like_this() {
    let (zip, _) = packaged(&cases::named("mrn"), PDF, true);
    let text = |name: &str| {
        let text = String::from_utf8(file(&zip, name)).unwrap();
        text.replace("><", ">\n<").replace(env!("CARGO_PKG_VERSION"), "VERSION")
    };
    insta::assert_snapshot!("metadata", text("IHE_XDM/SUBSET01/METADATA.XML"));
    insta::assert_snapshot!("index", text("INDEX.HTM"));
    insta::assert_snapshot!("readme", text("README.TXT").replace('\r', ""));
}

#[test]
fn names_are_those_of_the_profile_and_say_nothing() {
    let names = |beside| files(&packaged(&Case::full(), PDF, beside).0).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    let expected =
        ["INDEX.HTM", "README.TXT", "IHE_XDM/", SUBSET, "IHE_XDM/SUBSET01/METADATA.XML", "IHE_XDM/SUBSET01/DOC00001.XML"];
    assert_eq!(names(false), expected);
    assert_eq!(names(true), [&expected[..], &["IHE_XDM/SUBSET01/DOC00002.PDF"]].concat());
    // ISO 9660 level 1: at most eight characters, a dot and three.
    for part in names(true).iter().flat_map(|name| name.split('/')).filter(|part| !part.is_empty()) {
        let (stem, suffix) = part.split_once('.').unwrap_or((part, ""));
        assert!(stem.len() <= 8 && suffix.len() <= 3, "{part}");
        assert!(part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b"._".contains(&b)), "{part}");
    }
}

#[test]
fn the_same_facts_give_the_same_octets_in_a_buffer_used_again() {
    let case = Case::full();
    let (facts, cda) = (case.facts(), case.xml());
    let package = Package { facts: &facts, from: None, cda: &cda, pdf: Some(PDF) };
    let mut out = b"left over from before".to_vec();
    write(&package, &mut out).unwrap();
    let (first, capacity) = (out.clone(), out.capacity());
    write(&package, &mut out).unwrap();
    assert_eq!((first, capacity), (out.clone(), out.capacity()));
    let mut archive = zip::ZipArchive::new(Cursor::new(&out)).unwrap();
    let at = archive.by_index(0).unwrap().last_modified().unwrap();
    assert_eq!((at.year(), at.month(), at.day(), at.hour(), at.minute()), (2026, 1, 15, 12, 0));
}

#[test]
fn the_ids_of_metadata_and_document_are_the_same() {
    let (zip, cda) = packaged(&Case::full(), PDF, true);
    let root = Element::parse(&cda).find("id").attribute("root").unwrap().to_owned();
    let list = metadata(&zip).find("rim:RegistryObjectList").clone();
    let entries: Vec<_> = list.all("rim:ExtrinsicObject").collect();
    let unique = |entry: &Element| {
        let named =
            |id: &&Element| id.find("rim:Name/rim:LocalizedString").attribute("value") == Some("XDSDocumentEntry.uniqueId");
        entry.all("rim:ExternalIdentifier").find(named).unwrap().attribute("value").unwrap().to_owned()
    };
    let id: uuid::Uuid = root.parse().unwrap();
    assert_eq!(entries[0].attribute("id"), Some(format!("urn:uuid:{root}").as_str()));
    assert_eq!(unique(entries[0]), format!("2.25.{}", id.as_u128()));
    assert_ne!(unique(entries[0]), unique(entries[1]));
    for (entry, content) in entries.iter().zip([cda.as_slice(), PDF]) {
        assert_eq!(slot(entry, "size"), [content.len().to_string()]);
        assert_eq!(slot(entry, "hash"), [crate::crypto::Hex(&crate::crypto::sha1(content)).to_string()]);
        assert_eq!(file(&zip, &format!("{SUBSET}{}", slot(entry, "URI")[0])), content);
    }
    // The order under the same root as in the C-CDA.
    let order = Element::parse(&cda).find("inFulfillmentOf/order/id").clone();
    let authority: uuid::Uuid = order.attribute("root").unwrap().parse().unwrap();
    let reference = format!("PLC700881^^^&2.25.{}&ISO^urn:ihe:iti:xds:2013:order", authority.as_u128());
    assert_eq!(slot(entries[0], "urn:ihe:iti:xds:2013:referenceIdList"), [reference]);
}

#[test]
fn a_correction_replaces_and_an_addendum_appends_document_for_document() {
    let associations = |name: &str| {
        let (zip, _) = packaged(&cases::named(name), PDF, true);
        let list = metadata(&zip).find("rim:RegistryObjectList").clone();
        let of = |association: &Element, key: &str| association.attribute(key).unwrap().to_owned();
        let ids: Vec<String> = list.all("rim:ExtrinsicObject").map(|entry| of(entry, "id")).collect();
        let found: Vec<_> = list
            .all("rim:Association")
            .filter(|association| !of(association, "associationType").ends_with("HasMember"))
            .map(|a| (of(a, "associationType"), of(a, "sourceObject"), of(a, "targetObject")))
            .collect();
        (ids, found)
    };
    for (name, kind) in [("corrected", "RPLC"), ("addendum", "APND")] {
        let (ids, found) = associations(name);
        // What the earlier delivery called its documents: the same way this one does.
        let earlier = Case::full().but_document_id(9);
        let kind = format!("urn:ihe:iti:2007:AssociationType:{kind}");
        let expected: Vec<_> = ids.iter().zip(earlier).map(|(id, earlier)| (kind.clone(), id.clone(), earlier)).collect();
        assert_eq!((found.len(), found), (2, expected), "{name}");
    }
    for name in ["full", "resend", "corrected for a new recipient", "corrected, parent by version only"] {
        assert!(associations(name).1.is_empty(), "{name}");
    }
}

impl Case {
    /// The ids that the package of a delivery with this document id gives its documents.
    fn but_document_id(&self, last: u8) -> Vec<String> {
        let (mut facts, cda) = (self.facts(), self.xml());
        facts.document_id = cases::uuid(last);
        let mut out = Vec::new();
        write(&Package { facts: &facts, from: None, cda: &cda, pdf: Some(PDF) }, &mut out).unwrap();
        let list = metadata(&out).find("rim:RegistryObjectList").clone();
        list.all("rim:ExtrinsicObject").map(|entry| entry.attribute("id").unwrap().to_owned()).collect()
    }
}

#[test]
fn the_patients_identifier_is_in_the_metadata_only_where_it_is_in_the_document() {
    let number = b"ZZ000417";
    for (name, shown) in [("full", false), ("omit", false), ("mrn without authority", false), ("mrn", true)] {
        let (zip, cda) = packaged(&cases::named(name), PDF, true);
        assert_eq!(memchr::memmem::find(&cda, number).is_some(), shown, "{name}: C-CDA");
        assert_eq!(memchr::memmem::find(&zip, number).is_some(), shown, "{name}: package");
        let list = metadata(&zip).find("rim:RegistryObjectList").clone();
        let entry = list.find("rim:ExtrinsicObject");
        let expected: Vec<String> = shown.then(|| "ZZ000417^^^&2.16.840.1.113883.19.5&ISO".to_owned()).into_iter().collect();
        assert_eq!(slot(entry, "sourcePatientId"), expected, "{name}");
    }
}

#[test]
fn a_value_too_long_for_the_schema_is_left_out_and_not_cut() {
    let mut case = cases::named("mrn");
    case.order.patient.local_id = Some("&".repeat(90));
    case.order.patient.name.family = "é".repeat(300);
    case.report.title = Some("T".repeat(300));
    let (zip, _) = packaged(&case, PDF, false);
    shall::check(&case, &metadata(&zip), 1);
    let list = metadata(&zip).find("rim:RegistryObjectList").clone();
    let info = slot(list.find("rim:ExtrinsicObject"), "sourcePatientInfo");
    assert!(info.iter().all(|field| !field.starts_with("PID-5")) && info.contains(&"PID-7|19640217".to_owned()), "{info:?}");
}

#[test]
fn the_documents_come_out_as_they_went_in() {
    for beside in [false, true] {
        let (zip, cda) = packaged(&Case::full(), PDF, beside);
        let documents = unpack(&zip).unwrap();
        let expected = [("text/xml", cda.as_slice()), ("application/pdf", PDF)];
        assert_eq!(documents.len(), if beside { 2 } else { 1 });
        for (document, (media_type, content)) in documents.iter().zip(expected) {
            assert_eq!((document.media_type.as_deref(), document.bytes.as_slice()), (Some(media_type), content));
            assert_eq!((document.hash_agrees, document.title.as_deref()), (Some(true), Some("Retinal eye screening report")));
        }
    }
}

proptest! {
    #[test]
    fn any_order_gives_a_package_that_meets_every_shall(case in any_case()) {
        let (zip, cda) = packaged(&case, PDF, true);
        shall::check(&case, &metadata(&zip), 2);
        // XHTML is XML; the tokenizer of the tests knows no document type.
        let index = String::from_utf8(file(&zip, "INDEX.HTM")).unwrap();
        let (declaration, rest) = index.split_once("<!DOCTYPE").unwrap();
        Element::parse(format!("{declaration}{}", rest.split_once('>').unwrap().1).as_bytes());
        prop_assert_eq!(&unpack(&zip).unwrap()[0].bytes, &cda);
    }

    #[test]
    fn every_octet_of_a_pdf_survives(pdf in prop::collection::vec(any::<u8>(), 0..3000)) {
        let (zip, _) = packaged(&Case::full(), &pdf, true);
        prop_assert_eq!(&unpack(&zip).unwrap()[1].bytes, &pdf);
    }
}
