//! MAIL and RCPT: everything that may be said before the message is on the wire.

use crate::domain::Reason;

use super::{Job, Outcome, Reply, open::Session, phase::Phase, wire::Broken};

/// Why DATA will not be reached on this connection.
pub(super) enum Stopped {
    /// The server has answered; that is the outcome.
    Answered(Outcome),
    /// The connection is gone, or the server is leaving (421): on a kept connection that says nothing about the message.
    Gone { why: String, reply: Option<Reply> },
}

impl From<Broken> for Stopped {
    fn from(broken: Broken) -> Self {
        Self::Gone { why: broken.to_string(), reply: None }
    }
}

impl Stopped {
    /// The outcome when there is no other connection to try.
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Answered(outcome) => outcome,
            Self::Gone { why, reply } => Outcome::Deferred { reply, why },
        }
    }
}

/// Announces sender and recipient. `Ok` means: the server waits for DATA.
pub(super) async fn envelope(session: &mut Session, job: &Job<'_>) -> Result<(), Stopped> {
    // RFC 1870: what the server says it will not take need not be carried there.
    if let Some(limit) = session.size.filter(|limit| job.size > *limit) {
        let why = format!("the message has {} bytes and {} takes at most {limit}", job.size, session.host);
        return Err(Stopped::Answered(Outcome::Refused { reason: Reason::TooLarge, reply: None, why }));
    }
    if !job.ascii && !session.eight_bit {
        let why = format!("the message has 8-bit content and {} does not take any", session.host);
        return Err(Stopped::Answered(Outcome::Refused { reason: Reason::Rejected5xx, reply: None, why }));
    }
    let size = if session.knows_size { format!(" SIZE={}", job.size) } else { String::new() };
    let body = if job.ascii { "" } else { " BODY=8BITMIME" };
    // A DirectAddress holds no space, bracket or line end.
    let from = if job.null_return_path { "" } else { job.mail_from.as_str() };
    expect_250(session, Phase::Mail, &format!("MAIL FROM:<{from}>{size}{body}\r\n")).await?;
    expect_250(session, Phase::Rcpt, &format!("RCPT TO:<{}>\r\n", job.rcpt)).await
}

async fn expect_250(session: &mut Session, phase: Phase, line: &str) -> Result<(), Stopped> {
    let reply = session.wire.command(phase, line).await?;
    match reply.code() {
        // 251: not ours, but it will be forwarded (RFC 5321 3.4).
        250 | 251 => Ok(()),
        421 => Err(Stopped::Gone { why: format!("{phase}: the server is leaving: {reply}"), reply: Some(reply) }),
        400..=599 => Err(Stopped::Answered(Outcome::from_answer(phase.as_str(), reply, phase == Phase::Mail))),
        _ => Err(Stopped::Gone { why: format!("{phase}: the server answered out of turn: {reply}"), reply: Some(reply) }),
    }
}
