//! Corrections by hand: a line is never changed, it is taken back and entered again.

use std::collections::HashSet;

use super::{Chains, EntryType, LedgerLine, StoredLine, line::line_columns, lines_about, standing, taken_back};
use crate::{
    domain::{DeliveryId, Money, Month, OrgId, OrgScope, audit::Witness, id::LedgerLineId, text},
    store::{Doing as _, Result, Store, StoreError, Tx, audit, period::OpenPeriods, price::PriceBook, read},
};

/// What is corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Corrected {
    /// What stands of a delivery's fee.
    Delivery(DeliveryId),
    /// One line.
    Line(LedgerLineId),
}

/// A correction.
#[derive(Debug, Clone)]
pub struct Correction {
    /// Of what.
    pub of: Corrected,
    /// What it should have cost.
    pub amount: Money,
    /// Why; never about a patient.
    pub reason: String,
    /// Who says so.
    pub by: String,
    /// Only of what this organization pays: whoever is confined to one corrects nothing that another pays.
    pub paid_by: Option<OrgId>,
    /// Only tell what would be written.
    pub dry_run: bool,
}

/// Why nothing is corrected.
#[derive(Debug, thiserror::Error)]
pub enum AdjustError {
    /// There is no such line or delivery in the scope.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// It has no fee.
    #[error("this delivery has not been charged")]
    NotCharged,
    /// It was taken back.
    #[error("this was taken back before; nothing of it stands")]
    TakenBack,
    /// A line that takes another back, or a sum over a period, is not corrected itself.
    #[error("a {0} line is not corrected by hand")]
    NotByHand(EntryType),
    /// It says so already.
    #[error("it stands at this amount already")]
    Same,
    /// Whoever asks is confined to an organization that does not pay it.
    #[error("another organization pays this: the operator corrects it")]
    PaidByAnother,
    /// The reason or the name cannot be kept.
    #[error("the {0} must be one line of 1 to 200 characters")]
    Words(&'static str),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AdjustError {
    fn is_collision(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_collision())
    }
}

impl Store {
    /// Takes a line back and enters it again at another amount; tells which lines that made. Both go into the month of the
    /// line as long as that is open, else into the open one, and name the month they belong to. Of a closed month it takes back what
    /// the line cost in the end.
    ///
    /// # Errors
    /// [`AdjustError`].
    pub async fn adjust(&self, scope: OrgScope, correction: &Correction) -> Result<Vec<LedgerLine>, AdjustError> {
        self.adjust_with(scope, correction, None).await
    }

    /// The same, on record in the same transaction; a dry run is not.
    ///
    /// # Errors
    /// As [`Self::adjust`].
    pub async fn adjust_as(
        &self,
        scope: OrgScope,
        correction: &Correction,
        witness: Witness<'_>,
    ) -> Result<Vec<LedgerLine>, AdjustError> {
        self.adjust_with(scope, correction, Some(witness)).await
    }

    async fn adjust_with(
        &self,
        scope: OrgScope,
        correction: &Correction,
        witness: Option<Witness<'_>>,
    ) -> Result<Vec<LedgerLine>, AdjustError> {
        for (what, words) in [("reason", &correction.reason), ("name", &correction.by)] {
            if words.trim().is_empty() || text::line(words, 200).is_err() {
                return Err(AdjustError::Words(what));
            }
        }
        let mut tries = 1;
        loop {
            match self.adjust_once(scope, correction, witness).await {
                Err(error) if tries < crate::store::COLLISIONS && error.is_collision() => tries += 1,
                done => return done,
            }
        }
    }

    async fn adjust_once(
        &self,
        scope: OrgScope,
        correction: &Correction,
        witness: Option<Witness<'_>>,
    ) -> Result<Vec<LedgerLine>, AdjustError> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let org = owner(&mut tx, scope, correction.of).await?;
        let mut chains = Chains::take(&mut tx, [org].iter()).await?;
        let periods = OpenPeriods::take(&mut tx, [org].iter(), now).await?;
        let line = stands(&mut tx, org, correction.of).await?;
        if correction.paid_by.is_some_and(|payer| payer.to_string() != line.bill_to_org) {
            return Err(AdjustError::PaidByAnother);
        }
        let billed: Month = read("month", &line.period)?;
        let place = periods.place(org, now, Some(billed))?;
        let book = PriceBook::read(&mut tx, [org].iter()).await?;
        let back = taken_back(&mut tx, &book, &line, EntryType::Adjustment, place, now).await?;
        if back.amount == correction.amount.micros().saturating_neg() {
            return Err(AdjustError::Same);
        }
        let back = StoredLine { reason: correction.reason.clone(), entered_by: correction.by.clone(), ..back };
        let mut made = vec![chains.append(org, back.clone())?.clone()];
        if correction.amount != Money::ZERO {
            let again = entered_again(&back, correction.amount);
            made.push(chains.append(org, again)?.clone());
        }
        if !correction.dry_run {
            chains.write(&mut tx).await?;
            match witness {
                Some(witness) => audit::commit(tx, witness, now).await?,
                None => tx.commit().await?,
            }
        }
        Ok(made.into_iter().map(StoredLine::line).collect::<Result<_>>()?)
    }
}

/// The entry that takes the place of what `back` took back.
fn entered_again(back: &StoredLine, amount: Money) -> StoredLine {
    StoredLine {
        id: LedgerLineId::new().to_string(),
        quantity: 1,
        unit_price: amount.micros(),
        amount: amount.micros(),
        // No price list says so, a person does.
        price_id: None,
        note: String::new(),
        reverses: None,
        ..back.clone()
    }
}

async fn owner(tx: &mut Tx, scope: OrgScope, of: Corrected) -> Result<OrgId, AdjustError> {
    let (org, what): (Option<String>, _) = match of {
        Corrected::Delivery(id) => {
            let org = within!(tx, c => sqlx::query_scalar("SELECT org_id FROM delivery WHERE id = $1").bind(id.to_string()).fetch_optional(c).await);
            (org.doing("look a delivery up")?, "delivery")
        }
        Corrected::Line(id) => {
            let org = within!(tx, c => sqlx::query_scalar("SELECT org_id FROM ledger_line WHERE id = $1").bind(id.to_string()).fetch_optional(c).await);
            (org.doing("look a ledger line up")?, "ledger line")
        }
    };
    let org: OrgId = read("organization id", &org.ok_or(AdjustError::NotFound(what))?)?;
    if scope.org().is_some_and(|only| only != org) {
        return Err(AdjustError::NotFound(what));
    }
    Ok(org)
}

/// The line that is to be taken back.
async fn stands(tx: &mut Tx, org: OrgId, of: Corrected) -> Result<StoredLine, AdjustError> {
    match of {
        Corrected::Delivery(id) => {
            let key = (org.to_string(), id.to_string());
            let lines = lines_about(tx, HashSet::from([key.clone()])).await?.remove(&key).unwrap_or_default();
            let charge = lines.iter().find(|line| line.is(EntryType::Charge)).ok_or(AdjustError::NotCharged)?;
            standing(&lines, &charge.fee_code).cloned().ok_or(AdjustError::TakenBack)
        }
        Corrected::Line(id) => {
            let line: Option<StoredLine> = within!(tx, c => sqlx::query_as(concat!(
                "SELECT ", line_columns!(), " FROM ledger_line l WHERE l.org_id = $1 AND l.id = $2"))
                .bind(org.to_string()).bind(id.to_string()).fetch_optional(c).await)
            .doing("read a ledger line")?;
            let line = line.ok_or(AdjustError::NotFound("ledger line"))?;
            let taken_back: i64 = within!(tx, c =>
                sqlx::query_scalar("SELECT COUNT(*) FROM ledger_line WHERE org_id = $1 AND reverses = $2")
                .bind(org.to_string()).bind(id.to_string()).fetch_one(c).await)
            .doing("look for what takes a line back")?;
            if taken_back > 0 {
                return Err(AdjustError::TakenBack);
            }
            let entry_type: EntryType = read("entry type", &line.entry_type)?;
            if line.reverses.is_some() || matches!(entry_type, EntryType::Credit | EntryType::Rounding) {
                return Err(AdjustError::NotByHand(entry_type));
            }
            Ok(line)
        }
    }
}
