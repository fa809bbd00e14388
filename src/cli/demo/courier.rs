//! Carries the practice HISP's notices into the gateway, as polling the senders' mailboxes would.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use crate::{
    domain::{
        Inbound, OrgScope,
        delivery::Disposition,
        id::InboundId,
        inbound::{Channel, Way},
    },
    sandbox::Mailboxes,
    store::{Store, fallback::Place},
};

/// Longest it waits for all of them.
const PATIENCE: Duration = Duration::from_mins(2);

/// Carries until every delivery that was accepted has its end. `false` when patience ran out.
pub(super) async fn carry(store: &Store, notices: &Mailboxes) -> anyhow::Result<bool> {
    let (began, mut carried) = (Instant::now(), HashSet::new());
    let organizations = store.organizations(OrgScope::All).await?;
    loop {
        for entry in notices.list(None)? {
            if !carried.insert(entry.id) {
                continue;
            }
            let raw = notices.raw(&entry)?;
            let owner = organizations.iter().find_map(|organization| {
                let identity = organization.identities.iter().find(|identity| identity.address == entry.recipient)?;
                Some((organization.id, identity.id))
            });
            let Some((org, identity)) = owner else { continue };
            let mail = Inbound {
                id: InboundId::new(),
                org: Some(org),
                identity: entry.recipient.clone(),
                way: Way::Imap,
                channel: Channel::Mailbox(identity),
                envelope_from: None,
                envelope_to: vec![entry.recipient],
                received_at: entry.received_at,
                raw,
            };
            store.keep_inbound(&mail).await?;
        }
        let counts = store.counts(OrgScope::All).await?;
        // `processed` may still be followed by `dispatched`, which is on its way as well.
        let waiting = counts.dispositions.get(&Disposition::Awaited).copied().unwrap_or(0);
        // What failed may go another way, whose own notices are still to come.
        let moving = super::moving(&counts) > 0 || !store.due_fallbacks(1, &Place::default()).await?.is_empty();
        if waiting == 0 && !moving && store.next_deadline().await?.is_none() {
            return Ok(true);
        }
        if began.elapsed() > PATIENCE {
            return Ok(false);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
