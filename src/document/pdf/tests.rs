use std::io::Write as _;

use lopdf::{Document, Object, SaveOptions, Stream, dictionary};
use proptest::prelude::*;

use super::*;

/// A PDF of `pages` pages with a page tree two levels deep.
fn document(pages: usize) -> Document {
    let mut document = Document::with_version("1.7");
    let root = document.new_object_id();
    let font = document.add_object(dictionary! { "Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Helvetica" });
    let mut branches = Vec::new();
    for start in (0..pages).step_by(3) {
        let branch = document.new_object_id();
        let kids: Vec<Object> = (start..pages.min(start + 3))
            .map(|number| {
                let text = format!("BT /F1 12 Tf 72 720 Td (Page {number} stream endstream 1 0 obj) Tj ET");
                let content = document.add_object(Stream::new(dictionary! {}, text.into_bytes()));
                let fonts = dictionary! { "Font" => dictionary! { "F1" => font } };
                let page = dictionary! { "Type" => "Page", "Parent" => branch, "Contents" => content, "Resources" => fonts };
                Object::Reference(document.add_object(page))
            })
            .collect();
        let node =
            dictionary! { "Type" => "Pages", "Parent" => root, "Count" => i64::try_from(kids.len()).unwrap(), "Kids" => kids };
        document.objects.insert(branch, node.into());
        branches.push(Object::Reference(branch));
    }
    let tree = dictionary! { "Type" => "Pages", "Count" => i64::try_from(pages).unwrap(), "Kids" => branches };
    document.objects.insert(root, tree.into());
    let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => root });
    document.trailer.set("Root", catalog);
    document
}

fn classic(pages: usize) -> Vec<u8> {
    let mut pdf = Vec::new();
    let mut document = document(pages);
    document.reference_table.cross_reference_type = lopdf::xref::XrefType::CrossReferenceTable;
    document.save_to(&mut pdf).unwrap();
    pdf
}

fn modern(pages: usize) -> Vec<u8> {
    let mut pdf = Vec::new();
    let options =
        SaveOptions::builder().use_object_streams(true).use_xref_streams(true).max_objects_per_stream(5).compression_level(9);
    document(pages).save_with_options(&mut pdf, options.build()).unwrap();
    pdf
}

fn checked(pdf: &[u8]) -> Result<u32, PdfProblem> {
    check(pdf, DEFAULT_LIMIT).map(|facts| facts.pages)
}

/// Objects written by hand, with a right table: `(number, text)`.
fn by_hand(objects: &[(u32, &[u8])], trailer: &str) -> Vec<u8> {
    let mut pdf = b"%PDF-1.4\n".to_vec();
    let mut table = String::new();
    for (number, object) in objects {
        let _ = std::fmt::Write::write_fmt(&mut table, format_args!("{number} 1\n{:010} 00000 n \n", pdf.len()));
        writeln!(pdf, "{number} 0 obj").unwrap();
        pdf.extend_from_slice(object);
        pdf.extend_from_slice(b"\nendobj\n");
    }
    let start = pdf.len();
    writeln!(pdf, "xref\n{table}trailer\n{trailer}\nstartxref\n{start}\n%%EOF").unwrap();
    pdf
}

const CATALOG: &[u8] = b"<< /Type /Catalog /Pages 2 0 R >>";
const PAGE: &[u8] = b"<< /Type /Page /Parent 2 0 R >>";
const TRAILER: &str = "<< /Size 9 /Root 1 0 R >>";

#[test]
fn pages_are_counted_in_every_way_of_writing() {
    for pages in [1, 3, 10, 200] {
        assert_eq!(checked(&classic(pages)), Ok(u32::try_from(pages).unwrap()));
        assert_eq!(checked(&modern(pages)), Ok(u32::try_from(pages).unwrap()));
    }
    assert_eq!(check(&classic(1), DEFAULT_LIMIT).unwrap().version.to_string(), "1.7");
}

#[test]
fn an_incremental_update_is_followed_to_the_newest_objects() {
    let mut pdf = by_hand(&[(1, CATALOG), (2, b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"), (3, PAGE)], TRAILER);
    let before = start_of_xref(&pdf).unwrap();
    let tree = pdf.len();
    writeln!(pdf, "2 0 obj\n<< /Type /Pages /Kids [3 0 R 4 0 R] /Count 2 >>\nendobj").unwrap();
    let page = pdf.len();
    writeln!(pdf, "4 0 obj\n<< /Type /Page >>\nendobj").unwrap();
    let start = pdf.len();
    writeln!(pdf, "xref\n2 1\n{tree:010} 00000 n \n4 1\n{page:010} 00000 n ").unwrap();
    write!(pdf, "trailer\n<< /Size 5 /Root 1 0 R /Prev {before} >>\nstartxref\n{start}\n%%EOF").unwrap();
    assert_eq!(checked(&pdf), Ok(2));
}

#[test]
fn a_hybrid_file_is_read_with_its_hidden_objects() {
    let mut pdf = b"%PDF-1.5\n".to_vec();
    let mut at = |text: &[u8]| {
        let place = pdf.len();
        pdf.extend_from_slice(text);
        pdf.push(b'\n');
        place
    };
    let catalog = at(b"1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj");
    let page = at(b"3 0 obj << /Type /Page >> endobj");
    let members = at(b"4 0 obj << /Type /ObjStm /N 1 /First 4 /Length 46 >> stream\n2 0 << /Type /Pages /Kids [3 0 R] /Count 1 >> \nendstream endobj");
    let hidden =
        at(b"5 0 obj << /Type /XRef /Size 6 /W [1 1 1] /Index [2 1] /Length 3 >> stream\n\x02\x04\x00\nendstream endobj");
    let start = pdf.len();
    writeln!(
        pdf,
        "xref\n0 5\n0000000000 65535 f \n{catalog:010} 00000 n \n0000000000 00000 f \n{page:010} 00000 n \n{members:010} 00000 n "
    )
    .unwrap();
    write!(pdf, "trailer << /Size 6 /Root 1 0 R /XRefStm {hidden} >>\nstartxref\n{start}\n%%EOF").unwrap();
    assert_eq!(checked(&pdf), Ok(1));
}

#[test]
fn what_is_no_pdf_is_refused() {
    for bytes in [
        &b""[..],
        b"%PDF",
        b"%PDF-",
        b"%PDF-9.9\n%%EOF",
        b"GIF89a",
        b"<html>%PDF-1.4",
        b" %PDF-1.4\nstartxref\n0\n%%EOF",
        b"PK\x03\x04",
    ] {
        assert_eq!(checked(bytes), Err(PdfProblem::NotPdf));
    }
}

#[test]
fn the_size_limit_comes_first() {
    assert_eq!(check(&[0; 11], 10), Err(PdfProblem::TooLarge { given: 11, limit: 10 }));
    let pdf = classic(1);
    assert!(check(&pdf, pdf.len()).is_ok());
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    for pdf in [classic(3), modern(3)] {
        let whole = pdf.trim_ascii_end().len();
        for length in 0..whole {
            let problem = checked(&pdf[..length]).unwrap_err();
            assert!(matches!(problem, PdfProblem::NotPdf | PdfProblem::Truncated), "{length} of {whole}: {problem}");
        }
    }
}

#[test]
fn a_file_that_lost_a_piece_in_the_middle_is_refused() {
    for pdf in [classic(3), modern(3)] {
        for at in [20, pdf.len() / 3, pdf.len() / 2] {
            let mut short = pdf.clone();
            short.drain(at..at + 7);
            assert!(matches!(checked(&short), Err(PdfProblem::Damaged(_))), "{at}");
        }
    }
}

#[test]
fn a_file_sent_as_text_is_refused() {
    let mut mangled = Vec::new();
    for byte in classic(3) {
        mangled.extend_from_slice(if byte == b'\n' { b"\r\n" } else { std::slice::from_ref(&byte) });
    }
    assert!(matches!(checked(&mangled), Err(PdfProblem::Damaged(_))));
}

#[test]
fn an_encrypted_file_is_refused_however_it_is_spelled() {
    let objects: [(u32, &[u8]); 3] = [(1, CATALOG), (2, b"<< /Type /Pages /Kids [3 0 R] >>"), (3, PAGE)];
    for trailer in ["<< /Size 4 /Root 1 0 R /Encrypt 9 0 R >>", "<< /Size 4 /Root 1 0 R /Encr#79pt << /Filter /Standard >> >>"] {
        assert_eq!(checked(&by_hand(&objects, trailer)), Err(PdfProblem::Encrypted));
    }
    assert_eq!(checked(&by_hand(&objects, "<< /Size 4 /Root 1 0 R /Encrypt null >>")), Ok(1));
}

#[test]
fn a_file_without_pages_is_refused() {
    for tree in [&b"<< /Type /Pages /Kids [] /Count 5 >>"[..], b"<< /Type /Pages /Count 1 >>"] {
        assert_eq!(checked(&by_hand(&[(1, CATALOG), (2, tree)], TRAILER)), Err(PdfProblem::NoPages));
    }
}

#[test]
fn a_tree_that_does_not_hold_together_is_refused() {
    let damaged = |objects: &[(u32, &[u8])], trailer: &str| {
        let problem = checked(&by_hand(objects, trailer));
        assert!(matches!(problem, Err(PdfProblem::Damaged(_))), "{problem:?}");
    };
    damaged(&[(1, CATALOG), (2, b"<< /Type /Pages /Kids [2 0 R] >>")], TRAILER);
    damaged(&[(1, CATALOG), (2, b"<< /Type /Pages /Kids [7 0 R] >>")], TRAILER);
    damaged(&[(1, CATALOG), (2, b"<< /Type /Pages /Kids [3 0 R] >>"), (3, b"(page)")], TRAILER);
    damaged(&[(1, CATALOG), (2, b"<< /Type /Pages /Kids [5] >>")], TRAILER);
    damaged(&[(1, CATALOG)], TRAILER);
    damaged(&[(1, PAGE)], TRAILER);
    damaged(&[(1, CATALOG)], "<< /Size 1 >>");
    damaged(&[(1, CATALOG)], "(trailer)");
}

/// A file whose cross-reference stream inflates to `size` zero bytes.
fn bomb(size: usize, sections: usize) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&vec![0; size]).unwrap();
    let data = encoder.finish().unwrap();
    let mut pdf = b"%PDF-1.5\n".to_vec();
    let mut before = String::new();
    let mut start = 0;
    for _ in 0..sections {
        start = pdf.len();
        let length = data.len();
        let facts = format!("/Type /XRef /Size {size} /W [1 1 1] /Filter /FlateDecode /Length {length} {before}");
        writeln!(pdf, "1 0 obj << {facts} >> stream").unwrap();
        pdf.extend_from_slice(&data);
        pdf.extend_from_slice(b"\nendstream endobj\n");
        before = format!("/Prev {start}");
    }
    write!(pdf, "startxref\n{start}\n%%EOF").unwrap();
    pdf
}

#[test]
fn hostile_files_are_refused_before_they_cost_much() {
    let many = |what: &str| what.repeat((DEFAULT_LIMIT - 1000) / what.len());
    let tree = |kids: &str| by_hand(&[(1, CATALOG), (2, format!("<< /Type /Pages /Kids [{kids}] >>").as_bytes())], TRAILER);
    let table = |entries: &str| {
        let mut pdf = b"%PDF-1.4\n".to_vec();
        write!(pdf, "xref\n0 9999999\n{entries}trailer << >>\nstartxref\n9\n%%EOF").unwrap();
        pdf
    };
    let chain = |end: &str| {
        let mut pdf = b"%PDF-1.4\n".to_vec();
        let mut before = 0;
        while pdf.len() < 6_900_000 {
            let start = pdf.len();
            writeln!(pdf, "xref\n0 0\ntrailer << /Prev {before} >>").unwrap();
            before = start;
        }
        write!(pdf, "{end}startxref\n{before}\n%%EOF").unwrap();
        pdf
    };
    for (name, pdf) in [
        ("nested arrays", tree(&many("["))),
        ("nested dictionaries", tree(&many("<</A"))),
        ("nested strings", tree(&many("("))),
        ("many numbers", tree(&many("1 "))),
        ("many references to nothing", tree(&many("9 0 R "))),
        ("many names", tree(&many("/#41"))),
        ("a long number", tree(&many("1"))),
        ("comments", tree(&many("%\n"))),
        ("a table of one object", table(&many("0000000009 00000 n \n"))),
        ("sections in a chain", chain("")),
        ("an xref stream that inflates to 200 MB", bomb(200 << 20, 1)),
        ("ten xref streams that inflate to 20 MB each", bomb(20 << 20, 10)),
        ("xref streams below every single limit", bomb(1 << 20, 100)),
    ] {
        let begun = std::time::Instant::now();
        let answer = checked(&pdf);
        assert!(
            matches!(answer, Err(PdfProblem::TooComplex | PdfProblem::Damaged(_) | PdfProblem::NoPages)),
            "{name}: {answer:?}"
        );
        // Ten times what it takes in a debug build on a slow machine; a library that loads everything takes minutes.
        assert!(begun.elapsed().as_secs() < 5, "{name}: {:?}", begun.elapsed());
        println!("{name}: {:?} {answer:?}", begun.elapsed());
    }
}

#[test]
fn an_object_stream_that_is_its_own_length_is_refused() {
    let stream = b"<< /Type /ObjStm /N 1 /First 4 /Length 2 0 R >> stream\n2 0 7\nendstream";
    let mut pdf = b"%PDF-1.5\n".to_vec();
    let at = pdf.len();
    writeln!(pdf, "3 0 obj").unwrap();
    pdf.extend_from_slice(stream);
    pdf.extend_from_slice(b"\nendobj\n");
    let start = pdf.len();
    let entries = [0, 0, 0, 1, 0, 0, 2, 3, 0, 1, u8::try_from(at).unwrap(), 0];
    writeln!(pdf, "4 0 obj << /Type /XRef /Size 4 /Root 2 0 R /W [1 1 1] /Length 12 >> stream").unwrap();
    pdf.extend_from_slice(&entries);
    write!(pdf, "\nendstream endobj\nstartxref\n{start}\n%%EOF").unwrap();
    assert!(matches!(checked(&pdf), Err(PdfProblem::Damaged(_))));
}

/// Bytes changed, lost and repeated.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..4u8);
    (any::<bool>(), 1..5usize, prop::collection::vec(change, 1..8)).prop_map(|(new, pages, changes)| {
        let mut pdf = if new { modern(pages) } else { classic(pages) };
        for (at, byte, kind) in changes {
            let at = at.index(pdf.len());
            match kind {
                0 => pdf[at] = byte,
                1 => pdf.insert(at, byte),
                2 => drop(pdf.remove(at)),
                _ => {
                    let piece = pdf[at..(at + usize::from(byte)).min(pdf.len())].to_vec();
                    pdf.splice(at..at, piece);
                }
            }
        }
        pdf
    })
}

proptest! {
    #[test]
    fn a_damaged_pdf_never_panics_and_what_passes_a_pdf_library_opens_too(pdf in mutated()) {
        if let Ok(pages) = checked(&pdf) {
            let opened = Document::load_mem(&pdf).map(|document| document.get_pages().len()).map_err(|error| error.to_string());
            prop_assert_eq!(opened, Ok(usize::try_from(pages).unwrap()));
        }
    }

    #[test]
    fn garbage_between_a_head_and_a_foot_never_panics(inside in prop::collection::vec(any::<u8>(), 0..400), start in 0..450usize) {
        let mut pdf = b"%PDF-1.4\n".to_vec();
        pdf.extend_from_slice(&inside);
        write!(pdf, "\nstartxref\n{start}\n%%EOF").unwrap();
        let _ = checked(&pdf);
    }

    #[test]
    fn tokens_in_any_order_never_panic(tokens in prop::collection::vec(prop_oneof!["<<", ">>", "\\[", "\\]", "/Kids", "/Type", "/Pages", "/Length",
        "1 0 R", "2 0 R", "1 0 obj", "stream\n", "endstream", "xref\n", "0 3\n", "0000000009 00000 n \n", "trailer", "/Root", "/Prev", "9", "/W", "/XRef"], 0..60)) {
        let mut pdf = b"%PDF-1.4\n".to_vec();
        pdf.extend_from_slice(tokens.join(" ").as_bytes());
        write!(pdf, "\nstartxref\n9\n%%EOF").unwrap();
        let _ = checked(&pdf);
    }
}
