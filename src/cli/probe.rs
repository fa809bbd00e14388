//! `postern probe`: whether an address can be sent to, and why.

/// For people.
mod words;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::Value;

use super::{
    Exit, block_on,
    context::{self, Global, Output, with_store},
    exchange, print,
    table::{clean, print_json},
};
use crate::{
    config::Secret,
    domain::{DirectAddress, OrgScope},
    pipeline::probing::{Probed, Prober},
    store::{Store, organization::Organization},
    trust::{Discovery, Inquirer, discovery::Freshness},
};

/// Find out whether an address can be sent to, and why
///
/// Takes the steps a delivery takes: imported certificates, DNS for the address and for its domain, LDAP for both; shows
/// what was asked, of whom, what came, and the verdict on each certificate with every check. Exit code 1 when it cannot be
/// sent to. With --url and --token a running gateway is asked, which sees the network as its deliveries do; --json prints
/// the same either way.
#[derive(Debug, Args)]
pub(crate) struct Probe {
    /// The Direct address
    address: DirectAddress,
    /// Who would send; needed when there are several organizations
    #[arg(long, value_name = "SLUG", conflicts_with = "url")]
    organization: Option<String>,
    /// Ask everybody anew, whatever was answered lately
    #[arg(long)]
    fresh: bool,
    /// Ask the gateway that runs there
    #[arg(long, requires = "token")]
    url: Option<String>,
    /// The API token of the organization that would send
    #[arg(long, env = "POSTERN_TOKEN", hide_env_values = true)]
    token: Option<Secret>,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(probe: &Probe, global: &Global) -> anyhow::Result<Exit> {
    let data = match (&probe.url, &probe.token) {
        (Some(url), Some(token)) => block_on(remote(probe, url, token))??,
        _ => serde_json::to_value(here(probe, global)?)?,
    };
    let probed: Probed = serde_json::from_value(data.clone()).context("the gateway's answer is of another version")?;
    if probe.output.json {
        print_json(&data)?;
    } else {
        print(&words::page(&probed))?;
    }
    Ok(if probed.sendable { Exit::Good } else { Exit::Bad })
}

/// Asked from this process, beside a gateway that may run.
fn here(probe: &Probe, global: &Global) -> anyhow::Result<Probed> {
    with_store(global, async |context, store| {
        let organization = sender(store, probe.organization.as_deref()).await?;
        let discovery = Discovery::new(context.config().discovery.clone(), store.clone());
        let inquirer = Inquirer::new(store.clone(), &context.config().revocation);
        let freshness = if probe.fresh { Freshness::Asked } else { Freshness::Kept };
        Ok(Prober::new(store.clone(), discovery, inquirer).probe(organization.id, &probe.address, freshness).await?)
    })
}

/// Asked of a running gateway; what it refuses is said.
async fn remote(probe: &Probe, url: &str, token: &Secret) -> anyhow::Result<Value> {
    // In the body: a patient may have a Direct address too, and proxies write URLs down.
    let question = serde_json::json!({ "address": probe.address, "fresh": probe.fresh });
    let answer = exchange::question(url, token, "/v1/probe", question.to_string().into_bytes()).await?;
    if answer.is_success() {
        return Ok(answer.body);
    }
    let text = |field: &str| clean(answer.body[field].as_str().unwrap_or_default());
    bail!("the gateway refused ({} {}): {}", answer.status, text("code"), text("detail"))
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
