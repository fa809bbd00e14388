//! Certificates, keys and passwords an organization file names: read beside it, checked, and handed to the store.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::changes::Change;
use crate::{
    cli::{
        expiry::{last_day, mark},
        say,
    },
    crypto::Hex,
    domain::{
        Timestamp,
        organization::{IdentityFile, OrganizationFile, SendMode},
    },
    seal::{KeySigner, Signer as _},
    store::{
        Store,
        organization::{NewIdentity, Organization},
    },
    trust::{Certificate, checks},
};

/// What was read.
#[derive(Default)]
pub(in crate::cli) struct Credentials {
    /// Ready to be stored, in the order of the file.
    pub(in crate::cli) identities: Vec<NewIdentity>,
    /// What works and should not stay so.
    pub(in crate::cli) warnings: Vec<String>,
    /// What cannot be used, each with the path of its field.
    pub(in crate::cli) problems: Vec<String>,
}

/// Reads what every identity of `file` needs, relative to `folder`.
pub(super) fn read(file: &OrganizationFile, folder: &Path, now: Timestamp) -> Credentials {
    read_identities(&file.identities, folder, now)
}

/// Reads what every one of `identities` needs, an organization's or the installation's, relative to `folder`.
pub(in crate::cli) fn read_identities(identities: &[IdentityFile], folder: &Path, now: Timestamp) -> Credentials {
    let mut credentials = Credentials::default();
    for (i, identity) in identities.iter().enumerate() {
        let new = match identity.mode {
            SendMode::StaRelay | SendMode::StaMx => credentials.signing(i, identity, folder, now),
            SendMode::Edge => credentials.mailbox(i, identity, folder),
        };
        credentials.identities.extend(new);
    }
    credentials
}

impl Credentials {
    fn signing(&mut self, i: usize, identity: &IdentityFile, folder: &Path, now: Timestamp) -> Option<NewIdentity> {
        let certificate = self.file(i, "certificate_file", folder, identity.certificate_file.as_ref()?);
        let key = self.secret(i, "key_file", folder, identity.key_file.as_ref()?);
        let (certificate, key) = (certificate?, key?);
        let signer = match KeySigner::read(&certificate, &key) {
            Ok(signer) => signer,
            Err(error) => {
                let error = anyhow::Error::from(error);
                self.problems.push(format!("identity[{i}].certificate_file: cannot be used with its key: {error:#}"));
                return None;
            }
        };
        let own = signer.certificate();
        for refused in [checks::bound(own, &identity.address), checks::digest(own)].into_iter().filter_map(Result::err) {
            self.problems.push(format!("identity[{i}].certificate_file: {refused}"));
        }
        if let Err(error) = checks::dates(own, now) {
            self.warnings.push(format!("identity[{i}].certificate_file: receivers will not believe it: {error}"));
        } else if !mark(own.valid_until(), now).is_empty() {
            self.warnings.push(format!("identity[{i}].certificate_file: expires soon, after {}", last_day(own.valid_until())));
        }
        // As PEM without remarks, whatever form it came in, so that the same certificate reads the same.
        let pem = std::iter::once(own).chain(signer.chain()).map(Certificate::pem).collect::<Result<String, _>>();
        let pem = pem.map_err(|error| self.problems.push(format!("identity[{i}].certificate_file: {error}"))).ok()?;
        Some(self.identity(identity, Some(pem), Some(key)))
    }

    /// Without a password the relay has to know us by client certificate.
    fn mailbox(&mut self, i: usize, identity: &IdentityFile, folder: &Path) -> Option<NewIdentity> {
        let Some(name) = &identity.password_file else { return Some(self.identity(identity, None, None)) };
        let mut password = self.secret(i, "password_file", folder, name)?;
        while password.last().is_some_and(|last| matches!(last, b'\n' | b'\r')) {
            password.pop();
        }
        if password.is_empty() || password.iter().any(u8::is_ascii_control) {
            self.problems.push(format!("identity[{i}].password_file: is not one line with a password"));
            return None;
        }
        Some(self.identity(identity, None, Some(password)))
    }

    #[expect(clippy::unused_self, reason = "reads as the end of the two above")]
    fn identity(&self, file: &IdentityFile, certificate: Option<String>, secret: Option<Zeroizing<Vec<u8>>>) -> NewIdentity {
        NewIdentity { address: file.address.clone(), mode: file.mode, relay: file.relay.clone(), certificate, secret }
    }

    fn file(&mut self, i: usize, field: &str, folder: &Path, name: &str) -> Option<Vec<u8>> {
        let path = folder.join(name);
        let read = std::fs::read(&path);
        read.map_err(|error| self.problems.push(format!("identity[{i}].{field}: cannot read {}: {error}", path.display()))).ok()
    }

    fn secret(&mut self, i: usize, field: &str, folder: &Path, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        let path: PathBuf = folder.join(name);
        let secret = self.file(i, field, folder, name).map(Zeroizing::new)?;
        let mode = path.metadata().map_or(0, |file| file.permissions().mode() & 0o777);
        if mode & 0o077 != 0 {
            self.warnings.push(format!(
                "identity[{i}].{field}: others can read {} (mode {mode:04o}); run chmod 600 on it, or delete it now that it is stored",
                path.display()
            ));
        }
        Some(secret)
    }
}

/// What differs from what is on record; secrets are compared and never shown.
pub(super) async fn changes(
    store: &Store,
    before: Option<&Organization>,
    identities: &[NewIdentity],
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
        let shown = |secret: Option<&Zeroizing<Vec<u8>>>, word: &str| secret.map(|_| word.to_owned());
        if old_secret != new.secret {
            let what = if new.mode == SendMode::Edge { "password" } else { "key" };
            note(what, shown(old_secret.as_ref(), "(another)"), shown(new.secret.as_ref(), "(not shown)"));
        }
    }
    Ok(changes)
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
