//! `postern verify`: whether the ledger is what was written, the totals tie, and each result has its document.

use clap::Args;
use serde_json::json;

use super::{
    Exit,
    audit::broken,
    context::{Global, Output, Whose, scope, with_store},
    say,
    table::{Rows, print_json},
};
use crate::{
    domain::OrgScope,
    store::{blobs::Blobs, leftover::Documents, survey::Counts},
};

/// How to show it.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    output: Output,
}

/// What was found about one organization.
struct Finding {
    organization: String,
    /// Lines of the ledger; `Err` of the first that does not fit.
    chain: Result<i64, i64>,
    /// Lines of the audit trail; `Err` of the first that does not fit.
    audit: Result<i64, i64>,
    counts: Counts,
    documents: Documents,
}

impl Finding {
    /// What makes the ledger doubtful.
    fn in_the_ledger(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Err(line) = self.chain {
            problems.push(format!("the ledger was changed: its chain breaks at line {line}"));
        }
        if self.counts.untied > 0 {
            problems.push(format!("{} deliveries do not tie with their charge", self.counts.untied));
        }
        if self.counts.charged != self.counts.charge_lines {
            problems.push(format!(
                "{} deliveries are charged, {} charges are on record",
                self.counts.charged, self.counts.charge_lines
            ));
        }
        problems
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = self.in_the_ledger();
        problems.extend(self.audit.err().map(broken));
        if self.documents.missing > 0 {
            problems.push(format!("{} documents that results refer to are missing", self.documents.missing));
        }
        problems
    }

    fn results(&self) -> u64 {
        self.counts.results.values().sum()
    }

    fn deliveries(&self) -> u64 {
        self.counts.deliveries.values().sum()
    }
}

pub(crate) fn run(verify: &Verify, global: &Global) -> anyhow::Result<Exit> {
    let (findings, own) = with_store(global, async |context, store| {
        let blobs = Blobs::in_folder(&context.config().blobs.folder)?;
        let scope = scope(store, verify.whose.organization.as_deref()).await?;
        let mut findings = Vec::new();
        let own = if scope == OrgScope::All { store.verify_audit(None).await? } else { Ok(0) };
        for organization in store.organizations(scope).await? {
            findings.push(Finding {
                chain: store.verify_ledger(organization.id).await?,
                audit: store.verify_audit(Some(organization.id)).await?,
                counts: store.counts(OrgScope::One(organization.id)).await?,
                documents: store.documents(&blobs, organization.id).await?,
                organization: organization.file.slug,
            });
        }
        Ok((findings, own))
    })?;
    let good = own.is_ok() && findings.iter().all(|finding| finding.problems().is_empty());
    if verify.output.json {
        let organizations: Vec<_> = findings
            .iter()
            .map(|finding| {
                json!({ "organization": finding.organization, "ledger_lines": finding.chain.ok(),
                        "audit_lines": finding.audit.ok(), "results": finding.counts.results,
                        "deliveries": finding.counts.deliveries, "charges": finding.counts.charge_lines,
                        "documents": { "stored": finding.documents.stored, "orphans": finding.documents.orphans,
                                       "missing": finding.documents.missing },
                        "problems": finding.problems() })
            })
            .collect();
        print_json(&json!({ "verified": good, "audit_lines": own.ok(), "organizations": organizations }))?;
    } else if findings.is_empty() {
        say("there is no organization, so there is nothing to verify");
    } else {
        let mut rows = Rows::new(&["organization", "ledger lines", "results", "deliveries", "charges", "verdict"]);
        rows.right(&[1, 2, 3, 4]);
        for finding in &findings {
            let problems = finding.problems();
            let verdict = if problems.is_empty() { "good".to_owned() } else { problems.join("; ") };
            let lines = finding.chain.map_or_else(|_| String::new(), |lines| lines.to_string());
            let counts = [finding.results(), finding.deliveries(), finding.counts.charge_lines].map(|count| count.to_string());
            let [results, deliveries, charges] = counts;
            rows.push([finding.organization.clone(), lines, results, deliveries, charges, verdict]);
        }
        rows.print()?;
    }
    if let Err(line) = own {
        say(&format!("the installation: {}", broken(line)));
    }
    let orphans: usize = findings.iter().map(|finding| finding.documents.orphans).sum();
    if orphans > 0 {
        say(&format!("{orphans} stored documents belong to no result; a running gateway removes them within the hour"));
    }
    if findings.iter().any(|finding| finding.documents.missing > 0) {
        say(
            "bring the file store back from where it is saved; deliveries of these results are held (document_unavailable) meanwhile",
        );
    }
    if findings.iter().any(|finding| !finding.in_the_ledger().is_empty()) {
        say("do not bill from this ledger before somebody has found out what happened");
    }
    Ok(if good { Exit::Good } else { Exit::Bad })
}
