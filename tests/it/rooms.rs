//! Who may know whom. Reads every file under `src` and holds it to the plan of the house (`docs/ARCHITECTURE.md`).

mod rules;
mod source;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use rules::{ROOMS, faults, room_of};
use source::Source;

/// Which rooms each room knows.
type Graph = BTreeMap<String, BTreeSet<String>>;

#[test]
fn every_file_keeps_to_the_plan_of_the_house() {
    let files = sources();
    assert!(files.len() > ROOMS.len(), "src was not found");
    let found: Vec<String> = files.iter().flat_map(|(path, text)| faults(path, text)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_plan_names_the_rooms_that_exist() {
    let there: BTreeSet<String> = sources().iter().filter_map(|(path, _)| room_of(path).map(str::to_owned)).collect();
    let planned: BTreeSet<String> = ROOMS.iter().map(|room| room.name.to_owned()).collect();
    assert_eq!(there, planned);
}

#[test]
fn no_two_rooms_know_each_other_in_a_circle() {
    let mut graph = Graph::new();
    for (path, text) in sources() {
        if let Some(room) = room_of(&path) {
            let known = Source::read(&text).rooms_known(&path);
            graph.entry(room.to_owned()).or_default().extend(known.into_iter().filter(|known| known != room));
        }
    }
    assert_eq!(circle(graph), [""; 0]);
}

#[test]
fn a_circle_of_rooms_is_found() {
    let graph = |edges: &[(&str, &[&str])]| -> Graph {
        edges.iter().map(|(from, to)| ((*from).to_owned(), to.iter().map(|to| (*to).to_owned()).collect())).collect()
    };
    assert_eq!(
        circle(graph(&[("web", &["sandbox", "send"]), ("sandbox", &["pipeline"]), ("pipeline", &["web"]), ("send", &[])])),
        ["pipeline", "sandbox", "web"]
    );
    assert_eq!(circle(graph(&[("web", &["pipeline", "send"]), ("pipeline", &["send"]), ("send", &[])])), [""; 0]);
}

/// The rooms left when those that know nobody, or only such rooms, are taken away again and again: a circle and those
/// who know it.
fn circle(mut graph: Graph) -> Vec<String> {
    loop {
        let settled: Vec<String> = graph
            .iter()
            .filter(|(_, known)| known.iter().all(|room| !graph.contains_key(room)))
            .map(|(room, _)| room.clone())
            .collect();
        if settled.is_empty() {
            return graph.into_keys().collect();
        }
        graph.retain(|room, _| !settled.contains(room));
    }
}

/// Every file of the product: its path under `src` and its text.
fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, root: &Path, files: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).expect("read a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, root, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).expect("under src").to_str().expect("a name in UTF-8").to_owned();
                files.push((name, fs::read_to_string(&path).expect("read a source file")));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &root, &mut files);
    files
}

/// Small wrong inputs: a check that cannot fail checks nothing.
#[track_caller]
fn refused(path: &str, text: &str, because: &str) {
    let found = faults(path, text);
    assert!(found.len() == 1 && found[0].contains(because), "{text}\nwas answered {found:?}, not '{because}'");
}

#[track_caller]
fn accepted(path: &str, text: &str) {
    assert_eq!(faults(path, text), [""; 0], "{text}");
}

#[test]
fn a_step_that_knows_another_step_is_refused_however_it_is_written() {
    let because = "send may not know seal";
    refused("send/mod.rs", "use crate::seal::Sealed;", because);
    refused("send/mod.rs", "pub(crate) use crate::seal;", because);
    refused("send/mod.rs", "use crate::{domain::Reason, seal::{self, cms::Cms}};", because);
    refused("send/mod.rs", "use {std::fs, crate::{store, seal}};", because);
    refused("send/smtp/dot.rs", "fn f() { let x = crate :: seal::seal(); }", because);
    refused("send/smtp/dot.rs", "use super::super::super::seal::Sealed;", because);
    refused("send/mod.rs", "use super::{domain, seal};", because);
    refused("send/mod.rs", "mod tests { use super::super::seal; }", because);
    refused("send.rs", "mod tests { fn f() { { use super::super::seal::Sealed; } } }", because);
    refused("send/mod.rs", "macro_rules! m { () => { $crate::seal::seal() } }", because);
    refused("send/mod.rs", "#[cfg(test)] mod tests { use crate::seal; }", because);
}

#[test]
fn what_the_plan_allows_is_accepted() {
    accepted("send/mod.rs", "use crate::{config::Relay, crypto, domain::{self, Reason}, net, observe, store};");
    accepted("send/smtp/dot.rs", "use super::super::reply::Reply; use super::{a, b}; pub(in crate::send) fn f() {}");
    accepted("send/mod.rs", "mod tests { use super::*; use crate::send::smtp; }");
    accepted("seal/mod.rs", "use crate::trust::Anchor;");
    accepted("pipeline/mod.rs", "use crate::{seal, send, sandbox};");
    accepted("web/mod.rs", "use crate::{bill, resolve};");
    accepted("main.rs", "fn main() { postern::cli::main() }");
}

#[test]
fn only_code_counts_not_what_is_said_about_it() {
    accepted(
        "send/mod.rs",
        "// use crate::seal;\n/* crate::seal /* crate::cli */ unsafe */ /// [`crate::seal::Seal`]\nfn f() {}",
    );
    accepted("send/mod.rs", r##"const A: &str = "crate::seal"; const B: &str = r#"unsafe "crate::seal" lettre::"#;"##);
    accepted("send/mod.rs", "fn f<'a>(x: &'a str) -> char { let _ = '\"'; let _ = b'\\''; 'x' }");
    refused("send/mod.rs", "fn f<'a>() { let _ = '\"'; crate::seal::f(); let _ = '\"'; }", "send may not know seal");
}

#[test]
fn tools_know_no_step_and_the_domain_knows_nobody() {
    refused("domain/order.rs", "use crate::crypto::Hash;", "domain may not know crypto");
    refused("crypto/mod.rs", "use crate::net;", "crypto may not know net");
    refused("store/mod.rs", "use crate::config::Store;", "store may not know config");
    refused("trust/mod.rs", "use crate::seal;", "trust may not know seal");
    refused("config/mod.rs", "use crate::observe;", "config may not know observe");
}

#[test]
fn nobody_knows_the_command_line_and_few_know_the_sandbox() {
    refused("pipeline/mod.rs", "use crate::cli::print;", "pipeline may not know cli");
    refused("sandbox/mod.rs", "use crate::cli;", "sandbox may not know cli");
    refused("web/mod.rs", "use crate::sandbox;", "web may not know sandbox");
}

#[test]
fn a_room_that_is_not_in_the_plan_is_refused() {
    refused("send/mod.rs", "use crate::cellar::Wine;", "no room 'cellar'");
    refused("send/mod.rs", "use crate::*;", "no room '*'");
    refused("cellar/mod.rs", "fn f() {}", "not in the plan");
}

#[test]
fn each_outside_library_has_one_door() {
    refused("cli/mod.rs", "use lettre::Message;", "lettre is used outside send");
    refused("cli/mod.rs", "fn f() { ::sqlx::query(\"\"); }", "sqlx is used outside store");
    refused("document/mod.rs", "use {axum::Router, std::fs};", "axum is used outside web");
    refused("send/mod.rs", "use openssl as ssl;", "openssl is used outside crypto, net, seal, trust");
    accepted("seal/cms.rs", "use openssl::x509::X509; use crate::seal::openssl::sign; use super::lettre::x;");
    accepted("send/mod.rs", "use lettre::address::Envelope; fn f(axum: u8) {}");
}

#[test]
fn unsafe_code_has_one_file() {
    refused("seal/cms.rs", "fn f() { unsafe { g() } }", "unsafe");
    accepted("seal/openssl_ext.rs", "fn f() { unsafe { g() } }");
}

#[test]
fn sql_stands_only_in_the_store() {
    let because = "SQL outside store";
    refused("web/mod.rs", r#"const Q: &str = "SELECT id FROM order_";"#, because);
    refused("web/mod.rs", "const Q: &str = \"\\n  insert into order_ VALUES ($1)\";", because);
    refused("web/mod.rs", r##"const Q: &str = r#"BEGIN IMMEDIATE"#;"##, because);
    accepted("store/order.rs", r#"const Q: &str = "SELECT id FROM order_";"#);
    accepted("web/mod.rs", r#"const T: &str = "Select an organization; update it from the list";"#);
}

#[test]
fn a_file_is_named_for_what_it_holds() {
    refused("send/tls_util.rs", "", "says nothing");
    refused("web/helpers/mod.rs", "", "says nothing");
    refused("domain/common.rs", "", "says nothing");
    accepted("send/utility_bill.rs", "");
}

#[test]
fn a_file_stays_short_enough_to_be_read() {
    refused("send/mod.rs", &"\n".repeat(601), "601 lines");
    accepted("send/mod.rs", &"\n".repeat(600));
}
