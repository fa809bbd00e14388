//! `postern trust identities`: the certificates and keys that our own addresses sign and decrypt with.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;
use clap::{ArgGroup, Args, Subcommand};
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    cli::{
        Exit,
        context::{self, Context, Global, Output, Whose, scope, slugs, with_store},
        expiry::{last_day, mark},
        print, read, say,
        table::{Rows, clean, print_json},
    },
    crypto::token::TokenUri,
    domain::{DirectAddress, OrgScope, Reason, Timestamp, identity::KeyUse},
    pipeline::tokens,
    seal,
    store::identity_key::{KeyPlace, NewKey, StoredKey},
    trust::{
        Certificate, TrustError,
        identity::{self, Pair, expiry::unreplaced, is_pkcs12},
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum Identities {
    /// Import a certificate with its key for an address of ours
    ///
    /// It becomes the newest generation: as soon as it is valid it signs, without a restart, and the older ones still open
    /// what is sent to them until they are removed. Signing and encryption may have certificates of their own. The key is
    /// stored encrypted with the organization's key, or stays on a PKCS#11 token. Exit code 1 when it cannot be used.
    Import(Import),
    /// List them: what each is for, which one signs now, and how long they last
    List(List),
    /// Remove one by its fingerprint: mail sealed to it can no longer be opened
    Remove(Remove),
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("from").required(true).args(["cert", "pkcs12"])))]
pub(super) struct Import {
    /// Whose address it is
    #[arg(long, value_name = "SLUG")]
    organization: String,
    /// The address, which the certificate must be bound to (or to its domain)
    #[arg(long)]
    address: DirectAddress,
    /// The certificate, PEM or DER; authorities in the same file are sent along with what is signed
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its private key: a file in PEM or DER, or pkcs11:token=...;object=... for a key on the token of [token]
    #[arg(long, value_name = "FILE|URI", requires = "cert")]
    key: Option<String>,
    /// Certificate and key in one PKCS#12 file
    #[arg(long, value_name = "FILE")]
    pkcs12: Option<PathBuf>,
    /// File with the password of the key or of the PKCS#12 file
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// What it is for, when that is less than the certificate allows: sign, encrypt or both
    #[arg(long = "use", value_name = "USE")]
    used_for: Option<KeyUse>,
    /// Check everything and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct Remove {
    /// Whose it is
    #[arg(long, value_name = "SLUG")]
    organization: String,
    /// Only for this address, when several have it
    #[arg(long)]
    address: Option<DirectAddress>,
    /// Even when the address could not sign or could open nothing any more
    #[arg(long)]
    force: bool,
    /// SHA-256, hexadecimal; the first 8 digits or more are enough when they mean one
    fingerprint: String,
}

pub(super) fn run(command: &Identities, global: &Global) -> anyhow::Result<Exit> {
    match command {
        Identities::Import(args) => import(args, global),
        Identities::List(args) => list(args, global),
        Identities::Remove(args) => remove(args, global),
    }
}

fn import(args: &Import, global: &Global) -> anyhow::Result<Exit> {
    with_store(global, async |context, store| {
        let organization = context::organization(store, &args.organization).await?;
        let now = context.clock.now();
        let new = match generation(args, context, now)? {
            Ok(new) => new,
            Err(error) => {
                say(&format!("refused: {}", clean(&format!("{:#}", anyhow::Error::from(error)))));
                return Ok(Exit::Bad);
            }
        };
        let known = organization.identities.iter().any(|identity| identity.address == args.address);
        if !known {
            say(&format!(
                "warning: {} has no [[identity]] {} yet; nothing is sent from it until its file names one",
                args.organization, args.address
            ));
        }
        if new.term.from > now {
            say(&format!("note: it is valid from {} and does nothing before", new.term.from));
        }
        if !args.dry_run {
            store.keep_identity_key(organization.id, &new).await?;
        }
        if args.output.json {
            print_json(&json!({ "address": new.address, "use": new.term.used_for, "fingerprint": new.fingerprint,
                "valid_from": new.term.from.to_string(), "valid_until": new.term.until.to_string(), "imported": !args.dry_run }))?;
        } else {
            let what = new.term.used_for;
            print(&format!("{} {what} until {} {}\n", new.address, last_day(new.term.until), new.fingerprint))?;
        }
        say(if args.dry_run { "dry run: nothing was changed" } else { "imported; a running gateway uses it within seconds" });
        Ok(Exit::Good)
    })
}

/// Why a pair cannot be imported.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{0}{hint}", hint = hint(.0))]
    Certificate(TrustError),
    #[error("the key on the token cannot be used: {0:#}")]
    Token(anyhow::Error),
}

/// What to do about it.
fn hint(error: &TrustError) -> &'static str {
    match error.reason() {
        Reason::NotBound => ": ask its issuer for one whose subjectAltName has the address or exactly its domain",
        Reason::KeyUsage => ": import it with --use for what it allows, and another certificate for the rest",
        Reason::ExpiredCert => ": ask its issuer for a new one",
        Reason::KeyAlgorithm | Reason::WeakAlgorithm => ": ask its issuer for one with a stronger key and SHA-256",
        _ => "",
    }
}

/// Reads and checks. The outer error is about files; the inner one about what is in them.
fn generation(args: &Import, context: &Context, now: Timestamp) -> anyhow::Result<Result<NewKey, Refused>> {
    let password = password(args)?;
    let password = password.as_deref().map(String::as_str);
    if let (Some(cert), Some(uri)) = (&args.cert, args.key.as_deref().filter(|key| TokenUri::is_one(key))) {
        let certificates = read(cert)?;
        return Ok(on_token(args, context, &certificates, uri, now));
    }
    let pair = match (&args.pkcs12, &args.cert, &args.key) {
        (Some(file), ..) => Pair::from_pkcs12(&Zeroizing::new(read(file)?), password.unwrap_or_default()),
        (None, Some(cert), Some(key)) => {
            let (certificates, key) = (read(cert)?, Zeroizing::new(read(std::path::Path::new(key))?));
            if is_pkcs12(&certificates) || is_pkcs12(&key) {
                anyhow::bail!("that is a PKCS#12 file: import it with --pkcs12");
            }
            Pair::read(&certificates, &key, password)
        }
        _ => anyhow::bail!("give --cert and --key, or --pkcs12"),
    };
    let checked = pair.and_then(|pair| {
        let used_for = identity::check(&pair.certificate, &args.address, args.used_for, now)?;
        let place = KeyPlace::Stored(pair.key_pem()?);
        identity::generation(&args.address, used_for, &pair.certificate, &pair.chain, place)
    });
    Ok(checked.map_err(Refused::Certificate))
}

fn on_token(args: &Import, context: &Context, certificates: &[u8], uri: &str, now: Timestamp) -> Result<NewKey, Refused> {
    let all = Certificate::read_all(certificates).map_err(Refused::Certificate)?;
    let Some((own, chain)) = all.split_first() else {
        return Err(Refused::Certificate(TrustError::NoCertificate(args.address.to_string())));
    };
    let used_for = identity::check(own, &args.address, args.used_for, now).map_err(Refused::Certificate)?;
    let key = tokens::load(&context.config().token).and_then(|tokens| tokens.key(uri.parse()?));
    let key = Arc::new(key.map_err(|error| Refused::Token(error.into()))?);
    seal::belongs(&key, own, used_for).map_err(|error| Refused::Token(error.into()))?;
    identity::generation(&args.address, used_for, own, chain, KeyPlace::Token(uri.to_owned())).map_err(Refused::Certificate)
}

fn password(args: &Import) -> anyhow::Result<Option<Zeroizing<String>>> {
    let Some(file) = &args.password_file else { return Ok(None) };
    let bytes = Zeroizing::new(read(file)?);
    let text = std::str::from_utf8(&bytes).with_context(|| format!("{} is not UTF-8", file.display()))?;
    Ok(Some(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())))
}

fn list(args: &List, global: &Global) -> anyhow::Result<Exit> {
    let (found, slugs, now) = with_store(global, async |context, store| {
        let scope = scope(store, args.whose.organization.as_deref()).await?;
        Ok((store.identity_keys(scope).await?, slugs(store).await?, context.clock.now()))
    })?;
    let signs = identity::signing(&found, now);
    let live: Vec<_> = unreplaced(&found).into_iter().map(|key| key.id).collect();
    let slug = |key: &StoredKey| slugs.get(&key.org).cloned().unwrap_or_default();
    if args.output.json {
        let rows: Vec<_> = found
            .iter()
            .zip(&signs)
            .map(|(key, signs)| {
                json!({ "organization": slug(key), "address": key.address, "use": key.term.used_for, "signs_now": signs,
                    "fingerprint": key.fingerprint, "valid_from": key.term.from.to_string(), "valid_until": key.term.until.to_string(),
                    "days_left": key.term.days_left(now), "warning": key.term.nearness(now), "replaced": !live.contains(&key.id),
                    "token": key.token })
            })
            .collect();
        print_json(&rows)?;
        return Ok(Exit::Good);
    }
    if found.is_empty() {
        say("none is imported");
        return Ok(Exit::Good);
    }
    let mut rows = Rows::new(&["organization", "address", "use", "now", "last day", "", "key", "fingerprint"]);
    for (key, signs) in found.iter().zip(signs) {
        let state = match key.term {
            term if term.from > now => "not yet valid",
            _ if signs => "signs",
            term if term.used_for.decrypts() => "decrypts",
            _ => "",
        };
        let note = if live.contains(&key.id) { mark(key.term.until, now) } else { "replaced" };
        rows.push([
            slug(key),
            key.address.to_string(),
            key.term.used_for.to_string(),
            state.to_owned(),
            last_day(key.term.until).to_string(),
            note.to_owned(),
            if key.token.is_some() { "token" } else { "stored" }.to_owned(),
            key.fingerprint.chars().take(16).collect(),
        ]);
    }
    rows.print()?;
    for key in unreplaced(&found) {
        if let Some(nearness) = key.term.nearness(now) {
            let left = match nearness {
                crate::domain::identity::Nearness::Expired => "has expired".to_owned(),
                _ => format!("ends in {} days", key.term.days_left(now)),
            };
            say(&format!(
                "warning: a certificate of {} {left}: import the next one with postern trust identities import",
                key.address
            ));
        }
    }
    Ok(Exit::Good)
}

fn remove(args: &Remove, global: &Global) -> anyhow::Result<Exit> {
    let wanted = super::shelf::digits(&args.fingerprint)?;
    with_store(global, async |context, store| {
        let organization = context::organization(store, &args.organization).await?;
        let now = context.clock.now();
        let all = store.identity_keys(OrgScope::One(organization.id)).await?;
        let ours = |key: &&StoredKey| args.address.as_ref().is_none_or(|address| key.address == *address);
        let meant: Vec<&StoredKey> = all.iter().filter(ours).filter(|key| key.fingerprint.starts_with(&wanted)).collect();
        let Some(first) = meant.first() else {
            say(&format!("{} has none with the fingerprint {wanted}", args.organization));
            return Ok(Exit::Bad);
        };
        if meant.iter().any(|key| key.fingerprint != first.fingerprint) {
            say("several begin like that; give more digits");
            return Ok(Exit::Bad);
        }
        if !args.force
            && let Some(address) = bereft(&all, &meant, now)
        {
            say(&format!(
                "{address} could not sign, or could open nothing, without it: import the next one first, or say --force"
            ));
            return Ok(Exit::Bad);
        }
        store.remove_identity_key(organization.id, args.address.as_ref(), &first.fingerprint).await?;
        let names: Vec<&str> = meant.iter().map(|key| key.address.as_str()).collect();
        say(&format!("removed {} ({})", first.fingerprint, names.join(", ")));
        Ok(Exit::Good)
    })
}

/// An address that would be left without a valid certificate for something it can do now.
fn bereft<'a>(all: &[StoredKey], going: &[&'a StoredKey], now: Timestamp) -> Option<&'a DirectAddress> {
    let left = |gone: &StoredKey, can: fn(KeyUse) -> bool| {
        all.iter().any(|key| {
            key.address == gone.address
                && key.fingerprint != gone.fingerprint
                && can(key.term.used_for)
                && key.term.is_valid_at(now)
        })
    };
    let missed = |gone: &&&StoredKey| {
        let used_for = gone.term.used_for;
        gone.term.is_valid_at(now)
            && ((used_for.signs() && !left(gone, KeyUse::signs)) || (used_for.decrypts() && !left(gone, KeyUse::decrypts)))
    };
    going.iter().find(missed).map(|gone| &gone.address)
}
