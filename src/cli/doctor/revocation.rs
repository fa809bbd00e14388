//! What `doctor` says about revocation: whether what issuers publish about our own certificates and about our anchors can be
//! had, how the lists in use fare, and how old the bundles are.

use std::{collections::HashMap, path::Path, time::Duration};

use futures_util::StreamExt as _;

use super::Finding;
use crate::{
    cli::{
        context::Context,
        expiry::last_day,
        org::credentials::read_identities,
        table::clean,
        trust::revocation::{CURRENT, IN_USE, state},
    },
    domain::{DirectAddress, OrgScope, Timestamp, organization::SendMode, statement::StatementKind},
    store::{Store, StoreError, bundle::Bundle, organization::Organization, trust::AnchorUse},
    trust::{Anchors, Certificate, Inquirer, Policy, Revocation, Sourceless, TrustError, believe, pointers::Pointers},
};

const REACH: &str = "see that this machine reaches the place over http (a proxy is not used), or tell the authority that it does not \
                     answer; for an authority of your own, name its network in allow of [revocation]";
const OURS_REVOKED: &str =
    "others refuse what is signed with it: import the next certificate with postern trust identities import";
const ANCHOR_REVOKED: &str = "ask whoever gave it to you; remove it with postern trust anchors remove";
const CHAIN: &str = "put the certificates of its issuers behind it in the file, or import them as intermediates, so that others and this \
                     test can follow its path";
const LISTS: &str = "look at postern trust revocation list, then run postern trust revocation refresh";
const ANCHOR_ENDS: &str = "import the next one with postern trust anchors import, and remove this one";
const STALE: &str = "see that the gateway runs, then postern trust bundles refresh; a bundle from a file: import the newer file";

/// So many certificates are asked about at a time.
const AT_A_TIME: usize = 8;
/// More anchors than this are not asked about one by one: bundles have hundreds.
const MOST_ANCHORS: usize = 50;
/// An anchor that ends within this is worth a word.
const SOON: Duration = Duration::from_hours(24 * 30);
/// A bundle is stale when it was not confirmed for so many of its intervals.
const INTERVALS: u32 = 3;
/// A bundle from a file that is older than this.
const OLD_FILE: Duration = Duration::from_hours(24 * 180);

pub(super) async fn findings(context: &Context) -> Vec<Finding> {
    // A store that cannot be opened has its own finding.
    let Ok(store) = context.open_store().await else { return Vec::new() };
    let inquirer = Inquirer::new(store.clone(), &context.config().revocation);
    let now = context.clock.now();
    let mut findings = Vec::new();
    for organization in store.organizations(OrgScope::All).await.unwrap_or_default() {
        match of(&store, &inquirer, &organization, now).await {
            Ok(found) => findings.extend(found),
            Err(error) => findings.push(Finding::bad(
                format!("trust of {}", organization.file.slug),
                error,
                "see that the database answers",
            )),
        }
    }
    // Those of the installation itself; what is wrong with their files has a finding of its own.
    let config = context.config();
    for identity in read_identities(&config.identity, Path::new(""), &config.token, now).identities {
        let chain = identity.certificate.as_deref().and_then(|pem| Certificate::read_all(pem.as_bytes()).ok());
        if let Some(chain) = chain {
            findings.push(ours(&inquirer, &identity.address, &chain, &[], now).await);
        }
    }
    findings.extend(lists(&store, now).await);
    store.close().await;
    findings
}

async fn of(store: &Store, inquirer: &Inquirer, organization: &Organization, now: Timestamp) -> Result<Vec<Finding>, StoreError> {
    let stored = store.anchors_for(OrgScope::One(organization.id), AnchorUse::Both).await?;
    let authorities: Vec<Certificate> = stored.iter().filter_map(|row| Certificate::from_der(&row.der).ok()).collect();
    let mut findings = Vec::new();
    let own = own(store, organization).await?;
    let asking = own.iter().map(|(address, chain)| ours(inquirer, address, chain, &authorities, now));
    findings.extend(futures_util::stream::iter(asking).buffered(AT_A_TIME).collect::<Vec<_>>().await);
    let slug = &organization.file.slug;
    let asking = authorities.iter().take(MOST_ANCHORS).map(|anchor| theirs(inquirer, slug, anchor, &authorities, now));
    let asked: Vec<Option<Finding>> = futures_util::stream::iter(asking).buffered(AT_A_TIME).collect().await;
    findings.extend(asked.into_iter().flatten());
    let bundles = store.bundles(OrgScope::One(organization.id)).await?;
    findings.extend(bundles.iter().map(|bundle| staleness(slug, bundle, now)));
    Ok(findings)
}

/// The certificates an organization signs and opens with, each with the chain behind it, without repetitions.
async fn own(store: &Store, organization: &Organization) -> Result<Vec<(DirectAddress, Vec<Certificate>)>, StoreError> {
    let mut all: HashMap<(String, [u8; 32]), (DirectAddress, Vec<Certificate>)> = HashMap::new();
    let mut take = |address: &DirectAddress, pem: &str| {
        if let Ok(chain) = Certificate::read_all(pem.as_bytes())
            && let Some(first) = chain.first()
        {
            all.insert((address.key(), first.fingerprint()), (address.clone(), chain));
        }
    };
    let seals = |mode| matches!(mode, SendMode::StaRelay | SendMode::StaMx);
    for identity in organization.identities.iter().filter(|identity| seals(identity.mode)) {
        if let Some(pem) = &identity.certificate {
            take(&identity.address, pem);
        }
    }
    for key in store.identity_keys(OrgScope::One(organization.id)).await? {
        take(&key.address, &key.certificate);
    }
    let mut all: Vec<_> = all.into_values().collect();
    all.sort_by_key(|(address, chain)| (address.key(), chain.first().map(Certificate::fingerprint)));
    Ok(all)
}

/// Whether others can tell that one of our own certificates is not revoked.
async fn ours(
    inquirer: &Inquirer,
    address: &DirectAddress,
    chain: &[Certificate],
    authorities: &[Certificate],
    now: Timestamp,
) -> Finding {
    let what = format!("revocation of our certificate: {address}");
    let Some((certificate, above)) = chain.split_first() else { return Finding::good(what, "there is none") };
    // Whatever stands above it will do: the question is not whether it is believed.
    match ask(inquirer, certificate, &[above, authorities].concat(), now).await {
        Asked::Good(says) => Finding::good(what, says),
        Asked::Revoked => Finding::bad(what, anyhow::anyhow!("it has been revoked"), OURS_REVOKED),
        Asked::NoPath => Finding::note(what, "cannot be asked about: its issuer is not at hand", CHAIN),
        Asked::Unknown(why) => Finding::bad(what, anyhow::anyhow!("{why}"), REACH),
    }
}

/// What can be said about an anchor: nothing when all is well and it has no issuer to ask.
async fn theirs(
    inquirer: &Inquirer,
    slug: &str,
    anchor: &Certificate,
    authorities: &[Certificate],
    now: Timestamp,
) -> Option<Finding> {
    let what = format!("anchor of {slug}: {}", clean(&anchor.subject()));
    let until = anchor.valid_until();
    if until <= now {
        return Some(Finding::bad(what, anyhow::anyhow!("has expired, after {}", last_day(until)), ANCHOR_ENDS));
    }
    if until <= now.plus(SOON) {
        let says = format!("ends after {}", last_day(until));
        return Some(Finding::note(what, says, ANCHOR_ENDS));
    }
    if anchor.is_self_issued() || !Pointers::of(anchor).names_a_source() {
        return None;
    }
    let others: Vec<Certificate> = authorities.iter().filter(|other| *other != anchor).cloned().collect();
    match ask(inquirer, anchor, &others, now).await {
        // An anchor is believed for what it is; whoever issued it need not be known.
        Asked::NoPath => None,
        Asked::Good(says) => Some(Finding::good(what, says)),
        Asked::Revoked => Some(Finding::bad(what, anyhow::anyhow!("has been revoked by its issuer"), ANCHOR_REVOKED)),
        Asked::Unknown(why) => Some(Finding::bad(what, anyhow::anyhow!("{why}"), REACH)),
    }
}

enum Asked {
    Good(String),
    Revoked,
    NoPath,
    Unknown(String),
}

async fn ask(inquirer: &Inquirer, certificate: &Certificate, above: &[Certificate], now: Timestamp) -> Asked {
    let anchors = Anchors::new(above.to_vec());
    let policy = Policy { revocation: Revocation::Hard, sourceless: Sourceless::Accepted, ..Policy::new(&anchors, above) };
    let gathered = inquirer.gather(std::slice::from_ref(certificate), policy, now).await;
    match believe(certificate, gathered.policy(policy), now).map_err(|error| gathered.explain(error)) {
        Ok(_) if !Pointers::of(certificate).names_a_source() => {
            Asked::Good("its issuer names neither a revocation list nor a responder: nobody can ask".to_owned())
        }
        Ok((_, cleared)) => Asked::Good(format!("is not revoked; what its issuer says holds until {}", cleared.until)),
        Err(TrustError::Revoked { .. }) => Asked::Revoked,
        Err(error @ (TrustError::RevocationUnknown { .. } | TrustError::Unavailable(_))) => {
            Asked::Unknown(clean(&error.to_string()))
        }
        // Dates and keys have findings of their own.
        Err(_) => Asked::NoPath,
    }
}

/// The lists that deliveries need.
async fn lists(store: &Store, now: Timestamp) -> Vec<Finding> {
    let what = "revocation lists in use";
    let all = match store.statements().await {
        Ok(all) => all,
        Err(error) => return vec![Finding::bad(what, error, "see that the database answers")],
    };
    let used: Vec<_> = all.iter().filter(|one| one.key.kind == StatementKind::List && now.since(one.used_at) < IN_USE).collect();
    let missing: Vec<_> = used.iter().filter(|one| state(one, now) != CURRENT).collect();
    if missing.is_empty() {
        return vec![Finding::good(what, format!("{} of {} are current", used.len(), used.len()))];
    }
    let finding = |one: &&&crate::store::statement::Statement| {
        let why = one.problem.as_deref().unwrap_or("the next one has not come");
        let says = anyhow::anyhow!("{}: {}: {}", clean(&one.key.url), state(one, now), clean(why));
        Finding::bad(format!("revocation list of {}", clean(&one.issuer)), says, LISTS)
    };
    missing.iter().map(finding).collect()
}

fn staleness(slug: &str, bundle: &Bundle, now: Timestamp) -> Finding {
    let what = format!("age of bundle {} of {slug}", clean(&bundle.name));
    let most = if bundle.url.is_some() { bundle.refresh * INTERVALS } else { OLD_FILE };
    let Some(at) = bundle.refreshed_at else {
        return Finding::bad(what, anyhow::anyhow!("it was never confirmed"), STALE);
    };
    let says = format!("{} anchors, confirmed {} hours ago", bundle.anchors, now.since(at).as_secs() / 3600);
    if now.since(at) > most { Finding::bad(what, anyhow::anyhow!(says), STALE) } else { Finding::good(what, says) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::doctor::Verdict,
        domain::{OrgId, id::BundleId},
    };

    #[test]
    fn a_bundle_that_was_not_confirmed_for_three_intervals_is_stale() {
        let now = Timestamp(1_800_000_000_000_000);
        let hour = Duration::from_hours(1);
        let bundle = |url: Option<&str>, ago: Option<Duration>| Bundle {
            id: BundleId::new(),
            org: OrgId::new(),
            name: "b".to_owned(),
            used_for: AnchorUse::Both,
            url: url.map(str::to_owned),
            internal: false,
            signer: None,
            refresh: hour,
            most_lost: 20,
            refreshed_at: ago.map(|ago| now.minus(ago)),
            tried_at: None,
            next_at: now,
            error: None,
            shrunk_to: None,
            anchors: 7,
        };
        let url = Some("https://bundles.example/b");
        for (url, ago, verdict) in [
            (url, Some(hour * 3), Verdict::Good),
            (url, Some(hour * 3 + Duration::from_secs(1)), Verdict::Bad),
            (url, None, Verdict::Bad),
            (None, Some(hour * 24 * 180), Verdict::Good),
            (None, Some(hour * 24 * 181), Verdict::Bad),
        ] {
            let found = staleness("north", &bundle(url, ago), now);
            assert_eq!(found.verdict, verdict, "{found:?}");
            assert_eq!(found.fix.is_some(), verdict == Verdict::Bad);
        }
    }
}
