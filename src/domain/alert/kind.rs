//! Every kind of alert: how grave it is, what it means and what to do. The table in `docs/operating.md` is generated from
//! this.

use std::time::Duration;

use crate::domain::{time::Span, words};

words! {
    /// What can be wrong. [`AlertKind::meaning`] and [`AlertKind::remedy`] document each.
    #[expect(missing_docs, reason = "each variant is documented, for people too, by `meaning` and `remedy`")]
    pub enum AlertKind {
        UrgentNotAccepted = "urgent_not_accepted",
        UrgentUnanswered = "urgent_unanswered",
        OldestWaiting = "oldest_waiting",
        Held = "held",
        RelayDown = "relay_down",
        HispSilent = "hisp_silent",
        NoticeRate = "notice_rate",
        MailboxUnreachable = "mailbox_unreachable",
        SourceSilent = "source_silent",
        SourceUnavailable = "source_unavailable",
        CertificateExpiry = "certificate_expiry",
        BundleStale = "bundle_stale",
        BundleShrunk = "bundle_shrunk",
        DirectoryOld = "directory_old",
        WebhookDisabled = "webhook_disabled",
        ClockJump = "clock_jump",
        DiskSpace = "disk_space",
    }
}

words! {
    /// How soon somebody should look.
    pub enum Severity {
        /// Now: results do not reach people, or soon will not.
        Critical = "critical",
        /// Today.
        Warning = "warning",
    }
}

/// What a kind is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds that something lasts already.
    Age,
    /// So many.
    Count,
    /// Percent that are left.
    PercentLeft,
    /// Days that are left.
    DaysLeft,
    /// Nothing: it is so or not.
    Nothing,
}

impl Unit {
    /// `value` and `limit` in words.
    #[must_use]
    pub fn words(self, value: u64, limit: u64) -> String {
        match self {
            Self::Age => format!("for {}, more than {}", rough(value), rough(limit)),
            Self::Count if limit <= 1 => value.to_string(),
            Self::Count => format!("{value}, {limit} or more"),
            Self::PercentLeft => format!("{value} percent, less than {limit}"),
            Self::DaysLeft if value == 0 => "no day left".to_owned(),
            Self::DaysLeft => format!("{value} days left"),
            Self::Nothing => String::new(),
        }
    }
}

/// A length of time as people say it: the largest unit that leaves at least two.
fn rough(seconds: u64) -> String {
    let (each, unit) = [(86_400, "days"), (3_600, "hours"), (60, "minutes"), (1, "seconds")]
        .into_iter()
        .find(|(each, _)| seconds >= each * 2)
        .unwrap_or((1, "seconds"));
    format!("{} {unit}", seconds / each)
}

impl AlertKind {
    /// How soon somebody should look.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::UrgentNotAccepted
            | Self::UrgentUnanswered
            | Self::RelayDown
            | Self::HispSilent
            | Self::ClockJump
            | Self::DiskSpace
            | Self::MailboxUnreachable => Severity::Critical,
            _ => Severity::Warning,
        }
    }

    /// What it is measured in.
    #[must_use]
    pub const fn unit(self) -> Unit {
        match self {
            Self::UrgentNotAccepted
            | Self::UrgentUnanswered
            | Self::OldestWaiting
            | Self::SourceSilent
            | Self::BundleStale
            | Self::DirectoryOld => Unit::Age,
            Self::Held | Self::HispSilent | Self::BundleShrunk => Unit::Count,
            Self::NoticeRate | Self::DiskSpace => Unit::PercentLeft,
            Self::CertificateExpiry => Unit::DaysLeft,
            Self::RelayDown | Self::MailboxUnreachable | Self::SourceUnavailable | Self::WebhookDisabled | Self::ClockJump => {
                Unit::Nothing
            }
        }
    }

    /// A few words, for a heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::UrgentNotAccepted => "an urgent result is not on its way",
            Self::UrgentUnanswered => "an urgent result was sent and not answered",
            Self::OldestWaiting => "results wait too long",
            Self::Held => "results wait for a person",
            Self::RelayDown => "a relay cannot be used",
            Self::HispSilent => "nothing comes back from a HISP",
            Self::NoticeRate => "few notices come back from a HISP",
            Self::MailboxUnreachable => "a mailbox cannot be looked into",
            Self::SourceSilent => "a source has gone silent",
            Self::SourceUnavailable => "a source cannot be read",
            Self::CertificateExpiry => "a certificate of ours ends",
            Self::BundleStale => "a trust bundle is not refreshed",
            Self::BundleShrunk => "a trust bundle has shrunk",
            Self::DirectoryOld => "the directory is too old",
            Self::WebhookDisabled => "a webhook was switched off",
            Self::ClockJump => "the clock has jumped",
            Self::DiskSpace => "a disk is nearly full",
        }
    }

    /// What it means, in one sentence.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::UrgentNotAccepted => {
                "an urgent result, or one of its deliveries, has not been accepted by a relay or mail exchanger in time"
            }
            Self::UrgentUnanswered => {
                "an urgent delivery was accepted, and the notice it waits for has not come in time or said that it failed"
            }
            Self::OldestWaiting => "the oldest result or delivery that waits for us has waited longer than it should",
            Self::Held => {
                "results, recipients, deliveries or items of a feed wait for a decision; told again at ten, a hundred, a thousand"
            }
            Self::RelayDown => "a relay cannot be reached or refuses our login; what is queued for it waits and loses no attempt",
            Self::HispSilent => "messages were accepted over this way out, and nothing has come back about any of them",
            Self::NoticeRate => "of the messages accepted over this way out, fewer than usual were answered",
            Self::MailboxUnreachable => "the mailboxes of a HISP cannot be looked into, so notices and replies do not come in",
            Self::SourceSilent => "no result has come from where they are expected to come from",
            Self::SourceUnavailable => "a watched folder cannot be read, or a feed does not answer",
            Self::CertificateExpiry => {
                "a certificate of ours ends in 60, 30 or 7 days or has ended, and no other takes its place; told again at each"
            }
            Self::BundleStale => "the anchors in force have not been confirmed for so long; they stay in force",
            Self::BundleShrunk => {
                "a newer bundle would lose so many anchors that a person has to look; the old one stays in force"
            }
            Self::DirectoryOld => "the directory was loaded so long ago that results soon wait, or already wait, for a new one",
            Self::WebhookDisabled => "an endpoint failed for so long that events are no longer sent to it; they are kept",
            Self::ClockJump => "the wall clock and the steady clock of a machine have parted: nothing expires until they agree",
            Self::DiskSpace => "little room is left where documents or the database are; told again when it gets scarce",
        }
    }

    /// What to do, with the command to begin with.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::UrgentNotAccepted | Self::UrgentUnanswered => {
                "postern delivery show ID (or postern explain) says why; call the recipient when it cannot be mended at once"
            }
            Self::OldestWaiting => {
                "postern delivery list --state queued says what they wait for; postern doctor tests the ground"
            }
            Self::Held => "postern worklist shows each with what to do",
            Self::RelayDown => {
                "test the relay's host, port and password; postern doctor; ask the HISP. It is tried again by itself"
            }
            Self::HispSilent | Self::NoticeRate => {
                "postern delivery list shows what is not answered; see that mail for our addresses reaches us ([smtp_in], imap), then ask the HISP"
            }
            Self::MailboxUnreachable => "test host, port and password under imap of the [[relay]]; it is tried again by itself",
            Self::SourceSilent => "ask who should send; for a feed or folder see the log; expect_within says what is expected",
            Self::SourceUnavailable => {
                "see the log for why; mend the folder's permissions or ask the feed's owner; it is tried again by itself"
            }
            Self::CertificateExpiry => {
                "postern trust identities list; order a new one and import it: postern trust identities import"
            }
            Self::BundleStale => "postern trust bundles list says why; import a newer file, or ask its publisher",
            Self::BundleShrunk => "postern trust bundles list; compare with its publisher, then take it with --accept-shrink",
            Self::DirectoryOld => "load a new one: postern directory import",
            Self::WebhookDisabled => "mend the endpoint, then switch it on again; what was kept is sent then",
            Self::ClockJump => {
                "set the machine's clock (chronyc tracking), then restart postern if it does not come back by itself"
            }
            Self::DiskSpace => "make room, or move the data to a larger disk",
        }
    }

    /// Whether the organization it is about is told too.
    #[must_use]
    pub const fn concerns_organization(self) -> bool {
        matches!(
            self,
            Self::UrgentNotAccepted
                | Self::UrgentUnanswered
                | Self::Held
                | Self::CertificateExpiry
                | Self::SourceSilent
                | Self::WebhookDisabled
        )
    }

    /// Whether somebody else is told when nobody cares.
    #[must_use]
    pub const fn escalates(self) -> bool {
        matches!(self, Self::UrgentNotAccepted | Self::UrgentUnanswered)
    }

    /// Whether it is a settled fact when it is seen, so that nothing has to be waited for: it opens and resolves at once.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        matches!(
            self,
            Self::UrgentNotAccepted
                | Self::UrgentUnanswered
                | Self::CertificateExpiry
                | Self::BundleStale
                | Self::BundleShrunk
                | Self::DirectoryOld
                | Self::WebhookDisabled
        )
    }

    /// How long it has to hold before it opens, when `usual` is the rule.
    #[must_use]
    pub const fn opens_after(self, usual: Span) -> Duration {
        // A jump of the clock has no second look: the clocks have parted.
        if self.is_settled() || matches!(self, Self::ClockJump) { Duration::ZERO } else { usual.0 }
    }

    /// How long it has to be absent before it is over, when `usual` is the rule.
    #[must_use]
    pub const fn resolves_after(self, usual: Span) -> Duration {
        if self.is_settled() { Duration::ZERO } else { usual.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_reads_like_a_sentence() {
        assert_eq!(Unit::Age.words(8_000, 3_600), "for 2 hours, more than 60 minutes");
        assert_eq!(Unit::Count.words(12, 1), "12");
        assert_eq!(Unit::PercentLeft.words(4, 10), "4 percent, less than 10");
        assert_eq!(Unit::DaysLeft.words(0, 60), "no day left");
    }

    #[test]
    fn a_kind_that_escalates_is_critical_and_every_kind_says_what_to_do() {
        for kind in AlertKind::ALL {
            assert!(!kind.escalates() || kind.severity() == Severity::Critical, "{kind}");
            assert!(kind.remedy().len() > 20 && kind.meaning().len() > 20 && kind.title().len() < 50, "{kind}");
        }
    }
}
