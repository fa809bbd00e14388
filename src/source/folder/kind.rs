//! What a JSON file is, as far as the folder has to know.

use crate::source::{Refusal, wire};

/// What to do with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An order.
    Order,
    /// A result with its PDF inside, or one that needs none.
    Complete,
    /// A result whose PDF is the file of the same name.
    WithNeighbour,
}

/// Tells orders from results: an order has `patient`, a result has `status`. Everything else is for the reader of the wire
/// shape.
pub(super) fn of(json: &[u8]) -> Result<Kind, Refusal> {
    let refuse = |detail: &str| Err(Refusal::new(422, "order_or_result", detail));
    let members = wire::glance(json).map_err(Refusal::fields)?;
    // A cancellation needs no patient.
    match (members.has("patient") || members.has("action"), members.has("status")) {
        (true, false) => Ok(Kind::Order),
        // A resend sends the latest version again, and has no PDF of its own.
        (false, true) if members.has("pdf") || members.text("status") == Some("resend") => Ok(Kind::Complete),
        (false, true) => Ok(Kind::WithNeighbour),
        (true, true) => refuse("the file has both patient and status: inside a result the order is called \"order\""),
        (false, false) => refuse("the file has neither patient (an order) nor status (a result)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_has_a_patient_and_a_result_has_a_status() {
        for (json, kind) in [
            (r#"{"patient":{}}"#, Some(Kind::Order)),
            (r#" {"action":"cancel","order_id":"1"}"#, Some(Kind::Order)),
            (r#"{"status":"final","order":{"patient":{}}}"#, Some(Kind::WithNeighbour)),
            (r#"{"status":"final","pdf":"x"}"#, Some(Kind::Complete)),
            (r#"{"status":"final","pdf":null}"#, Some(Kind::WithNeighbour)),
            (r#"{"status":"resend"}"#, Some(Kind::Complete)),
            (r#"{"status":"final","patient":{}}"#, None),
            (r#"{"order_id":"1"}"#, None),
            ("\u{feff}{\"status\":\"resend\"}", Some(Kind::Complete)),
            ("[1]", None),
            (r#"{"status":"fin"#, None),
        ] {
            assert_eq!(of(json.as_bytes()).ok(), kind, "{json}");
        }
    }
}
