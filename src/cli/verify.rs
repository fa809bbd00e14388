//! `postern verify`: whether the ledger is what was written, the totals tie, and each result has its document.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
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
    crypto::signing,
    domain::{OrgScope, Timestamp, text::counted},
    store::{
        blobs::Blobs,
        ledger::{
            audit::{Audit, ChainFault},
            seal::SignedHead,
        },
        leftover::Documents,
        survey::Counts,
    },
};

/// How to show it.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    whose: Whose,
    /// Believe only heads signed by this public key (PEM), as --save-head-key wrote it
    #[arg(long, value_name = "FILE")]
    head_key: Option<PathBuf>,
    /// Hold the ledgers against these heads too: a file that --save-heads wrote, kept where nobody who can change the database
    /// can reach it
    #[arg(long, value_name = "FILE")]
    heads: Option<PathBuf>,
    /// Write the signed heads to a file, one JSON object in a line
    #[arg(long, value_name = "FILE")]
    save_heads: Option<PathBuf>,
    /// Write the public key to a file: give it to your auditor, and keep a copy apart
    #[arg(long, value_name = "FILE")]
    save_head_key: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

/// What was found about one organization.
struct Finding {
    organization: String,
    /// Lines of the audit trail; `Err` of the first that does not fit.
    audit: Result<i64, i64>,
    /// What was found about its ledger.
    ledger: Audit,
    /// Whether lines are older than two days and nobody signed them.
    unsigned: Option<Timestamp>,
    counts: Counts,
    documents: Documents,
}

impl Finding {
    /// What makes the ledger doubtful.
    fn in_the_ledger(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for fault in self.ledger.faults() {
            problems.push(match fault {
                ChainFault::Rewritten(_) | ChainFault::ForgedHead(_) => fault.to_string(),
                _ => format!("the ledger was changed: its chain breaks at line {}: {fault}", fault.place()),
            });
        }
        if !self.ledger.added_up {
            problems.push("the sums that reports show are not those of its lines".to_owned());
        }
        if self.counts.untied > 0 {
            let untied = counted(self.counts.untied, "delivery does", "deliveries do");
            problems.push(format!("{untied} not tie with their charge"));
        }
        if self.counts.charged != self.counts.charge_lines {
            problems.push(format!(
                "{} charged, {} on record",
                counted(self.counts.charged, "delivery is", "deliveries are"),
                counted(self.counts.charge_lines, "charge is", "charges are")
            ));
        }
        problems
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = self.in_the_ledger();
        problems.extend(self.audit.err().map(broken));
        if self.documents.missing > 0 {
            let missing = counted(
                self.documents.missing as u64,
                "document that a result refers to is",
                "documents that results refer to are",
            );
            problems.push(format!("{missing} missing"));
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

/// The public key in a file.
fn head_key(file: &Path) -> anyhow::Result<Vec<u8>> {
    signing::from_pem(&super::read(file)?).with_context(|| format!("{} holds no public Ed25519 key in PEM", file.display()))
}

/// The heads somebody saved.
fn heads(file: &Path) -> anyhow::Result<Vec<SignedHead>> {
    let text = super::read(file)?;
    let lines = text.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_slice(line).with_context(|| format!("{} is no file of signed heads", file.display())))
        .collect()
}

pub(crate) fn run(verify: &Verify, global: &Global) -> anyhow::Result<Exit> {
    let (findings, own) = with_store(global, async |context, store| {
        let blobs = Blobs::in_folder(&context.config().blobs.folder)?;
        let scope = scope(store, verify.whose.organization.as_deref()).await?;
        if let Some(file) = &verify.save_head_key {
            // A key is made when the first head is signed.
            let (_, public) = store
                .head_keys()
                .await?
                .pop()
                .context("no head has been signed yet: a running gateway does it daily, closing a month at once")?;
            std::fs::write(file, signing::to_pem(&public)?).with_context(|| format!("cannot write {}", file.display()))?;
        }
        let key = verify.head_key.as_deref().map(head_key).transpose()?;
        let kept = verify.heads.as_deref().map(heads).transpose()?.unwrap_or_default();
        let stale = store.now().await?.minus(Duration::from_hours(48));
        let mut saved = String::new();
        let mut findings = Vec::new();
        let own = if scope == OrgScope::All { store.verify_audit(None).await? } else { Ok(0) };
        for organization in store.organizations(scope).await? {
            let ledger = store.audit_ledger(organization.id, key.as_deref(), &kept).await?;
            if verify.save_heads.is_some() {
                for head in store.signed_heads(organization.id).await? {
                    saved.push_str(&(serde_json::to_string(&head)? + "\n"));
                }
            }
            findings.push(Finding {
                audit: store.verify_audit(Some(organization.id)).await?,
                unsigned: ledger.unsigned_since.filter(|since| *since < stale),
                ledger,
                counts: store.counts(OrgScope::One(organization.id)).await?,
                documents: store.documents(&blobs, organization.id).await?,
                organization: organization.file.slug,
            });
        }
        if let Some(file) = &verify.save_heads {
            std::fs::write(file, saved).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok((findings, own))
    })?;
    let good = own.is_ok() && findings.iter().all(|finding| finding.problems().is_empty());
    if verify.output.json {
        let organizations: Vec<_> = findings
            .iter()
            .map(|finding| {
                json!({ "organization": finding.organization, "ledger_lines": finding.ledger.chain.ok(),
                        "signed_heads": finding.ledger.heads,
                        "unsigned_since": finding.ledger.unsigned_since.map(|at| at.to_string()),
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
            let lines = finding.ledger.chain.map_or_else(|_| String::new(), |lines| lines.to_string());
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
    for finding in &findings {
        if let Some(since) = finding.unsigned {
            say(&format!(
                "{}: lines since {since} are covered by no signed head; a running gateway signs daily, so find out why it did not",
                finding.organization
            ));
        }
    }
    for finding in findings.iter().filter(|finding| !finding.ledger.added_up) {
        say(&format!("{0}: postern fees add-up --organization {0} makes the sums again from the lines", finding.organization));
    }
    if findings.iter().any(|finding| !finding.in_the_ledger().is_empty()) {
        say("do not bill from this ledger before somebody has found out what happened");
    }
    Ok(if good { Exit::Good } else { Exit::Bad })
}
