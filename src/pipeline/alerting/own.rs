//! What this process sees and others cannot: its relays' breakers, what its loops say, its disks.

use std::{path::Path, time::Duration};

use super::{Alerting, machine};
use crate::domain::alert::{AlertKind, Condition};

/// A disk that does not answer in this time is another trouble.
const PATIENCE: Duration = Duration::from_secs(5);

impl Alerting {
    /// What is wrong here.
    pub(super) async fn own_signs(&self) -> Vec<Condition> {
        let mut signs = self.gateway.health.troubles();
        for relay in self.gateway.post.relays() {
            signs.extend(relay.trouble().map(|why| Condition::new(AlertKind::RelayDown, relay.name(), 0, 0).saying(why)));
        }
        for folder in &self.folders {
            signs.extend(self.disk(folder).await);
        }
        signs
    }

    async fn disk(&self, folder: &Path) -> Option<Condition> {
        let place = folder.to_owned();
        let asked = tokio::task::spawn_blocking(move || rustix::fs::statvfs(&place));
        let disk = tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()?.ok()?;
        let percent = disk.f_bavail.saturating_mul(100).checked_div(disk.f_blocks)?;
        let limit = self.rules.disk_percent;
        let level = match percent {
            percent if percent >= limit => return None,
            percent if percent * 4 < limit => 2,
            percent if percent * 2 < limit => 1,
            _ => 0,
        };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize) / 1_000_000;
        let subject = format!("{} on {}", folder.display(), machine());
        Some(Condition::new(AlertKind::DiskSpace, subject, percent, limit).level(level).saying(format!("{free} MB free")))
    }
}
