//! The plan of the house, and what in a file goes against it.

use std::path::Path;

use super::source::Source;

/// A room: a folder under `src`, and the other rooms it may know.
pub(crate) struct Room {
    pub(crate) name: &'static str,
    may_know: &'static [&'static [&'static str]],
}

const fn room(name: &'static str, may_know: &'static [&'static [&'static str]]) -> Room {
    Room { name, may_know }
}

/// What every step may know. Never another step: what passes between them is a domain type and a row in the store.
const TOOLS: &[&str] = &["domain", "crypto", "net", "store", "config", "observe"];
/// The steps, in the order in which a result walks through them.
const STEPS: &[&str] = &["source", "resolve", "document", "seal", "trust", "send", "track", "bill"];

/// Who may know whom. Nobody knows `cli`.
pub(crate) const ROOMS: &[Room] = &[
    room("domain", &[]),
    room("crypto", &[&["domain"]]),
    room("net", &[&["domain", "crypto"]]),
    room("observe", &[&["domain", "crypto"]]),
    room("config", &[&["domain", "crypto"]]),
    room("store", &[&["domain", "crypto"]]),
    room("source", &[TOOLS]),
    room("resolve", &[TOOLS]),
    room("document", &[TOOLS]),
    // The one step that knows another: a seal is made for a certificate, and opened against anchors.
    room("seal", &[TOOLS, &["trust"]]),
    room("trust", &[TOOLS]),
    room("send", &[TOOLS]),
    room("track", &[TOOLS]),
    room("bill", &[TOOLS]),
    room("pipeline", &[TOOLS, STEPS, &["sandbox", "web"]]),
    room("web", &[TOOLS, STEPS, &["pipeline"]]),
    room("sandbox", &[TOOLS, STEPS, &["pipeline", "web"]]),
    room("cli", &[TOOLS, STEPS, &["pipeline", "web", "sandbox"]]),
];

/// An outside library and the rooms through which it comes in.
const DOORS: &[(&str, &[&str])] = &[
    ("lettre", &["send"]),
    ("axum", &["web"]),
    ("tower_http", &["web"]),
    ("hyper", &["web"]),
    ("hyper_util", &["web"]),
    ("quick_xml", &["document"]),
    // XDM packages are written and opened by one, the archives of national directories read by the other.
    ("zip", &["document", "resolve"]),
    ("zstd", &["resolve"]),
    ("sqlx", &["store"]),
    ("openssl", &["crypto", "net", "seal", "trust"]),
    ("openssl_sys", &["seal"]),
    ("foreign_types", &["seal"]),
    ("cryptoki", &["crypto"]),
    ("askama", &["web", "seal", "bill", "cli"]),
];

/// The only file with `unsafe` in it.
const UNSAFE_FILE: &str = "seal/openssl_ext.rs";

/// Words that could name any file and so name none.
const EMPTY_WORDS: &[&str] =
    &["util", "utils", "helper", "helpers", "manager", "service", "services", "handler", "handlers", "common", "misc"];

/// Lines after which a file is no longer read but searched.
const MOST_LINES: usize = 600;

/// Everything in one file that goes against the plan. `path` is relative to `src`.
pub(crate) fn faults(path: &str, text: &str) -> Vec<String> {
    let mut faults = name_faults(path);
    let lines = text.lines().count();
    if lines > MOST_LINES {
        faults.push(format!("{path}: has {lines} lines, more than the {MOST_LINES} that people read"));
    }
    let source = Source::read(text);
    if source.has_word("unsafe") && path != UNSAFE_FILE {
        faults.push(format!("{path}: unsafe code belongs in {UNSAFE_FILE}"));
    }
    // lib.rs opens the rooms and main.rs calls the command line; neither is in a room.
    if let Some(name) = room_of(path) {
        match ROOMS.iter().find(|room| room.name == name) {
            Some(room) => {
                faults.extend(room_faults(path, room, &source));
                faults.extend(door_faults(path, room, &source));
            }
            None => faults.push(format!("{path}: the room '{name}' is not in the plan")),
        }
    }
    faults
}

/// The room a file belongs to: the first part of its path.
pub(crate) fn room_of(path: &str) -> Option<&str> {
    let first = path.split('/').next()?.trim_end_matches(".rs");
    (!matches!(first, "lib" | "main")).then_some(first)
}

fn room_faults(path: &str, room: &Room, source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    for known in source.rooms_known(path) {
        if known == room.name || room.may_know.iter().any(|names| names.contains(&known.as_str())) {
            continue;
        }
        faults.push(if ROOMS.iter().any(|room| room.name == known) {
            format!("{path}: {} may not know {known}", room.name)
        } else {
            format!("{path}: there is no room '{known}'")
        });
    }
    faults
}

fn door_faults(path: &str, room: &Room, source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    for (library, doors) in DOORS {
        if source.uses_library(library) && !doors.contains(&room.name) {
            faults.push(format!("{path}: {library} is used outside {}", doors.join(", ")));
        }
    }
    if room.name != "store"
        && let Some(sql) = source.strings.iter().find(|text| is_sql(text))
    {
        faults.push(format!("{path}: SQL outside store: {sql:?}"));
    }
    faults
}

fn is_sql(text: &str) -> bool {
    let any_case = text.to_ascii_lowercase();
    // These two are English words as well, so only as SQL is written.
    ["SELECT ", "UPDATE "].iter().any(|word| text.contains(word))
        || ["insert into ", "delete from ", "create table ", "create index ", "begin immediate", "pragma "]
            .iter()
            .any(|words| any_case.contains(words))
}

fn name_faults(path: &str) -> Vec<String> {
    let empty = |part: &str| {
        let stem = Path::new(part).file_stem().and_then(|stem| stem.to_str()).unwrap_or(part);
        stem.split('_').any(|word| EMPTY_WORDS.contains(&word))
    };
    path.split('/').filter(|part| empty(part)).map(|part| format!("{path}: the name '{part}' says nothing")).collect()
}
