//! What an applied file would change: field by field, the old value and the new one.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::price::{ListedTerms, Price};
use crate::domain::{
    Currency,
    organization::{OrganizationFile, PriceList},
    prices::{Rate, Terms, Tiering},
    text::is_forbidden,
};

/// One field that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its path, with the key of a site, identity or target in brackets.
    pub field: String,
    /// What was in force; absent when it is new.
    pub old: Option<String>,
    /// What will be; absent when it goes.
    pub new: Option<String>,
}

impl Change {
    /// A change of one field.
    #[must_use]
    pub fn new(field: impl Into<String>, old: Option<String>, new: Option<String>) -> Self {
        Self { field: field.into(), old, new }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = clean(&self.field);
        match (self.old.as_deref().map(clean), self.new.as_deref().map(clean)) {
            (Some(old), Some(new)) => write!(f, "~ {field}: {old} -> {new}"),
            (None, Some(new)) => write!(f, "+ {field}: {new}"),
            (Some(old), None) => write!(f, "- {field}: {old}"),
            (None, None) => write!(f, "  {field}"),
        }
    }
}

/// What a file wrote may hold anything; a terminal must not be told to do anything.
fn clean(text: &str) -> String {
    text.chars().map(|c| if is_forbidden(c) { '?' } else { c }).collect()
}

/// What differs between two organization files, prices aside: those have their own rules.
#[must_use]
pub fn of_files(before: Option<&OrganizationFile>, after: &OrganizationFile) -> Vec<Change> {
    let old = before.map(fields).unwrap_or_default();
    let new = fields(after);
    let value = |fields: &[(String, String)], path: &str| fields.iter().find(|(p, _)| p == path).map(|(_, value)| value.clone());
    let taken = new.iter().filter_map(|(path, new)| {
        let old = value(&old, path);
        (old.as_ref() != Some(new)).then(|| Change::new(path, old, Some(new.clone())))
    });
    let gone = old.iter().filter(|(path, _)| value(&new, path).is_none());
    taken.chain(gone.map(|(path, old)| Change::new(path, Some(old.clone()), None))).collect()
}

/// Every field with its path. Members of a list go by their key, so that a new site in between moves nobody.
fn fields(file: &OrganizationFile) -> Vec<(String, String)> {
    let mut all = Vec::new();
    if let Ok(Value::Object(mut file)) = serde_json::to_value(file) {
        file.remove("price");
        flatten("", &Value::Object(file), &mut all);
    }
    // The first identity is the one a site without its own sends from.
    if let Some(first) = file.identities.first() {
        all.push(("default identity".to_owned(), quoted(first.address.as_str())));
    }
    all
}

fn flatten(path: &str, value: &Value, all: &mut Vec<(String, String)>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Null => {}
        Value::Object(members) => members.iter().for_each(|(name, value)| flatten(&below(name), value, all)),
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (place, item) in items.iter().enumerate() {
                let key = ["local_id", "address", "direct", "domain", "name"].iter().find_map(|key| item.get(key)?.as_str());
                let key = key.map_or_else(|| place.to_string(), str::to_owned);
                flatten(&format!("{path}[{key}]"), item, all);
            }
        }
        value => all.push((path.to_owned(), value.to_string())),
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// What a price is for.
#[must_use]
pub fn name_of(rate: &Rate) -> String {
    let only = [rate.channel.map(|channel| channel.to_string()), rate.status.map(|status| status.to_string())];
    let only: Vec<String> = only.into_iter().flatten().collect();
    let only = if only.is_empty() { String::new() } else { format!(" ({})", only.join(", ")) };
    format!("price of {}{only} from {}", rate.fee_code, rate.from)
}

/// What it says.
#[must_use]
pub fn word_of(rate: &Rate, currency: &Currency) -> String {
    let mut word = format!("{} {currency}, at {}", rate.amount, rate.billable);
    if rate.included > 0 {
        word.push_str(&format!(", {} included", rate.included));
    }
    for tier in &rate.tiers {
        word.push_str(&format!(", above {} {}", tier.above, tier.amount));
    }
    if rate.tiering == Tiering::Volume && !rate.tiers.is_empty() {
        word.push_str(" for all");
    }
    word
}

/// What a period costs beside its deliveries, and who pays.
#[must_use]
pub fn words_of(terms: &Terms, currency: &Currency) -> String {
    let amounts = [("minimum", terms.minimum), ("cap", terms.cap), ("for each address", terms.address_month)];
    let amounts = amounts.into_iter().filter_map(|(name, amount)| Some(format!("{name} {} {currency}", amount?)));
    let sponsors = terms.sponsor.iter().map(|sponsor| {
        let only = [("to", &sponsor.role), ("of", &sponsor.payer), ("at", &sponsor.site)];
        let only: Vec<String> = only.into_iter().filter_map(|(word, only)| Some(format!(" {word} {}", only.as_ref()?))).collect();
        format!("{} pays for deliveries{}", sponsor.organization, only.concat())
    });
    let centers = terms.cost_center.iter().map(|(site, center)| format!("{site} is cost centre {center}"));
    let words: Vec<String> = amounts.chain(sponsors).chain(centers).collect();
    if words.is_empty() { "nothing beside the deliveries".to_owned() } else { words.join(", ") }
}

/// Prices and terms that are new or corrected, and sentences about those the file no longer names.
#[must_use]
pub fn of_prices(known: &[Price], known_terms: &[ListedTerms], list: Option<&PriceList>) -> (Vec<Change>, Vec<String>) {
    let mut changes = Vec::new();
    for (list, rate) in list.iter().flat_map(|list| list.rates.iter().map(move |rate| (list, rate))) {
        let old = known.iter().find(|known| name_of(&known.rate) == name_of(rate));
        let old = old.map(|known| word_of(&known.rate, &known.currency));
        let new = word_of(rate, &list.currency);
        if old.as_ref() != Some(&new) {
            changes.push(Change::new(name_of(rate), old, Some(new)));
        }
    }
    for (list, terms) in list.iter().flat_map(|list| list.terms.iter().map(move |terms| (list, terms))) {
        let old = known_terms.iter().find(|known| known.terms.from == terms.from);
        let old = old.map(|known| words_of(&known.terms, &known.currency));
        let new = words_of(terms, &list.currency);
        if old.as_ref() != Some(&new) {
            changes.push(Change::new(format!("terms from {}", terms.from), old, Some(new)));
        }
    }
    let named = |known: &Price| list.is_some_and(|list| list.rates.iter().any(|rate| name_of(rate) == name_of(&known.rate)));
    let kept = known.iter().filter(|known| !named(known)).map(|known| {
        format!(
            "{} is {} {}, is not in the file, and stays: prices cannot be removed, only followed by others",
            name_of(&known.rate),
            known.rate.amount,
            known.currency
        )
    });
    let named = |known: &ListedTerms| list.is_some_and(|list| list.terms.iter().any(|terms| terms.from == known.terms.from));
    let kept_terms = known_terms.iter().filter(|known| !named(known)).map(|known| {
        format!("terms from {} are not in the file, and stay: terms cannot be removed, only followed by others", known.terms.from)
    });
    (changes, kept.chain(kept_terms).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> OrganizationFile {
        toml::from_str(&format!("slug = \"north\"\nname = \"North\"\n{text}")).unwrap()
    }

    fn shown(before: &str, after: &str) -> Vec<String> {
        of_files(Some(&file(before)), &file(after)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_site_put_in_between_is_one_new_site() {
        let two = "[[site]]\nlocal_id = \"A\"\n[[site]]\nlocal_id = \"C\"\nname = \"Sea\"\n";
        let three = format!("[[site]]\nlocal_id = \"B\"\n{two}");
        assert_eq!(shown(two, &three), ["+ site[B].local_id: \"B\""]);
        assert_eq!(shown(&three, two), ["- site[B].local_id: \"B\""]);
        let renamed = two.replace("Sea", "Lake");
        assert_eq!(shown(two, &renamed), ["~ site[C].name: \"Sea\" -> \"Lake\""]);
        assert_eq!(shown(two, two), [""; 0]);
    }

    #[test]
    fn a_rule_for_a_domain_goes_by_its_domain() {
        let rules = "[message]\npdf = \"beside\"\n[[message.domain]]\ndomain = \"d.example\"\npackaging = \"xdm\"\n";
        assert_eq!(
            shown("", rules),
            [
                "+ message.domain[d.example].domain: \"d.example\"",
                "+ message.domain[d.example].packaging: \"xdm\"",
                "~ message.pdf: \"inside\" -> \"beside\""
            ]
        );
    }

    #[test]
    fn another_first_identity_is_a_change() {
        let a = "[[identity]]\naddress = \"a@d.example\"\nmode = \"edge\"\nrelay = \"r\"\n";
        let b = a.replace("a@", "b@");
        assert_eq!(shown(&format!("{a}{b}"), &format!("{b}{a}")), ["~ default identity: \"a@d.example\" -> \"b@d.example\""]);
    }

    #[test]
    fn a_default_written_out_changes_nothing() {
        assert_eq!(shown("", "mode = \"production\"\n[routing]\nretry_for = \"1d\""), [""; 0]);
    }
}
