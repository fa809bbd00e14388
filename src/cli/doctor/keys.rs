//! What `doctor` says about our own certificates, the token and the bundles.

use super::Finding;
use crate::{
    cli::{context::Context, expiry::last_day, table::clean},
    domain::{
        Timestamp,
        identity::{KeyUse, Nearness},
    },
    pipeline::tokens,
    store::reach::ends::{self, Ends, Own},
};

const RENEW: &str = "import the next one with postern trust identities import: it takes over by itself";
const BUNDLE: &str =
    "look at postern trust bundles list, then run postern trust bundles refresh (--accept-shrink when it is right)";

pub(super) async fn examine(context: &Context) -> Vec<Finding> {
    let url = &context.config().store.url;
    let found = match url.sqlite_file() {
        Some(path) if !path.exists() => Ok(Ends::default()),
        Some(path) => ends::of_file(&path).await,
        None => ends::of_server(url.expose()).await,
    };
    let mut findings = Vec::new();
    // That it cannot be reached is said elsewhere.
    if let Ok(found) = found {
        findings.extend(certificates(&found.own, context.clock.now()));
        findings.extend(found.failing.iter().map(|failing| {
            let what = format!("bundle {} of {}", clean(&failing.name), failing.organization);
            Finding::bad(what, anyhow::anyhow!("{}", clean(&failing.error)), BUNDLE)
        }));
    }
    let section = &context.config().token;
    if section.module.is_some() {
        findings.push(match tokens::load(section) {
            Ok(_) => Finding::good("token", "its module can be loaded, and its PIN be read"),
            Err(error) => Finding::bad("token", error, "correct [token]"),
        });
    }
    findings
}

/// One line for each certificate that nothing replaces.
fn certificates(all: &[Own], now: Timestamp) -> Vec<Finding> {
    let same = |one: &Own, other: &Own| one.organization == other.organization && one.address == other.address;
    let replaced = |one: &Own| all.iter().any(|other| same(one, other) && one.term.is_replaced_by(&other.term));
    let finding = |own: &Own| {
        let what = match own.term.used_for {
            KeyUse::Sign => format!("signing certificate of {}", own.address),
            KeyUse::Encrypt => format!("encryption certificate of {}", own.address),
            KeyUse::Both => format!("certificate of {}, for signing and encryption", own.address),
        };
        let says = format!("ends in {} days, after {}", own.term.days_left(now), last_day(own.term.until));
        match own.term.nearness(now) {
            None => Finding::good(what, says),
            Some(Nearness::Expired) => {
                Finding::bad(what, anyhow::anyhow!("has expired, after {}", last_day(own.term.until)), RENEW)
            }
            // There is time, but somebody has to begin.
            Some(Nearness::Sixty | Nearness::Thirty) => Finding::note(what, says, RENEW),
            Some(Nearness::Seven) => Finding::bad(what, anyhow::anyhow!(says), RENEW),
        }
    };
    all.iter().filter(|own| !replaced(own)).map(finding).collect()
}
