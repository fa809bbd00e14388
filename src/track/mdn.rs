//! What the machine-readable part of an MDN says (RFC 8098 3.2).

use super::{
    fields::{Fields, address, without_comments},
    notice::{About, message_ids},
};
use crate::domain::delivery::NoticeKind;

/// The field by which a peer says that the final place was meant (Delivery Notification IG 1.3).
const FINAL_DELIVERY: &str = "x-direct-final-destination-delivery";

/// Without a disposition it is neither good nor bad news.
pub(super) fn read(part: &[u8]) -> About {
    let fields = Fields::read(part);
    let (kind, stated) = fields.value("disposition").map(disposition).unwrap_or_default();
    let causes = ["failure", "error", "warning"].iter().filter_map(|name| fields.value(name));
    let cause = causes.collect::<Vec<_>>().join("; ");
    About {
        kind,
        stated,
        message_ids: fields.value("original-message-id").map(message_ids).unwrap_or_default(),
        recipients: ["final-recipient", "original-recipient"].iter().filter_map(|name| fields.value(name)).map(address).collect(),
        status: None,
        cause: Some(cause).filter(|cause| !cause.is_empty()),
        final_delivery: fields.iter().any(|(name, _)| name == FINAL_DELIVERY),
    }
}

/// `automatic-action/MDN-sent-automatically; processed/error` (RFC 8098 3.2.6). The type alone counts, whatever mode stands
/// before it or is missing; a modifier that speaks of an error makes it a failure.
fn disposition(value: &str) -> (Option<NoticeKind>, String) {
    let stated = without_comments(value).rsplit(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (kind, modifier) = stated.split_once('/').unwrap_or((&stated, ""));
    let bad = ["error", "fail", "denied"].iter().any(|word| modifier.contains(word));
    let kind = match kind.trim() {
        "processed" | "dispatched" if bad => Some(NoticeKind::Failed),
        "processed" => Some(NoticeKind::Processed),
        "dispatched" => Some(NoticeKind::Dispatched),
        "failed" | "denied" | "error" => Some(NoticeKind::Failed),
        // `displayed`, `deleted`: a person's doing, and neither good nor bad news for us.
        _ => None,
    };
    (kind, stated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_say_no_is_a_failure() {
        for stated in ["failed", "denied", "error", "processed/error", "dispatched/failed", "FAILED", "processed / Failure"] {
            let (kind, _) = disposition(&format!("automatic-action/MDN-sent-automatically; {stated}"));
            assert_eq!(kind, Some(NoticeKind::Failed), "{stated}");
        }
    }

    #[test]
    fn spaces_case_comments_and_a_missing_mode_change_nothing() {
        for stated in [
            "automatic-action/MDN-sent-automatically;processed",
            "automatic-action / MDN-sent-automatically  ;   Processed ",
            "processed",
            "automatic-action/MDN-sent-automatically (by us); processed (really)",
            "manual-action/MDN-sent-manually; processed/warning",
        ] {
            assert_eq!(disposition(stated).0, Some(NoticeKind::Processed), "{stated}");
        }
        assert_eq!(disposition("manual-action/MDN-sent-manually; displayed"), (None, "displayed".into()));
    }
}
