//! Certificates, keys and passwords an organization file names: read beside it, checked, and handed to the store.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::{
    cli::{
        expiry::{last_day, mark},
        say,
    },
    config::token::TokenSection,
    crypto::Hex,
    domain::{
        OrgId, Timestamp,
        identity::KeyUse,
        organization::{IdentityFile, OrganizationFile, SendMode},
        webhook::WebhookFile,
    },
    pipeline::tokens,
    seal,
    store::{
        Store,
        changes::Change,
        identity_key::{KeyPlace, NewKey, StoredKey},
        organization::{NewIdentity, Organization},
        webhook::NewSecret,
    },
    track::webhook::{SigningSecret, sign::BadSecret},
    trust::{
        Certificate, checks,
        identity::{self, Pair},
    },
};

/// What was read.
#[derive(Default)]
pub(in crate::cli) struct Credentials {
    /// Ready to be stored, in the order of the file.
    pub(in crate::cli) identities: Vec<NewIdentity>,
    /// The certificates and keys that come with them.
    pub(in crate::cli) keys: Vec<NewKey>,
    /// The secrets its webhooks name.
    pub(in crate::cli) secrets: Vec<NewSecret>,
    /// What works and should not stay so.
    pub(in crate::cli) warnings: Vec<String>,
    /// What cannot be used, each with the path of its field.
    pub(in crate::cli) problems: Vec<String>,
}

/// Reads what every identity of `file` needs, relative to `folder`.
pub(super) fn read(file: &OrganizationFile, folder: &Path, token: &TokenSection, now: Timestamp) -> Credentials {
    let mut credentials = read_identities(&file.identities, folder, token, now);
    for (i, webhook) in file.webhooks.iter().enumerate() {
        credentials.webhook(i, webhook, folder);
    }
    credentials
}

/// Reads what every one of `identities` needs, an organization's or the installation's, relative to `folder`.
pub(in crate::cli) fn read_identities(
    identities: &[IdentityFile],
    folder: &Path,
    token: &TokenSection,
    now: Timestamp,
) -> Credentials {
    let mut credentials = Credentials::default();
    for (i, identity) in identities.iter().enumerate() {
        let new = match identity.mode {
            SendMode::StaRelay | SendMode::StaMx => credentials.signing(i, identity, folder, token, now),
            SendMode::Edge => credentials.mailbox(i, identity, folder),
        };
        credentials.identities.extend(new);
    }
    credentials
}

impl Credentials {
    /// Without a certificate the address signs with what `postern trust identities import` brought.
    fn signing(
        &mut self,
        i: usize,
        identity: &IdentityFile,
        folder: &Path,
        token: &TokenSection,
        now: Timestamp,
    ) -> Option<NewIdentity> {
        let Some(name) = &identity.certificate_file else { return Some(self.identity(identity, None, None)) };
        let certificate = self.file(&format!("identity[{i}]"), "certificate_file", folder, name);
        let pair = match (&identity.key, &identity.key_file) {
            (Some(uri), _) => on_token(&certificate?, uri, token),
            (None, Some(key)) => {
                let key = self.secret(&format!("identity[{i}]"), "key_file", folder, key);
                let (certificate, key) = (certificate?, key?);
                in_files(&certificate, &key)
            }
            (None, None) => return None,
        };
        let (own, chain, place) = match pair {
            Ok(pair) => pair,
            Err(error) => {
                self.problems.push(format!("identity[{i}].certificate_file: cannot be used with its key: {error:#}"));
                return None;
            }
        };
        // Its dates are looked at below: one that is out of date is no reason to refuse the whole file.
        let used_for = match identity::check(&own, &identity.address, None, own.valid_from()) {
            Ok(used_for) if used_for.signs() => used_for,
            Ok(_) => {
                self.problems.push(format!(
                    "identity[{i}].certificate_file: may not be used for signing; import it with postern trust identities import"
                ));
                return None;
            }
            Err(refused) => {
                self.problems.push(format!("identity[{i}].certificate_file: {refused}"));
                return None;
            }
        };
        if let Err(error) = checks::dates(&own, now) {
            self.warnings.push(format!("identity[{i}].certificate_file: receivers will not believe it: {error}"));
        } else if !mark(own.valid_until(), now).is_empty() {
            self.warnings.push(format!("identity[{i}].certificate_file: expires soon, after {}", last_day(own.valid_until())));
        }
        let new = identity::generation(&identity.address, used_for, &own, &chain, place);
        let new = new.map_err(|error| self.problems.push(format!("identity[{i}].certificate_file: {error}"))).ok()?;
        let pem = new.certificate.clone();
        self.keys.push(new);
        Some(self.identity(identity, Some(pem), None))
    }

    /// Without a password the relay has to know us by client certificate.
    fn mailbox(&mut self, i: usize, identity: &IdentityFile, folder: &Path) -> Option<NewIdentity> {
        let Some(name) = &identity.password_file else { return Some(self.identity(identity, None, None)) };
        let mut password = self.secret(&format!("identity[{i}]"), "password_file", folder, name)?;
        while password.last().is_some_and(|last| matches!(last, b'\n' | b'\r')) {
            password.pop();
        }
        if password.is_empty() || password.iter().any(u8::is_ascii_control) {
            self.problems.push(format!("identity[{i}].password_file: is not one line with a password"));
            return None;
        }
        Some(self.identity(identity, None, Some(password)))
    }

    /// Without a secret one is made when it is applied.
    fn webhook(&mut self, i: usize, webhook: &WebhookFile, folder: &Path) {
        let Some(name) = &webhook.secret_file else { return };
        let Some(text) = self.secret(&format!("webhook[{i}]"), "secret_file", folder, name) else { return };
        match std::str::from_utf8(&text).map_err(|_| BadSecret::Form).and_then(SigningSecret::parse) {
            Ok(secret) => {
                let secret = Zeroizing::new(secret.octets().to_vec());
                self.secrets.push(NewSecret { webhook: webhook.name.clone(), secret });
            }
            Err(problem) => self.problems.push(format!("webhook[{i}].secret_file: {problem}")),
        }
    }

    #[expect(clippy::unused_self, reason = "reads as the end of the two above")]
    fn identity(&self, file: &IdentityFile, certificate: Option<String>, secret: Option<Zeroizing<Vec<u8>>>) -> NewIdentity {
        NewIdentity { address: file.address.clone(), mode: file.mode, relay: file.relay.clone(), certificate, secret }
    }

    fn file(&mut self, whose: &str, field: &str, folder: &Path, name: &str) -> Option<Vec<u8>> {
        let path = folder.join(name);
        let read = std::fs::read(&path);
        read.map_err(|error| self.problems.push(format!("{whose}.{field}: cannot read {}: {error}", path.display()))).ok()
    }

    fn secret(&mut self, whose: &str, field: &str, folder: &Path, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        let path: PathBuf = folder.join(name);
        let secret = self.file(whose, field, folder, name).map(Zeroizing::new)?;
        let mode = path.metadata().map_or(0, |file| file.permissions().mode() & 0o777);
        if mode & 0o077 != 0 {
            self.warnings.push(format!(
                "{whose}.{field}: others can read {} (mode {mode:04o}); run chmod 600 on it, or delete it now that it is stored",
                path.display()
            ));
        }
        Some(secret)
    }
}

type Parts = (Certificate, Vec<Certificate>, KeyPlace);

fn in_files(certificates: &[u8], key: &[u8]) -> anyhow::Result<Parts> {
    let pair = Pair::read(certificates, key, None)?;
    let place = KeyPlace::Stored(pair.key_pem()?);
    Ok((pair.certificate, pair.chain, place))
}

fn on_token(certificates: &[u8], uri: &str, token: &TokenSection) -> anyhow::Result<Parts> {
    let mut chain = Certificate::read_all(certificates)?;
    let own = chain.remove(0);
    let key = tokens::load(token)?.key(uri.parse()?)?;
    seal::belongs(&key, &own, KeyUse::Sign)?;
    Ok((own, chain, KeyPlace::Token(uri.to_owned())))
}

/// What differs from what is on record; secrets are compared and never shown.
pub(super) async fn changes(
    store: &Store,
    before: Option<&Organization>,
    identities: &[NewIdentity],
    keys: &[NewKey],
) -> anyhow::Result<Vec<Change>> {
    let mut changes = Vec::new();
    for new in identities {
        let known = before.and_then(|org| Some((org.id, org.identities.iter().find(|old| old.address == new.address)?)));
        let mut note = |what: &str, old: Option<String>, new_value: Option<String>| {
            changes.push(Change::new(format!("identity[{}].{what}", new.address), old, new_value));
        };
        let old_certificate = known.and_then(|(_, old)| old.certificate.clone());
        if old_certificate != new.certificate {
            note("certificate", old_certificate.as_deref().map(describe), new.certificate.as_deref().map(describe));
        }
        let shown = |there: bool, word: &str| there.then(|| word.to_owned());
        if new.mode != SendMode::Edge {
            let generations = match before {
                Some(org) => store.identity_keys_of(org.id, &new.address).await?,
                None => Vec::new(),
            };
            let Some(key) = keys.iter().find(|key| key.address == new.address) else {
                if generations.is_empty() {
                    say(&format!(
                        "warning: {} has no certificate and key yet: postern trust identities import brings them",
                        new.address
                    ));
                }
                continue;
            };
            if !same_key(store, &generations, key).await? {
                note("key", shown(!generations.is_empty(), "(another)"), shown(true, "(not shown)"));
            }
            continue;
        }
        let old_secret = match known {
            Some((org, old)) => store.identity_secret(org, old.id).await?,
            None => None,
        };
        if let (Some((_, old)), Some(_), None) = (known, &old_secret, &new.secret)
            && old.mode == new.mode
        {
            say(&format!("note: {} names no password_file; the password on record stays in use", new.address));
            continue;
        }
        if old_secret != new.secret {
            note("password", shown(old_secret.is_some(), "(another)"), shown(new.secret.is_some(), "(not shown)"));
        }
    }
    Ok(changes)
}

/// The secrets of webhooks that differ from what is on record; never shown.
pub(super) async fn secret_changes(
    store: &Store,
    before: Option<&Organization>,
    file: &OrganizationFile,
    secrets: &[NewSecret],
) -> anyhow::Result<Vec<Change>> {
    let mut changes = Vec::new();
    for webhook in &file.webhooks {
        let known = match before {
            Some(org) => store.webhook_secrets(org.id, &webhook.name).await?,
            None => None,
        };
        let named = secrets.iter().find(|new| new.webhook == webhook.name);
        let same = known.as_ref().and_then(|known| known.first()).zip(named).is_some_and(|(known, new)| *known == new.secret);
        if same || (known.is_some() && named.is_none()) {
            continue;
        }
        let (old, new) = (known.map(|_| "(another)".to_owned()), named.map_or("(made anew)", |_| "(not shown)").to_owned());
        changes.push(Change::new(format!("webhook[{}].secret", webhook.name), old, Some(new)));
    }
    Ok(changes)
}

/// The secrets that were made for new webhooks, as they are handed on: by name.
pub(super) async fn made(
    store: &Store,
    org: OrgId,
    before: Option<&Organization>,
    file: &OrganizationFile,
) -> anyhow::Result<Vec<(String, Zeroizing<String>)>> {
    let mut made = Vec::new();
    let known = |name: &str| before.is_some_and(|before| before.file.webhooks.iter().any(|webhook| webhook.name == name));
    for webhook in file.webhooks.iter().filter(|webhook| webhook.secret_file.is_none() && !known(&webhook.name)) {
        let secret = store.webhook_secrets(org, &webhook.name).await?.and_then(|all| all.into_iter().next());
        if let Some(secret) = secret {
            made.push((webhook.name.clone(), SigningSecret::from_octets(secret)?.reveal()));
        }
    }
    Ok(made)
}

/// Whether a generation is on record with its key in the same place.
async fn same_key(store: &Store, generations: &[StoredKey], new: &NewKey) -> anyhow::Result<bool> {
    let Some(known) = generations.iter().find(|known| known.fingerprint == new.fingerprint) else { return Ok(false) };
    Ok(match &new.key {
        KeyPlace::Token(uri) => known.token.as_ref() == Some(uri),
        KeyPlace::Stored(key) => store.identity_key_secret(known.org, known.id).await?.as_ref() == Some(key),
    })
}

fn describe(pem: &str) -> String {
    let first = Certificate::read_all(pem.as_bytes()).ok().and_then(|all| all.into_iter().next());
    first.map_or_else(
        || "(unreadable)".to_owned(),
        |first| {
            let fingerprint = Hex(&first.fingerprint()).to_string();
            format!("{} until {}", &fingerprint[..16], last_day(first.valid_until()))
        },
    )
}
