//! Step 5: the three send modes and one SMTP conversation with a deadline for each phase.
//!
//! A message leaves by a [`Relay`] (`sta_relay`, `edge`) or by [`Mx`] (`sta_mx`). Both hold one conversation for each
//! message with exactly one recipient, and both answer with an [`Outcome`], which says what may be done next:
//!
//! ```text
//! connect  greeting  EHLO  STARTTLS  AUTH | MAIL  RCPT | on_wire | DATA  message  dot  reply
//! '------- RelayDown / next MX ---------' '- Deferred -'  Refused  '------- Lost ----------'
//! ```
//!
//! Every phase has its own deadline. A connection serves again only after a complete 250 for the message it carried;
//! anything else, a time-out and a cancelled task included, closes it.

mod content;
mod job;
mod line;
mod mx;
mod open;
mod outcome;
mod phase;
mod relay;
mod reply;
mod transaction;
mod wire;

pub use job::{BadMessage, GoAhead, Job};
pub use mx::Mx;
pub use outcome::Outcome;
pub use relay::{Login, Relay, SendError};
pub use reply::Reply;
