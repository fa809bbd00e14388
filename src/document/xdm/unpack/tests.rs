//! Packages as others make them, and as somebody makes them who means us harm.

use std::io::Write as _;

use proptest::prelude::*;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::*;

const SUBSET: &str = "IHE_XDM/SUBSET01/";

/// A ZIP file of these files, deflated.
fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, content) in files {
        zip.start_file(*name, options).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn metadata(entries: &str) -> String {
    format!("<SubmitObjectsRequest><r:RegistryObjectList xmlns:r=\"x\">{entries}</r:RegistryObjectList></SubmitObjectsRequest>")
}

fn entry(media_type: &str, slots: &[(&str, &str)]) -> String {
    let slot = |(name, value): &(&str, &str)| {
        format!("<r:Slot name=\"{name}\"><r:ValueList><r:Value> {value}\n</r:Value></r:ValueList></r:Slot>")
    };
    let slots: String = slots.iter().map(slot).collect();
    format!(
        "<r:ExtrinsicObject id=\"a\" mimeType=\"{media_type}\">{slots}<r:Name><r:LocalizedString value=\"A &amp; B\"/></r:Name>\
         <r:Classification><r:Slot name=\"URI\"><r:ValueList><r:Value>WRONG</r:Value></r:ValueList></r:Slot>\
         <r:Name><r:LocalizedString value=\"a code\"/></r:Name></r:Classification></r:ExtrinsicObject>"
    )
}

fn names(zip: &[u8]) -> Vec<String> {
    unpack(zip).unwrap().into_iter().map(|document| document.name).collect()
}

#[test]
fn documents_come_in_the_order_of_the_metadata_with_what_it_says_of_them() {
    let listed =
        metadata(&[entry("application/pdf", &[("URI", "two.pdf")]), entry("application/xml", &[("URI", "ONE.XML")])].concat());
    let package = zip(&[
        ("INDEX.HTM", b"<html><broken"),
        ("IHE_XDM/SUBSET01/ONE.XML", b"<a/>"),
        ("IHE_XDM/SUBSET01/CDA.XSL", b"<style/>"),
        ("IHE_XDM/SUBSET01/TWO.PDF", b"%PDF-"),
        ("IHE_XDM/SUBSET01/METADATA.XML", listed.as_bytes()),
        ("IHE_XDM/SUBSET01/UNLISTED.TXT", b"t"),
    ]);
    let documents = unpack(&package).unwrap();
    let shown: Vec<_> =
        documents.iter().map(|d| (&d.name[SUBSET.len()..], d.media_type.as_deref(), d.title.as_deref())).collect();
    assert_eq!(
        shown,
        [
            ("TWO.PDF", Some("application/pdf"), Some("A & B")),
            ("ONE.XML", Some("application/xml"), Some("A & B")),
            ("UNLISTED.TXT", None, None)
        ]
    );
}

#[test]
fn a_document_without_a_name_in_the_metadata_is_known_by_its_hash_and_a_wrong_hash_is_said() {
    let hash = Hex(&sha1(b"%PDF-")).to_string().to_uppercase();
    let listed = metadata(
        &[entry("application/pdf", &[("hash", &hash)]), entry("text/xml", &[("URI", "A.XML"), ("hash", &hash)])].concat(),
    );
    let package = zip(&[
        ("IHE_XDM/SUBSET01/A.XML", b"<a/>"),
        ("IHE_XDM/SUBSET01/X.PDF", b"%PDF-"),
        ("IHE_XDM/SUBSET01/METADATA.XML", listed.as_bytes()),
    ]);
    let agree: Vec<_> =
        unpack(&package).unwrap().into_iter().map(|d| (d.name[SUBSET.len()..].to_owned(), d.hash_agrees)).collect();
    assert_eq!(agree, [("X.PDF".to_owned(), Some(true)), ("A.XML".to_owned(), Some(false))]);
}

#[test]
fn packages_of_odd_makers_are_understood() {
    let listed = metadata(&entry("text/xml", &[("URI", "doc.xml")]));
    let listed = listed.as_bytes();
    for (maker, files) in [
        ("lower case", vec![("ihe_xdm/subset01/metadata.xml", listed), ("ihe_xdm/subset01/doc.xml", b"<a/>")]),
        ("backslashes", vec![("IHE_XDM\\SUBSET01\\METADATA.XML", listed), ("IHE_XDM\\SUBSET01\\DOC.XML", b"<a/>")]),
        ("no slash after the set", vec![("IHE_XDM/SUBSET01METADATA.xml", listed), ("IHE_XDM/SUBSET01doc.xml", b"<a/>")]),
        ("a folder around it", vec![("package/IHE_XDM/S/METADATA.XML", listed), ("package/IHE_XDM/S/DOC.XML", b"<a/>")]),
        ("another folder", vec![("IHE_XDM/Default/METADATA.XML", listed), ("IHE_XDM/Default/DOC.XML", b"<a/>")]),
    ] {
        let documents = unpack(&zip(&files)).unwrap();
        assert_eq!((documents.len(), documents[0].media_type.as_deref()), (1, Some("text/xml")), "{maker}");
    }
    assert_eq!(names(&zip(&[("IHE_XDM/S/B.PDF", b"b"), ("IHE_XDM/S/A.XML", b"a")])), ["IHE_XDM/S/A.XML", "IHE_XDM/S/B.PDF"]);
    for broken in [&b"<a><b"[..], b"\xff\xfe", b"", b"<ExtrinsicObject mimeType='x'><Slot name='URI'>"] {
        assert_eq!(names(&zip(&[("IHE_XDM/S/METADATA.XML", broken), ("IHE_XDM/S/A.XML", b"a")])), ["IHE_XDM/S/A.XML"]);
    }
}

#[test]
fn a_long_name_in_pieces_is_one_name() {
    let pieces = "<r:ExtrinsicObject mimeType='text/xml'><r:Slot name='URI'><r:ValueList><r:Value>1|DOC</r:Value>\
                  <r:Value>2|UMENT.XML</r:Value></r:ValueList></r:Slot></r:ExtrinsicObject>";
    let package = zip(&[("IHE_XDM/S/METADATA.XML", metadata(pieces).as_bytes()), ("IHE_XDM/S/DOCUMENT.XML", b"a")]);
    assert_eq!(unpack(&package).unwrap()[0].media_type.as_deref(), Some("text/xml"));
}

#[test]
fn one_name_that_leads_out_opens_nothing() {
    for name in [
        "../../etc/passwd",
        "IHE_XDM/../../x.pdf",
        "IHE_XDM/SUBSET01/../../../x.pdf",
        "/IHE_XDM/S/A.PDF",
        "C:\\IHE_XDM\\A.PDF",
        "IHE_XDM\\..\\..\\A.PDF",
        "IHE_XDM/S/A.PDF\0.txt",
        "IHE_XDM/S/\u{1b}[2J.PDF",
        "IHE_XDM/./A.PDF",
        &format!("IHE_XDM/{}", "x".repeat(400)),
    ] {
        let package = zip(&[("IHE_XDM/S/GOOD.PDF", b"%PDF-"), (name, b"%PDF-")]);
        assert_eq!(unpack(&package), Err(UnpackError::UnsafeName), "{name:?}");
    }
}

#[test]
fn a_package_that_swells_is_stopped_while_it_does() {
    let limits = Limits { files: 4, octets: 100_000, metadata: 10_000 };
    let zeros = vec![0; 200_000];
    let bomb = zip(&[("IHE_XDM/S/A.PDF", &zeros)]);
    assert!(bomb.len() < 2000, "it is a bomb");
    assert_eq!(unpack_within(limits, &bomb), Err(UnpackError::TooLarge(100_000)));
    // Each fits; together they do not.
    let parts = zip(&[("IHE_XDM/S/A.PDF", &zeros[..60_000]), ("IHE_XDM/S/B.PDF", &zeros[..60_000])]);
    assert_eq!(unpack_within(limits, &parts), Err(UnpackError::TooLarge(100_000)));
    let metadata = zip(&[("IHE_XDM/S/METADATA.XML", &zeros[..20_000])]);
    assert_eq!(unpack_within(limits, &metadata), Err(UnpackError::TooLarge(10_000)));
    let many = zip(&[("IHE_XDM/1", b""), ("IHE_XDM/2", b""), ("IHE_XDM/3", b""), ("IHE_XDM/4", b""), ("IHE_XDM/5", b"")]);
    assert_eq!(unpack_within(limits, &many), Err(UnpackError::TooManyFiles(4)));
    // A header that says less than there is: the octets are counted, not believed.
    let mut liar = bomb;
    for at in memchr::memmem::find_iter(&liar.clone(), &200_000_u32.to_le_bytes()).collect::<Vec<_>>() {
        liar[at..at + 4].copy_from_slice(&10_u32.to_le_bytes());
    }
    assert!(unpack_within(limits, &liar).is_err());
}

#[test]
fn entities_of_the_metadata_are_not_expanded() {
    let mut bomb = String::from("<!DOCTYPE x [<!ENTITY a0 \"ha\">");
    for n in 1..40 {
        bomb += &format!("<!ENTITY a{n} \"&a{0};&a{0};&a{0};&a{0};\">", n - 1);
    }
    bomb += "<!ENTITY file SYSTEM \"file:///etc/passwd\">]>";
    bomb += &metadata(&entry("text/xml", &[("URI", "&a39;&file;A.XML")]));
    let documents = unpack(&zip(&[("IHE_XDM/S/METADATA.XML", bomb.as_bytes()), ("IHE_XDM/S/A.XML", b"a")])).unwrap();
    assert_eq!((documents.len(), documents[0].bytes.as_slice()), (1, &b"a"[..]));
}

#[test]
fn what_is_no_package_says_so() {
    assert_eq!(unpack(&zip(&[("report.pdf", b"%PDF-")])), Err(UnpackError::NotXdm));
    assert_eq!(unpack(&zip(&[("MY_IHE_XDM/A.PDF", b"%PDF-")])), Err(UnpackError::NotXdm));
    assert_eq!(unpack(&zip(&[])), Err(UnpackError::NotXdm));
    assert!(matches!(unpack(b"PK\x03\x04 and nothing"), Err(UnpackError::Damaged(_))));
    let mut locked = zip(&[("IHE_XDM/S/A.PDF", b"%PDF-")]);
    let central = memchr::memmem::find(&locked, b"PK\x01\x02").unwrap();
    locked[6] |= 1;
    locked[central + 8] |= 1;
    assert_eq!(unpack(&locked), Err(UnpackError::Encrypted));
}

fn any_package() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![
        Just("IHE_XDM/SUBSET01/METADATA.XML".to_owned()),
        "IHE_XDM/S/[A-Z.]{1,12}",
        "[A-Za-z_./\\\\:]{1,30}",
        "\\PC{1,20}",
    ];
    let content = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        "(<r:ExtrinsicObject mimeType=\"[a-z/]{0,9}\">|<r:Slot name=\"(URI|hash)\">|</?r:[A-Za-z]{1,9}/?>|&[a-z#0-9]{0,5};|[A-Z.|]{0,9}){0,30}"
            .prop_map(String::into_bytes),
    ];
    prop::collection::vec((name, content), 0..6).prop_map(|files| {
        let mut names = std::collections::BTreeSet::new();
        let files: Vec<(&str, &[u8])> = files
            .iter()
            .filter(|(name, _)| names.insert(name))
            .map(|(name, content)| (name.as_str(), content.as_slice()))
            .collect();
        zip(&files)
    })
}

proptest! {
    #[test]
    fn no_package_breaks_the_reader_whole_or_damaged(
        package in any_package(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let limits = Limits { files: 10, octets: 2000, metadata: 500 };
        let mut damaged = package.clone();
        for (place, octet) in damage {
            let place = place.index(damaged.len());
            damaged[place] = octet;
        }
        let mut shortened = damaged.clone();
        shortened.truncate(cut.index(package.len()));
        for package in [package, damaged, shortened] {
            if let Ok(documents) = unpack_within(limits, &package) {
                prop_assert!(documents.iter().map(|document| document.bytes.len()).sum::<usize>() <= 2000);
                for document in documents {
                    let name = document.name;
                    prop_assert!(!name.starts_with('/') && !name.split('/').any(|part| part == ".."), "{name}");
                    prop_assert!(!name.chars().any(char::is_control), "{name:?}");
                }
            }
        }
    }
}
