//! Whether each address that sends has a way in for what comes back: without one every delivery ends as never answered.

use super::Finding;
use crate::{
    cli::context::Context,
    config::Config,
    domain::{DirectAddress, OrgScope, organization::SendMode},
};

const OPEN: &str = "set listen in [smtp_in] and let the MX record of the address's domain, or the HISP, point to it; or give one of \
                    the [[relay]] sections imap with auth, a mailbox that gets the mail of all our addresses";
const MAILBOX: &str = "give the address's [[relay]] an imap section, so that its mailbox there is looked into (see Its mailboxes in \
                       the sample configuration); or, if the HISP delivers to us, set listen in [smtp_in] and say where it comes \
                       from: inbound_from or inbound_auth of the [[relay]]";
const PASSWORD: &str = "give the identity the password of its mailbox (password_file), or the relay's imap an auth of its own";

/// An address that sends.
struct Sender {
    address: DirectAddress,
    mode: SendMode,
    relay: Option<String>,
    has_password: bool,
}

/// One finding for each address that has no way in, or one that all have.
pub(super) async fn findings(context: &Context, stored: bool) -> Vec<Finding> {
    let config = context.config();
    let own = config.identity.iter().map(|own| Sender {
        address: own.address.clone(),
        mode: own.mode,
        relay: own.relay.clone(),
        has_password: own.password_file.is_some(),
    });
    let mut senders: Vec<Sender> = own.collect();
    // A store that cannot be opened has its own finding.
    if stored && let Ok(store) = context.open_store().await {
        for organization in store.organizations(OrgScope::All).await.unwrap_or_default() {
            senders.extend(organization.identities.into_iter().map(|identity| Sender {
                address: identity.address,
                mode: identity.mode,
                relay: identity.relay,
                has_password: identity.has_secret,
            }));
        }
        store.close().await;
    }
    let mut bad: Vec<Finding> = senders.iter().filter_map(|sender| without(config, sender)).collect();
    if bad.is_empty() && !senders.is_empty() {
        bad.push(Finding::good("way in for notices", "every address that sends has one"));
    }
    bad
}

/// What is wrong with the way in of one address, if anything is.
fn without(config: &Config, sender: &Sender) -> Option<Finding> {
    let what = format!("way in for notices to {}", sender.address);
    let bad = |says: &'static str, fix| Some(Finding::bad(what.clone(), anyhow::anyhow!(says), fix));
    let door = config.smtp_in.listen.is_some();
    let for_all = config.relay.iter().any(|relay| relay.imap.as_ref().is_some_and(|imap| imap.auth.is_some()));
    if sender.mode != SendMode::Edge {
        return if door || for_all { None } else { bad("there is none: no notice can arrive", OPEN) };
    }
    // In the clear it counts only by the address's own mailbox or its relay's link.
    let relay = config.relay.iter().find(|relay| Some(&relay.name) == sender.relay.as_ref())?;
    let link = door && (!relay.inbound_from.is_empty() || relay.inbound_auth.is_some());
    match &relay.imap {
        Some(imap) if imap.auth.is_some() || sender.has_password => None,
        Some(_) if !link => bad("its mailbox cannot be looked into: there is no password", PASSWORD),
        None if !link => bad("there is none: no notice can arrive that counts", MAILBOX),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Verdict;

    fn judged(config: &str, mode: SendMode, has_password: bool) -> Option<&'static str> {
        let config: Config = toml::from_str(config).unwrap();
        let sender = Sender { address: "us@lab.example".parse().unwrap(), mode, relay: Some("hisp".into()), has_password };
        without(&config, &sender).and_then(|finding| {
            assert_eq!(finding.verdict, Verdict::Bad);
            finding.fix
        })
    }

    #[test]
    fn an_address_without_a_way_in_is_told_what_to_configure() {
        const DOOR: &str = "[smtp_in]\nlisten = \"127.0.0.1:2525\"\n";
        const RELAY: &str = "[[relay]]\nname = \"hisp\"\nhost = \"h.example\"\n";
        const IMAP: &str = "imap = { host = \"h.example\" }\n";
        const FOR_ALL: &str = "imap = { host = \"h.example\", auth = { user = \"all@lab.example\", password = \"p\" } }\n";
        const LINK: &str = "inbound_from = [\"192.0.2.0/28\"]\n";
        let (sta, mx, edge) = (SendMode::StaRelay, SendMode::StaMx, SendMode::Edge);
        for (config, mode, has_password, fix) in [
            (RELAY.to_owned(), sta, false, Some(OPEN)),
            (RELAY.to_owned(), mx, false, Some(OPEN)),
            (format!("{DOOR}{RELAY}"), sta, false, None),
            (format!("{RELAY}{FOR_ALL}"), mx, false, None),
            // Another identity's own mailbox is no way in for sealed mail.
            (format!("{RELAY}{IMAP}"), sta, false, Some(OPEN)),
            (RELAY.to_owned(), edge, true, Some(MAILBOX)),
            (format!("{DOOR}{RELAY}"), edge, true, Some(MAILBOX)),
            (format!("{DOOR}{RELAY}{LINK}"), edge, true, None),
            (format!("{RELAY}{LINK}"), edge, true, Some(MAILBOX)),
            (format!("{RELAY}{IMAP}"), edge, true, None),
            (format!("{RELAY}{IMAP}"), edge, false, Some(PASSWORD)),
            (format!("{RELAY}{FOR_ALL}"), edge, false, None),
        ] {
            assert_eq!(judged(&config, mode, has_password), fix, "{mode} with\n{config}");
        }
    }
}
