//! What a page says about what was just done. The URL names it by a word: what a stranger could put there is one of these.

/// One sentence in a tone.
#[derive(Debug)]
pub(in crate::web) struct Told {
    /// `good`, `warn` or `bad`.
    pub tone: &'static str,
    /// One sentence.
    pub words: String,
}

/// Word, tone, sentence.
const SAID: &[(&str, &str, &str)] = &[
    ("not-retried", "warn", "It was not queued again: it is on its way, was accepted, or a newer version exists."),
    ("cancelled", "good", "No further attempt is made. What the state says now holds: it may have left before."),
    ("not-cancelled", "warn", "It cannot be called back: it was handed over, or is not being sent."),
    ("resent", "good", "The result goes out once more, as new deliveries; they appear within seconds."),
    ("decided", "good", "Decided, and on record. What flows again because of it is routed within seconds."),
    ("cared", "good", "Noted: nobody else is told about it."),
    ("not-cared", "warn", "It is over already, or somebody else cares for it."),
    ("pinned", "good", "Pinned. What waited for this decision is routed again within seconds."),
    ("unpinned", "good", "Not pinned any more: the directory decides again."),
    ("not-unpinned", "warn", "Nothing was pinned for this NPI."),
    ("suppressed", "good", "It is not used any more."),
    ("unsuppressed", "good", "It may be used again."),
    ("not-unsuppressed", "warn", "It was not suppressed here; if the organization's file says so, change it there."),
    ("anchor-kept", "good", "It is believed from now on; a running gateway goes by it within seconds."),
    ("certificate-kept", "good", "Kept. It is looked at before DNS and LDAP."),
    ("removed", "good", "Removed. A running gateway goes by it within seconds."),
    ("gone", "warn", "It was not there any more."),
    ("bundle-kept", "good", "The bundle is in force."),
    ("refreshed", "good", "Fetched, and in force."),
    ("applied", "good", "Applied. A running gateway goes by it within seconds."),
    ("unchanged", "good", "Nothing was different, so nothing was changed."),
    ("sent-test", "good", "A test message is on its way: its result stands below within seconds."),
    ("closed", "good", "Closed, and signed: nothing is written into this month any more. Its statements are kept."),
    (
        "corrected",
        "good",
        "Corrected: the line was taken back, and what it should have cost is entered. Both stand in the ledger.",
    ),
    ("roster-loaded", "good", "In force: routes are looked up in this roster from now on."),
    ("roster-dropped", "good", "Thrown away. The roster before stays in force."),
    ("directory-loaded", "good", "In force: what waited for a directory is looked up again within minutes."),
    ("signed", "good", "On record: you stand for this comparison."),
    ("person-disabled", "good", "Nobody gets in as them any more, and what they were signed in to has ended."),
    ("person-enabled", "good", "They may sign in again."),
    ("role-given", "good", "They have the new role, and sign in anew."),
    ("token-revoked", "good", "Revoked: it lets nobody in."),
    ("token-gone", "warn", "No token of that name lets anybody in."),
    ("webhook-on", "good", "It is told again, from where it stood."),
    ("webhook-off", "good", "It is told nothing until somebody switches it on."),
    ("replayed", "good", "It is told everything from there on, under the same ids."),
    ("filter-saved", "good", "Saved: it stands above the list from now on."),
    ("filter-removed", "good", "Removed."),
    ("filters-full", "warn", "Not saved: there is room for twenty. Remove one first."),
    ("parked-taken", "good", "Taken: it is a result now, and no longer parked."),
    ("parked-refused", "warn", "Refused again, so it stays parked: what is wrong stands below."),
    ("discarded", "good", "Thrown away."),
];

impl Told {
    /// By the word in the URL; nothing for one we do not know.
    pub(super) fn of(done: &str) -> Option<Self> {
        if let Some((_, tone, words)) = SAID.iter().find(|(word, ..)| *word == done) {
            return Some(Self { tone, words: (*words).to_owned() });
        }
        let counted = |what: &str| done.strip_prefix(what)?.parse::<u32>().ok();
        let words = match (counted("retried-"), counted("rerouted-")) {
            (Some(1), _) => "Back in the queue; it is tried within seconds.".to_owned(),
            (Some(count), _) => format!("{count} are back in the queue."),
            (_, Some(1)) => "One result is routed again within seconds.".to_owned(),
            (_, Some(count)) => format!("{count} results are routed again within seconds."),
            _ => return None,
        };
        Some(Self { tone: "good", words })
    }
}

/// `path`, with `done` told on it.
pub(super) fn told(path: &str, done: &str) -> axum::response::Redirect {
    let and = if path.contains('?') { '&' } else { '?' };
    axum::response::Redirect::to(&format!("{path}{and}done={done}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_we_know_is_said() {
        assert_eq!(Told::of("retried-3").unwrap().words, "3 are back in the queue.");
        assert!(Told::of("applied").is_some());
        for word in ["", "retried-", "retried-x", "<b>", "hello"] {
            assert!(Told::of(word).is_none(), "{word}");
        }
    }
}
