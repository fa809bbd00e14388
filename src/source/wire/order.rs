//! Orders on the wire.

use super::{
    fields::{Fields, Findings},
    json::Node,
    patient::{self, KEY_LIMIT, Whose},
};
use crate::domain::{
    Order,
    order::{Action, HealthPlan, Priority, Procedure, Provider, Recipient, Role},
    text::FIELD_LIMIT,
    time::Date,
};

/// Longest code of a procedure, taxonomy or state.
const CODE_LIMIT: usize = 50;
/// Most recipients of one order.
const MOST_RECIPIENTS: usize = 50;

/// What a sender says about an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderMessage {
    /// Create it, or repeat it.
    New(Box<Order>),
    /// Replace what was said before.
    Change(Box<Order>),
    /// Deliver nothing further for it. Needs no more than the keys.
    Cancel(CancelledOrder),
}

/// The keys of an order to cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelledOrder {
    /// The sender's key.
    pub order_id: String,
    /// The site, when given.
    pub site: Option<String>,
}

impl OrderMessage {
    /// What is wanted.
    #[must_use]
    pub const fn action(&self) -> Action {
        match self {
            Self::New(_) => Action::New,
            Self::Change(_) => Action::Change,
            Self::Cancel(_) => Action::Cancel,
        }
    }

    /// The sender's key of the order.
    #[must_use]
    pub fn order_id(&self) -> &str {
        match self {
            Self::New(order) | Self::Change(order) => &order.order_id,
            Self::Cancel(cancelled) => &cancelled.order_id,
        }
    }

    /// The order itself; a cancellation has none.
    #[must_use]
    pub fn order(self) -> Option<Order> {
        match self {
            Self::New(order) | Self::Change(order) => Some(*order),
            Self::Cancel(_) => None,
        }
    }
}

const MEMBERS: [&str; 11] = [
    "patient",
    "ordering_provider",
    "procedure",
    "encounter",
    "exam_state",
    "scheduled_at",
    "health_plan",
    "priority",
    "do_not_deliver",
    "deliver_to",
    "site",
];

/// Reads an order.
pub(super) fn read(findings: &Findings, at: &str, node: &Node<'_>, today: Date) -> Option<OrderMessage> {
    let mut fields = Fields::of(findings, at, node)?;
    let action = fields.word("action", Action::New);
    let order_id = fields.required_text("order_id", KEY_LIMIT);
    if action == Action::Cancel {
        let site = fields.text("site", KEY_LIMIT);
        // Many senders repeat the whole order to cancel it; only its keys count, so the rest is not judged.
        for member in MEMBERS {
            fields.take(member);
        }
        fields.done();
        return Some(OrderMessage::Cancel(CancelledOrder { order_id: order_id?, site }));
    }
    let site = fields.required_text("site", KEY_LIMIT);
    let patient = fields.require("patient").and_then(|node| patient::read(findings, &fields.pointer("patient"), node, today));
    let ordering_provider = provider(&mut fields, "ordering_provider");
    let procedure = fields.take("procedure").and_then(|node| procedure(findings, &fields.pointer("procedure"), node));
    let encounter = fields.text("encounter", KEY_LIMIT);
    let exam_state = fields.text("exam_state", CODE_LIMIT);
    let scheduled_at = patient::time(&mut fields, "scheduled_at");
    let health_plan = fields.take("health_plan").and_then(|node| health_plan(findings, &fields.pointer("health_plan"), node));
    let priority = fields.word("priority", Priority::Routine);
    let do_not_deliver = fields.flag("do_not_deliver").unwrap_or(false);
    let deliver_to = fields.list("deliver_to", MOST_RECIPIENTS);
    let deliver_to = deliver_to.iter().filter_map(|(at, node)| recipient(findings, at, node)).collect();
    fields.done();
    let order = Box::new(Order {
        order_id: order_id?,
        site: site?,
        patient: patient?,
        ordering_provider,
        procedure,
        encounter,
        exam_state,
        scheduled_at,
        health_plan,
        priority,
        do_not_deliver,
        deliver_to,
    });
    Some(if action == Action::Change { OrderMessage::Change(order) } else { OrderMessage::New(order) })
}

/// Reads a clinician.
pub(super) fn provider(fields: &mut Fields<'_, '_>, name: &str) -> Option<Provider> {
    let node = fields.take(name)?;
    let mut inner = Fields::of(fields.findings(), &fields.pointer(name), node)?;
    let provider = Provider {
        npi: inner.stated("npi", "npi_invalid", "identity"),
        taxonomy: inner.text("taxonomy", CODE_LIMIT),
        name: clinician(&mut inner),
    };
    inner.done();
    (provider != Provider::default()).then_some(provider)
}

fn clinician(fields: &mut Fields<'_, '_>) -> Option<crate::domain::order::PersonName> {
    let node = fields.take("name")?;
    patient::name(fields.findings(), &fields.pointer("name"), node, Whose::Clinician)
}

fn procedure(findings: &Findings, at: &str, node: &Node<'_>) -> Option<Procedure> {
    let mut fields = Fields::of(findings, at, node)?;
    let code = fields.required_text("code", CODE_LIMIT);
    let system = fields.text("system", CODE_LIMIT);
    let display = fields.text("display", FIELD_LIMIT);
    fields.done();
    Some(Procedure { code: code?, system, display })
}

fn health_plan(findings: &Findings, at: &str, node: &Node<'_>) -> Option<HealthPlan> {
    let mut fields = Fields::of(findings, at, node)?;
    let plan = HealthPlan {
        id: fields.text("id", KEY_LIMIT),
        name: fields.text("name", FIELD_LIMIT),
        member_id: fields.text("member_id", KEY_LIMIT),
    };
    fields.done();
    Some(plan)
}

fn recipient(findings: &Findings, at: &str, node: &Node<'_>) -> Option<Recipient> {
    let mut fields = Fields::of(findings, at, node)?;
    let before = findings.problems.borrow().len();
    let recipient = Recipient {
        role: fields.word("role", Role::Other),
        direct: fields.stated("direct", "address_invalid", "target"),
        npi: fields.stated("npi", "npi_invalid", "target"),
        name: clinician(&mut fields),
        organization: fields.text("organization", FIELD_LIMIT),
    };
    fields.done();
    // Delivery instructions never cost an order its acceptance: the next routing rule applies.
    if recipient.direct.is_none() && recipient.npi.is_none() && findings.problems.borrow().len() == before {
        findings.warning(at, "no_address", "has neither `direct` nor `npi`; kept, but no target can be taken from it");
    }
    Some(recipient)
}
