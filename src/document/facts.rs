//! Everything a document says, gathered by whoever asks for it.

use uuid::Uuid;

use super::{Sender, codes::document_name};
use crate::domain::{
    DirectAddress, OffsetTime, Order, Report, order::Provider, organization::PatientId, report::ResultStatus,
    route::IntendedRecipient, words,
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

    /// Who signs the report: its reader, when it is finished. Somebody without a name signs nothing.
    pub(super) fn signer(&self) -> Option<&Provider> {
        self.report.author.as_ref().filter(|reader| self.is_finished() && reader.name.is_some())
    }

    /// When the exam was over, as far as that fits to its beginning.
    pub(super) fn exam_ended_at(&self) -> Option<OffsetTime> {
        self.report.completed_at.filter(|ended| self.order.scheduled_at.is_none_or(|begun| begun.at <= ended.at))
    }

    /// What the report is called: by itself, else by its document code.
    #[must_use]
    pub fn report_title(&self) -> &str {
        let plain = self.report.title.as_deref().map(str::trim).filter(|title| !title.is_empty());
        let plain = plain.or_else(|| document_name(self.document_code()).map(|name| name.trim_end_matches(" Document")));
        plain.unwrap_or("Result report")
    }

    /// The document's title, which says in front what kind of statement it is when it is not simply final.
    pub(super) fn title(&self) -> String {
        let plain = self.report_title();
        let mark = match self.report.status {
            ResultStatus::Corrected => "CORRECTED",
            ResultStatus::Addendum => "ADDENDUM",
            ResultStatus::Preliminary => "PRELIMINARY",
            ResultStatus::Final | ResultStatus::Resend => return plain.to_owned(),
        };
        if plain.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark)) {
            return plain.to_owned();
        }
        format!("{mark}: {plain}")
    }

    /// The LOINC code of the document.
    pub(super) fn document_code(&self) -> &str {
        self.report.document_code.as_deref().unwrap_or(&self.sender.document_code)
    }
}
