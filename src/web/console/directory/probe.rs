//! Whether an address can be sent to, and why: each place that is asked, each certificate with its checks, and the path.
//! It is asked for by a form that is posted: a patient may have a Direct address, too.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};

use crate::{
    domain::DirectAddress,
    observe::chain,
    pipeline::probing::{
        Probed,
        told::{Asked, Outcome, Pass, Step, Verdict, Word},
    },
    trust::discovery::{End, Freshness, Place},
    web::{
        Problem, Web,
        auth::{Fields, Person},
        console::{
            Page,
            form::{Form, Input},
            sheet::{Cell, Node, Section, Sheet},
            whose,
            words::{self, Badge},
        },
    },
};

/// The form that asks.
pub(super) fn section(slug: &str) -> Section {
    form(slug, "")
}

fn form(slug: &str, address: &str) -> Section {
    let form = Form::new("/directory/probe", "Probe it")
        .quiet()
        .hidden("for", slug)
        .and(Input::line("address", "Direct address to probe").value(address).needed())
        .and(Input::tick("fresh", "Ask everybody anew").hint("whatever was answered lately"));
    Section::form("Can it be sent to?", form).lead(format!("The steps that a delivery of {slug} would take; nothing is sent."))
}

pub(in crate::web::console) async fn probe(State(web): State<Web>, person: Person, fields: Fields) -> Result<Response, Page> {
    let one = whose::organization(&web, &person, fields.text("for")).await?;
    let (slug, text) = (&one.file.slug, fields.text("address"));
    let sheet = |title: String, lead: &str| Sheet::new(title, lead).under("/directory", "Directory");
    let Ok(address) = text.parse::<DirectAddress>() else {
        let page = sheet("Probe".to_owned(), "").wrong(Some(format!("{text:?} is not a Direct address."))).and(form(slug, text));
        return Ok(page.show_as(StatusCode::UNPROCESSABLE_ENTITY, &person).into_response());
    };
    let Some(prober) = &web.prober else {
        let why = "Nobody answers probes in this process: ask one that runs the worker, or postern probe.";
        return Err(Problem::unavailable_now(why).into());
    };
    let _turn = web.turns.take(one.id).await.map_err(Page::from)?;
    let freshness = if fields.ticked("fresh") { Freshness::Asked } else { Freshness::Kept };
    let probed = prober.probe(one.id, &address, freshness).await.map_err(|error| {
        tracing::error!(error = chain(&error), "a probe could not be made");
        Page::from(Problem::unavailable_now("the probe could not be made; ask again later"))
    })?;
    let lead = format!("As {slug} would send to it.");
    let mut page = sheet(address.to_string(), &lead).and(outcome(&probed));
    for (place, step) in probed.steps.iter().enumerate() {
        page = page.and(questions(place + 1, step));
        for verdict in step.asked.iter().flat_map(|asked| &asked.certificates) {
            page = page.and(judged(verdict));
        }
    }
    Ok(page.and(form(slug, address.as_str())).show(&person).into_response())
}

/// What it all comes to, with the path drawn.
pub(in crate::web::console) fn outcome(probed: &Probed) -> Section {
    let edge = if probed.edge {
        " Its identities are in edge mode: certificates are the HISP's business, which may see it differently."
    } else {
        ""
    };
    match &probed.outcome {
        Outcome::Found { place, path, valid_until, .. } => {
            let from = place.map_or("somewhere", name);
            Section::path("It can be sent to", nodes(path)).lead(format!(
                "With the certificate from: {from}. The path of the certificate, up to the anchor we believe, is good until {valid_until}.{edge}"
            ))
        }
        Outcome::Refused { reason, why, remedy } => Section::facts(
            "It cannot be sent to now",
            vec![("Reason", reason.clone()), ("Why", why.clone()), ("What to do", format!("{remedy}.{edge}"))],
        ),
    }
}

/// The certificates of a path as they are drawn: the recipient's first.
pub(in crate::web::console) fn nodes(path: &[String]) -> Vec<Node> {
    let last = path.len().saturating_sub(1);
    let what = |place: usize| match place {
        _ if place == last => "anchor: believed by us",
        0 => "the recipient",
        _ => "intermediate",
    };
    path.iter().enumerate().map(|(place, subject)| Node { what: what(place), name: subject.clone() }).collect()
}

fn questions(number: usize, step: &Step) -> Section {
    let heading = format!("{number}. {}", name(step.place));
    let lead = match step.end {
        End::Off => "Switched off in [discovery].",
        End::Invalid => "None of them will do, so the search ends here: what a later place holds is not meant to be used.",
        End::Unavailable => "No answer is not the same as none: the search ends here and is tried again later.",
        End::Valid => "Found here.",
        End::Nothing => "Nothing there; on to the next place.",
    };
    let row = |asked: &Asked| {
        let age = match asked.age_seconds {
            Some(age) => format!("kept for {}", words::age(std::time::Duration::from_secs(age))),
            None => format!("{} ms", asked.took_ms),
        };
        let said = match asked.said {
            Word::Nothing => Cell::from("nothing there"),
            Word::Unavailable => Cell::from("no answer").with(asked.why.clone().unwrap_or_default()),
            Word::Directories => Cell::from(asked.directories.join(", then ")),
            Word::Certificates if asked.certificates.len() == 1 => Cell::from("1 certificate"),
            Word::Certificates => Cell::from(format!("{} certificates", asked.certificates.len())),
        };
        vec![Cell::from(asked.what.clone()), Cell::from(asked.of.clone()).with(age), said]
    };
    let empty = ("Nobody was asked here", "");
    Section::table(&heading, &["Asked", "Answered by", "Said"], empty).lead(lead).rows(step.asked.iter().map(row))
}

/// One certificate with every check.
fn judged(verdict: &Verdict) -> Section {
    let row = |(check, result, why): (String, Badge, String)| vec![Cell::from(check), result.into(), Cell::from(why)];
    let rows = verdict.checks.iter().map(|checked| {
        let (tone, words) = match checked.result {
            Pass::Pass => ("good", "pass"),
            Pass::LetPass => ("warn", "let pass"),
            Pass::Fail => ("bad", "fail"),
            Pass::NotReached => ("calm", "not reached"),
        };
        row((checked.check.to_string(), Badge { tone, words: words.to_owned() }, checked.why.clone().unwrap_or_default()))
    });
    let (heading, mut lead) = match &verdict.certificate {
        Some(one) => (
            format!("Certificate: {}", one.subject),
            format!("Bound to {}; {}; last day {}; SHA-256 {}.", one.bound_to, one.key, one.last_day, one.fingerprint),
        ),
        None => ("Something that is no certificate".to_owned(), String::new()),
    };
    if let Some(url) = &verdict.url {
        lead += &format!(" Fetched from {url}.");
    }
    let told = |text: &Option<String>| text.clone().unwrap_or_default();
    if !verdict.valid {
        lead += &format!(" It will not do ({}): {}.", told(&verdict.reason), told(&verdict.why));
    }
    Section::table(&heading, &["Check", "Result", "Why"], ("Nothing was checked", "")).lead(lead).rows(rows)
}

const fn name(place: Place) -> &'static str {
    match place {
        Place::Local => "Imported certificates",
        Place::DnsAddress => "DNS, for the address",
        Place::DnsDomain => "DNS, for the domain",
        Place::LdapAddress => "LDAP, for the address",
        Place::LdapDomain => "LDAP, for the domain",
    }
}
