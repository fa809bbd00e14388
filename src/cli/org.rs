//! `postern org`: customers, as their files say.

/// `postern org apply`.
mod apply;
/// Certificates, keys and passwords an organization file names.
pub(super) mod credentials;
/// `postern org test-message`.
mod test_message;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    Exit,
    context::{self, Global, Output, with_store},
    expiry::last_day,
    print, say,
    table::{Rows, print_json},
};
use crate::{
    crypto::Hex,
    domain::OrgScope,
    store::{
        changes,
        organization::{Identity, Organization},
        price::{ListedTerms, Price},
    },
    trust::Certificate,
};

/// Organizations: list them, show one, apply the file of one
#[derive(Debug, Args)]
pub(crate) struct Org {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the organizations
    List(List),
    /// Show what is in force for one organization, as an organization file
    Show(Show),
    Apply(apply::Apply),
    TestMessage(test_message::TestMessage),
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
struct Show {
    /// Its short name
    slug: String,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(org: &Org, global: &Global) -> anyhow::Result<Exit> {
    match &org.command {
        Command::List(list) => self::list(list, global),
        Command::Show(show) => self::show(show, global),
        Command::Apply(apply) => apply::run(apply, global),
        Command::TestMessage(message) => test_message::run(message, global),
    }
}

fn list(list: &List, global: &Global) -> anyhow::Result<Exit> {
    let all = with_store(global, async |_, store| Ok(store.organizations(OrgScope::All).await?))?;
    if list.output.json {
        let rows: Vec<_> = all
            .iter()
            .map(|organization| {
                let file = &organization.file;
                let identities: Vec<_> = organization.identities.iter().map(|identity| &identity.address).collect();
                json!({ "id": organization.id, "slug": file.slug, "name": file.name, "mode": file.mode,
                        "sites": file.sites.len(), "identities": identities })
            })
            .collect();
        print_json(&rows)?;
        return Ok(Exit::Good);
    }
    if all.is_empty() {
        say("there is no organization yet; write an organization file and: postern org apply FILE");
        return Ok(Exit::Good);
    }
    let mut rows = Rows::new(&["slug", "name", "mode", "sites", "sends from"]);
    for Organization { file, identities, .. } in &all {
        let from = identities.iter().map(|identity| identity.address.as_str()).collect::<Vec<_>>().join(", ");
        rows.push([file.slug.clone(), file.name.clone(), file.mode.to_string(), file.sites.len().to_string(), from]);
    }
    rows.print()?;
    Ok(Exit::Good)
}

fn show(show: &Show, global: &Global) -> anyhow::Result<Exit> {
    let (organization, prices, terms) = with_store(global, async |_, store| {
        let organization = context::organization(store, &show.slug).await?;
        let prices = store.prices(organization.id).await?;
        let terms = store.terms(organization.id).await?;
        Ok((organization, prices, terms))
    })?;
    if show.output.json {
        let identities: Vec<_> = organization
            .identities
            .iter()
            .map(|identity| {
                let certificate = certificate(identity).map(|certificate| {
                    json!({ "fingerprint": Hex(&certificate.fingerprint()).to_string(), "valid_until": certificate.valid_until().to_string() })
                });
                json!({ "address": identity.address, "mode": identity.mode, "relay": identity.relay,
                        "certificate": certificate, "has_secret": identity.has_secret })
            })
            .collect();
        let prices: Vec<_> = prices
            .iter()
            .map(|Price { currency, rate, .. }| {
                let mut shown = json!(rate);
                shown["currency"] = json!(currency);
                shown
            })
            .collect();
        let terms: Vec<_> = terms
            .iter()
            .map(|ListedTerms { currency, terms }| {
                let mut shown = json!(terms);
                shown["currency"] = json!(currency);
                shown
            })
            .collect();
        print_json(
            &json!({ "id": organization.id, "file": organization.file, "identities": identities, "prices": prices, "terms": terms }),
        )?;
        return Ok(Exit::Good);
    }
    print(&toml::to_string(&organization.file)?)?;
    print("\n# On record beside the file:\n")?;
    for identity in &organization.identities {
        print(&format!("#   {}\n", describe(identity)))?;
    }
    for Price { currency, rate, .. } in &prices {
        print(&format!("#   {}: {}\n", changes::name_of(rate), changes::word_of(rate, currency)))?;
    }
    for ListedTerms { currency, terms } in &terms {
        print(&format!("#   terms from {}: {}\n", terms.from, changes::words_of(terms, currency)))?;
    }
    Ok(Exit::Good)
}

/// The certificate of an identity, when it can be read.
fn certificate(identity: &Identity) -> Option<Certificate> {
    Certificate::read_all(identity.certificate.as_ref()?.as_bytes()).ok()?.into_iter().next()
}

fn describe(identity: &Identity) -> String {
    let secret = if identity.has_secret { "a key or password" } else { "no key or password" };
    let certificate = certificate(identity).map_or_else(
        || "no certificate".to_owned(),
        |certificate| {
            let fingerprint = Hex(&certificate.fingerprint()).to_string();
            format!("certificate {} until {}", &fingerprint[..16], last_day(certificate.valid_until()))
        },
    );
    format!("{}: {certificate}, {secret}", identity.address)
}
