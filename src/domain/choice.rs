//! What an organization has decided and seen about addresses: the rules of choice, pins, suppressions, the words of people
//! about single recipients, and how deliveries to an address went.

use std::{collections::HashMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{
    DirectAddress, Npi, Reason, Timestamp, address,
    organization::BadOrganization,
    roster::Attribution,
    route::{Rule, Target},
    serde_as_text,
    time::Span,
    words,
};

words! {
    /// Who gets a correction beside those the result goes to now.
    pub enum Corrections {
        /// Everyone who got the version it corrects.
        Everyone = "everyone",
        /// Who got it and is no longer on the route is held for a person.
        Hold = "hold",
    }
}

words! {
    /// What a person decides about where results go.
    pub enum Decides {
        /// An address for an NPI.
        Pin = "pin",
        /// None any more.
        Unpin = "unpin",
        /// An address, NPI or domain is not used.
        Suppress = "suppress",
        /// It is used again.
        Unsuppress = "unsuppress",
        /// An address for one recipient of one order.
        Name = "name",
        /// One recipient of one order is left out.
        LeaveOut = "leave_out",
        /// A result is routed again.
        Reroute = "reroute",
        /// A result is not delivered.
        Dismiss = "dismiss",
        /// The organization's rules.
        Rules = "rules",
    }
}

/// Which addresses are used: the section `[choice]` of an organization file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChoiceRules {
    /// Health domains that results may go to, each with its sub-domains; what would go elsewhere is held. Empty: any.
    pub allowed_domains: Vec<String>,
    /// Addresses, NPIs and domains that are not used, beside those of `postern directory suppress`.
    pub suppress: Vec<Suppressed>,
    /// How long a delivery that succeeded speaks for its address.
    pub success_within: Span,
    /// After so many failures since its last success an address comes after the others of its organization. 0: never.
    pub demote_after: u32,
    /// How long an address of the directory is left out after it proved to have no certificate to believe.
    pub unsealable_for: Span,
    /// `everyone` (default): a correction goes to everyone who got the wrong version. `hold`: a person decides about those who
    /// are no longer on the route.
    pub corrections: Corrections,
}

impl Default for ChoiceRules {
    fn default() -> Self {
        Self {
            allowed_domains: Vec::new(),
            suppress: Vec::new(),
            success_within: Span::seconds(180 * 86_400),
            demote_after: 2,
            unsealable_for: Span::seconds(30 * 86_400),
            corrections: Corrections::Everyone,
        }
    }
}

impl ChoiceRules {
    /// What is wrong with them, for an organization file.
    #[must_use]
    pub fn problems(&self) -> Vec<BadOrganization> {
        let bad = self.allowed_domains.iter().enumerate().filter(|(_, domain)| !address::is_host_name(domain));
        bad.map(|(i, _)| BadOrganization {
            field: format!("choice.allowed_domains[{i}]"),
            problem: "is not a domain like direct.example.org".to_owned(),
        })
        .collect()
    }
}

/// Something that is not to be used.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Suppressed {
    /// This address.
    Address(DirectAddress),
    /// Whatever is for this clinician.
    Npi(Npi),
    /// Every address of this domain and its sub-domains, in lower case.
    Domain(String),
}

/// It is neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is neither a Direct address, nor an NPI, nor a domain")]
pub struct NothingToSuppress;

impl Suppressed {
    /// `address`, `npi` or `domain`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Address(_) => "address",
            Self::Npi(_) => "npi",
            Self::Domain(_) => "domain",
        }
    }

    /// As it is compared.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Address(address) => address.key(),
            Self::Npi(npi) => npi.to_string(),
            Self::Domain(domain) => domain.clone(),
        }
    }

    /// Whether `address` is not to be used because of this.
    #[must_use]
    pub fn covers(&self, address: &DirectAddress) -> bool {
        match self {
            Self::Address(own) => own == address,
            Self::Domain(domain) => {
                address.domain_key().strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            Self::Npi(_) => false,
        }
    }
}

impl FromStr for Suppressed {
    type Err = NothingToSuppress;
    fn from_str(text: &str) -> Result<Self, NothingToSuppress> {
        let text = text.trim();
        if let Some(domain) = text.strip_prefix('@') {
            return if address::is_host_name(domain) {
                Ok(Self::Domain(domain.to_ascii_lowercase()))
            } else {
                Err(NothingToSuppress)
            };
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        if let Ok(npi) = text.parse() {
            return Ok(Self::Npi(npi));
        }
        // Ten digits that are no NPI are a slip of the pen, not a domain.
        let domain = address::is_host_name(text) && text.bytes().any(|b| b.is_ascii_alphabetic());
        if domain { Ok(Self::Domain(text.to_ascii_lowercase())) } else { Err(NothingToSuppress) }
    }
}

impl fmt::Display for Suppressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Npi(npi) => npi.fmt(f),
            Self::Domain(domain) => f.write_str(domain),
        }
    }
}

serde_as_text!(Suppressed);

/// Who decided something, when, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decided {
    /// Who.
    pub by: String,
    /// Why, in their words.
    pub why: String,
    /// When; told as people and programs read it.
    #[serde(serialize_with = "as_text")]
    pub at: Timestamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn as_text<S: serde::Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

/// An address chosen by hand for an NPI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pin {
    /// Whose.
    pub npi: Npi,
    /// Where to.
    pub address: DirectAddress,
    /// Who chose it.
    #[serde(flatten)]
    pub decided: Decided,
}

/// A suppression on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Suppression {
    /// What is not to be used.
    pub what: Suppressed,
    /// Until when; `None`: until it is lifted.
    pub until: Option<Timestamp>,
    /// Who said so.
    #[serde(flatten)]
    pub decided: Decided,
}

/// What a person said on the worklist about one recipient of one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Which: as the trace calls it, `deliver_to[0]`, `roster`; empty for the order as a whole.
    pub origin: String,
    /// Where to; `None`: the recipient is left out.
    pub address: Option<DirectAddress>,
    /// Who said so.
    pub decided: Decided,
}

/// How deliveries of one organization to one address went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Experience {
    /// When the last one was handed over that is known to have arrived.
    pub last_success: Option<Timestamp>,
    /// How many failed since then.
    pub failures: u32,
    /// When, and why, it last proved to have no certificate to believe; `None` once one arrived after that.
    pub unsealable: Option<(Timestamp, Reason)>,
}

/// Everything beside order, rules and directory that a route depends on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// Now.
    pub at: Timestamp,
    /// Addresses chosen by hand, for the NPIs in question.
    pub pins: HashMap<Npi, Pin>,
    /// What is not to be used.
    pub suppressed: Vec<Suppressed>,
    /// What people said about recipients of this order.
    pub named: Vec<Named>,
    /// Where this version of the result is already, or may be.
    pub served: Vec<Target>,
    /// How deliveries went, by address key.
    pub experience: HashMap<String, Experience>,
    /// What the payer's roster says about the patient.
    pub attribution: Option<Attribution>,
}

impl Known {
    /// Where the version of the result went for this NPI when the directory was asked before.
    #[must_use]
    pub fn served_for(&self, npi: &Npi) -> Option<&Target> {
        let of_npi = |target: &&Target| target.recipient.as_ref().and_then(|who| who.npi.as_ref()) == Some(npi);
        self.served.iter().find(|target| matches!(target.rule, Rule::Directory | Rule::Roster) && of_npi(target))
    }

    /// What was said about the recipient the trace calls `origin`.
    #[must_use]
    pub fn named(&self, origin: &str) -> Option<&Named> {
        self.named.iter().find(|named| named.origin == origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_suppressed_is_told_apart_by_its_shape() {
        let kind = |text: &str| text.parse::<Suppressed>().map(|what| what.kind());
        assert_eq!(kind("Dr.X@Direct.example"), Ok("address"));
        assert_eq!(kind("1234567893"), Ok("npi"));
        assert_eq!((kind("Webmail.example"), kind("@webmail.example")), (Ok("domain"), Ok("domain")));
        for bad in ["1234567890", "", "a b", "@", "x@", "@1 2"] {
            assert_eq!(kind(bad), Err(NothingToSuppress), "{bad}");
        }
    }

    #[test]
    fn a_domain_covers_its_sub_domains_and_nothing_that_only_ends_alike() {
        let domain: Suppressed = "Mail.example".parse().unwrap();
        let covers = |address: &str| domain.covers(&address.parse().unwrap());
        assert!(covers("a@mail.example") && covers("a@direct.MAIL.example"));
        assert!(!covers("a@webmail.example") && !covers("a@example.org"));
        assert!("A@d.example".parse::<Suppressed>().unwrap().covers(&"a@D.example".parse().unwrap()));
    }
}
