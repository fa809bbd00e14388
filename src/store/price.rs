//! Prices and terms as they were entered: never changed, only followed by others.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{Doing as _, Result, Store, Tx, ledger::revise, read, read_json, rows, write_json};
use crate::domain::{
    Currency, Money, OrgId,
    organization::OrganizationFile,
    prices::{Billed, Channel, Rate, Terms, Tier, Tiering},
    report::ResultStatus,
    time::Date,
};

/// A price in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// The row it came from: stands on the ledger line.
    pub id: String,
    /// In what.
    pub currency: Currency,
    /// The rate itself.
    pub rate: Rate,
}

/// What a period costs beside its deliveries, as it was entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTerms {
    /// In what.
    pub currency: Currency,
    /// The terms.
    pub terms: Terms,
}

/// The columns of a rate that few have.
#[derive(Serialize, Deserialize)]
struct Counted {
    #[serde(default)]
    included: u32,
    tiering: Option<Tiering>,
    #[serde(default)]
    tiers: Vec<Tier>,
}

#[derive(sqlx::FromRow)]
struct PriceRow {
    org_id: String,
    id: String,
    fee_code: String,
    from_day: String,
    currency: String,
    amount: i64,
    billable: String,
    channel: String,
    status: String,
    terms: String,
}

impl PriceRow {
    fn price(self) -> Result<Price> {
        let counted: Counted = read_json("terms of a price", self.terms.as_bytes())?;
        Ok(Price {
            id: self.id,
            currency: read("currency", &self.currency)?,
            rate: Rate {
                from: read("price's first day", &self.from_day)?,
                fee_code: self.fee_code,
                amount: Money::from_micros(self.amount),
                billable: read("billable moment", &self.billable)?,
                channel: some(&self.channel).map(|channel| read("channel", channel)).transpose()?,
                status: some(&self.status).map(|status| read("status", status)).transpose()?,
                included: counted.included,
                tiering: counted.tiering.unwrap_or(Tiering::Graduated),
                tiers: counted.tiers,
            },
        })
    }
}

/// What is there; columns that are part of a key have `''` for nothing.
pub(super) fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// Every price and all terms of some organizations, in the order in which they were entered.
#[derive(Debug, Default)]
pub(super) struct PriceBook {
    prices: HashMap<OrgId, Vec<Price>>,
    terms: HashMap<OrgId, Vec<ListedTerms>>,
    sponsors: HashMap<String, OrgId>,
    unknown_sponsor: bool,
}

impl PriceBook {
    /// Reads them, in as many statements as for one.
    pub(super) async fn read(tx: &mut Tx, orgs: impl Iterator<Item = &OrgId>) -> Result<Self> {
        let keys: Vec<[rows::Cell; 1]> = orgs.map(|org| [org.to_string().into()]).collect();
        let mut book = Self::default();
        if keys.is_empty() {
            return Ok(book);
        }
        let prices: Vec<PriceRow> = rows::fetch(
            tx,
            "WITH k (org_id) AS (",
            keys.clone(),
            ") SELECT p.org_id, p.id, p.fee_code, p.from_day, p.currency, p.amount, p.billable, p.channel, p.status, p.terms
               FROM k JOIN price p ON p.org_id = k.org_id ORDER BY p.org_id, p.created_at, p.id",
            "",
        )
        .await
        .doing("read prices")?;
        for row in prices {
            book.prices.entry(read("organization id", &row.org_id)?).or_default().push(row.price()?);
        }
        let terms: Vec<(String, String, String)> = rows::fetch(
            tx,
            "WITH k (org_id) AS (",
            keys,
            ") SELECT t.org_id, t.currency, t.terms FROM k JOIN price_terms t ON t.org_id = k.org_id ORDER BY t.org_id, t.created_at, t.id",
            "",
        )
        .await
        .doing("read terms")?;
        for (org, currency, terms) in terms {
            let listed = ListedTerms { currency: read("currency", &currency)?, terms: read_json("terms", terms.as_bytes())? };
            book.terms.entry(read("organization id", &org)?).or_default().push(listed);
        }
        book.find_sponsors(tx).await?;
        Ok(book)
    }

    async fn find_sponsors(&mut self, tx: &mut Tx) -> Result<()> {
        let mut slugs: Vec<String> = self
            .terms
            .values()
            .flatten()
            .flat_map(|listed| listed.terms.sponsor.iter().map(|sponsor| sponsor.organization.clone()))
            .collect();
        slugs.sort();
        slugs.dedup();
        for slug in slugs {
            let id: Option<String> = within!(tx, c =>
                sqlx::query_scalar("SELECT id FROM organization WHERE slug = $1").bind(&slug).fetch_optional(c).await)
            .doing("look a sponsor up")?;
            match id {
                Some(id) => drop(self.sponsors.insert(slug, read("organization id", &id)?)),
                None => self.unknown_sponsor = true,
            }
        }
        Ok(())
    }

    /// Whether every sponsor is an organization: one that is none yet may become one.
    pub(super) const fn knows_sponsors(&self) -> bool {
        !self.unknown_sponsor
    }

    /// The price in force on `day`: the most special that fits, of these the latest that has begun, of these the last word.
    pub(super) fn price(&self, org: OrgId, fee_code: &str, channel: Channel, status: ResultStatus, day: Date) -> Option<&Price> {
        let fits = |price: &&Price| price.rate.from <= day && price.rate.fits(fee_code, channel, status);
        self.prices.get(&org)?.iter().filter(fits).max_by_key(|price| price.rate.precedence())
    }

    /// The terms in force on `day`.
    pub(super) fn terms(&self, org: OrgId, day: Date) -> Option<&ListedTerms> {
        self.terms.get(&org)?.iter().filter(|listed| listed.terms.from <= day).max_by_key(|listed| listed.terms.from)
    }

    /// Who pays on `day`, and from which cost centre.
    pub(super) fn payer(&self, org: OrgId, day: Date, role: &str, payer: &str, site: &str) -> (OrgId, String) {
        let Some(ListedTerms { terms, .. }) = self.terms(org, day) else { return (org, String::new()) };
        let sponsor = terms.sponsor.iter().find(|sponsor| sponsor.pays(role, payer, site));
        let pays = sponsor.and_then(|sponsor| self.sponsors.get(&sponsor.organization)).copied().unwrap_or(org);
        (pays, terms.cost_center.get(site).cloned().unwrap_or_default())
    }

    /// Every rate of an organization by the id its lines name.
    pub(super) fn rates(&self, org: OrgId) -> impl Iterator<Item = (String, Rate)> {
        self.prices.get(&org).into_iter().flatten().map(|price| (price.id.clone(), price.rate.clone()))
    }
}

impl Store {
    /// Every price on record: by fee code, then for what, then day.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn prices(&self, org: OrgId) -> Result<Vec<Price>> {
        let mut tx = self.begin_reading().await?;
        let mut prices = PriceBook::read(&mut tx, [org].iter()).await?.prices.remove(&org).unwrap_or_default();
        // The last word on a day is the one that counts; those before it are history.
        let key = |price: &Price| {
            let Rate { fee_code, channel, status, from, .. } = &price.rate;
            (fee_code.clone(), *channel, *status, *from)
        };
        prices.sort_by_key(key);
        prices.reverse();
        prices.dedup_by_key(|price| key(price));
        prices.reverse();
        Ok(prices)
    }

    /// All terms on record, by day.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn terms(&self, org: OrgId) -> Result<Vec<ListedTerms>> {
        let mut tx = self.begin_reading().await?;
        let mut terms = PriceBook::read(&mut tx, [org].iter()).await?.terms.remove(&org).unwrap_or_default();
        terms.sort_by_key(|listed| listed.terms.from);
        terms.reverse();
        terms.dedup_by_key(|listed| listed.terms.from);
        terms.reverse();
        Ok(terms)
    }

    /// The price of one delivery in force on `day`; `None` when nobody has set one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn price_on(&self, org: OrgId, fee_code: &str, billed: &Billed, day: Date) -> Result<Option<Price>> {
        let rows: Vec<PriceRow> = on!(&self.db, pool => sqlx::query_as(
            "SELECT org_id, id, fee_code, from_day, currency, amount, billable, channel, status, terms FROM price
             WHERE org_id = $1 AND fee_code = $2 AND from_day <= $3 ORDER BY created_at, id")
            .bind(org.to_string()).bind(fee_code).bind(day.to_string()).fetch_all(pool).await)
        .doing("read the price in force")?;
        let prices = rows.into_iter().map(PriceRow::price).collect::<Result<Vec<_>>>()?;
        let mut book = PriceBook::default();
        book.prices.insert(org, prices);
        Ok(book.price(org, fee_code, billed.channel, billed.status, day).cloned())
    }
}

/// Keeps what is new in the price list of `file`.
pub(super) async fn insert_prices(tx: &mut Tx, org: OrgId, file: &OrganizationFile, now: i64) -> Result<()> {
    let Some(list) = &file.price else { return Ok(()) };
    let book = PriceBook::read(tx, [org].iter()).await?;
    for rate in &list.rates {
        let known = book.prices.get(&org).into_iter().flatten().rfind(|price| {
            let known = &price.rate;
            (&known.fee_code, known.channel, known.status, known.from) == (&rate.fee_code, rate.channel, rate.status, rate.from)
        });
        if known.is_some_and(|known| known.rate == *rate && known.currency == list.currency) {
            continue;
        }
        let counted = Counted { included: rate.included, tiering: Some(rate.tiering), tiers: rate.tiers.clone() };
        let counted = String::from_utf8(write_json("terms of a price", &counted)?).unwrap_or_default();
        within!(tx, c => sqlx::query(
            "INSERT INTO price (org_id, id, fee_code, from_day, currency, amount, billable, channel, status, terms, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")
            .bind(org.to_string()).bind(uuid::Uuid::now_v7().to_string()).bind(&rate.fee_code).bind(rate.from.to_string())
            .bind(list.currency.as_str()).bind(rate.amount.micros()).bind(rate.billable.as_str())
            .bind(rate.channel.map_or("", Channel::as_str)).bind(rate.status.map_or("", ResultStatus::as_str)).bind(counted).bind(now)
            .execute(c).await.map(drop))
        .doing("store a price")?;
    }
    for terms in &list.terms {
        let known = book.terms.get(&org).into_iter().flatten().rfind(|known| known.terms.from == terms.from);
        if known.is_some_and(|known| known.terms == *terms && known.currency == list.currency) {
            continue;
        }
        let json = String::from_utf8(write_json("terms", terms)?).unwrap_or_default();
        within!(tx, c => sqlx::query(
            "INSERT INTO price_terms (org_id, id, from_day, currency, terms, created_at) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(org.to_string()).bind(uuid::Uuid::now_v7().to_string()).bind(terms.from.to_string()).bind(list.currency.as_str())
            .bind(json).bind(now).execute(c).await.map(drop))
        .doing("store terms")?;
    }
    revise(tx, org).await
}
