//! The inner message of a result: headers, a body for people, context for machines, the document.

use super::{
    SealError,
    body::{self, Facts},
    context::{self, Context},
    mime::{attachment, boundary, opaque_name, text, text_part},
};
use crate::{
    crypto::base64_lines::encoded_len,
    domain::{DirectAddress, MessageId, OffsetTime, report::ResultStatus},
};

/// Everything the inner message of one delivery is made of.
#[derive(Debug, Clone)]
pub struct Letter<'a> {
    /// The identity it is sent from.
    pub from: &'a DirectAddress,
    /// The one recipient.
    pub to: &'a DirectAddress,
    /// Its Message-ID, kept across retries.
    pub message_id: &'a MessageId,
    /// When the message was made.
    pub date: OffsetTime,
    /// What kind of statement the result is: a correction says so.
    pub status: ResultStatus,
    /// Whether to ask for notice of the final delivery.
    pub wants_dispatched: bool,
    /// What the body tells the clinician.
    pub facts: Facts<'a>,
    /// What the context metadata tells the receiving system.
    pub context: Context<'a>,
    /// The result itself.
    pub enclosed: Enclosed<'a>,
}

/// The result itself, as the peer wants it.
#[derive(Debug, Clone, Copy)]
pub enum Enclosed<'a> {
    /// Attachments of their own.
    Documents {
        /// The C-CDA document.
        cda: &'a [u8],
        /// The PDF beside it, where the peer wants both.
        pdf: Option<&'a [u8]>,
    },
    /// One attachment with everything in it.
    Package {
        /// The XDM package.
        zip: &'a [u8],
        /// Whether the PDF is in it beside the C-CDA.
        with_pdf: bool,
    },
}

impl Letter<'_> {
    /// The subject: the same for every patient.
    #[must_use]
    pub const fn subject(&self) -> &'static str {
        // XDR and XDM for Direct Messaging 1.0: a message with a package says so in its subject. It stays inside.
        match (self.status, self.enclosed) {
            (ResultStatus::Corrected, Enclosed::Documents { .. }) => "Corrected clinical result",
            (ResultStatus::Corrected, Enclosed::Package { .. }) => "Corrected clinical result XDM/1.0/DDM",
            (_, Enclosed::Documents { .. }) => "Clinical result",
            (_, Enclosed::Package { .. }) => "Clinical result XDM/1.0/DDM",
        }
    }

    /// Appends the message to `out`: CRLF line ends, no line longer than 998 octets, ASCII only.
    pub fn compose(&self, out: &mut Vec<u8>) -> Result<(), SealError> {
        let id = self.message_id.as_str();
        let mixed = boundary(id, "mixed");
        let content_id = format!("<context.{}>", self.message_id.bare());
        out.reserve(self.enclosed.encoded_len() + 8192);
        self.headers(&mixed, &content_id, out);

        text(out, &["--", &mixed, "\r\n"]);
        text_part(out, &[], &body::write(&self.facts, self.status, self.enclosed)?);
        text(out, &["\r\n--", &mixed, "\r\n"]);
        let disposition = "Content-Disposition: attachment; filename=metadata.txt\r\n";
        text_part(out, &[disposition, "Content-ID: ", &content_id, "\r\n"], &context::write(&self.context, &content_id));
        text(out, &["\r\n--", &mixed, "\r\n"]);
        match self.enclosed {
            Enclosed::Documents { cda, pdf } => {
                attachment(out, "application/xml", &opaque_name(id, "result", "xml"), cda);
                if let Some(pdf) = pdf {
                    text(out, &["\r\n--", &mixed, "\r\n"]);
                    attachment(out, "application/pdf", &opaque_name(id, "result", "pdf"), pdf);
                }
            }
            Enclosed::Package { zip, .. } => attachment(out, "application/zip", &opaque_name(id, "result", "zip"), zip),
        }
        text(out, &["\r\n--", &mixed, "--\r\n"]);
        Ok(())
    }

    fn headers(&self, mixed: &str, content_id: &str, out: &mut Vec<u8>) {
        // Addresses, ids and times are types that cannot hold a line end; the rest is fixed text.
        text(out, &["Date: ", &self.date.rfc5322(), "\r\n"]);
        text(out, &["From: ", self.from.as_str(), "\r\n"]);
        text(out, &["To: ", self.to.as_str(), "\r\n"]);
        text(out, &["Message-ID: ", self.message_id.as_str(), "\r\n"]);
        text(out, &["Subject: ", self.subject(), "\r\n"]);
        text(out, &["MIME-Version: 1.0\r\n"]);
        text(out, &["Disposition-Notification-To: ", self.from.as_str(), "\r\n"]);
        if self.wants_dispatched {
            // Delivery Notification IG 1.3: asks for `dispatched` beside `processed`.
            text(out, &["Disposition-Notification-Options: X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true\r\n"]);
        }
        // Expressing Context in Direct Messaging 1.1.
        text(out, &["X-Direct-Context: ", content_id, "\r\n"]);
        text(out, &["Content-Type: multipart/mixed;\r\n boundary=\"", mixed, "\"\r\n\r\n"]);
    }
}

impl Enclosed<'_> {
    /// Octets of everything in base64 lines.
    fn encoded_len(self) -> usize {
        match self {
            Self::Documents { cda, pdf } => encoded_len(cda.len()) + pdf.map_or(0, |pdf| encoded_len(pdf.len())),
            Self::Package { zip, .. } => encoded_len(zip.len()),
        }
    }
}
