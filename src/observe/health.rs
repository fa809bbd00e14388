//! Whether the parts of this process do their work. A part that hangs says nothing, so silence counts as failure.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::domain::{
    alert::{AlertKind, Condition as Alarm},
    words,
};

words! {
    /// A part of the process that can fail by itself.
    pub enum Part {
        /// The database.
        Store = "store",
        /// The folder or object store of documents.
        Blobs = "blobs",
        /// The loop that claims and sends.
        Worker = "worker",
        /// The loops that bring results in.
        Source = "source",
        /// The loop that follows what comes back.
        Track = "track",
    }
}

words! {
    /// How a part is.
    pub enum Condition {
        /// It does its work.
        Good = "good",
        /// It said that it cannot work.
        Failing = "failing",
        /// It has said nothing for too long.
        Silent = "silent",
    }
}

/// What the parts have said. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<Parts>>);

#[derive(Debug, Default)]
struct Parts {
    stopping: bool,
    said: BTreeMap<Part, Said>,
    /// What is wrong with which part of a subject, and why.
    troubles: BTreeMap<(AlertKind, String), BTreeMap<String, String>>,
}

#[derive(Debug, Clone, Copy)]
struct Said {
    at: Instant,
    good: bool,
    within: Duration,
}

/// The health of the process at one moment: what `/readyz` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether it may be given work: every part is good and it is not stopping.
    pub ready: bool,
    /// Whether it is shutting down.
    pub stopping: bool,
    /// Each part that this process has.
    pub parts: BTreeMap<Part, Condition>,
}

impl Health {
    /// This process has `part`, which says how it is at least once in every `within`. Until it does, it is failing.
    pub fn expect(&self, part: Part, within: Duration) {
        self.with(|parts| parts.said.insert(part, Said { at: Instant::now(), good: false, within }));
    }

    /// `part` says how it is. One that nobody expects is not listened to.
    pub fn say(&self, part: Part, good: bool) {
        self.with(|parts| {
            if let Some(said) = parts.said.get_mut(&part) {
                (said.at, said.good) = (Instant::now(), good);
            }
        });
    }

    /// Something outside this process fails it: people are told when it lasts. `which` tells several of one subject apart,
    /// like the mailboxes of one relay. Neither may be about a patient.
    pub fn trouble(&self, kind: AlertKind, subject: &str, which: &str, why: &str) {
        self.with(|parts| {
            let subject = parts.troubles.entry((kind, subject.to_owned())).or_default();
            subject.insert(which.to_owned(), why.to_owned());
        });
    }

    /// It does not fail any more, or is no longer this process's affair.
    pub fn well(&self, kind: AlertKind, subject: &str, which: &str) {
        self.with(|parts| {
            let key = (kind, subject.to_owned());
            if parts.troubles.get_mut(&key).is_some_and(|subject| subject.remove(which).is_some() && subject.is_empty()) {
                parts.troubles.remove(&key);
            }
        });
    }

    /// What fails this process from outside, one for each subject.
    #[must_use]
    pub fn troubles(&self) -> Vec<Alarm> {
        self.with(|parts| {
            let alarm = |((kind, subject), which): (&(AlertKind, String), &BTreeMap<String, String>)| {
                let first = which.iter().next().map_or_else(String::new, |(which, why)| match which.as_str() {
                    "" => why.clone(),
                    which => format!("{which}: {why}"),
                });
                let others = which.len().saturating_sub(1);
                let detail = if others == 0 { first } else { format!("{first} (and {others} more)") };
                Alarm::new(*kind, subject, which.len() as u64, 0).saying(detail)
            };
            parts.troubles.iter().map(alarm).collect()
        })
    }

    /// The process is shutting down: it wants no more work.
    pub fn stop(&self) {
        self.with(|parts| parts.stopping = true);
    }

    /// How the process is.
    #[must_use]
    pub fn report(&self) -> Report {
        self.report_at(Instant::now())
    }

    fn report_at(&self, now: Instant) -> Report {
        self.with(|parts| {
            let condition = |said: &Said| match said.good {
                _ if now.saturating_duration_since(said.at) > said.within => Condition::Silent,
                true => Condition::Good,
                false => Condition::Failing,
            };
            let conditions: BTreeMap<_, _> = parts.said.iter().map(|(part, said)| (*part, condition(said))).collect();
            let ready = !parts.stopping && conditions.values().all(|condition| *condition == Condition::Good);
            Report { ready, stopping: parts.stopping, parts: conditions }
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Parts) -> T) -> T {
        // Nothing in here panics half way, so what a poisoned lock guards is whole.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_when_every_expected_part_has_said_so_in_time() {
        let health = Health::default();
        let minute = Duration::from_mins(1);
        health.expect(Part::Store, minute);
        health.expect(Part::Worker, minute);
        health.say(Part::Store, true);
        assert_eq!(health.report().parts[&Part::Worker], Condition::Failing);
        assert!(!health.report().ready);

        health.say(Part::Worker, true);
        assert!(health.report().ready);
        let later = health.report_at(Instant::now() + 2 * minute);
        assert_eq!((later.ready, later.parts[&Part::Worker]), (false, Condition::Silent));

        health.say(Part::Blobs, false);
        assert!(health.report().ready, "a part this process does not have says nothing about it");
        health.say(Part::Store, false);
        assert_eq!(health.report().parts[&Part::Store], Condition::Failing);
    }

    #[test]
    fn troubles_of_one_subject_are_one_and_end_with_the_last() {
        let (health, kind) = (Health::default(), AlertKind::MailboxUnreachable);
        health.trouble(kind, "hisp", "a@x.example", "no answer");
        health.trouble(kind, "hisp", "b@x.example", "no answer");
        health.trouble(kind, "hisp", "b@x.example", "wrong password");
        let troubles = health.troubles();
        assert_eq!((troubles.len(), troubles[0].value), (1, 2));
        assert_eq!(troubles[0].detail, "a@x.example: no answer (and 1 more)");
        health.well(kind, "hisp", "a@x.example");
        assert_eq!(health.troubles()[0].detail, "b@x.example: wrong password");
        health.well(kind, "hisp", "b@x.example");
        assert!(health.troubles().is_empty());
    }

    #[test]
    fn a_process_that_is_stopping_wants_no_work() {
        let health = Health::default();
        assert!(health.report().ready);
        health.stop();
        assert_eq!(serde_json::to_string(&health.report()).unwrap(), r#"{"ready":false,"stopping":true,"parts":{}}"#);
    }
}
