//! A revocation list (RFC 5280 5), read without making an object of each of its entries: there may be many thousands.

use std::{fmt, ops::Range, time::Duration};

use openssl::x509::{X509KeyUsage, X509Name};
use x509_parser::{prelude::FromDer as _, time::ASN1Time};

use super::{current, serial};
use crate::{
    crypto::der::{Node, Nodes, ObjectIdentifier, Tag, explicit, implicit},
    domain::Timestamp,
    trust::{
        Certificate, TrustError,
        certificate::is_pem,
        pointers::Pointers,
        signed::{Signed, Verdicts},
    },
};

/// One list. Nothing of it is believed before it is asked about a certificate and its issuer.
pub struct List {
    der: Vec<u8>,
    issuer: X509Name,
    from: Timestamp,
    until: Timestamp,
    scope: Scope,
    /// Where the serial numbers stand in `der`, in the order of what they say.
    serials: Vec<Range<u32>>,
    verdicts: Verdicts,
}

/// Whom a list speaks about (RFC 5280 5.2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Scope {
    only: Only,
    /// The URLs of the part it is, when it is only one of several: it speaks about certificates that name one of them.
    part: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Only {
    Everybody,
    EndEntities,
    Authorities,
    /// Deltas, indirect lists, lists for some reasons only, critical extensions unknown to us: never believed.
    Nobody,
}

impl List {
    /// Reads one DER list.
    pub fn read(der: Vec<u8>) -> Result<Self, TrustError> {
        let parts = Parts::of(&der).ok_or_else(|| TrustError::malformed("the revocation list", "it is not one"))?;
        let issuer = X509Name::from_der(parts.issuer).map_err(|error| TrustError::malformed("the revocation list", error))?;
        let Parts { from, until, scope, serials, .. } = parts;
        Ok(Self { issuer, from, until, scope, serials, verdicts: Verdicts::default(), der })
    }

    /// Reads one list in DER, or (what servers also give) in PEM.
    pub fn from_file(bytes: Vec<u8>) -> Result<Self, TrustError> {
        match super::pem_bodies(&bytes) {
            Ok(mut lists) if is_pem(&bytes) && lists.len() == 1 => Self::read(lists.swap_remove(0)),
            _ => Self::read(bytes),
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// When it was issued.
    #[must_use]
    pub const fn from(&self) -> Timestamp {
        self.from
    }

    /// When the next one is promised. A list without such a promise is never current (RFC 5280 5.1.2.5 demands it).
    #[must_use]
    pub const fn until(&self) -> Timestamp {
        self.until
    }

    /// How many certificates it revokes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.serials.len()
    }

    /// Whether it revokes nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.serials.is_empty()
    }

    /// Whether it is a list that can be believed about anybody, and signed by `issuer`.
    #[must_use]
    pub fn is_by(&self, issuer: &Certificate) -> bool {
        self.scope.only != Only::Nobody
            && issuer.x509().key_usage().is_none_or(|usage| usage.contains(X509KeyUsage::CRL_SIGN))
            && self.issuer.try_cmp(issuer.x509().subject_name()).is_ok_and(std::cmp::Ordering::is_eq)
            && self
                .verdicts
                .of(issuer, || Node::only(&self.der).ok().and_then(Signed::read).is_some_and(|signed| signed.is_by(issuer)))
    }

    /// Until when it counts for `certificate`, issued by `issuer`.
    pub(in crate::trust) fn counts_for(
        &self,
        certificate: &Certificate,
        issuer: &Certificate,
        at: Timestamp,
        grace: Duration,
    ) -> Option<Timestamp> {
        let until = current(self.from, self.until, at, grace)?;
        (self.scope.covers(certificate) && self.is_by(issuer)).then_some(until)
    }

    /// Whether it revokes `certificate`.
    pub(super) fn names(&self, certificate: &Certificate) -> bool {
        let wanted = serial(certificate.serial());
        self.serials.binary_search_by(|place| serial(octets(&self.der, place)).cmp(wanted)).is_ok()
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "List({} entries, {}..{})", self.serials.len(), self.from, self.until)
    }
}

impl Scope {
    fn covers(&self, certificate: &Certificate) -> bool {
        let right_kind = match self.only {
            Only::Everybody => true,
            Only::EndEntities => !certificate.is_authority(),
            Only::Authorities => certificate.is_authority(),
            Only::Nobody => false,
        };
        // RFC 5280 6.3.3 (b)(2)(i): a part of the issuer's lists says nothing about the certificates of another part.
        let right_part = self.part.as_ref().is_none_or(|urls| {
            let named = Pointers::of(certificate).lists;
            urls.iter().any(|url| named.contains(url))
        });
        right_kind && right_part
    }

    /// IssuingDistributionPoint (RFC 5280 5.2.5).
    fn take_point(&mut self, value: &[u8]) -> Option<()> {
        let point = Node::only(value).ok().filter(|node| node.tag == Tag::Sequence)?;
        let (mut users, mut authorities) = (false, false);
        for member in point.members().all().ok()? {
            if member.tag == explicit(0) {
                self.part = Some(full_name(member)?);
            } else if member.tag == implicit(1) {
                users = flag(member)?;
            } else if member.tag == implicit(2) {
                authorities = flag(member)?;
            } else if member.tag == implicit(3) || member.tag == implicit(4) || member.tag == implicit(5) {
                // Some reasons only; indirect; attribute certificates. Flags that say "no" would not be there in DER.
                return None;
            } else {
                return None;
            }
        }
        self.only = match (users, authorities) {
            (false, false) => self.only,
            (true, false) => Only::EndEntities,
            (false, true) => Only::Authorities,
            (true, true) => return None,
        };
        Some(())
    }
}

/// The URLs of a DistributionPointName that is a full name.
fn full_name(point: Node<'_>) -> Option<Vec<String>> {
    let full = Node::only(point.value).ok().filter(|name| name.tag == explicit(0))?;
    let names = full.members().all().ok()?;
    let urls = names.iter().filter(|name| name.tag == implicit(6)).filter_map(|name| String::from_utf8(name.value.to_vec()).ok());
    Some(urls.collect())
}

fn flag(node: Node<'_>) -> Option<bool> {
    match node.value {
        [0xff] => Some(true),
        [0] => Some(false),
        _ => None,
    }
}

struct Parts<'a> {
    issuer: &'a [u8],
    from: Timestamp,
    until: Timestamp,
    scope: Scope,
    serials: Vec<Range<u32>>,
}

impl<'a> Parts<'a> {
    fn of(der: &'a [u8]) -> Option<Self> {
        let signed = Node::only(der).ok().and_then(Signed::read).filter(|signed| signed.rest.is_empty())?;
        let mut members = signed.content.members();
        members.optional(Tag::Integer).ok()?; // the version
        // RFC 5280 5.1.1.2: said twice, and the same both times.
        if members.expect(Tag::Sequence).ok()?.whole != signed.algorithm() {
            return None;
        }
        let issuer = members.expect(Tag::Sequence).ok()?.whole;
        let from = time(members.any().ok()?)?;
        let until = match members.optional(Tag::UtcTime).ok()?.or(members.optional(Tag::GeneralizedTime).ok()?) {
            Some(node) => time(node)?,
            None => Timestamp(i64::MIN / 2),
        };
        let mut scope = Scope { only: Only::Everybody, part: None };
        let mut serials = Vec::new();
        if let Some(entries) = members.optional(Tag::Sequence).ok()? {
            let mut entries = entries.members();
            while !entries.is_empty() {
                let entry = Entry::read(entries.expect(Tag::Sequence).ok()?)?;
                if entry.is_strange {
                    scope.only = Only::Nobody;
                }
                serials.push(place(der, entry.serial)?);
            }
        }
        if let Some(extensions) = members.optional(explicit(0)).ok()? {
            let extensions = Extension::all(Node::only(extensions.value).ok()?)?;
            if !extensions.iter().all(|extension| extension.is_understood(&mut scope)) {
                scope.only = Only::Nobody;
            }
        }
        if !members.is_empty() {
            return None;
        }
        serials.sort_by(|one, other| serial(octets(der, one)).cmp(serial(octets(der, other))));
        Some(Self { issuer, from, until, scope, serials })
    }
}

struct Entry<'a> {
    serial: &'a [u8],
    /// It has a critical extension: it may speak about another issuer's certificate (RFC 5280 5.3.3).
    is_strange: bool,
}

impl<'a> Entry<'a> {
    fn read(node: Node<'a>) -> Option<Self> {
        let mut members = node.members();
        let serial = members.expect(Tag::Integer).ok()?.value;
        members.any().ok()?;
        let is_strange = match members.optional(Tag::Sequence).ok()? {
            Some(extensions) => Extension::all(extensions)?.iter().any(|extension| extension.critical),
            None => false,
        };
        Some(Self { serial, is_strange })
    }
}

pub(super) struct Extension<'a> {
    id: ObjectIdentifier,
    pub(super) critical: bool,
    value: &'a [u8],
}

impl<'a> Extension<'a> {
    pub(super) fn all(list: Node<'a>) -> Option<Vec<Self>> {
        list.members().all().ok()?.into_iter().map(Self::read).collect()
    }

    fn read(node: Node<'a>) -> Option<Self> {
        let mut members: Nodes<'a> = (node.tag == Tag::Sequence).then(|| node.members())?;
        let id = members.any().ok()?.oid().ok()?;
        let critical = members.optional(Tag::Boolean).ok()?.is_some_and(|node| node.value != [0]);
        let value = members.expect(Tag::OctetString).ok()?.value;
        Some(Self { id, critical, value })
    }

    /// Whether a list with this extension can be understood.
    fn is_understood(&self, scope: &mut Scope) -> bool {
        const DELTA: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.27");
        const POINT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.28");
        match self.id {
            DELTA => false,
            POINT => scope.take_point(self.value).is_some(),
            _ => !self.critical,
        }
    }
}

/// An instant in either of its two forms.
pub(super) fn time(node: Node<'_>) -> Option<Timestamp> {
    let (rest, time) = ASN1Time::from_der(node.whole).ok()?;
    rest.is_empty().then(|| Timestamp(time.timestamp().saturating_mul(1_000_000)))
}

/// Where `part` stands in `whole`, of which it is a piece.
fn place(whole: &[u8], part: &[u8]) -> Option<Range<u32>> {
    let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    Some(u32::try_from(start).ok()?..u32::try_from(start + part.len()).ok()?)
}

fn octets<'a>(whole: &'a [u8], place: &Range<u32>) -> &'a [u8] {
    whole.get(place.start as usize..place.end as usize).unwrap_or_default()
}
