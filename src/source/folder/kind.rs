//! What a JSON file is, as far as the folder has to know.

use serde::de::IgnoredAny;

use crate::source::Refusal;

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

/// The members that tell. Everything else is for the reader of the wire shape.
#[derive(serde::Deserialize)]
struct Members {
    #[serde(default)]
    patient: Option<IgnoredAny>,
    /// A cancellation needs no patient.
    #[serde(default)]
    action: Option<IgnoredAny>,
    #[serde(default)]
    status: Option<serde_json::Value>,
    #[serde(default)]
    pdf: Option<IgnoredAny>,
}

/// Tells orders from results: an order has `patient`, a result has `status`.
pub(super) fn of(json: &[u8]) -> Result<Kind, Refusal> {
    let refuse = |code, detail: &str| Err(Refusal::new(422, code, detail));
    // Serde would read an array into a struct too.
    let is_object = json.trim_ascii_start().starts_with(b"{");
    let Some(members) = serde_json::from_slice::<Members>(json).ok().filter(|_| is_object) else {
        return refuse("malformed", "the file is not a JSON object");
    };
    match (members.patient.is_some() || members.action.is_some(), &members.status) {
        (true, None) => Ok(Kind::Order),
        // A resend sends the latest version again, and has no PDF of its own.
        (false, Some(status)) if members.pdf.is_some() || status == "resend" => Ok(Kind::Complete),
        (false, Some(_)) => Ok(Kind::WithNeighbour),
        (true, Some(_)) => {
            refuse("order_or_result", "the file has both patient and status: inside a result the order is called \"order\"")
        }
        (false, None) => refuse("order_or_result", "the file has neither patient (an order) nor status (a result)"),
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
            ("[1]", None),
            (r#"{"status":"fin"#, None),
        ] {
            assert_eq!(of(json.as_bytes()).ok(), kind, "{json}");
        }
    }
}
