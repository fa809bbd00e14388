use proptest::prelude::*;

use super::*;

fn rate(toml: &str) -> Rate {
    toml::from_str(&format!("from = '2026-01-01'\nfee_code = 'direct'\n{toml}")).unwrap()
}

fn money(text: &str) -> Money {
    text.parse().unwrap()
}

/// A period with so many charges at 0.10 under `rate`, and these terms.
fn closed(rate: Rate, quantity: i64, terms: &str, addresses: i64) -> Vec<(String, String, String)> {
    let own = OrgId::new();
    let terms: Terms = toml::from_str(&format!("from = '2026-01-01'\n{terms}")).unwrap();
    let currency = Currency::default();
    let rates = BTreeMap::from([("p".to_owned(), rate)]);
    let mut period = Period { own, currency: &currency, rows: &[], rates: &rates, terms: Some(&terms), addresses };
    let price = rates["p"].amount;
    let group = Group {
        site: "R1".into(),
        entry_type: EntryType::Charge,
        fee_code: "direct".into(),
        unit_price: price,
        price: Some("p".into()),
        ..blank(&period)
    };
    let rows = [Row { group, quantity, amount: price.times(quantity).unwrap(), lines: quantity, first: 1 }];
    period.rows = &rows;
    let told = |row: Row| (row.group.entry_type.to_string(), row.group.fee_code, row.amount.to_string());
    lines(&period).unwrap().into_iter().map(told).collect()
}

fn line(entry_type: &str, fee_code: &str, amount: &str) -> (String, String, String) {
    (entry_type.into(), fee_code.into(), amount.into())
}

#[test]
fn graduated_tiers_price_each_delivery_by_its_own_place() {
    let rate = rate("amount = '0.25'\ntier = [{ above = 2, amount = '0.20' }, { above = 4, amount = '0.10' }]");
    for (number, cost) in [(0, "0.00"), (1, "0.25"), (2, "0.50"), (3, "0.70"), (4, "0.90"), (5, "1.00"), (6, "1.10")] {
        assert_eq!(rate.cost(0, number, number), Some(money(cost)), "{number}");
    }
    assert_eq!(rate.cost(3, 2, 5), Some(money("0.30")), "a price that follows another counts on");
}

#[test]
fn volume_tiers_price_all_deliveries_like_the_last() {
    let rate = rate("amount = '0.25'\ntiering = 'volume'\ntier = [{ above = 2, amount = '0.20' }]");
    assert_eq!(rate.cost(0, 2, 2), Some(money("0.50")));
    assert_eq!(rate.cost(0, 3, 3), Some(money("0.60")));
}

#[test]
fn included_deliveries_are_free_and_count_towards_the_tiers() {
    let rate = rate("amount = '0.25'\nincluded = 2\ntier = [{ above = 3, amount = '0.10' }]");
    assert_eq!(rate.cost(0, 2, 2), Some(Money::ZERO));
    assert_eq!(rate.cost(0, 5, 5), Some(money("0.45")));
    let volume = Rate { tiering: Tiering::Volume, ..rate };
    assert_eq!(volume.cost(0, 5, 5), Some(money("0.30")));
}

#[test]
fn what_tiers_change_is_one_line() {
    let rate = rate("amount = '0.10'\ntier = [{ above = 100, amount = '0.05' }]");
    assert_eq!(closed(rate.clone(), 300, "", 0), [line("adjustment", "direct", "-10.00")]);
    assert_eq!(closed(rate, 100, "", 0), []);
}

#[test]
fn a_minimum_fills_up_a_cap_takes_off_and_addresses_count_for_both() {
    let plain = || rate("amount = '0.10'");
    assert_eq!(closed(plain(), 10, "minimum = '50'", 0), [line("minimum", "minimum", "49.00")]);
    assert_eq!(closed(plain(), 500, "minimum = '50'", 0), []);
    assert_eq!(closed(plain(), 1000, "cap = '60'", 0), [line("adjustment", "cap", "-40.00")]);
    let both = [line("charge", "address_month", "10.00"), line("minimum", "minimum", "39.00")];
    assert_eq!(closed(plain(), 10, "minimum = '50'\naddress_month = '5'", 2), both);
}

#[test]
fn a_row_is_rounded_once_and_the_ledger_says_what_that_made() {
    assert_eq!(closed(rate("amount = '0.0125'"), 3, "", 0), [line("rounding", "rounding", "0.0025")]);
    assert_eq!(closed(rate("amount = '0.0125'"), 4, "", 0), []);
}

#[test]
fn what_was_taken_back_does_not_count() {
    let own = OrgId::new();
    let currency = Currency::default();
    let rates = BTreeMap::from([("p".to_owned(), rate("amount = '1'\nincluded = 2"))]);
    let mut period = Period { own, currency: &currency, rows: &[], rates: &rates, terms: None, addresses: 0 };
    let group = |entry_type, price: &str, relates_to: Option<&str>| Group {
        entry_type,
        unit_price: money(price),
        price: Some("p".into()),
        relates_to: relates_to.map(|month| month.parse().unwrap()),
        ..blank(&period)
    };
    let rows = [
        Row { group: group(EntryType::Charge, "1", None), quantity: 3, amount: money("3"), lines: 3, first: 1 },
        Row { group: group(EntryType::Credit, "-1", None), quantity: 1, amount: money("-1"), lines: 1, first: 2 },
        Row { group: group(EntryType::Credit, "-1", Some("2025-12")), quantity: 1, amount: money("-1"), lines: 1, first: 5 },
    ];
    period.rows = &rows;
    let lines = lines(&period).unwrap();
    assert_eq!((lines.len(), lines[0].amount), (1, money("-2")), "two stand, both are included");
}

proptest! {
    #[test]
    fn parts_of_a_period_cost_what_the_whole_costs(
        parts in prop::collection::vec(0_i64..500, 1..6), included in 0_u32..300, first in 1_u32..200, second in 200_u32..900, volume: bool,
    ) {
        let tiering = if volume { "volume" } else { "graduated" };
        let rate = rate(&format!("amount = '0.3'\nincluded = {included}\ntiering = '{tiering}'\ntier = [{{ above = {first}, amount = '0.2' }}, {{ above = {second}, amount = '0.1' }}]"));
        let all: i64 = parts.iter().sum();
        let (mut before, mut sum) = (0, Money::ZERO);
        for part in parts {
            sum = sum.plus(rate.cost(before, part, all).unwrap()).unwrap();
            before += part;
        }
        prop_assert_eq!(Some(sum), rate.cost(0, all, all));
        if !volume {
            let one_by_one = (0..all).try_fold(Money::ZERO, |sum, n| sum.plus(rate.cost(n, 1, all)?));
            prop_assert_eq!(Some(sum), one_by_one);
        }
    }

    #[test]
    fn a_closed_period_comes_in_whole_coins_and_within_its_bounds(quantity in 0_i64..3000, price in 1_i64..90_000) {
        let rate = rate(&format!("amount = '{}'", Money::from_micros(price)));
        let lines = closed(rate, quantity, "minimum = '5'\ncap = '100'", 0);
        let added = lines.iter().fold(Money::ZERO, |sum, (_, _, amount)| sum.plus(money(amount)).unwrap());
        let sum = added.plus(Money::from_micros(price * quantity)).unwrap();
        prop_assert_eq!(sum, sum.rounded(2));
        prop_assert!(sum >= money("4.99") && sum <= money("100.01"), "{}", sum);
    }
}
