//! The report of a month: of the results that came in within it, as they stand now.

use serde_json::{Value, json};

use super::{Report, csv::Part};
use crate::{
    domain::Month,
    store::{Store, StoreError, organization::Organization},
};

/// The report of one month in the organization's own time zone. Reads the results in pages, however many there are.
///
/// # Errors
/// When the store does not answer.
pub async fn of_month(store: &Store, organization: &Organization, month: Month) -> Result<Report, StoreError> {
    let zone = &organization.file.time_zone;
    let (from, to) = (zone.start_of(month.first()), zone.start_of(month.next().first()));
    let (mut report, mut after) = (Report::default(), None);
    loop {
        let page = store.outcomes(organization.id, from, to, after).await?;
        let Some(last) = page.last() else { return Ok(report.finished()) };
        after = Some(last.result);
        for outcome in &page {
            report.add(outcome);
        }
    }
}

impl Report {
    /// How many rows one part has.
    #[must_use]
    pub const fn len(&self, part: Part) -> usize {
        match part {
            Part::Delivered => self.by_pcp.len(),
            Part::Undeliverable => self.undeliverable.len(),
            Part::NoAddress => self.no_address.len(),
        }
    }

    /// So many rows of one part behind the first `after`, for programs.
    #[must_use]
    pub fn rows(&self, part: Part, after: usize, most: usize) -> Vec<Value> {
        match part {
            Part::Delivered => self.by_pcp.iter().skip(after).take(most).map(|row| json!(row)).collect(),
            Part::Undeliverable => {
                let rows = self.undeliverable.iter().skip(after).take(most);
                rows.map(|row| {
                    json!({ "order_id": row.order_id, "result": row.result, "version": row.version, "delivery": row.delivery,
                        "pcp_npi": row.pcp_npi, "address": row.address, "reason": row.reason, "since": row.since.to_string(),
                        "attempts": row.attempts, "next_action": row.next_action })
                })
                .collect()
            }
            Part::NoAddress => {
                let rows = self.no_address.iter().skip(after).take(most);
                rows.map(|row| {
                    json!({ "pcp_npi": row.pcp_npi, "reason": row.reason, "results": row.results, "oldest": row.oldest.to_string() })
                })
                .collect()
            }
        }
    }
}
