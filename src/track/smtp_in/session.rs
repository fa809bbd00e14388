//! One conversation (RFC 5321), from the server's side.

use std::{io, net::IpAddr, time::Duration};

use smtp_proto::Request;
use tokio::{
    io::AsyncWriteExt as _,
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{Host, limits::May};
use crate::{
    domain::{
        DirectAddress,
        inbound::{Channel, Way},
    },
    net::{
        smtp::{Heard, Login, Message, Talk},
        stream::Stream,
    },
    observe::{chain, events::MailRefused, facts::Turned, failpoint},
    store::inbound::Addressee,
    track::arrivals::Arrival,
};

/// Commands that made no sense, or were refused, before the talk ends.
const PATIENCE: u32 = 20;
/// Commands of a stranger without a message, but for recipients that are taken.
const COMMANDS: u32 = 20;
/// Recipients of one message. RFC 5321 4.5.3.1.8 asks for a hundred.
const RECIPIENTS: usize = 100;
/// How long one message may take from 354 to its dot.
const WHOLE_MESSAGE: Duration = Duration::from_mins(15);

/// Where the conversation stands.
struct Session {
    host: Host,
    talk: Talk,
    client: IpAddr,
    channel: Channel,
    greeted: bool,
    mistakes: u32,
    /// Commands since the last message was taken, or since the beginning,
    commands: u32,
    /// and since when that is.
    since: Instant,
    envelope: Option<Envelope>,
}

/// A message that is being brought.
#[derive(Default)]
struct Envelope {
    from: Option<DirectAddress>,
    /// As far as the client has said; 0 when it has not.
    octets: usize,
    to: Vec<DirectAddress>,
    addressees: Vec<Addressee>,
}

/// What comes after a command.
enum Next {
    Go,
    StartTls,
    End,
}

/// Says that there is no place.
pub(super) async fn turn_away(mut stream: Stream, host: &str) -> io::Result<()> {
    MailRefused { reason: Turned::Crowded }.emit();
    // RFC 5321 3.8: a server may close with 421.
    let answer = format!("421 4.7.0 {host} Too many connections; come again later\r\n");
    timeout(Duration::from_secs(5), stream.write_all(answer.as_bytes())).await??;
    stream.shutdown().await
}

/// Talks until either side has had enough, or `stop` and no message is being brought.
pub(super) async fn converse(host: Host, stream: Stream, client: IpAddr, stop: CancellationToken) -> io::Result<()> {
    let channel = host.links.from(client);
    let talk = Talk::new(stream, host.settings.idle.0);
    let mut session =
        Session { host, talk, client, channel, greeted: false, mistakes: 0, commands: 0, since: Instant::now(), envelope: None };
    let greeting = format!("220 {} ESMTP Postern", session.host.settings.host);
    session.say(&greeting).await?;
    loop {
        let patience = session.patience();
        let out_of_patience = async {
            match patience {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let heard = tokio::select! {
            () = stop.cancelled() => return session.say("421 4.3.2 Going down; come again soon").await,
            () = out_of_patience => return session.say("421 4.4.2 No message for too long").await,
            heard = session.talk.heard() => heard?,
        };
        session.commands += 1;
        let next = match heard {
            Heard::Command(request) => session.obey(request).await?,
            Heard::Nonsense(answer) => {
                session.refuse(answer).await?;
                Next::Go
            }
            Heard::Idle => return session.say("421 4.4.2 Idle for too long").await,
            Heard::End => return Ok(()),
        };
        match next {
            Next::End => return Ok(()),
            _ if session.mistakes > PATIENCE => return session.say("421 4.7.0 Too many errors").await,
            _ if session.is_stranger() && session.commands >= COMMANDS => {
                return session.say("421 4.7.0 Too many commands without a message").await;
            }
            Next::Go => {}
            Next::StartTls => session = session.under_tls().await?,
        }
    }
}

impl Session {
    /// Whether it is nobody we know.
    fn is_stranger(&self) -> bool {
        self.channel == Channel::None
    }

    /// When a stranger has been here for too long without a message.
    fn patience(&self) -> Option<Instant> {
        self.is_stranger().then(|| self.since + self.host.settings.without_message.0)
    }

    async fn obey(&mut self, request: Request<String>) -> io::Result<Next> {
        match request {
            Request::Ehlo { .. } => self.hello().await?,
            Request::Helo { .. } => {
                self.greeted = true;
                self.envelope = None;
                let answer = format!("250 {}", self.host.settings.host);
                self.say(&answer).await?;
            }
            Request::StartTls if self.talk.is_tls() => self.refuse("503 5.5.1 Already under TLS").await?,
            Request::StartTls if self.host.tls.is_none() => self.refuse("502 5.5.1 No TLS here").await?,
            Request::StartTls => return Ok(Next::StartTls),
            Request::Auth { mechanism, initial_response } => return self.login(mechanism, &initial_response).await,
            Request::Mail { from } => self.mail(&from.address, from.size).await?,
            Request::Rcpt { to } => self.rcpt(&to.address).await?,
            Request::Data => return self.data().await,
            Request::Rset => {
                self.envelope = None;
                self.say("250 2.0.0 Forgotten").await?;
            }
            Request::Noop { .. } => self.say("250 2.0.0 Still here").await?,
            Request::Quit => {
                self.say("221 2.0.0 Goodbye").await?;
                return Ok(Next::End);
            }
            // RFC 5321 7.3: addresses are not to be fished for.
            Request::Vrfy { .. } => self.say("252 2.5.2 Send it and see").await?,
            _ => self.refuse("502 5.5.1 Not here").await?,
        }
        Ok(Next::Go)
    }

    async fn hello(&mut self) -> io::Result<()> {
        self.greeted = true;
        self.envelope = None;
        let settings = &self.host.settings;
        let mut answer = format!(
            "250-{}\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250-SIZE {}\r\n",
            settings.host, settings.message_bytes
        );
        if self.talk.is_tls() {
            if self.host.links.know_logins() {
                answer.push_str("250-AUTH PLAIN LOGIN\r\n");
            }
        } else if self.host.tls.is_some() {
            answer.push_str("250-STARTTLS\r\n");
        }
        answer.push_str("250 PIPELINING");
        self.say(&answer).await
    }

    async fn under_tls(self) -> io::Result<Self> {
        let tls = self.host.tls.clone().ok_or_else(|| io::Error::other("no TLS"))?;
        let talk = self.talk.secured(&tls).await?;
        // RFC 3207 4.2: whatever was said before is forgotten.
        let channel = self.host.links.from(self.client);
        Ok(Self { talk, channel, greeted: false, envelope: None, ..self })
    }

    async fn login(&mut self, mechanism: u64, initial: &str) -> io::Result<Next> {
        if !self.talk.is_tls() {
            self.refuse("538 5.7.11 Not without TLS").await?;
            return Ok(Next::Go);
        }
        // RFC 4954 4: not after EHLO was forgotten, not inside a transaction.
        if !self.greeted || self.envelope.is_some() || !self.host.links.know_logins() {
            self.refuse("503 5.5.1 No login now").await?;
            return Ok(Next::Go);
        }
        let until = self.patience().unwrap_or_else(|| Instant::now() + self.host.settings.idle.0);
        let Ok(login) = timeout_at(until, self.talk.login(mechanism, initial)).await else { return Ok(Next::End) };
        let channel = match login? {
            Login::Given(user, password) => self.host.links.login(&user, &password),
            Login::Unreadable => None,
            Login::OtherMechanism => {
                self.refuse("504 5.5.4 Use PLAIN or LOGIN").await?;
                return Ok(Next::Go);
            }
        };
        if let Some(channel) = channel {
            self.channel = channel;
            self.say("235 2.7.0 Welcome").await?;
            return Ok(Next::Go);
        }
        MailRefused { reason: Turned::Login }.emit();
        // Guessing takes time, and a new connection for each few guesses.
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.mistakes += PATIENCE / 4;
        self.refuse("535 5.7.8 Wrong user or password").await?;
        Ok(Next::Go)
    }

    async fn mail(&mut self, address: &str, size: usize) -> io::Result<()> {
        if !self.greeted || self.envelope.is_some() {
            return self.refuse("503 5.5.1 Bad sequence of commands").await;
        }
        if self.host.settings.require_tls && !self.talk.is_tls() {
            MailRefused { reason: Turned::Clear }.emit();
            return self.refuse("530 5.7.0 Say STARTTLS first").await;
        }
        if size > self.host.settings.message_bytes {
            MailRefused { reason: Turned::TooLarge }.emit();
            return self.refuse("552 5.3.4 The message is too large").await;
        }
        let from = if address.is_empty() {
            None
        } else if let Ok(from) = address.parse::<DirectAddress>() {
            Some(from)
        } else {
            return self.refuse("553 5.1.7 The sender is not a Direct address").await;
        };
        if self.is_stranger() && !self.host.limits.may_bring(self.client) {
            MailRefused { reason: Turned::Pace }.emit();
            return self.say("450 4.7.1 Too many messages from there; come again in a minute").await;
        }
        self.envelope = Some(Envelope { from, octets: size, ..Envelope::default() });
        self.say("250 2.1.0 Sender ok").await
    }

    async fn rcpt(&mut self, address: &str) -> io::Result<()> {
        let Some(envelope) = &self.envelope else { return self.refuse("503 5.5.1 MAIL first").await };
        if envelope.to.len() >= RECIPIENTS {
            return self.say("452 4.5.3 Too many recipients").await;
        }
        let Ok(to) = address.parse::<DirectAddress>() else {
            return self.refuse("553 5.1.3 The recipient is not a Direct address").await;
        };
        let found = match self.host.arrivals.whose(&to).await {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(error = chain(&error), "mail cannot be taken now");
                MailRefused { reason: Turned::Store }.emit();
                return self.say("451 4.3.0 Try again later").await;
            }
        };
        if found.is_empty() {
            MailRefused { reason: Turned::Stranger }.emit();
            return self.refuse("550 5.1.1 No such address here").await;
        }
        let stranger = self.is_stranger();
        let Some(envelope) = &mut self.envelope else { return self.refuse("503 5.5.1 MAIL first").await };
        let new: Vec<Addressee> = found.into_iter().filter(|one| !envelope.addressees.contains(one)).collect();
        // RFC 5321 4.5.3.1.10: it brings the message for the others another time.
        if stranger && !self.host.limits.has_room(envelope.octets, envelope.addressees.len() + new.len()) {
            return self.say("452 4.5.3 Too many recipients for so large a message").await;
        }
        // A recipient that is taken is no idle talk; there are only so many of one message.
        self.commands -= 1;
        envelope.addressees.extend(new);
        envelope.to.push(to);
        self.say("250 2.1.5 Recipient ok").await
    }

    async fn data(&mut self) -> io::Result<Next> {
        let Some(envelope) = self.envelope.take().filter(|envelope| !envelope.addressees.is_empty()) else {
            self.refuse("503 5.5.1 No recipient").await?;
            return Ok(Next::Go);
        };
        let patience = if self.is_stranger() { self.host.settings.without_message.0 } else { WHOLE_MESSAGE };
        let Some(read) = self.talk.message(self.host.settings.message_bytes, patience).await? else {
            self.say("421 4.4.2 The message took too long").await?;
            return Ok(Next::End);
        };
        match read {
            Message::Broken => return Ok(Next::End),
            Message::TooLarge => {
                MailRefused { reason: Turned::TooLarge }.emit();
                self.refuse("552 5.3.4 The message is too large").await?;
            }
            Message::BareLineEnd => {
                MailRefused { reason: Turned::BareLineEnd }.emit();
                self.refuse("554 5.6.0 The message has a bare CR or LF").await?;
            }
            Message::Complete(message) => {
                if let Some(no) = self.too_much(&envelope, message.len()) {
                    MailRefused { reason: Turned::Pace }.emit();
                    self.say(no).await?;
                    return Ok(Next::Go);
                }
                let answer = self.keep(&envelope, &message).await;
                failpoint::reach("mail_kept");
                self.say(answer).await?;
            }
        }
        Ok(Next::Go)
    }

    /// Why a message is not kept, when a stranger has brought too much: it is kept once for each it is for.
    fn too_much(&self, envelope: &Envelope, octets: usize) -> Option<&'static str> {
        if !self.is_stranger() {
            return None;
        }
        match self.host.limits.may_keep(self.client, octets, envelope.addressees.len()) {
            May::Now => None,
            May::Later => Some("450 4.7.1 Too much mail from there; come again in a minute"),
            May::ForFewer => Some("552 5.3.4 The message is too large for so many recipients; bring it for fewer at a time"),
        }
    }

    /// 250 only once it is on disk for everybody it is for.
    async fn keep(&mut self, envelope: &Envelope, message: &[u8]) -> &'static str {
        let arrival =
            Arrival { way: Way::Smtp, channel: &self.channel, from: envelope.from.as_ref(), to: &envelope.to, raw: message };
        match self.host.arrivals.keep(&envelope.addressees, arrival).await {
            Ok(()) => {
                (self.commands, self.since) = (0, Instant::now());
                "250 2.0.0 Kept"
            }
            Err(error) => {
                tracing::error!(error = chain(&error), "a message that came in could not be stored");
                MailRefused { reason: Turned::Store }.emit();
                "451 4.3.0 It could not be stored; bring it again"
            }
        }
    }

    /// Says no, and remembers how often.
    async fn refuse(&mut self, answer: &str) -> io::Result<()> {
        self.mistakes += 1;
        self.say(answer).await
    }

    async fn say(&mut self, answer: &str) -> io::Result<()> {
        self.talk.say(answer).await
    }
}
