//! A picture of bars as inline SVG. What it shows stands in a table behind it, too.

use std::fmt::Write as _;

const WIDE: u64 = 720;
const HIGH: u64 = 180;
const LEFT: u64 = 46;
const HEAD: u64 = 16;
const FOOT: u64 = 26;

/// Bars side by side, each made of parts.
#[derive(Debug)]
pub(super) struct Bars {
    /// The parts: colour and name.
    pub(super) parts: Vec<(&'static str, &'static str)>,
    /// Each bar: its name and the size of each part.
    pub(super) bars: Vec<(String, Vec<u64>)>,
}

impl Bars {
    /// No bar yet.
    pub(super) fn new(parts: &[(&'static str, &'static str)]) -> Self {
        Self { parts: parts.to_vec(), bars: Vec::new() }
    }

    /// One more.
    pub(super) fn add(&mut self, name: &str, sizes: &[u64]) {
        self.bars.push((name.to_owned(), sizes.to_vec()));
    }

    /// Whether there is nothing to see.
    pub(super) fn is_empty(&self) -> bool {
        self.bars.iter().all(|(_, sizes)| sizes.iter().all(|size| *size == 0))
    }

    /// The content of the `svg` element: numbers and words of ours alone.
    pub(super) fn picture(&self) -> String {
        let most = round_up(self.bars.iter().map(|(_, sizes)| sizes.iter().sum()).max().unwrap_or(1));
        let (room, tall) = (WIDE - LEFT, HIGH - FOOT - HEAD);
        let count = u64::try_from(self.bars.len().max(1)).unwrap_or(1);
        let step = room / count;
        let mut svg = String::new();
        for part in 0..=2 {
            let y = HEAD + tall * part / 2;
            let value = most - most * part / 2;
            let _ = write!(
                svg,
                r#"<line class="grid" x1="{LEFT}" x2="{WIDE}" y1="{y}" y2="{y}"/><text x="{}" y="{}" text-anchor="end">{value}</text>"#,
                LEFT - 6,
                y + 4
            );
        }
        for (place, (name, sizes)) in (0..).zip(&self.bars) {
            let x = LEFT + place * step + step / 6;
            let mut y = HEAD + tall;
            for ((tone, _), size) in self.parts.iter().zip(sizes) {
                if *size == 0 {
                    continue;
                }
                let high = (tall * size / most).max(1);
                y = y.saturating_sub(high);
                let _ = write!(svg, r#"<rect class="{tone}" x="{x}" y="{y}" width="{}" height="{high}"/>"#, step * 2 / 3);
            }
            if place % 4 == 0 {
                let _ = write!(svg, r#"<text x="{}" y="{}" text-anchor="middle">{name}</text>"#, x + step / 3, HIGH - 6);
            }
        }
        svg
    }
}

/// An even number with few digits that is not less.
fn round_up(most: u64) -> u64 {
    let mut unit = 1;
    while unit * 10 < most {
        unit *= 10;
    }
    [2, 4, 6, 8, 10].into_iter().map(|times| times * unit).find(|round| *round >= most).unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_ends_at_a_round_number_that_holds_every_bar() {
        assert_eq!([1, 2, 3, 10, 11, 99, 100, 101].map(round_up), [2, 2, 4, 10, 20, 100, 100, 200]);
    }

    #[test]
    fn every_bar_stands_within_the_picture() {
        let mut bars = Bars::new(&[("good", "good"), ("bad", "bad")]);
        for hour in 0..24 {
            bars.add("00:00", &[hour * 1_000, 1]);
        }
        for part in bars.picture().split("<rect ").skip(1) {
            let y: u64 = part.split("y=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().parse().unwrap();
            assert!(y <= HIGH, "{part}");
        }
    }
}
