//! Whether what a notice says counts for a delivery: it must name our message and that recipient, and come from where it
//! must. Pure; what does not count is recorded with the doubt, and moves nothing.

use super::{About, Form};
use crate::domain::{DirectAddress, delivery::NoticeKind, id::IdentityId, inbound::Channel, organization::SendMode, words};

/// A message we sent, as far as believing needs it.
#[derive(Debug, Clone, Copy)]
pub struct Sent<'a> {
    /// Whom it was sent to.
    pub to: &'a DirectAddress,
    /// From which of our addresses; `None` when that is not on record.
    pub from: Option<&'a DirectAddress>,
    /// How.
    pub mode: SendMode,
    /// The relay that took it.
    pub relay: Option<&'a str>,
    /// Whether that relay may still hold it: it took it, and nobody further on has said anything.
    pub held_by_relay: bool,
}

/// Who vouches for a notice.
#[derive(Clone, Copy)]
pub enum Voucher<'a> {
    /// It was sealed for us and signed by a certificate we trust, which may speak for the addresses this says yes to.
    Signer(&'a (dyn Fn(&DirectAddress) -> bool + Sync)),
    /// It came in the clear.
    Clear {
        /// For which of our addresses.
        identity: &'a DirectAddress,
        /// That address's id.
        identity_id: IdentityId,
        /// The relay that address sends through.
        relay: Option<&'a str>,
        /// Who brought it.
        channel: &'a Channel,
    },
}

words! {
    /// Why a notice that names a message of ours does not count.
    pub enum Doubt {
        /// It names another recipient, or none.
        OtherRecipient = "other_recipient",
        /// Its signer may not speak for the recipient.
        NotBound = "not_bound",
        /// Anybody could have written it: it came in the clear, about a message that we sealed.
        Clear = "in_the_clear",
        /// It came in the clear over another way than the identity's own mailbox or relay link.
        OtherChannel = "other_channel",
        /// It came in the clear for another of our addresses than the message was sent from.
        OtherIdentity = "other_identity",
        /// A relay speaks of a message that it no longer holds, or never did.
        NotHeld = "not_held",
    }
}

impl Doubt {
    /// For people.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::OtherRecipient => "it does not name the recipient of that message",
            Self::NotBound => "its signer may not speak for the recipient or its domain",
            Self::Clear => "it is not signed, so anybody could have written it",
            Self::OtherChannel => "it is not signed and did not come over the mailbox or relay link of the sending address",
            Self::OtherIdentity => "it is not signed and came for another address than the message was sent from",
            Self::NotHeld => "the relay that brought it does not hold that message",
        }
    }
}

/// Whether `about`, said in a notice of `form` that `voucher` vouches for, counts for `sent`.
///
/// # Errors
/// The doubt.
pub fn believe(form: Form, about: &About, sent: &Sent<'_>, voucher: Voucher<'_>) -> Result<(), Doubt> {
    // Addresses are compared without regard to case.
    if !about.recipients.iter().any(|named| named.parse::<DirectAddress>().is_ok_and(|named| named == *sent.to)) {
        return Err(Doubt::OtherRecipient);
    }
    match (voucher, sent.mode) {
        // Where we seal, any trusted certificate bound to the recipient's address or domain speaks for it.
        (Voucher::Signer(bound), SendMode::StaRelay | SendMode::StaMx) => {
            if bound(sent.to) {
                Ok(())
            } else {
                Err(Doubt::NotBound)
            }
        }
        // We have no key there for anybody to seal to; whoever did is a stranger to this message.
        (Voucher::Signer(_), SendMode::Edge) => Err(Doubt::OtherChannel),
        (Voucher::Clear { channel: Channel::Relay(brought_by), .. }, SendMode::StaRelay) if form == Form::Dsn => {
            // Our own relay may say that it could not pass on what it holds, and nothing else.
            let its_own = sent.relay == Some(brought_by) && sent.held_by_relay && about.kind != Some(NoticeKind::Processed);
            if its_own { Ok(()) } else { Err(Doubt::NotHeld) }
        }
        (Voucher::Clear { .. }, SendMode::StaRelay | SendMode::StaMx) => Err(Doubt::Clear),
        (Voucher::Clear { identity, identity_id, relay, channel }, SendMode::Edge) => {
            let its_own = match channel {
                Channel::Mailbox(mailbox) => *mailbox == identity_id,
                Channel::Relay(brought_by) => relay == Some(brought_by),
                Channel::None => false,
            };
            if !its_own {
                return Err(Doubt::OtherChannel);
            }
            if sent.from.is_some_and(|from| from != identity) { Err(Doubt::OtherIdentity) } else { Ok(()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> DirectAddress {
        text.parse().unwrap()
    }

    fn about(kind: NoticeKind, recipients: &[&str]) -> About {
        About { kind: Some(kind), recipients: recipients.iter().map(|&text| text.to_owned()).collect(), ..About::default() }
    }

    /// A message from us@ to pcp@, and what is said of it.
    fn judge(mode: SendMode, form: Form, said: &About, voucher: Voucher<'_>, held_by_relay: bool) -> Result<(), Doubt> {
        let (to, from) = (address("pcp@direct.example.org"), address("us@direct.lab.example"));
        believe(form, said, &Sent { to: &to, from: Some(&from), mode, relay: Some("hisp-a"), held_by_relay }, voucher)
    }

    const STA: [SendMode; 2] = [SendMode::StaRelay, SendMode::StaMx];

    #[test]
    fn a_signer_counts_who_may_speak_for_the_recipient() {
        let said = about(NoticeKind::Processed, &["PCP@Direct.Example.ORG"]);
        for mode in STA {
            assert_eq!(judge(mode, Form::Mdn, &said, Voucher::Signer(&|_| true), false), Ok(()), "compared without case");
            assert_eq!(judge(mode, Form::Mdn, &said, Voucher::Signer(&|_| false), true), Err(Doubt::NotBound));
            let by_domain = |named: &DirectAddress| named.domain() == "direct.example.org";
            assert_eq!(judge(mode, Form::Mdn, &said, Voucher::Signer(&by_domain), false), Ok(()));
        }
        assert_eq!(judge(SendMode::Edge, Form::Mdn, &said, Voucher::Signer(&|_| true), true), Err(Doubt::OtherChannel));
    }

    #[test]
    fn a_notice_must_name_the_recipient() {
        for recipients in [&[][..], &["other@direct.example.org"], &["pcp"], &[""]] {
            let said = about(NoticeKind::Processed, recipients);
            let judged = judge(SendMode::StaRelay, Form::Mdn, &said, Voucher::Signer(&|_| true), true);
            assert_eq!(judged, Err(Doubt::OtherRecipient), "{recipients:?}");
        }
        // Passed on to another mailbox: the original recipient is named beside it.
        let said = about(NoticeKind::Failed, &["inbox7@direct.example.org", "pcp@direct.example.org"]);
        assert_eq!(judge(SendMode::StaRelay, Form::Dsn, &said, Voucher::Signer(&|_| true), false), Ok(()));
    }

    #[test]
    fn in_the_clear_only_our_own_relay_may_fail_what_it_holds() {
        let (identity, id) = (address("us@direct.lab.example"), IdentityId::new());
        let (ours, other, nobody, mailbox) =
            (Channel::Relay("hisp-a".into()), Channel::Relay("hisp-b".into()), Channel::None, Channel::Mailbox(id));
        let clear = |channel| Voucher::Clear { identity: &identity, identity_id: id, relay: Some("hisp-a"), channel };
        let failed = about(NoticeKind::Failed, &["pcp@direct.example.org"]);
        let relay = SendMode::StaRelay;
        assert_eq!(judge(relay, Form::Dsn, &failed, clear(&ours), true), Ok(()));
        assert_eq!(judge(relay, Form::Dsn, &failed, clear(&ours), false), Err(Doubt::NotHeld), "it passed it on");
        assert_eq!(judge(relay, Form::Dsn, &failed, clear(&other), true), Err(Doubt::NotHeld), "another relay");
        for channel in [&nobody, &mailbox] {
            assert_eq!(judge(relay, Form::Dsn, &failed, clear(channel), true), Err(Doubt::Clear));
        }
        assert_eq!(judge(relay, Form::Mdn, &failed, clear(&ours), true), Err(Doubt::Clear), "an MDN is the recipient's to sign");
        for channel in [&ours, &other, &nobody, &mailbox] {
            assert_eq!(judge(SendMode::StaMx, Form::Dsn, &failed, clear(channel), true), Err(Doubt::Clear), "there is no relay");
        }
    }

    #[test]
    fn in_edge_mode_the_mailbox_or_link_of_the_sending_address_vouches() {
        let (us, id) = (address("us@direct.lab.example"), IdentityId::new());
        let other = address("other@direct.lab.example");
        let said = about(NoticeKind::Dispatched, &["pcp@direct.example.org"]);
        let judge = |identity, channel: &Channel| {
            let voucher = Voucher::Clear { identity, identity_id: id, relay: Some("hisp-a"), channel };
            judge(SendMode::Edge, Form::Mdn, &said, voucher, false)
        };
        assert_eq!(judge(&us, &Channel::Mailbox(id)), Ok(()));
        assert_eq!(judge(&us, &Channel::Relay("hisp-a".into())), Ok(()));
        assert_eq!(judge(&us, &Channel::Mailbox(IdentityId::new())), Err(Doubt::OtherChannel));
        assert_eq!(judge(&us, &Channel::Relay("hisp-b".into())), Err(Doubt::OtherChannel));
        assert_eq!(judge(&us, &Channel::None), Err(Doubt::OtherChannel));
        assert_eq!(judge(&other, &Channel::Mailbox(id)), Err(Doubt::OtherIdentity));
    }
}
