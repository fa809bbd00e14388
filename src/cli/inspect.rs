//! `postern inspect`: what is in this file, in words.

use std::path::PathBuf;

use super::{Exit, print, read, say};
use crate::{
    crypto::{sha256, sha256::hex},
    document::xdm::unpack::{is_zip, unpack},
    sandbox::enclosed::{self, Item},
    seal::{describe_cms, describe_message},
    trust::{
        Certificate,
        certificate::is_pem,
        describe::{Line, describe},
    },
};

/// Say in words what is in a message, certificate, CMS structure, PDF or XDM package.
///
/// Shows what can be seen from outside and judges nothing: `postern open` judges a message. Of a message that is not
/// sealed, its attachments are listed; of an XDM package, its documents. Exit code 1 when the file is none of these.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print as JSON.
    #[arg(long)]
    json: bool,
    /// The file; - is standard input.
    file: PathBuf,
}

struct Thing {
    kind: &'static str,
    lines: Vec<Line>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let things = look(&read(&args.file)?);
    if things.is_empty() {
        say(&format!("{} is no message, certificate, CMS structure, PDF or package that can be read", args.file.display()));
        return Ok(Exit::Bad);
    }
    if args.json {
        let all: Vec<_> = things.iter().map(json).collect();
        print(&format!("{}\n", serde_json::to_string_pretty(&all)?))?;
    } else {
        print(&things.iter().map(words).collect::<Vec<_>>().join("\n"))?;
    }
    Ok(Exit::Good)
}

fn look(bytes: &[u8]) -> Vec<Thing> {
    if bytes.starts_with(b"%PDF-") {
        return vec![Thing { kind: "pdf", lines: pdf(bytes) }];
    }
    if is_zip(bytes) {
        return vec![package(bytes)];
    }
    if let Some(mut lines) = describe_message(bytes) {
        lines.extend(enclosed::list(bytes).iter().map(|item| {
            let label = if item.package.is_some() { "in_package" } else { "attachment" };
            (label, item.words())
        }));
        return vec![Thing { kind: "message", lines }];
    }
    if is_pem(bytes) {
        return pem(bytes);
    }
    if let Ok(certificate) = Certificate::from_der(bytes) {
        return vec![Thing { kind: "certificate", lines: describe(&certificate) }];
    }
    describe_cms(bytes).map(|lines| Thing { kind: "cms", lines }).into_iter().collect()
}

fn pem(bytes: &[u8]) -> Vec<Thing> {
    let blocks = x509_parser::pem::Pem::iter_from_buffer(bytes).filter_map(Result::ok);
    blocks
        .filter_map(|block| match block.label.as_str() {
            "CERTIFICATE" => {
                let certificate = Certificate::from_der(&block.contents).ok()?;
                Some(Thing { kind: "certificate", lines: describe(&certificate) })
            }
            "CMS" | "PKCS7" => Some(Thing { kind: "cms", lines: describe_cms(&block.contents)? }),
            label if label.ends_with("PRIVATE KEY") => {
                let note = "a private key: keep it to yourself; nothing of it is shown".to_owned();
                Some(Thing { kind: "private_key", lines: vec![("note", note)] })
            }
            _ => None,
        })
        .collect()
}

fn package(bytes: &[u8]) -> Thing {
    match unpack(bytes) {
        Ok(documents) => {
            let lines = documents.iter().map(|document| ("document", Item::of(document, "").words())).collect();
            Thing { kind: "xdm_package", lines }
        }
        Err(problem) => Thing { kind: "zip", lines: vec![("problem", problem.to_string())] },
    }
}

fn pdf(bytes: &[u8]) -> Vec<Line> {
    let version = bytes[5..].iter().take(3).map(|b| char::from(*b)).collect();
    let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    vec![
        ("version", version),
        ("octets", bytes.len().to_string()),
        ("complete", if has(b"%%EOF") { "yes" } else { "no: its end is missing" }.to_owned()),
        ("encrypted", if has(b"/Encrypt") { "yes" } else { "no" }.to_owned()),
        ("sha256", hex(&sha256(bytes))),
    ]
}

fn words(thing: &Thing) -> String {
    let width = thing.lines.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    let mut text = format!("{}\n", thing.kind.replace('_', " "));
    for (label, value) in &thing.lines {
        // A file may hold anything; a terminal must not be driven by it.
        let value: String = value.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        let label = label.replace('_', " ");
        text.extend(["  ", &label, &" ".repeat(width - label.len()), "  ", &value, "\n"]);
    }
    text
}

/// Every label holds a list: a message may have several recipients, a certificate several policies.
fn json(thing: &Thing) -> serde_json::Value {
    let mut object = serde_json::Map::new();
    object.insert("kind".to_owned(), thing.kind.into());
    for (label, value) in &thing.lines {
        let list = object.entry(*label).or_insert_with(|| serde_json::Value::Array(Vec::new()));
        if let Some(list) = list.as_array_mut() {
            list.push(value.as_str().into());
        }
    }
    object.into()
}
