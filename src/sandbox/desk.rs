//! Where the practice HISP writes its notices: opened like a recipient's side would, signed and encrypted to whoever
//! signed the message, put into the sender's mailbox and, if it is told where, handed over by SMTP: again and again
//! while nobody is there.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use uuid::Uuid;

use super::{
    Mailboxes,
    answers::{self, Answer, Subject, Twist},
    mailbox::{Arrival, Door},
    practice::{Practice, PracticeError},
};
use crate::{
    crypto::draw,
    domain::{Clock, DirectAddress, MessageId},
    net::backoff::Backoff,
    seal::{Inner, KeySigner, Own, OwnKey, Profile, Seal, Sealer},
    send::{GoAhead, Job, Login, Outcome, Relay},
    track::{Notice, reply::Asked},
    trust::{Certificate, RecipientCertificate},
};

/// A notice that could not be handed over is tried again after this, then after longer.
const AGAIN: Duration = Duration::from_millis(200);
/// But no longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long a notice is tried: a real HISP does for days.
const PATIENCE: Duration = Duration::from_mins(30);

/// Writes and delivers notices.
pub struct Desk {
    practice: Practice,
    mailboxes: Mailboxes,
    post: Option<Relay>,
    clock: Arc<dyn Clock>,
}

/// A message to be answered.
pub(super) struct Question {
    pub(super) door: Door,
    pub(super) sender: DirectAddress,
    pub(super) recipient: DirectAddress,
    pub(super) message: Vec<u8>,
    /// The id the HISP gave it instead of its own.
    pub(super) renamed: Option<MessageId>,
}

impl Desk {
    /// A desk that puts notices into `mailboxes`, one for each sender, and hands them to `post` as well.
    #[must_use]
    pub fn new(practice: Practice, mailboxes: Mailboxes, post: Option<Relay>, clock: Arc<dyn Clock>) -> Self {
        Self { practice, mailboxes, post, clock }
    }

    /// Answers a message as its recipient's address says. In the edge mode the HISP opened what came back, so there the
    /// notices are in the clear.
    pub(super) fn answer(self: &Arc<Self>, question: Question) {
        let desk = Arc::clone(self);
        tokio::spawn(async move {
            let opening = Arc::clone(&desk);
            let read = tokio::task::spawn_blocking(move || opening.read(question)).await;
            // What is not opened and trusted is answered with silence.
            let Ok(Some((read, answers))) = read else { return };
            let read = Arc::new(read);
            for answer in answers {
                let (desk, read) = (Arc::clone(&desk), Arc::clone(&read));
                let say = async move {
                    tokio::time::sleep(answer.after).await;
                    if let Err(error) = desk.say(&read, answer).await {
                        tracing::warn!(error, "the practice HISP could not send a notice");
                    }
                };
                // In their order, unless one is late.
                if answer.after.is_zero() { say.await } else { drop(tokio::spawn(say)) }
            }
        });
    }

    fn read(&self, question: Question) -> Option<(Read, Vec<Answer>)> {
        let (inner, signer) = if question.door == Door::Edge {
            (question.message, None)
        } else {
            let verified = self.practice.verified(&question.recipient, &question.message).ok()?;
            (verified.inner().to_vec(), Some(verified.signer().clone()))
        };
        if Notice::read(&inner).is_some() {
            return None;
        }
        let parsed = crate::track::parsed::headers(&inner)?;
        let message: MessageId = question.renamed.map_or_else(|| parsed.message_id()?.parse().ok(), Some)?;
        let asked = Asked::read(&inner, &question.sender);
        let answers = answers::plan(question.recipient.local(), asked.dispatched);
        Some((Read { sender: question.sender, recipient: question.recipient, message, signer }, answers))
    }

    async fn say(self: &Arc<Self>, read: &Arc<Read>, answer: Answer) -> Result<(), String> {
        let (desk, about) = (Arc::clone(self), Arc::clone(read));
        let written = tokio::task::spawn_blocking(move || desk.write(&about, answer)).await.map_err(|error| error.to_string())?;
        let (speaker, notice) = written?;
        let Some(post) = &self.post else { return Ok(()) };
        let job = Job::new(&speaker, &read.sender, &notice).map_err(|error| error.to_string())?.without_return_path();
        let (began, mut backoff) = (Instant::now(), Backoff::new(AGAIN, LONGEST_WAIT));
        loop {
            // A notice that arrives twice is the same notice.
            let outcome = post.send(&job, Login::Relay, async || GoAhead::Go).await;
            match outcome {
                Outcome::Accepted { .. } => return Ok(()),
                Outcome::Refused { .. } => return Err(outcome.why().to_owned()),
                _ if began.elapsed() > PATIENCE => return Err(outcome.why().to_owned()),
                _ => tokio::time::sleep(backoff.next(draw())).await,
            }
        }
    }

    fn write(&self, read: &Read, answer: Answer) -> Result<(DirectAddress, Vec<u8>), String> {
        let at = self.clock.now();
        let subject = Subject {
            recipient: &read.recipient,
            sender: &read.sender,
            message: &read.message,
            id: Uuid::now_v7(),
            date: at.utc(),
        };
        let text = answers::write(answer.says, answer.twist, &subject);
        let speaker = answers::speaker(answer.twist, &read.recipient);
        let notice = match &read.signer {
            Some(signer) if answer.twist != Twist::Clear => self.seal(&text, &speaker, answer.twist, signer, &read.sender)?,
            _ => text.clone().into_bytes(),
        };
        let arrival = Arrival {
            sender: None,
            recipient: &read.sender,
            door: if read.signer.is_some() { Door::Relay } else { Door::Edge },
            tls: None,
            message: &notice,
            opened: Ok(text.as_bytes()),
        };
        self.mailboxes.keep(arrival).map_err(|error| error.to_string())?;
        Ok((speaker, notice))
    }

    fn seal(
        &self,
        text: &str,
        speaker: &DirectAddress,
        twist: Twist,
        to: &Certificate,
        sender: &DirectAddress,
    ) -> Result<Vec<u8>, String> {
        let own = match twist {
            Twist::Stranger => Practice::stranger(speaker, &*self.clock),
            _ => self.practice.domain(&speaker.domain_key()),
        };
        let Own { certificate, key } = own.map_err(|error: PracticeError| error.to_string())?;
        let OwnKey::Memory(key) = key else { return Err("the practice keys are in memory".to_owned()) };
        let signer = KeySigner::new(certificate, Vec::new(), key).map_err(|error| error.to_string())?;
        let at = self.clock.now();
        let recipient = RecipientCertificate::checked(to.clone(), sender, at).map_err(|error| error.to_string())?;
        let inner = Inner::parse(text.as_bytes()).map_err(|error| error.to_string())?;
        let mut sealed = Vec::new();
        let with = Seal { signer: &signer, recipient: &recipient, profile: Profile::default(), at };
        Sealer::new().seal_inner(&inner, with, &mut sealed).map_err(|error| error.to_string())?;
        Ok(sealed)
    }
}

/// What is known of a message that was opened.
struct Read {
    sender: DirectAddress,
    recipient: DirectAddress,
    message: MessageId,
    /// The certificate it was signed with: what notices are sealed to. `None` at the edge.
    signer: Option<Certificate>,
}
