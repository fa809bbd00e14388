//! Who pays for the deliveries of others, and what, is for the operator to say: a customer that changes its own price list leaves
//! it as it is. Pure.

use crate::{
    domain::{
        organization::PriceList,
        prices::{Rate, Sponsor},
        time::Date,
    },
    store::price::{ListedTerms, Price},
};

/// Something in a price list that its organization may not change by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotYours {
    /// Where, as a JSON pointer into the organization's document.
    pub field: String,
    /// Why not.
    pub message: &'static str,
}

/// A price list as it is before a customer changes it: what is in force, and all that is on record.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// What its file says.
    pub list: Option<&'a PriceList>,
    /// Every price there is.
    pub prices: &'a [Price],
    /// All terms there are.
    pub terms: &'a [ListedTerms],
    /// The day of the change, where the organization is.
    pub today: Date,
}

impl Standing<'_> {
    /// What `after` would change of what others pay. From each day on the same sponsors pay for the same deliveries; as long as
    /// there are any, now or later, no rate changes, and nothing about what is given back.
    #[must_use]
    pub fn not_yours(&self, after: Option<&PriceList>) -> Vec<NotYours> {
        let mut found = Vec::new();
        for (i, terms) in after.iter().flat_map(|list| &list.terms).enumerate() {
            let (now, then) = (self.sponsors_on(terms.from), &terms.sponsor[..]);
            if let Some(place) = first_difference(now, then) {
                let message = "would let other organizations pay, or pay less or more than before: the operator sets that with postern org apply";
                found.push(NotYours { field: format!("/price/terms/{i}/sponsor{place}"), message });
            }
        }
        if !self.sponsored() {
            return found;
        }
        for (i, rate) in after.iter().flat_map(|list| &list.rates).enumerate() {
            if !self.stands(rate, after) {
                let message = "is a price that other organizations pay here: the operator sets it with postern org apply";
                found.push(NotYours { field: format!("/price/rate/{i}"), message });
            }
        }
        let credits = |list: Option<&PriceList>| [true, false].map(|trust| list.map_or(trust, |list| list.credits(trust)));
        if credits(self.list) != credits(after) {
            let message = "says what is given back to other organizations: the operator sets it with postern org apply";
            found.push(NotYours { field: "/price/credit_failures".to_owned(), message });
        }
        found
    }

    /// Who pays for others from `day` on.
    fn sponsors_on(&self, day: Date) -> &[Sponsor] {
        let begun = self.terms.iter().filter(|listed| listed.terms.from <= day);
        begun.max_by_key(|listed| listed.terms.from).map_or(&[], |listed| &listed.terms.sponsor)
    }

    /// Whether anybody pays for others, today or on a day to come.
    fn sponsored(&self) -> bool {
        let to_come = self.terms.iter().filter(|listed| listed.terms.from > self.today);
        !self.sponsors_on(self.today).is_empty() || to_come.into_iter().any(|listed| !listed.terms.sponsor.is_empty())
    }

    /// Whether exactly this price is on record.
    fn stands(&self, rate: &Rate, list: Option<&PriceList>) -> bool {
        self.prices.iter().any(|known| known.rate == *rate && list.is_some_and(|list| list.currency == known.currency))
    }
}

/// Where the sponsors that are to be part from those there are; the order counts, since the first that fits pays.
fn first_difference(now: &[Sponsor], then: &[Sponsor]) -> Option<String> {
    let at = now.iter().zip(then).position(|(now, then)| now != then).or_else(|| {
        let (shorter, longer) = (now.len().min(then.len()), now.len().max(then.len()));
        (shorter < longer).then_some(shorter)
    })?;
    // What is left out stands nowhere in the document.
    let Some(named) = then.get(at) else { return Some(String::new()) };
    let other = now.get(at).is_none_or(|now| now.organization != named.organization);
    Some(if other { format!("/{at}/organization") } else { format!("/{at}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Currency;

    fn list(text: &str) -> PriceList {
        toml::from_str(text).unwrap()
    }

    const RATE: &str = "rate = [{ from = '2026-01-01', fee_code = 'direct', amount = '0.25' }]\n";
    const PLAN: &str = "terms = [{ from = '2026-03-01', sponsor = [{ organization = 'plan', site = 'R1' }] }]\n";

    /// The fields of `then` that a customer may not say on `today`, when `now` is in force and on record.
    fn refused(now: &str, then: &str, today: &str) -> Vec<String> {
        let (before, after) = (list(now), list(then));
        let price = |rate: &Rate| Price { id: "p".into(), currency: before.currency.clone(), rate: rate.clone() };
        let prices: Vec<Price> = before.rates.iter().map(price).collect();
        let listed = |terms: &_| ListedTerms { currency: Currency::default(), terms: Clone::clone(terms) };
        let terms: Vec<ListedTerms> = before.terms.iter().map(listed).collect();
        let standing = Standing { list: Some(&before), prices: &prices, terms: &terms, today: today.parse().unwrap() };
        standing.not_yours(Some(&after)).into_iter().map(|one| one.field).collect()
    }

    #[test]
    fn a_customer_names_no_sponsor_drops_none_and_widens_none() {
        let now = format!("{RATE}{PLAN}");
        let then = |terms: &str| refused(&now, &format!("{RATE}terms = [{terms}]"), "2026-05-01");
        assert_eq!(refused(&now, &now, "2026-05-01"), [""; 0]);
        assert_eq!(then("{ from = '2026-06-01', minimum = '5', sponsor = [{ organization = 'plan', site = 'R1' }] }"), [""; 0]);
        assert_eq!(then("{ from = '2026-06-01', sponsor = [{ organization = 'plan' }] }"), ["/price/terms/0/sponsor/0"]);
        assert_eq!(then("{ from = '2026-06-01' }"), ["/price/terms/0/sponsor"]);
        assert_eq!(
            then("{ from = '2026-06-01', sponsor = [{ organization = 'other' }] }"),
            ["/price/terms/0/sponsor/0/organization"]
        );
        let two = "{ from = '2026-03-01', sponsor = [{ organization = 'plan', site = 'R1' }, { organization = 'plan' }] }";
        assert_eq!(then(two), ["/price/terms/0/sponsor/1/organization"]);
        // Before the day on which the plan begins to pay nobody else does.
        assert_eq!(then("{ from = '2026-02-01', minimum = '5' }"), [""; 0]);
        assert_eq!(then("{ from = '2026-02-01', sponsor = [{ organization = 'plan', site = 'R1' }] }").len(), 1);
    }

    #[test]
    fn what_others_pay_stays_as_it_is_as_long_as_they_pay() {
        let now = format!("{RATE}{PLAN}");
        let dearer = "rate = [{ from = '2026-06-01', fee_code = 'direct', amount = '9' }]\n";
        for today in ["2026-02-01", "2026-05-01"] {
            assert_eq!(refused(&now, &format!("{dearer}{PLAN}"), today), ["/price/rate/0"], "{today}");
            assert_eq!(refused(&now, &format!("currency = 'EUR'\n{now}"), today), ["/price/rate/0"], "{today}");
            assert_eq!(refused(&now, &format!("credit_failures = 'never'\n{now}"), today), ["/price/credit_failures"], "{today}");
        }
        // A word for what holds already changes nothing.
        assert_eq!(refused(&now, &format!("credit_failures = 'trust'\n{now}"), "2026-05-01"), [""; 0]);
        assert_eq!(refused(RATE, dearer, "2026-05-01"), [""; 0], "nobody else pays");
        let over = format!(
            "{RATE}terms = [{{ from = '2026-03-01', sponsor = [{{ organization = 'plan' }}] }}, {{ from = '2026-04-01' }}]\n"
        );
        assert_eq!(refused(&over, dearer, "2026-05-01"), [""; 0], "nobody else pays any more");
    }
}
