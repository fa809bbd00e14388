//! How a result is enclosed in its message: what an organization's file says in `[message]`.

use serde::{Deserialize, Serialize};

use super::{DirectAddress, address::is_host_name, organization::BadOrganization, words};

words! {
    /// How the documents of a result travel in its message.
    pub enum Packaging {
        /// Each document is an attachment of its own: what most systems file by themselves.
        Attachment = "attachment",
        /// All documents are in one XDM package, a ZIP file with metadata (IHE ITI TF-2 3.32).
        Xdm = "xdm",
    }
}

words! {
    /// Where the PDF is.
    pub enum PdfPlace {
        /// Inside the C-CDA document only.
        Inside = "inside",
        /// Inside the C-CDA document, and once more beside it: for systems that do not show what is inside.
        Beside = "beside",
    }
}

/// How one message is made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enclosure {
    /// How the documents travel.
    pub packaging: Packaging,
    /// Where the PDF is.
    pub pdf: PdfPlace,
}

/// How messages are made up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MessageRules {
    /// `attachment` (default) or `xdm`.
    pub packaging: Packaging,
    /// `inside` (default) or `beside`.
    pub pdf: PdfPlace,
    /// What single recipient domains want instead.
    #[serde(rename = "domain", skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<DomainRules>,
}

/// What one recipient domain wants; what it does not say is as for everybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainRules {
    /// The recipients' health domain.
    pub domain: String,
    /// `attachment` or `xdm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packaging: Option<Packaging>,
    /// `inside` or `beside`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pdf: Option<PdfPlace>,
}

impl Default for MessageRules {
    fn default() -> Self {
        Self { packaging: Packaging::Attachment, pdf: PdfPlace::Inside, domains: Vec::new() }
    }
}

impl MessageRules {
    /// How a message to `address` is made up. A rule holds for the domain it names, not for those below it, like a
    /// certificate.
    #[must_use]
    pub fn enclosure(&self, address: &DirectAddress) -> Enclosure {
        let rules = self.domains.iter().find(|rules| rules.domain.eq_ignore_ascii_case(address.domain()));
        Enclosure {
            packaging: rules.and_then(|rules| rules.packaging).unwrap_or(self.packaging),
            pdf: rules.and_then(|rules| rules.pdf).unwrap_or(self.pdf),
        }
    }

    /// What the shape alone cannot say is wrong.
    pub(super) fn problems(&self) -> Vec<BadOrganization> {
        let mut problems = Vec::new();
        for (i, rules) in self.domains.iter().enumerate() {
            let mut bad = |field: &str, problem: &str| {
                problems.push(BadOrganization { field: format!("message.domain[{i}]{field}"), problem: problem.to_owned() });
            };
            if !is_host_name(&rules.domain) {
                bad(".domain", "is not a domain like direct.example.org");
            }
            if self.domains[..i].iter().any(|earlier| earlier.domain.eq_ignore_ascii_case(&rules.domain)) {
                bad(".domain", "is used twice");
            }
            if rules.packaging.is_none() && rules.pdf.is_none() {
                bad("", "says nothing: give packaging, pdf or both");
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(toml: &str) -> MessageRules {
        toml::from_str(toml).unwrap()
    }

    fn enclosure(rules: &MessageRules, address: &str) -> (Packaging, PdfPlace) {
        let Enclosure { packaging, pdf } = rules.enclosure(&address.parse().unwrap());
        (packaging, pdf)
    }

    #[test]
    fn a_domain_says_only_what_is_different_for_it() {
        let rules = rules(
            "pdf = 'beside'\n[[domain]]\ndomain = 'direct.emr.example'\npackaging = 'xdm'\n\
             [[domain]]\ndomain = 'direct.old.example'\npdf = 'inside'",
        );
        assert_eq!(enclosure(&rules, "a@direct.clinic.example"), (Packaging::Attachment, PdfPlace::Beside));
        assert_eq!(enclosure(&rules, "a@Direct.EMR.example"), (Packaging::Xdm, PdfPlace::Beside));
        assert_eq!(enclosure(&rules, "a@direct.old.example"), (Packaging::Attachment, PdfPlace::Inside));
        assert_eq!(enclosure(&rules, "a@north.direct.emr.example"), (Packaging::Attachment, PdfPlace::Beside));
    }

    #[test]
    fn nothing_said_is_one_attachment_with_the_pdf_inside() {
        assert_eq!(enclosure(&rules(""), "a@b.example"), (Packaging::Attachment, PdfPlace::Inside));
        assert_eq!(rules(""), MessageRules::default());
    }

    #[test]
    fn unknown_words_are_errors_that_name_the_known_ones() {
        for (toml, words) in [
            ("packaging = 'zip'", ["attachment", "xdm"]),
            ("pdf = 'none'", ["inside", "beside"]),
            ("[[domain]]\ndomain = 'a.example'\npackaging = 'XDM'", ["attachment", "xdm"]),
        ] {
            let error = toml::from_str::<MessageRules>(toml).unwrap_err().to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
        assert!(toml::from_str::<MessageRules>("package = 'xdm'").is_err());
    }

    #[test]
    fn a_domain_that_is_none_is_named_twice_or_says_nothing_is_a_problem() {
        let rules = rules(
            "[[domain]]\ndomain = 'a@b.example'\npdf = 'beside'\n[[domain]]\ndomain = 'c.example'\npdf = 'beside'\n\
             [[domain]]\ndomain = 'C.example'",
        );
        let problems: Vec<String> = rules.problems().iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            [
                "message.domain[0].domain is not a domain like direct.example.org",
                "message.domain[2].domain is used twice",
                "message.domain[2] says nothing: give packaging, pdf or both",
            ]
        );
    }
}
