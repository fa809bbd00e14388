//! `postern open`: decrypt, verify and judge a sealed message.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{Exit, now, print, read, save, say};
use crate::{
    domain::{DirectAddress, MessageId, OffsetTime, Reason, delivery::NoticeKind},
    sandbox::{
        enclosed::{self, Item},
        pdf,
    },
    seal::{OpenError, Opening, Own, Verified, open, read_key},
    track,
    trust::{Anchors, Certificate, Crls, Policy, Revocation},
};

/// Open a sealed Direct message: decrypt, verify, check trust.
///
/// Accepts a message only when it was signed and then encrypted, the signature matches, the signer's certificate is
/// valid, leads to an anchor, is not revoked and is bound to the sender, the outer headers agree with the protected ones
/// and the message is addressed to the recipient. Needs no store and no network.
///
/// What an accepted message encloses is listed, with the documents of an XDM package.
///
/// Exit code 0 only when accepted, 1 when rejected or when it has no PDF for --save-pdf, 2 when a file cannot be read.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The recipient's certificate, PEM or DER.
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// The recipient's private key, PEM or DER, not encrypted.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// An authority to believe, PEM (any number) or DER; may be an intermediate. Repeatable.
    #[arg(long = "anchor", value_name = "FILE", required = true)]
    anchors: Vec<PathBuf>,
    /// An authority that may lie between signer and anchor, PEM or DER. Repeatable.
    #[arg(long = "intermediate", value_name = "FILE")]
    intermediates: Vec<PathBuf>,
    /// A revocation list, PEM or DER. Repeatable.
    #[arg(long = "crl", value_name = "FILE")]
    crls: Vec<PathBuf>,
    /// What happens when no list that counts covers a certificate: hard (reject), soft (accept) or off (do not look).
    #[arg(long, default_value_t = Revocation::Soft)]
    revocation: Revocation,
    /// Judge as of this instant, e.g. 2026-01-15T10:15:30-05:00; otherwise as of now.
    #[arg(long, value_name = "RFC3339")]
    at: Option<OffsetTime>,
    /// For whom the message was received (RCPT TO); otherwise the certificate must be bound to one of its recipients.
    #[arg(long, value_name = "ADDRESS")]
    rcpt: Option<DirectAddress>,
    /// Print the verdict as JSON.
    #[arg(long)]
    json: bool,
    /// Write the inner message here, only when it is accepted.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Write the report's PDF here, only when the message is accepted: attached, or inside a C-CDA or an XDM package.
    #[arg(long, value_name = "FILE")]
    save_pdf: Option<PathBuf>,
    /// The sealed message; - is standard input.
    file: PathBuf,
}

#[derive(serde::Serialize)]
struct Judgement<'a> {
    verdict: &'static str,
    reason: Option<Reason>,
    from: Option<&'a DirectAddress>,
    message_id: Option<&'a MessageId>,
    notice: Option<Shown>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    documents: Vec<Item>,
}

/// What an accepted message says about an earlier one, when it is a notice that says yes or no.
#[derive(serde::Serialize)]
struct Shown {
    kind: NoticeKind,
    original_message_id: Option<String>,
    final_recipient: Option<String>,
}

impl Shown {
    fn of(verified: &Verified) -> Option<Self> {
        let about = track::Notice::read(verified.inner())?.about.into_iter().find(|about| about.kind.is_some())?;
        Some(Self {
            kind: about.kind?,
            original_message_id: about.message_ids.first().map(ToString::to_string),
            final_recipient: about.recipients.into_iter().next(),
        })
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let anchors = Anchors::new(certificates(&args.anchors)?);
    let intermediates = certificates(&args.intermediates)?;
    let mut crls = Crls::default();
    for file in &args.crls {
        crls.add(&read(file)?).with_context(|| format!("cannot use --crl {}", file.display()))?;
    }
    let key = read_key(&read(&args.key)?).with_context(|| format!("cannot use --key {}", args.key.display()))?;
    let own: Vec<Own> = certificates(std::slice::from_ref(&args.cert))?
        .into_iter()
        .filter(|certificate| key.public_eq(certificate.key()))
        .map(|certificate| Own { certificate, key: key.clone().into() })
        .collect();
    anyhow::ensure!(!own.is_empty(), "the key {} does not belong to {}", args.key.display(), args.cert.display());
    let message = read(&args.file)?;

    let policy = Policy { crls: &crls, revocation: args.revocation, ..Policy::new(&anchors, &intermediates) };
    let at = args.at.map_or_else(now, |at| at.at);
    let opened = open(&message, Opening { own: &own, policy, at, rcpt: args.rcpt.as_ref() });
    if let (Ok(verified), Some(file)) = (&opened, &args.save) {
        save(file, verified.inner()).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if args.json {
        print_json(opened.as_ref())?;
    } else {
        print_words(opened.as_ref())?;
    }
    let saved = match (&opened, &args.save_pdf) {
        (Ok(verified), Some(file)) => save_pdf(file, verified.inner())?,
        _ => true,
    };
    Ok(if opened.is_ok() && saved { Exit::Good } else { Exit::Bad })
}

/// Whether there was a PDF.
fn save_pdf(file: &Path, inner: &[u8]) -> anyhow::Result<bool> {
    match pdf::extract(inner) {
        Ok(found) => {
            save(file, &found).with_context(|| format!("cannot write {}", file.display()))?;
            Ok(true)
        }
        Err(none) => {
            say(&format!("no PDF was written to {}: {none}", file.display()));
            Ok(false)
        }
    }
}

/// Nothing of a rejected message is shown: nobody vouches for it.
fn print_json(opened: Result<&Verified, &OpenError>) -> anyhow::Result<()> {
    let judgement = match opened {
        Ok(verified) => Judgement {
            verdict: "accepted",
            reason: None,
            from: Some(verified.from()),
            message_id: verified.message_id(),
            notice: Shown::of(verified),
            documents: enclosed::list(verified.inner()),
        },
        Err(error) => Judgement {
            verdict: "rejected",
            reason: Some(error.reason()),
            from: None,
            message_id: None,
            notice: None,
            documents: vec![],
        },
    };
    print(&format!("{}\n", serde_json::to_string(&judgement)?))
}

fn print_words(opened: Result<&Verified, &OpenError>) -> anyhow::Result<()> {
    let verified = match opened {
        Ok(verified) => verified,
        Err(error) => {
            let reason = error.reason();
            return print(&format!("rejected ({reason}): {error}\nnext: {}\n", reason.remedy()));
        }
    };
    let mut words = format!("accepted: from {}, signed by '{}'\n", verified.from(), verified.signer().subject());
    if let Some(id) = verified.message_id() {
        words.extend(["message id: ", id.as_str(), "\n"]);
    }
    if !verified.is_wrapped() {
        words += "its headers were not protected (not wrapped as message/rfc822)\n";
    }
    if let Some(notice) = Shown::of(verified) {
        let about = notice.original_message_id.as_deref().unwrap_or("an unnamed message");
        words.extend(["notice: ", notice.kind.as_str(), " for ", about]);
        if let Some(recipient) = &notice.final_recipient {
            words.extend([", recipient ", recipient]);
        }
        words.push('\n');
    }
    for item in enclosed::list(verified.inner()) {
        let what = if item.package.is_some() { "  inside: " } else { "encloses: " };
        // Names and titles are the sender's: a terminal must not be driven by them.
        let item: String = item.words().chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        words.extend([what, &item, "\n"]);
    }
    print(&words)
}

fn certificates(files: &[PathBuf]) -> anyhow::Result<Vec<Certificate>> {
    let mut all = Vec::new();
    for file in files {
        all.extend(Certificate::read_all(&read(file)?).with_context(|| format!("cannot use {}", file.display()))?);
    }
    Ok(all)
}
