//! DATA, the message, the final dot and the answer to it. From the first byte of DATA on only a complete answer of the
//! server tells whether it has the message.

use std::time::Duration;

use lettre::transport::smtp::commands::Data;

use super::{
    Job, Outcome, Reply,
    open::Session,
    phase::Phase,
    wire::{Broken, Interrupted},
};

/// How long a server that broke off gets for its last words.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Sends the message. The second value is whether the connection is clean and may serve again.
pub(super) async fn content(session: &mut Session, job: &Job<'_>) -> (Outcome, bool) {
    if let Err(broken) = session.wire.expect_silence(Phase::Data).await {
        // The server spoke or left while the start was put on record; not a byte has been sent since.
        return (Outcome::Deferred { reply: None, why: broken.to_string() }, false);
    }
    let reply = match session.wire.command(Phase::Data, &Data.to_string()).await {
        Ok(reply) => reply,
        Err(broken) => return (lost(&broken), false),
    };
    if reply.code() != 354 {
        // Not a byte of the message has been sent, whatever this answer belongs to.
        return (Outcome::from_answer("DATA", reply, false), false);
    }
    match session.wire.body(&job.content).await {
        Ok(()) => {}
        Err(Interrupted::Spoke) => return (last_words(session, job, "the server spoke up before the final dot").await, false),
        Err(Interrupted::Broken(broken)) => return (last_words(session, job, &broken.to_string()).await, false),
    }
    if let Err(broken) = session.wire.dot().await {
        return (lost(&broken), false);
    }
    match session.wire.reply(Phase::Reply).await {
        Ok(reply) if reply.code() == 250 => {
            let clean = session.wire.is_quiet().await;
            let tls = session.wire.stream().tls_version();
            (Outcome::Accepted { reply, server: session.host.clone(), tls }, clean)
        }
        Ok(reply) => (refusal(reply), false),
        Err(broken) => (lost(&broken), false),
    }
}

/// A complete answer that is not 250. 4xx and 5xx are the server's word that it does not have the message; anything else
/// is no answer to a final dot.
fn refusal(reply: Reply) -> Outcome {
    if reply.is_transient() || reply.is_permanent() {
        Outcome::from_answer("the message", reply, false)
    } else {
        Outcome::Lost { why: format!("after the final dot the server answered out of turn: {reply}") }
    }
}

/// The message stopped half way. A server that says 4xx or 5xx now has not taken it; silence says nothing.
async fn last_words(session: &mut Session, job: &Job<'_>, why: &str) -> Outcome {
    match session.wire.reply_within(Phase::Body, LAST_WORDS).await {
        Ok(reply) if reply.is_transient() || reply.is_permanent() => Outcome::from_answer("the message", reply, false),
        _ => Outcome::Lost { why: format!("{why} (after {} of {} bytes)", session.wire.sent, job.content.len()) },
    }
}

fn lost(broken: &Broken) -> Outcome {
    Outcome::Lost { why: broken.to_string() }
}
