//! BER to DER: peers stream CMS with indefinite lengths and constructed octet strings (X.690 8.1.3.6, 8.7.3).
//!
//! Everything after this reads strict DER, so there is one interpretation of a message.

use crate::crypto::der::{self, Tag};

/// Deeper nesting than any CMS needs is an attack.
const DEPTH: u8 = 24;
const CONSTRUCTED: u8 = 0x20;
const CONSTRUCTED_OCTETS: u8 = 0x24;
const END_OF_CONTENTS: [u8; 2] = [0, 0];

/// The one BER value in `bytes` as DER with the order of members kept. `None` when it is broken, cut short or followed
/// by anything.
pub(super) fn to_der(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len());
    let rest = element(bytes, &mut out, DEPTH)?;
    rest.is_empty().then_some(out)
}

fn element<'a>(bytes: &'a [u8], out: &mut Vec<u8>, depth: u8) -> Option<&'a [u8]> {
    let depth = depth.checked_sub(1)?;
    let (&tag, rest) = bytes.split_first()?;
    // High tag numbers do not occur in CMS.
    if tag & 0x1f == 0x1f || tag == 0 {
        return None;
    }
    let (length, rest) = length(rest)?;
    if tag & CONSTRUCTED == 0 {
        let (value, rest) = rest.split_at_checked(length?)?;
        append(tag, value, out)?;
        return Some(rest);
    }
    let mut members = Vec::new();
    let after = if let Some(length) = length {
        let (mut inside, after) = rest.split_at_checked(length)?;
        while !inside.is_empty() {
            inside = element(inside, &mut members, depth)?;
        }
        after
    } else {
        let mut inside = rest;
        loop {
            if let Some(after) = inside.strip_prefix(&END_OF_CONTENTS) {
                break after;
            }
            inside = element(inside, &mut members, depth)?;
        }
    };
    if tag == CONSTRUCTED_OCTETS {
        append(tag & !CONSTRUCTED, &joined(&members)?, out)?;
    } else {
        append(tag, &members, out)?;
    }
    Some(after)
}

/// The concatenated values of the octet strings in `members`.
pub(super) fn joined(members: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::with_capacity(members.len());
    for node in der::Nodes::new(members).all().ok()? {
        (node.tag == Tag::OctetString).then(|| whole.extend_from_slice(node.value))?;
    }
    Some(whole)
}

/// `Some(None)` is the indefinite form.
fn length(bytes: &[u8]) -> Option<(Option<usize>, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    match first {
        0..=0x7f => Some((Some(usize::from(first)), rest)),
        0x80 => Some((None, rest)),
        _ => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let digits = &digits[digits.iter().take_while(|d| **d == 0).count()..];
            (digits.len() <= 4).then(|| (Some(digits.iter().fold(0, |sum, d| sum << 8 | usize::from(*d))), rest))
        }
    }
}

fn append(tag: u8, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let length = u32::try_from(value.len()).ok()?.to_be_bytes();
    out.push(tag);
    if value.len() <= 0x7f {
        out.push(u8::try_from(value.len()).ok()?);
    } else {
        let digits = &length[length.iter().take_while(|d| **d == 0).count()..];
        out.push(0x80 | u8::try_from(digits.len()).ok()?);
        out.extend_from_slice(digits);
    }
    out.extend_from_slice(value);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn indefinite_lengths_and_pieces_become_one_definite_string() {
        // SEQUENCE (indefinite) { OCTET STRING (constructed, indefinite) { "ab", "c" } }
        let ber = [0x30, 0x80, 0x24, 0x80, 0x04, 2, b'a', b'b', 0x04, 1, b'c', 0, 0, 0, 0];
        assert_eq!(to_der(&ber).unwrap(), [0x30, 5, 0x04, 3, b'a', b'b', b'c']);
    }

    #[test]
    fn what_is_cut_deep_or_followed_by_anything_is_refused() {
        assert_eq!(to_der(&[0x30, 0x80, 0x04, 1, 7]), None);
        assert_eq!(to_der(&[0x04, 1, 7, 0]), None);
        assert_eq!(to_der(&[0x30; 4000]), None);
        assert_eq!(to_der(&[0x04, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        let deep: Vec<u8> = std::iter::repeat_n([0x30, 0x80], 1000).flatten().collect();
        assert_eq!(to_der(&deep), None);
    }

    proptest! {
        #[test]
        fn arbitrary_octets_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = to_der(&bytes);
        }

        #[test]
        fn der_stays_as_it_is(value in proptest::collection::vec(any::<u8>(), 0..70_000)) {
            let der = der::sequence(&[&der::octets(&value).unwrap(), &der::small(1).unwrap()]).unwrap();
            prop_assert_eq!(to_der(&der).unwrap(), der);
        }
    }
}
