//! `postern seal`: an inner message in, a sealed Direct message out.

use std::path::PathBuf;

use anyhow::Context as _;

use super::{Exit, now, print_bytes, read, say};
use crate::{
    domain::{DirectAddress, Reason},
    seal::{Cipher, Inner, KeySigner, KeyTransport, Profile, Seal, SealError, Sealer},
    trust::{Certificate, RecipientCertificate, TrustError, checks},
};

/// Seal an inner message to one recipient: wrap, sign, encrypt.
///
/// Reads an RFC 5322 message and writes the sealed Direct message to standard output. Needs no store and no network;
/// the path of the recipient's certificate is not checked here.
///
/// Exit code 1 when the recipient's certificate is out of date, is not bound to --to, lacks key usage or has a weak key,
/// or when --from or --to differ from the message's own headers.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The sender's Direct address: the message's From.
    #[arg(long, value_name = "ADDRESS")]
    from: DirectAddress,
    /// The recipient's Direct address: in the message's To or Cc.
    #[arg(long, value_name = "ADDRESS")]
    to: DirectAddress,
    /// The sender's certificate, PEM or DER; further certificates in the file are sent along.
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// The sender's private key, PEM or DER, not encrypted.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The recipient's certificate, PEM or DER.
    #[arg(long, value_name = "FILE")]
    recipient_cert: PathBuf,
    /// The content cipher: aes-256-cbc, aes-128-cbc or aes-256-gcm.
    #[arg(long, default_value_t = Profile::default().cipher)]
    cipher: Cipher,
    /// How the content key travels to an RSA recipient: pkcs1, oaep-sha1 or oaep-sha256.
    ///
    /// To an elliptic-curve recipient it goes by ECDH (RFC 5753), whatever is set.
    #[arg(long, default_value_t = Profile::default().key_transport)]
    key_transport: KeyTransport,
    /// The inner message; - is standard input.
    file: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let at = now();
    let signer = KeySigner::read(&read(&args.cert)?, &read(&args.key)?).context("cannot use --cert and --key")?;
    warn_about_signer(crate::seal::Signer::certificate(&signer), args, at);
    let candidates = Certificate::read_all(&read(&args.recipient_cert)?).context("cannot use --recipient-cert")?;
    let message = read(&args.file)?;

    let (recipient, inner) = match (choose(candidates, &args.to, at), Inner::parse(&message)) {
        (Err(error), _) => return Ok(refuse(error.reason(), &error)),
        (_, Err(error)) => return Ok(refuse(error.reason(), &error)),
        (Ok(recipient), Ok(inner)) => (recipient, inner),
    };
    if let Err(error) = inner.agrees_with(&args.from, &args.to) {
        return Ok(refuse(error.reason(), &error));
    }
    if inner.has_long_lines() {
        say("warning: the message has lines of more than 998 octets; some peers refuse it (RFC 5322 2.1.1)");
    }
    let profile = Profile { cipher: args.cipher, key_transport: args.key_transport };
    let mut out = Vec::new();
    match Sealer::new().seal_inner(&inner, Seal { signer: &signer, recipient: &recipient, profile, at }, &mut out) {
        Ok(_) => {}
        Err(error @ SealError::TooLarge(_)) => return Ok(refuse(error.reason(), &error)),
        Err(error) => return Err(error).context("cannot seal the message"),
    }
    print_bytes(&out)?;
    Ok(Exit::Good)
}

/// The first certificate of the file that may be used; otherwise what is wrong with the first.
fn choose(
    candidates: Vec<Certificate>,
    to: &DirectAddress,
    at: crate::domain::Timestamp,
) -> Result<RecipientCertificate, TrustError> {
    let mut first = None;
    for candidate in candidates {
        match RecipientCertificate::checked(candidate, to, at) {
            Ok(recipient) => return Ok(recipient),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or_else(|| TrustError::NoCertificate(to.to_string())))
}

fn warn_about_signer(certificate: &Certificate, args: &Args, at: crate::domain::Timestamp) {
    for problem in [checks::dates(certificate, at), checks::bound(certificate, &args.from)].into_iter().filter_map(Result::err) {
        say(&format!("warning: the receiver will refuse the signature: {problem}"));
    }
}

fn refuse(reason: Reason, error: &dyn std::fmt::Display) -> Exit {
    say(&format!("not sealed ({reason}): {error}"));
    Exit::Bad
}
