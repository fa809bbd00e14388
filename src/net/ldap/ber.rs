//! The little BER that LDAP needs (RFC 4511 5.1): one-octet tags, definite lengths, and on reading no recursion at all.
//!
//! Lengths need not be minimal: some directories always write four octets.

/// INTEGER.
pub(super) const INTEGER: u8 = 0x02;
/// OCTET STRING.
pub(super) const OCTETS: u8 = 0x04;
/// ENUMERATED.
pub(super) const ENUMERATED: u8 = 0x0a;
/// BOOLEAN.
pub(super) const BOOLEAN: u8 = 0x01;
/// SEQUENCE.
pub(super) const SEQUENCE: u8 = 0x30;
/// SET.
pub(super) const SET: u8 = 0x31;

/// One element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) value: &'a [u8],
}

/// The bytes are no BER, or not the element that belongs there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer is no LDAP message")]
pub(super) struct Malformed;

/// Tag, length and value of `parts`.
pub(super) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let octets = length.to_be_bytes();
            let octets = &octets[octets.iter().position(|octet| *octet != 0).unwrap_or(0)..];
            out.push(0x80 | u8::try_from(octets.len()).unwrap_or(8));
            out.extend_from_slice(octets);
        }
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// A small non-negative number under `tag`.
pub(super) fn number(tag: u8, value: u16) -> Vec<u8> {
    let [high, low] = value.to_be_bytes();
    // A leading bit would make it negative.
    element(tag, &[&[0, high, low]])
}

/// How many octets the header at the beginning of `bytes` has and how many follow it; nothing when more must be read.
pub(super) fn header(bytes: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let Some((tag, rest)) = bytes.split_first() else { return Ok(None) };
    if tag & 0x1f == 0x1f {
        return Err(Malformed);
    }
    let Some((first, rest)) = rest.split_first() else { return Ok(None) };
    let count = usize::from(first & 0x7f);
    if first & 0x80 == 0 {
        return Ok(Some((2, count)));
    }
    // Zero would be the indefinite form, which LDAP forbids; more than four octets is more than anybody sends.
    if !(1..=4).contains(&count) {
        return Err(Malformed);
    }
    let Some(octets) = rest.get(..count) else { return Ok(None) };
    Ok(Some((2 + count, octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)))))
}

/// Reads elements one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Elements<'a>(pub(super) &'a [u8]);

impl<'a> Elements<'a> {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next, whatever it is.
    pub(super) fn any(&mut self) -> Result<Element<'a>, Malformed> {
        let (head, length) = header(self.0)?.ok_or(Malformed)?;
        let end = head.checked_add(length).ok_or(Malformed)?;
        let value = self.0.get(head..end).ok_or(Malformed)?;
        let tag = self.0[0];
        self.0 = &self.0[end..];
        Ok(Element { tag, value })
    }

    /// The next, which must have this tag.
    pub(super) fn one(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        let element = self.any()?;
        if element.tag == tag { Ok(element.value) } else { Err(Malformed) }
    }

    /// The next, a number that is not negative and not large.
    pub(super) fn number(&mut self, tag: u8) -> Result<u32, Malformed> {
        let value = self.one(tag)?;
        let digits = value.iter().skip_while(|octet| **octet == 0);
        if value.is_empty() || value[0] & 0x80 != 0 || digits.clone().count() > 4 {
            return Err(Malformed);
        }
        Ok(digits.fold(0, |number, octet| number << 8 | u32::from(*octet)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_are_read_in_every_definite_form_and_in_no_other() {
        for (bytes, expected) in [
            (&[0x04, 0x01, b'x'][..], Ok(b'x')),
            (&[0x04, 0x81, 0x01, b'x'], Ok(b'x')),
            (&[0x04, 0x84, 0, 0, 0, 1, b'x'], Ok(b'x')),
            (&[0x04, 0x80, b'x', 0, 0], Err(Malformed)),
            (&[0x04, 0x85, 0, 0, 0, 0, 1, b'x'], Err(Malformed)),
            (&[0x04, 0x84, 0xff, 0xff, 0xff, 0xff, b'x'], Err(Malformed)),
            (&[0x1f, 0x01, b'x'], Err(Malformed)),
            (&[0x04, 0x02, b'x'], Err(Malformed)),
            (&[0x04], Err(Malformed)),
        ] {
            assert_eq!(Elements(bytes).one(OCTETS).map(|value| value[0]), expected, "{bytes:x?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_nothing_read_panics(value in prop::collection::vec(any::<u8>(), 0..400), n in any::<u16>()) {
            let written = element(SEQUENCE, &[&value, &number(INTEGER, n)]);
            let mut inside = Elements(Elements(&written).one(SEQUENCE).unwrap());
            inside.0 = &inside.0[value.len()..];
            prop_assert_eq!(inside.number(INTEGER).unwrap(), u32::from(n));
            let mut wild = Elements(&value);
            while !wild.is_empty() {
                if wild.any().is_err() { break; }
            }
        }
    }
}
