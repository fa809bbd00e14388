//! The phases of a conversation and how long each may take.

use std::{fmt, time::Duration};

use crate::config::relay::TimeoutSettings;

/// A step of the conversation with a deadline of its own (RFC 5321 4.5.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Opening the TCP connection.
    Connect,
    /// The server's first line.
    Greeting,
    /// EHLO and its answer.
    Ehlo,
    /// STARTTLS and the handshake.
    Tls,
    /// Logging in.
    Auth,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Rcpt,
    /// DATA and its 354.
    Data,
    /// The message itself.
    Body,
    /// The answer after the final dot.
    Reply,
    /// RSET and QUIT.
    Quit,
}

impl Phase {
    /// What people call it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Greeting => "greeting",
            Self::Ehlo => "EHLO",
            Self::Tls => "TLS",
            Self::Auth => "AUTH",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Body => "message",
            Self::Reply => "final reply",
            Self::Quit => "QUIT",
        }
    }

    /// How long it may take.
    pub(super) fn limit(self, timeouts: &TimeoutSettings) -> Duration {
        match self {
            Self::Connect => timeouts.connect.0,
            Self::Greeting => timeouts.greeting.0,
            Self::Ehlo => timeouts.ehlo.0,
            Self::Tls => timeouts.tls.0,
            Self::Auth => timeouts.auth.0,
            Self::Mail => timeouts.mail.0,
            Self::Rcpt => timeouts.rcpt.0,
            Self::Data => timeouts.data.0,
            Self::Body => timeouts.body.0,
            Self::Reply => timeouts.reply.0,
            // Courtesy: nobody waits for it.
            Self::Quit => Duration::from_secs(2),
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
