//! What other programs say of our packages, and what our commands say of theirs.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use postern::{
    document::xdm::unpack::UnpackError,
    sandbox::pdf::{NoPdf, extract},
};
use tempfile::{TempDir, tempdir};

use super::{mail, zip};
use crate::support::command::{Ran, postern};

const ORDER: &str = r#"{ "order_id": "PLC700881", "site": "RIVERSIDE01",
  "patient": { "local_id": "ZZ000417", "name": { "family": "Testriver", "given": ["Zoë <&>"] },
    "birth_date": "1964-02-17", "gender": "F" },
  "deliver_to": [ { "role": "pcp", "direct": "pcp.demo@direct.example.org", "npi": "1234567893" } ] }"#;

const ORGANIZATION: &str = r#"
slug = "north-clinics"
name = "North & West Clinics"
[message]
pdf = "beside"
[[message.domain]]
domain = "direct.old.example"
pdf = "inside"
"#;

/// A folder with an order, a report and an organization.
fn desk() -> TempDir {
    let dir = tempdir().unwrap();
    let put = |name: &str, content: &[u8]| fs::write(dir.path().join(name), content).unwrap();
    put("order.json", ORDER.as_bytes());
    put("org.toml", ORGANIZATION.as_bytes());
    put("report.pdf", &postern::sandbox::story::chapter(0).pdf());
    dir
}

fn package(dir: &Path, more: &[&str]) -> Ran {
    let ran =
        postern(dir, &[&["document", "--order", "order.json", "--pdf", "report.pdf", "--xdm", "package.zip"], more].concat());
    assert_eq!(ran.code, 0, "{}", ran.err);
    fs::write(dir.join("document.xml"), &ran.out).unwrap();
    ran
}

/// Reads the package with nothing of ours: every file, its checksum, the XML, the SHA-1 the metadata state.
const PYTHON: &str = r#"
import hashlib, sys, zipfile
from xml.etree import ElementTree
package = zipfile.ZipFile("package.zip")
assert package.testzip() is None
names = package.namelist()
documents = ["DOC00001.XML", "DOC00002.PDF"] if sys.argv[1] == "beside" else ["DOC00001.XML"]
inside = ["IHE_XDM/SUBSET01/" + name for name in ["METADATA.XML"] + documents]
assert names == ["INDEX.HTM", "README.TXT", "IHE_XDM/", "IHE_XDM/SUBSET01/"] + inside, names
for name, file in zip(documents, ["document.xml", "report.pdf"]):
    assert package.read("IHE_XDM/SUBSET01/" + name) == open(file, "rb").read(), name
html = "{http://www.w3.org/1999/xhtml}"
index = ElementTree.fromstring(package.read("INDEX.HTM"))
links = [link.get("href") for link in index.iter(html + "a")]
assert set(links) == {"IHE_XDM/SUBSET01/" + name for name in documents} | {"README.TXT"}, links
rim = "{urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0}"
metadata = ElementTree.fromstring(package.read("IHE_XDM/SUBSET01/METADATA.XML"))
entries = metadata.findall(f".//{rim}ExtrinsicObject")
assert len(entries) == len(documents)
for entry in entries:
    slots = {slot.get("name"): [value.text for value in slot.iter(rim + "Value")] for slot in entry.findall(rim + "Slot")}
    content = package.read("IHE_XDM/SUBSET01/" + slots["URI"][0])
    assert slots["hash"] == [hashlib.sha1(content).hexdigest()] and slots["size"] == [str(len(content))]
"#;

#[test]
fn unzip_and_python_find_our_packages_sound() {
    let desk = desk();
    let dir = desk.path();
    for (organization, place) in [(&["--organization", "org.toml"][..], "beside"), (&[], "inside")] {
        package(dir, organization);
        let unzip = Command::new("unzip").args(["-t", "package.zip"]).current_dir(dir).output().unwrap();
        assert!(unzip.status.success(), "{}", String::from_utf8_lossy(&unzip.stdout));
        let python = Command::new("python3").args(["-c", PYTHON, place]).current_dir(dir).output().unwrap();
        assert!(python.status.success(), "{place}: {}", String::from_utf8_lossy(&python.stderr));
    }
    let mode = fs::metadata(dir.join("package.zip")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it names a patient");
}

#[test]
fn inspect_lists_the_documents_of_a_package_and_of_a_message_with_one() {
    let desk = desk();
    let dir = desk.path();
    package(dir, &["--organization", "org.toml"]);
    let shown = postern(dir, &["inspect", "package.zip"]);
    assert!(shown.out.starts_with("xdm package\n"), "{}", shown.out);
    for part in ["text/xml, ", "IHE_XDM/SUBSET01/DOC00001.XML", "application/pdf, ", "IHE_XDM/SUBSET01/DOC00002.PDF"] {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
    let zip_octets = fs::read(dir.join("package.zip")).unwrap();
    fs::write(dir.join("inner.eml"), mail("application/octet-stream", "r.zip", &zip_octets)).unwrap();
    let shown: serde_json::Value = serde_json::from_str(&postern(dir, &["inspect", "--json", "inner.eml"]).out).unwrap();
    assert!(shown[0]["attachment"][0].as_str().unwrap().contains("r.zip"), "{shown}");
    assert_eq!(shown[0]["in_package"].as_array().unwrap().len(), 2, "{shown}");
    // A ZIP file of something else, and one that leads out.
    for (files, problem) in [("report.pdf", "not an XDM package"), ("../x", "outside itself")] {
        fs::write(dir.join("other.zip"), zip(&[(files, b"x")])).unwrap();
        let shown = postern(dir, &["inspect", "other.zip"]);
        assert!(shown.out.starts_with("zip\n") && shown.out.contains(problem), "{}", shown.out);
    }
}

#[test]
fn a_package_is_known_by_its_content_whatever_it_is_declared_as() {
    let desk = desk();
    let dir = desk.path();
    let report = fs::read(dir.join("report.pdf")).unwrap();
    for organization in [&["--organization", "org.toml"][..], &[]] {
        package(dir, organization);
        let package = fs::read(dir.join("package.zip")).unwrap();
        for declared in ["application/zip", "application/octet-stream", "application/xml", "application/x-zip-compressed"] {
            assert!(extract(&mail(declared, "r.zip", &package)).unwrap() == report, "{declared}");
        }
    }
    let odd = zip(&[("INDEX.HTM", b"<html><broken"), ("IHE_XDM\\SUBSET01\\doc.txt", b"%PDF-1.7 beside")]);
    assert_eq!(extract(&mail("application/xml", "r.xml", &odd)).unwrap(), b"%PDF-1.7 beside");
}

#[test]
fn a_package_that_is_not_opened_says_why() {
    let outside = zip(&[("../IHE_XDM/DOC.PDF", b"%PDF-1.7")]);
    assert_eq!(extract(&mail("application/zip", "r.zip", &outside)), Err(NoPdf::Package(UnpackError::UnsafeName)));
    let other = zip(&[("report.pdf", b"%PDF-1.7")]);
    assert_eq!(extract(&mail("application/zip", "r.zip", &other)), Err(NoPdf::Package(UnpackError::NotXdm)));
}
