//! `[track]`: following what comes back.

use super::section::section;
use crate::domain::time::Span;

section! {
    /// Following what comes back. How long notices are waited for stands in each organization's file.
    ["track"] TrackSection {
        /// How often what came in, and the clocks, are looked at.
        poll: Span = Span::seconds(1),
        /// Most messages looked at together.
        batch: usize = 32,
        /// A delivery's time is up only once the mailbox its answer may lie in has been looked through after that moment: what
        /// came while we were down came in time. A mailbox that cannot be looked into is waited for this long, with an alert.
        mailbox_patience: Span = Span::seconds(4 * 3600),
        /// How long the octets of a message that came in are kept once it is dealt with. What it said stays.
        keep_mail: Span = Span::seconds(90 * 24 * 3600),
        /// How long a certificate of ours whose time is over still opens what is sealed to it: mail that was under way, and
        /// peers that have not found the next one yet. What comes later is refused like any other that cannot be opened.
        open_after_end: Span = Span::seconds(30 * 24 * 3600),
        /// How long the notices that we owe others are tried.
        reply_for: Span = Span::seconds(24 * 3600),
        /// Notices that we owe leave with the null reverse path (`MAIL FROM:<>`), as RFC 8098 asks: a notice that cannot be
        /// delivered is not reported to anybody. A HISP that insists on our address there needs `false`; its reports are then
        /// recorded, and never answered.
        null_return_path: bool = true,
    }
}
