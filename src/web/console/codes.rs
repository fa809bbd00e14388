//! Codes (TOTP): a picture for the telephone, and a first code that proves it has it.

use askama::Template;
use axum::{
    Form,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use qrcode::{Color, QrCode};
use serde::Deserialize;

use super::Page;
use crate::{
    crypto::{self, totp::Secret},
    domain::{audit::Witness, person::Duty},
    observe::events::CodesSetUp,
    store::{StoreError, totp::NewCodes},
    web::{
        Problem, Web,
        auth::{
            Person,
            sign_in::{Proof, Proven},
        },
    },
};

/// So many codes for the day the telephone is lost.
const RECOVERY: usize = 10;

#[derive(Template)]
#[template(path = "console/codes.html")]
struct Codes<'a> {
    person: Option<&'a Person>,
    here: &'a Person,
    duty: bool,
    /// There are codes already: who sets others shows first that it is they.
    again: bool,
    offer: &'a str,
    secret: &'a str,
    side: usize,
    picture: String,
    problem: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "console/recovery.html")]
struct Recovery<'a> {
    person: Option<&'a Person>,
    codes: &'a [String],
}

/// The form.
#[derive(Deserialize)]
pub(super) struct Given {
    #[serde(default)]
    offer: String,
    #[serde(default)]
    code: String,
    /// Where there are codes already: the password,
    #[serde(default)]
    password: String,
    /// or a code of the telephone they have, or one for recovery.
    #[serde(default)]
    present: String,
}

pub(super) async fn show(State(web): State<Web>, person: Person) -> Result<Page, Page> {
    let secret = Secret::generate().map_err(failed)?;
    let offer = web.intake.store().offer_codes(person.known.id, &secret).await.map_err(Page::store)?;
    page(&person, &secret, &offer, None)
}

pub(super) async fn set_up(State(web): State<Web>, person: Person, Form(given): Form<Given>) -> Result<Response, Page> {
    let store = web.intake.store();
    let Some(secret) = store.offered_codes(person.known.id, &given.offer).await.map_err(Page::store)? else {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "malformed", "The page is too old: load it again.").into());
    };
    let refused =
        |problem: &str| -> Result<Response, Page> { Ok(page(&person, &secret, &given.offer, Some(problem))?.into_response()) };
    let Some(step) = secret.step_of(&given.code, store.clock().now()).map_err(failed)? else {
        return refused("That is not the code that belongs to this picture at this time. Is the clock of the telephone right?");
    };
    // A stolen session must not become the second factor.
    if person.codes {
        let proof = match (given.password.as_str(), given.present.trim()) {
            ("", "") => return refused("Codes are set up already: enter your password, or a code from the telephone you have."),
            ("", present) => Proof::Code(present),
            (password, _) => Proof::Password(password),
        };
        match web.sign_in.proves(&person.known, &person.actor, proof).await.map_err(Page::store)? {
            Proven::Right => {}
            Proven::Wrong => return refused("The password, or the code from the telephone you have, is not right."),
            Proven::Locked => return refused("Too many wrong tries: wait a while."),
            Proven::Busy => return refused("Too many passwords are being checked: try again in a few seconds."),
        }
    }
    let recovery = (0..RECOVERY).map(|_| recovery_code()).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let new = NewCodes { person: person.known.id, offer: &given.offer, step, recovery: &recovery, keep: person.session };
    let event = CodesSetUp { person: person.known.id };
    store.set_codes(&new, Witness::new(&person.actor, &event)).await.map_err(Page::store)?;
    Ok(Page::of(&Recovery { person: Some(&person), codes: &recovery }).into_response())
}

fn page(person: &Person, secret: &Secret, offer: &str, problem: Option<&str>) -> Result<Page, Page> {
    let uri = secret.uri("Postern", &person.known.login);
    let broken = |_| Page::from(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the picture could not be made"));
    let code = QrCode::new(uri.as_bytes()).map_err(broken)?;
    let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let spelled = secret.base32();
    let groups: Vec<&str> = spelled.as_bytes().chunks(4).filter_map(|group| std::str::from_utf8(group).ok()).collect();
    let page = Codes {
        person: Some(person),
        here: person,
        duty: person.duty == Some(Duty::Codes),
        again: person.codes,
        offer,
        secret: &groups.join(" "),
        side: code.width(),
        picture: squares(&code),
        problem,
    };
    Ok(Page::with(status, &page))
}

/// The dark squares as one path of an SVG.
fn squares(code: &QrCode) -> String {
    let dark = code.to_colors().into_iter().enumerate().filter(|(_, color)| *color == Color::Dark);
    let wide = code.width();
    dark.fold(String::new(), |path, (place, _)| path + &format!("M{} {}h1v1h-1z", place % wide, place / wide))
}

/// Fifty random bits, as people copy them: `xxxxx-xxxxx`.
fn recovery_code() -> Result<String, crypto::CryptoError> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut octets = [0; 10];
    crypto::random(&mut octets)?;
    let text: String = octets.iter().map(|octet| char::from(LETTERS[usize::from(octet % 32)])).collect();
    Ok(format!("{}-{}", &text[..5], &text[5..]))
}

fn failed(error: crypto::CryptoError) -> Page {
    Page::store(StoreError::from(error))
}
