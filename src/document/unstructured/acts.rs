//! What the document is about and how it stands to others.

use super::people;
use crate::{
    document::{Earlier, Facts, Relation, codes, codes::oid, xml::Xml},
    domain::order::{Priority, Procedure},
};

/// The order (CONF:1198-9952 to 9954).
pub(super) fn in_fulfillment_of(xml: &mut Xml<'_>, facts: &Facts<'_>) {
    xml.open("inFulfillmentOf", &[]);
    xml.open("order", &[]);
    xml.empty("id", &[("root", &facts.sender.root("order").to_string()), ("extension", &facts.order.order_id)]);
    if let Some(procedure) = &facts.order.procedure {
        exam(xml, procedure);
    }
    let (code, name) = match facts.order.priority {
        Priority::Routine => ("R", "Routine"),
        Priority::Urgent => ("UR", "Urgent"),
    };
    xml.empty("priorityCode", &[("code", code), ("codeSystem", oid::ACT_PRIORITY), ("displayName", name)]);
    xml.close("order");
    xml.close("inFulfillmentOf");
}

/// A procedure code of a known system, or its words.
fn exam(xml: &mut Xml<'_>, procedure: &Procedure) {
    let display = procedure.display.as_deref().filter(|display| !display.trim().is_empty());
    if let Some((system, name)) = procedure.system.as_deref().and_then(codes::procedure) {
        let mut attributes = vec![("code", procedure.code.as_str()), ("codeSystem", system)];
        attributes.extend(name.map(|name| ("codeSystemName", name)));
        attributes.extend(display.map(|display| ("displayName", display)));
        // The schema's code has no blanks in it; one that has is words.
        if !procedure.code.trim().is_empty() && !procedure.code.contains(char::is_whitespace) {
            return xml.empty("code", &attributes);
        }
    }
    xml.open("code", &[("nullFlavor", "OTH")]);
    match display {
        Some(display) => xml.text("originalText", &format!("{display} ({})", procedure.code)),
        None => xml.text("originalText", &procedure.code),
    }
    xml.close("code");
}

/// The exam (CONF:1198-14835 to 14847). It took place at some time before the report was finished; the scheduled time is
/// the only beginning we know.
pub(super) fn documentation_of(xml: &mut Xml<'_>, facts: &Facts<'_>) {
    xml.open("documentationOf", &[]);
    xml.open("serviceEvent", &[("classCode", "ACT")]);
    if let Some(procedure) = &facts.order.procedure {
        exam(xml, procedure);
    }
    let begun = facts.order.scheduled_at;
    xml.open("effectiveTime", &[]);
    match begun {
        Some(begun) => xml.empty("low", &[("value", &begun.hl7())]),
        None => xml.null("low", "UNK"),
    }
    if let Some(ended) = facts.exam_ended_at() {
        xml.empty("high", &[("value", &ended.hl7())]);
    }
    xml.close("effectiveTime");
    if let Some(reader) = &facts.report.author {
        xml.open("performer", &[("typeCode", "PRF")]); // CONF:1198-14839
        people::assigned_entity(xml, facts, reader);
        xml.close("performer");
    }
    xml.close("serviceEvent");
    xml.close("documentationOf");
}

/// The earlier document this one replaces or adds to (CDA R2 4.2.3.1).
pub(super) fn related_document(xml: &mut Xml<'_>, facts: &Facts<'_>) {
    let (kind, Earlier { id, set_id, version }) = match facts.relation {
        None => return,
        Some(Relation::Replaces(earlier)) => ("RPLC", earlier),
        Some(Relation::Appends(earlier)) => ("APND", earlier),
    };
    xml.open("relatedDocument", &[("typeCode", kind)]);
    xml.open("parentDocument", &[]);
    match id {
        Some(id) => xml.empty("id", &[("root", &id.to_string())]),
        None => xml.null("id", "UNK"),
    }
    xml.empty("setId", &[("root", &set_id.to_string())]);
    xml.empty("versionNumber", &[("value", &version.to_string())]);
    xml.close("parentDocument");
    xml.close("relatedDocument");
}

/// The visit (CONF:1198-9955 to 9958). Whether the patient was admitted is not known, so there is no code.
pub(super) fn component_of(xml: &mut Xml<'_>, facts: &Facts<'_>) {
    let Some(encounter) = facts.order.encounter.as_deref().filter(|encounter| !encounter.trim().is_empty()) else { return };
    xml.open("componentOf", &[]);
    xml.open("encompassingEncounter", &[]);
    xml.empty("id", &[("root", &facts.sender.root("encounter").to_string()), ("extension", encounter)]);
    match facts.order.scheduled_at {
        Some(begun) => {
            xml.open("effectiveTime", &[]);
            xml.empty("low", &[("value", &begun.hl7())]);
            xml.close("effectiveTime");
        }
        None => xml.null("effectiveTime", "UNK"),
    }
    xml.close("encompassingEncounter");
    xml.close("componentOf");
}
