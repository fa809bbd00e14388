//! Health: how this process is, and how deep the queue.

use axum::extract::State;

use super::{
    Page,
    sheet::{Cell, Section, Sheet},
    words::{self, Badge},
};
use crate::{
    observe::health::{Condition, Part},
    web::{Web, auth::Person},
};

pub(super) async fn show(State(web): State<Web>, person: Person) -> Result<Page, Page> {
    let store = web.intake.store();
    let report = web.health.report();
    let depth = store.depth().await.map_err(Page::store)?;
    let ages = store.directory_ages().await.map_err(Page::store)?;
    let parts = report.parts.iter().map(|(part, condition)| {
        let tone = match condition {
            Condition::Good => "good",
            Condition::Failing => "bad",
            Condition::Silent => "warn",
        };
        vec![Cell::from(part.to_string()).with(does(*part)), Badge { tone, words: condition.to_string() }.into()]
    });
    let level = |badge: Badge, what: &'static str, count: u64, oldest: std::time::Duration| {
        // What is empty asks for nobody's eye.
        let tone = if count == 0 { "calm" } else { badge.tone };
        vec![
            Badge { tone, ..badge }.into(),
            what.into(),
            Cell::number(count),
            Cell::number(if count == 0 { "-".to_owned() } else { words::age(oldest) }),
        ]
    };
    let results = depth.results.iter().map(|one| level(words::result_state(one.state), "results", one.count, one.oldest));
    let deliveries = depth.deliveries.iter().map(|one| level(words::state(one.state), "deliveries", one.count, one.oldest));
    let awaited = level(Badge { tone: "info", words: "awaited".into() }, "notices", depth.awaited.0, depth.awaited.1);
    let ages = ages.into_iter().map(|(source, age)| vec![words::plain(source.as_str()).into(), Cell::number(words::age(age))]);
    let lead = if report.ready { "Ready for work." } else { "Not ready for work: a part below is not good." };
    Ok(Sheet::new("Health", lead)
        .and(
            Section::table("Parts of this process", &["Part", "How it is"], ("No part", "This process has none of the loops."))
                .rows(parts),
        )
        .and(
            Section::table("The queue", &["State", "What", "#Count", "#Oldest"], ("Empty", ""))
                .rows(results.chain(deliveries).chain([awaited])),
        )
        .and(
            Section::table(
                "Age of the directory",
                &["Source", "#Age"],
                ("No directory", "NPIs cannot be looked up: postern directory import"),
            )
            .rows(ages),
        )
        .show(&person))
}

/// What a part of the process is there for.
const fn does(part: Part) -> &'static str {
    match part {
        Part::Store => "keeps everything",
        Part::Blobs => "keeps the documents",
        Part::Worker => "routes results and sends them",
        Part::Source => "takes results in from folders and feeds",
        Part::Track => "takes notices and replies in",
    }
}
