//! Moves: the row says what the rules say, what was handed over is on record, and so is everything that happened.

use std::time::Duration;

use postern::{
    domain::{
        Delivery, DeliveryId, OrgScope, Reason,
        delivery::{Disposition, Event, Fee, NoticeKind, State},
        organization::{Billable, WhenUnknown},
        time::Clock,
    },
    store::{
        StoreError,
        delivery::{Evidence, Move},
    },
};

use super::{make, world::World};

use Event as E;

const EVENTS: [Event; 18] = [
    E::Claimed,
    E::Claimed,
    E::Released,
    E::WireStarted,
    E::WireStarted,
    E::Accepted,
    E::Refused(Reason::Rejected5xx),
    E::Deferred,
    E::Exhausted,
    E::Lost,
    E::Held(Reason::NoCert),
    E::UnknownWaitOver,
    E::Cancel,
    E::Supersede,
    E::Retry,
    E::Notice(NoticeKind::Processed),
    E::Notice(NoticeKind::Dispatched),
    E::DeadlinePassed,
];

/// A small generator of picks, the same in every run.
pub(super) fn picks(mut seed: u64) -> impl FnMut(usize) -> usize {
    move |below| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap_or(0) % below
    }
}

/// The axes as the row has them.
async fn row(world: &World, id: DeliveryId) -> Vec<String> {
    let mut row = Vec::new();
    for column in ["state", "reason", "disposition", "fee", "unknown_attempts", "stopped", "early_notice"] {
        row.push(world.column(id, column).await);
    }
    row
}

/// The axes as the rules have them.
fn rules(world: &World, delivery: &Delivery) -> Vec<String> {
    let stopped = if delivery.stopped { world.either("1", "true") } else { world.either("0", "false") };
    vec![
        delivery.state.to_string(),
        delivery.reason.map(|reason| reason.to_string()).unwrap_or_default(),
        delivery.disposition.map(|disposition| disposition.to_string()).unwrap_or_default(),
        delivery.fee.to_string(),
        delivery.unknown_attempts.to_string(),
        stopped.to_owned(),
        delivery.early_notice.map(|notice| notice.to_string()).unwrap_or_default(),
    ]
}

on_both_engines! {
    async fn whatever_happens_the_row_says_what_the_rules_say(world: &World) {
        let org = world.organization("north").await;
        let mut pick = picks(7);
        let (mut moved, mut refused) = (0, 0);
        for (number, id) in world.many(org, 12).await.into_iter().enumerate() {
            let when_unknown = WhenUnknown::ALL[number % 2];
            let billable = Billable::ALL[number % 3];
            let mut delivery = Delivery { wants_dispatched: number % 4 == 0, ..Delivery::queued(billable, when_unknown) };
            world.run(&format!("UPDATE delivery SET when_unknown = '{when_unknown}', billable = '{billable}',
                wants_dispatched = {} WHERE id = '{id}'", delivery.wants_dispatched)).await;
            for _ in 0..30 {
                // Two of three steps go somewhere; the third may be anything.
                let legal: Vec<Event> = EVENTS.into_iter().filter(|event| delivery.apply(*event).is_ok()).collect();
                let from = if legal.is_empty() || pick(3) == 0 { &EVENTS[..] } else { &legal };
                let event = from[pick(from.len())];
                match (delivery.apply(event), world.happen(org, id, event).await) {
                    (Ok((next, effects)), Ok(done)) => {
                        assert_eq!((done.delivery, done.effects), (next, effects), "{event:?}");
                        delivery = next;
                        moved += 1;
                    }
                    (Err(illegal), Err(StoreError::Illegal(said))) => {
                        assert_eq!(said, illegal);
                        refused += 1;
                    }
                    (rules, store) => panic!("{event:?}: the rules say {rules:?}, the store {store:?}"),
                }
                assert_eq!(row(world, id).await, rules(world, &delivery), "{event:?}");
            }
        }
        assert!(moved > 60 && refused > 60, "the walk must go somewhere: {moved} moves, {refused} refusals");
        assert_eq!(world.store.counts(OrgScope::All).await.unwrap().untied, 0);
    }

    async fn what_was_handed_over_is_on_record(world: &World) {
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        let lease = make::lease();
        world.claim(&lease, 1).await;
        let mut wire = make::by(&lease, org, id, E::WireStarted);
        wire.evidence = Evidence {
            profile: Some("aes-256-cbc pkcs1 sha-256".parse().unwrap()),
            sealed_sha256: Some([7; 32]),
            sealed_bytes: Some(409_600),
            certificate: Some("ab:cd".into()),
            relay: Some("hisp-a".into()),
            reply: None,
            from: None,
            mode: None,
        };
        world.committer.apply(wire).await.unwrap();
        world.pass(Duration::from_secs(3)).await;
        let mut accepted = make::by(&lease, org, id, E::Accepted);
        accepted.evidence.reply = Some("250 2.0.0 Ok: queued as 4F1".into());
        world.committer.apply(accepted).await.unwrap();
        let kept = [
            ("sealed_bytes", "409600"),
            ("certificate", "ab:cd"),
            ("relay", "hisp-a"),
            ("reply", "250 2.0.0 Ok: queued as 4F1"),
            ("accepted_at", &world.clock.now().micros().to_string()),
            ("lease_owner", ""),
            ("lease_until", ""),
        ];
        for (column, value) in kept {
            assert_eq!(world.column(id, column).await, value, "{column}");
        }
        let sha256 = world.texts("SELECT LOWER(HEX(sealed_sha256)) FROM delivery".replace("LOWER(HEX(sealed_sha256))",
            world.either("LOWER(HEX(sealed_sha256))", "encode(sealed_sha256, 'hex')")).as_str()).await;
        assert_eq!(sha256, ["07".repeat(32)]);
        let (view, _) = world.store.delivery_view(OrgScope::One(org), id).await.unwrap().unwrap();
        assert_eq!((view.state, view.disposition, view.fee), (State::Accepted, Some(Disposition::Awaited), Fee::Charged));
        assert_eq!(view.reply.as_deref(), Some("250 2.0.0 Ok: queued as 4F1"));
    }

    async fn an_answer_no_database_can_hold_as_it_is_does_not_lose_the_acceptance(world: &World) {
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        world.lead(org, id, &[E::Claimed, E::WireStarted]).await;
        let mut accepted = Move::new(org, id, E::Accepted);
        accepted.evidence.reply = Some("250 Ok\0 and more".into());
        accepted.evidence.relay = Some("hisp\0".into());
        accepted.note = Some("\0".into());
        world.committer.apply(accepted).await.unwrap();
        assert_eq!(world.state(id).await, State::Accepted);
        assert_eq!(world.column(id, "reply").await, "250 Ok\u{fffd} and more");
    }

    async fn everything_that_happened_stands_in_the_history_in_order(world: &World) {
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        let lease = make::lease();
        world.claim(&lease, 1).await;
        for (event, note) in [(E::WireStarted, None), (E::Deferred, Some("451 try again"))] {
            world.pass(Duration::from_secs(1)).await;
            let happened = Move { note: note.map(str::to_owned), ..make::by(&lease, org, id, event) };
            world.committer.apply(happened).await.unwrap();
        }
        let (_, history) = world.store.delivery_view(OrgScope::One(org), id).await.unwrap().unwrap();
        let told: Vec<_> = history.iter().map(|line| (line.event.as_str(), line.state, line.detail.as_deref())).collect();
        assert_eq!(told, [
            ("routed", State::Queued, Some("order_address")),
            ("on_wire", State::OnWire, None),
            ("deferred", State::Queued, Some("451 try again")),
        ]);
        assert!(history.is_sorted_by_key(|line| line.at));
        assert_eq!(history[2].at, world.clock.now());
    }

    async fn what_changes_nothing_leaves_no_trace(world: &World) {
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        world.lead(org, id, &[E::Claimed, E::WireStarted, E::Accepted]).await;
        let before = world.number("SELECT COUNT(*) FROM delivery_event").await;
        world.lead(org, id, &[E::Accepted, E::Accepted]).await;
        for illegal in [E::Claimed, E::WireStarted, E::Refused(Reason::NoCert), E::Cancel] {
            assert!(matches!(world.happen(org, id, illegal).await, Err(StoreError::Illegal(_))), "{illegal:?}");
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM delivery_event").await, before);
    }

    async fn an_attempt_that_the_relay_put_off_counts_and_one_that_never_reached_it_does_not(world: &World) {
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        let retry_until: i64 = world.column(id, "retry_until").await.parse().unwrap();
        let lease = make::lease();
        let backoff = Duration::from_secs(90);
        world.claim(&lease, 1).await;
        let put_off = Move { counts: true, backoff, ..make::by(&lease, org, id, E::Deferred) };
        world.committer.apply(put_off).await.unwrap();
        assert_eq!((world.column(id, "attempts").await.as_str(), world.column(id, "retry_until").await), ("1", retry_until.to_string()));
        world.pass(backoff).await;
        world.claim(&lease, 1).await;
        let down = Move { counts: false, backoff, ..make::by(&lease, org, id, E::Deferred) };
        world.committer.apply(down).await.unwrap();
        assert_eq!(world.column(id, "attempts").await, "1", "an unreachable relay costs no attempt");
        assert_eq!(world.column(id, "retry_until").await, (retry_until + 90_000_000).to_string(), "nor any patience");
        assert_eq!(world.column(id, "next_attempt_at").await, world.clock.now().plus(backoff).micros().to_string());
    }

    async fn a_person_can_try_a_refused_delivery_again(world: &World) {
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        let message_id = world.column(id, "message_id").await;
        world.lead(org, id, &[E::Claimed, E::Refused(Reason::NoCert)]).await;
        world.run("UPDATE delivery SET rechecks = 3, distrusted_since = 1, unchecked_since = 1, waiting_for = 'no_cert'").await;
        world.pass(Duration::from_hours(48)).await;
        let moved = world.store.ask_delivery(OrgScope::One(org), id, E::Retry, "asked by an operator").await.unwrap();
        assert_eq!((moved.delivery.state, moved.delivery.reason), (State::Queued, None));
        assert_eq!(world.column(id, "message_id").await, message_id, "the same message");
        let work = world.store.work(org, id).await.unwrap();
        assert_eq!((work.doubt, work.retry_until), (postern::domain::Doubt::default(), world.clock.now().plus(Duration::from_hours(24))));
        assert_eq!(world.claim(&make::lease(), 1).await, [id]);
    }

    async fn a_retry_the_rules_refuse_changes_nothing_at_all(world: &World) {
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        world.lead(org, id, &[E::Claimed, E::WireStarted, E::Accepted]).await;
        let before = world.column(id, "retry_until").await;
        world.pass(Duration::from_hours(48)).await;
        let refused = world.store.ask_delivery(OrgScope::One(org), id, E::Retry, "again").await;
        assert!(matches!(refused, Err(StoreError::Illegal(_))), "{refused:?}");
        assert_eq!(world.column(id, "retry_until").await, before);
    }

    async fn a_person_closes_what_is_unconfirmed_by_cancelling_it(world: &World) {
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        let twice = [E::Claimed, E::WireStarted, E::Lost, E::UnknownWaitOver];
        world.lead(org, id, &twice).await;
        world.lead(org, id, &twice).await;
        assert_eq!(world.store.worklist(OrgScope::One(org)).await.unwrap().len(), 1);
        let moved = world.store.ask_delivery(OrgScope::One(org), id, E::Cancel, "it arrived").await.unwrap();
        assert_eq!((moved.delivery.state, moved.delivery.reason), (State::Held, Some(Reason::UnconfirmedSend)));
        assert!(world.store.worklist(OrgScope::One(org)).await.unwrap().is_empty());
    }

    async fn an_unknown_outcome_waits_as_long_as_it_was_told_to(world: &World) {
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        world.lead(org, id, &[E::Claimed, E::WireStarted]).await;
        let lost = Move { unknown_wait: Duration::from_mins(10), ..Move::new(org, id, E::Lost) };
        world.committer.apply(lost).await.unwrap();
        world.pass(Duration::from_secs(599)).await;
        assert!(world.store.unknown_overdue().await.unwrap().is_empty());
        world.pass(Duration::from_secs(1)).await;
        let overdue = world.store.unknown_overdue().await.unwrap();
        assert_eq!(overdue.iter().map(|left| (left.id, left.state)).collect::<Vec<_>>(), [(id, State::Unknown)]);
    }
}
