//! Streams that hold tables or objects: inflated within the budget, PNG predictors undone (ISO 32000-1 7.4.4).

use std::io::Read as _;

use super::{
    PdfProblem,
    budget::Budget,
    syntax::{Dictionary, Object},
};

const UNKNOWN: PdfProblem = PdfProblem::Damaged("its tables are compressed in a way nobody uses");
const BROKEN: PdfProblem = PdfProblem::Damaged("its compressed tables cannot be read");

/// The content of a stream whose raw data are `data`.
pub(super) fn content(dictionary: &Dictionary, data: &[u8], budget: &Budget) -> Result<Vec<u8>, PdfProblem> {
    match one(dictionary.get(b"Filter"))? {
        None => {
            budget.inflate(data.len())?;
            Ok(data.to_vec())
        }
        Some(Object::Name(filter)) if filter == b"FlateDecode" || filter == b"Fl" => {
            let inflated = inflate(data, budget)?;
            match one(dictionary.get(b"DecodeParms"))? {
                Some(Object::Dictionary(parameters)) => unpredict(parameters, inflated),
                _ => Ok(inflated),
            }
        }
        Some(_) => Err(UNKNOWN),
    }
}

/// A value, or the only one of an array; a chain of filters has no use here and is refused.
fn one(object: Option<&Object>) -> Result<Option<&Object>, PdfProblem> {
    match object {
        Some(Object::Array(items)) => match items.as_slice() {
            [] => Ok(None),
            [only] => Ok(Some(only)),
            _ => Err(UNKNOWN),
        },
        other => Ok(other),
    }
}

fn inflate(data: &[u8], budget: &Budget) -> Result<Vec<u8>, PdfProblem> {
    let most = budget.inflatable();
    let mut out = Vec::new();
    let mut reader = flate2::read::ZlibDecoder::new(data).take(u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1));
    reader.read_to_end(&mut out).map_err(|_| BROKEN)?;
    budget.inflate(out.len())?;
    Ok(out)
}

fn unpredict(parameters: &Dictionary, data: Vec<u8>) -> Result<Vec<u8>, PdfProblem> {
    match parameters.integer(b"Predictor").unwrap_or(1) {
        1 => return Ok(data),
        10..=15 => {}
        _ => return Err(UNKNOWN),
    }
    let number = |key: &[u8], default| parameters.integer(key).unwrap_or(default);
    if number(b"Colors", 1) != 1 || number(b"BitsPerComponent", 8) != 8 {
        return Err(UNKNOWN);
    }
    let columns = usize::try_from(number(b"Columns", 1)).ok().filter(|columns| (1..=4096).contains(columns)).ok_or(UNKNOWN)?;
    let mut out = Vec::with_capacity(data.len());
    let mut above = vec![0u8; columns];
    for row in data.chunks(columns + 1) {
        let (kind, row) = row.split_first().ok_or(BROKEN)?;
        let mut left = 0u8;
        let mut corner = 0u8;
        for (byte, up) in row.iter().zip(above.iter_mut()) {
            let prediction = match kind {
                0 => 0,
                1 => left,
                2 => *up,
                3 => u8::midpoint(left, *up),
                4 => paeth(left, *up, corner),
                _ => return Err(BROKEN),
            };
            corner = *up;
            left = byte.wrapping_add(prediction);
            *up = left;
            out.push(left);
        }
    }
    Ok(out)
}

/// PNG (RFC 2083 6.6).
fn paeth(left: u8, up: u8, corner: u8) -> u8 {
    let (a, b, c) = (i16::from(left), i16::from(up), i16::from(corner));
    let distance = |value: i16| (a + b - c - value).abs();
    if distance(a) <= distance(b) && distance(a) <= distance(c) {
        left
    } else if distance(b) <= distance(c) {
        up
    } else {
        corner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_png_predictor_is_undone() {
        assert_eq!((paeth(10, 20, 15), paeth(10, 20, 10), paeth(10, 20, 20)), (15, 20, 10));
        let parameters = |text: &str| {
            let budget = Budget::for_file(0);
            let Ok(Object::Dictionary(dictionary)) = super::super::syntax::Lexer::new(text.as_bytes(), 0, &budget).object()
            else {
                panic!()
            };
            dictionary
        };
        let png = parameters("<< /Predictor 12 /Columns 3 >>");
        let rows = vec![0, 1, 2, 3, 1, 1, 1, 1, 2, 1, 1, 1, 3, 1, 1, 1, 4, 1, 1, 1];
        assert_eq!(unpredict(&png, rows).unwrap(), [1, 2, 3, 1, 2, 3, 2, 3, 4, 2, 3, 4, 3, 4, 5]);
        assert_eq!(unpredict(&png, vec![9, 1, 1, 1]), Err(BROKEN));
        assert_eq!(unpredict(&parameters("<< /Predictor 2 >>"), vec![]), Err(UNKNOWN));
        assert_eq!(unpredict(&parameters("<< /Predictor 12 /Columns -1 >>"), vec![]), Err(UNKNOWN));
    }
}
