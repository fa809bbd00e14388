//! A message or CMS structure in words, as far as it can be seen from outside. Nothing of it is checked.

use openssl::asn1::Asn1Object;

use super::{
    ber,
    entity::{Entity, Kind},
    oid,
    verify::Signed,
};
use crate::{
    crypto::der::{Node, ObjectIdentifier, Tag, explicit},
    trust::describe::Line,
};

/// What the header block and the outermost layer of `message` say. `None` when it is no message.
#[must_use]
pub fn describe_message(message: &[u8]) -> Option<Vec<Line>> {
    let entity = Entity::read(message)?;
    let mut lines: Vec<Line> = Vec::new();
    for (name, value) in entity.headers().headers_raw() {
        let label = match name.to_ascii_lowercase().as_str() {
            "from" => "from",
            "to" => "to",
            "cc" => "cc",
            "date" => "date",
            "message-id" => "message_id",
            "content-type" => "content_type",
            _ => continue,
        };
        lines.push((label, value.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    match entity.kind() {
        Kind::Cms => {
            let inside = entity.decoded().and_then(|cms| describe_cms(&cms));
            lines.extend(inside.unwrap_or_else(|| vec![("layer", "a CMS structure that cannot be read".to_owned())]));
        }
        Kind::Signed => {
            lines.push(("layer", "signed, not encrypted".to_owned()));
            let signature = entity.signed_parts().and_then(|(_, part)| Entity::read(part)?.decoded());
            lines.extend(signature.and_then(|cms| describe_cms(&cms)).unwrap_or_default());
        }
        Kind::Wrapped | Kind::Other => lines.push(("layer", "neither encrypted nor signed".to_owned())),
    }
    Some(lines)
}

/// What a CMS structure (DER or BER) says about itself. `None` when it is none.
#[must_use]
pub fn describe_cms(bytes: &[u8]) -> Option<Vec<Line>> {
    let der = ber::to_der(bytes)?;
    let (kind, content) = super::open::content_info(&der)?;
    match kind {
        oid::SIGNED_DATA => signed(content),
        oid::ENVELOPED_DATA => enveloped(content, "encrypted (EnvelopedData)"),
        oid::AUTH_ENVELOPED_DATA => enveloped(content, "encrypted and authenticated (AuthEnvelopedData)"),
        other => Some(vec![("layer", name(other))]),
    }
}

fn signed(content: Node<'_>) -> Option<Vec<Line>> {
    let signed = Signed::read(content)?;
    let detached = if signed.content.is_some() { "with its content" } else { "detached" };
    let mut lines = vec![("layer", format!("a signature (SignedData), {detached}"))];
    for (digest, algorithm) in signed.algorithms() {
        lines.push(("signature", format!("{} with {}", name(algorithm), name(digest))));
    }
    for certificate in &signed.certificates {
        lines.push(("certificate", format!("{}, bound to {}", certificate.subject(), certificate.names())));
    }
    Some(lines)
}

fn enveloped(content: Node<'_>, layer: &str) -> Option<Vec<Line>> {
    let mut lines = vec![("layer", layer.to_owned())];
    let mut members = content.members();
    members.expect(Tag::Integer).ok()?;
    members.optional(explicit(0)).ok()?;
    for recipient in members.expect(Tag::Set).ok()?.members().all().ok()? {
        lines.push(("recipient", recipient_words(recipient).unwrap_or_else(|| "of a kind not used in Direct".to_owned())));
    }
    let mut info = members.expect(Tag::Sequence).ok()?.members();
    info.any().ok()?;
    let cipher = info.expect(Tag::Sequence).ok()?.members().any().ok()?.oid().ok()?;
    let size = info.any().map_or(0, |content| content.value.len());
    lines.push(("cipher", name(cipher)));
    lines.push(("encrypted_octets", size.to_string()));
    Some(lines)
}

fn recipient_words(recipient: Node<'_>) -> Option<String> {
    let mut members = recipient.members();
    members.expect(Tag::Integer).ok()?;
    if recipient.tag == explicit(1) {
        members.any().ok()?;
        members.optional(explicit(1)).ok()?;
        let agreement = members.expect(Tag::Sequence).ok()?.members().any().ok()?.oid().ok()?;
        return Some(format!("by key agreement, {}", name(agreement)));
    }
    let who = members.any().ok()?;
    let transport = members.expect(Tag::Sequence).ok()?.members().any().ok()?.oid().ok()?;
    let who = match who.tag {
        Tag::Sequence => {
            let serial = who.members().all().ok()?.get(1)?.value;
            format!("certificate with serial number {}", crate::crypto::sha256::hex(serial))
        }
        _ => format!("certificate with key identifier {}", crate::crypto::sha256::hex(who.value)),
    };
    Some(format!("{who}, key transport {}", name(transport)))
}

/// The usual name of an algorithm, or its numbers.
fn name(found: ObjectIdentifier) -> String {
    let numbers = found.to_string();
    let known = Asn1Object::from_str(&numbers).ok().and_then(|object| object.nid().long_name().ok());
    known.filter(|name| *name != "undefined").map_or(numbers, str::to_owned)
}
