//! `postern document`: an order and a PDF in, a C-CDA document out, with no store anywhere.

use std::path::Path;

use postern::sandbox::report_pdf::{self, ReportAbout};
use tempfile::{TempDir, tempdir};

use crate::support::command::{Ran, postern};

const ORDER: &str = r#"{ "order_id": "PLC700881", "site": "RIVERSIDE01",
  "patient": { "local_id": "ZZ000417", "name": { "family": "Testriver", "given": ["Morgan", "Q"] },
    "birth_date": "1964-02-17", "gender": "F", "marital_status": "P", "race": ["W"], "ethnicity": "H", "code_system": "v2" },
  "deliver_to": [ { "role": "pcp", "direct": "pcp.demo@direct.example.org", "npi": "1234567893" } ] }"#;

const CORRECTION: &str = r#"{ "order_id": "PLC700881", "site": "RIVERSIDE01", "status": "corrected",
  "completed_at": "2026-01-15T10:15:30-05:00", "title": "Retinal eye screening report",
  "author": { "npi": "1234567893", "name": { "family": "Reader", "given": ["Casey"] } },
  "version": 2, "replaces": "0190f7a0-0000-7000-8000-000000000001" }"#;

const ORGANIZATION: &str = r#"
slug = "north-clinics"
name = "North Clinics"
npi = "2000000044"
time_zone = "America/New_York"
[document]
patient_id = "mrn"
assigning_authority = "2.16.840.1.113883.19.5"
[[site]]
local_id = "RIVERSIDE01"
name = "Riverside"
"#;

/// A folder with an order, a report, a correction and an organization.
fn desk() -> TempDir {
    let dir = tempdir().unwrap();
    let about = ReportAbout {
        title: "Retinal eye screening report".into(),
        organization: "North Clinics".into(),
        patient: "Morgan Q Testriver".into(),
        birth_date: "1964-02-17".into(),
        order_id: "PLC700881".into(),
        completed: "2026-01-15".into(),
        reader: "Casey Reader".into(),
    };
    put(dir.path(), "report.pdf", report_pdf::make(1, &about, 20));
    put(dir.path(), "order.json", ORDER);
    put(dir.path(), "result.json", CORRECTION);
    put(dir.path(), "org.toml", ORGANIZATION);
    dir
}

fn put(dir: &Path, name: &str, content: impl AsRef<[u8]>) {
    std::fs::write(dir.join(name), content).unwrap();
}

fn document(dir: &TempDir, more: &[&str]) -> Ran {
    postern(dir.path(), &[&["document", "--order", "order.json", "--pdf", "report.pdf"], more].concat())
}

#[test]
fn an_order_and_a_pdf_are_enough() {
    let ran = document(&desk(), &[]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    for part in [
        "<title>Retinal eye screening report</title>",
        "<name>Practice Laboratory</name>",
        "<family>Testriver</family>",
        // v2: P is a domestic partner, W is white, H is Hispanic.
        "<maritalStatusCode code=\"T\"",
        "<raceCode code=\"2106-3\"",
        "<ethnicGroupCode code=\"2135-2\"",
        "mailto:pcp.demo@direct.example.org",
        "<patientRole><id nullFlavor=\"NI\"/>",
        "<text mediaType=\"application/pdf\" representation=\"B64\">JVBERi0xLj",
    ] {
        assert!(ran.out.contains(part), "{part} is missing");
    }
}

#[test]
fn the_result_and_the_organization_have_their_say() {
    let ran = document(&desk(), &["--result", "result.json", "--organization", "org.toml"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    for part in [
        "<title>CORRECTED: Retinal eye screening report</title>",
        "<versionNumber value=\"2\"/>",
        "<relatedDocument typeCode=\"RPLC\"><parentDocument><id root=\"0190f7a0-0000-7000-8000-000000000001\"/>",
        "<id root=\"2.16.840.1.113883.19.5\" extension=\"ZZ000417\"/>",
        "<name>Riverside</name>",
        "<legalAuthenticator><time value=\"20260115101530-0500\"/>",
        "<code code=\"18748-4\"",
    ] {
        assert!(ran.out.contains(part), "{part} is missing");
    }
}

#[test]
fn versions_of_one_order_share_a_set_and_never_an_id() {
    let dir = desk();
    let roots = |more: &[&str]| {
        let out = document(&dir, more).out;
        let root = |element: &str| {
            let (_, after) = out.split_once(&format!("<{element} root=\"")).unwrap();
            after.split_once('"').unwrap().0.to_owned()
        };
        let id = out.split_once("extension=\"2015-08-01\"/><id root=\"").unwrap().1.split_once('"').unwrap().0.to_owned();
        (id, root("setId"))
    };
    let (first, second) = (roots(&[]), roots(&["--result", "result.json"]));
    assert_ne!(first.0, second.0);
    assert_eq!(first.1, second.1);
}

#[test]
fn every_problem_of_every_file_is_named_on_a_line_of_its_own() {
    let dir = desk();
    put(dir.path(), "order.json", ORDER.replace("1964-02-17", "1964-02-30").replace("\"F\"", "\"Q\""));
    put(dir.path(), "result.json", CORRECTION.replace("corrected", "fixed"));
    put(dir.path(), "report.pdf", "not a PDF");
    let ran = document(&dir, &["--result", "result.json"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    insta::assert_snapshot!("problems", ran.err);
}

#[test]
fn warnings_are_said_and_the_document_is_written() {
    let dir = desk();
    let order = ORDER.replace("1234567893", "1234567890").replace("\"gender\"", "\"ssn\": \"078-05-1120\", \"gender\"");
    put(dir.path(), "order.json", order);
    let ran = document(&dir, &[]);
    assert_eq!(ran.code, 0);
    assert!(ran.err.contains("order: warning: /patient/ssn") && ran.err.contains("[npi_invalid]"), "{}", ran.err);
    assert!(!ran.err.contains("078-05-1120") && !ran.out.contains("078-05-1120"));
    assert!(!ran.out.contains("1234567890"));
}

#[test]
fn a_result_of_another_order_is_refused() {
    let dir = desk();
    put(dir.path(), "result.json", CORRECTION.replace("PLC700881", "PLC700882"));
    let ran = document(&dir, &["--result", "result.json"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.contains("/order_id"), "{}", ran.err);
}

#[test]
fn a_cancellation_has_no_document() {
    let dir = desk();
    put(dir.path(), "order.json", r#"{ "order_id": "PLC700881", "action": "cancel" }"#);
    let ran = document(&dir, &[]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.contains("/action"), "{}", ran.err);
}

#[test]
fn files_that_cannot_be_used_are_a_matter_of_set_up() {
    let dir = desk();
    let ran = postern(dir.path(), &["document", "--order", "nowhere.json", "--pdf", "report.pdf"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("nowhere.json"), "{}", ran.err);
    put(dir.path(), "org.toml", "slug = \"north\"\nname = \"North\"\ncolor = 1\n");
    let ran = document(&dir, &["--organization", "org.toml"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("line 3") && ran.err.contains("color"), "{}", ran.err);
    put(dir.path(), "org.toml", "slug = \"north\"\nname = \"North\"\n[document]\npatient_id = \"mrn\"\n");
    let ran = document(&dir, &["--organization", "org.toml"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("document.assigning_authority"), "{}", ran.err);
    assert_eq!(postern(dir.path(), &["document", "--order", "order.json"]).code, 2);
}

#[test]
fn the_help_has_an_example() {
    let ran = postern(tempdir().unwrap().path(), &["document", "--help"]);
    assert_eq!(ran.code, 0);
    insta::assert_snapshot!("help", ran.out);
}
