//! Results on the wire.

use base64::{
    Engine as _,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use uuid::Uuid;

use super::{
    fields::{Fields, Findings},
    json::Node,
    order::{self, OrderMessage},
    patient::{self, KEY_LIMIT},
};
use crate::domain::{Order, Report, organization::is_loinc, report::ResultStatus, text::FIELD_LIMIT, time::Date};

/// A completed result as its sender states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultMessage {
    /// What the report says about itself.
    pub report: Report,
    /// The order, from senders that keep none.
    pub order: Option<Box<Order>>,
    /// The PDF, when it came inside.
    pub pdf: Option<Vec<u8>>,
    /// Its version, for `postern document`, which has no store to count in.
    pub version: Option<u32>,
    /// The document it replaces or adds to, for `postern document`.
    pub replaces: Option<Replaces>,
}

/// An earlier document, as far as the sender can name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replaces {
    /// Its document id.
    pub id: Option<Uuid>,
    /// Its set of versions.
    pub set_id: Option<Uuid>,
    /// Its version.
    pub version: Option<u32>,
}

/// Reads a result.
pub(super) fn read(findings: &Findings, node: &Node<'_>, today: Date) -> Option<ResultMessage> {
    let mut fields = Fields::of(findings, "", node)?;
    let order_id = fields.required_text("order_id", KEY_LIMIT);
    let order = fields.take("order");
    // The order says it; a result may say it again.
    let site = fields.text("site", KEY_LIMIT);
    let status = fields.required_word::<ResultStatus>("status");
    let completed_at = patient::time(&mut fields, "completed_at");
    let title = fields.text("title", FIELD_LIMIT);
    let document_code = fields.text("document_code", KEY_LIMIT);
    if document_code.as_deref().is_some_and(|code| !is_loinc(code)) {
        fields.problem("document_code", "not_loinc", "is not a LOINC code like 103592-2 (its check digit does not match)");
    }
    let author = order::provider(&mut fields, "author");
    let pdf = pdf(&mut fields);
    let version = fields.count("version");
    let replaces = replaces(&mut fields);
    let order = order.and_then(|node| inline_order(findings, node, order_id.as_deref(), site.as_deref(), today));
    fields.done();
    let site = site.or_else(|| order.as_ref().map(|order| order.site.clone()));
    let report = Report {
        order_id: order_id?,
        site: site.unwrap_or_default(),
        status: status?,
        completed_at,
        title,
        document_code,
        author,
    };
    Some(ResultMessage { report, order, pdf, version, replaces })
}

fn inline_order(
    findings: &Findings,
    node: &Node<'_>,
    order_id: Option<&str>,
    site: Option<&str>,
    today: Date,
) -> Option<Box<Order>> {
    let order = match order::read(findings, "/order", node, today)? {
        OrderMessage::New(order) | OrderMessage::Change(order) => order,
        OrderMessage::Cancel(_) => {
            findings.problem("/order/action", "unknown_code", "must not be cancel inside a result");
            return None;
        }
    };
    for (field, outer, inner) in [("order_id", order_id, &order.order_id), ("site", site, &order.site)] {
        if outer.is_some_and(|outer| outer != inner) {
            findings.problem(&format!("/order/{field}"), "mismatch", format!("differs from /{field} of the result"));
        }
    }
    Some(order)
}

/// Padding may be missing, as many encoders leave it out; stray bits at the end may not.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn pdf(fields: &mut Fields<'_, '_>) -> Option<Vec<u8>> {
    let text = fields.raw("pdf")?;
    // Encoders that break lines (RFC 2045 6.8) are common; the breaks mean nothing.
    let unbroken: std::borrow::Cow<'_, str> = if text.contains(|c: char| c.is_ascii_whitespace()) {
        text.chars().filter(|c| !c.is_ascii_whitespace()).collect::<String>().into()
    } else {
        text.into()
    };
    let decoded = LENIENT.decode(unbroken.as_bytes());
    if decoded.is_err() {
        fields.problem("pdf", "bad_base64", "is not base64 (RFC 4648 4, without a data: prefix)");
    }
    decoded.ok()
}

fn replaces(fields: &mut Fields<'_, '_>) -> Option<Replaces> {
    let at = fields.pointer("replaces");
    match fields.take("replaces")? {
        // The short form: the id of the earlier document, or its version.
        Node::Text(text) => uuid(fields.findings(), &at, text).map(|id| Replaces { id: Some(id), ..Replaces::default() }),
        Node::Number(_) => fields.count("replaces").map(|version| Replaces { version: Some(version), ..Replaces::default() }),
        node => {
            let mut inner = Fields::of(fields.findings(), &at, node)?;
            let id = inner.raw("id").and_then(|text| uuid(inner.findings(), &inner.pointer("id"), text));
            let set_id = inner.raw("set_id").and_then(|text| uuid(inner.findings(), &inner.pointer("set_id"), text));
            let version = inner.count("version");
            inner.done();
            Some(Replaces { id, set_id, version })
        }
    }
}

fn uuid(findings: &Findings, at: &str, text: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(text.trim()).ok();
    if id.is_none() {
        findings.problem(
            at,
            "not_an_id",
            "is not a document id (a UUID), a version number, or an object of id, set_id and version",
        );
    }
    id
}
