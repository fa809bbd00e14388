//! Reading what is imported, and refusing what can never be of use.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{ImportAnchors, ImportCertificates};
use crate::{
    cli::{
        Exit,
        context::{self, Global, with_store},
        expiry::last_day,
        read, say,
        table::{Rows, clean, print_json},
    },
    crypto::Hex,
    domain::{OrgId, OrgScope, Timestamp},
    store::{
        Store,
        trust::{AnchorKind, AnchorUse},
    },
    trust::{
        Anchors, Certificate, path,
        taking::{authority_problem, names},
    },
};

/// What became of the certificates of an import.
#[derive(Default)]
struct Tally {
    taken: Vec<Taken>,
    refused: Vec<(PathBuf, String)>,
}

struct Taken {
    name: String,
    certificate: Certificate,
}

impl Tally {
    /// Every certificate of the files; a file that cannot be read as certificates is refused as a whole.
    fn of(files: &[PathBuf]) -> anyhow::Result<(Self, Vec<(&Path, Certificate)>)> {
        let (mut tally, mut all) = (Self::default(), Vec::new());
        for file in files {
            match Certificate::read_all(&read(file)?) {
                Ok(found) => all.extend(found.into_iter().map(|certificate| (file.as_path(), certificate))),
                Err(error) => tally.refused.push((file.clone(), error.to_string())),
            }
        }
        Ok((tally, all))
    }

    fn refuse(&mut self, file: &Path, why: String) {
        self.refused.push((file.to_owned(), why));
    }

    fn show(&self, as_json: bool) -> anyhow::Result<Exit> {
        if as_json {
            let imported: Vec<Value> = self
                .taken
                .iter()
                .map(|Taken { name, certificate }| {
                    json!({ "name": name, "fingerprint": fingerprint(certificate), "valid_until": certificate.valid_until().to_string() })
                })
                .collect();
            let refused: Vec<Value> = self.refused.iter().map(|(file, why)| json!({ "file": file, "problem": why })).collect();
            print_json(&json!({ "imported": imported, "refused": refused }))?;
        } else if !self.taken.is_empty() {
            let mut rows = Rows::new(&["imported", "last day", "fingerprint"]);
            for Taken { name, certificate } in &self.taken {
                rows.push([name.clone(), last_day(certificate.valid_until()).to_string(), fingerprint(certificate)]);
            }
            rows.print()?;
        }
        for (file, why) in &self.refused {
            say(&format!("refused: {}: {}", file.display(), clean(why)));
        }
        Ok(if self.refused.is_empty() { Exit::Good } else { Exit::Bad })
    }
}

fn fingerprint(certificate: &Certificate) -> String {
    Hex(&certificate.fingerprint()).to_string()
}

pub(super) fn anchors(args: &ImportAnchors, global: &Global) -> anyhow::Result<Exit> {
    let kind = if args.intermediate { AnchorKind::Intermediate } else { AnchorKind::Anchor };
    let (mut tally, all) = Tally::of(&args.files)?;
    with_store(global, async |context, store| {
        let organization = context::organization(store, &args.organization).await?;
        let now = context.clock.now();
        for (file, certificate) in all {
            if let Some(why) = authority_problem(&certificate, kind, now) {
                tally.refuse(file, why);
                continue;
            }
            let until = certificate.valid_until();
            store
                .import_anchor_for(organization.id, kind, args.used_for, certificate.der(), &fingerprint(&certificate), until)
                .await?;
            tally.taken.push(Taken { name: format!("{kind} {}", certificate.subject()), certificate });
        }
        tally.show(args.output.json)
    })
}

pub(super) fn certificates(args: &ImportCertificates, global: &Global) -> anyhow::Result<Exit> {
    let (mut tally, all) = Tally::of(&args.files)?;
    with_store(global, async |context, store| {
        let organization = context::organization(store, &args.organization).await?;
        let now = context.clock.now();
        let believed = Believed::read(store, organization.id).await?;
        for (file, certificate) in all {
            if certificate.is_authority() {
                say(&format!("left out: {}: '{}' is an authority", file.display(), clean(&certificate.subject())));
                continue;
            }
            let names = match names(&certificate, args.pin.as_ref(), now) {
                Ok(names) => names,
                Err(why) => {
                    tally.refuse(file, why);
                    continue;
                }
            };
            believed.warn(&certificate, now);
            for name in names {
                let until = certificate.valid_until();
                store.import_certificate(organization.id, &name, certificate.der(), &fingerprint(&certificate), until).await?;
                tally.taken.push(Taken { name, certificate: certificate.clone() });
            }
        }
        if tally.taken.is_empty() && tally.refused.is_empty() {
            say("there is no recipient's certificate in there; authorities are imported with: postern trust anchors import");
            return Ok(Exit::Bad);
        }
        tally.show(args.output.json)
    })
}

/// What an organization believes now.
struct Believed {
    anchors: Anchors,
    intermediates: Vec<Certificate>,
}

impl Believed {
    async fn read(store: &Store, org: OrgId) -> anyhow::Result<Self> {
        let (mut anchors, mut intermediates) = (Vec::new(), Vec::new());
        for row in store.anchors_for(OrgScope::One(org), AnchorUse::Send).await? {
            let certificate = Certificate::from_der(&row.der)?;
            if row.name == AnchorKind::Anchor.as_str() { anchors.push(certificate) } else { intermediates.push(certificate) }
        }
        Ok(Self { anchors: Anchors::new(anchors), intermediates })
    }

    /// An anchor may be imported later, so this is no reason to refuse.
    fn warn(&self, certificate: &Certificate, now: Timestamp) {
        // Judged as of its first day when that is still to come.
        let at = now.max(certificate.valid_from());
        if at > now {
            say(&format!(
                "warning: the certificate '{}' is not valid before {}",
                clean(&certificate.subject()),
                certificate.valid_from()
            ));
        }
        if let Err(error) = path::find(certificate, &self.intermediates, &self.anchors, at) {
            say(&format!("warning: nothing will be sealed to it as things are: {}", clean(&error.to_string())));
        }
    }
}
