//! Writing MIME: parts, boundaries and transfer encodings, into one buffer.

use crate::crypto::{base64_lines, sha256, sha256::hex};

/// RFC 5322 2.1.1, octets without the CRLF.
pub(super) const LONGEST_LINE: usize = 998;
/// What a line of text should not exceed (RFC 5322 2.1.1).
const WISHED_LINE: usize = 78;

/// A boundary nobody else uses: derived from what identifies the message and the layer, so that composing twice gives
/// the same octets. 38 characters, none of which needs quoting; it is quoted all the same.
pub(super) fn boundary(message: &str, layer: &str) -> String {
    let digest = sha256(format!("{layer} boundary of {message}").as_bytes());
    // "=_" cannot occur in quoted-printable or base64 (RFC 2045 6.7 (5)).
    format!("=_{}_{layer}", hex(&digest[..12]))
}

/// A file name that says nothing: `result-<opaque>.xml`.
pub(super) fn opaque_name(message: &str, stem: &str, suffix: &str) -> String {
    format!("{stem}-{}.{suffix}", hex(&sha256(format!("file of {message}").as_bytes())[..6]))
}

/// Appends text.
pub(super) fn text(out: &mut Vec<u8>, pieces: &[&str]) {
    for piece in pieces {
        out.extend_from_slice(piece.as_bytes());
    }
}

/// Appends a text/plain part's content headers after `headers`, then `body` with CRLF line ends: as it is when it is
/// short-lined ASCII, in base64 otherwise.
pub(super) fn text_part(out: &mut Vec<u8>, headers: &[&str], body: &str) {
    let body = body.replace("\r\n", "\n").replace('\n', "\r\n");
    let plain = body.is_ascii() && body.split("\r\n").all(|line| line.len() <= WISHED_LINE);
    let (charset, encoding) = if plain { ("us-ascii", "7bit") } else { ("utf-8", "base64") };
    text(out, &["Content-Type: text/plain; charset=", charset, "\r\n"]);
    text(out, &["Content-Transfer-Encoding: ", encoding, "\r\n"]);
    text(out, headers);
    text(out, &["\r\n"]);
    if plain {
        text(out, &[&body]);
        if !body.ends_with("\r\n") {
            text(out, &["\r\n"]);
        }
    } else {
        base64_lines(body.as_bytes(), out);
    }
}

/// Appends an attachment in base64.
pub(super) fn attachment(out: &mut Vec<u8>, media_type: &str, name: &str, data: &[u8]) {
    text(out, &["Content-Type: ", media_type, "; name=\"", name, "\"\r\n"]);
    text(out, &["Content-Disposition: attachment; filename=\"", name, "\"\r\n"]);
    text(out, &["Content-Transfer-Encoding: base64\r\n\r\n"]);
    base64_lines(data, out);
}

/// One line of text out of anything: control characters and line ends become spaces.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if crate::domain::text::is_forbidden(c) { ' ' } else { c }).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boundary_is_short_and_needs_no_quoting() {
        let made = boundary("<a@b>", "mixed");
        assert!(made.len() <= 70 && !made.contains(':'), "{made}");
        assert_eq!(made, boundary("<a@b>", "mixed"));
        assert_ne!(made, boundary("<a@c>", "mixed"));
    }

    #[test]
    fn text_beyond_ascii_travels_in_base64() {
        let mut out = Vec::new();
        text_part(&mut out, &[], "Grüße\n");
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nR3LDvMOfZQ0K\r\n"
        );
    }

    #[test]
    fn a_line_end_in_a_value_becomes_a_space() {
        assert_eq!(one_line("a\r\nb\u{2028}c"), "a  b c");
    }
}
