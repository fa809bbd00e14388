//! A statement as a PDF, with the fonts every reader has. No clock and no chance goes into it: the same statement is the
//! same file.

use lopdf::{Dictionary, Document, Object, ObjectId, Stream, dictionary};

use super::{Statement, StatementRow};
use crate::{
    bill::{
        BillError,
        drawing::{BOLD, HEIGHT, MARGIN, PLAIN, Page, WIDTH, lines},
    },
    domain::text::counted,
};

/// The right edge of what is written.
const RIGHT: i64 = WIDTH - MARGIN;
/// Where a page is full.
const BOTTOM: i64 = 74;
/// From one line to the next.
const LINE: i64 = 15;
/// Right edges of the numbers of a row.
const QUANTITY: i64 = RIGHT - 172;
const PRICE: i64 = RIGHT - 104;
const AMOUNT: i64 = RIGHT - 28;
/// Where the words of a row begin.
const WORDS: i64 = MARGIN + 132;
/// What stays free between two columns.
const GAP: i64 = 8;
/// What a quantity, a price or another number may take at the right.
const NUMBER: i64 = 60;
/// From one line of a broken text to the next, for its size.
const fn leading(size: i64) -> i64 {
    size + 2
}

/// The file.
///
/// # Errors
/// [`BillError::Pdf`].
pub fn write(statement: &Statement) -> Result<Vec<u8>, BillError> {
    let mut paper = Paper { pages: Vec::new(), page: Page::default(), y: 0, number: statement.number.clone() };
    paper.begin();
    head(&mut paper, statement);
    rows(&mut paper, statement);
    sums(&mut paper, statement);
    controls(&mut paper, statement);
    if let (Some(line), Some(hash)) = (statement.last_line, &statement.last_hash) {
        paper.room(3 * LINE);
        paper.y -= LINE;
        paper.small(&format!("The ledger ended at line {line} when this month was closed, with the hash"));
        paper.small(hash);
    }
    paper.end();
    document(paper.pages)
}

/// Pages that are filled from top to bottom.
struct Paper {
    pages: Vec<Page>,
    page: Page,
    y: i64,
    number: String,
}

impl Paper {
    fn begin(&mut self) {
        self.page = Page::default();
        self.y = HEIGHT - MARGIN;
        self.page.ink([0, 0, 0]);
    }

    fn end(&mut self) {
        let number = self.pages.len() + 1;
        self.page.ink([40, 40, 40]);
        self.page.line((MARGIN, 52), (RIGHT, 52));
        let mut y = 38;
        for line in lines(PLAIN, &self.number, 8, RIGHT - MARGIN - NUMBER) {
            self.page.text(PLAIN, 8, (MARGIN, y), &line);
            y -= leading(8);
        }
        self.page.text_before(PLAIN, 8, (RIGHT, 38), &format!("Page {number}"));
        self.pages.push(std::mem::take(&mut self.page));
    }

    /// Makes sure that so much fits.
    fn room(&mut self, points: i64) -> bool {
        let full = self.y - points < BOTTOM;
        if full {
            self.end();
            self.begin();
        }
        full
    }

    fn title(&mut self, text: &str) {
        self.room(4 * LINE);
        self.y -= LINE + 12;
        self.page.ink([12, 24, 35]);
        self.page.text(BOLD, 12, (MARGIN, self.y), text);
        self.page.ink([0, 0, 0]);
        self.y -= 6;
        self.page.line((MARGIN, self.y), (RIGHT, self.y));
        self.y -= LINE;
    }

    fn small(&mut self, text: &str) {
        self.page.ink([40, 40, 40]);
        self.page.text(PLAIN, 8, (MARGIN, self.y), text);
        self.page.ink([0, 0, 0]);
        self.y -= 11;
    }

    /// One text in as many lines as it has; the place stays that of the first.
    fn block(&mut self, (font, size): (&str, i64), x: i64, texts: &[String]) {
        for (at, text) in texts.iter().enumerate() {
            self.page.text(font, size, (x, self.y - offset(at, size)), text);
        }
    }

    fn pair(&mut self, bold: bool, name: &str, value: &str) {
        let font = if bold { BOLD } else { PLAIN };
        // What is indented stays so.
        let indent = 3 * i64::try_from(name.len() - name.trim_start().len()).unwrap_or(0);
        let names = lines(font, name, 10, AMOUNT - MARGIN - indent - NUMBER - GAP);
        self.room(height(10, names.len()));
        self.block((font, 10), MARGIN + indent, &names);
        self.page.text_before(font, 10, (AMOUNT, self.y), value);
        self.y -= height(10, names.len());
    }
}

/// How far below its first line the line `at` of a broken text stands.
fn offset(at: usize, size: i64) -> i64 {
    i64::try_from(at).unwrap_or(0) * leading(size)
}

/// What so many lines of a row take.
fn height(size: i64, lines: usize) -> i64 {
    LINE + offset(lines.saturating_sub(1), size)
}

fn head(paper: &mut Paper, statement: &Statement) {
    let number = lines(PLAIN, &statement.number, 11, (RIGHT - MARGIN) / 2);
    let beside = offset(statement.totals.len().saturating_sub(2), 20);
    let band = 92 + beside.max(offset(number.len() - 1, 11));
    let page = &mut paper.page;
    page.ink([12, 24, 35]);
    page.fill(0, HEIGHT - band, WIDTH, band);
    page.ink([100, 100, 100]);
    page.text(BOLD, 22, (MARGIN, HEIGHT - 50), "Statement");
    for (at, line) in number.iter().enumerate() {
        page.text(PLAIN, 11, (MARGIN, HEIGHT - 70 - offset(at, 11)), line);
    }
    for (at, total) in statement.totals.iter().enumerate() {
        page.text_before(BOLD, 18, (RIGHT, HEIGHT - 50 - offset(at, 20)), &format!("{} {}", total.total, total.currency));
    }
    page.ink([0, 0, 0]);
    paper.y = HEIGHT - band - 30;
    if statement.closed_at.is_none() {
        paper.page.ink([70, 30, 0]);
        paper.page.text(
            BOLD,
            10,
            (MARGIN, paper.y),
            "DRAFT: this month is not closed. Tiers, minimum and cap are not applied yet.",
        );
        paper.page.ink([0, 0, 0]);
        paper.y -= LINE + 4;
    }
    let party = |name: &super::Name| format!("{} ({})", name.name, name.slug);
    let mut facts = vec![
        ("Bill to", party(&statement.bill_to)),
        ("Deliveries of", party(&statement.organization)),
        ("Period", format!("{} until before {}", statement.from.plain(), statement.to.plain())),
        ("Time zone", statement.time_zone.to_string()),
    ];
    if let Some(at) = statement.closed_at {
        let forced = if statement.forced { ", by force" } else { "" };
        facts.push(("Closed", format!("{}{forced}", at.plain())));
    }
    for (name, value) in facts {
        paper.page.text(PLAIN, 10, (MARGIN, paper.y), name);
        let values = lines(PLAIN, &value, 10, RIGHT - MARGIN - 90);
        paper.block((PLAIN, 10), MARGIN + 90, &values);
        paper.y -= height(10, values.len());
    }
}

fn heading(paper: &mut Paper) {
    let y = paper.y;
    paper.page.ink([40, 40, 40]);
    paper.page.text(PLAIN, 8, (MARGIN, y), "SITE");
    paper.page.text(PLAIN, 8, (WORDS, y), "FOR");
    for (x, name) in [(QUANTITY, "QUANTITY"), (PRICE, "PRICE"), (AMOUNT, "AMOUNT")] {
        paper.page.text_before(PLAIN, 8, (x, y), name);
    }
    paper.page.ink([0, 0, 0]);
    paper.y -= LINE;
}

fn rows(paper: &mut Paper, statement: &Statement) {
    paper.title("Rows");
    heading(paper);
    if statement.rows.is_empty() {
        paper.page.text(PLAIN, 10, (MARGIN, paper.y), "Nothing was charged.");
        paper.y -= LINE;
    }
    for row in &statement.rows {
        draw(paper, row);
    }
    paper.room(2 * LINE);
    paper.page.line((MARGIN, paper.y + LINE - 4), (RIGHT, paper.y + LINE - 4));
    for total in &statement.totals {
        paper.page.text(BOLD, 10, (MARGIN, paper.y), "Total");
        paper.page.text_before(BOLD, 10, (AMOUNT, paper.y), &total.total.to_string());
        paper.page.text_before(BOLD, 10, (RIGHT, paper.y), total.currency.as_str());
        paper.y -= LINE;
    }
}

fn draw(paper: &mut Paper, row: &StatementRow) {
    let place = lines(PLAIN, &row.place(), 9, WORDS - MARGIN - GAP);
    let words = lines(PLAIN, &row.words(), 9, QUANTITY - NUMBER - WORDS);
    let height = height(9, place.len().max(words.len()));
    if paper.room(height) {
        heading(paper);
    }
    let y = paper.y;
    paper.block((PLAIN, 9), MARGIN, &place);
    paper.block((PLAIN, 9), WORDS, &words);
    for (x, number) in
        [(QUANTITY, row.quantity.to_string()), (PRICE, row.unit_price.to_string()), (AMOUNT, row.amount.to_string())]
    {
        paper.page.text_before(PLAIN, 9, (x, y), &number);
    }
    paper.page.text_before(PLAIN, 9, (RIGHT, y), row.currency.as_str());
    paper.y -= height;
}

fn sums(paper: &mut Paper, statement: &Statement) {
    for total in &statement.totals {
        paper.title(&format!("How the total in {} comes about", total.currency));
        paper.pair(
            false,
            &format!("Charged ({})", counted(total.charges.unsigned_abs(), "delivery", "deliveries")),
            &total.charged.to_string(),
        );
        paper.pair(false, "Given back", &total.credited.to_string());
        paper.pair(false, "Corrections, tiers and cap", &total.adjusted.to_string());
        paper.pair(false, "Up to the minimum", &total.minimum.to_string());
        paper.pair(false, "Rounding of rows", &total.rounding.to_string());
        paper.pair(true, "Total", &total.total.to_string());
    }
}

fn controls(paper: &mut Paper, statement: &Statement) {
    let Some(controls) = &statement.controls else { return };
    let counts = &controls.counts;
    // What ties stands together.
    paper.room((13 + i64::try_from(counts.not_charged.len()).unwrap_or(0)) * LINE);
    paper.title("Control totals");
    paper.pair(false, "Deliveries made in this month", &counts.deliveries.to_string());
    paper.pair(false, "    charged in it", &counts.charged.to_string());
    paper.pair(false, "    charged in a later month", &counts.charged_later.to_string());
    for (reason, count) in &counts.not_charged {
        paper.pair(false, &format!("    not charged: {reason}"), &count.to_string());
    }
    paper.pair(false, "Charges for deliveries in this month", &counts.charges.to_string());
    paper.pair(false, "    of deliveries made in earlier months", &counts.from_before.to_string());
    paper.pair(false, "    at no price: test traffic", &counts.test.to_string());
    paper.pair(false, "    at no price: none was in force", &counts.unpriced.to_string());
    paper.pair(false, "    paid by others", &controls.billed_to_others.to_string());
    paper.pair(true, if controls.ties { "They tie." } else { "They do not tie." }, "");
}

fn document(pages: Vec<Page>) -> Result<Vec<u8>, BillError> {
    let mut document = Document::with_version("1.5");
    let tree = document.new_object_id();
    let font = |name: &str| {
        dictionary! { "Type" => "Font", "Subtype" => "Type1", "BaseFont" => name, "Encoding" => "WinAnsiEncoding" }
    };
    let (plain, bold) = (document.add_object(font("Helvetica")), document.add_object(font("Helvetica-Bold")));
    let fonts: ObjectId = document.add_object(dictionary! { PLAIN => plain, BOLD => bold });
    let mut kids: Vec<Object> = Vec::new();
    for page in pages {
        let content = document.add_object(Stream::new(Dictionary::new(), page.into_bytes()));
        let resources = dictionary! { "Font" => fonts };
        kids.push(
            document
                .add_object(dictionary! { "Type" => "Page", "Parent" => tree, "Contents" => content, "Resources" => resources })
                .into(),
        );
    }
    let count = i64::try_from(kids.len()).unwrap_or(0);
    document.objects.insert(
        tree,
        dictionary! { "Type" => "Pages", "Count" => count, "Kids" => kids, "MediaBox" => vec![0.into(), 0.into(), WIDTH.into(), HEIGHT.into()] }.into(),
    );
    let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => tree });
    document.trailer.set("Root", catalog);
    let mut pdf = Vec::new();
    document.save_to(&mut pdf).map_err(BillError::Pdf)?;
    Ok(pdf)
}
