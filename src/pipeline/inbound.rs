//! One message that came in, from claim to its verdict: opened, believed or not, and acted upon in one transaction.
//!
//! Whoever sent it learns nothing from us unless it was opened and trusted: what is rejected is rejected in silence.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;

use super::{Gateway, backoff};
use crate::{
    crypto::Hex,
    domain::{
        DeliveryId, DirectAddress, Inbound, MessageId, OrgId, OrgScope, Reason, Timestamp,
        delivery::{Disposition, Effect, Event, NoticeKind, State},
        inbound::{Channel, NoticeVerdict, Verdict, Way},
        order::Priority,
        organization::SendMode,
    },
    observe::{
        chain,
        defect::{DEFECT, contained},
        events,
        facts::Configured,
        failpoint, metrics,
    },
    seal::{self, Verified},
    store::{
        StoreError,
        inbound::{ClaimedMail, NOBODY_VOUCHES, Settlement},
        letter::{NewLetter, Owed},
        notice::{JudgedNotice, Outcome, SentMessage, Statement},
        organization::{Identity, Organization},
    },
    track::{About, Notice, Sent, Voucher, believe, reply::Asked},
    trust::{Certificate, checks},
};

/// A message that could not be looked at so often is left to a person.
const MOST_ATTEMPTS: u32 = 20;
/// Trust that cannot be checked is tried for this long.
const TRUST_PATIENCE: Duration = Duration::from_hours(24);

/// Why a message was not dealt with.
enum Trouble {
    /// It is tried again.
    Later(String),
    /// Somebody else has it now.
    Lost,
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Lost => Self::Lost,
            other => Self::Later(chain(&other).clone()),
        }
    }
}

impl Gateway {
    /// Looks at what came in. Returns how many messages that were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn take_due_mail(self: &Arc<Self>) -> Result<usize, StoreError> {
        let claimed = self.store.claim_inbound(&self.fresh_lease(), self.settings.track.batch).await?;
        let count = claimed.len();
        join_all(claimed.into_iter().map(|claimed| self.take_mail(claimed))).await;
        Ok(count)
    }

    async fn take_mail(self: &Arc<Self>, claimed: ClaimedMail) {
        let (id, owner) = (claimed.mail.id, claimed.owner);
        // A stranger chose every octet of it. Left as it is its lease would be renewed with the others for ever.
        let looked_at = contained(self.look_at(&claimed)).await.unwrap_or_else(|| Err(Trouble::Later(DEFECT.to_owned())));
        let Err(Trouble::Later(why)) = looked_at else { return };
        let ended = if claimed.attempts + 1 >= MOST_ATTEMPTS {
            events::MailFailed { inbound: id }.emit();
            self.store.settle_inbound(&settlement(&claimed, Verdict::Failed, Some(why))).await
        } else {
            tracing::warn!(inbound = %id, why, "a message that came in could not be looked at; it is tried again");
            let now = self.store.now().await.unwrap_or_else(|_| self.clock.now());
            let wait = backoff::after(&self.settings.worker, claimed.attempts, Priority::Urgent);
            self.store.put_inbound_back(id, owner, now.plus(wait)).await
        };
        if let Err(error) = ended {
            // Its lease runs out by itself.
            tracing::warn!(inbound = %id, error = chain(&error), "a message that came in could not be put back");
        }
    }

    async fn look_at(self: &Arc<Self>, claimed: &ClaimedMail) -> Result<(), Trouble> {
        failpoint::reach("inbound_claimed");
        let mail = &claimed.mail;
        let Some(org) = mail.org else { return self.look_for_whose(claimed).await };
        let organization = self.organization(org).await?;
        let Some(identity) =
            organization.identities.iter().chain(&organization.installation).find(|identity| identity.address == mail.identity)
        else {
            return self.end(claimed, Verdict::Nobody, Some("the organization has no such address any more".into())).await;
        };
        self.look_as(claimed, &organization, identity).await
    }

    /// As the mail of this organization, for this of the addresses it sends from.
    async fn look_as(
        self: &Arc<Self>,
        claimed: &ClaimedMail,
        organization: &Arc<Organization>,
        identity: &Identity,
    ) -> Result<(), Trouble> {
        let mail = &claimed.mail;
        if identity.mode == SendMode::Edge {
            return self.look_at_clear(claimed, organization, identity).await;
        }
        match self.open_mail(claimed, organization, identity).await? {
            Ok(verified) => self.look_at_opened(claimed, organization, &verified).await,
            Err(error) => {
                if let Some(notice) = Notice::read(&mail.raw) {
                    return self.take_clear_notice(claimed, organization, identity, &notice).await;
                }
                self.reject(claimed, error.reason(), error.to_string()).await
            }
        }
    }

    /// A letter to an address that serves several organizations is its whose delivery it answers; one that answers none of
    /// theirs is nobody's, lest a customer read what was meant for another.
    async fn is_ours(&self, claimed: &ClaimedMail, answers: Option<DeliveryId>) -> Result<bool, Trouble> {
        if answers.is_some() {
            return Ok(true);
        }
        let installation = usize::from(self.post.own_at(&claimed.mail.identity).is_some());
        Ok(self.store.addressees(&claimed.mail.identity).await?.len() + installation == 1)
    }

    async fn look_at_opened(
        &self,
        claimed: &ClaimedMail,
        organization: &Organization,
        verified: &Verified,
    ) -> Result<(), Trouble> {
        let source = format!("signer {}", Hex(&verified.signer().fingerprint()));
        // The organization trusts its signer, which is bound to the domain: what it has shown is learnt, by it alone.
        self.store.learn(organization.id, &verified.from().domain_key(), seal::shown(verified)).await?;
        if let Some(notice) = Notice::read(verified.inner()) {
            let signer: &Certificate = verified.signer();
            let bound = |address: &DirectAddress| checks::bound(signer, address).is_ok();
            return self.take_notice(claimed, organization, &notice, Voucher::Signer(&bound), source).await;
        }
        let asked = Asked::read(verified.inner(), verified.from());
        // A null reverse path is a machine's (RFC 5321 4.5.5): answering it would make two machines thank each other for ever.
        let machine = claimed.mail.way == Way::Smtp && claimed.mail.envelope_from.is_none();
        let until = self.clock.now().plus(self.settings.track.reply_for.0);
        let kinds = [(NoticeKind::Processed, true), (NoticeKind::Dispatched, asked.dispatched)];
        let owed = kinds.into_iter().filter(|(_, owed)| *owed && !machine);
        let headers = verified.headers();
        let answered: Vec<MessageId> = headers.in_reply_to.iter().chain(&headers.references).cloned().collect();
        let letter = NewLetter {
            org: organization.id,
            settlement: settlement(claimed, Verdict::Letter, None),
            identity: claimed.mail.identity.clone(),
            sender: verified.from().clone(),
            message_id: verified.message_id().cloned(),
            answers: self.answered(organization, &answered).await?,
            source,
            inner: verified.inner().to_vec(),
            received_at: claimed.mail.received_at,
            owed: owed.map(|(kind, _)| Owed { kind, to: asked.to.clone(), until }).collect(),
        };
        if !self.is_ours(claimed, letter.answers).await? {
            let why = "the address serves several organizations, and it answers nothing that this one sent";
            return self.end(claimed, Verdict::Nobody, Some(why.into())).await;
        }
        self.take_letter(&letter).await
    }

    /// In edge mode the HISP has opened and judged it; who brought it is all there is to go by.
    async fn look_at_clear(
        &self,
        claimed: &ClaimedMail,
        organization: &Organization,
        identity: &Identity,
    ) -> Result<(), Trouble> {
        let mail = &claimed.mail;
        if let Some(notice) = Notice::read(&mail.raw) {
            return self.take_clear_notice(claimed, organization, identity, &notice).await;
        }
        let authenticated = match &mail.channel {
            Channel::Mailbox(mailbox) => *mailbox == identity.id,
            Channel::Relay(name) => identity.relay.as_deref() == Some(name),
            Channel::None => false,
        };
        if !authenticated {
            return self.reject(claimed, Reason::NotSigned, "anybody could have brought it".into()).await;
        }
        let Some(headers) = clear::Headers::read(&mail.raw) else {
            return self.reject(claimed, Reason::Malformed, "it has no sender that can be read".into()).await;
        };
        if headers.from == identity.address {
            // Our own message, as the HISP keeps it: by which id it knows it.
            if let (Some(ours), Some(theirs)) = (&headers.mark, &headers.message_id) {
                for sent in self.store.sent_messages(organization.id, std::slice::from_ref(ours)).await? {
                    self.store.learn_alias(organization.id, sent.id, theirs).await?;
                }
            }
            return self.end(claimed, Verdict::OwnCopy, None).await;
        }
        let letter = NewLetter {
            org: organization.id,
            settlement: settlement(claimed, Verdict::Letter, None),
            identity: mail.identity.clone(),
            sender: headers.from,
            message_id: headers.message_id,
            answers: self.answered(organization, &headers.answers).await?,
            source: channel_words(&mail.channel),
            inner: mail.raw.clone(),
            received_at: mail.received_at,
            // The notices are the HISP's to send.
            owed: Vec::new(),
        };
        if !self.is_ours(claimed, letter.answers).await? {
            let why = "the address serves several organizations, and it answers nothing that this one sent";
            return self.end(claimed, Verdict::Nobody, Some(why.into())).await;
        }
        self.take_letter(&letter).await
    }

    async fn take_clear_notice(
        &self,
        claimed: &ClaimedMail,
        organization: &Organization,
        identity: &Identity,
        notice: &Notice,
    ) -> Result<(), Trouble> {
        let voucher = Voucher::Clear {
            identity: &identity.address,
            identity_id: identity.id,
            relay: identity.relay.as_deref(),
            channel: &claimed.mail.channel,
        };
        self.take_notice(claimed, organization, notice, voucher, channel_words(&claimed.mail.channel)).await
    }

    async fn take_notice(
        &self,
        claimed: &ClaimedMail,
        organization: &Organization,
        notice: &Notice,
        voucher: Voucher<'_>,
        source: String,
    ) -> Result<(), Trouble> {
        let (mut statements, mut sent) = (Vec::with_capacity(notice.about.len()), Vec::with_capacity(notice.about.len()));
        for about in &notice.about {
            let (statement, message) = self.statement(organization, notice, about, voucher, &source).await?;
            statements.push(statement);
            sent.push(message);
        }
        let detail = match voucher {
            Voucher::Clear { channel: Channel::None, .. } => Some(NOBODY_VOUCHES.to_owned()),
            _ => notice.about.is_empty().then(|| "it says nothing".to_owned()),
        };
        let judged = JudgedNotice {
            org: organization.id,
            settlement: settlement(claimed, Verdict::Notice, detail),
            received_at: claimed.mail.received_at,
            form: notice.form.as_str(),
            source,
            statements,
        };
        failpoint::reach("notice_before_commit");
        let outcomes = self.store.take_notice(&judged).await?;
        failpoint::reach("notice_after_commit");
        let (org, inbound) = (organization.id, claimed.mail.id);
        for (outcome, sent) in outcomes.into_iter().zip(sent) {
            count(&outcome, sent.as_ref(), claimed.mail.received_at);
            if let (Some(NoticeKind::Failed), Some(delivery)) = (outcome.kind, outcome.about)
                && matches!(outcome.verdict, NoticeVerdict::Applied | NoticeVerdict::Early)
            {
                self.forget_certificate_of(org, delivery).await;
            }
            match (outcome.verdict, outcome.about, outcome.kind) {
                (NoticeVerdict::Applied | NoticeVerdict::Early, Some(delivery), Some(kind)) => {
                    events::NoticeApplied { org, delivery, kind }.emit();
                }
                (verdict, delivery, _) => events::NoticeIgnored { org, inbound, delivery, verdict }.emit(),
            }
            if let Some(delivery) = outcome.about {
                if outcome.effects.contains(&Effect::Charge) {
                    events::ChargeMade { org, delivery }.emit();
                }
                if outcome.effects.contains(&Effect::Credit) {
                    events::CreditMade { org, delivery }.emit();
                }
            }
        }
        Ok(())
    }

    /// What one statement is about, and whether it counts.
    async fn statement(
        &self,
        organization: &Organization,
        notice: &Notice,
        about: &About,
        voucher: Voucher<'_>,
        source: &str,
    ) -> Result<(Statement, Option<SentMessage>), StoreError> {
        let mut statement = Statement {
            kind: about.kind,
            stated: about.stated.clone(),
            original_message_id: about.message_ids.first().map(ToString::to_string),
            final_recipient: about.recipients.first().cloned(),
            status: about.status.clone(),
            cause: about.cause.clone(),
            about: None,
            doubt: None,
            change: None,
            credit: false,
        };
        for message in self.store.sent_messages(organization.id, &about.message_ids).await? {
            let mode = message.mode.unwrap_or(SendMode::StaRelay);
            let sent = Sent {
                to: &message.to,
                from: message.from.as_ref(),
                mode,
                relay: message.relay.as_deref(),
                held_by_relay: matches!(message.state, State::Accepted | State::OnWire | State::Unknown)
                    && matches!(message.disposition, None | Some(Disposition::Awaited)),
            };
            match believe(notice.form, about, &sent, voucher) {
                Ok(()) => {
                    statement.about = Some(message.id);
                    statement.doubt = None;
                    statement.change = about.kind.map(|kind| {
                        let mut change = Self::notice_move(organization, &message, mode, Event::Notice(kind));
                        change.note = Some(match &about.cause {
                            Some(cause) => format!("{kind}, said by {source}: {cause}"),
                            None => format!("{kind}, said by {source}"),
                        });
                        change
                    });
                    // Without a price list the rule is the usual one; only a failure is ever given back.
                    let trust = about.trust_failure().is_some();
                    let failed = about.kind == Some(NoticeKind::Failed);
                    statement.credit = organization.file.price.as_ref().map_or(trust, |price| failed && price.credits(trust));
                    return Ok((statement, Some(message)));
                }
                Err(doubt) => {
                    statement.about = statement.about.or(Some(message.id));
                    statement.doubt = statement.doubt.or_else(|| Some(doubt.meaning().to_owned()));
                }
            }
        }
        Ok((statement, None))
    }

    /// The receiving side could not take what was sealed for it: its certificate may have been replaced.
    async fn forget_certificate_of(&self, org: OrgId, delivery: DeliveryId) {
        match self.store.delivery_view(OrgScope::One(org), delivery).await {
            Ok(view) => {
                if let Some(address) = view.and_then(|(view, _)| view.address.parse().ok()) {
                    self.forget_recipient(&address).await;
                }
            }
            Err(error) => {
                tracing::warn!(%delivery, error = chain(&error), "what was found for a recipient could not be forgotten");
            }
        }
    }

    async fn take_letter(&self, letter: &NewLetter) -> Result<(), Trouble> {
        failpoint::reach("notice_before_commit");
        if let Some(id) = self.store.take_letter(letter).await? {
            events::LetterReceived { org: letter.org, letter: id }.emit();
        }
        failpoint::reach("notice_after_commit");
        Ok(())
    }

    /// The delivery a letter answers, when it names one.
    async fn answered(&self, organization: &Organization, ids: &[MessageId]) -> Result<Option<DeliveryId>, StoreError> {
        let sent = self.store.sent_messages(organization.id, ids.get(..ids.len().min(10)).unwrap_or_default()).await?;
        Ok(sent.first().map(|sent| sent.id))
    }

    async fn reject(&self, claimed: &ClaimedMail, reason: Reason, why: String) -> Result<(), Trouble> {
        self.end(claimed, Verdict::Rejected, Some(format!("{reason}: {why}"))).await?;
        events::MailRejected { inbound: claimed.mail.id, reason }.emit();
        Ok(())
    }

    async fn end(&self, claimed: &ClaimedMail, verdict: Verdict, detail: Option<String>) -> Result<(), Trouble> {
        Ok(self.store.settle_inbound(&settlement(claimed, verdict, detail)).await?)
    }

    /// The id a HISP gave our message, when its answer to the final dot says so.
    pub(super) async fn learn_from_reply(&self, work: &crate::store::delivery::Work, reply: &str) {
        for id in clear::ids_in(reply).filter(|id| *id != work.message_id) {
            if let Err(error) = self.store.learn_alias(work.org, work.id, &id).await {
                tracing::warn!(delivery = %work.id, error = chain(&error), "the id a HISP gave a message could not be kept");
            }
        }
    }
}

fn settlement(claimed: &ClaimedMail, verdict: Verdict, detail: Option<String>) -> Settlement {
    let mail: &Inbound = &claimed.mail;
    // What is kept about a message for good never quotes more of it than a line.
    let detail = detail.map(|text| text.chars().filter(|c| !c.is_control()).take(300).collect());
    Settlement { id: mail.id, owner: claimed.owner, verdict, detail }
}

/// Counts what a notice led to, and how long it took to come: by the way the message left, never by its recipient.
fn count(outcome: &Outcome, sent: Option<&SentMessage>, received_at: Timestamp) {
    if let (NoticeVerdict::Applied | NoticeVerdict::Late, Some(kind), Some(sent)) = (outcome.verdict, outcome.kind, sent)
        && let Some(accepted_at) = sent.accepted_at
    {
        metrics::notice_came(Configured(sent.relay.as_deref().unwrap_or("mx")), kind, received_at.since(accepted_at));
    }
    if let Some((disposition, reason)) = outcome.ended {
        metrics::delivery_ended(disposition, reason);
    }
}

fn channel_words(channel: &Channel) -> String {
    match channel {
        Channel::Relay(name) => format!("relay {name}"),
        Channel::Mailbox(_) => "the address's own mailbox".to_owned(),
        Channel::None => "nobody".to_owned(),
    }
}

/// Reading mail that came in the clear.
mod clear;
mod opening;
mod shared;
