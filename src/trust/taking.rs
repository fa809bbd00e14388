//! What is taken when somebody imports certificates, and why something never can be of use.

use crate::{
    domain::{
        DirectAddress, Timestamp,
        address::is_host_name,
        time::{Date, TimeZone},
    },
    store::trust::AnchorKind,
    trust::{
        Certificate,
        checks::{self, Purpose},
        path,
    },
};

/// Why a certificate can never be part of a path as an authority.
#[must_use]
pub fn authority_problem(certificate: &Certificate, kind: AnchorKind, now: Timestamp) -> Option<String> {
    if !path::may_issue(certificate) {
        return Some(format!("the certificate '{}' is not an authority: it may not sign certificates", certificate.subject()));
    }
    let signed = if kind == AnchorKind::Intermediate { checks::digest(certificate) } else { Ok(()) };
    let problems = [checks::key(certificate), signed].into_iter().find_map(Result::err).map(|error| error.to_string());
    problems.or_else(|| expired(certificate, now))
}

fn expired(certificate: &Certificate, now: Timestamp) -> Option<String> {
    let until = certificate.valid_until();
    (until <= now).then(|| format!("the certificate '{}' expired after {}", certificate.subject(), last_day(until)))
}

/// The names to keep a certificate under, or why it can never be sealed to.
///
/// # Errors
/// In words, when it can never be.
pub fn names(certificate: &Certificate, pin: Option<&DirectAddress>, now: Timestamp) -> Result<Vec<String>, String> {
    if let Some(why) = expired(certificate, now) {
        return Err(why);
    }
    for check in [checks::usage(certificate, Purpose::Encrypt), checks::key(certificate), checks::digest(certificate)] {
        check.map_err(|error| error.to_string())?;
    }
    if let Some(address) = pin {
        checks::bound(certificate, address).map_err(|error| error.to_string())?;
        return Ok(vec![address.key()]);
    }
    let named = certificate.names();
    let addresses = named.addresses.iter().filter_map(|name| name.parse::<DirectAddress>().ok()).map(|address| address.key());
    let domains = named.domains.iter().filter(|name| is_host_name(name)).map(|name| name.to_ascii_lowercase());
    let mut names: Vec<String> = addresses.chain(domains).collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        return Err(format!("the certificate '{}' names no Direct address and no domain", certificate.subject()));
    }
    Ok(names)
}

/// The last day on which something that ends at `until` is still good, in UTC.
fn last_day(until: Timestamp) -> Date {
    TimeZone::utc().date_at(Timestamp(until.micros().saturating_sub(1)))
}
