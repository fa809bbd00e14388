//! `postern document`: an order and a PDF in, a C-CDA document out.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use uuid::Uuid;

use super::{Exit, now, print_bytes, read, save, say};
use crate::{
    document::{Confidentiality, DocumentError, Earlier, Facts, Relation, Sender, pdf, unstructured, xdm},
    domain::{
        DirectAddress, Order, Report, message::PdfPlace, organization::OrganizationFile, report::ResultStatus,
        route::IntendedRecipient, text::Stated,
    },
    source::wire::{self, FieldProblem, OrderMessage, Parsed, Replaces, ResultMessage, Unknown},
};

/// Wrap a PDF in a C-CDA R2.1 Unstructured Document.
///
/// Writes the document to standard output, addressed to the order's first recipient. Needs no store and no network.
/// Without --result the report is final and nothing more is said about it; the result's JSON may carry `version` and
/// `replaces` (the earlier document's id) for a correction. Without --organization a practice laboratory sends it.
///
/// With --xdm the document is also put into an XDM package, as it is sent when an organization's file says
/// packaging = "xdm"; the PDF stands beside it in the package when the file says pdf = "beside".
///
/// Exit code 1 when the order, the result or the PDF is bad; each problem is named with its field.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  postern document --order order.json --pdf report.pdf --result result.json > document.xml
  postern document --order order.json --pdf report.pdf --xdm package.zip > document.xml && postern inspect package.zip")]
pub(crate) struct Args {
    /// The order as JSON; - is standard input.
    #[arg(long, value_name = "FILE")]
    order: PathBuf,
    /// The report.
    #[arg(long, value_name = "FILE")]
    pdf: PathBuf,
    /// What the report says about itself, as JSON.
    #[arg(long, value_name = "FILE")]
    result: Option<PathBuf>,
    /// The sender's own facts, as TOML: the file of `postern org apply`.
    #[arg(long, value_name = "FILE")]
    organization: Option<PathBuf>,
    /// Write the XDM package here as well: a ZIP file with the document and its metadata.
    #[arg(long, value_name = "FILE")]
    xdm: Option<PathBuf>,
}

/// The sender of documents made without an organization file. It does not exist; its identifiers are those of examples.
const PRACTICE: &str = r#"
slug = "practice-laboratory"
name = "Practice Laboratory"
npi = "2000000044"
phone = "+1-937-555-0100"
address = { lines = ["1 Test Way"], city = "Dayton", state = "OH", postal_code = "45402", country = "US" }
time_zone = "America/New_York"
mode = "test"
[document]
assigning_authority = "2.16.840.1.113883.19.5"
document_code = "103592-2"
"#;

pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let (order_json, pdf) = (read(&args.order)?, read(&args.pdf)?);
    let result_json = args.result.as_deref().map(read).transpose()?;
    let file = organization(args)?;
    let today = file.time_zone.date_at(now());

    let mut bad = false;
    let order = accept(&mut bad, "order", wire::order(&order_json, Unknown::Refuse, today).and_then(whole));
    let result = result_json.map(|json| accept(&mut bad, "result", wire::result(&json, Unknown::Refuse, today)));
    if let Err(problem) = pdf::check(&pdf, pdf::DEFAULT_LIMIT) {
        say(&format!("pdf: {problem} [{}]", problem.code()));
        bad = true;
    }
    let (Some(order), Some(result)) = (order, result.map_or(Some(None), |result| result.map(Some))) else { return Ok(Exit::Bad) };
    if result.as_ref().is_some_and(|result| result.report.order_id != order.order_id || result.report.site != order.site) {
        say("result: /order_id or /site differs from the order's [mismatch]");
        bad = true;
    }
    if bad { Ok(Exit::Bad) } else { write(args, &file, &order, result, &pdf) }
}

fn organization(args: &Args) -> anyhow::Result<OrganizationFile> {
    let Some(path) = &args.organization else { return toml::from_str(PRACTICE).context("the practice laboratory") };
    let text = String::from_utf8(read(path)?).with_context(|| format!("{} is not UTF-8", path.display()))?;
    let file: OrganizationFile = toml::from_str(&text).with_context(|| format!("cannot use {}", path.display()))?;
    let problems = file.check().err().unwrap_or_default();
    for problem in &problems {
        say(&format!("{}: {problem}", path.display()));
    }
    ensure!(problems.is_empty(), "cannot use {}", path.display());
    Ok(file)
}

/// The order itself; there is no document of a cancellation.
fn whole(parsed: Parsed<OrderMessage>) -> Result<Parsed<Order>, Vec<FieldProblem>> {
    let Parsed { value, warnings } = parsed;
    value.order().map(|value| Parsed { value, warnings }).ok_or_else(|| {
        vec![FieldProblem {
            field: "/action".into(),
            code: "unknown_code".into(),
            message: "must not be cancel: there is nothing to write".into(),
        }]
    })
}

/// What was read, after its problems or warnings have been said, one to a line.
fn accept<T>(bad: &mut bool, what: &str, read: Result<Parsed<T>, Vec<FieldProblem>>) -> Option<T> {
    let line = |kind: &str, problem: &FieldProblem| say(&format!("{what}: {kind}{problem} [{}]", problem.code));
    match read {
        Ok(parsed) => {
            for warning in &parsed.warnings {
                line("warning: ", warning);
            }
            Some(parsed.value)
        }
        Err(problems) => {
            *bad = true;
            for problem in &problems {
                line("", problem);
            }
            None
        }
    }
}

fn write(args: &Args, file: &OrganizationFile, order: &Order, result: Option<ResultMessage>, pdf: &[u8]) -> anyhow::Result<Exit> {
    let sender = Sender::of(file, &order.site);
    let made_at = now().in_zone(&file.time_zone);
    let (version, replaces) = result.as_ref().map_or((None, None), |result| (result.version, result.replaces));
    let report = result.map_or_else(|| plain_report(order), |result| result.report);
    let of_order = sender.set_id(&order.order_id);
    let relation = replaces.map(|earlier| relation(report.status, &earlier, version, of_order));
    // CDA R2 4.2.3.1: a replacement stays in the set of its parent; an addendum begins one of its own.
    let set_id = match relation {
        Some(Relation::Replaces(earlier)) => earlier.set_id,
        Some(Relation::Appends(_)) => Uuid::now_v7(),
        None => of_order,
    };
    let version = version.or_else(|| match relation {
        Some(Relation::Replaces(earlier)) => earlier.version.checked_add(1),
        _ => None,
    });
    let (recipient, address) = first_recipient(order);
    let facts = Facts {
        document_id: Uuid::now_v7(),
        set_id,
        version: version.unwrap_or(1),
        relation,
        order,
        report: &report,
        sender: &sender,
        patient_id: file.document.patient_id,
        recipient: recipient.as_ref(),
        address,
        confidentiality: Confidentiality::Normal,
        received_at: made_at,
        made_at,
    };
    let mut document = Vec::new();
    let mut made = || -> Result<(usize, Option<Vec<u8>>), DocumentError> {
        let written = unstructured::write(&facts, pdf, &mut document)?;
        let package = args.xdm.as_ref().map(|_| package(file, &facts, &document, pdf)).transpose()?;
        Ok((written.replaced_characters, package))
    };
    let (replaced, package) = match made() {
        Ok(made) => made,
        Err(error) => {
            say(&format!("pdf: {error} [{}]", error.reason()));
            return Ok(Exit::Bad);
        }
    };
    if replaced > 0 {
        say(&format!("note: {replaced} characters that XML cannot carry became U+FFFD"));
    }
    if let (Some(path), Some(package)) = (&args.xdm, package) {
        save(path, &package).with_context(|| format!("cannot write {}", path.display()))?;
        say(&format!("{} bytes written to {}", package.len(), path.display()));
    }
    print_bytes(&document)?;
    Ok(Exit::Good)
}

/// The package as it would be sent to the order's first recipient.
fn package(file: &OrganizationFile, facts: &Facts<'_>, cda: &[u8], pdf: &[u8]) -> Result<Vec<u8>, DocumentError> {
    let place = facts.address.map_or(file.message.pdf, |address| file.message.enclosure(address).pdf);
    let from = file.sites.iter().find(|site| site.local_id == facts.order.site).and_then(|site| site.identity.as_ref());
    let from = from.or_else(|| file.identities.first().map(|identity| &identity.address));
    let mut package = Vec::new();
    xdm::write(&xdm::Package { facts, from, cda, pdf: (place == PdfPlace::Beside).then_some(pdf) }, &mut package)?;
    Ok(package)
}

fn plain_report(order: &Order) -> Report {
    Report {
        order_id: order.order_id.clone(),
        site: order.site.clone(),
        status: ResultStatus::Final,
        completed_at: None,
        title: None,
        document_code: None,
        author: None,
    }
}

fn relation(status: ResultStatus, earlier: &Replaces, version: Option<u32>, of_order: Uuid) -> Relation {
    let before = earlier.version.or_else(|| version.and_then(|version| version.checked_sub(1)).filter(|version| *version > 0));
    let earlier = Earlier { id: earlier.id, set_id: earlier.set_id.unwrap_or(of_order), version: before.unwrap_or(1) };
    if status == ResultStatus::Addendum { Relation::Appends(earlier) } else { Relation::Replaces(earlier) }
}

/// The first recipient of the order that has something to say, with its address when there is one.
fn first_recipient(order: &Order) -> (Option<IntendedRecipient>, Option<&DirectAddress>) {
    let Some(first) = order.deliver_to.first() else { return (None, None) };
    let recipient = IntendedRecipient {
        role: Some(first.role),
        npi: first.npi.as_ref().and_then(Stated::valid).cloned(),
        name: first.name.clone(),
        organization: first.organization.clone(),
    };
    (Some(recipient), first.direct.as_ref().and_then(Stated::valid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_practice_laboratory_is_a_valid_organization() {
        let file: OrganizationFile = toml::from_str(PRACTICE).unwrap();
        assert_eq!(file.check(), Ok(()));
    }
}
