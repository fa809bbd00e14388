//! Organizations, sites, identities: the sender's own facts and rules.
//!
//! These are the keys of an organization file (`postern org apply`), so the field docs are what an operator reads.

use serde::{Deserialize, Serialize};

use super::{
    DirectAddress, Npi,
    alert::AlertRules,
    choice::ChoiceRules,
    message::MessageRules,
    order::PostalAddress,
    profile::{self, Cipher, KeyTransport, Profile, Shown, Standard},
    roster::RosterRules,
    strictness::TrustRules,
    time::{Span, TimeZone},
    tracking::{AskDispatched, TrackingRules},
    webhook::{self, WebhookFile},
    words,
};

pub use super::{
    codes::{is_loinc, is_oid},
    prices::{PriceList, Rate},
};

words! {
    /// Whether an organization or site sends for real.
    pub enum Mode {
        /// Real traffic.
        Production = "production",
        /// Targets outside the test domains are held; prices are zero.
        Test = "test",
    }
}

words! {
    /// How an identity's mail leaves.
    pub enum SendMode {
        /// We seal; a HISP relays our sealed message.
        StaRelay = "sta_relay",
        /// We seal and deliver to the recipient domain's MX.
        StaMx = "sta_mx",
        /// The HISP seals: we submit the clear message over authenticated TLS.
        Edge = "edge",
    }
}

words! {
    /// When a configured address is a target.
    pub enum When {
        /// Every related result.
        Always = "always",
        /// Only when the order gave no target.
        OnlyIfNone = "only_if_none",
    }
}

words! {
    /// What to do when the order and the directory disagree about one recipient.
    pub enum Conflict {
        /// The order's address is used, the difference noted.
        OrderWins = "order_wins",
        /// Both are used.
        Union = "union",
    }
}

words! {
    /// How the patient's identifier appears in the document (C-CDA `patientRole/id`).
    pub enum PatientId {
        /// `<id nullFlavor="NI"/>`: schema-valid, says nothing.
        Null = "null",
        /// No id node at all (some receivers ask for it; not schema-valid).
        Omit = "omit",
        /// The site's identifier under the assigning authority.
        Mrn = "mrn",
    }
}

words! {
    /// What happens to a delivery whose outcome is unknown once its wait is over.
    pub enum WhenUnknown {
        /// Sent once more with the same Message-ID, then held.
        Resend = "resend",
        /// Held for a person.
        Hold = "hold",
    }
}

words! {
    /// When a delivery becomes billable.
    pub enum Billable {
        /// At acceptance by the relay or MX.
        Accepted = "accepted",
        /// When the receiving side has opened and trusted it.
        Processed = "processed",
        /// When it reached its final place.
        Dispatched = "dispatched",
    }
}

words! {
    /// Where a terminally failed delivery goes next.
    pub enum Fallback {
        /// The site's configured address.
        Site = "site",
        /// The organization's configured address.
        Organization = "organization",
        /// A person.
        Hold = "hold",
    }
}

/// An organization file: one customer with its sites, addresses, identities and prices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrganizationFile {
    /// Short name in URLs and on the command line: lower-case letters, digits and dashes.
    pub slug: String,
    /// Legal name, as it stands in documents.
    pub name: String,
    /// The organization's own NPI (type 2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub npi: Option<Npi>,
    /// Telephone a clinician can call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Postal address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<PostalAddress>,
    /// IANA time zone of its days, months and statements.
    #[serde(default = "TimeZone::utc")]
    pub time_zone: TimeZone,
    /// `production` or `test`.
    #[serde(default = "production")]
    pub mode: Mode,
    /// How documents are written.
    #[serde(default)]
    pub document: DocumentRules,
    /// How messages are made up: attachments or an XDM package, the PDF inside the document or beside it as well.
    #[serde(default)]
    pub message: MessageRules,
    /// How results are routed.
    #[serde(default)]
    pub routing: RoutingRules,
    /// Which addresses are used.
    #[serde(default)]
    pub choice: ChoiceRules,
    /// How the payer's roster is used.
    #[serde(default)]
    pub roster: RosterRules,
    /// How strictly certificates are judged.
    #[serde(default)]
    pub trust: TrustRules,
    /// How what comes back is followed.
    #[serde(default)]
    pub tracking: TrackingRules,
    /// Who is told when something is wrong.
    #[serde(default)]
    pub alerts: AlertRules,
    /// The organization's configured addresses.
    #[serde(default, rename = "target", skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<ConfiguredTarget>,
    /// Its sites.
    #[serde(default, rename = "site", skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<SiteFile>,
    /// The Direct addresses it sends from.
    #[serde(default, rename = "identity", skip_serializing_if = "Vec::is_empty")]
    pub identities: Vec<IdentityFile>,
    /// With what a peer is met that has shown nothing yet: `direct` (default) or `fips` (RSA-OAEP).
    #[serde(default = "direct", skip_serializing_if = "is_direct")]
    pub profile: Standard,
    /// What single recipient domains can open and how they answer, where that is known.
    #[serde(default, rename = "peer", skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<PeerFile>,
    /// The programs that are told what happens.
    #[serde(default, rename = "webhook", skip_serializing_if = "Vec::is_empty")]
    pub webhooks: Vec<WebhookFile>,
    /// Its price list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<PriceList>,
}

const fn production() -> Mode {
    Mode::Production
}

const fn direct() -> Standard {
    Standard::Direct
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_direct(standard: &Standard) -> bool {
    *standard == Standard::Direct
}

/// How to seal to one recipient domain, whatever it has shown. What is not set here is learnt from its own mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerFile {
    /// The recipients' health domain.
    pub domain: String,
    /// `aes-256-cbc`, `aes-128-cbc` or `aes-256-gcm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cipher: Option<Cipher>,
    /// `pkcs1`, `oaep-sha1` or `oaep-sha256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_transport: Option<KeyTransport>,
    /// How long this domain has to answer; without it as in `[tracking]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice_within: Option<Span>,
    /// Whether this domain is asked for `dispatched`; without it as in `[tracking]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispatched: Option<AskDispatched>,
}

/// A site: a clinic of an organization.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteFile {
    /// The customer's own key of the site.
    pub local_id: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The site's own NPI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub npi: Option<Npi>,
    /// Telephone; the organization's otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Postal address; the organization's otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<PostalAddress>,
    /// `production` or `test`; the organization's otherwise. A test organization has no production sites.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// The site's configured addresses. When it has any, the organization's are not used for it.
    #[serde(default, rename = "target", skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<ConfiguredTarget>,
    /// The address this site sends from: one of the organization's identities or of the installation's. The organization's
    /// first otherwise, or the installation's when the organization has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<DirectAddress>,
}

/// An address that receives results by configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfiguredTarget {
    /// The Direct address.
    pub direct: DirectAddress,
    /// `always` (default) or `only_if_none`.
    #[serde(default = "always")]
    pub when: When,
}

const fn always() -> When {
    When::Always
}

/// How documents are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DocumentRules {
    /// `null`, `omit` or `mrn`.
    pub patient_id: PatientId,
    /// The same for targets configured on the order's own site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient_id_own_site: Option<PatientId>,
    /// OID under which the site's patient identifiers are assigned; needed for `mrn`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assigning_authority: Option<String>,
    /// LOINC code of the document when a result names none.
    pub document_code: String,
}

impl Default for DocumentRules {
    fn default() -> Self {
        Self {
            patient_id: PatientId::Null,
            patient_id_own_site: None,
            assigning_authority: None,
            document_code: "18748-4".to_owned(),
        }
    }
}

/// How results are routed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RoutingRules {
    /// `order_wins` or `union`.
    pub conflict: Conflict,
    /// Whether recipients with role `pcp` are served at all.
    pub pcp_delivery: bool,
    /// Whether preliminary results are sent.
    pub send_preliminary: bool,
    /// What a terminal failure does next.
    pub fallback: Vec<Fallback>,
    /// How long transport errors are retried; urgent results at most two hours.
    pub retry_for: Span,
    /// What to do with an unknown outcome.
    pub unknown: WhenUnknown,
    /// How long an unknown outcome waits; ten minutes at most when urgent.
    pub unknown_wait: Span,
    /// How long a result waits for its order before it is held.
    pub wait_for_order: Span,
}

impl Default for RoutingRules {
    fn default() -> Self {
        Self {
            conflict: Conflict::OrderWins,
            pcp_delivery: true,
            send_preliminary: false,
            fallback: vec![Fallback::Hold],
            retry_for: Span::seconds(24 * 3600),
            unknown: WhenUnknown::Resend,
            unknown_wait: Span::seconds(3600),
            wait_for_order: Span::seconds(7 * 24 * 3600),
        }
    }
}

/// A Direct address to send from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityFile {
    /// The address.
    pub address: DirectAddress,
    /// `sta_relay`, `sta_mx` or `edge`.
    pub mode: SendMode,
    /// Name of the relay in the installation's configuration (`sta_relay` and `edge`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<String>,
    /// PEM certificate to sign with, relative to the organization file (sta modes). Another one here later is a new
    /// generation: the older ones still open what is sent to them. Without it, `postern trust identities import` brings keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<String>,
    /// PEM private key, relative to the organization file (sta modes). Read once and stored encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<String>,
    /// Instead of `key_file`: where the key is on a PKCS#11 token, `pkcs11:token=...;object=...` (RFC 7512).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// File with the mailbox password, relative to the organization file (edge mode). Read once and stored encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<String>,
}

/// What is wrong with an organization file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct BadOrganization {
    /// Path of the field, e.g. `site[1].local_id`.
    pub field: String,
    /// What is wrong and what to write.
    pub problem: String,
}

impl OrganizationFile {
    /// With which algorithms messages to `address` are sealed, when its domain has shown `shown`.
    #[must_use]
    pub fn profile(&self, address: &DirectAddress, shown: Shown) -> Profile {
        let peer = self.peer(address);
        let set = peer
            .map_or_else(profile::Set::default, |peer| profile::Set { cipher: peer.cipher, key_transport: peer.key_transport });
        profile::merge(set, shown, self.profile)
    }

    /// How long a message to `address`, sent in `mode`, waits for its notices.
    #[must_use]
    pub fn notice_within(&self, address: &DirectAddress, mode: SendMode) -> std::time::Duration {
        let own = self.peer(address).and_then(|peer| peer.notice_within);
        own.map_or_else(|| self.tracking.within(mode), |within| within.0)
    }

    /// Whether `address` is asked for `dispatched`.
    #[must_use]
    pub fn ask_dispatched(&self, address: &DirectAddress) -> AskDispatched {
        self.peer(address).and_then(|peer| peer.dispatched).unwrap_or(self.tracking.dispatched)
    }

    fn peer(&self, address: &DirectAddress) -> Option<&PeerFile> {
        self.peers.iter().find(|peer| peer.domain.eq_ignore_ascii_case(address.domain()))
    }

    /// Checks what the shape alone cannot say.
    ///
    /// # Errors
    /// Every problem found, not only the first.
    pub fn check(&self) -> Result<(), Vec<BadOrganization>> {
        let mut problems = Vec::new();
        let mut bad = |field: String, problem: &str| problems.push(BadOrganization { field, problem: problem.to_owned() });
        let slug_ok = !self.slug.is_empty()
            && self.slug.len() <= 40
            && self.slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !slug_ok {
            bad("slug".into(), "must be 1 to 40 lower-case letters, digits and dashes");
        }
        let mut line = |field: String, text: Option<&String>| {
            if let Some(Err(why)) = text.map(|t| super::text::line(t, super::text::FIELD_LIMIT)) {
                bad(field, &why.to_string());
            }
        };
        line("name".into(), Some(&self.name));
        line("phone".into(), self.phone.as_ref());
        for (i, site) in self.sites.iter().enumerate() {
            line(format!("site[{i}].local_id"), Some(&site.local_id));
            line(format!("site[{i}].name"), site.name.as_ref());
            line(format!("site[{i}].phone"), site.phone.as_ref());
        }
        for (i, site) in self.sites.iter().enumerate() {
            if self.sites[..i].iter().any(|earlier| earlier.local_id == site.local_id) {
                bad(format!("site[{i}].local_id"), "is used twice");
            }
            if self.mode == Mode::Test && site.mode == Some(Mode::Production) {
                bad(format!("site[{i}].mode"), "cannot be production in a test organization");
            }
        }
        problems.extend(identity_problems(&self.identities));
        let mut bad = |field: String, problem: &str| problems.push(BadOrganization { field, problem: problem.to_owned() });
        let tiers = &self.routing.fallback;
        if tiers.iter().enumerate().any(|(i, tier)| tiers[..i].contains(tier)) {
            bad("routing.fallback".into(), "names the same twice");
        } else if tiers.iter().position(|tier| *tier == Fallback::Hold).is_some_and(|at| at + 1 < tiers.len()) {
            bad("routing.fallback".into(), "must end with \"hold\": a person has it then, and nothing else is tried");
        }
        let waits = [
            ("tracking.notice_within", self.tracking.notice_within),
            ("tracking.notice_within_edge", self.tracking.notice_within_edge),
        ];
        for (field, _) in waits.iter().filter(|(_, wait)| wait.0.is_zero()) {
            bad((*field).into(), "must be longer than nothing");
        }
        for (field, problem) in self.trust.problems().into_iter().chain(self.alerts.problems()) {
            bad(field, problem);
        }
        for (i, peer) in self.peers.iter().enumerate() {
            if !super::address::is_host_name(&peer.domain) {
                bad(format!("peer[{i}].domain"), "is not a domain like direct.example.org");
            }
            if peer.notice_within.is_some_and(|within| within.0.is_zero()) {
                bad(format!("peer[{i}].notice_within"), "must be longer than nothing");
            }
            if self.peers[..i].iter().any(|earlier| earlier.domain.eq_ignore_ascii_case(&peer.domain)) {
                bad(format!("peer[{i}].domain"), "is used twice");
            }
        }
        let wants_mrn = self.document.patient_id == PatientId::Mrn || self.document.patient_id_own_site == Some(PatientId::Mrn);
        match &self.document.assigning_authority {
            None if wants_mrn => bad("document.assigning_authority".into(), "is needed for patient_id = \"mrn\""),
            Some(oid) if !is_oid(oid) => bad("document.assigning_authority".into(), "is not an OID like 2.16.840.1.113883.19.5"),
            _ => {}
        }
        if !is_loinc(&self.document.document_code) {
            bad("document.document_code".into(), "is not a LOINC code (its check digit does not match)");
        }
        problems.extend(self.price.iter().flat_map(|price| price.problems(&self.slug)));
        problems.extend(self.message.problems());
        problems.extend(webhook::problems(&self.webhooks));
        problems.extend(self.choice.problems());
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

/// What is wrong with a list of `[[identity]]`, an organization's or the installation's: every problem.
#[must_use]
pub fn identity_problems(identities: &[IdentityFile]) -> Vec<BadOrganization> {
    let mut problems = Vec::new();
    let mut bad = |field: String, problem: &str| problems.push(BadOrganization { field, problem: problem.to_owned() });
    for (i, identity) in identities.iter().enumerate() {
        if identities[..i].iter().any(|earlier| earlier.address == identity.address) {
            bad(format!("identity[{i}].address"), "is used twice");
        }
        if identity.mode == SendMode::StaMx {
            if identity.relay.is_some() {
                bad(format!("identity[{i}].relay"), "has no meaning in sta_mx mode: the recipient's MX is used");
            }
        } else if identity.relay.is_none() {
            bad(format!("identity[{i}].relay"), "is needed: name a [[relay]] of the installation's configuration");
        }
        if identity.mode == SendMode::Edge {
            if identity.key_file.is_some() || identity.key.is_some() || identity.certificate_file.is_some() {
                bad(format!("identity[{i}].key_file"), "has no meaning in edge mode: the HISP signs");
            }
        } else if identity.key_file.is_some() && identity.key.is_some() {
            bad(format!("identity[{i}].key"), "and key_file exclude each other: the key is on the token or in the file");
        } else if identity.certificate_file.is_some() != (identity.key_file.is_some() || identity.key.is_some()) {
            bad(
                format!("identity[{i}].certificate_file"),
                "and key_file (or key, on a token) go together; without both, postern trust identities import brings them",
            );
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minimal() -> OrganizationFile {
        serde_json::from_str(r#"{ "slug": "north", "name": "North" }"#).unwrap()
    }

    #[test]
    fn slug_and_name_are_enough() {
        assert_eq!(minimal().check(), Ok(()));
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let mut file = minimal();
        file.slug = "North Clinics".into();
        file.name = "A\nB".into();
        file.document.patient_id = PatientId::Mrn;
        file.document.document_code = "28619-8".into();
        let problems = file.check().unwrap_err();
        let fields: Vec<&str> = problems.iter().map(|p| p.field.as_str()).collect();
        assert_eq!(fields, ["slug", "name", "document.assigning_authority", "document.document_code"]);
    }
}
