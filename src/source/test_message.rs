//! A test message: a made-up patient's report, taken in and sent as every other is.

use bytes::Bytes;
use serde_json::json;
use uuid::Uuid;

use super::{Accepted, Intake, Refusal, Sender, SourceError, wire::Unknown};
use crate::{
    crypto::{Hex, sha256},
    domain::{DirectAddress, OrgId},
    observe::facts::Door,
    store::StoreError,
};

/// One page that says that it is no result.
const PDF: &[u8] = include_bytes!("test_message.pdf");

/// What is sent, and where to.
#[derive(Debug, Clone, Copy)]
pub struct TestMessage<'a> {
    /// From this site of the organization, by its `local_id`.
    pub site: &'a str,
    /// To this address; besides to wherever every result of the site goes.
    pub address: &'a DirectAddress,
    /// Names this wish among its repeats: the same again is the same message.
    pub repeat: Option<&'a str>,
}

impl TestMessage<'_> {
    /// The sender's key of its order.
    fn order_id(&self, org: OrgId) -> String {
        let Some(repeat) = self.repeat else { return format!("TEST-{}", Uuid::now_v7().simple()) };
        let texts =
            [org.to_string().as_str(), repeat, self.site, &self.address.key()].map(|text| format!("{}:{text}", text.len()));
        format!("TEST-{}", &Hex(&sha256(texts.concat().as_bytes())).to_string()[..32])
    }
}

/// Takes a test message in. Durable when this returns.
///
/// # Errors
/// [`SourceError::Refused`] when the organization has no such site; otherwise as for every result.
pub async fn take(intake: &Intake, org: OrgId, message: &TestMessage<'_>) -> Result<Accepted, SourceError> {
    let organization = intake.store().organization(org).await?.ok_or(StoreError::NoOrganization)?;
    if organization.site(message.site).is_none() {
        return Err(Refusal::field("/site", "unknown", "is no site of the organization").into());
    }
    let order_id = message.order_id(org);
    let order = json!({ "order_id": order_id, "site": message.site,
        "patient": { "local_id": "TEST", "name": { "family": "Testpatient", "given": ["Nobody"] }, "birth_date": "1970-01-01", "gender": "U" },
        "deliver_to": [{ "role": "other", "direct": message.address }] });
    let result = json!({ "order_id": order_id, "site": message.site, "status": "final", "title": "Test message, not a result", "order": order });
    let sender = Sender { org, unknown: Unknown::Refuse, door: Door::Api };
    intake.result(&sender, Bytes::from(result.to_string()), Some(Bytes::from_static(PDF)), None).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_wish_has_the_same_key_and_another_wish_another() {
        let (org, one, other) = (OrgId::new(), "a@d.example".parse().unwrap(), "b@d.example".parse().unwrap());
        let wish = TestMessage { site: "S1", address: &one, repeat: Some("k") };
        assert_eq!(wish.order_id(org), wish.order_id(org));
        assert_ne!(wish.order_id(org), wish.order_id(OrgId::new()));
        assert_ne!(wish.order_id(org), TestMessage { address: &other, ..wish }.order_id(org));
        assert_ne!(wish.order_id(org), TestMessage { repeat: Some("l"), ..wish }.order_id(org));
        let unnamed = TestMessage { repeat: None, ..wish };
        assert_ne!(unnamed.order_id(org), unnamed.order_id(org));
    }
}
