//! What the directory says, for programs: the same at the shell and over the API.

use serde_json::{Value, json};

use crate::domain::{
    Npi, Reason, Timestamp,
    directory::{Finding, Says, answer},
    route::{DirectoryAnswer, DirectoryEntry},
};

/// Why an answer has no address, and in words; no reason when it has one.
#[must_use]
pub fn shortfall(answer: &DirectoryAnswer) -> Option<(Reason, String)> {
    let meaning = |reason: Reason| Some((reason, reason.meaning().to_owned()));
    match answer {
        DirectoryAnswer::Found { .. } => None,
        DirectoryAnswer::NoAddress(_) => meaning(Reason::NoAddress),
        DirectoryAnswer::Inactive(_) => meaning(Reason::NpiInactive),
        DirectoryAnswer::NotFound(_) => meaning(Reason::NpiUnknown),
        DirectoryAnswer::NotConfigured => {
            Some((Reason::DirectoryUnavailable, "no directory is loaded; load one with: postern directory import".to_owned()))
        }
        DirectoryAnswer::Unavailable { why } => Some((Reason::DirectoryUnavailable, why.clone())),
    }
}

/// `{"npi","reason","entries":[..],"sources":[..]}`: every address of an NPI, and what each source said.
#[must_use]
pub fn json(npi: &Npi, findings: &[Finding]) -> Value {
    let answer = answer(findings.to_vec());
    let reason = shortfall(&answer).map(|(reason, _)| reason);
    let sources: Vec<Value> = findings
        .iter()
        .map(|finding| {
            let why = if let Says::Unavailable(why) = &finding.says { Some(why) } else { None };
            json!({ "source": finding.source, "name": finding.name, "snapshot": finding.snapshot,
                    "as_of": finding.as_of.to_string(), "says": finding.says.word(), "why": why })
        })
        .collect();
    let entries: Vec<Value> =
        if let DirectoryAnswer::Found { entries, .. } = &answer { entries.iter().map(entry).collect() } else { Vec::new() };
    json!({ "npi": npi, "reason": reason, "entries": entries, "sources": sources })
}

fn entry(entry: &DirectoryEntry) -> Value {
    let at = &entry.affiliation;
    json!({ "address": entry.address, "source": entry.source, "snapshot": entry.snapshot, "kind": entry.kind, "rank": entry.rank,
            "organization": at.name, "organization_npi": at.npi, "state": at.state, "postal_code": at.postal_code,
            "first_seen": Timestamp(entry.first_seen).to_string(), "last_seen": Timestamp(entry.last_seen).to_string(),
            "last_success": entry.last_success.map(|at| Timestamp(at).to_string()) })
}
