//! Settings from the environment: `POSTERN__SECTION__SETTING`, or `..._FILE` with the path of a file that holds it.

use std::path::Path;

use toml::{Table, Value};

use super::{Config, ConfigError, SECTIONS, section::Description};

/// What every variable that is a setting begins with.
pub const PREFIX: &str = "POSTERN__";
const FILE: &str = "_FILE";

/// The variable that sets `setting` in `[section]`.
pub(super) fn variable(section: &str, setting: &str) -> String {
    format!("{PREFIX}{section}__{setting}").to_uppercase()
}

/// Puts what the environment says over what the file said, one variable at a time, so that an error names it.
pub(super) fn overlay(table: &mut Table, variables: &[(String, String)]) -> Result<Vec<String>, ConfigError> {
    let mut used = Vec::new();
    let mut seen = Vec::new();
    for (name, given) in variables.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        let (section, setting, from_file) = find(name)?;
        let bad = |problem: &str| ConfigError::BadVariable { variable: name.clone(), problem: problem.to_owned() };
        if seen.contains(&(section.name, setting)) {
            return Err(bad("sets what another variable sets already: the value and the _FILE"));
        }
        seen.push((section.name, setting));
        let text = if from_file { read(name, Path::new(given))? } else { given.clone() };
        let default = section.default_of(setting);
        let value = parse(&text, default.as_ref()).map_err(bad)?;
        let entry = table.entry(section.name).or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(entry) = entry {
            entry.insert(setting.to_owned(), value);
        }
        table.clone().try_into::<Config>().map_err(|error| bad(error.message()))?;
        used.push(name.clone());
    }
    Ok(used)
}

/// The setting `name` means, and whether it names a file with the value.
fn find(name: &str) -> Result<(&'static Description, &'static str, bool), ConfigError> {
    let settings = || SECTIONS.iter().flat_map(|section| section.settings.iter().map(move |setting| (*section, setting.name)));
    // A setting whose own name ends in _FILE comes first: KEYS__MASTER_FILE.
    let exact = settings().find(|(section, setting)| variable(section.name, setting) == name);
    let by_file = || settings().find(|(section, setting)| variable(section.name, setting) + FILE == name);
    match (exact, exact.is_none().then(by_file).flatten()) {
        (Some((section, setting)), _) => Ok((section, setting, false)),
        (None, Some((section, setting))) => Ok((section, setting, true)),
        (None, None) => {
            let known = settings().map(|(section, setting)| variable(section.name, setting));
            let nearest = known.min_by_key(|known| distance(known, name)).filter(|known| distance(known, name) <= 3);
            Err(ConfigError::UnknownVariable { variable: name.to_owned(), nearest })
        }
    }
}

fn read(variable: &str, path: &Path) -> Result<String, ConfigError> {
    let failed = |cause| ConfigError::VariableFile { variable: variable.to_owned(), path: path.to_owned(), cause };
    let text = std::fs::read_to_string(path).map_err(failed)?;
    Ok(text.strip_suffix('\n').map_or(&text[..], |text| text.strip_suffix('\r').unwrap_or(text)).to_owned())
}

/// Reads `text` as the kind of value the default is, so that a password of digits stays a text.
fn parse(text: &str, default: Option<&Value>) -> Result<Value, &'static str> {
    match default {
        Some(Value::Integer(_)) => text.trim().replace('_', "").parse().map(Value::Integer).map_err(|_| "is not a whole number"),
        Some(Value::Boolean(_)) => text.trim().parse().map(Value::Boolean).map_err(|_| "is neither true nor false"),
        Some(Value::Array(_)) => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            Ok(Value::Array(parts.map(|part| Value::String(part.to_owned())).collect()))
        }
        _ => Ok(Value::String(text.to_owned())),
    }
}

/// How many single-letter edits lie between `a` and `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let edited = diagonal + usize::from(from != *to);
            let fewest = edited.min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], fewest);
        }
    }
    row[b.len()]
}
