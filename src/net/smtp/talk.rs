//! One SMTP conversation from the server's side (RFC 5321), whatever the server does with what it is told: commands in, answers
//! out, logins, messages, and the change to TLS.

use std::{io, time::Duration};

use smtp_proto::{AUTH_LOGIN, AUTH_PLAIN, Error as Syntax, Request};
use tokio::{io::AsyncWriteExt as _, time::timeout};

use super::{Input, Line, Message, login, plain};
use crate::net::{stream::Stream, tls::ServerTls};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// A conversation under way.
#[derive(Debug)]
pub struct Talk {
    stream: Stream,
    input: Input,
    idle: Duration,
}

/// What the client said.
#[derive(Debug)]
pub enum Heard {
    /// A command.
    Command(Request<String>),
    /// Nothing that makes sense, and the answer to it.
    Nonsense(&'static str),
    /// Nothing, for too long.
    Idle,
    /// It has gone.
    End,
}

/// What came of AUTH.
#[derive(Debug, PartialEq, Eq)]
pub enum Login {
    /// User and password.
    Given(String, String),
    /// What was sent is neither.
    Unreadable,
    /// By a mechanism that is not spoken here.
    OtherMechanism,
}

impl Talk {
    /// Begins. A client that says nothing for `idle`, or does not read its answers so long, is gone.
    #[must_use]
    pub fn new(stream: Stream, idle: Duration) -> Self {
        Self { stream, input: Input::default(), idle }
    }

    /// Whether TLS protects it.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.stream.is_tls()
    }

    /// The version of TLS.
    #[must_use]
    pub fn tls_version(&self) -> Option<&'static str> {
        self.stream.tls_version()
    }

    /// The next command.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn heard(&mut self) -> io::Result<Heard> {
        let Ok(line) = timeout(self.idle, self.input.line(&mut self.stream)).await else { return Ok(Heard::Idle) };
        Ok(match line? {
            Line::End => Heard::End,
            Line::TooLong => Heard::Nonsense("500 5.5.6 Line too long"),
            Line::Text(text) => match Request::parse(&mut text.iter()) {
                Ok(request) => Heard::Command(request.into_owned()),
                Err(error) => Heard::Nonsense(complaint(&error)),
            },
        })
    }

    /// Says one answer, without its line end.
    ///
    /// # Errors
    /// When the connection breaks, or the client does not read.
    pub async fn say(&mut self, answer: &str) -> io::Result<()> {
        self.write(&[answer.as_bytes(), b"\r\n"].concat()).await
    }

    /// Writes these octets, and nothing more.
    ///
    /// # Errors
    /// When the connection breaks, or the client does not read.
    pub async fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        timeout(self.idle, async {
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        })
        .await?
    }

    /// Asks for what AUTH has not brought along (RFC 4954 4).
    ///
    /// # Errors
    /// When the connection breaks, or the client says nothing.
    pub async fn login(&mut self, mechanism: u64, initial: &str) -> io::Result<Login> {
        let given = match mechanism {
            AUTH_PLAIN => plain(&self.answer_to("", initial).await?),
            AUTH_LOGIN => {
                let user = self.answer_to("VXNlcm5hbWU6", initial).await?;
                login(&user, &self.answer_to("UGFzc3dvcmQ6", "").await?)
            }
            _ => return Ok(Login::OtherMechanism),
        };
        Ok(given.map_or(Login::Unreadable, |(user, password)| Login::Given(user, password)))
    }

    /// What the client gave along, else its answer to one challenge (base64).
    async fn answer_to(&mut self, challenge: &str, given: &str) -> io::Result<String> {
        if !given.is_empty() {
            return Ok(given.to_owned());
        }
        self.say(&format!("334 {challenge}")).await?;
        match timeout(self.idle, self.input.line(&mut self.stream)).await?? {
            Line::Text(text) => Ok(String::from_utf8_lossy(&text).trim().to_owned()),
            Line::TooLong | Line::End => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Asks for the message and reads it, at most `limit` octets in at most `patience`; `None` when it took longer.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn message(&mut self, limit: usize, patience: Duration) -> io::Result<Option<Message>> {
        self.say("354 End with a dot on a line of its own").await?;
        timeout(patience, self.input.message(&mut self.stream, limit)).await.ok().transpose()
    }

    /// Answers STARTTLS and goes on under TLS. Whatever was said before must be forgotten (RFC 3207 4.2).
    ///
    /// # Errors
    /// When the handshake fails, or something was sent along with the command.
    pub async fn secured(mut self, tls: &ServerTls) -> io::Result<Self> {
        if !self.input.is_empty() {
            // Sent before the handshake, to be read after it: CVE-2011-0411.
            self.say("554 5.5.1 Nothing may follow STARTTLS").await?;
            return Err(io::Error::other("commands were sent along with STARTTLS"));
        }
        self.say("220 2.0.0 Go ahead").await?;
        let tcp = self.stream.into_clear().ok_or_else(|| io::Error::other("already under TLS"))?;
        let stream = timeout(HANDSHAKE, tls.accept(tcp)).await?.map_err(io::Error::other)?;
        Ok(Self::new(stream, self.idle))
    }
}

const fn complaint(error: &Syntax) -> &'static str {
    match error {
        Syntax::UnknownCommand | Syntax::NeedsMoreData { .. } => "500 5.5.1 No such command",
        Syntax::InvalidSenderAddress => "501 5.1.7 That is no sender address",
        Syntax::InvalidRecipientAddress => "501 5.1.3 That is no recipient address",
        Syntax::SyntaxError { .. } => "501 5.5.4 That cannot be read",
        _ => "555 5.5.4 A parameter is not supported",
    }
}
