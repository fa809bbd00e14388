//! The registry objects of ebRIM 3.0: slots, classifications, external identifiers, associations (IHE ITI TF-3 4.2.3.1).
//!
//! In an object the order is: slots, name, classifications, external identifiers (rim.xsd).

use crate::document::xml::Xml;

/// Longest value (rim.xsd, LongName).
pub(super) const LONGEST: usize = 256;
/// Longest title (IHE ITI TF-3 4.2.3.2.27).
const LONGEST_TITLE: usize = 128;

const CLASSIFICATION: &str = "urn:oasis:names:tc:ebxml-regrep:ObjectType:RegistryObject:Classification";
const IDENTIFIER: &str = "urn:oasis:names:tc:ebxml-regrep:ObjectType:RegistryObject:ExternalIdentifier";
const ASSOCIATION: &str = "urn:oasis:names:tc:ebxml-regrep:ObjectType:RegistryObject:Association";

/// A code with its system and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code<'a> {
    pub(super) value: &'a str,
    pub(super) system: &'a str,
    pub(super) name: &'a str,
}

/// Writes registry objects; numbers those that nobody refers to.
pub(super) struct Rim<'o> {
    pub(super) xml: Xml<'o>,
    numbered: usize,
}

impl<'o> Rim<'o> {
    pub(super) const fn new(xml: Xml<'o>) -> Self {
        Self { xml, numbered: 0 }
    }

    fn next_id(&mut self) -> String {
        self.numbered += 1;
        format!("id{:02}", self.numbered)
    }

    /// A slot with its values. What is empty is left out, and what is longer than a value may be as well: cut off it
    /// would say something else.
    pub(super) fn slot(&mut self, name: &str, values: &[String]) {
        let fits = |value: &&String| !value.trim().is_empty() && value.chars().count() <= LONGEST;
        let values: Vec<&String> = values.iter().filter(fits).collect();
        if values.is_empty() {
            return;
        }
        self.xml.open("rim:Slot", &[("name", name)]);
        self.xml.open("rim:ValueList", &[]);
        for value in values {
            self.xml.text("rim:Value", value);
        }
        self.xml.close("rim:ValueList");
        self.xml.close("rim:Slot");
    }

    /// The name of an object: the one text here that may be cut off.
    pub(super) fn name(&mut self, name: &str) {
        let name: String = name.trim().chars().take(LONGEST_TITLE).collect();
        if name.is_empty() {
            return;
        }
        self.xml.open("rim:Name", &[]);
        self.xml.empty("rim:LocalizedString", &[("xml:lang", "en-US"), ("charset", "UTF-8"), ("value", &name)]);
        self.xml.close("rim:Name");
    }

    /// `object` carries a code of the attribute `scheme`.
    pub(super) fn code(&mut self, object: &str, scheme: &str, code: Code<'_>) {
        self.open_classification(object, scheme, code.value);
        self.slot("codingScheme", &[code.system.to_owned()]);
        self.name(code.name);
        self.xml.close("rim:Classification");
    }

    /// Who made `object`.
    pub(super) fn author(&mut self, object: &str, scheme: &str, slots: &[(&str, String)]) {
        self.open_classification(object, scheme, "");
        for (name, value) in slots {
            self.slot(name, std::slice::from_ref(value));
        }
        self.xml.close("rim:Classification");
    }

    fn open_classification(&mut self, object: &str, scheme: &str, representation: &str) {
        let id = self.next_id();
        let attributes = [
            ("id", id.as_str()),
            ("objectType", CLASSIFICATION),
            ("classificationScheme", scheme),
            ("classifiedObject", object),
            ("nodeRepresentation", representation),
        ];
        self.xml.open("rim:Classification", &attributes);
    }

    /// `object` is one of those that `node` stands for.
    pub(super) fn is_a(&mut self, object: &str, node: &str) {
        let id = self.next_id();
        let attributes =
            [("id", id.as_str()), ("objectType", CLASSIFICATION), ("classificationNode", node), ("classifiedObject", object)];
        self.xml.empty("rim:Classification", &attributes);
    }

    /// `object` goes by `value`, which is its attribute `name`.
    pub(super) fn identifier(&mut self, object: &str, scheme: &str, name: &str, value: &str) {
        let id = self.next_id();
        let attributes = [
            ("id", id.as_str()),
            ("objectType", IDENTIFIER),
            ("registryObject", object),
            ("identificationScheme", scheme),
            ("value", value),
        ];
        self.xml.open("rim:ExternalIdentifier", &attributes);
        self.name(name);
        self.xml.close("rim:ExternalIdentifier");
    }

    /// `source` is to `target` what `kind` says.
    pub(super) fn association(&mut self, kind: &str, source: &str, target: &str, slots: &[(&str, &str)]) {
        let id = self.next_id();
        let attributes = [
            ("id", id.as_str()),
            ("objectType", ASSOCIATION),
            ("associationType", kind),
            ("sourceObject", source),
            ("targetObject", target),
        ];
        self.xml.open("rim:Association", &attributes);
        for (name, value) in slots {
            self.slot(name, &[(*value).to_owned()]);
        }
        self.xml.close("rim:Association");
    }
}
