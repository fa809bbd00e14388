//! One page: text, lines and boxes in points from the lower left corner.

/// How wide letters are, and long texts in lines.
mod letters;

pub(crate) use letters::{lines, width};

use letters::win_ansi;
use lopdf::{
    Object, StringFormat,
    content::{Content, Operation},
};

/// US letter, in points.
pub(crate) const WIDTH: i64 = 612;
/// US letter, in points.
pub(crate) const HEIGHT: i64 = 792;
/// Margin, in points.
pub(crate) const MARGIN: i64 = 54;

/// Helvetica as it is known in the resources of each page.
pub(crate) const PLAIN: &str = "F1";
/// Helvetica-Bold.
pub(crate) const BOLD: &str = "F2";

/// The drawing of one page.
#[derive(Default)]
pub(crate) struct Page(Vec<Operation>);

impl Page {
    fn operation(&mut self, operator: &str, operands: Vec<Object>) {
        self.0.push(Operation::new(operator, operands));
    }

    fn numbers(&mut self, operator: &str, numbers: &[i64]) {
        self.operation(operator, numbers.iter().copied().map(Object::Integer).collect());
    }

    /// Ink for what follows; each part 0 to 100.
    pub(crate) fn ink(&mut self, parts: [u8; 3]) {
        for operator in ["rg", "RG"] {
            self.operation(operator, parts.iter().map(|part| Object::Real(f32::from(*part) / 100.0)).collect());
        }
    }

    /// One line of text whose baseline begins at `x`, `y`.
    pub(crate) fn text(&mut self, font: &str, size: i64, (x, y): (i64, i64), text: &str) {
        self.operation("BT", vec![]);
        self.operation("Tf", vec![Object::Name(font.into()), Object::Integer(size)]);
        self.numbers("Td", &[x, y]);
        self.operation("Tj", vec![Object::String(win_ansi(text), StringFormat::Literal)]);
        self.operation("ET", vec![]);
    }

    /// The same with its end at `x`: for numbers below each other.
    pub(crate) fn text_before(&mut self, font: &str, size: i64, (x, y): (i64, i64), text: &str) {
        self.text(font, size, (x - width(font, text, size), y), text);
    }

    /// A filled box.
    pub(crate) fn fill(&mut self, x: i64, y: i64, width: i64, height: i64) {
        self.numbers("re", &[x, y, width, height]);
        self.operation("f", vec![]);
    }

    /// A line.
    pub(crate) fn line(&mut self, from: (i64, i64), to: (i64, i64)) {
        self.numbers("m", &[from.0, from.1]);
        self.numbers("l", &[to.0, to.1]);
        self.operation("S", vec![]);
    }

    /// A circle, in four Bézier curves.
    pub(crate) fn circle(&mut self, (x, y): (i64, i64), radius: i64) {
        let k = radius * 552 / 1000;
        self.numbers("m", &[x + radius, y]);
        self.numbers("c", &[x + radius, y + k, x + k, y + radius, x, y + radius]);
        self.numbers("c", &[x - k, y + radius, x - radius, y + k, x - radius, y]);
        self.numbers("c", &[x - radius, y - k, x - k, y - radius, x, y - radius]);
        self.numbers("c", &[x + k, y - radius, x + radius, y - k, x + radius, y]);
        self.operation("S", vec![]);
    }

    /// The picture `name` of the page's resources, as a square.
    pub(crate) fn picture(&mut self, name: &str, (x, y): (i64, i64), side: i64) {
        self.operation("q", vec![]);
        self.numbers("cm", &[side, 0, 0, side, x, y]);
        self.operation("Do", vec![Object::Name(name.into())]);
        self.operation("Q", vec![]);
    }

    /// The content stream.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        // Numbers, names and strings only: encoding them cannot fail.
        Content { operations: self.0 }.encode().unwrap_or_default()
    }
}
