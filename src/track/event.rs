//! How an event is told: `{"type", "timestamp", "data"}`, as Standard Webhooks recommends, the same by POST and in the feed.
//!
//! It names our ids, the sender's own keys of order and site, and words of closed sets. Nothing about a patient, no title, no
//! address of anybody: what more somebody needs, they ask for with their token.

use serde::Serialize;

use crate::{
    domain::{
        DeliveryId, Reason, ResultId,
        delivery::{Disposition, Fee},
        event::{Cursor, EventKind},
    },
    store::event::EventView,
};

/// One event as it is told.
#[derive(Debug, Clone, Serialize)]
pub struct Told<'a> {
    /// The same wherever and however often it is told.
    pub id: uuid::Uuid,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// When.
    pub timestamp: String,
    /// Its place in the feed.
    pub cursor: Cursor,
    /// To what.
    pub data: Data<'a>,
}

/// What it happened to. What does not apply is left out.
#[derive(Debug, Clone, Serialize)]
pub struct Data<'a> {
    /// The organization's short name.
    pub organization: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<ResultId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<DeliveryId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disposition: Option<Disposition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fee: Option<Fee>,
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<bool>,
}

impl<'a> Told<'a> {
    /// `event` of `organization`; the order's key only when it may be told.
    #[must_use]
    pub fn of(event: &'a EventView, organization: &'a str, order_id: bool) -> Self {
        Self {
            id: event.id,
            kind: event.kind,
            timestamp: event.at.to_string(),
            cursor: event.cursor(),
            data: Data {
                organization,
                order_id: event.order_id.as_deref().filter(|_| order_id),
                site: event.site.as_deref(),
                result: event.result,
                version: event.version,
                delivery: event.delivery,
                webhook: event.webhook.as_deref(),
                state: event.state.as_deref(),
                disposition: event.disposition,
                reason: event.reason,
                fee: event.fee,
                test: event.test,
            },
        }
    }
}
