//! Our own certificates and keys: what each is for, which one signs, and when to warn.

use std::time::Duration;

use super::{Timestamp, words};

const DAY: Duration = Duration::from_hours(24);

words! {
    /// What one of our own certificates is for.
    pub enum KeyUse {
        /// Signing what we send.
        Sign = "sign",
        /// Opening what is sent to us.
        Encrypt = "encrypt",
        /// Both.
        Both = "both",
    }
}

impl KeyUse {
    /// Whether we sign with it.
    #[must_use]
    pub const fn signs(self) -> bool {
        matches!(self, Self::Sign | Self::Both)
    }

    /// Whether we decrypt with it.
    #[must_use]
    pub const fn decrypts(self) -> bool {
        matches!(self, Self::Encrypt | Self::Both)
    }

    /// Whether everything `other` does is done.
    const fn covers(self, other: Self) -> bool {
        (self.signs() || !other.signs()) && (self.decrypts() || !other.decrypts())
    }
}

words! {
    /// How near the end of one of our own certificates is.
    pub enum Nearness {
        /// 60 days or less: order a new one.
        Sixty = "60_days",
        /// 30 days or less.
        Thirty = "30_days",
        /// 7 days or less.
        Seven = "7_days",
        /// Over: nothing can be signed with it.
        Expired = "expired",
    }
}

/// When one of our own certificates is good, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// What it is for.
    pub used_for: KeyUse,
    /// First valid instant.
    pub from: Timestamp,
    /// First instant at which it is no longer valid.
    pub until: Timestamp,
}

impl Term {
    /// Whether it is good at `at`.
    #[must_use]
    pub fn is_valid_at(&self, at: Timestamp) -> bool {
        (self.from..self.until).contains(&at)
    }

    /// Whole days left at `at`; 0 on the last day and afterwards.
    #[must_use]
    pub fn days_left(&self, at: Timestamp) -> u64 {
        self.until.since(at).as_secs() / DAY.as_secs()
    }

    /// How near its end is at `at`; `None` when it is far.
    #[must_use]
    pub fn nearness(&self, at: Timestamp) -> Option<Nearness> {
        let left = self.until.since(at);
        match left {
            Duration::ZERO => Some(Nearness::Expired),
            left if left <= DAY * 7 => Some(Nearness::Seven),
            left if left <= DAY * 30 => Some(Nearness::Thirty),
            left if left <= DAY * 60 => Some(Nearness::Sixty),
            _ => None,
        }
    }

    /// Whether `next` takes its place without a gap, so that its end needs no warning.
    #[must_use]
    pub fn is_replaced_by(&self, next: &Self) -> bool {
        next.used_for.covers(self.used_for) && next.until > self.until && next.from <= self.until
    }
}

/// Which of several generations signs at `at`: the newest that is valid. Its place in `terms`.
#[must_use]
pub fn signs_at(terms: &[Term], at: Timestamp) -> Option<usize> {
    let able = terms.iter().enumerate().filter(|(_, term)| term.used_for.signs() && term.is_valid_at(at));
    able.max_by_key(|(_, term)| (term.from, term.until)).map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

    fn term(used_for: KeyUse, since: u32, left: u32) -> Term {
        Term { used_for, from: NOW.minus(DAY * since), until: NOW.plus(DAY * left) }
    }

    #[test]
    fn the_newest_valid_generation_signs_and_one_that_has_not_begun_waits() {
        let (old, new) = (term(KeyUse::Both, 300, 30), term(KeyUse::Sign, 1, 364));
        let future = Term { used_for: KeyUse::Both, from: NOW.plus(DAY), until: NOW.plus(DAY * 400) };
        assert_eq!(signs_at(&[old, new, future], NOW), Some(1));
        assert_eq!(signs_at(&[old, new, future], NOW.plus(DAY)), Some(2));
        assert_eq!(signs_at(&[old, term(KeyUse::Encrypt, 1, 364)], NOW), Some(0), "an encryption certificate does not sign");
        assert_eq!(signs_at(&[old], NOW.plus(DAY * 30)), None);
    }

    #[test]
    fn warnings_come_sixty_thirty_and_seven_days_ahead() {
        for (left, near) in [
            (61, None),
            (60, Some(Nearness::Sixty)),
            (31, Some(Nearness::Sixty)),
            (30, Some(Nearness::Thirty)),
            (7, Some(Nearness::Seven)),
            (0, Some(Nearness::Expired)),
        ] {
            assert_eq!(term(KeyUse::Both, 1, left).nearness(NOW), near, "{left}");
            assert_eq!(term(KeyUse::Both, 1, left).days_left(NOW), u64::from(left));
        }
    }

    #[test]
    fn a_certificate_is_replaced_by_one_that_does_as_much_and_leaves_no_gap() {
        let old = term(KeyUse::Both, 300, 30);
        assert!(old.is_replaced_by(&term(KeyUse::Both, 1, 300)));
        assert!(!old.is_replaced_by(&term(KeyUse::Sign, 1, 300)), "nobody would decrypt");
        assert!(term(KeyUse::Sign, 300, 30).is_replaced_by(&term(KeyUse::Both, 1, 300)));
        assert!(!old.is_replaced_by(&term(KeyUse::Both, 1, 30)));
        let late = Term { from: NOW.plus(DAY * 31), ..term(KeyUse::Both, 0, 300) };
        assert!(!old.is_replaced_by(&late), "there is a day without any");
    }
}
