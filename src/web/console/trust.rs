//! Trust: our identities, whom we believe, when that ends, and what to do before it does.

/// What is changed.
pub(super) mod acts;

use std::collections::BTreeMap;

use axum::extract::{Query, State};
use serde::Deserialize;

use super::{
    Page, Told,
    deliveries::{Choice, organizations},
    form::{Form, Input},
    overview::until,
    sheet::{Cell, Field, Section, Sheet},
    whose, words,
};
use crate::{
    domain::{OrgId, Timestamp, person::Right},
    store::{bundle::Bundle, identity_key::StoredKey, trust::StoredCertificate},
    trust::{
        Certificate,
        identity::{expiry::unreplaced, signing},
    },
    web::{Web, auth::Person},
};

/// Recipients' certificates on the page.
const MOST: usize = 500;

/// What the page was asked to say.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    done: String,
}

/// What a row needs to know beside itself.
struct Around<'a> {
    slugs: &'a BTreeMap<OrgId, String>,
    now: Timestamp,
    acts: bool,
}

impl Around<'_> {
    fn slug(&self, org: OrgId) -> String {
        self.slugs.get(&org).cloned().unwrap_or_default()
    }
}

pub(super) async fn show(State(web): State<Web>, person: Person, Query(asked): Query<Asked>) -> Result<Page, Page> {
    let sheet = page(&web, &person, None).await?;
    Ok(sheet.told(Told::of(&asked.done)).show(&person))
}

async fn page(web: &Web, person: &Person, problem: Option<String>) -> Result<Sheet, Page> {
    let store = web.intake.store();
    let now = store.clock().now();
    let slugs = store.slugs(person.scope).await.map_err(Page::store)?;
    let around = Around { slugs: &slugs, now, acts: person.may(Right::TrustAct) };
    let keys = store.identity_keys(person.scope).await.map_err(Page::store)?;
    let mut anchors = store.anchors(person.scope).await.map_err(Page::store)?;
    anchors.sort_by_key(|anchor| anchor.not_after);
    let mut certificates = store.certificates(person.scope).await.map_err(Page::store)?;
    certificates.sort_by_key(|certificate| certificate.not_after);
    let bundles = store.bundles(person.scope).await.map_err(Page::store)?;
    let whose = whose::all(web, person).await?;
    let fields: Vec<Field> =
        Field::choice("organization", "Organization", organizations(web, person).await?).into_iter().collect();
    let lead = "From which addresses we send, whom we believe, and when that ends; what ends first stands first.";
    let mut sheet = Sheet::new("Trust", lead).wrong(problem);
    if !fields.is_empty() {
        sheet = sheet.filtered("/trust", fields, None);
    }
    Ok(sheet
        .and(identities(keys, &around))
        .and(believed(anchors, &around, &whose))
        .and(bundled(bundles, &around, &whose))
        .and(recipients(certificates, &around, &whose)))
}

fn identities(mut keys: Vec<StoredKey>, around: &Around<'_>) -> Section {
    keys.sort_by_key(|key| key.term.until);
    let signs = signing(&keys, around.now);
    let live: Vec<_> = unreplaced(&keys).into_iter().map(|key| key.id).collect();
    let now = around.now;
    let rows: Vec<Vec<Cell>> = keys
        .iter()
        .zip(signs)
        .map(|(key, signs)| {
            let replaced = !live.contains(&key.id);
            let does = match key.term {
                term if term.from > now => "not yet valid",
                _ if signs => "signs now",
                term if term.used_for.decrypts() => "opens what comes",
                _ => "nothing now",
            };
            let days = key.term.days_left(now);
            let next = match key.term.nearness(now) {
                _ if replaced => "A newer one takes its place; keep it as long as mail sealed to it may come.".to_owned(),
                None => "Nothing to do.".to_owned(),
                Some(_) if days == 0 => "It has ended: import the next one now.".to_owned(),
                Some(_) => format!("Ask its issuer for the next one and import it within {days} days."),
            };
            vec![
                Cell::code(key.address.to_string()).with(around.slug(key.org)),
                Cell::from(key.term.used_for.to_string()).with(does),
                Cell::time(words::when(key.term.until)),
                if replaced { "replaced".into() } else { Cell::from(until(key.term.until, now)) },
                Cell::from(next).with(if key.token.is_some() { "its key is on the token" } else { "" }),
                Cell::code(short(&key.fingerprint)),
            ]
        })
        .collect();
    let empty = (
        "No key is kept here",
        "Identities whose key came with the organization file stand with the organization; import others: postern trust identities import",
    );
    Section::table("Our identities", &["Address", "Use", "Ends (UTC)", "Left", "Next step", "SHA-256"], empty)
        .lead("Keys never pass through a browser: they are imported on the machine, by postern trust identities import.")
        .rows(rows)
}

/// The beginning of a digest, as people compare it.
fn short(fingerprint: &str) -> String {
    fingerprint.get(..16).unwrap_or(fingerprint).to_owned()
}

fn subject(der: &[u8]) -> String {
    Certificate::from_der(der).map_or_else(|_| "cannot be read".to_owned(), |one| one.subject())
}

fn removal(path: &'static str, slug: &str, fingerprint: &str, lead: &str) -> Form {
    Form::new(path, "Remove it")
        .folded("Remove")
        .about(short(fingerprint))
        .lead(lead)
        .hidden("for", slug)
        .hidden("fingerprint", fingerprint)
        .bad()
}

fn believed(anchors: Vec<StoredCertificate>, around: &Around<'_>, whose: &[Choice]) -> Section {
    let row = |one: StoredCertificate| {
        let slug = around.slug(one.org);
        let lead = "Nothing is sealed to anybody below it any more, and what they write is not believed.";
        let last = match (&one.bundle, around.acts) {
            (Some(bundle), _) => Cell::from("").with(format!("goes with bundle {bundle}")),
            (None, true) => Cell::doing([removal("/trust/anchors/remove", &slug, &one.fingerprint, lead)]),
            (None, false) => Cell::default(),
        };
        vec![
            Cell::from(subject(&one.der)).with(format!("{} of {slug}", one.name)),
            one.used_for.map_or_else(|| "-".to_owned(), |used| used.to_string()).into(),
            Cell::time(words::when(one.not_after)),
            until(one.not_after, around.now).into(),
            Cell::code(short(&one.fingerprint)),
            last,
        ]
    };
    let empty = ("Nobody is believed", "Nothing can be sealed without an anchor: add one below, or a bundle of them.");
    let columns = ["Authority", "Use", "Ends (UTC)", "Left", "SHA-256", ""];
    let mut section = Section::table("Anchors", &columns, empty).rows(anchors.into_iter().map(row));
    if around.acts && !whose.is_empty() {
        section = section.and(
            Form::new("/trust/anchors", "Believe it")
                .folded("Add an anchor")
                .lead("Everybody it vouches for is believed from then on: be sure whose it is.")
                .and(whose::input(whose))
                .and(Input::file("file", "Certificate file").hint("PEM or DER; several in one PEM file are fine"))
                .and(Input::area("pem", "or paste it", 4).hint("PEM"))
                .and(Input::words("kind", "As", &[("anchor", "an anchor"), ("intermediate", "an intermediate")], "anchor"))
                .and(uses()),
        );
    }
    section
}

/// The field for the direction in which an authority is believed.
fn uses() -> Input {
    let all = [("both", "both"), ("send", "sealing to recipients"), ("receive", "mail that comes in")];
    Input::words("use", "For", &all, "both")
}

fn bundled(bundles: Vec<Bundle>, around: &Around<'_>, whose: &[Choice]) -> Section {
    let row = |one: Bundle| {
        let slug = around.slug(one.org);
        let state = match (&one.error, one.shrunk_to) {
            (_, Some(left)) => Cell::from(words::Badge { tone: "bad", words: "waits for you".into() })
                .with(format!("it would shrink to {left} anchors; what is in force stays")),
            (Some(why), None) => Cell::from(words::Badge { tone: "warn", words: "failing".into() }).with(why.clone()),
            (None, None) => Cell::from(words::Badge { tone: "good", words: "in force".into() }),
        };
        let named = |form: Form| form.about(one.name.clone()).hidden("for", &slug).hidden("name", &one.name);
        let mut forms = Vec::new();
        if around.acts {
            if one.url.is_some() {
                let mut refresh = Form::new("/trust/bundles/refresh", "Fetch it").folded("Refresh").quiet();
                if one.shrunk_to.is_some() {
                    refresh = refresh.and(Input::tick("accept", "Take it though it has lost so many anchors"));
                }
                forms.push(named(refresh));
            }
            let lead = "Its anchors go with it: nothing is sealed to anybody below them any more.";
            forms.push(named(Form::new("/trust/bundles/remove", "Remove it").folded("Remove").lead(lead).bad()));
        }
        vec![
            Cell::from(one.name.clone()).with(format!("{slug}; {}", one.url.clone().unwrap_or_else(|| "from a file".to_owned()))),
            Cell::from(one.used_for.to_string()).with(if one.signer.is_some() { "signed" } else { "not signed" }),
            Cell::number(one.anchors),
            Cell::time(words::when_if(one.refreshed_at)),
            state,
            Cell::doing(forms),
        ]
    };
    let empty = ("No bundle", "A bundle is a set of anchors that somebody else keeps, fetched again every day.");
    let columns = ["Name", "Use", "#Anchors", "Refreshed (UTC)", "State", ""];
    let mut section = Section::table("Bundles", &columns, empty).rows(bundles.into_iter().map(row));
    if around.acts && !whose.is_empty() {
        section = section.and(
            Form::new("/trust/bundles", "Fetch and believe it")
                .folded("Add a bundle")
                .lead("It is fetched again every day. One that has lost more than a fifth of its anchors waits for you.")
                .and(whose::input(whose))
                .and(Input::line("name", "What to call it").needed())
                .and(Input::line("url", "Where it is published").hint("https://...").needed())
                .and(
                    Input::file("signer", "The certificate that signs it")
                        .hint("without it whoever can change the URL decides whom you believe"),
                )
                .and(uses()),
        );
    }
    section
}

fn recipients(all: Vec<StoredCertificate>, around: &Around<'_>, whose: &[Choice]) -> Section {
    let row = |one: StoredCertificate| {
        let slug = around.slug(one.org);
        let lead = "From then on the recipient's certificate is looked for in DNS and LDAP.";
        let forms = around.acts.then(|| removal("/trust/certificates/remove", &slug, &one.fingerprint, lead));
        vec![
            Cell::code(one.name.clone()).with(slug),
            Cell::from(subject(&one.der)),
            Cell::time(words::when(one.not_after)),
            until(one.not_after, around.now).into(),
            Cell::code(short(&one.fingerprint)),
            Cell::doing(forms),
        ]
    };
    let empty = ("None", "Certificates are found in DNS and LDAP. One that is published nowhere can be kept here.");
    let columns = ["For", "Whose", "Ends (UTC)", "Left", "SHA-256", ""];
    let mut section =
        Section::table("Recipients' certificates kept by hand", &columns, empty).rows(all.into_iter().take(MOST).map(row));
    if around.acts && !whose.is_empty() {
        section = section.and(
            Form::new("/trust/certificates", "Keep it")
                .folded("Add a recipient's certificate")
                .lead("It is looked at before DNS and LDAP, for every address or domain that it names.")
                .and(whose::input(whose))
                .and(Input::file("file", "Certificate file").hint("PEM or DER"))
                .and(Input::area("pem", "or paste it", 4).hint("PEM")),
        );
    }
    section
}
