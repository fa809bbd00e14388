//! What a route depends on beside the order and the rules, gathered before the rules are asked: one place for routing, for
//! `postern explain` and for the API.

use std::collections::HashMap;

use super::routing::decide;
use crate::{
    domain::{
        Npi, Order, OrderKey, OrgId, Report, ResultId,
        choice::Known,
        report::ResultStatus,
        route::{DirectoryAnswer, Route},
        time::Span,
    },
    resolve::{
        Earlier,
        directory::{self, Live},
        npis,
    },
    store::{Store, StoreError, organization::Organization},
};

/// What is known about the targets of one result.
#[derive(Debug, Clone, Default)]
pub struct Knowledge {
    /// What the directory says to each NPI.
    pub answers: HashMap<Npi, DirectoryAnswer>,
    /// Pins, suppressions, words of people, experience, and the roster.
    pub known: Known,
}

/// Which result it is about; neither for one that nobody has stored.
#[derive(Debug, Clone, Copy, Default)]
pub struct About {
    /// Its order.
    pub order: Option<OrderKey>,
    /// The result itself.
    pub result: Option<ResultId>,
}

/// Asks the store and the directory everything the rules want to know. A certificate is not looked for here: what was learnt
/// when one was missing counts (`unsealable_for`), and it is looked for, and judged, at the moment of sending.
///
/// # Errors
/// When the store fails. A directory that does not answer is an answer.
pub async fn gather(
    store: &Store,
    live: &Live,
    organization: &Organization,
    order: &Order,
    report: &Report,
    about: About,
    max_age: Span,
) -> Result<Knowledge, StoreError> {
    let org = organization.id;
    let mut known = store.known(org, about.order, about.result).await?;
    let file = &organization.file;
    let day = file.roster.day(order, report, &file.time_zone, known.at);
    known.attribution = store.attribution(org, order, day).await?;
    let npis = npis(order, &known);
    if npis.is_empty() {
        return Ok(Knowledge { answers: HashMap::new(), known });
    }
    known.pins = store.pins_of(org, &npis).await?;
    let answers = ask_directory(store, live, org, &npis, max_age).await?;
    let addresses = answers.values().flat_map(|answer| match answer {
        DirectoryAnswer::Found { entries, .. } => entries.as_slice(),
        _ => &[],
    });
    let addresses: Vec<_> = addresses.map(|entry| &entry.address).chain(known.pins.values().map(|pin| &pin.address)).collect();
    known.experience = store.experience(org, addresses).await?;
    Ok(Knowledge { answers, known })
}

/// What the directory says to every one of these NPIs: its loads, and live directories where these have nothing.
///
/// # Errors
/// When the store fails.
pub async fn ask_directory(
    store: &Store,
    live: &Live,
    org: OrgId,
    npis: &[Npi],
    max_age: Span,
) -> Result<HashMap<Npi, DirectoryAnswer>, StoreError> {
    let mut answers = HashMap::new();
    for npi in npis {
        let answer = directory::ask(store, live, org, npi, max_age).await?;
        answers.insert(npi.clone(), answer);
    }
    Ok(answers)
}

/// Where a result would go as things are. Stores and sends nothing.
///
/// # Errors
/// When the store fails.
pub async fn what_if(
    store: &Store,
    live: &Live,
    organization: &Organization,
    order: &Order,
    report: &Report,
    max_age: Span,
    test_domains: &[String],
) -> Result<Route, StoreError> {
    let key = store.find_order(organization.id, &order.order_id).await?.map(|(key, _)| key);
    // A correction also goes to whoever got what it replaces, a resend to whoever got what it repeats.
    let again = report.status == ResultStatus::Resend;
    let earlier = match key {
        Some(key) if again || report.status == ResultStatus::Corrected => {
            store.earlier_targets(organization.id, key, u32::MAX).await?
        }
        _ => Vec::new(),
    };
    let about = About { order: key, result: None };
    let knowledge = gather(store, live, organization, order, report, about, max_age).await?;
    let earlier = Earlier { targets: &earlier, again };
    Ok(decide(organization, order, report, earlier, &knowledge, false, test_domains))
}

/// The finished result an order is made for: what is explained when none is given.
#[must_use]
pub fn final_report(order: &Order) -> Report {
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
