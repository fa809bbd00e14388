//! Where a certificate says that more can be learnt: its issuer's certificate, revocation lists, OCSP responders.
//!
//! Whoever made the certificate wrote these URLs, so there is a limit to how many of them are looked at.

use x509_parser::{
    extensions::{CRLDistributionPoint, DistributionPointName, GeneralName, ParsedExtension},
    prelude::{FromDer as _, X509Certificate},
};

use super::Certificate;

/// Most places of revocation lists tried for one certificate.
const MOST_LISTS: usize = 4;
/// Most OCSP responders asked about one certificate.
const MOST_RESPONDERS: usize = 2;
/// Most places of an issuer's certificate tried.
const MOST_ISSUERS: usize = 3;
/// A longer URL is no place anybody means.
const LONGEST_URL: usize = 1024;

/// The places a certificate names. Only `http` and `https` can be fetched; the others are counted, not kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pointers {
    /// Revocation lists that speak about every reason and are signed by the issuer itself (RFC 5280 4.2.1.13).
    pub lists: Vec<String>,
    /// OCSP responders (RFC 5280 4.2.2.1).
    pub responders: Vec<String>,
    /// The issuer's certificate (RFC 5280 4.2.2.1).
    pub issuers: Vec<String>,
    named: bool,
}

impl Pointers {
    /// What `certificate` names.
    #[must_use]
    pub fn of(certificate: &Certificate) -> Self {
        const OCSP: &str = "1.3.6.1.5.5.7.48.1";
        const CA_ISSUERS: &str = "1.3.6.1.5.5.7.48.2";
        let mut found = Self::default();
        let Ok((_, parsed)) = X509Certificate::from_der(certificate.der()) else { return found };
        for extension in parsed.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::CRLDistributionPoints(points) => {
                    found.named = true;
                    points.iter().filter(|point| is_whole(point)).for_each(|point| found.take_point(point));
                }
                ParsedExtension::AuthorityInfoAccess(access) => {
                    for entry in &access.accessdescs {
                        match entry.access_method.to_id_string().as_str() {
                            OCSP => {
                                found.named = true;
                                keep(&mut found.responders, MOST_RESPONDERS, &entry.access_location);
                            }
                            CA_ISSUERS => keep(&mut found.issuers, MOST_ISSUERS, &entry.access_location),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// Whether its issuer said anything at all about where to ask, even where we cannot: `ldap:`, lists of somebody else.
    #[must_use]
    pub const fn names_a_source(&self) -> bool {
        self.named
    }

    /// Whether it names a place that can be asked.
    #[must_use]
    pub fn can_be_asked(&self) -> bool {
        !(self.lists.is_empty() && self.responders.is_empty())
    }

    fn take_point(&mut self, point: &CRLDistributionPoint<'_>) {
        if let Some(DistributionPointName::FullName(names)) = &point.distribution_point {
            for name in names {
                keep(&mut self.lists, MOST_LISTS, name);
            }
        }
    }
}

/// Whether a point leads to a list of the issuer itself about every reason. Indirect lists and lists for some reasons only
/// are not understood: what they leave out would look like good news.
const fn is_whole(point: &CRLDistributionPoint<'_>) -> bool {
    point.reasons.is_none() && point.crl_issuer.is_none()
}

fn keep(places: &mut Vec<String>, most: usize, name: &GeneralName<'_>) {
    let GeneralName::URI(url) = name else { return };
    let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    let fetched = matches!(scheme.as_deref(), Some("http" | "https"));
    if fetched && places.len() < most && url.len() <= LONGEST_URL && !places.iter().any(|known| known == url) {
        places.push((*url).to_owned());
    }
}
