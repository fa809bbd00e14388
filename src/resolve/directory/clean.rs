//! Fields as national files have them: what is repaired, and what is not. Nothing is guessed: a wrong address is worse than
//! none.

use crate::domain::{
    DirectAddress, Npi,
    route::AffiliatedWith,
    text::{FIELD_LIMIT, is_forbidden},
};

/// Mailbox providers for everybody. An address there is hardly ever a Direct address, whatever its type says; it is counted,
/// and decided by its certificate.
const WEBMAIL: &[&str] = &[
    "aol.com",
    "att.net",
    "comcast.net",
    "gmail.com",
    "hotmail.com",
    "icloud.com",
    "live.com",
    "me.com",
    "msn.com",
    "outlook.com",
    "proton.me",
    "sbcglobal.net",
    "verizon.net",
    "yahoo.com",
    "ymail.com",
];

/// Text of a field; `None` when it is empty or a placeholder. Another encoding costs a name its accents, not the provider's
/// address.
pub(super) fn text(field: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(field);
    let text = text.trim().trim_start_matches('\u{feff}');
    (!text.is_empty() && !matches!(text, "--" | "<UNAVAIL>")).then(|| text.to_owned())
}

/// An NPI.
pub(super) fn npi(text: &str) -> Result<Npi, String> {
    text.trim().parse().map_err(|why: crate::domain::npi::BadNpi| why.to_string())
}

/// A Direct address: spaces around it (also those that do not break), `<...>` and `mailto:` go, nothing else.
pub(super) fn address(text: &str) -> Result<DirectAddress, String> {
    text.trim().parse().map_err(|why: crate::domain::address::BadAddress| why.to_string())
}

/// Whether it lies at a mailbox provider for everybody.
pub(super) fn is_webmail(address: &DirectAddress) -> bool {
    WEBMAIL.contains(&address.domain_key().as_str())
}

/// A name on one line: line breaks and control characters become spaces, and it ends where a field ends.
pub(super) fn name(text: &str) -> Option<String> {
    let mut clean = String::with_capacity(text.len());
    for word in text.split(|c: char| c.is_whitespace() || is_forbidden(c)).filter(|word| !word.is_empty()) {
        if !clean.is_empty() {
            clean.push(' ');
        }
        clean.push_str(word);
    }
    if clean.chars().count() > FIELD_LIMIT {
        clean = clean.chars().take(FIELD_LIMIT).collect();
    }
    (!clean.is_empty()).then_some(clean)
}

/// A state as two letters; anything else says nothing.
pub(super) fn state(text: &str) -> Option<String> {
    let text = text.trim().trim_start_matches("US-");
    (text.len() == 2 && text.bytes().all(|b| b.is_ascii_alphabetic())).then(|| text.to_ascii_uppercase())
}

/// A ZIP code of five or nine digits, without its hyphen; anything else says nothing.
pub(super) fn postal_code(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
    (matches!(digits.len(), 5 | 9) && digits.bytes().all(|b| b.is_ascii_digit())).then_some(digits)
}

/// An affiliation from fields as they stand.
pub(super) fn affiliation(npi: Option<Npi>, organization: &str, in_state: &str, zip: &str) -> AffiliatedWith {
    AffiliatedWith { npi, name: name(organization), state: state(in_state), postal_code: postal_code(zip) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_paste_around_an_address_goes_and_nothing_is_guessed() {
        for dirty in ["  a@d.example ", "\u{a0}a@d.example\t", "<a@d.example>", "mailto:a@d.example", "a@d.example\r\n"] {
            assert_eq!(address(dirty).map(|address| address.to_string()), Ok("a@d.example".to_owned()), "{dirty:?}");
        }
        for wrong in ["a@d.example;b@d.example", "a @d.example", "a@d.example.", "http://d.example", "a@d", "N/A", "a@d..example"]
        {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn places_are_two_letters_and_five_or_nine_digits_or_nothing() {
        assert_eq!(
            (state(" oh "), state("US-OH"), state("OHIO"), state("0H")),
            (Some("OH".into()), Some("OH".into()), None, None)
        );
        assert_eq!(postal_code("45402-0001").as_deref(), Some("454020001"));
        assert_eq!((postal_code("4540"), postal_code(""), postal_code("K1A 0B1")), (None, None, None));
    }

    #[test]
    fn a_name_is_one_line_of_bounded_length() {
        assert_eq!(name(" NORTH\r\nCLINIC\u{0}\u{202e}  LLC ").as_deref(), Some("NORTH CLINIC LLC"));
        assert_eq!(name(&"x".repeat(1_000)).unwrap().len(), FIELD_LIMIT);
        assert_eq!(name("\n\t"), None);
        assert_eq!(text(b"Caf\xe9 Clinic").as_deref(), Some("Caf\u{fffd} Clinic"));
        assert_eq!((text(b" -- "), text(b"")), (None, None));
    }

    #[test]
    fn mailboxes_for_everybody_are_known_in_any_case() {
        assert!(is_webmail(&"x@GMail.com".parse().unwrap()));
        assert!(!is_webmail(&"x@direct.gmail.com.example".parse().unwrap()));
    }
}
