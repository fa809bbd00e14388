use proptest::prelude::*;
use stateright::{Checker, Model, Property};

use super::*;

fn fresh() -> Delivery {
    Delivery::queued(Billable::Accepted, WhenUnknown::Resend)
}

fn walk(mut delivery: Delivery, events: &[Event]) -> (Delivery, Effects) {
    let mut all = Effects::new();
    for event in events {
        let (next, effects) = delivery.apply(*event).unwrap_or_else(|illegal| panic!("{illegal}"));
        delivery = next;
        all.extend(effects);
    }
    (delivery, all)
}

use Event as E;

#[test]
fn the_ordinary_way_is_charged_once_at_acceptance() {
    let (delivery, effects) = walk(fresh(), &[E::Claimed, E::WireStarted, E::Accepted]);
    assert_eq!((delivery.state, delivery.disposition, delivery.fee), (State::Accepted, Some(Disposition::Awaited), Fee::Charged));
    assert_eq!(effects, [Effect::StartNoticeClock, Effect::Charge]);
}

#[test]
fn a_lost_answer_is_sent_once_more_and_then_held() {
    let once = [E::Claimed, E::WireStarted, E::Lost, E::UnknownWaitOver, E::Claimed, E::WireStarted];
    let (delivery, _) = walk(fresh(), &[&once[..], &[E::Lost, E::UnknownWaitOver]].concat());
    assert_eq!((delivery.state, delivery.reason), (State::Held, Some(Reason::UnconfirmedSend)));
    // Any answer but 250 on the second try ends the same way, never refused.
    for answer in [E::Refused(Reason::Rejected5xx), E::Deferred, E::Exhausted] {
        let (delivery, _) = walk(fresh(), &[&once[..], &[answer, E::UnknownWaitOver]].concat());
        assert_eq!((delivery.state, delivery.reason), (State::Held, Some(Reason::UnconfirmedSend)), "{answer:?}");
    }
}

#[test]
fn a_late_250_settles_whoever_holds_the_lease() {
    let lost = [E::Claimed, E::WireStarted, E::Lost];
    for after in
        [&[][..], &[E::UnknownWaitOver], &[E::UnknownWaitOver, E::Claimed], &[E::UnknownWaitOver, E::Claimed, E::WireStarted]]
    {
        let (delivery, effects) = walk(fresh(), &[&lost[..], after, &[E::Accepted]].concat());
        assert_eq!((delivery.state, delivery.fee), (State::Accepted, Fee::Charged));
        assert_eq!(effects.iter().filter(|e| **e == Effect::Charge).count(), 1);
    }
}

#[test]
fn cancel_and_supersede_win_until_the_wire() {
    for (event, end) in [(E::Cancel, State::Cancelled), (E::Supersede, State::Superseded)] {
        assert_eq!(walk(fresh(), &[event]).0.state, end);
        assert_eq!(walk(fresh(), &[E::Claimed, event]).0.state, end);
        assert_eq!(walk(fresh(), &[E::Claimed, E::Held(Reason::NoCert), event]).0.state, end);
        let cancelled = walk(fresh(), &[E::Claimed, event]).0;
        assert!(cancelled.apply(E::WireStarted).is_err(), "a worker that was sealing must not send");
        let (on_wire, _) = walk(fresh(), &[E::Claimed, E::WireStarted, event]);
        assert_eq!(on_wire.state, State::OnWire);
        assert_eq!(walk(on_wire, &[E::Lost, E::UnknownWaitOver]).0.state, State::Held, "an unknown one is never sent again");
    }
}

#[test]
fn what_was_stopped_on_the_wire_is_not_sent_again_when_the_relay_says_later() {
    for (event, end) in [(E::Cancel, State::Cancelled), (E::Supersede, State::Superseded)] {
        for answer in [E::Deferred, E::Exhausted] {
            let (delivery, effects) = walk(fresh(), &[E::Claimed, E::WireStarted, event, answer]);
            assert_eq!((delivery.state, effects.len()), (end, 0), "{event:?}, {answer:?}");
        }
        let (refused, effects) = walk(fresh(), &[E::Claimed, E::WireStarted, event, E::Refused(Reason::Rejected5xx)]);
        assert_eq!((refused.state, refused.reason), (State::Refused, Some(Reason::Rejected5xx)), "the answer is the truth");
        assert!(effects.is_empty(), "and no fallback sends it another way");
        assert_eq!(walk(fresh(), &[E::Claimed, E::WireStarted, event, E::Accepted]).0.reason, None);
    }
}

#[test]
fn what_was_refused_before_its_successor_came_cannot_be_retried() {
    for event in [E::Cancel, E::Supersede] {
        let (delivery, _) = walk(fresh(), &[E::Claimed, E::Refused(Reason::NoCert), event]);
        assert_eq!((delivery.state, delivery.reason), (State::Refused, Some(Reason::NoCert)));
        assert!(delivery.apply(E::Retry).is_err());
    }
}

#[test]
fn a_notice_that_overtakes_the_answer_settles_an_unknown() {
    let (delivery, effects) = walk(fresh(), &[E::Claimed, E::WireStarted, E::Notice(NoticeKind::Processed), E::Lost]);
    assert_eq!((delivery.state, delivery.disposition), (State::Accepted, Some(Disposition::Processed)));
    assert_eq!(effects.iter().filter(|e| **e == Effect::Charge).count(), 1);
    let (delivery, _) = walk(fresh(), &[E::Claimed, E::WireStarted, E::Lost, E::Notice(NoticeKind::Failed)]);
    assert_eq!((delivery.state, delivery.disposition), (State::Accepted, Some(Disposition::Failed)));
}

#[test]
fn processed_is_final_unless_dispatched_was_asked_for() {
    let accepted = [E::Claimed, E::WireStarted, E::Accepted];
    let (quiet, _) = walk(fresh(), &accepted);
    let (processed, _) = walk(quiet, &[E::Notice(NoticeKind::Processed)]);
    assert_eq!(
        walk(processed, &[E::Notice(NoticeKind::Failed)]).0.disposition,
        Some(Disposition::Processed),
        "late: re-opens nothing"
    );
    let asking = Delivery { wants_dispatched: true, ..fresh() };
    let (processed, _) = walk(asking, &[&accepted[..], &[E::Notice(NoticeKind::Processed)]].concat());
    assert_eq!(walk(processed, &[E::DeadlinePassed]).0.disposition, Some(Disposition::Unconfirmed));
    assert_eq!(walk(processed, &[E::Notice(NoticeKind::Dispatched)]).0.disposition, Some(Disposition::Dispatched));
    let (expired, effects) = walk(asking, &[&accepted[..], &[E::DeadlinePassed]].concat());
    assert_eq!(expired.disposition, Some(Disposition::Expired));
    assert!(effects.contains(&Effect::Fallback));
}

const EVENTS: [Event; 20] = [
    E::Claimed,
    E::Released,
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
    E::Notice(NoticeKind::Failed),
    E::DeadlinePassed,
    E::CreditDue,
    E::Held(Reason::DocumentUnavailable),
    E::Refused(Reason::Revoked),
];

const fn is_terminal(disposition: Option<Disposition>, wants_dispatched: bool) -> bool {
    match disposition {
        None | Some(Disposition::Awaited) => false,
        Some(Disposition::Processed) => !wants_dispatched,
        Some(_) => true,
    }
}

#[test]
fn a_proof_of_distrust_that_comes_before_the_answer_gives_the_charge_back_when_there_is_one() {
    let lead = |delivery, events: &[Event]| walk(delivery, events).0;
    let on_wire = lead(fresh(), &[E::Claimed, E::WireStarted]);
    let proven = [E::Notice(NoticeKind::Failed), E::CreditDue];
    for answer in [E::Accepted, E::Lost] {
        let (ended, effects) = lead(on_wire, &proven).apply(answer).unwrap();
        assert_eq!((ended.disposition, ended.fee), (Some(Disposition::Failed), Fee::Credited), "{answer:?}");
        let money: Vec<_> = effects.iter().filter(|effect| matches!(effect, Effect::Charge | Effect::Credit)).collect();
        assert_eq!(money, [&Effect::Charge, &Effect::Credit]);
    }
    // What was not proven is not given back, and neither is what said first that it arrived.
    assert!(lead(on_wire, &[E::Notice(NoticeKind::Processed)]).apply(E::CreditDue).is_err());
    let failed = lead(on_wire, &[E::Notice(NoticeKind::Failed), E::Accepted]);
    assert_eq!(failed.fee, Fee::Charged);
    // A refusal costs nothing, so there is nothing to give back.
    assert_eq!(lead(on_wire, &proven).apply(E::Refused(Reason::Rejected5xx)).unwrap().0.fee, Fee::None);
}

proptest! {
    #[test]
    fn no_path_charges_twice_or_ends_twice(
        picks in proptest::collection::vec(0..EVENTS.len(), 0..60),
        billable in 0..3_usize,
        hold in any::<bool>(),
        wants_dispatched in any::<bool>(),
    ) {
        let when_unknown = if hold { WhenUnknown::Hold } else { WhenUnknown::Resend };
        let mut delivery = Delivery { wants_dispatched, ..Delivery::queued(Billable::ALL[billable], when_unknown) };
        let (mut charges, mut credits) = (0, 0);
        for pick in picks {
            let before = delivery;
            let Ok((next, effects)) = delivery.apply(EVENTS[pick]) else { continue };
            charges += effects.iter().filter(|e| **e == Effect::Charge).count();
            credits += effects.iter().filter(|e| **e == Effect::Credit).count();
            if before.state == State::Accepted {
                prop_assert_eq!(next.state, State::Accepted, "acceptance is never undone");
            }
            if is_terminal(before.disposition, wants_dispatched) {
                prop_assert_eq!(before.disposition, next.disposition);
            }
            if before.unknown_attempts > 0 {
                prop_assert!(!matches!(next.state, State::Refused | State::Cancelled | State::Superseded));
            }
            prop_assert_eq!(next.fee == Fee::None, charges == 0);
            delivery = next;
        }
        prop_assert!(charges <= 1 && credits <= charges);
    }
}

/// A worker, a relay, a network that loses answers, a process that dies, an impatient operator: every interleaving.
struct World;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Scene {
    delivery: Delivery,
    /// Messages the relay has taken.
    taken: u8,
    /// Whether it has taken the one being sent now.
    taken_now: bool,
    /// An answer of 250 that has not been read yet.
    answer_in_flight: bool,
    charges: u8,
    moves: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    Worker(Event),
    RelayTakes,
    AnswerArrives,
    CrashOrTimeout,
    Operator(Event),
    Clock,
}

impl Model for World {
    type State = Scene;
    type Action = Step;

    fn init_states(&self) -> Vec<Scene> {
        [WhenUnknown::Resend, WhenUnknown::Hold]
            .map(|when| Scene {
                delivery: Delivery::queued(Billable::Accepted, when),
                taken: 0,
                taken_now: false,
                answer_in_flight: false,
                charges: 0,
                moves: 0,
            })
            .to_vec()
    }

    fn actions(&self, scene: &Scene, actions: &mut Vec<Step>) {
        if scene.moves >= 14 {
            return;
        }
        actions.extend([Step::Worker(E::Claimed), Step::Worker(E::WireStarted), Step::CrashOrTimeout, Step::Clock]);
        actions.extend([Step::Operator(E::Cancel), Step::Operator(E::Supersede)]);
        if scene.delivery.state == State::OnWire && !scene.taken_now {
            // A server that has taken the message does not also refuse it.
            actions.extend([Step::RelayTakes, Step::Worker(E::Refused(Reason::Rejected5xx)), Step::Worker(E::Deferred)]);
        }
        if scene.answer_in_flight {
            actions.push(Step::AnswerArrives);
        }
        if scene.taken > 0 {
            actions.push(Step::Operator(E::Notice(NoticeKind::Processed)));
        }
    }

    fn next_state(&self, before: &Scene, step: Step) -> Option<Scene> {
        let mut scene = before.clone();
        scene.moves += 1;
        let event = match step {
            Step::RelayTakes => {
                scene.taken += 1;
                scene.taken_now = true;
                scene.answer_in_flight = true;
                return Some(scene);
            }
            Step::Worker(event) | Step::Operator(event) => event,
            Step::AnswerArrives => {
                scene.answer_in_flight = false;
                E::Accepted
            }
            Step::CrashOrTimeout => match before.delivery.state {
                State::Claimed => E::Released,
                State::OnWire => E::Lost,
                _ => return None,
            },
            Step::Clock => E::UnknownWaitOver,
        };
        let (next, effects) = scene.delivery.apply(event).ok()?;
        scene.delivery = next;
        scene.taken_now &= event != E::WireStarted;
        scene.charges += u8::try_from(effects.iter().filter(|e| **e == Effect::Charge).count()).unwrap_or(u8::MAX);
        Some(scene)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("at most one charge", |_, scene: &Scene| scene.charges <= 1),
            Property::always("at most one repeat", |_, scene: &Scene| scene.taken <= 2),
            Property::always("what may have arrived is never called refused, cancelled or superseded", |_, scene: &Scene| {
                scene.taken == 0 || !matches!(scene.delivery.state, State::Refused | State::Cancelled | State::Superseded)
            }),
            Property::always("a charge only for what was taken", |_, scene: &Scene| scene.charges == 0 || scene.taken > 0),
            Property::always("never lost: every delivery is at work, settled, or before a person", |_, scene: &Scene| {
                scene.delivery.is_settled()
                    || matches!(scene.delivery.state, State::Queued | State::Claimed | State::OnWire | State::Unknown)
            }),
            Property::sometimes("it can be accepted", |_, scene: &Scene| scene.delivery.state == State::Accepted),
            Property::sometimes("a repeat can happen", |_, scene: &Scene| scene.taken == 2),
        ]
    }
}

#[test]
fn every_interleaving_of_worker_relay_crash_and_operator_keeps_the_promises() {
    World.checker().spawn_bfs().join().assert_properties();
}
