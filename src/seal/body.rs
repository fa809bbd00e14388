//! The plain-text body: what it is, from whom, about which order, whom to call. It is inside the encryption, so it may
//! name the patient.

use askama::Template;

use super::{SealError, letter::Enclosed, mime::one_line};
use crate::domain::{BirthDate, OffsetTime, report::ResultStatus};

/// What the body tells.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The sending organization's name.
    pub organization: &'a str,
    /// Whom to call.
    pub phone: Option<&'a str>,
    /// The site's name.
    pub site: &'a str,
    /// The sender's key of the order.
    pub order_id: &'a str,
    /// What the report is called.
    pub title: &'a str,
    /// When the report was finished.
    pub completed_at: OffsetTime,
    /// Whether the sender wants it looked at first.
    pub urgent: bool,
    /// What was done.
    pub exam: Option<&'a str>,
    /// Who ordered it.
    pub ordered_by: Option<&'a str>,
    /// Who read it.
    pub read_by: Option<&'a str>,
    /// Whom it is for, when known.
    pub recipient: Option<&'a str>,
    /// The patient's name in reading order.
    pub patient: &'a str,
    /// The patient's date of birth.
    pub birth_date: &'a BirthDate,
}

#[derive(Template)]
#[template(path = "mail/body.txt", escape = "none")]
struct Body {
    /// In capitals above everything, and what it means in one sentence.
    banner: Option<(&'static str, &'static str)>,
    urgent: bool,
    recipient: Option<String>,
    organization: String,
    lines: Vec<(&'static str, String)>,
    attached: &'static str,
    /// Whom to call: the site by its name when it is not the organization itself.
    office: String,
    phone: Option<String>,
}

pub(super) fn write(facts: &Facts<'_>, status: ResultStatus, enclosed: Enclosed<'_>) -> Result<String, SealError> {
    let organization = one_line(facts.organization);
    let site = one_line(facts.site);
    let office = if site.is_empty() || site == organization { organization.clone() } else { format!("{organization}, {site}") };
    let body = Body {
        banner: banner(status),
        urgent: facts.urgent,
        recipient: facts.recipient.map(one_line).filter(|recipient| !recipient.is_empty()),
        lines: lines(facts, site),
        organization,
        attached: attached(enclosed),
        office,
        phone: facts.phone.map(one_line).filter(|phone| !phone.is_empty()),
    };
    body.render().map_err(SealError::Body)
}

/// What a reader must know before anything else. The earlier report may never have reached this reader: nothing here says
/// that it has.
const fn banner(status: ResultStatus) -> Option<(&'static str, &'static str)> {
    match status {
        ResultStatus::Final => None,
        ResultStatus::Corrected => Some((
            "CORRECTED RESULT",
            "This replaces a report that was sent earlier for the same order.\n\
             Please use this one. If you have the earlier one, do not use it any more.",
        )),
        ResultStatus::Addendum => Some((
            "ADDENDUM",
            "This adds to a report that was sent earlier for the same order.\n\
             The earlier one stays valid: please read both.",
        )),
        ResultStatus::Preliminary => {
            Some(("PRELIMINARY RESULT", "This report is not finished and may still change.\nThe final report is yet to come."))
        }
        ResultStatus::Resend => Some(("SENT AGAIN", "This result is sent once more. You may have it already.")),
    }
}

fn lines(facts: &Facts<'_>, site: String) -> Vec<(&'static str, String)> {
    let or_blank = |text: Option<&str>| text.map(one_line).unwrap_or_default();
    let mut lines = vec![
        ("Patient", one_line(facts.patient)),
        ("Born", facts.birth_date.to_string()),
        ("Report", one_line(facts.title)),
        ("Exam", or_blank(facts.exam)),
        ("Order", one_line(facts.order_id)),
        ("Ordered by", or_blank(facts.ordered_by)),
        ("Site", site),
        ("Read by", or_blank(facts.read_by)),
        ("Completed", facts.completed_at.plain()),
    ];
    lines.retain(|(_, text)| !text.is_empty());
    lines
}

const fn attached(enclosed: Enclosed<'_>) -> &'static str {
    match enclosed {
        Enclosed::Documents { pdf: None, .. } => "The report is attached as a C-CDA document with the PDF inside it.",
        Enclosed::Documents { pdf: Some(_), .. } => {
            "The report is attached twice: as a PDF to read, and as a C-CDA document for\n\
             your record system, with the same PDF inside it."
        }
        Enclosed::Package { with_pdf: false, .. } => {
            "The report is attached in a ZIP file (an XDM package), as a C-CDA document\n\
             with the PDF inside it. Its list of contents is INDEX.HTM."
        }
        Enclosed::Package { with_pdf: true, .. } => {
            "The report is attached in a ZIP file (an XDM package): as a PDF to read, and as\n\
             a C-CDA document for your record system. Its list of contents is INDEX.HTM."
        }
    }
}
