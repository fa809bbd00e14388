//! Whatever comes in whatever order - charges, credits, corrections, new prices, closes - sums and chains stay right.

use std::collections::BTreeMap;

use postern::{
    bill::Statement,
    domain::{DeliveryId, Money, Month, OrgId, OrgScope, Timestamp, delivery::Event as E, delivery::NoticeKind, period::GRACE},
    store::ledger::{
        EntryType,
        adjust::{AdjustError, Corrected, Correction},
        close::Close,
    },
};
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};

use super::{
    billing::{apply, happen, lines, organization},
    world::World,
};

#[derive(Debug, Clone)]
enum Step {
    Charge,
    Credit(usize),
    Adjust(usize, i64),
    Rate(i64),
    AddUp,
    Close,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Charge),
        2 => (0_usize..20).prop_map(Step::Credit),
        2 => (0_usize..20, 0_i64..300_000).prop_map(|(which, amount)| Step::Adjust(which, amount)),
        1 => (1_i64..300_000).prop_map(Step::Rate),
        1 => Just(Step::AddUp),
        1 => Just(Step::Close),
    ];
    prop::collection::vec(step, 10..28)
}

fn list(amount: i64, tiers: &str) -> String {
    format!(
        "rate = [{{ from = '2026-01-01', fee_code = 'direct', amount = '{}'{tiers} }}]\nterms = [{{ from = '2026-01-01', minimum = '1', cap = '2' }}]",
        Money::from_micros(amount)
    )
}

/// What each delivery should have cost in the end.
#[derive(Default)]
struct Model {
    net: BTreeMap<DeliveryId, i64>,
    closed: BTreeMap<Month, String>,
    price: i64,
    tiers: &'static str,
}

async fn go(world: &World, org: OrgId, slug: &str, queue: &mut Vec<DeliveryId>, model: &mut Model, step: &Step) {
    let which = |at: usize, model: &Model| model.net.keys().nth(at % model.net.len().max(1)).copied();
    match step {
        Step::Charge => {
            let Some(id) = queue.pop() else { return };
            happen(world, org, id, &[E::Claimed, E::WireStarted, E::Accepted]).await;
            model.net.insert(id, model.price);
        }
        Step::Credit(at) => {
            let Some(id) = which(*at, model) else { return };
            if world.column(id, "fee").await == "charged" {
                happen(world, org, id, &[E::Notice(NoticeKind::Failed), E::CreditDue]).await;
                model.net.insert(id, 0);
            }
        }
        Step::Adjust(at, amount) => {
            let Some(id) = which(*at, model) else { return };
            let (reason, by) = ("agreed".to_owned(), "biller".to_owned());
            let (of, amount) = (Corrected::Delivery(id), Money::from_micros(*amount));
            let correction = Correction { of, amount, reason, by, paid_by: None, dry_run: false };
            match world.store.adjust(OrgScope::One(org), &correction).await {
                Ok(_) => drop(model.net.insert(id, amount.micros())),
                Err(AdjustError::TakenBack | AdjustError::Same) => {}
                Err(error) => panic!("{error}"),
            }
        }
        Step::Rate(amount) => {
            model.price = *amount;
            apply(world, slug, &list(*amount, model.tiers)).await;
        }
        Step::AddUp => world.store.add_up(1).await.unwrap(),
        Step::Close => {
            let Some(period) =
                world.store.periods(OrgScope::One(org)).await.unwrap().into_iter().find(|period| period.closed_at.is_none())
            else {
                return;
            };
            world.set_time(Timestamp(period.bounds.ends_at.plus(GRACE).micros() + 1)).await;
            // What waits in the queue is still on its way.
            let how = Close { dry_run: false, force: true, by: "biller".into() };
            let own = organization(world, org).await;
            let month = period.bounds.month;
            let closing = world.store.close_period(&own, month, &how).await.unwrap().unwrap();
            assert!(closing.closed, "{:?}", closing.refusals);
            model.closed.insert(month, Statement::make(&world.store, &own, month, &own).await.unwrap().json().unwrap());
        }
    }
}

async fn holds(world: &World, org: OrgId, model: &Model) {
    let lines = lines(world, org).await;
    assert_eq!(world.store.verify_ledger(org).await.unwrap(), Ok(i64::try_from(lines.len()).unwrap()));
    let periods = world.store.periods(OrgScope::One(org)).await.unwrap();
    for (id, net) in &model.net {
        let own: Vec<_> = lines.iter().filter(|line| line.delivery == Some(*id)).collect();
        let sum: i64 = own.iter().map(|line| line.amount.micros()).sum();
        let charge = own.iter().find(|line| line.entry_type == EntryType::Charge).unwrap();
        // What tiers made of it stands in a line of its month; whoever takes it back after the close takes that back, too.
        let closed = periods.iter().find(|period| period.bounds.month == charge.period).and_then(|period| period.record.as_ref());
        let settled = closed.and_then(|record| record.last_prices.iter().find(|last| Some(&last.price) == charge.price.as_ref()));
        let with_tiers = settled.map(|last| net + charge.amount.micros() - last.amount.micros());
        assert!(sum == *net || Some(sum) == with_tiers, "{id}: {sum} instead of {net} or {with_tiers:?}");
        assert!(!model.tiers.is_empty() || sum == *net, "{id}: {sum} instead of {net}");
    }
    assert!(world.store.audit_ledger(org, None, &[]).await.unwrap().added_up);
    let own = organization(world, org).await;
    for (month, statement) in &model.closed {
        let made = Statement::make(&world.store, &own, *month, &own).await.unwrap();
        assert_eq!(made.json().unwrap(), *statement, "a closed month never changes");
        let sum: i64 = lines.iter().filter(|line| line.period == *month).map(|line| line.amount.micros()).sum();
        let total: i64 = made.totals.iter().map(|total| total.total.micros()).sum();
        assert_eq!((sum, sum % 10_000), (total, 0), "{month}");
        assert!(made.controls.unwrap().ties);
    }
    assert_eq!(world.store.counts(OrgScope::One(org)).await.unwrap().untied, 0);
}

on_both_engines! {
    async fn any_order_of_charge_credit_correction_price_and_close_keeps_sums_and_chains_right(world: &World) {
        let mut runner = TestRunner::deterministic();
        for case in 0..9 {
            let slug = format!("org{case}");
            // Each kind of price list three times.
            let tiers = ["", ", included = 1, tier = [{ above = 3, amount = '0.001' }]", ", tier = [{ above = 2, amount = '0.4' }], tiering = 'volume'"][case % 3];
            let mut model = Model { price: 12_500, tiers, ..Model::default() };
            let org = apply(world, &slug, &list(model.price, tiers)).await;
            let mut queue = world.many(org, 20).await;
            for step in steps().new_tree(&mut runner).unwrap().current() {
                go(world, org, &slug, &mut queue, &mut model, &step).await;
            }
            holds(world, org, &model).await;
        }
    }
}
