//! What the receiving side says, chosen by the address.
//!
//! The local part up to a `+` is the choice, as for the failures of [`mishap`](super::mishap):
//!
//! | local part | what comes back |
//! | --- | --- |
//! | any other | `processed`, and `dispatched` when it was asked for |
//! | `nomdn` | nothing |
//! | `processedonly` | `processed`, whatever was asked for |
//! | `delayed`, `delayed9` | everything 2 (9) seconds later |
//! | `latedispatch`, `latedispatch9` | `processed`; `dispatched` 2 (9) seconds later |
//! | `dispatchedonly`, `reversed` | `dispatched` without `processed`; `dispatched` before `processed` |
//! | `failed`, `processedfailure` | a `failed` MDN; `processed` before it |
//! | `bounced` | a signed DSN: no such mailbox |
//! | `distrusted` | a signed DSN: the recipient is not trusted |
//! | `twice` | everything twice |
//! | `whitespace`, `linebreak`, `extraspace`, `notype`, `nobrackets`, `oddcase`, `folded` | malformed, and still to be understood |
//! | `nodisposition`, `othersender`, `otherid`, `otherrecipient`, `clear`, `stranger` | must not count |

use std::time::Duration;

use crate::domain::{DirectAddress, MessageId, OffsetTime};

/// One notice to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// How long after acceptance.
    pub after: Duration,
    /// What it says.
    pub says: Says,
    /// What is odd about it.
    pub twist: Twist,
}

/// What a notice says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// MDN: opened and trusted.
    Processed,
    /// MDN: reached its final place.
    Dispatched,
    /// MDN: could not be delivered.
    Failed,
    /// DSN: could not be delivered, for this cause.
    Bounced(&'static str),
}

/// What is odd about a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twist {
    /// Nothing.
    None,
    /// Spaces and tabs around colons and semicolons.
    WhiteSpace,
    /// Blank lines among the fields.
    LineBreak,
    /// Spaces within the disposition.
    ExtraSpace,
    /// No `rfc822;`.
    NoType,
    /// No angle brackets around the id.
    NoBrackets,
    /// Other capitals.
    OddCase,
    /// Folded fields.
    Folded,
    /// No disposition.
    NoDisposition,
    /// From and signed by somebody of another domain.
    OtherSender,
    /// About another message.
    OtherId,
    /// About another recipient.
    OtherRecipient,
    /// Not sealed.
    Clear,
    /// Signed under an authority that nobody trusts.
    Stranger,
}

/// What comes back from `local` (the part before the `@`), when `asked` for the final place.
#[must_use]
pub fn plan(local: &str, asked: bool) -> Vec<Answer> {
    let word = local.split('+').next().unwrap_or_default().to_ascii_lowercase();
    let seconds = |name: &str| {
        let digits = word.strip_prefix(name)?;
        let count = if digits.is_empty() { Some(2) } else { digits.parse().ok().filter(|n| *n <= 24 * 3600) };
        count.map(Duration::from_secs)
    };
    let answer = |says, twist, after| Answer { after, says, twist };
    let now = |says| answer(says, Twist::None, Duration::ZERO);
    let ordinary = |twist, after| {
        let mut all = vec![answer(Says::Processed, twist, after)];
        all.extend(asked.then(|| answer(Says::Dispatched, twist, after)));
        all
    };
    let twisted = |twist| ordinary(twist, Duration::ZERO);
    match word.as_str() {
        "nomdn" => Vec::new(),
        "processedonly" => vec![now(Says::Processed)],
        "dispatchedonly" => vec![now(Says::Dispatched)],
        "reversed" => vec![now(Says::Dispatched), now(Says::Processed)],
        "failed" => vec![now(Says::Failed)],
        "processedfailure" => vec![now(Says::Processed), now(Says::Failed)],
        "bounced" => vec![now(Says::Bounced("smtp; 550 5.1.1 There is no such mailbox here"))],
        "distrusted" => vec![now(Says::Bounced("smtp; 550 5.7.1 The recipient is not trusted by this HISP"))],
        "twice" => [twisted(Twist::None), twisted(Twist::None)].concat(),
        "whitespace" => twisted(Twist::WhiteSpace),
        "linebreak" => twisted(Twist::LineBreak),
        "extraspace" => twisted(Twist::ExtraSpace),
        "notype" => twisted(Twist::NoType),
        "nobrackets" => twisted(Twist::NoBrackets),
        "oddcase" => twisted(Twist::OddCase),
        "folded" => twisted(Twist::Folded),
        "nodisposition" => twisted(Twist::NoDisposition),
        "othersender" => twisted(Twist::OtherSender),
        "otherid" => twisted(Twist::OtherId),
        "otherrecipient" => twisted(Twist::OtherRecipient),
        "clear" => twisted(Twist::Clear),
        "stranger" => twisted(Twist::Stranger),
        _ => match (seconds("delayed"), seconds("latedispatch")) {
            (Some(after), _) => ordinary(Twist::None, after),
            (_, Some(after)) => vec![now(Says::Processed), answer(Says::Dispatched, Twist::None, after)],
            _ => twisted(Twist::None),
        },
    }
}

/// What a notice is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The recipient, who says it.
    pub recipient: &'a DirectAddress,
    /// The sender, who is told.
    pub sender: &'a DirectAddress,
    /// The message.
    pub message: &'a MessageId,
    /// The notice's own id.
    pub id: uuid::Uuid,
    /// When.
    pub date: OffsetTime,
}

/// The sender of a notice with a twist.
#[must_use]
pub fn speaker(twist: Twist, recipient: &DirectAddress) -> DirectAddress {
    let other = (twist == Twist::OtherSender).then(|| "postmaster@direct.elsewhere.example".parse().ok()).flatten();
    other.unwrap_or_else(|| recipient.clone())
}

/// The inner message of a notice.
#[must_use]
pub fn write(says: Says, twist: Twist, about: &Subject<'_>) -> String {
    let other_id = format!("<somebody-elses-{}@direct.elsewhere.example>", about.id.as_simple());
    let id = if twist == Twist::OtherId { other_id.as_str() } else { about.message.as_str() };
    let other = "somebody.else@direct.elsewhere.example";
    let recipient = if twist == Twist::OtherRecipient { other } else { about.recipient.as_str() };
    let (kind, fields) = match says {
        Says::Bounced(cause) => (
            "delivery-status",
            format!(
                "Reporting-MTA: dns; {domain}\r\nX-Original-Message-ID: {id}\r\n\r\nFinal-Recipient: rfc822;{recipient}\r\n\
                 Action: failed\r\nStatus: 5.0.0\r\nDiagnostic-Code: {cause}\r\n",
                domain = about.recipient.domain()
            ),
        ),
        Says::Processed | Says::Dispatched | Says::Failed => {
            let (word, extension) = match says {
                Says::Dispatched => ("dispatched", "X-DIRECT-FINAL-DESTINATION-DELIVERY: \r\n"),
                Says::Failed => ("failed", ""),
                _ => ("processed", ""),
            };
            (
                "disposition-notification",
                format!(
                    "Reporting-UA: {domain}; practice\r\nFinal-Recipient: rfc822;{recipient}\r\nOriginal-Message-ID: {id}\r\n\
                     Disposition: automatic-action/MDN-sent-automatically;{word}\r\n{extension}",
                    domain = about.recipient.domain()
                ),
            )
        }
    };
    let fields = twisted(twist, &fields);
    let boundary = format!("=_{}", about.id.as_simple());
    format!(
        "Date: {date}\r\nFrom: {from}\r\nTo: {to}\r\nMessage-ID: <{own}@{domain}>\r\nSubject: Notice\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type={kind};\r\n boundary=\"{boundary}\"\r\n\r\n\
         --{boundary}\r\nContent-Type: text/plain\r\n\r\nA notice of the practice HISP.\r\n\r\n\
         --{boundary}\r\nContent-Type: message/{kind}\r\n\r\n{fields}\r\n--{boundary}--\r\n",
        date = about.date.rfc5322(),
        from = speaker(twist, about.recipient),
        to = about.sender,
        own = about.id.as_simple(),
        domain = about.recipient.domain_key(),
    )
}

fn twisted(twist: Twist, fields: &str) -> String {
    match twist {
        Twist::WhiteSpace => fields.replace(": ", " :\t  ").replace("rfc822;", "  rfc822  ;  "),
        Twist::LineBreak => {
            fields.replace("\r\nDisposition", "\r\n\r\nDisposition").replace("Final-Recipient", "\r\nFinal-Recipient")
        }
        Twist::ExtraSpace => fields.replace("automatically;", "automatically  ;   ").replace("action/MDN", "action / MDN"),
        Twist::NoType => fields.replace("rfc822;", ""),
        Twist::NoBrackets => fields.replace("-ID: <", "-ID: ").replace(">\r\n", "\r\n"),
        Twist::OddCase => fields.to_ascii_uppercase().replace("MESSAGE-ID: ", "message-ID: ").lines().zip(fields.lines()).fold(
            String::new(),
            // An id is compared exactly: it keeps its case.
            |text, (odd, as_was)| text + if as_was.contains("-ID: ") { as_was } else { odd } + "\r\n",
        ),
        Twist::Folded => fields.replace(": ", ":\r\n\t").replace("automatically;", "automatically;\r\n "),
        Twist::NoDisposition => {
            fields.lines().filter(|line| !line.starts_with("Disposition")).fold(String::new(), |text, line| text + line + "\r\n")
        }
        Twist::None | Twist::OtherSender | Twist::OtherId | Twist::OtherRecipient | Twist::Clear | Twist::Stranger => {
            fields.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{Timestamp, delivery::NoticeKind},
        track::Notice,
    };

    #[test]
    fn the_address_chooses_the_answer_and_most_addresses_give_the_ordinary_one() {
        let says = |local, asked| plan(local, asked).into_iter().map(|answer| answer.says).collect::<Vec<_>>();
        assert_eq!(says("pcp", false), [Says::Processed]);
        assert_eq!(says("pcp", true), [Says::Processed, Says::Dispatched]);
        assert_eq!(says("nomdn+clinic", true), []);
        assert_eq!(says("ProcessedOnly", true), [Says::Processed]);
        assert_eq!(plan("delayed65", false)[0].after, Duration::from_secs(65));
        assert_eq!(plan("latedispatch", true)[1].after, Duration::from_secs(2));
        assert_eq!(plan("delayedpost", false)[0].after, Duration::ZERO, "a name that only begins so");
        assert_eq!(plan("twice", true).len(), 4);
    }

    #[test]
    fn malformed_notices_are_malformed_and_still_understood() {
        let (recipient, sender): (DirectAddress, DirectAddress) =
            ("a@d.example".parse().unwrap(), "us@lab.example".parse().unwrap());
        let message: MessageId = "<Exact-1@lab.example>".parse().unwrap();
        let about = Subject {
            recipient: &recipient,
            sender: &sender,
            message: &message,
            id: uuid::Uuid::now_v7(),
            date: Timestamp(0).utc(),
        };
        let plain = write(Says::Processed, Twist::None, &about);
        for twist in [
            Twist::WhiteSpace,
            Twist::LineBreak,
            Twist::ExtraSpace,
            Twist::NoType,
            Twist::NoBrackets,
            Twist::OddCase,
            Twist::Folded,
        ] {
            let text = write(Says::Processed, twist, &about);
            assert_ne!(text, plain, "{twist:?}");
            let said = Notice::read(text.as_bytes()).unwrap().about.remove(0);
            assert_eq!(
                (said.kind, said.message_ids.as_slice()),
                (Some(NoticeKind::Processed), &[message.clone()][..]),
                "{twist:?}\n{text}"
            );
            assert_eq!(said.recipients[0].to_ascii_lowercase(), "a@d.example", "{twist:?}");
        }
    }
}
