//! Who waits for name servers, directories and issuers takes no place from those who have something to send.
//!
//! Looking for a certificate is waiting for others, and takes as long as they like: some seconds for each domain whose servers
//! are silent. So a delivery that is not answered at once stands up, its place goes to the next one, and when the answer is
//! there it sits down again. Messages are still made and sent by no more at a time than there are places.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::Gateway;
use crate::{
    domain::DirectAddress,
    store::delivery::Claimed,
    trust::{TrustError, Trusted},
};

/// What is answered within this is not worth standing up for.
const SOON: Duration = Duration::from_millis(100);
/// Most that stand at a time: what they hold is little, and yet not nothing.
pub(super) const MOST_STANDING: usize = 256;

impl Gateway {
    /// The recipient's certificate, as [`Gateway::recipient`] has it; whoever has to wait for it does not take a place meanwhile.
    pub(super) async fn recipient_of(&self, claimed: &Claimed, to: &DirectAddress) -> Result<Arc<Trusted>, TrustError> {
        let mut looking = Box::pin(self.recipient(claimed.org, to));
        if let Ok(told) = timeout(SOON, &mut looking).await {
            return told;
        }
        let Ok(_stands) = self.standing.try_acquire() else { return looking.await };
        let _place = claimed.stand();
        // Whoever hands out work has a place more.
        self.store.wake();
        looking.await
    }
}
