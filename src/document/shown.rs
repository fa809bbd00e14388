//! A C-CDA header in words: what a clinician's system shows of the document we send, element by element.
//!
//! It is read back from the XML itself, so that nobody is shown what the document does not say.

use quick_xml::{Reader, events::Event};

/// What belongs together: the document, the patient, an author.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub heading: &'static str,
    /// Each with its name.
    pub facts: Vec<(&'static str, String)>,
}

/// An element with everything in it.
#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Element>,
    text: String,
}

/// Deeper than any document of ours.
const DEEPEST: usize = 64;

/// The parts of a header, in the order in which they stand. What cannot be read has none.
#[must_use]
pub fn parts(xml: &[u8]) -> Vec<Part> {
    let Some(root) = std::str::from_utf8(xml).ok().and_then(Element::read) else { return Vec::new() };
    let mut parts = vec![document(&root)];
    for (path, heading) in [
        ("recordTarget/patientRole", "Patient"),
        ("author/assignedAuthor", "Author"),
        ("custodian/assignedCustodian/representedCustodianOrganization", "Custodian"),
        ("informationRecipient/intendedRecipient", "Meant for"),
        ("legalAuthenticator/assignedEntity", "Signed by"),
        ("participant/associatedEntity", "Ordered by"),
        ("inFulfillmentOf/order", "Order"),
        ("documentationOf/serviceEvent", "Exam"),
        ("relatedDocument/parentDocument", "Earlier document"),
        ("componentOf/encompassingEncounter", "Encounter"),
    ] {
        for element in root.at(path) {
            let mut facts = Vec::new();
            element.say(&mut facts, false);
            if !facts.is_empty() {
                parts.push(Part { heading, facts });
            }
        }
    }
    parts
}

fn document(root: &Element) -> Part {
    let mut facts = Vec::new();
    let mut say = |name, value: Option<String>| facts.extend(value.filter(|value| !value.is_empty()).map(|value| (name, value)));
    say("Title", root.first("title").map(|title| title.text.clone()));
    say("Kind", root.first("code").map(Element::coded));
    say("Made", root.first("effectiveTime").map(Element::coded));
    say("Version", root.first("versionNumber").map(Element::coded));
    say("Id", root.first("id").map(Element::coded));
    say("Set", root.first("setId").map(Element::coded));
    let relation = root.first("relatedDocument").and_then(|related| related.attribute("typeCode"));
    say(
        "Does",
        relation.map(|code| {
            if code == "APND" { "adds to an earlier document" } else { "takes the place of an earlier document" }.to_owned()
        }),
    );
    let body = root.at("component/nonXMLBody/text");
    say("Body", body.first().and_then(|text| text.attribute("mediaType")).map(str::to_owned));
    Part { heading: "Document", facts }
}

impl Element {
    fn read(xml: &str) -> Option<Self> {
        let mut reader = Reader::from_str(xml);
        reader.config_mut().check_end_names = true;
        let mut open = vec![Self::default()];
        loop {
            match reader.read_event().ok()? {
                Event::Start(start) if open.len() < DEEPEST => open.push(Self::begun(&start)?),
                Event::Empty(start) => open.last_mut()?.children.push(Self::begun(&start)?),
                Event::End(_) => {
                    let closed = open.pop()?;
                    open.last_mut()?.children.push(closed);
                }
                Event::Text(text) => open.last_mut()?.text.push_str(&text),
                Event::GeneralRef(entity) => {
                    let text = format!("&{};", &*entity);
                    open.last_mut()?.text.push_str(&quick_xml::escape::unescape(&text).ok()?);
                }
                Event::Decl(_) => {}
                Event::Eof => break,
                _ => return None,
            }
        }
        open.pop()?.children.pop()
    }

    fn begun(start: &quick_xml::events::BytesStart<'_>) -> Option<Self> {
        let mut attributes = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.ok()?;
            let value = quick_xml::escape::unescape(&attribute.value).ok()?.into_owned();
            attributes.push((attribute.key.0.to_owned(), value));
        }
        Some(Self { name: start.name().0.to_owned(), attributes, ..Self::default() })
    }

    fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    fn first(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// Every element at `path` (`a/b/c`).
    fn at(&self, path: &str) -> Vec<&Self> {
        path.split('/').fold(vec![self], |all, name| {
            all.into_iter().flat_map(|one| one.children.iter().filter(move |child| child.name == name)).collect()
        })
    }

    /// What a coded element, an id or a time says; why nothing, when it says that.
    fn coded(&self) -> String {
        if let Some(flavor) = self.attribute("nullFlavor") {
            return match flavor {
                "NI" => "no information".to_owned(),
                "UNK" => "unknown".to_owned(),
                other => format!("not said ({other})"),
            };
        }
        if let (Some(root), extension) = (self.attribute("root"), self.attribute("extension")) {
            // The root of National Provider Identifiers (CONF:1198-5417).
            if let ("2.16.840.1.113883.4.6", Some(npi)) = (root, extension) {
                return format!("NPI {npi}");
            }
            return extension.map_or_else(|| root.to_owned(), |extension| format!("{extension} (under {root})"));
        }
        let word = self.attribute("displayName").map(str::to_owned);
        let code = self.attribute("code").or_else(|| self.attribute("value"));
        match (word, code) {
            (Some(word), Some(code)) => format!("{word} ({code})"),
            (None, Some(code)) if self.name.ends_with("ime") || matches!(self.name.as_str(), "low" | "high") => time(code),
            (None, Some(code)) => code.trim_start_matches("tel:").trim_start_matches("mailto:").to_owned(),
            (Some(word), None) => word,
            (None, None) => self.all_text(),
        }
    }

    /// The texts of everything below, with blanks between them.
    fn all_text(&self) -> String {
        let mut texts: Vec<String> = self.children.iter().map(Self::all_text).filter(|text| !text.is_empty()).collect();
        if !self.text.trim().is_empty() {
            texts.insert(0, self.text.trim().to_owned());
        }
        texts.join(" ")
    }

    /// What everything below says that has a name for people; `of` when it is the organization's, not the person's.
    fn say(&self, facts: &mut Vec<(&'static str, String)>, of: bool) {
        for child in &self.children {
            let name = match (child.name.as_str(), of) {
                ("id", false) => "Identifier",
                ("id", true) => "Its identifier",
                ("name", false) => "Name",
                ("name", true) => "Organization",
                ("addr", false) => "Address",
                ("addr", true) => "Its address",
                ("telecom", false) => "Reached at",
                ("telecom", true) => "Its telephone",
                ("birthTime", _) => "Born",
                ("administrativeGenderCode", _) => "Gender",
                ("maritalStatusCode", _) => "Marital status",
                ("raceCode" | "sdtc:raceCode", _) => "Race",
                ("ethnicGroupCode", _) => "Ethnicity",
                ("languageCode", _) => "Language",
                ("time", _) => "When",
                ("code", _) => "Kind",
                ("low", _) => "From",
                ("high", _) => "Until",
                ("effectiveTime", _) if child.attribute("value").is_some() => "When",
                ("setId", _) => "Set",
                ("versionNumber", _) => "Version",
                ("manufacturerModelName", _) => "Device",
                ("softwareName", _) => "Software",
                _ => {
                    let organization = child.name.to_ascii_lowercase().contains("organization");
                    child.say(facts, of || organization);
                    continue;
                }
            };
            let said = child.coded();
            if !said.is_empty() && !facts.contains(&(name, said.clone())) {
                facts.push((name, said));
            }
        }
    }
}

/// An HL7 time (`20260115101530-0500`) as people write one.
fn time(text: &str) -> String {
    let part = |from: usize, to: usize| text.get(from..to).filter(|part| part.bytes().all(|b| b.is_ascii_digit()));
    let mut said = match (part(0, 4), part(4, 6), part(6, 8)) {
        (Some(year), Some(month), Some(day)) => format!("{year}-{month}-{day}"),
        (Some(year), Some(month), None) => format!("{year}-{month}"),
        _ => return text.to_owned(),
    };
    if let (Some(hour), Some(minute)) = (part(8, 10), part(10, 12)) {
        said += &format!(" {hour}:{minute}");
    }
    if let Some(zone) = text.find(['+', '-']).and_then(|at| text.get(at..)) {
        said += &format!(" {zone}");
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_document_says_is_what_is_shown() {
        let case = super::super::unstructured::tests::cases::Case::full();
        let parts = parts(&case.xml());
        let has = |heading: &str, name: &str, part: &str| {
            let found = parts.iter().filter(|one| one.heading == heading).flat_map(|one| &one.facts);
            found.clone().any(|(known, value)| *known == name && value.contains(part))
        };
        for (heading, name, part) in [
            ("Document", "Title", ""),
            ("Document", "Body", "application/pdf"),
            ("Patient", "Born", "-"),
            ("Patient", "Gender", ""),
            ("Custodian", "Name", ""),
            ("Order", "Identifier", ""),
        ] {
            assert!(has(heading, name, part), "{heading} {name} {part}: {parts:#?}");
        }
        assert!(parts.iter().all(|part| !part.facts.is_empty()));
    }

    #[test]
    fn every_document_we_write_can_be_shown() {
        for case in super::super::unstructured::tests::cases::all() {
            let parts = parts(&case.xml());
            assert!(parts.iter().any(|part| part.heading == "Patient"), "{}", case.name);
        }
    }

    #[test]
    fn what_is_no_document_shows_nothing() {
        let deep = "<a>".repeat(100);
        for xml in ["", "<a>", "<a></b>", "<a>&undefined;</a>", deep.as_str()] {
            assert!(parts(xml.as_bytes()).iter().all(|part| part.heading == "Document"), "{xml}");
        }
    }

    #[test]
    fn a_time_is_written_as_people_write_one() {
        let said: Vec<String> = ["1964", "19640217", "20260115101530-0500"].into_iter().map(time).collect();
        assert_eq!(said, ["1964", "1964-02-17", "2026-01-15 10:15 -0500"]);
    }
}
