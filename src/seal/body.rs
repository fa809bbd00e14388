//! The plain-text body: what it is, from whom, about which order, whom to call. It is inside the encryption, so it may
//! name the patient.

use askama::Template;

use super::{SealError, mime::one_line};
use crate::domain::{BirthDate, OffsetTime};

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
    corrected: bool,
    organization: String,
    phone: Option<String>,
    site: String,
    order_id: String,
    title: String,
    completed_at: String,
    recipient: Option<String>,
    patient: String,
    birth_date: String,
}

pub(super) fn write(facts: &Facts<'_>, corrected: bool) -> Result<String, SealError> {
    let body = Body {
        corrected,
        organization: one_line(facts.organization),
        phone: facts.phone.map(one_line),
        site: one_line(facts.site),
        order_id: one_line(facts.order_id),
        title: one_line(facts.title),
        completed_at: facts.completed_at.plain(),
        recipient: facts.recipient.map(one_line),
        patient: one_line(facts.patient),
        birth_date: facts.birth_date.to_string(),
    };
    body.render().map_err(SealError::Body)
}
