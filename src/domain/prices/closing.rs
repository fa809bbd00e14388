//! What a period costs when it is closed: what tiers, addresses, a cap, a minimum and rounding add to its lines. Pure.
//!
//! A delivery is charged at its base price the moment it becomes billable: nobody who charges has to know how many there
//! were before, so workers do not wait for each other. What the count changes is one line for each price at the end.

use std::collections::{BTreeMap, BTreeSet};

use super::{EntryType, Rate, Terms, Tiering};
use crate::domain::{Currency, Money, Month, OrgId};

/// The fee code of what an address costs in a month.
pub const ADDRESS_MONTH: &str = "address_month";
/// The fee code of what a cap takes off.
pub const CAP: &str = "cap";
/// The fee code of what a minimum adds.
pub const MINIMUM: &str = "minimum";
/// The fee code of what rounding adds or takes off.
pub const ROUNDING: &str = "rounding";

/// What the lines of one row have in common: they differ in nothing but the delivery.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// Who pays.
    pub bill_to: OrgId,
    /// In what.
    pub currency: Currency,
    /// The site's `local_id`; empty for what is about a whole period.
    pub site: String,
    /// Its cost centre; may be empty.
    pub cost_center: String,
    /// The way it went; empty for what is about a whole period.
    pub channel: String,
    /// Of the result; empty for what is about a whole period.
    pub status: String,
    /// Charge, credit ...
    pub entry_type: EntryType,
    /// What for.
    pub fee_code: String,
    /// `unpriced`, `test`, `tier`, `cap` or empty.
    pub note: String,
    /// The closed month it belongs to.
    pub relates_to: Option<Month>,
    /// Price of one.
    pub unit_price: Money,
    /// The price it was charged by.
    pub price: Option<String>,
}

/// Lines of a period with the same [`Group`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What they have in common.
    pub group: Group,
    /// How many.
    pub quantity: i64,
    /// Quantity times price.
    pub amount: Money,
    /// How many lines.
    pub lines: i64,
    /// The place of the first of them in the ledger.
    pub first: i64,
}

impl Row {
    /// Whether these are charges for deliveries; what an address costs in a month is none.
    #[must_use]
    pub fn is_delivery(&self) -> bool {
        self.group.entry_type == EntryType::Charge && !self.group.channel.is_empty()
    }

    /// Its amount as it stands on a statement: in coins there are. What rounding itself adds is not rounded again.
    #[must_use]
    pub fn rounded(&self) -> Money {
        match self.group.entry_type {
            EntryType::Rounding => Money::ZERO,
            _ => self.amount.rounded(self.group.currency.decimals()),
        }
    }
}

/// What is known about a period when it is closed.
#[derive(Debug, Clone, Copy)]
pub struct Period<'a> {
    /// Whose ledger.
    pub own: OrgId,
    /// The currency of its terms.
    pub currency: &'a Currency,
    /// Its lines, added up.
    pub rows: &'a [Row],
    /// The prices they were charged by, by their ids.
    pub rates: &'a BTreeMap<String, Rate>,
    /// What a period costs beside its deliveries.
    pub terms: Option<&'a Terms>,
    /// From how many of our addresses something was sent.
    pub addresses: i64,
}

/// The lines that close `period`, in the order they are written; `None` when a sum does not fit.
#[must_use]
pub fn lines(period: &Period<'_>) -> Option<Vec<Row>> {
    let mut lines = tiers(period)?;
    let own = |entry_type, fee_code: &str, note: &str, quantity: i64, price: Money| {
        Some(Row {
            group: Group {
                bill_to: period.own,
                currency: period.currency.clone(),
                entry_type,
                fee_code: fee_code.to_owned(),
                note: note.to_owned(),
                unit_price: price,
                ..blank(period)
            },
            quantity,
            amount: price.times(quantity)?,
            lines: 1,
            first: 0,
        })
    };
    if let Some(terms) = period.terms {
        if let Some(price) = terms.address_month.filter(|_| period.addresses > 0) {
            lines.push(own(EntryType::Charge, ADDRESS_MONTH, "", period.addresses, price)?);
        }
        // What comes late from a closed month is beside the minimum and the cap of this one.
        let counts = |row: &&Row| {
            row.group.bill_to == period.own && row.group.currency == *period.currency && row.group.relates_to.is_none()
        };
        let sum = period.rows.iter().chain(&lines).filter(counts).try_fold(Money::ZERO, |sum, row| sum.plus(row.amount))?;
        if let Some(cap) = terms.cap.filter(|cap| sum > *cap) {
            lines.push(own(EntryType::Adjustment, CAP, "cap", 1, cap.minus(sum)?)?);
        } else if let Some(minimum) = terms.minimum.filter(|minimum| sum < *minimum) {
            lines.push(own(EntryType::Minimum, MINIMUM, "", 1, minimum.minus(sum)?)?);
        }
    }
    let rounding = rounding(period, &lines)?;
    lines.extend(rounding);
    Some(lines)
}

fn blank(period: &Period<'_>) -> Group {
    Group {
        bill_to: period.own,
        currency: period.currency.clone(),
        site: String::new(),
        cost_center: String::new(),
        channel: String::new(),
        status: String::new(),
        entry_type: EntryType::Adjustment,
        fee_code: String::new(),
        note: String::new(),
        relates_to: None,
        unit_price: Money::ZERO,
        price: None,
    }
}

/// What the last delivery of a price cost in the end: so much is given back for one when its month is closed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LastPrice {
    /// Who paid.
    pub bill_to: OrgId,
    /// By which price.
    pub price: String,
    /// How much.
    pub amount: Money,
}

/// The last price of each price that depends on the count; `None` when a sum does not fit.
#[must_use]
pub fn last_prices(period: &Period<'_>) -> Option<Vec<LastPrice>> {
    let counted = counted(period)?;
    let last = counted.into_iter().filter(|one| one.quantity > 0).map(|one| {
        let amount = one.rate.cost(one.before + one.quantity - 1, 1, one.all)?;
        Some(LastPrice { bill_to: one.bill_to, price: one.price.to_owned(), amount })
    });
    last.collect()
}

/// One line for each price whose deliveries cost something else by their number.
fn tiers(period: &Period<'_>) -> Option<Vec<Row>> {
    let mut lines = Vec::new();
    for one in counted(period)? {
        let difference = one.rate.cost(one.before, one.quantity, one.all)?.minus(one.amount)?;
        if difference != Money::ZERO {
            let group = Group {
                bill_to: one.bill_to,
                currency: one.currency,
                fee_code: one.rate.fee_code.clone(),
                note: "tier".to_owned(),
                unit_price: difference,
                price: Some(one.price.to_owned()),
                ..blank(period)
            };
            lines.push(Row { group, quantity: 1, amount: difference, lines: 1, first: 0 });
        }
    }
    Some(lines)
}

/// What was charged by one price for one payer, and its place among those that count on from each other.
struct Counted<'a> {
    bill_to: OrgId,
    price: &'a str,
    rate: &'a Rate,
    currency: Currency,
    amount: Money,
    first: i64,
    before: i64,
    quantity: i64,
    all: i64,
}

fn counted<'a>(period: &Period<'a>) -> Option<Vec<Counted<'a>>> {
    let mut charged: BTreeMap<(OrgId, &str), Counted<'_>> = BTreeMap::new();
    for row in period.rows {
        let Some((price, rate)) = row.group.price.as_deref().and_then(|id| period.rates.get_key_value(id)) else { continue };
        // What belongs to a closed month was counted there; what was free for another reason does not count at all.
        if !row.group.note.is_empty() || row.group.relates_to.is_some() || !rate.depends_on_count() {
            continue;
        }
        let sum = charged.entry((row.group.bill_to, price)).or_insert_with(|| Counted {
            bill_to: row.group.bill_to,
            price,
            rate,
            currency: row.group.currency.clone(),
            amount: Money::ZERO,
            first: i64::MAX,
            before: 0,
            quantity: 0,
            all: 0,
        });
        let taken_back = row.group.entry_type != EntryType::Charge;
        sum.quantity = sum.quantity.checked_add(if taken_back { -row.quantity } else { row.quantity })?;
        sum.amount = sum.amount.plus(row.amount)?;
        sum.first = sum.first.min(row.first);
    }
    // Prices that follow each other count on: the order is that of their first lines.
    let mut counted: Vec<Counted<'_>> = charged.into_values().collect();
    let key = |one: &Counted<'_>| (one.bill_to, one.rate.fee_code.clone(), one.rate.channel, one.rate.status);
    counted.sort_by_cached_key(|one| (key(one), one.first));
    for chain in counted.chunk_by_mut(|one, next| key(one) == key(next)) {
        let mut all = 0_i64;
        for one in chain.iter_mut() {
            one.quantity = one.quantity.max(0);
            one.before = all;
            all = all.checked_add(one.quantity)?;
        }
        for one in chain {
            one.all = all;
        }
    }
    Some(counted)
}

impl Rate {
    /// What `quantity` deliveries cost when there were `before` of them in the period and there are `all` in the end;
    /// `None` when it does not fit.
    #[must_use]
    pub fn cost(&self, before: i64, quantity: i64, all: i64) -> Option<Money> {
        let end = before.checked_add(quantity)?;
        let mut cost = Money::ZERO;
        let edges: BTreeSet<i64> = std::iter::once(i64::from(self.included))
            .chain(self.tiers.iter().map(|tier| i64::from(tier.above)))
            .filter(|edge| before < *edge && *edge < end)
            .chain([before, end])
            .collect();
        let edges: Vec<i64> = edges.into_iter().collect();
        for part in edges.windows(2) {
            let (from, to) = (part[0], part[1]);
            if from < i64::from(self.included) {
                continue;
            }
            let price = match self.tiering {
                Tiering::Graduated => self.price_of(to),
                Tiering::Volume => self.price_of(all),
            };
            cost = cost.plus(price.times(to - from)?)?;
        }
        Some(cost)
    }

    /// What the delivery with this number (from 1) costs by its tier.
    fn price_of(&self, number: i64) -> Money {
        self.tiers.iter().rev().find(|tier| i64::from(tier.above) < number).map_or(self.amount, |tier| tier.amount)
    }
}

/// One line for each payer and currency whose rows are not whole coins.
fn rounding(period: &Period<'_>, lines: &[Row]) -> Option<Vec<Row>> {
    let mut lost: BTreeMap<(OrgId, Currency), Money> = BTreeMap::new();
    for row in merged(period.rows.iter().chain(lines))? {
        let sum = lost.entry((row.group.bill_to, row.group.currency.clone())).or_default();
        *sum = sum.plus(row.rounded())?.minus(row.amount)?;
    }
    let lost = lost.into_iter().filter(|(_, amount)| *amount != Money::ZERO).map(|((bill_to, currency), amount)| {
        let fee_code = ROUNDING.to_owned();
        let group = Group { bill_to, currency, entry_type: EntryType::Rounding, fee_code, unit_price: amount, ..blank(period) };
        Row { group, quantity: 1, amount, lines: 1, first: 0 }
    });
    Some(lost.collect())
}

/// Rows with the same group as one, in order; `None` when a sum does not fit.
#[must_use]
pub fn merged<'r>(rows: impl IntoIterator<Item = &'r Row>) -> Option<Vec<Row>> {
    let mut merged: BTreeMap<Group, Row> = BTreeMap::new();
    for row in rows {
        if let Some(known) = merged.get_mut(&row.group) {
            known.quantity = known.quantity.checked_add(row.quantity)?;
            known.amount = known.amount.plus(row.amount)?;
            known.lines = known.lines.checked_add(row.lines)?;
            known.first = known.first.min(row.first);
        } else {
            merged.insert(row.group.clone(), row.clone());
        }
    }
    Some(merged.into_values().collect())
}

#[cfg(test)]
mod tests;
