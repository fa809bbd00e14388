//! One conversation, from the server's side.

use std::{io, sync::Arc, time::Duration};

use smtp_proto::Request;
use tokio::time::timeout;

use crate::{
    domain::{DirectAddress, MessageId},
    net::{
        smtp::{Heard, Login, Message, Talk},
        stream::Stream,
        tls::ServerTls,
    },
};

use super::{
    HispSettings,
    desk::Question,
    mailbox::{Arrival, Door},
    mishap::Mishap,
};

/// Commands that made no sense, before the talk ends.
const PATIENCE: u32 = 20;

/// What one door serves with.
#[derive(Clone)]
pub(super) struct Host {
    pub(super) settings: Arc<HispSettings>,
    pub(super) door: Door,
    pub(super) tls: ServerTls,
}

/// What MAIL FROM said; `None` is the null reverse path (RFC 5321 4.5.5).
type ReturnPath = Option<DirectAddress>;

/// Where the conversation stands.
struct Session {
    host: Host,
    talk: Talk,
    greeted: bool,
    user: Option<String>,
    /// MAIL FROM, once it was said.
    sender: Option<ReturnPath>,
    recipient: Option<DirectAddress>,
    mishap: Option<Mishap>,
}

/// What comes after a command.
enum Next {
    Go,
    StartTls,
    End,
}

/// Talks until either side has had enough.
pub(super) async fn converse(host: Host, stream: Stream) -> io::Result<()> {
    let talk = Talk::new(stream, host.settings.idle);
    let mut session = Session { host, talk, greeted: false, user: None, sender: None, recipient: None, mishap: None };
    let greeting = format!("220 {} ESMTP practice HISP", session.host.settings.host);
    session.say(&greeting).await?;
    let mut mistakes = 0;
    loop {
        let request = match session.talk.heard().await? {
            Heard::Command(request) => request,
            Heard::Nonsense(answer) => {
                mistakes += 1;
                if mistakes > PATIENCE {
                    return session.say("421 4.7.0 Too many errors").await;
                }
                session.say(answer).await?;
                continue;
            }
            Heard::Idle => return session.say("421 4.4.2 Idle for too long").await,
            Heard::End => return Ok(()),
        };
        match session.obey(request).await? {
            Next::Go => {}
            Next::End => return Ok(()),
            Next::StartTls => session = session.under_tls().await?,
        }
    }
}

impl Session {
    async fn obey(&mut self, request: Request<String>) -> io::Result<Next> {
        match request {
            Request::Ehlo { .. } => self.hello().await?,
            Request::Helo { .. } => {
                self.greeted = true;
                let answer = format!("250 {}", self.host.settings.host);
                self.say(&answer).await?;
            }
            Request::StartTls if self.talk.is_tls() => self.say("503 5.5.1 Already under TLS").await?,
            Request::StartTls => return Ok(Next::StartTls),
            Request::Auth { mechanism, initial_response } => self.login(mechanism, &initial_response).await?,
            Request::Mail { from } => self.mail(&from.address, from.size).await?,
            Request::Rcpt { to } => return self.rcpt(&to.address).await,
            Request::Data => return self.data().await,
            Request::Rset => {
                self.forget();
                self.say("250 2.0.0 Forgotten").await?;
            }
            Request::Noop { .. } => self.say("250 2.0.0 Still here").await?,
            Request::Quit => {
                self.say("221 2.0.0 Goodbye").await?;
                return Ok(Next::End);
            }
            Request::Vrfy { .. } => self.say("252 2.5.2 Send it and see").await?,
            _ => self.say("502 5.5.1 Not here").await?,
        }
        Ok(Next::Go)
    }

    async fn hello(&mut self) -> io::Result<()> {
        self.greeted = true;
        self.forget();
        let mut answer = format!(
            "250-{}\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250-SIZE {}\r\n",
            self.host.settings.host, self.host.settings.max_message
        );
        if !self.talk.is_tls() {
            answer.push_str("250-STARTTLS\r\n");
        } else if self.host.door != Door::Mx {
            answer.push_str("250-AUTH PLAIN LOGIN\r\n");
        }
        answer.push_str("250 PIPELINING");
        self.say(&answer).await
    }

    async fn under_tls(self) -> io::Result<Self> {
        let talk = self.talk.secured(&self.host.tls).await?;
        // RFC 3207 4.2: whatever was said before is forgotten.
        Ok(Self { host: self.host, talk, greeted: false, user: None, sender: None, recipient: None, mishap: None })
    }

    async fn login(&mut self, mechanism: u64, initial: &str) -> io::Result<()> {
        if !self.talk.is_tls() {
            return self.say("538 5.7.11 Not without TLS").await;
        }
        if self.host.door == Door::Mx || self.user.is_some() {
            return self.say("503 5.5.1 No login now").await;
        }
        match self.talk.login(mechanism, initial).await? {
            Login::OtherMechanism => self.say("504 5.5.4 Use PLAIN or LOGIN").await,
            Login::Given(user, password) if self.host.settings.lets_in(self.host.door, &user, &password) => {
                self.user = Some(user);
                self.say("235 2.7.0 Welcome").await
            }
            _ => self.say("535 5.7.8 Wrong user or password").await,
        }
    }

    async fn mail(&mut self, address: &str, size: usize) -> io::Result<()> {
        if !self.greeted || self.sender.is_some() {
            return self.say("503 5.5.1 Bad sequence of commands").await;
        }
        if self.host.door != Door::Mx && !self.talk.is_tls() {
            return self.say("530 5.7.0 Say STARTTLS first").await;
        }
        if self.host.door != Door::Mx && self.user.is_none() {
            return self.say("530 5.7.0 Log in first").await;
        }
        if size > self.host.settings.max_message {
            return self.say("552 5.3.4 The message is too large").await;
        }
        let sender = if address.is_empty() {
            None
        } else if let Ok(sender) = address.parse::<DirectAddress>() {
            Some(sender)
        } else {
            return self.say("553 5.1.7 The sender is not a Direct address").await;
        };
        let stated = sender.as_ref().map_or("", DirectAddress::as_str);
        let is_user = self.user.as_deref().is_some_and(|user| user.eq_ignore_ascii_case(stated));
        if self.host.door == Door::Edge && !is_user {
            return self.say("553 5.7.1 The sender is not the one who logged in").await;
        }
        self.sender = Some(sender);
        self.say("250 2.1.0 Sender ok").await
    }

    async fn rcpt(&mut self, address: &str) -> io::Result<Next> {
        if self.sender.is_none() {
            self.say("503 5.5.1 MAIL first").await?;
            return Ok(Next::Go);
        }
        if self.recipient.is_some() {
            self.say("452 4.5.3 One recipient for each message").await?;
            return Ok(Next::Go);
        }
        let Ok(recipient) = address.parse::<DirectAddress>() else {
            self.say("553 5.1.3 The recipient is not a Direct address").await?;
            return Ok(Next::Go);
        };
        self.mishap = Mishap::of(recipient.local());
        match self.mishap {
            Some(Mishap::AtRcpt(code)) => self.say(&Mishap::answer(code)).await?,
            Some(Mishap::Closing) => {
                self.say("421 4.3.2 Closing for maintenance").await?;
                return Ok(Next::End);
            }
            _ => {
                self.recipient = Some(recipient);
                self.say("250 2.1.5 Recipient ok").await?;
            }
        }
        Ok(Next::Go)
    }

    async fn data(&mut self) -> io::Result<Next> {
        let (Some(sender), Some(recipient)) = (self.sender.clone(), self.recipient.clone()) else {
            self.say("503 5.5.1 No recipient").await?;
            return Ok(Next::Go);
        };
        if self.mishap == Some(Mishap::DropData) {
            // The first bytes come in; then the line is cut.
            self.say("354 End with a dot on a line of its own").await?;
            let _ = timeout(Duration::from_secs(1), self.talk.heard()).await;
            return Ok(Next::End);
        }
        if let Some(Mishap::Slow(wait)) = self.mishap {
            tokio::time::sleep(wait).await;
        }
        let settings = &self.host.settings;
        let answer = match self.talk.message(settings.max_message, settings.idle).await? {
            None => {
                self.say("421 4.4.2 Idle for too long").await?;
                return Ok(Next::End);
            }
            Some(message) => match message {
                Message::Broken => return Ok(Next::End),
                Message::TooLarge => "552 5.3.4 The message is too large".to_owned(),
                Message::BareLineEnd => "554 5.6.0 The message has a bare CR or LF".to_owned(),
                Message::Complete(message) => match self.mishap {
                    Some(Mishap::AfterDot(code)) => Mishap::answer(code),
                    mishap => {
                        let answer = self.keep(sender, recipient, message).await;
                        match mishap {
                            Some(Mishap::LostReply) => return Ok(Next::End),
                            Some(Mishap::LateReply(wait)) => tokio::time::sleep(wait).await,
                            _ => {}
                        }
                        answer
                    }
                },
            },
        };
        self.say(&answer).await?;
        self.forget();
        Ok(Next::Go)
    }

    /// Opens it and puts it into the mailbox; 250 only once it is on disk.
    async fn keep(&self, sender: Option<DirectAddress>, recipient: DirectAddress, message: Vec<u8>) -> String {
        let (settings, door) = (self.host.settings.clone(), self.host.door);
        let tls = self.talk.tls_version();
        let desk = self.host.settings.desk.clone();
        let word = recipient.local().split('+').next().unwrap_or_default();
        let renamed = (door == Door::Edge && word.eq_ignore_ascii_case("renamed")).then(|| rename(&recipient)).flatten();
        // The null reverse path is a machine's: it is not answered.
        let question = desk.as_ref().and(sender.clone()).map(|sender| Question {
            door,
            sender,
            recipient: recipient.clone(),
            message: message.clone(),
            renamed: renamed.clone(),
        });
        let kept = tokio::task::spawn_blocking(move || {
            let opened = if door == Door::Edge { Ok(message.clone()) } else { settings.opener.open(&recipient, &message) };
            let opened = opened.as_deref().map_err(String::as_str);
            settings.mailboxes.keep(Arrival {
                sender: sender.as_ref(),
                recipient: &recipient,
                door,
                tls,
                message: &message,
                opened,
            })
        });
        match kept.await {
            Ok(Ok(entry)) => {
                if let (Some(desk), Some(question)) = (desk, question) {
                    desk.answer(question);
                }
                let name = renamed.map_or_else(|| entry.id.to_string(), |id| id.to_string());
                format!("250 2.0.0 Accepted as {name}")
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the practice HISP could not keep a message");
                "451 4.3.0 It could not be stored".to_owned()
            }
            Err(_) => "451 4.3.0 It could not be stored".to_owned(),
        }
    }

    fn forget(&mut self) {
        (self.sender, self.recipient, self.mishap) = (None, None, None);
    }

    async fn say(&mut self, answer: &str) -> io::Result<()> {
        match self.mishap {
            Some(Mishap::Slow(wait)) => tokio::time::sleep(wait).await,
            Some(Mishap::Tarpit) => {
                for byte in answer.bytes() {
                    self.talk.write(&[byte]).await?;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                return self.talk.write(b"\r\n").await;
            }
            _ => {}
        }
        self.talk.say(answer).await
    }
}

/// An id of the HISP's own.
fn rename(recipient: &DirectAddress) -> Option<MessageId> {
    format!("<{}@hisp.{}>", uuid::Uuid::now_v7().as_simple(), recipient.domain_key()).parse().ok()
}
