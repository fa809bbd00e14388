//! `postern probe`: whether an address can be sent to, and why.

/// For people.
mod words;

use std::time::Duration;

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use super::{
    Exit,
    context::{self, Global, Output, with_store},
    print,
    table::print_json,
};
use crate::{
    crypto::Hex,
    domain::{DirectAddress, OrgId, OrgScope},
    store::{Store, organization::Organization, trust::AnchorKind},
    trust::{
        Anchors, Certificate, Discovery, Inquirer, Policy,
        discovery::{Asked, Believing, Freshness, Said, Search, Step, Verdict},
    },
};

/// Find out whether an address can be sent to, and why
///
/// Takes the steps a delivery takes: imported certificates, DNS for the address and for its domain, LDAP for both; shows
/// what was asked, of whom, what came, and the verdict on each certificate. Exit code 1 when it cannot be sent to.
#[derive(Debug, Args)]
pub(crate) struct Probe {
    /// The Direct address
    address: DirectAddress,
    /// Who would send; needed when there are several organizations
    #[arg(long, value_name = "SLUG")]
    organization: Option<String>,
    /// Ask everybody anew, whatever was answered lately
    #[arg(long)]
    fresh: bool,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(probe: &Probe, global: &Global) -> anyhow::Result<Exit> {
    let address = &probe.address;
    let (organization, search) = with_store(global, async |context, store| {
        let organization = sender(store, probe.organization.as_deref()).await?;
        let (anchors, intermediates) = believed(store, organization.id).await?;
        let discovery = Discovery::new(context.config().discovery.clone(), store.clone());
        let inquirer = Inquirer::new(store.clone(), &context.config().revocation);
        let strictness = organization.file.trust.sending();
        let policy = Policy::under(&strictness, &anchors, &intermediates);
        let judge = Believing { inquirer: &inquirer, policy, address, at: context.clock.now() };
        let freshness = if probe.fresh { Freshness::Asked } else { Freshness::Kept };
        let search = discovery.find(organization.id, address, &judge, freshness).await;
        Ok((organization, search))
    })?;
    if probe.output.json {
        print_json(&data(address, &organization, &search))?;
    } else {
        print(&words::page(address, &organization, &search))?;
    }
    Ok(if search.outcome.is_ok() { Exit::Good } else { Exit::Bad })
}

/// Whose anchors count.
async fn sender(store: &Store, slug: Option<&str>) -> anyhow::Result<Organization> {
    if let Some(slug) = slug {
        return context::organization(store, slug).await;
    }
    let mut all = store.organizations(OrgScope::All).await?;
    match (all.pop(), all.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => bail!("there is no organization yet; make one with: postern org apply"),
        (Some(_), false) => bail!("there are several organizations: say who would send with --organization"),
    }
}

async fn believed(store: &Store, org: OrgId) -> anyhow::Result<(Anchors, Vec<Certificate>)> {
    let (mut anchors, mut intermediates) = (Vec::new(), Vec::new());
    for row in store.anchors(OrgScope::One(org)).await? {
        let certificate = Certificate::from_der(&row.der)?;
        if row.name == AnchorKind::Anchor.as_str() { anchors.push(certificate) } else { intermediates.push(certificate) }
    }
    Ok((Anchors::new(anchors), intermediates))
}

fn data(address: &DirectAddress, organization: &Organization, search: &Search) -> Value {
    let mut data = json!({
        "address": address, "organization": organization.file.slug, "sendable": search.outcome.is_ok(),
        "steps": search.steps.iter().map(step).collect::<Vec<_>>(),
    });
    let more = match &search.outcome {
        Ok(trusted) => json!({
            "place": search.place(),
            "certificate": certificate(trusted.recipient().certificate()),
            "path": trusted.path().certificates().iter().map(Certificate::subject).collect::<Vec<_>>(),
            "valid_until": trusted.valid_until().to_string(),
        }),
        Err(error) => json!({ "reason": error.reason(), "why": error.to_string(), "remedy": error.reason().remedy() }),
    };
    if let (Value::Object(data), Value::Object(more)) = (&mut data, more) {
        data.extend(more);
    }
    data
}

fn step(step: &Step) -> Value {
    json!({ "place": step.place, "end": step.end, "asked": step.asked.iter().map(asked).collect::<Vec<_>>() })
}

/// One question and what came, for programs. `postern doctor` shows the same.
pub(super) fn asked(asked: &Asked) -> Value {
    let mut data = json!({
        "what": asked.what, "of": asked.of, "age_seconds": asked.age.map(|age| age.as_secs()), "took_ms": millis(asked.took),
    });
    let (said, more) = match &asked.said {
        Said::Nothing => ("nothing", Value::Null),
        Said::Unavailable(why) => ("unavailable", json!({ "why": why })),
        Said::Directories(all) => {
            ("directories", json!({ "directories": all.iter().map(ToString::to_string).collect::<Vec<_>>() }))
        }
        Said::Certificates(all) => ("certificates", json!({ "certificates": all.iter().map(verdict).collect::<Vec<_>>() })),
    };
    if let Value::Object(data) = &mut data {
        data.insert("said".into(), said.into());
        if let Value::Object(more) = more {
            data.extend(more);
        }
    }
    data
}

fn verdict(verdict: &Verdict) -> Value {
    let mut data = verdict.certificate.as_ref().map_or_else(|| json!({}), certificate);
    if let Value::Object(data) = &mut data {
        if let Some(url) = &verdict.url {
            data.insert("url".into(), url.as_str().into());
        }
        data.insert("valid".into(), verdict.judged.is_ok().into());
        if let Err(error) = &verdict.judged {
            data.insert("reason".into(), error.reason().as_str().into());
            data.insert("why".into(), error.to_string().into());
        }
    }
    data
}

fn certificate(certificate: &Certificate) -> Value {
    json!({
        "subject": certificate.subject(), "bound_to": certificate.names().to_string(), "key": certificate.key_words(),
        "valid_from": certificate.valid_from().to_string(), "valid_until": certificate.valid_until().to_string(),
        "fingerprint": Hex(&certificate.fingerprint()).to_string(),
    })
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
