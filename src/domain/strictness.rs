//! How strictly certificates are judged, for each direction: the section `[trust]` of an organization file.

use serde::{Deserialize, Serialize};

use super::{organization::is_oid, time::Span, words};

words! {
    /// What happens to a certificate whose revocation cannot be told.
    pub enum WhenUnknown {
        /// It is not believed now: what waits for it is tried again, then held.
        HardFail = "hard_fail",
        /// It is believed, with a warning each time.
        SoftFail = "soft_fail",
    }
}

/// How strictly certificates are judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrustRules {
    /// `hard_fail` (default) or `soft_fail`: what happens when revocation cannot be told before sending.
    pub revocation: WhenUnknown,
    /// Whether a certificate must name a revocation list or an OCSP responder at all.
    pub require_revocation_source: bool,
    /// How long a revocation list or an OCSP answer still counts after its time is over.
    pub revocation_grace: Span,
    /// Certificate policies (OIDs), one of which a recipient's certificate must have been issued under; `OID+OID` asks for both
    /// together. None: any will do.
    pub certificate_policies: Vec<String>,
    /// The same for the certificates of those who write to us.
    pub receiving: ReceivingRules,
}

impl Default for TrustRules {
    fn default() -> Self {
        Self {
            revocation: WhenUnknown::HardFail,
            require_revocation_source: false,
            revocation_grace: Span::seconds(0),
            certificate_policies: Vec::new(),
            receiving: ReceivingRules::default(),
        }
    }
}

/// How strictly those who write to us are judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReceivingRules {
    /// `soft_fail` (default) or `hard_fail`: what happens when revocation cannot be told.
    pub revocation: WhenUnknown,
    /// Whether a certificate must name a revocation list or an OCSP responder at all.
    pub require_revocation_source: bool,
    /// How long a revocation list or an OCSP answer still counts after its time is over.
    pub revocation_grace: Span,
    /// Certificate policies (OIDs), one of which a signer's certificate must have been issued under. None: any will do.
    pub certificate_policies: Vec<String>,
}

impl Default for ReceivingRules {
    fn default() -> Self {
        Self {
            revocation: WhenUnknown::SoftFail,
            require_revocation_source: false,
            revocation_grace: Span::seconds(0),
            certificate_policies: Vec::new(),
        }
    }
}

/// The rules of one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strictness {
    /// What happens when revocation cannot be told.
    pub revocation: WhenUnknown,
    /// Whether a certificate must name a place where it can be asked about.
    pub require_revocation_source: bool,
    /// How long past its time a list or an answer still counts.
    pub revocation_grace: Span,
    /// Certificate policies, one of which is wanted; none: any will do.
    pub certificate_policies: Vec<String>,
}

impl Strictness {
    /// Whether what cannot be told is not believed.
    #[must_use]
    pub fn hard_fail(&self) -> bool {
        self.revocation == WhenUnknown::HardFail
    }
}

impl TrustRules {
    /// For the certificates we seal to.
    #[must_use]
    pub fn sending(&self) -> Strictness {
        Strictness {
            revocation: self.revocation,
            require_revocation_source: self.require_revocation_source,
            revocation_grace: self.revocation_grace,
            certificate_policies: self.certificate_policies.clone(),
        }
    }

    /// For the certificates that sign what comes to us.
    #[must_use]
    pub fn receiving(&self) -> Strictness {
        Strictness {
            revocation: self.receiving.revocation,
            require_revocation_source: self.receiving.require_revocation_source,
            revocation_grace: self.receiving.revocation_grace,
            certificate_policies: self.receiving.certificate_policies.clone(),
        }
    }

    /// What is wrong: the field, and why.
    pub(super) fn problems(&self) -> Vec<(String, &'static str)> {
        let lists = [
            ("trust.certificate_policies", &self.certificate_policies),
            ("trust.receiving.certificate_policies", &self.receiving.certificate_policies),
        ];
        let mut problems = Vec::new();
        for (field, policies) in lists {
            for (place, _) in policies.iter().enumerate().filter(|(_, policy)| !policy.split('+').all(is_oid)) {
                problems.push((format!("{field}[{place}]"), "is not an OID like 1.3.6.1.4.1.41179.1.3"));
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sending_is_hard_and_receiving_soft_unless_somebody_says_otherwise() {
        let rules = TrustRules::default();
        assert!(rules.sending().hard_fail());
        assert!(!rules.receiving().hard_fail());
        let text = "revocation = \"soft_fail\"\n[receiving]\nrevocation = \"hard_fail\"\ncertificate_policies = [\"1.2.3\"]\n";
        let rules: TrustRules = toml::from_str(text).unwrap();
        assert!(!rules.sending().hard_fail() && rules.sending().certificate_policies.is_empty());
        assert!(rules.receiving().hard_fail());
        assert_eq!(rules.receiving().certificate_policies, ["1.2.3"]);
    }

    #[test]
    fn a_policy_that_is_no_oid_is_named_by_its_place() {
        let bad = || vec!["1.3.6.1.4.1.41179.1.3+1.3.6.1.4.1.41179.2.1".to_owned(), "LoA 3".to_owned(), "1.2.3+".to_owned()];
        let receiving = ReceivingRules { certificate_policies: bad(), ..ReceivingRules::default() };
        let rules = TrustRules { certificate_policies: bad(), receiving, ..TrustRules::default() };
        let fields: Vec<String> = rules.problems().into_iter().map(|(field, _)| field).collect();
        assert_eq!(
            fields,
            [1, 2]
                .map(|at| format!("trust.certificate_policies[{at}]"))
                .into_iter()
                .chain([1, 2].map(|at| format!("trust.receiving.certificate_policies[{at}]")))
                .collect::<Vec<_>>()
        );
    }
}
