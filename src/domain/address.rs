//! A Direct address: `local@Health-Domain`.
//!
//! Syntax: ASCII dot-atom (RFC 5321 4.1.2 without quoted strings, literals or SMTPUTF8). It is *compared*
//! case-insensitively and *sent* exactly as first written.

use std::{fmt, hash, str::FromStr};

/// A syntactically valid Direct address. Says nothing about whether a certificate exists for it.
#[derive(Clone)]
pub struct DirectAddress {
    text: String,
    at: usize,
}

/// Why a text is not a Direct address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// More than one address, a display name, a comment, a query.
    #[error("is not a single plain address")]
    NotPlain,
    /// No `@`, or more than one.
    #[error("needs exactly one @")]
    At,
    /// Local part empty, over 64 octets or not a dot-atom.
    #[error("has a bad local part (before the @)")]
    Local,
    /// Domain empty, without a dot, over 253 octets, or a bad label.
    #[error("has a bad domain (after the @)")]
    Domain,
    /// Over 254 octets (RFC 5321 4.5.3.1.3).
    #[error("is longer than 254 characters")]
    TooLong,
}

impl DirectAddress {
    /// The address as first written: what goes into `RCPT TO` and the headers.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part before the `@`.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.text[..self.at]
    }

    /// The health domain, as written.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.text[self.at + 1..]
    }

    /// The address without a sub-address: `jo@domain` for `jo+lab@domain`. A `+` that begins the local part is part of it.
    #[must_use]
    pub fn mailbox(&self) -> Self {
        match self.local().find('+') {
            Some(plus) if plus > 0 && !self.local()[..plus].ends_with('.') => {
                Self { text: format!("{}@{}", &self.local()[..plus], self.domain()), at: plus }
            }
            _ => self.clone(),
        }
    }

    /// The form used to compare and to key: all lower case.
    #[must_use]
    pub fn key(&self) -> String {
        self.text.to_ascii_lowercase()
    }

    /// The domain in lower case.
    #[must_use]
    pub fn domain_key(&self) -> String {
        self.domain().to_ascii_lowercase()
    }
}

fn is_atext(b: u8) -> bool {
    // RFC 5322 3.2.3; '%' is left out: it was a source route once and has no business here.
    b.is_ascii_alphanumeric() || b"!#$&'*+-/=?^_`{|}~".contains(&b)
}

fn is_dot_atom(text: &str) -> bool {
    !text.is_empty() && text.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atext))
}

/// Whether `text` is a host name: LDH labels of 1 to 63, at least one dot, last label not all digits.
#[must_use]
pub fn is_host_name(text: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    text.len() <= 253
        && text.contains('.')
        && text.split('.').all(label)
        && text.rsplit('.').next().is_some_and(|tld| !tld.bytes().all(|b| b.is_ascii_digit()))
}

impl FromStr for DirectAddress {
    type Err = BadAddress;

    fn from_str(given: &str) -> Result<Self, BadAddress> {
        let mut text = given.trim_matches(' ');
        if let Some(inner) = text.strip_prefix('<').and_then(|t| t.strip_suffix('>')) {
            text = inner;
        }
        if text.get(..7).is_some_and(|p| p.eq_ignore_ascii_case("mailto:")) {
            text = &text[7..];
        }
        if !text.is_ascii() || text.bytes().any(|b| b.is_ascii_control() || b" ,;<>()[]\\\"%:".contains(&b)) {
            return Err(BadAddress::NotPlain);
        }
        let at = text.find('@').ok_or(BadAddress::At)?;
        let (local, domain) = (&text[..at], &text[at + 1..]);
        if domain.contains('@') {
            return Err(BadAddress::At);
        }
        if domain.contains('?') {
            return Err(BadAddress::NotPlain);
        }
        if local.len() > 64 || !is_dot_atom(local) {
            return Err(BadAddress::Local);
        }
        if !is_host_name(domain) {
            return Err(BadAddress::Domain);
        }
        if text.len() > 254 {
            return Err(BadAddress::TooLong);
        }
        Ok(Self { text: text.to_owned(), at })
    }
}

impl fmt::Display for DirectAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for DirectAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DirectAddress({})", self.text)
    }
}

impl PartialEq for DirectAddress {
    fn eq(&self, other: &Self) -> bool {
        self.text.eq_ignore_ascii_case(&other.text)
    }
}

impl Eq for DirectAddress {}

impl hash::Hash for DirectAddress {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        for b in self.text.bytes() {
            state.write_u8(b.to_ascii_lowercase());
        }
    }
}

super::serde_as_text!(DirectAddress);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forms_people_paste_are_understood() {
        for text in ["a.b@direct.example.org", " <a.b@direct.example.org> ", "mailto:a.b@direct.example.org"] {
            assert_eq!(text.parse::<DirectAddress>().map(|a| a.to_string()), Ok("a.b@direct.example.org".into()), "{text}");
        }
    }

    #[test]
    fn what_is_not_one_plain_address_is_refused() {
        for (text, why) in [
            ("Dr X <a@b.example>;c@d.example", BadAddress::NotPlain),
            ("a@b.example,c@d.example", BadAddress::NotPlain),
            ("a@b.example\r\nBcc: x@y.example", BadAddress::NotPlain),
            ("a@b.example?subject=x", BadAddress::NotPlain),
            ("a@[127.0.0.1]", BadAddress::NotPlain),
            ("\"a b\"@d.example", BadAddress::NotPlain),
            ("jörg@d.example", BadAddress::NotPlain),
            ("a@b@c.example", BadAddress::At),
            ("nobody", BadAddress::At),
            (".a@d.example", BadAddress::Local),
            ("a..b@d.example", BadAddress::Local),
            ("@d.example", BadAddress::Local),
            ("a@example", BadAddress::Domain),
            ("a@d.example.", BadAddress::Domain),
            ("a@-d.example", BadAddress::Domain),
            ("a@10.0.0.1", BadAddress::Domain),
        ] {
            assert_eq!(text.parse::<DirectAddress>().map(|a| a.to_string()), Err(why), "{text}");
        }
        assert_eq!(format!("{}@d.example", "a".repeat(65)).parse::<DirectAddress>(), Err(BadAddress::Local));
    }

    #[test]
    fn comparison_ignores_case_but_text_is_kept() {
        let (a, b): (DirectAddress, DirectAddress) =
            ("Pcp.Demo@Direct.Example.Org".parse().unwrap(), "pcp.demo@direct.example.org".parse().unwrap());
        assert_eq!(a, b);
        assert_eq!(a.key(), b.key());
        assert_eq!(a.as_str(), "Pcp.Demo@Direct.Example.Org");
    }

    #[test]
    fn a_sub_address_belongs_to_a_mailbox() {
        for (address, mailbox) in [
            ("jo+lab@d.example", "jo@d.example"),
            ("Jo+a+b@D.example", "Jo@D.example"),
            ("jo@d.example", "jo@d.example"),
            ("+x@d.example", "+x@d.example"),
            ("jo.+x@d.example", "jo.+x@d.example"),
        ] {
            let found = address.parse::<DirectAddress>().unwrap().mailbox();
            assert_eq!(found.as_str(), mailbox);
            assert_eq!(found.as_str().parse::<DirectAddress>().unwrap().local(), found.local());
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_printing_round_trips(text in ".{0,80}") {
            if let Ok(address) = text.parse::<DirectAddress>() {
                prop_assert_eq!(address.as_str().parse::<DirectAddress>().unwrap(), address);
            }
        }
    }
}
