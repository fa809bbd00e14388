//! Reports of a month for people and programs: each reads every result of the month, so a few are made at a time.

use std::time::Duration;

use tokio::time::timeout;

use super::{Problem, Web};
use crate::{
    domain::Month,
    resolve::report::{self, Report, csv::Part},
    store::organization::Organization,
};

/// So many are made at the same time.
pub(super) const TOGETHER: usize = 2;
/// Whoever waits longer for a place is told to come again.
const PATIENCE: Duration = Duration::from_secs(10);

/// What goes on record when one is taken out.
pub(super) const fn what(part: Part) -> &'static str {
    match part {
        Part::Delivered => "report_delivered",
        Part::Undeliverable => "report_undeliverable",
        Part::NoAddress => "report_no_address",
    }
}

/// The report of one month of `organization`.
///
/// # Errors
/// 503 when too many are being made, or the store does not answer.
pub(super) async fn of_month(web: &Web, organization: &Organization, month: Month) -> Result<Report, Problem> {
    let Ok(Ok(_place)) = timeout(PATIENCE, web.reports.acquire()).await else {
        return Err(Problem::unavailable_now("too many reports are being made; ask again in a moment"));
    };
    Ok(report::of_month(web.intake.store(), organization, month).await?)
}
