//! The shapes of resources, as far as they matter here. Everything is optional: directories leave out what guides require.

use std::borrow::Cow;

use serde::Deserialize;

use crate::{
    domain::{DirectAddress, Npi},
    resolve::directory::clean,
};

/// Both names under which NPIs are written.
pub const NPI_SYSTEMS: [&str; 2] = ["http://hl7.org/fhir/sid/us-npi", "http://terminology.hl7.org/NamingSystem/npi"];
const DIRECT_TELECOM: &str = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-direct";

/// Any resource.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Resource<'a> {
    /// What it is.
    #[serde(borrow)]
    pub resource_type: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    pub(super) active: Option<bool>,
    #[serde(borrow)]
    pub(super) status: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) identifier: Vec<Identifier<'a>>,
    #[serde(borrow)]
    pub(super) telecom: Vec<Telecom<'a>>,
    /// A string of an Organization or Endpoint; a list of parts of a Practitioner.
    pub(super) name: Loose,
    /// A string of an Endpoint; addresses of anybody else.
    pub(super) address: Loose,
    /// A Coding, or in later versions a list of CodeableConcepts.
    pub(super) connection_type: Loose,
    #[serde(borrow)]
    pub(super) extension: Vec<Extension<'a>>,
    #[serde(borrow)]
    pub(super) practitioner: Option<Reference<'a>>,
    #[serde(borrow)]
    pub(super) organization: Option<Reference<'a>>,
    #[serde(borrow)]
    pub(super) participating_organization: Option<Reference<'a>>,
    #[serde(borrow)]
    pub(super) endpoint: Vec<Reference<'a>>,
    #[serde(borrow)]
    pub(super) period: Option<Period<'a>>,
    /// Of a Bundle.
    #[serde(borrow)]
    pub entry: Vec<BundleEntry<'a>>,
    /// Of a Bundle.
    #[serde(borrow)]
    pub link: Vec<Link<'a>>,
}

/// One entry of a Bundle.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BundleEntry<'a> {
    /// What others may refer to it by.
    #[serde(borrow)]
    pub full_url: Cow<'a, str>,
    /// The resource, whatever its shape: one that cannot be read costs nothing but itself.
    pub resource: Loose,
}

/// A link of a Bundle.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Link<'a> {
    /// `next` leads to more.
    #[serde(borrow)]
    pub relation: Cow<'a, str>,
    /// Where.
    #[serde(borrow)]
    pub url: Cow<'a, str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Identifier<'a> {
    #[serde(borrow)]
    pub(super) system: Cow<'a, str>,
    pub(super) value: Loose,
    #[serde(borrow, rename = "use")]
    pub(super) usage: Cow<'a, str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Telecom<'a> {
    #[serde(borrow)]
    pub(super) system: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) value: Cow<'a, str>,
    pub(super) rank: Option<i64>,
    #[serde(borrow, rename = "use")]
    pub(super) usage: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) extension: Vec<Extension<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Extension<'a> {
    #[serde(borrow)]
    pub(super) url: Cow<'a, str>,
    pub(super) value_boolean: Option<bool>,
    pub(super) value_positive_int: Option<i64>,
    pub(super) value_integer: Option<i64>,
    #[serde(borrow)]
    pub(super) value_reference: Option<Reference<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Reference<'a> {
    #[serde(borrow)]
    pub(super) reference: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) extension: Vec<ShallowExtension<'a>>,
}

/// An extension of a reference, which has no reference of its own that mattered.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ShallowExtension<'a> {
    #[serde(borrow)]
    pub(super) url: Cow<'a, str>,
    pub(super) value_positive_int: Option<i64>,
    pub(super) value_integer: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Period<'a> {
    #[serde(borrow)]
    pub(super) end: Cow<'a, str>,
}

/// A value whose type differs from resource to resource, or from server to server.
pub type Loose = serde_json::Value;

/// The number of an extension that says which endpoint is preferred.
const RANK: &str = "endpoint-rank";

impl Resource<'_> {
    /// The NPI, when it has one that is not out of use.
    pub(crate) fn npi(&self) -> Option<Npi> {
        self.identifier.iter().find_map(|identifier| {
            let named = NPI_SYSTEMS.contains(&identifier.system.trim_end_matches('/')) && identifier.usage != "old";
            let value = match &identifier.value {
                Loose::String(text) => text.trim().to_owned(),
                Loose::Number(number) => number.to_string(),
                _ => return None,
            };
            named.then(|| value.parse().ok())?
        })
    }

    /// Whether it claims to have one, of whatever look.
    pub(super) fn names_an_npi(&self) -> bool {
        self.identifier.iter().any(|identifier| NPI_SYSTEMS.contains(&identifier.system.trim_end_matches('/')))
    }

    /// The name, where that is a string.
    pub(super) fn title(&self) -> &str {
        self.name.as_str().unwrap_or_default()
    }

    /// State and postal code of the first address that has one.
    pub(super) fn place(&self) -> (&str, &str) {
        let found = self.address.as_array().into_iter().flatten().find_map(|address| {
            let text = |key: &str| address.get(key).and_then(Loose::as_str).unwrap_or_default();
            (!text("state").is_empty() || !text("postalCode").is_empty()).then(|| (text("state"), text("postalCode")))
        });
        found.unwrap_or_default()
    }

    /// The code of the connection type: a Coding, a CodeableConcept, or a list of them.
    pub(super) fn connection(&self) -> Option<&str> {
        first_code(&self.connection_type, 0)
    }

    /// Whether its time is over on `today` (`YYYY-MM-DD`).
    pub(super) fn is_over(&self, today: &str) -> bool {
        self.period.as_ref().and_then(|period| period.end.get(..10)).is_some_and(|end| end < today)
    }

    /// The preference an endpoint says of itself.
    pub(super) fn rank(&self) -> Option<i64> {
        let ranked = |extension: &&Extension<'_>| extension.url.ends_with(RANK);
        self.extension.iter().find(ranked).and_then(|found| found.value_positive_int.or(found.value_integer))
    }

    /// Direct addresses among the ways to reach them: e-mail marked as Direct, never any other.
    pub(super) fn direct_telecoms(&self) -> impl Iterator<Item = (Result<DirectAddress, String>, Option<i64>)> {
        self.telecom
            .iter()
            .filter(|telecom| telecom.system == "email" && telecom.usage != "old")
            .filter(|telecom| telecom.extension.iter().any(|mark| mark.url == DIRECT_TELECOM && mark.value_boolean == Some(true)))
            .map(|telecom| (clean::address(&telecom.value), telecom.rank))
    }

    /// The endpoints it refers to, with the preference said there: its own list, and NDH's extension of a Practitioner.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = (&str, Option<i64>)> {
        let listed = self.endpoint.iter();
        let extended = self.extension.iter().filter(|extension| extension.url.ends_with("endpoint-reference"));
        listed.chain(extended.filter_map(|extension| extension.value_reference.as_ref())).map(|reference| {
            let ranked = reference.extension.iter().find(|extension| extension.url.ends_with(RANK));
            (reference.reference.as_ref(), ranked.and_then(|found| found.value_positive_int.or(found.value_integer)))
        })
    }
}

/// The first `code` of a value, at most three lists and objects deep.
fn first_code(value: &Loose, depth: u8) -> Option<&str> {
    match value {
        Loose::Array(all) if depth < 4 => all.iter().find_map(|one| first_code(one, depth + 1)),
        Loose::Object(one) if depth < 4 => {
            one.get("code").and_then(Loose::as_str).or_else(|| first_code(one.get("coding")?, depth + 1))
        }
        _ => None,
    }
}
