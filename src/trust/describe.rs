//! A certificate in words, for `postern inspect` and screens.

use x509_parser::{
    extensions::{DistributionPointName, GeneralName, ParsedExtension},
    prelude::{FromDer as _, X509Certificate},
};

use super::Certificate;
use crate::crypto::sha256::hex;

/// One line of a description: a label and what it says.
pub type Line = (&'static str, String);

/// What `certificate` says about itself. Nothing of it is checked.
#[must_use]
pub fn describe(certificate: &Certificate) -> Vec<Line> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate.der()) else { return Vec::new() };
    let mut lines = vec![
        ("subject", parsed.subject().to_string()),
        ("issuer", parsed.issuer().to_string()),
        ("serial", parsed.raw_serial_as_string()),
        ("bound_to", certificate.names().to_string()),
        ("valid_from", certificate.valid_from().to_string()),
        ("valid_until", certificate.valid_until().to_string()),
        ("key", certificate.key_words()),
        ("signed_with", signed_with(certificate)),
        ("authority", if certificate.is_authority() { "yes" } else { "no" }.to_owned()),
    ];
    for extension in parsed.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::KeyUsage(usage) => lines.push(("key_usage", usage.to_string())),
            ParsedExtension::ExtendedKeyUsage(usage) => {
                let known = [
                    (usage.any, "any"),
                    (usage.email_protection, "email protection"),
                    (usage.server_auth, "server authentication"),
                    (usage.client_auth, "client authentication"),
                ];
                let mut all: Vec<String> = known.iter().filter(|(set, _)| *set).map(|(_, word)| (*word).to_owned()).collect();
                all.extend(usage.other.iter().map(x509_parser::der_parser::oid::Oid::to_id_string));
                lines.push(("extended_key_usage", all.join(", ")));
            }
            ParsedExtension::CertificatePolicies(policies) => {
                lines.extend(policies.iter().map(|policy| ("policy", policy.policy_id.to_id_string())));
            }
            ParsedExtension::AuthorityInfoAccess(access) => {
                lines.extend(access.accessdescs.iter().map(|entry| {
                    let ocsp = entry.access_method.to_id_string() == "1.3.6.1.5.5.7.48.1";
                    (if ocsp { "ocsp" } else { "issuer_at" }, name(&entry.access_location))
                }));
            }
            ParsedExtension::CRLDistributionPoints(points) => {
                for point in &points.points {
                    if let Some(DistributionPointName::FullName(names)) = &point.distribution_point {
                        lines.extend(names.iter().map(|found| ("revocation_list_at", name(found))));
                    }
                }
            }
            _ => {}
        }
    }
    lines.push(("sha256", hex(&certificate.fingerprint())));
    lines
}

fn signed_with(certificate: &Certificate) -> String {
    certificate.x509().signature_algorithm().object().nid().long_name().unwrap_or("unknown").to_owned()
}

fn name(found: &GeneralName<'_>) -> String {
    match found {
        GeneralName::URI(uri) => (*uri).to_owned(),
        other => other.to_string(),
    }
}
