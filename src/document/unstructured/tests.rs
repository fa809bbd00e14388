//! The rules of C-CDA R2.1 as tables of our own, held against every document of [`cases`].

pub(in crate::document) mod cases;
mod kit;
mod order;
mod shall;
pub(in crate::document) mod tree;

use proptest::prelude::*;

use super::*;
use crate::document::{Confidentiality, Earlier, Relation};
use cases::{Case, PDF, made};
use tree::Element;

#[test]
fn every_document_keeps_the_order_and_the_counts_of_the_schema() {
    for case in cases::all() {
        order::check(&case);
    }
}

#[test]
fn every_document_meets_every_shall() {
    for case in cases::all() {
        shall::check(&case);
    }
}

#[test]
fn one_full_document_looks_like_this() {
    let case = Case::full();
    let xml = String::from_utf8(case.xml()).unwrap().replace("><", ">\n<").replace(env!("CARGO_PKG_VERSION"), "VERSION");
    insta::assert_snapshot!("full", xml);
}

#[test]
fn the_pdf_comes_out_as_it_went_in() {
    use base64::Engine as _;
    let text = Case::full().tree().find("component/nonXMLBody/text").text.clone();
    assert_eq!(base64::prelude::BASE64_STANDARD.decode(text).unwrap(), PDF);
}

#[test]
fn the_three_ways_to_show_the_patients_identifier_differ_in_nothing_else() {
    let [null, mrn, omit] = ["full", "mrn", "omit"].map(|name| {
        let case = cases::all().into_iter().find(|case| case.name == name).unwrap();
        String::from_utf8(case.xml()).unwrap()
    });
    let with = |id: &str| omit.replace("<patientRole>", &format!("<patientRole>{id}"));
    assert_eq!(null, with("<id nullFlavor=\"NI\"/>"));
    assert_eq!(mrn, with("<id root=\"2.16.840.1.113883.19.5\" extension=\"ZZ000417\"/>"));
}

#[test]
fn a_social_security_number_has_no_place_to_stand() {
    for case in cases::all() {
        assert!(!String::from_utf8(case.xml()).unwrap().contains("2.16.840.1.113883.4.1\""), "{}", case.name);
    }
}

#[test]
fn the_title_says_what_kind_of_statement_it_is() {
    let title = |name: &str| cases::named(name).tree().find("title").text.clone();
    assert_eq!(title("full"), "Retinal eye screening report");
    assert_eq!(title("corrected"), "CORRECTED: Retinal eye screening report");
    assert_eq!(title("corrected already said"), "Corrected report of the retina");
    assert_eq!(title("addendum"), "ADDENDUM: Retinal eye screening report");
    assert_eq!(title("preliminary"), "PRELIMINARY: Retinal eye screening report");
    assert_eq!(title("minimal"), "Retinal eye screening report");
    assert_eq!(title("unknown document code"), "Result report");
}

#[test]
fn a_correction_stays_in_its_set_and_names_what_it_replaces() {
    let document = cases::named("corrected").tree();
    let parent = document.find("relatedDocument/parentDocument");
    assert_eq!(document.find("relatedDocument").attribute("typeCode"), Some("RPLC"));
    assert_eq!(parent.find("setId").attribute("root"), document.find("setId").attribute("root"));
    assert_eq!(parent.find("versionNumber").attribute("value"), Some("1"));
    assert_eq!(document.find("versionNumber").attribute("value"), Some("2"));
    assert_ne!(parent.find("id").attribute("root"), document.find("id").attribute("root"));
}

#[test]
fn an_addendum_appends_and_nothing_else_relates() {
    let kind = |name: &str| {
        let document = cases::named(name).tree();
        document.all("relatedDocument").map(|related| related.attribute("typeCode").unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(kind("addendum"), ["APND"]);
    assert!(kind("full").is_empty() && kind("corrected for a new recipient").is_empty());
}

#[test]
fn nobody_signs_what_is_not_finished_or_has_no_name_under_it() {
    let signers = |name: &str| cases::named(name).tree().all("legalAuthenticator").count();
    assert_eq!((signers("full"), signers("corrected")), (1, 1));
    assert_eq!((signers("preliminary"), signers("no author"), signers("author without name")), (0, 0, 0));
}

#[test]
fn times_carry_the_offset_of_their_author_or_of_the_sender() {
    let document = cases::named("full").tree();
    assert_eq!(document.find("effectiveTime").attribute("value"), Some("20260115120000-0500"));
    assert_eq!(document.find("legalAuthenticator/time").attribute("value"), Some("20260115091530-0600"));
    let low = document.find("documentationOf/serviceEvent/effectiveTime/low");
    assert_eq!(low.attribute("value"), Some("20260115084500-0500"));
    // No completed_at: the time received stands for it, but not as the end of the exam.
    let document = cases::named("no completed_at").tree();
    assert_eq!(document.find("author/time").attribute("value"), Some("20260115110000-0500"));
    assert!(document.find("documentationOf/serviceEvent/effectiveTime").all("high").next().is_none());
}

#[test]
fn what_xml_cannot_carry_is_replaced_and_reported() {
    let case = cases::named("characters XML cannot carry");
    let mut out = Vec::new();
    let written = case.write(PDF, &mut out).unwrap();
    assert_eq!(written.replaced_characters, 3);
    assert_eq!(case.tree().find("recordTarget/patientRole/patient/name/family").text, "Test\u{FFFD}river <&>\"'");
    assert_eq!(Case::full().write(PDF, &mut out).unwrap().replaced_characters, 0);
}

#[test]
fn a_pdf_that_receivers_could_not_open_is_refused() {
    let mut out = Vec::new();
    let error = Case::full().write(&vec![0; LARGEST_PDF + 1], &mut out).unwrap_err();
    assert_eq!(error.reason(), crate::domain::Reason::TooLarge);
    Case::full().write(&vec![0; LARGEST_PDF], &mut out).unwrap();
    let text = out.len() - Case::full().xml().len() + PDF.len().div_ceil(3) * 4;
    assert_eq!(text, LONGEST_TEXT);
}

#[test]
fn a_buffer_may_be_used_again() {
    let mut out = b"left over from before".to_vec();
    let case = Case::full();
    case.write(PDF, &mut out).unwrap();
    let capacity = out.capacity();
    case.write(PDF, &mut out).unwrap();
    assert_eq!((out.clone(), out.capacity()), (case.xml(), capacity));
}

/// Text of every kind: blank, long, with markup, and with what XML cannot carry.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![".{0,40}", "[<>&\"' ]{0,8}", "\\PC{0,300}", any::<String>(), Just(String::new())]
}

pub(in crate::document) fn any_case() -> impl Strategy<Value = Case> {
    let texts = prop::collection::vec(any_text(), 24);
    (texts, any::<u16>(), prop::collection::vec(any_text(), 0..6)).prop_map(|(texts, choices, list)| made(&texts, choices, &list))
}

proptest! {
    #[test]
    fn any_order_gives_a_well_formed_document_in_the_order_of_the_schema(case in any_case()) {
        order::check(&case);
        shall::check(&case);
    }
}
