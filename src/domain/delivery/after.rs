//! After the relay has the message: notices in any order, twice, late; clocks; crashes; and what they may never do.

use stateright::{Checker, Model, Property};

use super::*;

use Event as E;

/// The receiving side sends each notice it will ever send as often as it likes, in any order, at any time; the process
/// dies between reading one and committing it; the clock runs out whenever it likes.
struct Afterwards;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Scene {
    delivery: Delivery,
    /// The disposition it ended with, and the reason then.
    ended: Option<(Option<Disposition>, Option<Reason>)>,
    /// An answer of the relay that has not been read yet.
    answer_in_flight: bool,
    charges: u8,
    credits: u8,
    fallbacks: u8,
    late: u8,
    moves: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    Answer,
    Notice(NoticeKind),
    /// A failure for reasons of trust: the notice and the credit are one transaction.
    FailedForTrust,
    Deadline,
    UnknownWait,
    WorkerDies,
    Resend,
    Supersede,
}

impl Scene {
    fn take(&mut self, event: E) -> Option<()> {
        let (next, effects) = self.delivery.apply(event).ok()?;
        self.delivery = next;
        let count = |which: Effect| u8::try_from(effects.iter().filter(|effect| **effect == which).count()).unwrap_or(u8::MAX);
        self.charges += count(Effect::Charge);
        self.credits += count(Effect::Credit);
        self.fallbacks += count(Effect::Fallback);
        self.late += count(Effect::RecordLate);
        Some(())
    }
}

impl Model for Afterwards {
    type State = Scene;
    type Action = Step;

    fn init_states(&self) -> Vec<Scene> {
        let mut scenes = Vec::new();
        for billable in Billable::ALL {
            for wants_dispatched in [false, true] {
                let queued = Delivery { wants_dispatched, ..Delivery::queued(*billable, WhenUnknown::Resend) };
                let (claimed, _) = queued.apply(E::Claimed).unwrap();
                let (delivery, _) = claimed.apply(E::WireStarted).unwrap();
                let (charges, credits, fallbacks, late, moves) = (0, 0, 0, 0, 0);
                scenes.push(Scene { delivery, ended: None, answer_in_flight: true, charges, credits, fallbacks, late, moves });
            }
        }
        scenes
    }

    fn actions(&self, scene: &Scene, actions: &mut Vec<Step>) {
        if scene.moves >= 8 {
            return;
        }
        if scene.answer_in_flight {
            actions.push(Step::Answer);
        }
        actions.extend(NoticeKind::ALL.iter().map(|kind| Step::Notice(*kind)));
        actions.extend([
            Step::FailedForTrust,
            Step::Deadline,
            Step::UnknownWait,
            Step::WorkerDies,
            Step::Resend,
            Step::Supersede,
        ]);
    }

    fn next_state(&self, before: &Scene, step: Step) -> Option<Scene> {
        let mut scene = before.clone();
        scene.moves += 1;
        match step {
            Step::Answer => {
                scene.answer_in_flight = false;
                scene.take(E::Accepted)?;
            }
            Step::Notice(kind) => scene.take(E::Notice(kind))?,
            Step::FailedForTrust => {
                scene.take(E::Notice(NoticeKind::Failed))?;
                let proven = matches!(scene.delivery.disposition, Some(Disposition::Failed | Disposition::Expired));
                let early = scene.delivery.early_notice == Some(EarlyNotice::Failed);
                if early || (proven && scene.delivery.fee == Fee::Charged) {
                    scene.take(E::CreditDue)?;
                }
            }
            Step::Deadline => scene.take(E::DeadlinePassed)?,
            Step::UnknownWait => scene.take(E::UnknownWaitOver)?,
            Step::WorkerDies => scene.take(if scene.delivery.state == State::OnWire { E::Lost } else { E::Released })?,
            Step::Resend => {
                scene.take(E::Claimed)?;
                scene.take(E::WireStarted)?;
                scene.answer_in_flight = true;
            }
            Step::Supersede => scene.take(E::Supersede)?,
        }
        if scene.ended.is_none() && scene.delivery.disposition.is_some() && !scene.delivery.awaits_notice() {
            scene.ended = Some((scene.delivery.disposition, scene.delivery.reason));
        }
        Some(scene)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("one terminal disposition, and what comes later re-opens nothing", |_, scene: &Scene| {
                scene.ended.is_none_or(|ended| ended == (scene.delivery.disposition, scene.delivery.reason))
            }),
            Property::always("at most one charge and one credit, and no credit without a charge", |_, scene: &Scene| {
                scene.charges <= 1 && scene.credits <= scene.charges
            }),
            Property::always("at most one fallback", |_, scene: &Scene| scene.fallbacks <= 1),
            Property::always("what was or may have been delivered never falls back", |_, scene: &Scene| {
                scene.fallbacks == 0 || matches!(scene.delivery.disposition, Some(Disposition::Failed | Disposition::Expired))
            }),
            Property::always("the clock runs exactly as long as an answer could still count", |_, scene: &Scene| {
                scene.delivery.state != State::Accepted || scene.delivery.awaits_notice() == scene.ended.is_none()
            }),
            Property::always("billed by its moment: never before it", |_, scene: &Scene| {
                scene.charges == 0
                    || match scene.delivery.billable {
                        Billable::Accepted => scene.delivery.state == State::Accepted,
                        Billable::Processed => matches!(
                            scene.delivery.disposition,
                            Some(
                                Disposition::Processed | Disposition::Dispatched | Disposition::Unconfirmed | Disposition::Failed
                            )
                        ),
                        Billable::Dispatched => scene.delivery.disposition == Some(Disposition::Dispatched),
                    }
            }),
            Property::always("never lost: at work, settled, or before a person", |_, scene: &Scene| {
                scene.delivery.is_settled()
                    || matches!(scene.delivery.state, State::Queued | State::Claimed | State::OnWire | State::Unknown)
            }),
            Property::sometimes("a late notice can come", |_, scene: &Scene| scene.late > 0),
            Property::sometimes("a credit can be due", |_, scene: &Scene| scene.credits == 1),
            Property::sometimes("it can expire", |_, scene: &Scene| scene.delivery.disposition == Some(Disposition::Expired)),
            Property::sometimes("it can stay unconfirmed", |_, scene: &Scene| {
                scene.delivery.disposition == Some(Disposition::Unconfirmed)
            }),
        ]
    }
}

#[test]
fn every_interleaving_of_notices_clocks_and_crashes_keeps_the_promises() {
    Afterwards.checker().spawn_bfs().join().assert_properties();
}

#[test]
fn dispatched_and_failed_may_come_without_processed() {
    let sent = [E::Claimed, E::WireStarted, E::Accepted];
    for (kind, expected) in [(NoticeKind::Dispatched, Disposition::Dispatched), (NoticeKind::Failed, Disposition::Failed)] {
        for wants_dispatched in [false, true] {
            let mut delivery = Delivery { wants_dispatched, ..Delivery::queued(Billable::Processed, WhenUnknown::Resend) };
            let mut charged = 0;
            for event in sent.into_iter().chain([E::Notice(kind), E::Notice(NoticeKind::Processed)]) {
                let (next, effects) = delivery.apply(event).unwrap();
                charged += effects.iter().filter(|effect| **effect == Effect::Charge).count();
                delivery = next;
            }
            assert_eq!(delivery.disposition, Some(expected));
            assert_eq!(charged, usize::from(kind == NoticeKind::Dispatched), "who has dispatched it has processed it");
        }
    }
}

#[test]
fn an_unconfirmed_delivery_never_falls_back_and_an_expired_one_does() {
    for (notices, expected) in [(&[E::Notice(NoticeKind::Processed)][..], Disposition::Unconfirmed), (&[], Disposition::Expired)]
    {
        let mut delivery = Delivery { wants_dispatched: true, ..Delivery::queued(Billable::Accepted, WhenUnknown::Resend) };
        let mut all = Effects::new();
        for event in [E::Claimed, E::WireStarted, E::Accepted].iter().chain(notices).chain(&[E::DeadlinePassed]) {
            let (next, effects) = delivery.apply(*event).unwrap();
            delivery = next;
            all.extend(effects);
        }
        assert_eq!(delivery.disposition, Some(expected));
        assert_eq!(all.contains(&Effect::Fallback), expected == Disposition::Expired);
        assert!(delivery.apply(E::DeadlinePassed).is_err(), "once");
    }
}

#[test]
fn what_was_said_about_a_refused_attempt_does_not_end_the_retry() {
    let mut delivery = Delivery::queued(Billable::Accepted, WhenUnknown::Resend);
    let refused = [E::Claimed, E::WireStarted, E::Notice(NoticeKind::Failed), E::Refused(Reason::Rejected5xx), E::Retry];
    for event in refused.into_iter().chain([E::Claimed, E::WireStarted, E::Accepted]) {
        delivery = delivery.apply(event).unwrap().0;
    }
    assert_eq!(delivery.disposition, Some(Disposition::Awaited));
}
