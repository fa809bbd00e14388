//! Everything a document says, gathered by whoever asks for it.

use uuid::Uuid;

use super::Sender;
use crate::domain::{
    DirectAddress, OffsetTime, Order, Report, organization::PatientId, report::ResultStatus, route::IntendedRecipient, words,
};

words! {
    /// How closely the document is to be kept (HL7 v3 Confidentiality, CONF:1198-5259).
    pub enum Confidentiality {
        /// Ordinary health information.
        Normal = "N",
        /// More sensitive than ordinary.
        Restricted = "R",
        /// The most sensitive.
        VeryRestricted = "V",
    }
}

/// What one document is made from.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// This document; new for each delivery.
    pub document_id: Uuid,
    /// The set its versions belong to; one for each order ([`Sender::set_id`]).
    pub set_id: Uuid,
    /// 1, 2, 3 ...
    pub version: u32,
    /// What it does to a document the same recipient got before.
    pub relation: Option<Relation>,
    /// The order.
    pub order: &'a Order,
    /// The report.
    pub report: &'a Report,
    /// The sending organization and site.
    pub sender: &'a Sender,
    /// How the patient's identifier appears, for this target.
    pub patient_id: PatientId,
    /// Whom it is meant for.
    pub recipient: Option<&'a IntendedRecipient>,
    /// The Direct address it goes to.
    pub address: Option<&'a DirectAddress>,
    /// How closely it is to be kept.
    pub confidentiality: Confidentiality,
    /// When the result came in: stands for `completed_at` where a report has none.
    pub received_at: OffsetTime,
    /// When this document was made, in the sender's time zone.
    pub made_at: OffsetTime,
}

/// What a document does to an earlier one (CDA R2 4.2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// A correction takes its place (RPLC).
    Replaces(Earlier),
    /// An addendum adds to it (APND); the earlier one stays valid.
    Appends(Earlier),
}

/// A document sent earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earlier {
    /// Its id, when it is known.
    pub id: Option<Uuid>,
    /// The set it belongs to.
    pub set_id: Uuid,
    /// Its version.
    pub version: u32,
}

impl Facts<'_> {
    /// When the report was finished, as far as we know.
    pub(super) fn completed_at(&self) -> OffsetTime {
        self.report.completed_at.unwrap_or(self.received_at)
    }

    /// Whether somebody stands behind the report as finished.
    pub(super) fn is_finished(&self) -> bool {
        self.report.status != ResultStatus::Preliminary
    }

    /// The LOINC code of the document.
    pub(super) fn document_code(&self) -> &str {
        self.report.document_code.as_deref().unwrap_or(&self.sender.document_code)
    }
}
