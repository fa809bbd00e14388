//! `INDEX.HTM` and `README.TXT`: the package for people (IHE ITI TF-2 3.32.4.1.2).

use super::{entry::Entry, inside};
use crate::document::{Facts, xml::Xml};

/// The documents with their links, as XHTML Basic 1.1. It names the patient, like the documents it lists.
pub(super) fn index(facts: &Facts<'_>, entries: &[Entry<'_>]) -> Vec<u8> {
    let title = facts.title();
    let mut out = Vec::with_capacity(2048);
    let mut xml = Xml::new(&mut out);
    xml.doctype(r#"html PUBLIC "-//W3C//DTD XHTML Basic 1.1//EN" "http://www.w3.org/TR/xhtml-basic/xhtml-basic11.dtd""#);
    xml.open("html", &[("xmlns", "http://www.w3.org/1999/xhtml"), ("xml:lang", "en-US")]);
    xml.open("head", &[]);
    xml.text("title", &title);
    xml.close("head");
    xml.open("body", &[]);
    xml.text("h1", &title);
    xml.open("dl", &[]);
    for (what, text) in about(facts) {
        xml.text("dt", what);
        xml.text("dd", &text);
    }
    xml.close("dl");
    xml.text("h2", "Documents");
    xml.open("ul", &[]);
    for entry in entries.iter().rev() {
        xml.open("li", &[]);
        xml.open("a", &[("href", &inside(entry.name))]);
        xml.words(entry.name);
        xml.close("a");
        xml.words(&format!(": {}", entry.caption));
        xml.close("li");
    }
    xml.close("ul");
    xml.open("p", &[]);
    xml.open("a", &[("href", "README.TXT")]);
    xml.words("About this package");
    xml.close("a");
    xml.close("p");
    xml.close("body");
    xml.close("html");
    drop(xml);
    out
}

/// What a person must know to tell whose result this is, and whom to ask.
fn about(facts: &Facts<'_>) -> Vec<(&'static str, String)> {
    let (order, site) = (&facts.order, &facts.sender.site);
    let mut lines = vec![("From", facts.sender.organization.name.clone()), ("Site", site.name.clone())];
    lines.extend(site.phone.clone().map(|phone| ("Telephone", phone)));
    lines.push(("Patient", order.patient.name.plain()));
    lines.push(("Born", order.patient.birth_date.to_string()));
    lines.push(("Order", order.order_id.clone()));
    lines.push(("Completed", facts.completed_at().plain()));
    lines.retain(|(_, text)| !text.trim().is_empty());
    lines
}

/// What this is, who made it and whom to call. Nothing about the patient.
pub(super) fn readme(facts: &Facts<'_>) -> String {
    let organization = &facts.sender.organization;
    let mut lines = vec![format!("This package holds a result sent by {}.", organization.name)];
    let phone = facts.sender.site.phone.as_ref().or(organization.phone.as_ref());
    lines.extend(phone.map(|phone| format!("Questions? Call {phone}.")));
    lines.extend(
        [
            "",
            "To read it, open INDEX.HTM: it lists the documents.",
            "",
            "INDEX.HTM                       the list of documents",
            "IHE_XDM/SUBSET01/METADATA.XML   what record systems need to file them",
            "IHE_XDM/SUBSET01/DOC*           the documents themselves",
            "",
            "The form of this package is IHE XDM (Cross-enterprise Document Media Interchange).",
            "It holds health information of a patient: keep it as you keep your records.",
        ]
        .map(str::to_owned),
    );
    lines.push(format!("Written by Postern {} at {}.", env!("CARGO_PKG_VERSION"), facts.made_at.plain()));
    // One line each, whatever a name holds; CRLF, for the oldest of readers.
    let lines: Vec<String> = lines.iter().map(|line| line.replace(['\r', '\n'], " ")).collect();
    lines.join("\r\n") + "\r\n"
}
