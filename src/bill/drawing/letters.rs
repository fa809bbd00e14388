//! How wide letters are in the fonts every reader has, how a long text is broken into lines, and the octets that stand for it.

use super::BOLD;

/// Widths of the characters from space to `~` in Helvetica, in thousandths of the font's size (Adobe Core 14 AFM).
const PLAIN_WIDTHS: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556, 556, 556,
    556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778, 667, 778,
    722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222,
    500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
];

/// The same in Helvetica-Bold.
const BOLD_WIDTHS: [u16; 95] = [
    278, 333, 474, 556, 556, 889, 722, 238, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556, 556, 556,
    556, 333, 333, 584, 584, 584, 611, 975, 722, 722, 722, 722, 667, 611, 778, 722, 278, 556, 722, 611, 833, 722, 778, 667, 778,
    722, 667, 611, 722, 667, 944, 667, 667, 611, 333, 278, 333, 584, 556, 333, 556, 611, 556, 611, 556, 333, 611, 611, 278, 278,
    556, 278, 889, 611, 611, 611, 611, 389, 556, 333, 611, 556, 778, 556, 556, 500, 389, 280, 389, 584,
];

/// No letter of the upper half of WinAnsi is wider, but for a few signs nobody is called by.
const OTHER: i64 = 778;

/// How wide a text is, in points; never less than it is.
pub(crate) fn width(font: &str, text: &str, size: i64) -> i64 {
    let widths = if font == BOLD { &BOLD_WIDTHS } else { &PLAIN_WIDTHS };
    let one = |octet: u8| {
        let place = octet.checked_sub(b' ').map(usize::from);
        place.and_then(|place| widths.get(place)).map_or(OTHER, |width| i64::from(*width))
    };
    (win_ansi(text).into_iter().map(one).sum::<i64>() * size + 999) / 1000
}

/// The text in lines no wider than `most` points: broken between words, behind a mark inside a word that is too long, and
/// anywhere else only where there is none. Nothing is left out.
pub(crate) fn lines(font: &str, text: &str, size: i64, most: i64) -> Vec<String> {
    const MARKS: [char; 6] = ['-', '_', '/', '@', '.', ','];
    let fits = |line: &str| width(font, line, size) <= most;
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split_whitespace() {
        let whole = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
        if fits(&whole) {
            line = whole;
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        for piece in word.split_inclusive(MARKS) {
            if !line.is_empty() && !fits(&format!("{line}{piece}")) {
                lines.push(std::mem::take(&mut line));
            }
            for letter in piece.chars() {
                if !line.is_empty() && !fits(&format!("{line}{letter}")) {
                    lines.push(std::mem::take(&mut line));
                }
                line.push(letter);
            }
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// The base fonts speak WinAnsi (ISO 32000-1 annex D.2); what it lacks becomes `?`.
pub(super) fn win_ansi(text: &str) -> Vec<u8> {
    let octet = |c: char| match c {
        '\u{20AC}' => 0x80,
        '\u{2026}' => 0x85,
        '\u{0160}' => 0x8A,
        '\u{0152}' => 0x8C,
        '\u{017D}' => 0x8E,
        '\u{2018}' => 0x91,
        '\u{2019}' => 0x92,
        '\u{201C}' => 0x93,
        '\u{201D}' => 0x94,
        '\u{2022}' => 0x95,
        '\u{2013}' => 0x96,
        '\u{2014}' => 0x97,
        '\u{2122}' => 0x99,
        '\u{0161}' => 0x9A,
        '\u{0153}' => 0x9C,
        '\u{017E}' => 0x9E,
        '\u{0178}' => 0x9F,
        c => u8::try_from(u32::from(c)).ok().filter(|octet| !(0x7F..0xA0).contains(octet)).unwrap_or(b'?'),
    };
    text.chars().map(octet).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{BOLD, PLAIN},
        *,
    };

    #[test]
    fn a_long_text_is_broken_and_nothing_of_it_is_lost() {
        for text in
            ["North Clinics of the Great Lakes and Beyond", "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch x", ""]
        {
            for font in [PLAIN, BOLD] {
                let broken = lines(font, text, 9, 120);
                assert!(broken.iter().all(|line| width(font, line, 9) <= 120), "{broken:?}");
                let bare = |text: &str| text.split_whitespace().collect::<String>();
                assert_eq!(bare(&broken.concat()), bare(text));
            }
        }
        assert_eq!(lines(PLAIN, "WWW", 10, 1), ["W", "W", "W"], "a letter a line, when there is no place for two");
        assert_eq!(lines(PLAIN, "CENTER-OF-THE-LAKES", 9, 70), ["CENTER-OF-", "THE-LAKES"]);
    }

    #[test]
    fn amounts_are_as_wide_as_the_font_says() {
        // 8 digits, a point, a minus: 8 * 556 + 278 + 333.
        assert_eq!(width(PLAIN, "-123456.78", 1000), 5059);
        assert_eq!(width(BOLD, "-123456.78", 1000), 5059);
    }

    #[test]
    fn a_dash_in_a_name_stays_one_and_what_the_font_lacks_shows_that_something_is_there() {
        assert_eq!(win_ansi("A\u{2013}é\u{4e2d}"), [b'A', 0x96, 0xE9, b'?']);
    }
}
