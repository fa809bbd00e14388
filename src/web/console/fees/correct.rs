//! A fee is corrected: what would be written is shown first. A line is taken back and, at another amount, entered again, by
//! the same rules as the command's; closed months stay as they are.

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};

use super::line::{self, Found};
use crate::{
    domain::{Money, OrgScope, audit::Witness},
    observe::{
        events::SettingChanged,
        facts::{Configured, Named},
    },
    store::ledger::{
        LedgerLine,
        adjust::{AdjustError, Corrected, Correction},
        read::LineQuery,
    },
    web::{
        Web,
        auth::{Fields, Person},
        console::{
            Page,
            form::{Form, Input},
            sheet::{Cell, Section, Sheet},
            told::told,
            words::Badge,
        },
    },
};

/// What the form says.
struct Wish {
    what: &'static str,
    amount: Money,
    reason: String,
}

impl Wish {
    /// What is wrong with it, as a sentence, when it is nothing that can be done.
    fn of(fields: &Fields) -> Result<Self, String> {
        let reason = fields.text("reason").to_owned();
        if fields.text("what") == "back" {
            return Ok(Self { what: "back", amount: Money::ZERO, reason });
        }
        let text = fields.text("amount");
        let amount = text.parse().map_err(|_| format!("{text:?} is not an amount like 0.10."))?;
        Ok(Self { what: "amount", amount, reason })
    }

    fn correction(&self, found: &Found, person: &Person, dry_run: bool) -> Correction {
        Correction {
            of: Corrected::Line(found.line.id),
            amount: self.amount,
            reason: self.reason.clone(),
            by: person.known.login.clone(),
            paid_by: person.known.reach.payer_in(found.one.id),
            dry_run,
        }
    }
}

/// What the form has said before is in it.
fn form(found: &Found, before: Option<&Wish>) -> Form {
    let what = before.map_or("amount", |wish| wish.what);
    let amount = before.filter(|wish| wish.what == "amount").map_or_else(String::new, |wish| wish.amount.to_string());
    let all = [("amount", "enter it again at another amount"), ("back", "take it back altogether")];
    Form::new(format!("{}/correct{}", found.place(), found.about), "Show what would be written")
        .and(Input::words("what", "What is to be done", &all, what))
        .and(
            Input::line("amount", format!("What it should have cost, in {}", found.line.currency))
                .hint("as in 0.10; not needed to take it back")
                .value(amount),
        )
        .and(
            Input::line("reason", "Why")
                .hint("one line that whoever reads the ledger sees; nothing about a patient")
                .value(before.map_or("", |wish| wish.reason.as_str()))
                .needed(),
        )
}

/// The form, or why there is none; of what was taken back the page tells already.
pub(super) async fn section(web: &Web, person: &Person, found: &Found) -> Result<Option<Section>, Page> {
    // Anything but what stands: whether it can be corrected at all.
    let amount = if found.line.amount == Money::ZERO { Money::from_micros(1) } else { Money::ZERO };
    let wish = Wish { what: "amount", amount, reason: "asked".to_owned() };
    let tried = web.intake.store().adjust(scope(found), &wish.correction(found, person, true)).await;
    match tried {
        // What cost nothing in the end cannot be entered again at nothing; at another amount it can.
        Ok(_) | Err(AdjustError::Same) => Ok(Some(Section::form("Correct it", form(found, None)).lead(LEAD))),
        Err(AdjustError::TakenBack) => Ok(None),
        Err(AdjustError::Store(cause)) => Err(Page::store(cause)),
        Err(why) => Ok(Some(Section::lines("It is not corrected by itself", vec![format!("{}.", upper(&why.to_string()))]))),
    }
}

const LEAD: &str = "Nothing happens yet. What is written goes into the line's month as long as that is open, otherwise into the open one, and names the month it belongs to.";

/// The ledger that the line stands in, and no other.
fn scope(found: &Found) -> OrgScope {
    OrgScope::One(found.one.id)
}

fn upper(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Shows what would be written; once that was seen, writes it.
pub(in crate::web::console) async fn correct(
    State(web): State<Web>,
    person: Person,
    Path((slug, month, id)): Path<(String, String, String)>,
    fields: Fields,
) -> Result<Response, Page> {
    let found = line::find(&web, &person, &slug, &month, &id).await?;
    let wish = match Wish::of(&fields) {
        Ok(wish) => wish,
        Err(why) => return refused(&web, &person, &found, StatusCode::UNPROCESSABLE_ENTITY, why).await,
    };
    let store = web.intake.store();
    let sure = fields.ticked("sure");
    let correction = wish.correction(&found, &person, !sure);
    let which = found.line.id.to_string();
    let event = SettingChanged { org: Some(found.one.id), what: Configured("fee_adjusted"), which: Named(&which) };
    let done = store.adjust_as(scope(&found), &correction, Witness::new(&person.actor, &event)).await;
    match done {
        Ok(_) if sure => Ok(told(&format!("{}{}", found.place(), found.about), "corrected").into_response()),
        Ok(lines) => Ok(shown(&found, &wish, &lines).show(&person).into_response()),
        Err(AdjustError::Store(cause)) => Err(Page::store(cause)),
        // The same button pressed twice.
        Err(AdjustError::TakenBack) if sure && is_done(&web, &found, &correction).await? => {
            Ok(told(&format!("{}{}", found.place(), found.about), "corrected").into_response())
        }
        Err(why) => {
            let status = match &why {
                AdjustError::NotFound(_) => return Err(super::missing("ledger line")),
                AdjustError::Words(_) => StatusCode::UNPROCESSABLE_ENTITY,
                _ => StatusCode::CONFLICT,
            };
            refused(&web, &person, &found, status, format!("{}.", upper(&why.to_string()))).await
        }
    }
}

/// Whether exactly this has been written already: by the same person, for the same reason, at the same amount.
async fn is_done(web: &Web, found: &Found, correction: &Correction) -> Result<bool, Page> {
    let store = web.intake.store();
    let query = LineQuery { reverses: Some(found.line.id), ..LineQuery::of(found.one.id) };
    let back = store.ledger_page(scope(found), &query, 0, 1).await.map_err(Page::store)?;
    let Some(back) = back.first().filter(|back| back.entered_by == correction.by && back.reason == correction.reason) else {
        return Ok(false);
    };
    let again = line::entered_again(web, scope(found), back).await?;
    Ok(again.map_or(Money::ZERO, |again| again.amount) == correction.amount)
}

async fn refused(web: &Web, person: &Person, found: &Found, status: StatusCode, why: String) -> Result<Response, Page> {
    let page = line::page(web, person, found, Some(format!("Nothing was written. {why}"))).await?;
    Ok(page.show_as(status, person).into_response())
}

/// What would be written, and the button that writes it.
fn shown(found: &Found, wish: &Wish, lines: &[LedgerLine]) -> Sheet {
    let row = |line: &LedgerLine| {
        let entry = if line.reverses.is_some() {
            Badge { tone: "warn", words: format!("takes line {} back", found.line.seq) }
        } else {
            Badge { tone: "good", words: "entered again".to_owned() }
        };
        vec![
            entry.into(),
            Cell::from(line.fee_code.clone()).with([line.channel.as_str(), line.status.as_str()].join(" ")),
            Cell::from(line.period.to_string())
                .with(line.relates_to.map_or_else(String::new, |month| format!("belongs to {month}"))),
            Cell::number(line.amount).with(line.currency.to_string()),
        ]
    };
    let change = lines.iter().try_fold(Money::ZERO, |sum, line| sum.plus(line.amount)).unwrap_or_default();
    let month = lines.first().map_or(found.period.bounds.month, |line| line.period);
    let sum = format!("In all {month} changes by {change} {}. Why: {}", found.line.currency, wish.reason);
    let columns = ["What", "For", "Month", "#Amount"];
    let table = Section::table("What would be written", &columns, ("Nothing", "")).rows(lines.iter().map(row)).lead(sum);
    let sure = Form::new(format!("{}/correct{}", found.place(), found.about), "Write it")
        .hidden("what", wish.what)
        .hidden("amount", wish.amount.to_string())
        .hidden("reason", &wish.reason)
        .hidden("sure", "yes")
        .back(format!("{}{}", found.place(), found.about));
    let title = format!("Correct line {} of {} {}?", found.line.seq, found.one.file.name, found.period.bounds.month);
    line::about_line(found, title, "Nothing has happened yet.")
        .under(format!("{}{}", found.place(), found.about), format!("Line {}", found.line.seq))
        .and(table)
        .and(
            Section::form("Write it?", sure)
                .lead("It stands for good: another correction can follow, none can take these lines out."),
        )
        .and(Section::form("Or change it first", form(found, Some(wish)).quiet()))
}
