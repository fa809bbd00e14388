//! Reading the ledger: page by page along one organization's chain, or added up by the database.

use super::{
    EntryType, LedgerLine,
    line::{StoredLine, line_columns},
    sum,
};
use crate::{
    domain::{
        DeliveryId, Money, Month, OrgId, OrgScope, Timestamp,
        id::LedgerLineId,
        prices::closing::{Group, Row},
    },
    store::{
        Doing as _, Result, Store, Tx,
        price::some,
        read,
        rows::{self, Cell},
    },
};

/// Which lines of one organization's ledger. What is `None` is not asked about.
#[derive(Debug, Clone, Copy)]
pub struct LineQuery<'a> {
    /// Whose ledger.
    pub org: OrgId,
    /// Who pays.
    pub bill_to: Option<OrgId>,
    /// Billed in this month.
    pub period: Option<Month>,
    /// Billable from this instant on.
    pub from: Option<Timestamp>,
    /// Billable before this instant.
    pub to: Option<Timestamp>,
    /// At this site.
    pub site: Option<&'a str>,
    /// For members of this health plan.
    pub payer: Option<&'a str>,
    /// Sent this way.
    pub channel: Option<&'a str>,
    /// Of results of this status.
    pub status: Option<&'a str>,
    /// Charges, credits ...
    pub entry_type: Option<EntryType>,
    /// About this delivery.
    pub delivery: Option<DeliveryId>,
    /// This line alone.
    pub line: Option<LedgerLineId>,
    /// What takes this line back.
    pub reverses: Option<LedgerLineId>,
    /// Tells lines that are added up apart by the relay their deliveries left by; takes a look at each delivery.
    pub relays: bool,
}

impl LineQuery<'_> {
    /// Every line of `org`'s ledger.
    #[must_use]
    pub const fn of(org: OrgId) -> Self {
        Self {
            org,
            bill_to: None,
            period: None,
            from: None,
            to: None,
            site: None,
            payer: None,
            channel: None,
            status: None,
            entry_type: None,
            delivery: None,
            line: None,
            reverses: None,
            relays: false,
        }
    }

    /// The conditions and their arguments. Whoever is confined to one organization sees the lines it pays, in its own ledger
    /// and in those of others.
    pub(super) fn conditions(&self, scope: OrgScope) -> (String, Vec<Cell>) {
        let (mut sql, mut arguments): (String, Vec<Cell>) = (" WHERE l.org_id = $1".into(), vec![self.org.to_string().into()]);
        let mut add = |condition: &str, argument: Option<Cell>| {
            if let Some(argument) = argument {
                arguments.push(argument);
                sql.push_str(&format!(" AND {condition} ${}", arguments.len()));
            }
        };
        add("l.bill_to_org =", scope.org().map(|org| org.to_string().into()));
        add("l.bill_to_org =", self.bill_to.map(|org| org.to_string().into()));
        add("l.period =", self.period.map(|month| month.to_string().into()));
        add("l.occurred_at >=", self.from.map(|at| at.micros().into()));
        add("l.occurred_at <", self.to.map(|at| at.micros().into()));
        add("l.site =", self.site.map(Into::into));
        add("l.payer =", self.payer.map(Into::into));
        add("l.channel =", self.channel.map(Into::into));
        add("l.status =", self.status.map(Into::into));
        add("l.entry_type =", self.entry_type.map(|entry_type| entry_type.as_str().into()));
        add("l.delivery_id =", self.delivery.map(|delivery| delivery.to_string().into()));
        add("l.id =", self.line.map(|line| line.to_string().into()));
        add("l.reverses =", self.reverses.map(|line| line.to_string().into()));
        (sql, arguments)
    }
}

/// Lines that differ in nothing but the delivery, with the health plan they were for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaidRow {
    /// The health plan, by the sender's key of it; may be empty.
    pub payer: String,
    /// The relay their deliveries left by, or `mx`; empty when nobody asked, or about the month as a whole.
    pub relay: String,
    /// The month they are billed in.
    pub period: Month,
    /// The lines, added up.
    pub row: Row,
}

#[derive(sqlx::FromRow)]
struct SumRow {
    bill_to_org: String,
    currency: String,
    site: String,
    cost_center: String,
    payer: String,
    channel: String,
    status: String,
    entry_type: String,
    fee_code: String,
    note: String,
    period: String,
    relates_to: String,
    unit_price: i64,
    price_id: String,
    relay: String,
    quantity: i64,
    amount: i64,
    lines: i64,
    first: i64,
}

impl SumRow {
    fn row(self) -> Result<PaidRow> {
        let group = Group {
            bill_to: read("organization id", &self.bill_to_org)?,
            currency: read("currency", &self.currency)?,
            site: self.site,
            cost_center: self.cost_center,
            channel: self.channel,
            status: self.status,
            entry_type: read("entry type", &self.entry_type)?,
            fee_code: self.fee_code,
            note: self.note,
            relates_to: some(&self.relates_to).map(|month| read("month", month)).transpose()?,
            unit_price: Money::from_micros(self.unit_price),
            price: some(&self.price_id).map(str::to_owned),
        };
        let amount = Money::from_micros(self.amount);
        Ok(PaidRow {
            payer: self.payer,
            relay: self.relay,
            period: read("month", &self.period)?,
            row: Row { group, quantity: self.quantity, amount, lines: self.lines, first: self.first },
        })
    }
}

/// Adds lines up, each of them, inside a transaction.
pub(super) async fn sums(tx: &mut Tx, scope: OrgScope, query: &LineQuery<'_>) -> Result<Vec<PaidRow>> {
    let (sql, arguments) = sum::of_lines(scope, query);
    added_up(tx, sql, arguments).await
}

/// What a statement of [`sum`] gives.
pub(super) async fn added_up(tx: &mut Tx, sql: String, arguments: Vec<Cell>) -> Result<Vec<PaidRow>> {
    let rows: Vec<SumRow> = rows::ask(tx, sql, arguments).await.doing("add up the ledger")?;
    rows.into_iter().map(SumRow::row).collect()
}

/// Which lines a report is about.
#[derive(Debug, Clone, Copy)]
pub struct LineFilter<'a> {
    /// Whose.
    pub org: OrgId,
    /// One site only.
    pub site: Option<&'a str>,
    /// First instant.
    pub from: Timestamp,
    /// First instant no longer in it.
    pub to: Timestamp,
}

/// So many lines are read at a time.
const PAGE: u32 = 5000;

impl Store {
    /// Lines of one ledger in the order they were written, after the place `after` (0: from the first), at most `most`.
    /// Memory is bounded by `most`: ask again with the place of the last.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn ledger_page(&self, scope: OrgScope, query: &LineQuery<'_>, after: i64, most: u32) -> Result<Vec<LedgerLine>> {
        let mut tx = self.begin_reading().await?;
        let (conditions, mut arguments) = query.conditions(scope);
        arguments.extend([after.into(), i64::from(most).into()]);
        let (after, most) = (arguments.len() - 1, arguments.len());
        let sql = format!(
            concat!("SELECT ", line_columns!(), " FROM ledger_line l{} AND l.seq > ${} ORDER BY l.seq LIMIT ${}"),
            conditions, after, most
        );
        let rows: Vec<StoredLine> = rows::ask(&mut tx, sql, arguments).await.doing("read the ledger")?;
        rows.into_iter().map(StoredLine::line).collect()
    }

    /// The same lines added up by everything but the delivery. As many rows as there are prices, sites and plans, however
    /// many lines there are; what was added up before is not added up again.
    ///
    /// # Errors
    /// When the database does not answer, or a sum does not fit.
    pub async fn ledger_sums(&self, scope: OrgScope, query: &LineQuery<'_>) -> Result<Vec<PaidRow>> {
        let mut tx = self.begin_reading().await?;
        sum::quickly(&mut tx, scope, query).await
    }

    /// The ledgers in which `org` pays for deliveries of others.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn sponsored_by(&self, org: OrgId) -> Result<Vec<OrgId>> {
        let ids: Vec<String> = on!(&self.db, pool => sqlx::query_scalar(
            "SELECT DISTINCT org_id FROM ledger_line WHERE bill_to_org = $1 AND bill_to_org <> org_id ORDER BY org_id")
            .bind(org.to_string()).fetch_all(pool).await)
        .doing("look for what an organization sponsors")?;
        ids.iter().map(|id| read("organization id", id)).collect()
    }

    /// The lines of one organization in a half-open period, in the order they were written.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn ledger_lines(&self, scope: OrgScope, filter: LineFilter<'_>) -> Result<Vec<LedgerLine>> {
        let query = LineQuery { site: filter.site, from: Some(filter.from), to: Some(filter.to), ..LineQuery::of(filter.org) };
        let (mut lines, mut after) = (Vec::new(), 0);
        loop {
            let page = self.ledger_page(scope, &query, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(lines) };
            after = last.seq;
            lines.extend(page);
        }
    }
}
