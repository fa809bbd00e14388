//! `postern org apply`: what the file says is in force afterwards, and nothing else; prices only grow.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::credentials::{self, Credentials};
use crate::{
    cli::{
        Exit,
        context::{Context, Global, Output, with_store},
        print, say,
        table::{clean, print_json},
    },
    config::organization::{self, OrganizationError},
    domain::{
        DirectAddress, OrgScope,
        organization::{OrganizationFile, PriceList},
    },
    store::{
        Store,
        changes::{self, Change},
    },
};

/// What a rate can be charged for.
const FEE_CODES: [&str; 2] = ["direct", "direct_resend"];

/// Make an organization what its file says, and show what that changes
///
/// Certificate, key and password files are read relative to the organization file, once, and stored encrypted. A running
/// gateway goes by the change within seconds. Applying the same file again changes nothing.
///
/// Prices are never removed: one that is no longer in the file stays in force until another begins.
#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// The organization file (TOML)
    file: PathBuf,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(apply: &Apply, global: &Global) -> anyhow::Result<Exit> {
    let file = match organization::read(&apply.file) {
        Ok(file) => file,
        Err(error @ OrganizationError::Read { .. }) => return Err(error.into()),
        Err(error) => {
            say(&format!("error: {error}"));
            return Ok(Exit::Bad);
        }
    };
    // Whose it is stands in the file alone: the audit trail names it all the same.
    let global = &Global { config: global.config.clone(), ran: global.ran.about(&file.slug) };
    let folder = apply.file.parent().unwrap_or(Path::new("")).to_owned();
    with_store(global, async |context, store| {
        let token = &context.config().token;
        let Credentials { identities, keys, secrets, mut warnings, mut problems } =
            credentials::read(&file, &folder, token, context.clock.now());
        warnings.extend(warn(&file, context));
        problems.extend(unknown_senders(&file, context));
        problems.extend(unknown_sponsors(&file, store).await?);
        for warning in &warnings {
            say(&format!("warning: {warning}"));
        }
        if !problems.is_empty() {
            say(&format!("error: {}:\n  {}", apply.file.display(), problems.join("\n  ")));
            return Ok(Exit::Bad);
        }
        let before = store.organization_by_slug(OrgScope::All, &file.slug).await?;
        let (prices, terms) = match &before {
            Some(before) => (store.prices(before.id).await?, store.terms(before.id).await?),
            None => (Vec::new(), Vec::new()),
        };
        let mut changes = changes::of_files(before.as_ref().map(|before| &before.file), &file);
        changes.extend(credentials::changes(store, before.as_ref(), &identities, &keys).await?);
        changes.extend(credentials::secret_changes(store, before.as_ref(), &file, &secrets).await?);
        let (priced, kept) = changes::of_prices(&prices, &terms, file.price.as_ref());
        changes.extend(priced);

        let applied = !apply.dry_run && !changes.is_empty();
        let mut shown = Vec::new();
        if applied {
            let org = store.apply_organization_with_secrets(&file, &identities, &keys, &secrets).await?;
            shown = credentials::made(store, org, before.as_ref(), &file).await?;
        }
        if apply.output.json {
            print_json(&json!({ "slug": file.slug, "created": applied && before.is_none(), "applied": applied,
                "changes": changes, "kept": kept, "warnings": warnings,
                "secrets": shown.iter().map(|(name, secret)| json!({ "webhook": name, "secret": &**secret })).collect::<Vec<_>>() }))?;
        } else {
            show(&file.slug, before.is_none(), &changes)?;
            for (name, secret) in &shown {
                print(&format!("  the secret of webhook {}: {}\n", clean(name), **secret))?;
            }
        }
        if !shown.is_empty() {
            say("keep the secrets now: they are not shown again");
        }
        for line in &kept {
            say(&format!("note: {line}"));
        }
        say(match (changes.is_empty(), apply.dry_run) {
            (true, _) => "no changes",
            (false, true) => "dry run: nothing was changed",
            (false, false) => "applied",
        });
        Ok(Exit::Good)
    })
}

fn show(slug: &str, new: bool, changes: &[Change]) -> anyhow::Result<()> {
    if new {
        print(&format!("{slug} (new)\n"))?;
    } else if !changes.is_empty() {
        print(&format!("{slug}\n"))?;
    }
    for change in changes {
        print(&format!("  {change}\n"))?;
    }
    Ok(())
}

/// Sites that would send from an address nobody here has.
fn unknown_senders(file: &OrganizationFile, context: &Context) -> Vec<String> {
    let known = |address: &DirectAddress| {
        file.identities.iter().chain(&context.config().identity).any(|identity| identity.address == *address)
    };
    let sites = file.sites.iter().enumerate().filter(|(_, site)| site.identity.as_ref().is_some_and(|address| !known(address)));
    sites
        .map(|(i, _)| format!("site[{i}].identity: names an address with no [[identity]], neither here nor in the configuration"))
        .collect()
}

/// Sponsors nobody here knows: their share would be billed to the organization itself, and nobody would notice.
async fn unknown_sponsors(file: &OrganizationFile, store: &Store) -> anyhow::Result<Vec<String>> {
    let known: Vec<String> = store.organizations(OrgScope::All).await?.into_iter().map(|known| known.file.slug).collect();
    let mut problems = Vec::new();
    for (i, j, slug) in
        file.price.iter().flat_map(PriceList::sponsors).filter(|(_, _, slug)| !known.iter().any(|known| known == slug))
    {
        problems.push(format!(
            "price.terms[{i}].sponsor[{j}].organization: there is no organization {slug:?}; apply its file first, or mend the name"
        ));
    }
    Ok(problems)
}

/// What will work otherwise than somebody may think.
fn warn(file: &OrganizationFile, context: &Context) -> Vec<String> {
    let mut warnings = Vec::new();
    let relays = &context.config().relay;
    for (i, identity) in file.identities.iter().enumerate() {
        if let Some(name) = identity.relay.as_ref().filter(|name| !relays.iter().any(|relay| relay.name == **name)) {
            warnings.push(format!(
                "identity[{i}].relay: the configuration has no [[relay]] named {name:?}; nothing can be sent by it"
            ));
        }
    }
    match context.config().identity.first() {
        Some(own) if file.identities.is_empty() => {
            say(&format!("note: there is no [[identity]]; the installation's is used, {}", own.address));
        }
        None if file.identities.is_empty() => warnings.push("there is no [[identity]]: nothing can be sent".to_owned()),
        _ => {}
    }
    let rates = file.price.iter().flat_map(|price| &price.rates);
    for (i, rate) in rates.enumerate().filter(|(_, rate)| !FEE_CODES.contains(&rate.fee_code.as_str())) {
        warnings.push(format!(
            "price.rate[{i}].fee_code: nothing is charged as {:?}, only as {}",
            rate.fee_code,
            FEE_CODES.join(" or ")
        ));
    }
    warnings
}
