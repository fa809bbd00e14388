//! `postern fees report`: what the ledger adds up to.

use std::collections::BTreeMap;

use clap::Args;

use super::super::{
    Exit,
    context::{self, Context, Global, with_store},
    print_bytes, say,
    table::{Rows, print_json},
};
use super::Format;
use crate::{
    bill::{
        self, Report,
        summary::{self, By, COLUMNS, Costs, Summary},
    },
    domain::{Month, OrgId, OrgScope, time::Date},
    store::{
        Store,
        ledger::read::{LineQuery, PaidRow},
        organization::Organization,
    },
};

/// Add up the fees of a period
///
/// The period is a month that is billed (`--month 2026-01`, several with `--to-month`), or days on which fees arose: it begins
/// with the day --from and ends before the day --to, which is not in it. Days and months are those of each organization's own
/// time zone.
///
/// Without --by, rows are grouped by organization, site, entry type, fee code, currency, note and price, so that each is a
/// quantity times a price. With --by they are grouped by what it names, and show what was charged, given back, adjusted and is
/// owed; by month they show the change from the month before (`--by site,month` is a trend). Where [fees] says what HISPs ask
/// for a message, by channel or by relay, --margin shows what that costs and what is left; with --by relay for each of them.
///
/// The note says `unpriced` where no price was in force, `test` for test traffic; both cost nothing. CSV has the rows alone;
/// table and JSON have the totals too.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("period").required(true).args(["from", "month"])))]
pub(super) struct ReportArgs {
    /// The month that is billed, e.g. 2026-01
    #[arg(long, value_name = "MONTH")]
    month: Option<Month>,
    /// The last of several months
    #[arg(long, value_name = "MONTH", requires = "month")]
    to_month: Option<Month>,
    /// First day, e.g. 2026-01-01
    #[arg(long, value_name = "DAY", requires = "to")]
    from: Option<Date>,
    /// First day after the period, e.g. 2026-02-01
    #[arg(long, value_name = "DAY", requires = "from")]
    to: Option<Date>,
    /// Group by these: organization, site, `bill_to`, `cost_center`, payer, channel, relay, month, status, `fee_code`, `entry_type`
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    by: Vec<By>,
    /// Show what the HISP asks for, and what is left
    #[arg(long)]
    margin: bool,
    /// Only this organization's
    #[arg(long, visible_alias = "org", value_name = "SLUG")]
    organization: Option<String>,
    /// Only what this organization pays
    #[arg(long, value_name = "SLUG")]
    bill_to: Option<String>,
    /// Only this site's, by its `local_id`
    #[arg(long, value_name = "LOCAL_ID")]
    site: Option<String>,
    /// Only for members of this health plan, by the sender's key of it
    #[arg(long, value_name = "KEY")]
    payer: Option<String>,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// What is asked for, whichever way it is grouped.
enum Told {
    Priced(Report),
    Grouped(Summary),
}

pub(super) fn run(args: &ReportArgs, global: &Global) -> anyhow::Result<Exit> {
    if let (Some(from), Some(to)) = (args.from, args.to) {
        anyhow::ensure!(from < to, "--to is the first day after the period: it must be later than --from");
    }
    if let (Some(month), Some(to)) = (args.month, args.to_month) {
        anyhow::ensure!(month <= to, "--to-month must not be before --month");
    }
    let told = with_store(global, async |context, store| told(args, context, store).await)?;
    let format = if args.json { Format::Json } else { args.format };
    match told {
        Told::Priced(report) => match format {
            Format::Json => print_json(&report)?,
            Format::Csv => {
                let mut csv = Vec::new();
                bill::csv::write(&report, &mut csv)?;
                print_bytes(&csv)?;
            }
            Format::Table => show(&report)?,
        },
        Told::Grouped(summary) => match format {
            Format::Json => print_json(&summary)?,
            Format::Csv => {
                let mut csv = Vec::new();
                summary::csv(&summary, &mut csv)?;
                print_bytes(&csv)?;
            }
            Format::Table => show_grouped(&summary, args.margin)?,
        },
    }
    Ok(Exit::Good)
}

async fn told(args: &ReportArgs, context: &Context, store: &Store) -> anyhow::Result<Told> {
    let organizations = match &args.organization {
        Some(slug) => vec![context::organization(store, slug).await?],
        None => store.organizations(OrgScope::All).await?,
    };
    let bill_to = match &args.bill_to {
        Some(slug) => Some(context::organization(store, slug).await?.id),
        None => None,
    };
    let costs = Costs::of(&context.config().fees);
    let mut sums: Vec<(OrgId, PaidRow)> = Vec::new();
    for organization in &organizations {
        for query in queries(args, organization) {
            let relays = summary::asks_for_relays(&args.by, costs.as_ref().filter(|_| args.margin));
            let query = LineQuery { relays, bill_to, site: args.site.as_deref(), payer: args.payer.as_deref(), ..query };
            let found = store.ledger_sums(OrgScope::All, &query).await?;
            sums.extend(found.into_iter().map(|sum| (organization.id, sum)));
        }
    }
    let slugs: BTreeMap<OrgId, String> = context::slugs(store).await?.into_iter().collect();
    if args.by.is_empty() && !args.margin {
        let (from, to) = match (args.from, args.to, args.month) {
            (Some(from), Some(to), _) => (from, to),
            (_, _, Some(month)) => (month.first(), args.to_month.unwrap_or(month).next().first()),
            _ => anyhow::bail!("say which period: --month, or --from and --to"),
        };
        let rows = sums.iter().map(|(org, sum)| (slugs.get(org).map_or("", String::as_str), sum));
        return Ok(Told::Priced(bill::report(from, to, rows)?));
    }
    anyhow::ensure!(
        !args.margin || costs.is_some(),
        "the cost of a message is not known: set cost, or cost_by_relay, in the section [fees] of the configuration"
    );
    let by = if args.by.is_empty() { vec![By::Organization] } else { args.by.clone() };
    Ok(Told::Grouped(summary::summary(&by, &slugs, costs.as_ref().filter(|_| args.margin), &sums)?))
}

/// What is asked of one ledger.
fn queries<'a>(args: &ReportArgs, organization: &Organization) -> Vec<LineQuery<'a>> {
    let all = LineQuery::of(organization.id);
    let zone = &organization.file.time_zone;
    if let (Some(from), Some(to)) = (args.from, args.to) {
        return vec![LineQuery { from: Some(zone.start_of(from)), to: Some(zone.start_of(to)), ..all }];
    }
    let Some(first) = args.month else { return Vec::new() };
    let last = args.to_month.unwrap_or(first);
    let months = std::iter::successors(Some(first), |month| Some(month.next()).filter(|next| *next <= last));
    months.map(|month| LineQuery { period: Some(month), ..all }).collect()
}

fn show_grouped(summary: &Summary, margin: bool) -> anyhow::Result<()> {
    if summary.rows.is_empty() {
        say("no fees in this period");
        return Ok(());
    }
    // A column nobody has anything in is left out; cost and margin only when they were asked for.
    let all: Vec<[String; 13]> = summary.rows.iter().map(summary::Line::numbers).collect();
    let empty = |cell: &str| matches!(cell, "" | "0" | "0.00");
    let always = |name: &str| matches!(name, "charges" | "amount" | "currency") || (margin && matches!(name, "cost" | "margin"));
    let shown: Vec<usize> =
        (0..COLUMNS.len()).filter(|at| always(COLUMNS[*at]) || all.iter().any(|row| !empty(&row[*at]))).collect();
    let keys = summary.by.len();
    let header: Vec<String> = summary.by.iter().map(|by| by.as_str().replace('_', " ")).collect();
    let header: Vec<&str> = header.iter().map(String::as_str).chain(shown.iter().map(|at| COLUMNS[*at])).collect();
    let mut rows = Rows::new(&header);
    let right: Vec<usize> = (keys..header.len()).filter(|at| header[*at] != "currency").collect();
    rows.right(&right);
    for (row, numbers) in summary.rows.iter().zip(&all) {
        let cells = row.keys.0.iter().map(|(_, value)| value.clone());
        rows.push_all(cells.chain(shown.iter().map(|at| numbers[*at].clone())).collect());
    }
    for total in &summary.totals {
        let line = summary::Line { keys: summary::Keys(Vec::new()), sums: total.clone(), change: None };
        let numbers = line.numbers();
        let names = std::iter::once("all".to_owned()).chain(std::iter::repeat_n(String::new(), keys.saturating_sub(1)));
        rows.push_all(names.chain(shown.iter().map(|at| numbers[*at].clone())).collect());
    }
    rows.print()
}

fn show(report: &Report) -> anyhow::Result<()> {
    if report.rows.is_empty() {
        say("no fees in this period");
        return Ok(());
    }
    let mut rows =
        Rows::new(&["organization", "site", "entry", "fee code", "note", "quantity", "unit price", "amount", "currency"]);
    rows.right(&[5, 6, 7]);
    for row in &report.rows {
        let group = &row.group;
        rows.push([
            group.organization.clone(),
            group.site.clone(),
            group.entry_type.to_string(),
            group.fee_code.clone(),
            group.note.clone(),
            row.quantity.to_string(),
            group.unit_price.to_string(),
            row.amount.to_string(),
            group.currency.to_string(),
        ]);
    }
    rows.print()?;
    print_bytes(b"\n")?;
    let mut sums = Rows::new(&["total of", "charges", "unpriced", "test", "amount", "currency"]);
    sums.right(&[1, 2, 3, 4]);
    let all = report.totals.iter().map(|total| ("all".to_owned(), total));
    let each = report.organizations.iter().map(|owed| (owed.organization.clone(), &owed.total));
    for (whose, total) in each.chain(all.filter(|_| report.organizations.len() > report.totals.len())) {
        sums.push([
            whose,
            total.charges.to_string(),
            total.unpriced.to_string(),
            total.test.to_string(),
            total.amount.to_string(),
            total.currency.to_string(),
        ]);
    }
    sums.print()
}
