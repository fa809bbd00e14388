//! A small DER writer and reader over the `der` crate: tag, length, value and nothing else.
//!
//! CMS needs implicit tags, optional fields and values whose length is known before their bytes exist; a tree of
//! TLVs says all of that in few words.

use ::der::{Encode, Header, Length, Reader as _, SliceReader};
pub use ::der::{Error, Tag, TagNumber, oid::ObjectIdentifier};

/// The outcome of writing or reading DER.
pub type Result<T> = std::result::Result<T, Error>;

/// Appends tag and length: the value's `len` octets follow.
pub fn header(tag: Tag, len: usize, out: &mut Vec<u8>) -> Result<()> {
    out.extend_from_slice(&Header::new(tag, Length::try_from(len)?).to_der()?);
    Ok(())
}

/// How many octets tag and length take for a value of `len` octets.
pub fn header_len(tag: Tag, len: usize) -> Result<usize> {
    usize::try_from(Header::new(tag, Length::try_from(len)?).encoded_len()?)
}

/// One TLV made of the concatenated `parts`.
pub fn tlv(tag: Tag, parts: &[&[u8]]) -> Result<Vec<u8>> {
    let len = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(len + 8);
    header(tag, len, &mut out)?;
    for part in parts {
        out.extend_from_slice(part);
    }
    Ok(out)
}

/// A SEQUENCE of `parts`.
pub fn sequence(parts: &[&[u8]]) -> Result<Vec<u8>> {
    tlv(Tag::Sequence, parts)
}

/// A SET OF the encoded `members`, in DER order (X.690 11.6).
pub fn set_of(mut members: Vec<Vec<u8>>) -> Result<Vec<u8>> {
    members.sort();
    tlv(Tag::Set, &members.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// An OCTET STRING.
pub fn octets(value: &[u8]) -> Result<Vec<u8>> {
    tlv(Tag::OctetString, &[value])
}

/// A small non-negative INTEGER.
pub fn small(value: u8) -> Result<Vec<u8>> {
    value.to_der()
}

/// An OBJECT IDENTIFIER.
pub fn oid(value: ObjectIdentifier) -> Result<Vec<u8>> {
    value.to_der()
}

/// The tag `[number]`, constructed.
#[must_use]
pub const fn explicit(number: u8) -> Tag {
    Tag::ContextSpecific { constructed: true, number: TagNumber(number as u32) }
}

/// The tag `[number]`, primitive.
#[must_use]
pub const fn implicit(number: u8) -> Tag {
    Tag::ContextSpecific { constructed: false, number: TagNumber(number as u32) }
}

/// One TLV that was read.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    /// Its tag.
    pub tag: Tag,
    /// Its value octets.
    pub value: &'a [u8],
    /// Tag, length and value.
    pub whole: &'a [u8],
}

/// Reads TLVs one after the other.
pub struct Nodes<'a> {
    rest: &'a [u8],
}

impl<'a> Nodes<'a> {
    /// Over the concatenated TLVs in `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether nothing is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next TLV, whatever it is.
    pub fn any(&mut self) -> Result<Node<'a>> {
        let mut reader = SliceReader::new(self.rest)?;
        let tag = Tag::peek(&reader)?;
        let whole = reader.tlv_bytes()?;
        let mut value = SliceReader::new(whole)?;
        let header = value.decode::<Header>()?;
        let value = value.read_slice(header.length())?;
        self.rest = &self.rest[whole.len()..];
        Ok(Node { tag, value, whole })
    }

    /// The next TLV, which must carry `tag`.
    pub fn expect(&mut self, tag: Tag) -> Result<Node<'a>> {
        let node = self.any()?;
        node.tag.assert_eq(tag)?;
        Ok(node)
    }

    /// The next TLV when it carries `tag`.
    pub fn optional(&mut self, tag: Tag) -> Result<Option<Node<'a>>> {
        match SliceReader::new(self.rest).and_then(|reader| Tag::peek(&reader)) {
            Ok(found) if found == tag => self.any().map(Some),
            _ => Ok(None),
        }
    }

    /// All that are left.
    pub fn all(mut self) -> Result<Vec<Node<'a>>> {
        let mut nodes = Vec::new();
        while !self.is_empty() {
            nodes.push(self.any()?);
        }
        Ok(nodes)
    }
}

impl<'a> Node<'a> {
    /// The single TLV `bytes` consist of.
    pub fn only(bytes: &'a [u8]) -> Result<Self> {
        let mut nodes = Nodes::new(bytes);
        let node = nodes.any()?;
        if nodes.is_empty() {
            Ok(node)
        } else {
            Err(::der::ErrorKind::TrailingData { decoded: Length::ZERO, remaining: Length::ONE }.into())
        }
    }

    /// Its members.
    #[must_use]
    pub const fn members(&self) -> Nodes<'a> {
        Nodes::new(self.value)
    }

    /// Its value as an object identifier.
    pub fn oid(&self) -> Result<ObjectIdentifier> {
        self.tag.assert_eq(Tag::ObjectIdentifier)?;
        Ok(ObjectIdentifier::from_bytes(self.value)?)
    }

    /// Its value as a small non-negative integer.
    #[must_use]
    pub fn small(&self) -> Option<u32> {
        (self.tag == Tag::Integer && (1..=4).contains(&self.value.len()) && self.value[0] < 0x80)
            .then(|| self.value.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let bytes = sequence(&[&small(3).unwrap(), &tlv(explicit(0), &[&octets(&[7; 300]).unwrap()]).unwrap()]).unwrap();
        let node = Node::only(&bytes).unwrap();
        let mut members = node.members();
        assert_eq!(members.any().unwrap().small(), Some(3));
        assert!(members.optional(explicit(1)).unwrap().is_none());
        let inner = members.expect(explicit(0)).unwrap();
        assert_eq!(Node::only(inner.value).unwrap().value, &[7; 300]);
        assert!(members.is_empty());
    }

    #[test]
    fn a_length_beyond_the_end_is_an_error() {
        for cut in 0..20 {
            let bytes = octets(&[1; 20]).unwrap();
            assert!(Node::only(&bytes[..=cut]).is_err());
        }
    }

    #[test]
    fn members_of_a_set_are_sorted() {
        let set = set_of(vec![octets(b"b").unwrap(), octets(b"a").unwrap()]).unwrap();
        assert_eq!(Node::only(&set).unwrap().members().any().unwrap().value, b"a");
    }
}
