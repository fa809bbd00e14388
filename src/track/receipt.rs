//! The delivery receipt that consumers of an existing results interface read, so that they can be pointed here unchanged.
//!
//! The names of its fields and its words are theirs. Where that interface has a number of its own for an order, ours has none
//! to give and says 0: match by `OrderLocalId`. A receipt names the address it was delivered to.

use serde::Serialize;

use crate::{
    domain::{
        DeliveryId, Reason, Timestamp,
        delivery::{Disposition, State},
        event::EventKind,
        route::{Rule, Target},
    },
    store::event::EventView,
};

/// What became of a delivery, in the words of the receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum TransmissionStatus {
    /// Nobody can tell whether it arrived.
    Unknown,
    /// It arrived.
    Complete,
    /// It is on its way, or waits for a person.
    Pending,
    /// It did not arrive and will not.
    Failed,
}

/// What a receipt goes by.
#[derive(Debug, Clone)]
pub struct Receipted<'a> {
    /// The delivery: receipts of one carry one transaction's id.
    pub delivery: DeliveryId,
    /// When what it tells happened.
    pub at: Timestamp,
    /// The sender's key of the order.
    pub order_id: Option<&'a str>,
    /// Where it went, and by which rule.
    pub target: Option<&'a Target>,
    /// Our side.
    pub state: State,
    /// Their side.
    pub disposition: Option<Disposition>,
    /// Why.
    pub reason: Option<Reason>,
    /// Whether `processed` is not the end.
    pub wants_dispatched: bool,
    /// When it was handed over.
    pub accepted_at: Option<Timestamp>,
}

/// The receipt itself, field by field.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Receipt<'a> {
    transaction_id: DeliveryId,
    timestamp: String,
    iris_order_id: u32,
    order_local_id: Option<&'a str>,
    time_delivered: Option<String>,
    delivery_type: &'static str,
    endpoint: Option<&'a str>,
    transmission_status: TransmissionStatus,
    success: bool,
    error_message: Option<&'static str>,
    result_object_type: &'static str,
    version: &'static str,
}

impl<'a> Receipted<'a> {
    /// What `event` gives a receipt of: only what changes something for its reader does. `None` for everything else.
    #[must_use]
    pub fn by(event: &'a EventView, order_id: bool) -> Option<Self> {
        let receipted = Self {
            delivery: event.delivery?,
            at: event.at,
            order_id: event.order_id.as_deref().filter(|_| order_id),
            target: event.target.as_ref(),
            state: event.state.as_deref()?.parse().ok()?,
            disposition: event.disposition,
            reason: event.reason,
            wants_dispatched: event.wants_dispatched,
            accepted_at: event.accepted_at,
        };
        let news = match event.kind {
            // It was pending before, and still is.
            EventKind::DeliveryProcessed => receipted.status() == TransmissionStatus::Complete,
            EventKind::DeliveryQueued | EventKind::DeliveryCredited => false,
            _ => true,
        };
        news.then_some(receipted)
    }

    /// In the words of the receipt.
    #[must_use]
    pub const fn status(&self) -> TransmissionStatus {
        use TransmissionStatus as T;
        match (self.state, self.disposition) {
            (State::Accepted, Some(Disposition::Processed)) if self.wants_dispatched => T::Pending,
            // Unconfirmed counts as delivered.
            (
                State::Accepted,
                Some(Disposition::Processed | Disposition::Dispatched | Disposition::Unconfirmed | Disposition::NotExpected),
            ) => T::Complete,
            (State::Accepted, Some(Disposition::Failed | Disposition::Expired))
            | (State::Refused | State::Cancelled | State::Superseded, _) => T::Failed,
            (State::Unknown, _) => T::Unknown,
            (State::Held, _) if matches!(self.reason, Some(Reason::UnconfirmedSend)) => T::Unknown,
            (State::Accepted, Some(Disposition::Awaited) | None)
            | (State::Queued | State::Claimed | State::OnWire | State::Held, _) => T::Pending,
        }
    }

    /// The receipt.
    #[must_use]
    pub fn receipt(&self) -> Receipt<'a> {
        let status = self.status();
        let success = matches!(status, TransmissionStatus::Complete | TransmissionStatus::Pending) && self.state != State::Held;
        let delivered = self.accepted_at.filter(|_| status == TransmissionStatus::Complete);
        Receipt {
            transaction_id: self.delivery,
            timestamp: offset(self.at),
            iris_order_id: 0,
            order_local_id: self.order_id,
            time_delivered: delivered.map(offset),
            delivery_type: match self.target.map(|target| target.rule) {
                Some(Rule::Site | Rule::Organization) => "client-direct-messaging",
                _ => "pcp-direct-messaging",
            },
            endpoint: self.target.map(|target| target.address.as_str()),
            transmission_status: status,
            success,
            error_message: if success { None } else { self.error() },
            result_object_type: "ResultsDeliveryReceipt",
            version: "2.3.1",
        }
    }

    fn error(&self) -> Option<&'static str> {
        let silent = || match self.state {
            State::Unknown => Some(Reason::UnconfirmedSend),
            _ => match self.disposition? {
                Disposition::Failed => Some(Reason::RemoteFailed),
                Disposition::Expired => Some(Reason::NoProcessed),
                _ => None,
            },
        };
        self.reason.or_else(silent).map(Reason::meaning)
    }
}

/// Its readers expect an offset from UTC rather than Z.
fn offset(at: Timestamp) -> String {
    format!("{}+00:00", at.to_string().trim_end_matches('Z'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(state: State, disposition: Option<Disposition>, wants_dispatched: bool) -> serde_json::Value {
        let target = Target {
            address: "pcp.demo@direct.example.org".parse().unwrap(),
            rule: Rule::OrderAddress,
            recipient: None,
            own_site: false,
        };
        let receipted = Receipted {
            delivery: DeliveryId(uuid::Uuid::nil()),
            at: Timestamp(1_768_484_702_100_000),
            order_id: Some("PLC700881"),
            target: Some(&target),
            state,
            disposition,
            reason: None,
            wants_dispatched,
            accepted_at: Some(Timestamp(1_768_484_700_000_000)),
        };
        serde_json::to_value(receipted.receipt()).unwrap()
    }

    #[test]
    fn a_receipt_has_the_fields_its_readers_know() {
        let receipt = of(State::Accepted, Some(Disposition::Dispatched), true);
        let expected = serde_json::json!({
            "TransactionId": "00000000-0000-0000-0000-000000000000", "Timestamp": "2026-01-15T13:45:02.1+00:00",
            "IrisOrderId": 0, "OrderLocalId": "PLC700881", "TimeDelivered": "2026-01-15T13:45:00+00:00",
            "DeliveryType": "pcp-direct-messaging", "Endpoint": "pcp.demo@direct.example.org",
            "TransmissionStatus": "Complete", "Success": true, "ErrorMessage": null,
            "ResultObjectType": "ResultsDeliveryReceipt", "Version": "2.3.1",
        });
        assert_eq!(receipt, expected);
    }

    #[test]
    fn the_status_says_whether_it_arrived() {
        let status = |state, disposition, wants| of(state, disposition, wants)["TransmissionStatus"].clone();
        assert_eq!(status(State::Accepted, Some(Disposition::Awaited), true), "Pending");
        assert_eq!(status(State::Accepted, Some(Disposition::Processed), true), "Pending");
        assert_eq!(status(State::Accepted, Some(Disposition::Processed), false), "Complete");
        assert_eq!(status(State::Accepted, Some(Disposition::Unconfirmed), true), "Complete");
        assert_eq!(status(State::Accepted, Some(Disposition::Expired), true), "Failed");
        assert_eq!(status(State::Refused, None, true), "Failed");
        assert_eq!(status(State::Unknown, None, true), "Unknown");
        assert_eq!(status(State::Held, None, true), "Pending");
    }

    #[test]
    fn a_failure_says_why_and_has_no_time_of_delivery() {
        let receipt = of(State::Accepted, Some(Disposition::Failed), true);
        assert_eq!((&receipt["Success"], &receipt["TimeDelivered"]), (&false.into(), &serde_json::Value::Null));
        assert!(receipt["ErrorMessage"].as_str().unwrap().contains("could not deliver"), "{receipt}");
    }
}
