//! MIME entities as they are taken apart: headers, body, the two parts of a signature.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mail_parser::{ContentType, HeaderName, HeaderValue, Message, MessageParser};

/// An entity: its octets, its parsed headers, where its body begins.
pub(super) struct Entity<'a> {
    whole: &'a [u8],
    headers: Message<'a>,
    body: usize,
}

/// What an entity is made of, as far as sealing goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `application/pkcs7-mime`: enveloped or opaquely signed.
    Cms,
    /// `multipart/signed`.
    Signed,
    /// `message/rfc822`.
    Wrapped,
    /// Anything else.
    Other,
}

impl<'a> Entity<'a> {
    /// Takes an entity apart. `None` when it does not begin with header fields and an empty line.
    pub(super) fn read(whole: &'a [u8]) -> Option<Self> {
        let body = body_offset(whole)?;
        let head = &whole[..body];
        let looks_right = head.first().is_some_and(u8::is_ascii_alphabetic)
            && head.split(|b| *b == b'\n').all(|line| {
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                line.is_empty() || line.starts_with(b" ") || line.starts_with(b"\t") || is_field(line)
            });
        if !looks_right {
            return None;
        }
        let headers = MessageParser::new().with_minimal_headers().with_address_headers().parse_headers(head)?;
        Some(Self { whole, headers, body })
    }

    pub(super) const fn headers(&self) -> &Message<'a> {
        &self.headers
    }

    pub(super) const fn whole(&self) -> &'a [u8] {
        self.whole
    }

    /// The header block with its empty line.
    pub(super) fn head(&self) -> &'a [u8] {
        &self.whole[..self.body]
    }

    pub(super) fn body(&self) -> &'a [u8] {
        &self.whole[self.body..]
    }

    fn content_type(&self) -> Option<&ContentType<'a>> {
        let mut types = self.headers.headers().iter().filter(|header| header.name == HeaderName::ContentType);
        let first = types.next()?;
        // Two of them would be read differently by different readers.
        if types.next().is_some() {
            return None;
        }
        match &first.value {
            HeaderValue::ContentType(found) => Some(found),
            _ => None,
        }
    }

    pub(super) fn kind(&self) -> Kind {
        let Some(found) = self.content_type() else { return Kind::Other };
        let is = |kind: &str, sub: &[&str]| {
            found.c_type.eq_ignore_ascii_case(kind)
                && found.c_subtype.as_deref().is_some_and(|found| sub.iter().any(|sub| sub.eq_ignore_ascii_case(found)))
        };
        if is("application", &["pkcs7-mime", "x-pkcs7-mime"]) {
            Kind::Cms
        } else if is("multipart", &["signed"]) {
            Kind::Signed
        } else if is("message", &["rfc822"]) {
            Kind::Wrapped
        } else {
            Kind::Other
        }
    }

    /// Whether this is a detached signature's own part.
    pub(super) fn is_signature(&self) -> bool {
        self.content_type().is_some_and(|found| {
            found.c_type.eq_ignore_ascii_case("application")
                && found.c_subtype.as_deref().is_some_and(|sub| {
                    sub.eq_ignore_ascii_case("pkcs7-signature") || sub.eq_ignore_ascii_case("x-pkcs7-signature")
                })
        })
    }

    /// The body without its transfer encoding.
    pub(super) fn decoded(&self) -> Option<Vec<u8>> {
        let encoding = self.headers.header(HeaderName::ContentTransferEncoding).and_then(HeaderValue::as_text);
        match encoding.map(|text| text.trim().to_ascii_lowercase()).as_deref() {
            None | Some("7bit" | "8bit" | "binary") => Some(self.body().to_vec()),
            Some("base64") => {
                let packed: Vec<u8> = self.body().iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
                STANDARD.decode(packed).ok()
            }
            Some(_) => None,
        }
    }

    /// The two parts of a `multipart/signed` (RFC 1847 2.1): what is signed, exactly as it stands, and the signature.
    pub(super) fn signed_parts(&self) -> Option<(&'a [u8], &'a [u8])> {
        let boundary = self.content_type()?.attribute("boundary")?;
        if boundary.is_empty() || boundary.len() > 200 {
            return None;
        }
        let delimiter = format!("--{boundary}");
        let mut edges = delimiters(self.body(), delimiter.as_bytes());
        let [first, second, last] = [edges.next()?, edges.next()?, edges.next()?];
        let shaped = !first.closes && !second.closes && last.closes && edges.next().is_none();
        let part = |from: &Edge, to: &Edge| self.body().get(from.after..to.before);
        shaped.then_some((part(&first, &second)?, part(&second, &last)?))
    }
}

struct Edge {
    /// Where the part before it ends: the line end in front belongs to the delimiter.
    before: usize,
    /// Where the part after it begins.
    after: usize,
    closes: bool,
}

fn delimiters<'b>(body: &'b [u8], delimiter: &'b [u8]) -> impl Iterator<Item = Edge> + 'b {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < body.len() {
            let start = at;
            let end = body[start..].iter().position(|b| *b == b'\n').map_or(body.len(), |n| start + n + 1);
            at = end;
            let Some(rest) = body[start..end].strip_prefix(delimiter) else { continue };
            let (closes, rest) = rest.strip_prefix(b"--").map_or((false, rest), |rest| (true, rest));
            if !rest.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let before = match &body[..start] {
                front if front.ends_with(b"\r\n") => start - 2,
                front if front.ends_with(b"\n") => start - 1,
                _ => start,
            };
            return Some(Edge { before, after: end, closes });
        }
        None
    })
}

fn is_field(line: &[u8]) -> bool {
    let name = line.iter().position(|b| *b == b':').unwrap_or(0);
    name > 0 && line[..name].iter().all(|b| b.is_ascii_graphic() || *b == b' ')
}

fn body_offset(whole: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let end = at + whole[at..].iter().position(|b| *b == b'\n')? + 1;
        if matches!(&whole[at..end], b"\n" | b"\r\n") {
            return Some(end);
        }
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signed_part_ends_before_the_line_end_of_its_delimiter() {
        let message = b"Content-Type: multipart/signed; boundary=\"b\"\r\n\r\npreamble\r\n--b\r\nA: 1\r\n\r\nx\r\n\r\n--b\r\nB: 2\r\n\r\ny\r\n--b--\r\n";
        let (content, signature) = Entity::read(message).unwrap().signed_parts().unwrap();
        assert_eq!(content, b"A: 1\r\n\r\nx\r\n");
        assert_eq!(signature, b"B: 2\r\n\r\ny");
    }

    #[test]
    fn a_third_part_or_a_missing_end_is_no_signature() {
        let with = |parts: &str| format!("Content-Type: multipart/signed; boundary=b\r\n\r\n{parts}").into_bytes();
        assert!(Entity::read(&with("--b\r\nx\r\n--b\r\ny\r\n--b\r\nz\r\n--b--\r\n")).unwrap().signed_parts().is_none());
        assert!(Entity::read(&with("--b\r\nx\r\n--b\r\ny\r\n")).unwrap().signed_parts().is_none());
    }

    #[test]
    fn garbage_is_no_entity() {
        for bytes in [&b""[..], b"\r\n\r\nx", b"\xff\xfe: x\r\n\r\n", b"no colon here\r\n\r\n", b"A: 1"] {
            assert!(Entity::read(bytes).is_none());
        }
    }
}
