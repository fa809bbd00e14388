//! A retinal screening report as a clinic would send it: several pages, findings, pictures of both eyes. Every figure
//! follows from the seed, so that a report can be made again; nobody in it exists.

mod fundus;

use lopdf::{Dictionary, Document, Object, ObjectId, SaveOptions, Stream, dictionary, xref::XrefType};

use crate::bill::drawing::{BOLD, HEIGHT, MARGIN, PLAIN, Page, WIDTH};

/// What a report says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportAbout {
    /// Its title.
    pub title: String,
    /// Who sends it.
    pub organization: String,
    /// Whom it is about.
    pub patient: String,
    /// Their birth date, as printed.
    pub birth_date: String,
    /// The order's key.
    pub order_id: String,
    /// When it was completed, as printed.
    pub completed: String,
    /// Who read it.
    pub reader: String,
}

/// Whole numbers that follow from a seed (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// 0 to `sides` - 1.
    fn below(&mut self, sides: u32) -> u32 {
        u32::try_from(self.next() % u64::from(sides.max(1))).unwrap_or(0)
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of.get(usize::try_from(self.below(u32::try_from(of.len()).unwrap_or(1))).unwrap_or(0)).copied().unwrap_or_default()
    }
}

/// Everything but the pictures, in bytes.
const WITHOUT_PICTURES: usize = 4_000;

/// Makes a report of about `target_kib` KiB (at least a dozen).
#[must_use]
pub fn make(seed: u64, about: &ReportAbout, target_kib: usize) -> Vec<u8> {
    let mut dice = Dice(seed);
    let pixels = (target_kib * 1024).saturating_sub(WITHOUT_PICTURES) / 2 / 3;
    let side = u32::try_from(pixels.isqrt()).unwrap_or(u32::MAX).clamp(16, 4096);
    let mut document = Document::with_version("1.5");
    let tree = document.new_object_id();
    let fonts = fonts(&mut document);
    let pictures = [true, false].map(|right_eye| picture(&mut document, &mut dice, side, right_eye));
    let pages = [
        (summary(&mut dice, about), None),
        (eye(&mut dice, about, "Right eye (OD)", 2), Some(pictures[0])),
        (eye(&mut dice, about, "Left eye (OS)", 3), Some(pictures[1])),
    ];
    let kids = pages.map(|(page, picture)| Object::Reference(add_page(&mut document, tree, fonts, page, picture)));
    document.objects.insert(
        tree,
        dictionary! { "Type" => "Pages", "Count" => 3, "Kids" => kids.to_vec(), "MediaBox" => vec![0.into(), 0.into(), WIDTH.into(), HEIGHT.into()] }.into(),
    );
    let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => tree });
    document.trailer.set("Root", catalog);
    save(&mut document, seed)
}

/// Half of the reports in the way of 1993, half in the way of 2003: receivers meet both.
fn save(document: &mut Document, seed: u64) -> Vec<u8> {
    let mut pdf = Vec::new();
    // A Vec takes every write.
    let _ = if seed.is_multiple_of(2) {
        document.reference_table.cross_reference_type = XrefType::CrossReferenceTable;
        document.save_to(&mut pdf)
    } else {
        let options = SaveOptions::builder().use_object_streams(true).use_xref_streams(true).compression_level(6).build();
        document.save_with_options(&mut pdf, options)
    };
    pdf
}

fn fonts(document: &mut Document) -> ObjectId {
    let font = |name: &str| {
        dictionary! { "Type" => "Font", "Subtype" => "Type1", "BaseFont" => name, "Encoding" => "WinAnsiEncoding" }
    };
    let (plain, bold) = (document.add_object(font("Helvetica")), document.add_object(font("Helvetica-Bold")));
    document.add_object(dictionary! { PLAIN => plain, BOLD => bold })
}

fn picture(document: &mut Document, dice: &mut Dice, side: u32, right_eye: bool) -> ObjectId {
    let facts = dictionary! {
        "Type" => "XObject", "Subtype" => "Image", "Width" => side, "Height" => side, "ColorSpace" => "DeviceRGB",
        "BitsPerComponent" => 8,
    };
    document.add_object(Stream::new(facts, fundus::picture(dice, side, right_eye)).with_compression(false))
}

fn add_page(document: &mut Document, tree: ObjectId, fonts: ObjectId, page: Page, picture: Option<ObjectId>) -> ObjectId {
    let content = document.add_object(Stream::new(Dictionary::new(), page.into_bytes()));
    let mut resources = dictionary! { "Font" => fonts };
    if let Some(picture) = picture {
        resources.set("XObject", dictionary! { "Im1" => picture });
    }
    document.add_object(dictionary! { "Type" => "Page", "Parent" => tree, "Contents" => content, "Resources" => resources })
}

/// As much of a text as fits into `points` at `size`; Helvetica is about half as wide as high.
fn fitting(text: &str, size: i64, points: i64) -> String {
    let most = usize::try_from(points * 2 / size.max(1)).unwrap_or(0);
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(3)).chain("...".chars()).collect()
}

fn frame(about: &ReportAbout, number: u8) -> Page {
    let mut page = Page::default();
    page.ink([12, 28, 45]);
    page.fill(0, HEIGHT - 84, WIDTH, 84);
    page.ink([100, 100, 100]);
    page.text(BOLD, 20, (MARGIN, HEIGHT - 46), &fitting(&about.title, 20, WIDTH - 2 * MARGIN));
    page.text(PLAIN, 11, (MARGIN, HEIGHT - 66), &fitting(&about.organization, 11, WIDTH - 2 * MARGIN));
    page.ink([40, 40, 40]);
    page.line((MARGIN, 52), (WIDTH - MARGIN, 52));
    page.text(PLAIN, 8, (MARGIN, 38), "Practice report about a patient who does not exist. Not for care.");
    page.text(PLAIN, 8, (WIDTH - MARGIN - 48, 38), &format!("Page {number} of 3"));
    page.ink([0, 0, 0]);
    page
}

fn summary(dice: &mut Dice, about: &ReportAbout) -> Page {
    let mut page = frame(about, 1);
    page.ink([92, 95, 98]);
    page.fill(MARGIN, HEIGHT - 190, WIDTH - 2 * MARGIN, 88);
    page.ink([0, 0, 0]);
    let column = WIDTH / 2 + 6;
    for (place, label, value) in [
        ((MARGIN + 12, HEIGHT - 124), "Patient", &about.patient),
        ((MARGIN + 12, HEIGHT - 162), "Date of birth", &about.birth_date),
        ((column, HEIGHT - 124), "Order", &about.order_id),
        ((column, HEIGHT - 162), "Completed", &about.completed),
    ] {
        page.text(PLAIN, 8, place, label);
        page.text(BOLD, 12, (place.0, place.1 - 15), &fitting(value, 12, WIDTH / 2 - MARGIN - 12));
    }
    page.text(BOLD, 14, (MARGIN, HEIGHT - 226), "Findings");
    let columns = [MARGIN + 6, 210, 390];
    let top = HEIGHT - 256;
    page.ink([84, 88, 93]);
    page.fill(MARGIN, top - 7, WIDTH - 2 * MARGIN, 22);
    page.ink([0, 0, 0]);
    for (x, heading) in columns.into_iter().zip(["Finding", "Right eye (OD)", "Left eye (OS)"]) {
        page.text(BOLD, 10, (x, top), heading);
    }
    let rows: [(&str, &[&str]); 6] = [
        ("Image quality", &["good", "good", "adequate", "adequate, small pupil"]),
        ("Microaneurysms", &["none", "none", "few, temporal", "scattered"]),
        ("Haemorrhages", &["none", "none", "none", "dot, one quadrant"]),
        ("Hard exudates", &["none", "none", "outside the macula"]),
        ("Cup-to-disc ratio", &["0.2", "0.3", "0.3", "0.4", "0.5"]),
        ("Macular oedema", &["no sign", "no sign", "no sign", "suspected"]),
    ];
    let mut y = top;
    for (finding, values) in rows {
        y -= 24;
        page.text(PLAIN, 10, (columns[0], y), finding);
        page.text(PLAIN, 10, (columns[1], y), dice.one(values));
        page.text(PLAIN, 10, (columns[2], y), dice.one(values));
        page.ink([80, 80, 80]);
        page.line((MARGIN, y - 8), (WIDTH - MARGIN, y - 8));
        page.ink([0, 0, 0]);
    }
    page.text(BOLD, 14, (MARGIN, y - 48), "Impression");
    let impression = dice.one(&[
        "No diabetic retinopathy. Screen again in 12 months.",
        "Mild non-proliferative diabetic retinopathy. Screen again in 12 months.",
        "Moderate non-proliferative diabetic retinopathy. Refer to ophthalmology within 3 months.",
        "Suspected diabetic macular oedema. Refer to ophthalmology within 4 weeks.",
    ]);
    page.text(PLAIN, 11, (MARGIN, y - 68), impression);
    page.text(PLAIN, 10, (MARGIN, y - 108), &fitting(&format!("Read and signed by {}", about.reader), 10, WIDTH - 2 * MARGIN));
    page
}

fn eye(dice: &mut Dice, about: &ReportAbout, which: &str, number: u8) -> Page {
    let mut page = frame(about, number);
    page.text(BOLD, 14, (MARGIN, HEIGHT - 116), which);
    let side = 440;
    let corner = ((WIDTH - side) / 2, HEIGHT - 140 - side);
    page.picture("Im1", corner, side);
    let spot = |dice: &mut Dice| i64::from(dice.below(120)) - 60;
    let mark = (corner.0 + side / 2 + spot(dice), corner.1 + side / 2 + spot(dice));
    page.ink([95, 95, 95]);
    page.circle(mark, 16);
    page.line((mark.0 + 16, mark.1), (mark.0 + 60, mark.1 + 20));
    page.text(PLAIN, 10, (mark.0 + 63, mark.1 + 17), "1");
    page.ink([0, 0, 0]);
    page.text(PLAIN, 10, (MARGIN, corner.1 - 24), "45 degrees, centred between disc and fovea. 1: area looked at more closely.");
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::pdf;

    fn about() -> ReportAbout {
        ReportAbout {
            title: "Retinal eye screening report".into(),
            organization: "Practice Laboratory".into(),
            patient: "Morgan Q Testriver".into(),
            birth_date: "1964-02-17".into(),
            order_id: "PLC700881".into(),
            completed: "2026-01-15 10:15 -05:00".into(),
            reader: "Casey Reader, MD".into(),
        }
    }

    #[test]
    fn a_report_is_a_pdf_of_three_pages_in_both_ways_of_writing() {
        for seed in 0..4 {
            let pdf = make(seed, &about(), 50);
            assert_eq!(pdf::check(&pdf, pdf::DEFAULT_LIMIT).map(|facts| facts.pages), Ok(3), "{seed}");
            assert_eq!(Document::load_mem(&pdf).unwrap().get_pages().len(), 3);
        }
    }

    #[test]
    fn a_seed_gives_one_report_of_about_the_size_asked_for() {
        for (seed, kib) in [(1, 50), (2, 300), (3, 2048)] {
            let pdf = make(seed, &about(), kib);
            assert_eq!(pdf, make(seed, &about(), kib));
            let off = pdf.len().abs_diff(kib * 1024);
            assert!(off < kib * 1024 / 20, "{} bytes for {kib} KiB", pdf.len());
        }
        assert_ne!(make(1, &about(), 50), make(3, &about(), 50));
    }

    #[test]
    fn long_and_foreign_names_do_not_break_it() {
        let about = ReportAbout { patient: "(\\) Łukasz ".repeat(80), title: String::new(), ..about() };
        assert!(pdf::check(&make(7, &about, 12), pdf::DEFAULT_LIMIT).is_ok());
    }
}
