//! Files of FHIR resources: NDJSON, one resource on each line, or a Bundle or single resource as one JSON document.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use serde::Deserialize as _;

use super::{Graph, Resource};
use crate::resolve::directory::{
    DirectoryError, Item, Reject,
    archive::{self, Meter, Stream},
    rows::Sink,
};

/// Most octets of one line, and of a document that is read as a whole.
const MOST: usize = 16 << 20;

/// Reads the files of one directory: twice, first what is referred to, then who refers.
///
/// # Errors
/// When one cannot be read, or no NPI can be found in any.
pub fn read(files: &[PathBuf], today: &str, meter: &Meter, sink: Sink<'_>) -> Result<(), DirectoryError> {
    let mut graph = Graph::new(today);
    for file in files {
        each(open(file, meter, None)?, &mut |line, full_url, resource| match resource {
            Ok(resource) => graph.learn(resource, full_url, line).map_or(Ok(()), &mut *sink),
            Err(reason) => sink(broken(line, reason)),
        })?;
    }
    graph.close();
    for file in files {
        each(open(file, meter, None)?, &mut |line, full_url, resource| match resource {
            Ok(resource) => graph.say(resource, full_url, line).into_iter().try_for_each(&mut *sink),
            Err(_) => Ok(()),
        })?;
    }
    no_npi(&graph, files.first().map_or(Path::new(""), PathBuf::as_path))
}

/// Refuses a directory in which nobody has an NPI.
pub(in super::super) fn no_npi(graph: &Graph, file: &Path) -> Result<(), DirectoryError> {
    if graph.found_no_npi() {
        let problem =
            "has practitioners or organizations and not one NPI that we can find; has the way they are written changed?";
        return Err(DirectoryError::Archive { file: file.display().to_string(), problem: problem.to_owned() });
    }
    Ok(())
}

pub(in super::super) fn broken(line: u64, reason: String) -> Item {
    Item::rejected("broken", Reject { line, column: String::new(), reason })
}

/// Opens a file, unpacked if need be.
///
/// # Errors
/// When it cannot be opened.
pub(in super::super) fn open(file: &Path, meter: &Meter, original: Option<u64>) -> Result<Stream, DirectoryError> {
    if archive::is_zstd(file)? { archive::zstd(file, meter, original) } else { archive::plain(file, meter) }
}

/// Takes a resource, or why it cannot be read: with its line, and its name in its Bundle.
pub(in super::super) type Visit<'a> = dyn FnMut(u64, &str, Result<&Resource<'_>, String>) -> Result<(), DirectoryError> + 'a;

/// Gives every resource to `visit`, with its line and its name in its Bundle; what cannot be read, with why.
///
/// # Errors
/// When the file cannot be read on, or `visit` wants no more.
pub(in super::super) fn each(source: impl Read, visit: &mut Visit<'_>) -> Result<(), DirectoryError> {
    let mut source = BufReader::with_capacity(1 << 16, source);
    let mut buffer = Vec::new();
    let mut line = 0;
    loop {
        line += 1;
        let at = |source: std::io::Error| DirectoryError::Read { line, source: source.into() };
        match next_line(&mut source, &mut buffer).map_err(at)? {
            Line::End => return Ok(()),
            Line::TooLong => {
                visit(line, "", Err(format!("is longer than {} MiB", MOST >> 20)))?;
                continue;
            }
            Line::Read => {}
        }
        if line == 1 && buffer.starts_with(b"\xef\xbb\xbf") {
            buffer.drain(..3);
        }
        if buffer.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        // A first line that ends in the middle belongs to a document written over many.
        if line == 1 && serde_json::from_slice::<serde::de::IgnoredAny>(&buffer).is_err_and(|error| error.is_eof()) {
            return document(buffer, source, visit);
        }
        one(&buffer, line, visit)?;
    }
}

fn document(mut text: Vec<u8>, mut source: impl Read, visit: &mut Visit<'_>) -> Result<(), DirectoryError> {
    let read = source.by_ref().take(MOST as u64 + 1).read_to_end(&mut text);
    read.map_err(|source| DirectoryError::Read { line: 1, source: source.into() })?;
    if text.len() > MOST {
        let problem =
            format!("a document of more than {} MiB is not read at once; save it as NDJSON, one resource a line", MOST >> 20);
        return Err(DirectoryError::Read { line: 1, source: problem.into() });
    }
    one(&text, 1, visit)
}

/// One resource, or each of those in a Bundle.
fn one(text: &[u8], line: u64, visit: &mut Visit<'_>) -> Result<(), DirectoryError> {
    match serde_json::from_slice::<Resource<'_>>(text) {
        Err(error) => visit(line, "", Err(why(&error))),
        Ok(bundle) if bundle.resource_type == "Bundle" => {
            for entry in &bundle.entry {
                match Resource::deserialize(&entry.resource) {
                    Ok(resource) => visit(line, &entry.full_url, Ok(&resource))?,
                    Err(error) => visit(line, "", Err(why(&error)))?,
                }
            }
            Ok(())
        }
        Ok(resource) => visit(line, "", Ok(&resource)),
    }
}

/// What kind of error it is. The parser's own words quote the file.
fn why(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Data => "is not shaped as a FHIR resource".to_owned(),
        _ => format!("is not JSON, or nested too deep (column {})", error.column()),
    }
}

enum Line {
    Read,
    TooLong,
    End,
}

/// Reads one line into `buffer`; of one that is too long only its end is looked for.
fn next_line(source: &mut impl BufRead, buffer: &mut Vec<u8>) -> std::io::Result<Line> {
    buffer.clear();
    let (mut any, mut too_long) = (false, false);
    loop {
        let there = source.fill_buf()?;
        if there.is_empty() {
            return Ok(if !any {
                Line::End
            } else if too_long {
                Line::TooLong
            } else {
                Line::Read
            });
        }
        any = true;
        let end = memchr::memchr(b'\n', there);
        let part = there.get(..end.unwrap_or(there.len())).unwrap_or_default();
        too_long |= buffer.len() + part.len() > MOST;
        if too_long {
            buffer.clear();
        } else {
            buffer.extend_from_slice(part);
        }
        let taken = part.len() + usize::from(end.is_some());
        source.consume(taken);
        if end.is_some() {
            return Ok(if too_long { Line::TooLong } else { Line::Read });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &[u8]) -> Vec<String> {
        let mut seen = Vec::new();
        each(text, &mut |line, full_url, resource| {
            seen.push(match resource {
                Ok(resource) => format!("{line} {}{full_url}", resource.resource_type),
                Err(why) => format!("{line} {why}"),
            });
            Ok(())
        })
        .unwrap();
        seen
    }

    #[test]
    fn lines_bundles_and_documents_over_many_lines_are_read() {
        let lines = b"\xef\xbb\xbf{\"resourceType\":\"Endpoint\"}\n\r\n{\"resourceType\":\"Practitioner\",\"id\":\"x\"}";
        assert_eq!(seen(lines), ["1 Endpoint", "3 Practitioner"]);
        let bundle = b"{\"resourceType\":\"Bundle\",\n\"entry\":[{\"fullUrl\":\"urn:uuid:1\",\n\"resource\":{\"resourceType\":\"Endpoint\"}},\
            {\"resource\":{\"resourceType\":7}},{}]}";
        assert_eq!(
            seen(bundle),
            ["1 Endpointurn:uuid:1", "1 is not shaped as a FHIR resource", "1 is not shaped as a FHIR resource"]
        );
    }

    #[test]
    fn a_line_that_is_broken_too_deep_or_too_long_costs_itself() {
        let deep = format!("{{\"name\":{}", "[".repeat(100_000));
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(MOST));
        let text =
            format!("{{}}\nnonsense\n{deep}\n{long}\n{{\"resourceType\":\"Endpoint\",\"id\":\"\u{e9}\"}}\n{{\"id\":\"\u{0}\"}}");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(b"\n{\"id\":\"\xe9\"}\n{\"resourceType\":\"Practitioner\"}");
        let seen = seen(&bytes);
        assert_eq!(seen.len(), 8, "{seen:?}");
        assert_eq!((seen[0].as_str(), seen[4].as_str(), seen[7].as_str()), ("1 ", "5 Endpoint", "8 Practitioner"));
        assert_eq!(seen[3], "4 is longer than 16 MiB");
        assert!([1, 2, 5, 6].iter().all(|at: &usize| seen[*at].contains("is not JSON")), "{seen:?}");
    }
}
