//! What a probe tells: every question, what came, every check of every certificate, the path, and why not.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    crypto::Hex,
    domain::{
        DirectAddress, Timestamp,
        time::{Date, TimeZone},
        words,
    },
    trust::{
        self, Certificate,
        checklist::{self, Check},
        discovery::{self, End, Place, Said, Search},
    },
};

/// The answer to a probe.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Probed {
    /// Who was asked about.
    pub address: DirectAddress,
    /// Who would send, by slug.
    pub organization: String,
    /// Whether all its identities are in edge mode, where the HISP finds certificates and not we.
    pub edge: bool,
    /// Whether it can be sent to now.
    pub sendable: bool,
    /// The steps that were taken, in their order.
    pub steps: Vec<Step>,
    /// What to seal to, or why not.
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl Probed {
    /// Digest of the certificate that would be sealed to, in lower case; `None` when there is none.
    #[must_use]
    pub fn fingerprint(&self) -> Option<String> {
        match &self.outcome {
            Outcome::Found { certificate, .. } => Some(certificate.fingerprint.to_ascii_lowercase()),
            Outcome::Refused { .. } => None,
        }
    }
}

/// What a search ended with.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Outcome {
    /// This certificate.
    Found {
        /// Where it was found.
        place: Option<Place>,
        /// It.
        certificate: Shown,
        /// Whom it leads to: subjects from the certificate's to the anchor's.
        path: Vec<String>,
        /// First instant at which some certificate of the path is no longer valid (RFC 3339).
        valid_until: String,
    },
    /// None that will do.
    Refused {
        /// The reason a delivery would carry.
        reason: String,
        /// In plain words.
        why: String,
        /// What to do about it.
        remedy: String,
    },
}

/// One place.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Step {
    /// Which.
    pub place: Place,
    /// What it meant for the search.
    pub end: End,
    /// What was asked there.
    pub asked: Vec<Asked>,
}

/// One question and what came.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Asked {
    /// What was asked.
    pub what: String,
    /// Who answered.
    pub of: String,
    /// How long ago, when the answer was kept from then.
    pub age_seconds: Option<u64>,
    /// How long it took now.
    pub took_ms: u64,
    /// What came.
    pub said: Word,
    /// Why nothing came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The directories that were named, in the order in which to ask.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub directories: Vec<String>,
    /// The certificates that came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Verdict>,
}

words! {
    /// What kind of answer came.
    pub enum Word {
        /// There is nothing.
        Nothing = "nothing",
        /// No answer.
        Unavailable = "unavailable",
        /// Directories to ask.
        Directories = "directories",
        /// Certificates.
        Certificates = "certificates",
    }
}

/// One certificate, judged.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Verdict {
    /// It, when it could be read.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Shown>,
    /// Where it was fetched from, when DNS gave a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Whether it will do.
    pub valid: bool,
    /// The reason a delivery would carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// In plain words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Every check.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Checked>,
}

/// One check of one certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Checked {
    /// Which.
    pub check: Check,
    /// What came of it.
    pub result: Pass,
    /// In plain words, when it does not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

words! {
    /// What came of a check.
    pub enum Pass {
        /// It holds.
        Pass = "pass",
        /// It could not be told, and was let pass because the policy is soft.
        LetPass = "let_pass",
        /// It does not hold, or could not be told.
        Fail = "fail",
        /// Nobody looked: what failed before decides.
        NotReached = "not_reached",
    }
}

/// A certificate in a few words.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Shown {
    /// Whose, it says.
    pub subject: String,
    /// The names in its subjectAltName.
    pub bound_to: String,
    /// Kind and length of its key.
    pub key: String,
    /// First valid instant (RFC 3339).
    pub valid_from: String,
    /// First instant at which it is no longer valid (RFC 3339).
    pub valid_until: String,
    /// Last day on which it is good, in UTC.
    pub last_day: Date,
    /// SHA-256 of its bytes.
    pub fingerprint: String,
}

impl Probed {
    pub(super) fn of(address: &DirectAddress, organization: &str, edge: bool, search: &Search, at: Timestamp) -> Self {
        let outcome = match &search.outcome {
            Ok(trusted) => Outcome::Found {
                place: search.place(),
                certificate: Shown::of(trusted.recipient().certificate()),
                path: trusted.path().certificates().iter().map(Certificate::subject).collect(),
                valid_until: trusted.valid_until().to_string(),
            },
            Err(error) => Outcome::Refused {
                reason: error.reason().to_string(),
                why: error.to_string(),
                remedy: error.reason().remedy().to_owned(),
            },
        };
        let step = |step: &discovery::Step| Step {
            place: step.place,
            end: step.end,
            asked: step.asked.iter().map(|asked| Asked::of(asked, address, at)).collect(),
        };
        Self {
            address: address.clone(),
            organization: organization.to_owned(),
            edge,
            sendable: search.outcome.is_ok(),
            steps: search.steps.iter().map(step).collect(),
            outcome,
        }
    }
}

impl Asked {
    fn of(asked: &discovery::Asked, address: &DirectAddress, at: Timestamp) -> Self {
        let mut told = Self {
            what: asked.what.clone(),
            of: asked.of.clone(),
            age_seconds: asked.age.map(|age| age.as_secs()),
            took_ms: millis(asked.took),
            said: Word::Nothing,
            why: None,
            directories: Vec::new(),
            certificates: Vec::new(),
        };
        match &asked.said {
            Said::Nothing => {}
            Said::Unavailable(why) => (told.said, told.why) = (Word::Unavailable, Some(why.clone())),
            Said::Directories(all) => {
                told.said = Word::Directories;
                told.directories = all.iter().map(ToString::to_string).collect();
            }
            Said::Certificates(all) => {
                told.said = Word::Certificates;
                told.certificates = all.iter().map(|verdict| Verdict::of(verdict, address, at)).collect();
            }
        }
        told
    }
}

impl Verdict {
    fn of(verdict: &discovery::Verdict, address: &DirectAddress, at: Timestamp) -> Self {
        let judged = verdict.judged.as_ref();
        let checks = verdict.certificate.as_ref().map(|one| trust::checklist(one, address, at, &verdict.judged));
        Self {
            certificate: verdict.certificate.as_ref().map(Shown::of),
            url: verdict.url.clone(),
            valid: judged.is_ok(),
            reason: judged.err().map(|error| error.reason().to_string()),
            why: judged.err().map(ToString::to_string),
            checks: checks.unwrap_or_default().iter().map(Checked::of).collect(),
        }
    }
}

impl Checked {
    fn of((check, checked): &(Check, checklist::Checked)) -> Self {
        let (result, why) = match checked {
            checklist::Checked::Pass => (Pass::Pass, None),
            checklist::Checked::LetPass => (Pass::LetPass, None),
            checklist::Checked::Fail(error) => (Pass::Fail, Some(error.to_string())),
            checklist::Checked::NotReached => (Pass::NotReached, None),
        };
        Self { check: *check, result, why }
    }
}

impl Shown {
    fn of(certificate: &Certificate) -> Self {
        let until = certificate.valid_until();
        Self {
            subject: certificate.subject(),
            bound_to: certificate.names().to_string(),
            key: certificate.key_words(),
            valid_from: certificate.valid_from().to_string(),
            valid_until: until.to_string(),
            last_day: TimeZone::utc().date_at(Timestamp(until.micros().saturating_sub(1))),
            fingerprint: Hex(&certificate.fingerprint()).to_string(),
        }
    }
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
