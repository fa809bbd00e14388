//! Invoices for QuickBooks Desktop: what a closed month costs each payer, one transaction that adds up to zero.
//!
//! IIF is tab-separated and has no way to write a tab or a line end inside a cell, and what was loaded cannot be taken back:
//! so such characters are left out, and the number of the statement stands in DOCNUM, where a second import shows.

use std::io::Write;

use super::super::{BillError, Statement};
use crate::domain::Money;

/// How accounts are called in the books.
#[derive(Debug, Clone, Copy)]
pub struct Accounts<'a> {
    /// What payers owe.
    pub receivable: &'a str,
    /// What was earned.
    pub income: &'a str,
}

const HEADER: &str = "!TRNS\tTRNSTYPE\tDATE\tACCNT\tNAME\tAMOUNT\tDOCNUM\tMEMO\r\n\
    !SPL\tTRNSTYPE\tDATE\tACCNT\tNAME\tAMOUNT\tDOCNUM\tMEMO\tQNTY\tPRICE\tINVITEM\r\n\
    !ENDTRNS\r\n";

/// Writes one transaction for each statement and currency: an invoice, or a credit memo when it is money back. Only closed
/// months: nothing else is final.
///
/// # Errors
/// [`BillError::Open`], [`BillError::TooMuch`], [`BillError::Write`].
pub fn write(statements: &[Statement], accounts: Accounts<'_>, mut out: impl Write) -> Result<(), BillError> {
    let mut text = HEADER.to_owned();
    for statement in statements {
        if statement.closed_at.is_none() {
            return Err(BillError::Open { organization: statement.organization.slug.clone(), month: statement.month });
        }
        transactions(statement, accounts, &mut text)
            .ok_or_else(|| BillError::TooMuch { organization: statement.organization.slug.clone() })?;
    }
    out.write_all(text.as_bytes()).map_err(|error| BillError::Write(error.into()))
}

fn transactions(statement: &Statement, accounts: Accounts<'_>, out: &mut String) -> Option<()> {
    let date = statement.month.last().american();
    let (name, several) = (customer(&statement.bill_to.name), statement.totals.len() > 1);
    for total in &statement.totals {
        let kind = if total.total < Money::ZERO { "CREDIT MEMO" } else { "INVOICE" };
        let number = if several { format!("{}-{}", statement.number, total.currency) } else { statement.number.clone() };
        let (number, memo) = (cell(&number), cell(&format!("Messaging {}, {}", statement.month, statement.organization.name)));
        let receivable = cell(accounts.receivable);
        out.push_str(&format!("TRNS\t{kind}\t{date}\t{receivable}\t{name}\t{}\t{number}\t{memo}\r\n", cents(total.total)));
        let mut rest = total.total;
        for row in statement.rows.iter().filter(|row| row.currency == total.currency) {
            // What is sold stands against what is owed: income is credited.
            rest = rest.minus(row.amount)?;
            let place = row.place();
            let memo = cell(&if place.is_empty() { row.words() } else { format!("{}: {}", place, row.words()) });
            out.push_str(&format!(
                "SPL\t{kind}\t{date}\t{}\t{name}\t{}\t{number}\t{memo}\t{}\t{}\t{}\r\n",
                cell(accounts.income),
                cents(-row.amount),
                -row.quantity,
                row.unit_price,
                cell(&row.fee_code)
            ));
        }
        // The rows of a statement are what its total is made of: anything else is no invoice.
        if rest != Money::ZERO {
            return None;
        }
        out.push_str("ENDTRNS\r\n");
    }
    Some(())
}

/// Amounts of a statement are whole coins.
fn cents(amount: Money) -> String {
    amount.to_string()
}

/// A text that stays in its cell.
fn cell(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() || c == '"' { ' ' } else { c }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A customer's name: a colon in it would make a job of another customer.
fn customer(name: &str) -> String {
    cell(name).replace(':', "-")
}
