//! Items of a feed that were parked go the way in once more.

use serde_json::Value;

use super::{Accepted, Intake, Sender, SourceError, wire::Unknown};
use crate::{
    domain::ResultId,
    observe::{events::ParkedItemReplayed, facts::Door},
    store::{StoreError, feed::Parked},
};

/// The same way in as from the feed itself. What was taken is removed after it is durable; if that fails it is taken once more,
/// and recognised. What is refused again stays parked, with what is wrong now.
///
/// # Errors
/// When it cannot be stored or read.
pub async fn replay(intake: &Intake, item: &Parked, unknown: Unknown) -> Result<Result<Accepted, Value>, SourceError> {
    let sender = Sender { org: item.org, unknown, door: Door::Feed };
    let payload = intake.store().open_parked(item).await?;
    match intake.result(&sender, payload.to_vec().into(), None, Some(&item.cursor)).await {
        Ok(accepted) => {
            intake.store().remove_parked(item).await?;
            ParkedItemReplayed { org: item.org, item: item.id, result: ResultId(accepted.id) }.emit();
            Ok(Ok(accepted))
        }
        Err(SourceError::Refused(refusal)) => {
            let problems = serde_json::to_value(&refusal).map_err(|_| SourceError::from(StoreError::Lost))?;
            intake.store().note_parked(item, &problems).await?;
            Ok(Err(problems))
        }
        Err(error) => Err(error),
    }
}

/// What is wrong with an item, each problem in a line: field, what is wrong, code. Names fields, never values.
#[must_use]
pub fn problems(item: &Parked) -> Vec<String> {
    let text = |value: &Value, member: &str| value[member].as_str().unwrap_or_default().to_owned();
    let fields = item.problems["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    if fields.is_empty() {
        return vec![format!("{} [{}]", text(&item.problems, "detail"), text(&item.problems, "code"))];
    }
    let line = |field: &Value| {
        let name = text(field, "field");
        let name = if name.is_empty() { "the item".to_owned() } else { name };
        format!("{name} {} [{}]", text(field, "message"), text(field, "code"))
    };
    fields.iter().map(line).collect()
}
