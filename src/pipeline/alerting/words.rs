//! What is said: one message for everything that is to be said to one listener at one time, as plain text and as JSON.

use std::collections::{BTreeSet, HashMap};

use askama::Template;
use serde_json::{Value, json};

use crate::{
    domain::{
        OrgId, Timestamp,
        alert::{Alert, AlertKind, Said, Severity},
        id::AlertId,
    },
    store::alert::Telling,
};

/// More of one sort nobody reads.
const MOST_LINES: usize = 30;

/// What is sent.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// Neutral: it names nothing.
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) json: Value,
}

/// What a message is made from.
pub(super) struct Material<'a> {
    /// The installation's name.
    pub(super) name: &'a str,
    /// To an organization or, with `None`, to the operators.
    pub(super) to: Option<OrgId>,
    pub(super) tellings: &'a [Telling],
    /// Those the tellings name.
    pub(super) alerts: &'a HashMap<AlertId, Alert>,
    /// What is open and theirs.
    pub(super) open: &'a [Alert],
    /// What organizations are called.
    pub(super) slugs: &'a HashMap<OrgId, String>,
    pub(super) now: Timestamp,
}

#[derive(Template)]
#[template(path = "mail/alerts.txt", escape = "none")]
struct Text {
    opening: String,
    sections: Vec<Section>,
    remedies: Vec<Remedy>,
    closing: &'static str,
}

struct Section {
    heading: &'static str,
    lines: Vec<Line>,
    more: usize,
}

struct Line {
    title: String,
    whose: String,
    subject: String,
    since: String,
    measured: String,
    ended: String,
    cared: String,
    kind: AlertKind,
    id: AlertId,
}

struct Remedy {
    kind: AlertKind,
    meaning: &'static str,
    to_do: &'static str,
}

/// What is said about one alert when several things are: it is over, whatever went before; else the worst.
fn last_said(tellings: &[Telling]) -> Vec<(AlertId, Said)> {
    let rank = |said| match said {
        Said::Resolved => 3,
        Said::Escalated => 2,
        Said::Worse => 1,
        Said::Opened | Said::Digest => 0,
    };
    let mut last: Vec<(AlertId, Said)> = Vec::new();
    let mut places: HashMap<AlertId, usize> = HashMap::new();
    for telling in tellings {
        let Some(alert) = telling.alert else { continue };
        match places.get(&alert) {
            Some(place) if rank(last[*place].1) >= rank(telling.said) => {}
            Some(place) => last[*place].1 = telling.said,
            None => {
                places.insert(alert, last.len());
                last.push((alert, telling.said));
            }
        }
    }
    last
}

impl Material<'_> {
    /// The message; `None` when nothing of it is worth saying any more.
    pub(super) fn message(&self) -> Option<Message> {
        let said: Vec<(&Alert, Said)> =
            last_said(self.tellings).into_iter().filter_map(|(id, said)| Some((self.alerts.get(&id)?, said))).collect();
        let digest = self.tellings.iter().any(|telling| telling.said == Said::Digest);
        let named: BTreeSet<AlertId> = said.iter().map(|(alert, _)| alert.id).collect();
        let rest: Vec<&Alert> = self.open.iter().filter(|alert| digest && !named.contains(&alert.id)).collect();
        if said.is_empty() && rest.is_empty() {
            return None;
        }
        let of =
            |which: Said| -> Vec<&Alert> { said.iter().filter(|(_, said)| *said == which).map(|(alert, _)| *alert).collect() };
        let groups = [
            ("NOBODY HAS CARED FOR", "not cared for", of(Said::Escalated)),
            ("NEW", "new", of(Said::Opened)),
            ("WORSE", "worse", of(Said::Worse)),
            ("STILL OPEN", "still open", rest),
            ("OVER", "over", of(Said::Resolved)),
        ];
        let counts: Vec<String> =
            groups.iter().filter(|(_, _, all)| !all.is_empty()).map(|(_, word, all)| format!("{} {word}", all.len())).collect();
        let critical = groups[..4].iter().flat_map(|(_, _, all)| all).any(|alert| severity(alert) == Severity::Critical);
        let counts = counts.join(", ");
        let to_do: BTreeSet<AlertKind> =
            groups[..4].iter().flat_map(|(_, _, all)| all).map(|alert| alert.condition.kind).collect();
        let sections = groups.iter().filter(|(_, _, all)| !all.is_empty()).map(|(heading, _, all)| Section {
            heading,
            lines: all.iter().take(MOST_LINES).map(|alert| self.line(alert)).collect(),
            more: all.len().saturating_sub(MOST_LINES),
        });
        let text = Text {
            opening: format!("Alerts of {} at {}: {counts}.", self.name, self.now.utc().plain()),
            sections: sections.collect(),
            remedies: to_do.into_iter().map(|kind| Remedy { kind, meaning: kind.meaning(), to_do: kind.remedy() }).collect(),
            closing: "postern alerts list shows what is open; postern alerts ack ID says that you care.\nNothing here is about a patient.",
        };
        Some(Message {
            subject: format!("[{}] {}{counts}", self.name, if critical { "CRITICAL: " } else { "" }),
            // A template without calls of its own cannot fail; an empty text would still say that there is something.
            text: text.render().unwrap_or_default(),
            json: self.json(&said, digest),
        })
    }

    fn line(&self, alert: &Alert) -> Line {
        let condition = &alert.condition;
        let kind = condition.kind;
        let measured: Vec<String> =
            [condition.measured(), condition.detail.clone()].into_iter().filter(|text| !text.is_empty()).collect();
        Line {
            title: format!("{}: {}", severity(alert), kind.title()),
            whose: if self.to.is_none() { self.slug(condition.org) } else { String::new() },
            subject: condition.subject.clone(),
            since: time(alert.first_seen),
            measured: measured.join("; "),
            ended: alert.resolved_at.map(time).unwrap_or_default(),
            cared: alert.acked_by.clone().unwrap_or_default(),
            kind,
            id: alert.id,
        }
    }

    fn slug(&self, org: Option<OrgId>) -> String {
        org.and_then(|org| self.slugs.get(&org).cloned()).unwrap_or_default()
    }

    /// Every alert, also those that a mail only counts.
    fn json(&self, said: &[(&Alert, Said)], digest: bool) -> Value {
        let one = |alert: &Alert, said: Said| {
            let mut value = shown(alert, &self.slug(alert.condition.org));
            value["said"] = json!(said);
            value
        };
        let mut alerts: Vec<Value> = said.iter().map(|(alert, said)| one(alert, *said)).collect();
        if digest {
            alerts.extend(self.open.iter().map(|alert| one(alert, Said::Digest)));
        }
        json!({
            "type": "alerts",
            "timestamp": self.now.to_string(),
            "data": { "installation": self.name, "open": self.open.len(), "alerts": alerts },
        })
    }
}

fn severity(alert: &Alert) -> Severity {
    alert.condition.kind.severity()
}

fn time(at: Timestamp) -> String {
    at.utc().plain()
}

/// One alert for programs: the webhook's and the command line's.
#[must_use]
pub fn shown(alert: &Alert, organization: &str) -> Value {
    let condition = &alert.condition;
    let kind = condition.kind;
    let at = |time: Option<Timestamp>| time.map(|time| time.to_string());
    json!({
        "id": alert.id, "kind": kind, "severity": kind.severity(), "subject": condition.subject,
        "organization": (!organization.is_empty()).then_some(organization),
        "level": condition.level, "value": condition.value, "limit": condition.limit, "detail": condition.detail,
        "since": alert.first_seen.to_string(), "opened_at": at(alert.opened_at), "escalated_at": at(alert.escalated_at),
        "acked_at": at(alert.acked_at), "acked_by": alert.acked_by, "resolved_at": at(alert.resolved_at),
        "meaning": kind.meaning(), "remedy": kind.remedy(),
    })
}
