//! Being found: the DNS records and LDAP entries by which others find our certificates.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    Certificate, TrustError,
    checks::{self, Purpose},
    discovery::Question,
};
use crate::{
    crypto::sha256::hex,
    domain::{DirectAddress, Timestamp},
};

/// How long others may keep what they found, in seconds: a replaced certificate is noticed within the hour.
pub const TTL: u32 = 3600;

/// A certificate of ours and one name under which it is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The address or domain, in lower case.
    pub about: String,
    /// The DNS name.
    pub name: String,
    /// What is to be there.
    pub certificate: Certificate,
}

/// Every name under which `certificates` of the identity `address` are to be found. Others encrypt their answers to what
/// they find, so a certificate that only signs is not published; nor is one that is not valid at `at`.
///
/// # Errors
/// The reason of the last certificate when none can be published.
pub fn publications(
    address: &DirectAddress,
    certificates: &[Certificate],
    at: Timestamp,
) -> Result<Vec<Publication>, TrustError> {
    let mut found = Vec::new();
    let mut problem = TrustError::NoCertificate(address.to_string());
    for certificate in certificates.iter().filter(|one| !one.is_authority()) {
        let checked = checks::bound(certificate, address)
            .and_then(|()| checks::usage(certificate, Purpose::Encrypt))
            .and_then(|()| checks::dates(certificate, at));
        if let Err(error) = checked {
            problem = error;
            continue;
        }
        let names = certificate.names();
        let mut add = |question: &Question| {
            if let Question::Certificates { name, about } = question {
                found.push(Publication { about: about.clone(), name: name.clone(), certificate: certificate.clone() });
            }
        };
        if names.addresses.iter().any(|name| name.eq_ignore_ascii_case(address.as_str())) {
            add(&Question::of_address(address));
        }
        if names.domains.iter().any(|name| name.eq_ignore_ascii_case(address.domain())) {
            add(&Question::of_domain(address));
        }
    }
    if found.is_empty() { Err(problem) } else { Ok(found) }
}

impl Publication {
    /// The CERT record as a BIND zone file has it. Key tag and algorithm are 0: they are for keys of DNSSEC (RFC 4398 2).
    #[must_use]
    pub fn zone(&self) -> String {
        let encoded = STANDARD.encode(self.certificate.der());
        format!("{}. {TTL} IN CERT PKIX 0 0 (\n{}\t)\n", owner(&self.name), wrapped(&encoded, 64, "\t"))
    }

    /// The same for name servers that do not know the type CERT (RFC 3597 5).
    #[must_use]
    pub fn zone_type37(&self) -> String {
        let mut data = vec![0, 1, 0, 0, 0];
        data.extend_from_slice(self.certificate.der());
        format!("{}. {TTL} IN TYPE37 \\# {} (\n{}\t)\n", owner(&self.name), data.len(), wrapped(&hex(&data), 64, "\t"))
    }

    /// The LDAP entry below `base`.
    #[must_use]
    pub fn ldif(&self, base: &str) -> String {
        let encoded = STANDARD.encode(self.certificate.der());
        let name = &self.about;
        let classes = ["top", "person", "organizationalPerson", "inetOrgPerson"].map(|class| format!("objectClass: {class}\n"));
        [
            fold(&format!("dn: cn={},{base}", dn_value(name))),
            classes.concat(),
            fold(&format!("cn: {name}\nsn: {name}\nmail: {name}")),
            fold(&format!("userCertificate;binary:: {encoded}")),
        ]
        .concat()
    }
}

/// The base of a directory that has one for each domain: `dc=direct,dc=example,dc=org`.
#[must_use]
pub fn base_of(domain: &str) -> String {
    domain.split('.').map(|label| format!("dc={label}")).collect::<Vec<_>>().join(",")
}

/// Characters that mean something in a zone file (RFC 1035 5.1), escaped.
fn owner(name: &str) -> String {
    let special = |c: char| matches!(c, '"' | '$' | '(' | ')' | ';' | '@' | '\\');
    name.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

/// A value in a distinguished name (RFC 4514 2.4).
fn dn_value(value: &str) -> String {
    let special = |c: char| matches!(c, '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=');
    let escaped: String = value.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect();
    if escaped.starts_with('#') { format!("\\{escaped}") } else { escaped }
}

fn wrapped(text: &str, width: usize, indent: &str) -> String {
    let lines = text.as_bytes().chunks(width).map(|line| format!("{indent}{}\n", String::from_utf8_lossy(line)));
    lines.collect()
}

/// LDIF lines of at most 76 characters; a space continues one (RFC 2849).
fn fold(lines: &str) -> String {
    let mut text = String::new();
    for line in lines.lines() {
        for (n, part) in line.as_bytes().chunks(75).enumerate() {
            text.push_str(if n == 0 { "" } else { " " });
            text.push_str(&String::from_utf8_lossy(part));
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::trust::authority::{Authority, Binding, KeyKind, Order, Usage};

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

    fn issue(bindings: &[Binding], usage: Usage) -> Vec<Certificate> {
        let (from, until) = (NOW.minus(Duration::from_hours(24)), NOW.plus(Duration::from_hours(240)));
        let authority = Authority::new("CA", KeyKind::P256, from, until).unwrap();
        let order = |binding: &Binding| Order { usage, key: KeyKind::P256, ..Order::new(binding.clone(), from, until) };
        let mut all: Vec<_> = bindings.iter().map(|binding| authority.issue(&order(binding)).unwrap().certificate).collect();
        all.push(authority.certificate().clone());
        all
    }

    #[test]
    fn a_certificate_is_published_where_its_names_are_looked_for() {
        let address: DirectAddress = "Results@Direct.Lab.example".parse().unwrap();
        let both = issue(&[Binding::Address(address.clone()), Binding::Domain("direct.lab.example".into())], Usage::Dual);
        let found = publications(&address, &both, NOW).unwrap();
        let names: Vec<_> = found.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["results.direct.lab.example", "direct.lab.example"]);
        assert!(found[0].zone().starts_with("results.direct.lab.example. 3600 IN CERT PKIX 0 0 (\n\tMII"), "{}", found[0].zone());
        let type37 = found[1].zone_type37();
        let length = found[1].certificate.der().len() + 5;
        assert!(type37.starts_with(&format!("direct.lab.example. 3600 IN TYPE37 \\# {length} (\n\t0001000000")), "{type37}");
    }

    #[test]
    fn what_nobody_can_encrypt_to_is_not_published() {
        let address: DirectAddress = "results@direct.lab.example".parse().unwrap();
        let signing = issue(&[Binding::Address(address.clone())], Usage::Sign);
        assert!(matches!(publications(&address, &signing, NOW), Err(TrustError::KeyUsage { .. })));
        let elsewhere = issue(&[Binding::Domain("lab.example".into())], Usage::Dual);
        assert!(matches!(publications(&address, &elsewhere, NOW), Err(TrustError::NotBound { .. })));
        let good = issue(&[Binding::Address(address.clone())], Usage::Dual);
        let late = NOW.plus(Duration::from_hours(300));
        assert!(matches!(publications(&address, &good, late), Err(TrustError::OutOfDate { .. })));
    }

    #[test]
    fn names_cannot_break_out_of_their_line() {
        assert_eq!(owner("a$b.d.example"), "a\\$b.d.example");
        assert_eq!(dn_value("a+b=c@d.example"), "a\\+b\\=c@d.example");
        assert_eq!(base_of("direct.lab.example"), "dc=direct,dc=lab,dc=example");
        let folded = fold(&format!("mail: {}", "x".repeat(200)));
        assert!(folded.lines().all(|line| line.len() <= 76));
        assert_eq!(folded.replace("\n ", "").trim_end().len(), 206);
    }
}
