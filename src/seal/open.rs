//! Opening what came: decrypt, verify, unwrap. Strict, in this order, and nothing is handed out before all of it holds.

use super::{
    Decrypted, OpenError, Outer, Own, ber, decrypt,
    entity::{Entity, Kind},
    oid,
    outer::canonical,
    verify::{Signed, Vouched},
};
use crate::{
    crypto::der::{Node, ObjectIdentifier, Tag, explicit},
    domain::{DirectAddress, MessageId, Timestamp, profile::Shown},
    trust::{
        self, Certificate, Policy, TrustError,
        checks::{self, Purpose},
    },
};

/// With what a message is opened.
#[derive(Clone, Copy)]
pub struct Opening<'a> {
    /// Our certificates and keys.
    pub own: &'a [Own],
    /// Whom to believe.
    pub policy: Policy<'a>,
    /// When.
    pub at: Timestamp,
    /// For whom the message was received (RCPT TO); without it, one of our certificates must be bound to a recipient.
    pub rcpt: Option<&'a DirectAddress>,
}

/// A message whose encryption was ours, whose signature verified, whose signer is trusted and bound to its sender, and
/// whose headers agree. There is no other way to one than [`open`].
#[derive(Debug, Clone)]
pub struct Verified {
    inner: Vec<u8>,
    headers: Outer,
    signer: Certificate,
    shown: Shown,
    wrapped: bool,
}

impl Verified {
    /// The inner message.
    #[must_use]
    pub fn inner(&self) -> &[u8] {
        &self.inner
    }

    /// Its sender, to whom the signer's certificate is bound.
    #[must_use]
    pub const fn from(&self) -> &DirectAddress {
        &self.headers.from
    }

    /// Its id.
    #[must_use]
    pub const fn message_id(&self) -> Option<&MessageId> {
        self.headers.message_id.as_ref()
    }

    /// Its headers, as far as they are repeated outside.
    #[must_use]
    pub const fn headers(&self) -> &Outer {
        &self.headers
    }

    /// The certificate that signed it.
    #[must_use]
    pub const fn signer(&self) -> &Certificate {
        &self.signer
    }

    /// What its sender has shown it understands, see [`super::shown`].
    #[must_use]
    pub const fn shown(&self) -> Shown {
        self.shown
    }

    /// Whether its headers were protected (`message/rfc822`); required of senders since 2021.
    #[must_use]
    pub const fn is_wrapped(&self) -> bool {
        self.wrapped
    }
}

/// Opens a sealed Direct message.
///
/// # Errors
/// [`OpenError::reason`] is what a verdict says. Every failure to decrypt is the same failure.
pub fn open(message: &[u8], opening: Opening<'_>) -> Result<Verified, OpenError> {
    let outside = Entity::read(message).ok_or(OpenError::Malformed("it has no header block"))?;
    let decrypted = uncover(&outside, opening.own)?;
    let (content, signers) = verify(&decrypted, opening)?;
    let (inner, wrapped) = unwrap(&outside, &content)?;
    let headers = read_headers(&inner)?;
    agree(&outside, &headers)?;
    addressed(&headers, opening)?;
    let mut unbound = None;
    for signer in signers {
        match checks::bound(&signer.certificate, &headers.from) {
            Ok(()) => {
                let shown = decrypted.shown.and(signer.shown);
                return Ok(Verified { inner, headers, signer: signer.certificate, shown, wrapped });
            }
            Err(error) => unbound = unbound.or(Some(error)),
        }
    }
    Err(unbound.map_or(OpenError::NotSigned, OpenError::Trust))
}

/// The message that was signed, and whether its headers were protected.
fn unwrap(outside: &Entity<'_>, content: &[u8]) -> Result<(Vec<u8>, bool), OpenError> {
    let part = Entity::read(content).ok_or(OpenError::Malformed("the signed part has no header block"))?;
    if part.kind() == Kind::Wrapped {
        let inner = part.decoded().ok_or(OpenError::Malformed("the wrapped message has a broken transfer encoding"))?;
        return Ok((inner, true));
    }
    Ok((under_outer_headers(outside, &part), false))
}

/// The outermost layer: it must be an envelope, and one of our keys must open it.
fn uncover(outside: &Entity<'_>, own: &[Own]) -> Result<Decrypted, OpenError> {
    match outside.kind() {
        Kind::Cms => {
            let der = outside.decoded().as_deref().and_then(ber::to_der).ok_or(OpenError::Undecryptable)?;
            let (kind, content) = content_info(&der).ok_or(OpenError::Undecryptable)?;
            match kind {
                oid::ENVELOPED_DATA | oid::AUTH_ENVELOPED_DATA => decrypt::open(kind, content, own),
                oid::SIGNED_DATA => Err(signed_outside(Signed::read(content).and_then(|signed| signed.content))),
                _ => Err(OpenError::Undecryptable),
            }
        }
        Kind::Signed => Err(signed_outside(outside.signed_parts().map(|(content, _)| content))),
        Kind::Wrapped | Kind::Other => Err(OpenError::NotSigned),
    }
}

/// A signature outside the encryption is not a Direct message; without any encryption it is not one either.
fn signed_outside(content: Option<&[u8]>) -> OpenError {
    match content.and_then(Entity::read).map(|entity| entity.kind()) {
        Some(Kind::Cms) => OpenError::WrongOrder,
        _ => OpenError::Undecryptable,
    }
}

/// Type and content of a ContentInfo.
pub(super) fn content_info(der: &[u8]) -> Option<(ObjectIdentifier, Node<'_>)> {
    let whole = Node::only(der).ok().filter(|node| node.tag == Tag::Sequence)?;
    let mut members = whole.members();
    let kind = members.any().ok()?.oid().ok()?;
    let content = Node::only(members.expect(explicit(0)).ok()?.value).ok()?;
    members.is_empty().then_some((kind, content))
}

/// The certificates that signed a message, not verified, and the others it carries: what `trust::Inquirer::gather` is to
/// ask about before [`open`] can judge.
#[derive(Debug, Clone, Default)]
pub struct Presented {
    /// Of those who are said to have signed it.
    pub signers: Vec<Certificate>,
    /// All that it carries.
    pub carried: Vec<Certificate>,
}

/// Decrypts a message and looks who says to have signed it; nothing is believed, and nothing of its content is shown.
/// `known` are certificates a signer may be among when the message does not carry it.
///
/// # Errors
/// As [`open`], as far as it has to look.
pub fn presented(message: &[u8], own: &[Own], known: &[Certificate]) -> Result<Presented, OpenError> {
    let outside = Entity::read(message).ok_or(OpenError::Malformed("it has no header block"))?;
    let decrypted = uncover(&outside, own)?;
    let (_, der) = signed_data(&decrypted)?;
    let signed = signed(&der)?;
    Ok(Presented { signers: signed.named(known), carried: signed.certificates })
}

/// What a message says inside, decrypted and **not verified**: nobody's word. Good for finding out whose affair it is, which
/// then opens it by its own rules, and for nothing else.
///
/// # Errors
/// As [`open`], as far as it has to look.
pub fn unproven(message: &[u8], own: &[Own]) -> Result<Vec<u8>, OpenError> {
    let outside = Entity::read(message).ok_or(OpenError::Malformed("it has no header block"))?;
    let decrypted = uncover(&outside, own)?;
    let (detached, der) = signed_data(&decrypted)?;
    let covered = detached.map_or_else(|| signed(&der).map(|signed| signed.content), |content| Ok(Some(content)))?;
    let covered = covered.ok_or(OpenError::Malformed("the signed content is missing or there twice"))?;
    Ok(unwrap(&outside, covered)?.0)
}

/// The detached content, when there is one, and the SignedData in DER.
fn signed_data(decrypted: &Decrypted) -> Result<(Option<&[u8]>, Vec<u8>), OpenError> {
    // Garbage out of a wrong key is a failure to decrypt like any other.
    let entity = Entity::read(&decrypted.plain).ok_or(OpenError::Undecryptable)?;
    let (detached, der) = match entity.kind() {
        Kind::Signed => {
            let (content, signature) =
                entity.signed_parts().ok_or(OpenError::Malformed("the signed parts cannot be told apart"))?;
            let signature = Entity::read(signature).filter(Entity::is_signature).and_then(|part| part.decoded());
            (Some(content), signature.ok_or(OpenError::Malformed("the signature part cannot be read"))?)
        }
        Kind::Cms => (None, entity.decoded().ok_or(OpenError::Malformed("the signed data cannot be read"))?),
        Kind::Wrapped | Kind::Other => return Err(OpenError::NotSigned),
    };
    Ok((detached, ber::to_der(&der).ok_or(OpenError::Malformed("the signed data cannot be read"))?))
}

fn signed(der: &[u8]) -> Result<Signed<'_>, OpenError> {
    let (kind, content) = content_info(der).ok_or(OpenError::Malformed("the signed data cannot be read"))?;
    if kind != oid::SIGNED_DATA {
        // Encrypted twice, or anything else that is no signature.
        return Err(if kind == oid::ENVELOPED_DATA || kind == oid::AUTH_ENVELOPED_DATA {
            OpenError::WrongOrder
        } else {
            OpenError::NotSigned
        });
    }
    Signed::read(content).ok_or(OpenError::Malformed("the signed data cannot be read"))
}

/// The signed octets, and every signer whose signature holds and who is trusted.
fn verify(decrypted: &Decrypted, opening: Opening<'_>) -> Result<(Vec<u8>, Vec<Vouched>), OpenError> {
    let (detached, der) = signed_data(decrypted)?;
    let signed = signed(&der)?;
    let (Some(covered), true) = (detached.or(signed.content), detached.is_none() || signed.content.is_none()) else {
        return Err(OpenError::Malformed("the signed content is missing or there twice"));
    };
    // The signature covers the canonical form (RFC 8551 3.1.1); peers that write bare line feeds signed it as CRLF.
    let mut verdicts = signed.signers(covered, opening.policy.intermediates);
    let mut octets = covered.to_vec();
    if verdicts.iter().all(|verdict| matches!(verdict, Err(OpenError::BadSignature))) {
        let lines = canonical(covered);
        if lines != covered {
            verdicts = signed.signers(&lines, opening.policy.intermediates);
            octets = lines;
        }
    }
    let mut trusted = Vec::new();
    let mut first = None;
    for verdict in verdicts {
        match verdict.and_then(|signer| believe(signer, &signed.certificates, opening)) {
            Ok(signer) => trusted.push(signer),
            Err(error) => first = first.or(Some(error)),
        }
    }
    if trusted.is_empty() { Err(first.unwrap_or(OpenError::NotSigned)) } else { Ok((octets, trusted)) }
}

/// Dates, usage, path and revocation of a signer.
fn believe(vouched: Vouched, sent: &[Certificate], opening: Opening<'_>) -> Result<Vouched, OpenError> {
    let signer = &vouched.certificate;
    checks::dates(signer, opening.at)?;
    checks::usage(signer, Purpose::Sign)?;
    let intermediates: Vec<Certificate> = opening.policy.intermediates.iter().chain(sent).cloned().collect();
    trust::believe(signer, Policy { intermediates: &intermediates, ..opening.policy }, opening.at)?;
    Ok(vouched)
}

fn read_headers(inner: &[u8]) -> Result<Outer, OpenError> {
    let entity = Entity::read(inner).ok_or(OpenError::Malformed("the inner message has no header block"))?;
    let headers = Outer::read(entity.headers()).map_err(OpenError::MalformedInner)?;
    if headers.to.is_empty() && headers.cc.is_empty() {
        return Err(OpenError::MalformedInner("names no recipient"));
    }
    Ok(headers)
}

/// The outer headers are nobody's word: they may leave out, but not contradict (ANSI/DS 2019-01-100-2021, routing tamper).
fn agree(outside: &Entity<'_>, inner: &Outer) -> Result<(), OpenError> {
    let outer =
        Outer::read(outside.headers()).map_err(|_| OpenError::HeaderMismatch("From, To, Cc or Message-ID cannot be read"))?;
    if outer.from != inner.from {
        return Err(OpenError::HeaderMismatch("From differs"));
    }
    if outer.to.iter().chain(&outer.cc).any(|named| !inner.names(named)) {
        return Err(OpenError::HeaderMismatch("To or Cc names somebody else"));
    }
    if outer.message_id.is_some() && outer.message_id != inner.message_id {
        return Err(OpenError::HeaderMismatch("Message-ID differs"));
    }
    Ok(())
}

/// Whether the message is meant for whom it was received, or at least for us.
fn addressed(headers: &Outer, opening: Opening<'_>) -> Result<(), OpenError> {
    let named = match opening.rcpt {
        Some(rcpt) => headers.names(rcpt),
        None => opening
            .own
            .iter()
            .any(|own| headers.to.iter().chain(&headers.cc).any(|named| checks::bound(&own.certificate, named).is_ok())),
    };
    if named { Ok(()) } else { Err(OpenError::NotAddressed) }
}

/// An unwrapped message (allowed until 2021): the signed part under the outer headers, which nothing protects.
fn under_outer_headers(outside: &Entity<'_>, part: &Entity<'_>) -> Vec<u8> {
    let mut inner = Vec::with_capacity(outside.head().len() + part.whole().len());
    let mut keep = false;
    for line in outside.head().split_inclusive(|b| *b == b'\n') {
        let folded = line.starts_with(b" ") || line.starts_with(b"\t");
        let blank = line.trim_ascii().is_empty();
        let lower = line.to_ascii_lowercase();
        let of_the_envelope = lower.starts_with(b"content-") || lower.starts_with(b"mime-version");
        keep = if folded { keep } else { !blank && !of_the_envelope };
        if keep {
            inner.extend_from_slice(line);
        }
    }
    inner.extend_from_slice(part.whole());
    inner
}

impl From<TrustError> for OpenError {
    fn from(error: TrustError) -> Self {
        Self::Trust(error)
    }
}
