//! The inner message of a result: headers, a body for people, context for machines, the document.

use super::{
    SealError,
    body::{self, Facts},
    context::{self, Context},
    mime::{attachment, boundary, opaque_name, text, text_part},
};
use crate::{
    crypto::base64_lines::encoded_len,
    domain::{DirectAddress, MessageId, OffsetTime},
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
    /// Whether it replaces an earlier, wrong version.
    pub corrected: bool,
    /// Whether to ask for notice of the final delivery.
    pub wants_dispatched: bool,
    /// What the body tells the clinician.
    pub facts: Facts<'a>,
    /// What the context metadata tells the receiving system.
    pub context: Context<'a>,
    /// The C-CDA document.
    pub cda: &'a [u8],
    /// The PDF beside it, where the peer wants both.
    pub pdf: Option<&'a [u8]>,
}

impl Letter<'_> {
    /// The subject: the same for every patient.
    #[must_use]
    pub const fn subject(&self) -> &'static str {
        if self.corrected { "Corrected clinical result" } else { "Clinical result" }
    }

    /// Appends the message to `out`: CRLF line ends, no line longer than 998 octets, ASCII only.
    pub fn compose(&self, out: &mut Vec<u8>) -> Result<(), SealError> {
        let id = self.message_id.as_str();
        let mixed = boundary(id, "mixed");
        let content_id = format!("<context.{}>", self.message_id.bare());
        let pdf_len = self.pdf.map_or(0, |pdf| encoded_len(pdf.len()));
        out.reserve(encoded_len(self.cda.len()) + pdf_len + 8192);
        self.headers(&mixed, &content_id, out);

        text(out, &["--", &mixed, "\r\n"]);
        text_part(out, &[], &body::write(&self.facts, self.corrected)?);
        text(out, &["\r\n--", &mixed, "\r\n"]);
        let disposition = "Content-Disposition: attachment; filename=metadata.txt\r\n";
        text_part(out, &[disposition, "Content-ID: ", &content_id, "\r\n"], &context::write(&self.context, &content_id));
        text(out, &["\r\n--", &mixed, "\r\n"]);
        attachment(out, "application/xml", &opaque_name(id, "result", "xml"), self.cda);
        if let Some(pdf) = self.pdf {
            text(out, &["\r\n--", &mixed, "\r\n"]);
            attachment(out, "application/pdf", &opaque_name(id, "result", "pdf"), pdf);
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
