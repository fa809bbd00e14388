//! Every reason code: its class, what it means and what to do next. `docs/reasons.md` is generated from this table.

use super::words;

/// What a failure says about trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Nothing left the process, or the other side said "later": trying again is safe.
    Retry,
    /// Trying again changes nothing until somebody acts.
    Permanent,
    /// It may have arrived. Never tried again blindly.
    Unknown,
}

words! {
    /// Why something is waiting, held, refused or failed. [`Reason::meaning`] and [`Reason::remedy`] document each.
    #[expect(missing_docs, reason = "each variant is documented, for people too, by `meaning` and `remedy`")]
    pub enum Reason {
        NoTarget = "no_target",
        NoAddress = "no_address",
        Ambiguous = "ambiguous",
        Suppressed = "suppressed",
        DomainNotAllowed = "domain_not_allowed",
        PcpOverlap = "pcp_overlap",
        NoPcp = "no_pcp",
        RosterMismatch = "roster_mismatch",
        FormerRecipient = "former_recipient",
        Dismissed = "dismissed",
        NpiInvalid = "npi_invalid",
        NpiInactive = "npi_inactive",
        NpiUnknown = "npi_unknown",
        AddressInvalid = "address_invalid",
        DirectoryUnavailable = "directory_unavailable",
        DoNotDeliver = "do_not_deliver",
        PcpDeliveryOff = "pcp_delivery_off",
        Preliminary = "preliminary",
        TestMode = "test_mode",
        TestAddress = "test_address",
        WaitingForOrder = "waiting_for_order",
        DocumentUnavailable = "document_unavailable",
        NoIdentity = "no_identity",
        NoCert = "no_cert",
        Untrusted = "untrusted",
        Revoked = "revoked",
        ExpiredCert = "expired_cert",
        NotBound = "not_bound",
        KeyUsage = "key_usage",
        KeyAlgorithm = "key_algorithm",
        WeakAlgorithm = "weak_algorithm",
        TrustUnavailable = "trust_unavailable",
        Rejected5xx = "rejected_5xx",
        RetriesExhausted = "retries_exhausted",
        TooLarge = "too_large",
        RelayDown = "relay_down",
        UnconfirmedSend = "unconfirmed_send",
        NoProcessed = "no_processed",
        NoDispatched = "no_dispatched",
        RemoteFailed = "remote_failed",
        Superseded = "superseded",
        Cancelled = "cancelled",
        Undecryptable = "undecryptable",
        NotSigned = "not_signed",
        BadSignature = "bad_signature",
        WrongOrder = "wrong_order",
        HeaderMismatch = "header_mismatch",
        NotAddressed = "not_addressed",
        Malformed = "malformed",
    }
}

impl Reason {
    /// Whether trying again can help.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::DirectoryUnavailable | Self::WaitingForOrder | Self::TrustUnavailable | Self::RelayDown => Class::Retry,
            Self::UnconfirmedSend => Class::Unknown,
            _ => Class::Permanent,
        }
    }

    /// What it means, in one sentence.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::NoTarget => "no rule gave an address for this result",
            Self::NoAddress => "the directory knows the NPI but has no Direct address for it",
            Self::Ambiguous => "the directory has addresses at several organizations for the NPI and nothing says which is meant",
            Self::Suppressed => "the organization has said that the address, its domain or the NPI is not to be used",
            Self::DomainNotAllowed => "the address is outside the domains the organization allows",
            Self::PcpOverlap => "the payer's roster has several primary care providers for the member on that day",
            Self::NoPcp => "the payer's roster has no primary care provider for the member on that day",
            Self::RosterMismatch => "the member has another date of birth on the payer's roster than on the order",
            Self::FormerRecipient => "got the version that is corrected, and is no longer on the route",
            Self::Dismissed => "a person decided that it is not to be delivered",
            Self::NpiInvalid => "the NPI on the order is not a valid NPI",
            Self::NpiInactive => "the NPI has been deactivated",
            Self::NpiUnknown => "the NPI is not in the directory",
            Self::AddressInvalid => "the address on the order is not a valid Direct address",
            Self::DirectoryUnavailable => "the directory could not answer",
            Self::DoNotDeliver => "the order asks that its results not be delivered",
            Self::PcpDeliveryOff => "the organization has switched delivery to primary care providers off",
            Self::Preliminary => "the result is preliminary and the organization sends only finished ones",
            Self::TestMode => "the organization or site is in test mode and the address is outside the test domains",
            Self::TestAddress => "the address is in a test domain and the organization is in production",
            Self::WaitingForOrder => "the order this result belongs to has not arrived",
            Self::DocumentUnavailable => "the stored PDF is missing or does not match its fingerprint",
            Self::NoIdentity => {
                "there is no Direct address to send from, or its relay, key or password is missing or cannot be used"
            }
            Self::NoCert => "no certificate was found for the address or its domain",
            Self::Untrusted => "the certificate does not lead to a trust anchor of the organization",
            Self::Revoked => "the certificate has been revoked",
            Self::ExpiredCert => "the certificate is expired or not yet valid",
            Self::NotBound => "the certificate names neither the address nor its domain",
            Self::KeyUsage => "the certificate may not be used for this purpose",
            Self::KeyAlgorithm => "the certificate's key is too weak or of a kind not allowed",
            Self::WeakAlgorithm => "a digest or cipher that is no longer allowed was used",
            Self::TrustUnavailable => "trust could not be checked because a source did not answer",
            Self::Rejected5xx => "the receiving server refused the message for good",
            Self::RetriesExhausted => "the message could not be handed over in the time allowed",
            Self::TooLarge => "the message is larger than the receiving server or the limit allows",
            Self::RelayDown => "the relay cannot be reached",
            Self::UnconfirmedSend => "the message may have been handed over, but no answer came back",
            Self::NoProcessed => "the receiving side never said that it opened the message",
            Self::NoDispatched => "the receiving side never said that the message reached its final place",
            Self::RemoteFailed => "the receiving side says that it could not deliver the message",
            Self::Superseded => "a newer version of the result took its place before it was sent",
            Self::Cancelled => "it was cancelled before it was sent",
            Self::Undecryptable => "the message could not be opened with this key",
            Self::NotSigned => "the message is not signed",
            Self::BadSignature => "the signature does not match the content",
            Self::WrongOrder => "the message was encrypted before it was signed",
            Self::HeaderMismatch => "the outer headers do not agree with the protected ones",
            Self::NotAddressed => "the message is not addressed to the recipient it was opened for",
            Self::Malformed => "the message or certificate cannot be read",
        }
    }

    /// What to do next, in one sentence.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::NoTarget => "add an address to the order, or configure one for the site or organization",
            Self::NoAddress | Self::NpiUnknown => "ask the practice for its Direct address, or load a newer directory",
            Self::Ambiguous => "pin the right address for this NPI",
            Self::Suppressed => "name another address, or lift the suppression (`postern directory pins` shows it)",
            Self::DomainNotAllowed => "add the domain to [choice] allowed_domains if it is right, or name another address",
            Self::PcpOverlap => "have the payer correct the roster and import it, or name the address on the worklist",
            Self::NoPcp => "have the payer correct the roster, or put the provider on the order",
            Self::RosterMismatch => "find out who is meant; correct the order or the roster",
            Self::FormerRecipient => "send it there too (--address), or leave it out (--dismiss), on the worklist",
            Self::Dismissed => "nothing; a change of the order, or `postern worklist resolve ID --reroute`, takes it up again",
            Self::NpiInvalid | Self::AddressInvalid => "correct the order and send it again as a change",
            Self::NpiInactive => "find the provider who took over and correct the order",
            Self::DirectoryUnavailable => "nothing: it is tried again; if it lasts, load a fresh directory",
            Self::DoNotDeliver => "send a change of the order when delivery is wanted",
            Self::PcpDeliveryOff => "set pcp_delivery = true in the organization's file if it should be on",
            Self::Preliminary => "nothing: the final result will be sent",
            Self::TestMode => "use an address in a test domain, or set the organization to production",
            Self::TestAddress => "correct the address, or set the organization to test mode",
            Self::WaitingForOrder => "nothing: it goes on when the order arrives; if it is held, send the order",
            Self::DocumentUnavailable => "restore the file store from backup, or send the result again",
            Self::NoIdentity => {
                "see the delivery's history; put an [[identity]] into the organization's file, or one for all into the configuration"
            }
            Self::NoCert => "check that this is a Direct address; import the certificate if the peer gave it to you",
            Self::Untrusted => "add the peer's anchor if your policy allows, or ask the peer which community it belongs to",
            Self::Revoked | Self::ExpiredCert | Self::NotBound | Self::KeyUsage | Self::KeyAlgorithm => {
                "ask the recipient's HISP to publish a valid certificate"
            }
            Self::WeakAlgorithm => "ask the sender to use SHA-256 and AES",
            Self::TrustUnavailable => "nothing: it is tried again for 24 hours; check DNS and the network with `postern doctor`",
            Self::Rejected5xx => "read the server's reply; correct the address or talk to the relay's operator, then retry",
            Self::RetriesExhausted => "check the relay, then retry the delivery",
            Self::TooLarge => "ask the recipient for another way, or make the PDF smaller",
            Self::RelayDown => "nothing: it is tried again; check the relay if it lasts",
            Self::UnconfirmedSend => "ask the recipient whether it arrived; then retry it, or cancel it to close it",
            Self::NoProcessed | Self::NoDispatched | Self::RemoteFailed => {
                "contact the recipient's practice, or send another way"
            }
            Self::Superseded | Self::Cancelled => "nothing",
            Self::Undecryptable => "check that the certificate and key are those the sender encrypted to",
            Self::NotSigned
            | Self::BadSignature
            | Self::WrongOrder
            | Self::HeaderMismatch
            | Self::NotAddressed
            | Self::Malformed => "do not use the message; ask the sender to send it again",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_words_for_people() {
        for reason in Reason::ALL {
            assert!(!reason.meaning().is_empty() && !reason.remedy().is_empty(), "{reason}");
            assert!(reason.as_str().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{reason}");
            assert_eq!(reason.as_str().parse::<Reason>().as_ref(), Ok(reason));
        }
    }
}
