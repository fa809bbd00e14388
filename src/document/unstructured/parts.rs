//! Names, addresses, telecoms and identifiers: the parts every participant is made of.

use crate::{
    document::{
        Party,
        codes::{Coded, oid},
        xml::Xml,
    },
    domain::{
        DirectAddress, Npi,
        order::{PersonName, PostalAddress, Provider},
        text::Stated,
    },
};

/// `<id root extension>` of an NPI, or a null flavor that says whose register it is not in.
pub(super) fn npi(xml: &mut Xml<'_>, npi: Option<&Npi>) {
    match npi {
        Some(npi) => xml.empty("id", &[("root", oid::NPI), ("extension", npi.as_str())]),
        None => xml.empty("id", &[("nullFlavor", "UNK"), ("root", oid::NPI)]),
    }
}

/// The NPI of a clinician, when it is one.
pub(super) fn provider_npi(provider: &Provider) -> Option<&Npi> {
    provider.npi.as_ref().and_then(Stated::valid)
}

/// A coded element with whatever stands in it.
pub(super) fn coded(xml: &mut Xml<'_>, element: &str, system: &str, value: &Coded<'_>) {
    match value {
        Coded::Code { code, name } => {
            let mut attributes = vec![("code", code.as_ref()), ("codeSystem", system)];
            attributes.extend(name.map(|name| ("displayName", name)));
            xml.empty(element, &attributes);
        }
        Coded::Null(flavor) => xml.null(element, flavor),
        Coded::Other(text) => {
            xml.open(element, &[("nullFlavor", "OTH")]);
            xml.text("originalText", text);
            xml.close(element);
        }
    }
}

fn given(text: Option<&String>) -> Option<&str> {
    text.map(|text| text.trim()).filter(|text| !text.is_empty())
}

/// A US Realm Address (2.16.840.1.113883.10.20.22.5.2).
pub(super) fn address(xml: &mut Xml<'_>, used: &str, address: Option<&PostalAddress>) {
    let lines = |address: &PostalAddress| {
        let lines = address.lines.iter().filter_map(|line| given(Some(line))).map(str::to_owned).collect::<Vec<_>>();
        // At most four (CONF:81-7291); what is more is kept in the last.
        if lines.len() > 4 { [&lines[..3], &[lines[3..].join(", ")]].concat() } else { lines }
    };
    let Some(address) = address
        .filter(|a| !lines(a).is_empty() || [&a.city, &a.state, &a.postal_code].iter().any(|t| given(t.as_ref()).is_some()))
    else {
        return xml.null("addr", "UNK");
    };
    let country = country(given(address.country.as_ref()));
    let or_null = |xml: &mut Xml<'_>, name, text: Option<&str>| match text {
        Some(text) => xml.text(name, text),
        None => xml.null(name, "UNK"),
    };
    xml.open("addr", &[("use", used)]);
    let lines = lines(address);
    for line in &lines {
        xml.text("streetAddressLine", line);
    }
    if lines.is_empty() {
        xml.null("streetAddressLine", "UNK");
    }
    or_null(xml, "city", given(address.city.as_ref())); // CONF:81-7292
    // State and postal code are demanded in the US only (CONF:81-10024, 10025).
    for (name, text) in [("state", &address.state), ("postalCode", &address.postal_code)] {
        let text = given(text.as_ref());
        if text.is_some() || country == "US" {
            or_null(xml, name, text);
        }
    }
    xml.text("country", &country);
    xml.close("addr");
}

/// Validators compare with `US`; an address without country is one.
fn country(given: Option<&str>) -> String {
    let Some(given) = given else { return "US".to_owned() };
    match given.to_ascii_uppercase().as_str() {
        "US" | "USA" | "U.S." | "U.S.A." | "UNITED STATES" | "UNITED STATES OF AMERICA" | "840" => "US".to_owned(),
        code if code.len() == 2 => code.to_owned(),
        _ => given.to_owned(),
    }
}

/// `<telecom>` of a telephone.
pub(super) fn phone(xml: &mut Xml<'_>, used: &str, phone: Option<&str>) {
    match phone.and_then(tel) {
        Some(value) => xml.empty("telecom", &[("use", used), ("value", &value)]),
        None => xml.null("telecom", "UNK"),
    }
}

/// `<telecom>` of a Direct address.
pub(super) fn direct(xml: &mut Xml<'_>, address: &DirectAddress) {
    xml.empty("telecom", &[("use", "WP"), ("value", &format!("mailto:{address}"))]);
}

/// A telephone as people write it, as a `tel:` URI (RFC 3966 3): no blanks, the extension as a parameter.
fn tel(written: &str) -> Option<String> {
    let lower = written.to_ascii_lowercase();
    let (number, extension) = ["ext", "x", "#"]
        .iter()
        .find_map(|mark| lower.split_once(mark))
        .map_or((lower.as_str(), None), |(number, extension)| (number, Some(extension)));
    let digits_of = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let digits = digits_of(number);
    let global = number.trim_start().trim_start_matches("tel:").starts_with('+');
    let mut value = match (global, digits.len()) {
        (_, 0) => return None,
        // NANP, the way the rest of the country writes it.
        (false, 10) => format!("tel:+1-{}-{}-{}", &digits[..3], &digits[3..6], &digits[6..]),
        (_, 11) if digits.starts_with('1') => format!("tel:+1-{}-{}-{}", &digits[1..4], &digits[4..7], &digits[7..]),
        (true, _) => format!("tel:+{}", grouped(number)),
        (false, _) => format!("tel:{}", grouped(number)),
    };
    if let Some(extension) = extension.map(digits_of).filter(|digits| !digits.is_empty()) {
        value = format!("{value};ext={extension}");
    }
    Some(value)
}

/// The digits in the groups they were written in.
fn grouped(number: &str) -> String {
    let groups = number.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty());
    groups.collect::<Vec<_>>().join("-")
}

/// The parts of a name; what is missing of given and family is `NA` (CONF:81-7157, 7159).
pub(super) fn name(xml: &mut Xml<'_>, attributes: &[(&str, &str)], name: &PersonName) {
    let part = |xml: &mut Xml<'_>, element, text: Option<&str>| match text {
        Some(text) => xml.text(element, text),
        None => xml.null(element, "NA"),
    };
    let first: Vec<&str> = name.given.iter().filter_map(|text| given(Some(text))).collect();
    let family = given(Some(&name.family));
    if first.is_empty() && family.is_none() {
        return xml.null("name", "UNK");
    }
    xml.open("name", attributes);
    if let Some(prefix) = given(name.prefix.as_ref()) {
        xml.text("prefix", prefix);
    }
    for text in &first {
        xml.text("given", text);
    }
    if first.is_empty() {
        part(xml, "given", None);
    }
    part(xml, "family", family);
    if let Some(suffix) = given(name.suffix.as_ref()) {
        xml.text("suffix", suffix);
    }
    xml.close("name");
}

/// `<element><name/></element>` of a person.
pub(super) fn person(xml: &mut Xml<'_>, element: &str, of: Option<&PersonName>) {
    xml.open(element, &[]);
    match of {
        Some(of) => name(xml, &[], of),
        None => xml.null("name", "UNK"),
    }
    xml.close(element);
}

/// An organization: id, name, telecom, addr, in this order.
pub(super) fn organization(xml: &mut Xml<'_>, element: &str, party: &Party) {
    xml.open(element, &[]);
    npi(xml, party.npi.as_ref());
    xml.text("name", &party.name);
    phone(xml, "WP", party.phone.as_deref());
    address(xml, "WP", party.address.as_ref());
    xml.close(element);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telephones_become_tel_uris() {
        for (written, value) in [
            ("+1-850-555-0142", "tel:+1-850-555-0142"),
            ("(850) 555-0142", "tel:+1-850-555-0142"),
            ("850.555.0142 x12", "tel:+1-850-555-0142;ext=12"),
            ("18505550142 ext. 7", "tel:+1-850-555-0142;ext=7"),
            ("+49 30 1234567", "tel:+49-30-1234567"),
            ("tel:+44-20-79460000", "tel:+44-20-79460000"),
            ("555-0142", "tel:555-0142"),
        ] {
            assert_eq!(tel(written).as_deref(), Some(value), "{written}");
        }
        assert_eq!(tel("none"), None);
        assert_eq!(tel("ext 5"), None);
    }

    #[test]
    fn the_united_states_are_us() {
        for given in [None, Some("us"), Some("USA"), Some("United States")] {
            assert_eq!(country(given), "US");
        }
        assert_eq!(country(Some("ca")), "CA");
        assert_eq!(country(Some("Deutschland")), "Deutschland");
    }
}
