//! Failures chosen by the address.
//!
//! The local part up to a `+` is the choice, so `550+clinic@...` fails as `550@...` does:
//!
//! | local part | what happens |
//! | --- | --- |
//! | `450`, `451`, `550`, `554` ... (any 4xx or 5xx) | that answer to RCPT |
//! | `dot451`, `dot554` ... | that answer after the final dot; nothing is kept |
//! | `full` | 452 to RCPT: mailbox full, try later |
//! | `full552` | 552 after the final dot: mailbox full |
//! | `slow` | every answer from RCPT on takes 2 seconds; `slow5` takes 5 |
//! | `tarpit` | answers drip one byte a second |
//! | `dropdata` | the connection ends in the middle of the message |
//! | `lostreply` | the message is kept, then the connection ends without an answer |
//! | `latereply` | the message is kept, the answer comes after 30 seconds; `latereply2` after 2 |
//! | `closing` | 421 to RCPT, and the connection ends |
//! | `renamed` | at the edge door: the HISP gives the message an id of its own, which its 250 tells and its notices use |

use std::time::Duration;

/// What is to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// This answer to RCPT.
    AtRcpt(u16),
    /// This answer after the final dot.
    AfterDot(u16),
    /// Every answer takes so long.
    Slow(Duration),
    /// Answers drip.
    Tarpit,
    /// The connection ends in the middle of the message.
    DropData,
    /// Kept, but nobody is told.
    LostReply,
    /// Kept; the answer comes late.
    LateReply(Duration),
    /// 421 at RCPT.
    Closing,
}

impl Mishap {
    /// What `local` (the part before the `@`) asks for.
    #[must_use]
    pub fn of(local: &str) -> Option<Self> {
        let word = local.split('+').next().unwrap_or_default().to_ascii_lowercase();
        let seconds = |rest: &str, default: u64| match rest {
            "" => Some(Duration::from_secs(default)),
            digits => digits.parse().ok().filter(|n| *n <= 600).map(Duration::from_secs),
        };
        match word.as_str() {
            "full" => Some(Self::AtRcpt(452)),
            "full552" => Some(Self::AfterDot(552)),
            "tarpit" => Some(Self::Tarpit),
            "dropdata" => Some(Self::DropData),
            "lostreply" => Some(Self::LostReply),
            "closing" => Some(Self::Closing),
            word => {
                if let Some(code) = failure_code(word) {
                    return Some(Self::AtRcpt(code));
                }
                if let Some(code) = word.strip_prefix("dot").and_then(failure_code) {
                    return Some(Self::AfterDot(code));
                }
                if let Some(wait) = word.strip_prefix("slow").and_then(|rest| seconds(rest, 2)) {
                    return Some(Self::Slow(wait));
                }
                word.strip_prefix("latereply").and_then(|rest| seconds(rest, 30)).map(Self::LateReply)
            }
        }
    }

    /// The answer with `code`, with an enhanced status code that fits.
    #[must_use]
    pub fn answer(code: u16) -> String {
        let words = match code {
            452 => "4.2.2 The mailbox is full, try again later",
            552 => "5.2.2 The mailbox is full",
            550 => "5.1.1 There is no such mailbox here",
            400..500 => "4.3.0 The address asked for this temporary failure",
            _ => "5.0.0 The address asked for this permanent failure",
        };
        format!("{code} {words}")
    }
}

fn failure_code(word: &str) -> Option<u16> {
    (word.len() == 3).then(|| word.parse().ok()).flatten().filter(|code| (400..600).contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_chooses_the_failure_and_most_addresses_choose_none() {
        for (local, expected) in [
            ("550", Some(Mishap::AtRcpt(550))),
            ("451+clinic", Some(Mishap::AtRcpt(451))),
            ("dot554", Some(Mishap::AfterDot(554))),
            ("Full", Some(Mishap::AtRcpt(452))),
            ("slow", Some(Mishap::Slow(Duration::from_secs(2)))),
            ("slow7", Some(Mishap::Slow(Duration::from_secs(7)))),
            ("latereply", Some(Mishap::LateReply(Duration::from_secs(30)))),
            ("slowik", None),
            ("250", None),
            ("5500", None),
            ("dora", None),
            ("pcp.demo", None),
        ] {
            assert_eq!(Mishap::of(local), expected, "{local}");
        }
    }
}
