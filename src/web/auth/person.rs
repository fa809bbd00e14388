//! People: a cookie names a session, the session a person, the person's role the rights.

use axum::{
    body::Body,
    extract::{FromRequest as _, FromRequestParts, Request, State},
    http::{Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Redirect, Response},
};

use super::{
    Visitor, actor,
    cookie::{Cookies, csrf, fresh, names_this_machine, same_origin},
    fields::{self, Fields},
    headers, problem, scope,
};
use crate::{
    config::console::Reached,
    crypto::{CryptoError, sha256},
    domain::{
        OrgId, OrgScope, Timestamp,
        audit::Actor,
        id::{PersonId, SessionId},
        person::{Duty, Known, Right, may},
    },
    observe::events::{ForeignRequest, RightMissing},
    store::session::{Session, Stage},
    web::{Problem, Web, console::Page, places::Place, upload},
};

/// Most octets of a form.
const FORM_OCTETS: usize = 1_000_000;
/// The same of somebody who is not signed in: a name, a password, and where to go. All connections there are hold no more than 16 MB
/// of them.
const VISITOR_OCTETS: usize = 16_000;

/// Most requests a minute in one session, a tenth of them at once.
const REQUESTS: u32 = 1_200;

/// Somebody who is signed in and may do what the route does.
#[derive(Debug, Clone)]
pub struct Person {
    /// Who it is.
    pub known: Known,
    /// Whose rows they may see, for every call to the store; narrowed to the organization that the request chose, if it did.
    pub scope: OrgScope,
    /// The organization that was chosen (`?organization=`).
    pub chosen: Option<OrgId>,
    /// Who goes on record.
    pub actor: Actor,
    /// Stands in every form, in the field `csrf`.
    pub csrf: String,
    /// The session.
    pub session: SessionId,
    /// What must be done before anything else.
    pub duty: Option<Duty>,
    /// Codes are set up.
    pub codes: bool,
    /// An OpenID provider vouched for them in this session.
    pub by_provider: bool,
    /// When the session ends at the latest.
    pub ends_at: Timestamp,
    /// Where they are: the path without what names one thing.
    pub place: String,
}

impl Person {
    /// Whether they may do that, too: for what a page offers.
    #[must_use]
    pub fn may(&self, right: Right) -> bool {
        may(self.known.role, &self.known.reach, right)
    }
}

impl FromRequestParts<Web> for Person {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Web) -> Result<Self, Problem> {
        // A route that names no right has nobody to show.
        let person = parts.extensions.get::<Self>().cloned();
        person.ok_or_else(|| Problem::new(StatusCode::FORBIDDEN, "forbidden", "this route names no right, so nobody has it"))
    }
}

impl FromRequestParts<Web> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Web) -> Result<Self, Problem> {
        let visitor = parts.extensions.get::<Self>().cloned();
        visitor.ok_or_else(|| Problem::new(StatusCode::FORBIDDEN, "forbidden", "this page is not for visitors"))
    }
}

/// What somebody must do first in this session.
fn duty(web: &Web, session: &Session) -> Option<Duty> {
    let person = &session.person;
    // Whom a provider vouches for needs no password of ours.
    if person.first_until.is_some() && !session.by_provider {
        return Some(Duty::Password);
    }
    let asked = web.console.codes_for.contains(&person.known.role) && (!session.by_provider || web.provider_leaves_codes_to_us());
    (asked && !person.codes).then_some(Duty::Codes)
}

/// Lets people through whose role has the right.
pub(super) async fn gate(State((web, right, awake)): State<(Web, Right, bool)>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let mut response = match admit(&web, right, awake, &parts).await {
        Ok(person) => match ours(&web, Some(person.known.id), parts, body, &person.csrf).await {
            // What was uploaded takes its place until it is answered.
            Ok((mut request, _place)) => {
                request.extensions_mut().insert(person);
                next.run(request).await
            }
            Err(NotOurs::Foreign) => {
                let _ = web.intake.store().witness(&person.actor, &ForeignRequest { session: person.session }).await;
                NotOurs::Foreign.into_response()
            }
            Err(refused) => refused.into_response(),
        },
        Err(response) => response,
    };
    headers::add(response.headers_mut(), &web.reached);
    response
}

async fn admit(web: &Web, right: Right, awake: bool, request: &Parts) -> Result<Person, Response> {
    open(web, request).map_err(|closed| *closed)?;
    let failed = |error| Page::from(problem(error)).into_response();
    let store = web.intake.store();
    let Some(token) = Cookies::of(&web.reached).session(&request.headers) else { return Err(sign_in(request)) };
    let session = store.session(token, web.console.idle.0).await.map_err(failed)?;
    let Some(session) = session.filter(|session| session.stage == Stage::Open) else { return Err(sign_in(request)) };
    web.paces.take(session.id.0, REQUESTS).map_err(|problem| Page::from(problem).into_response())?;
    if awake {
        store.touch_session(&session).await.map_err(failed)?;
    }
    let csrf = csrf(token).map_err(|error| Page::from(problem(error.into())).into_response())?;
    let duty = duty(web, &session);
    let Session { id, person, ends_at, by_provider, .. } = session;
    let (known, codes) = (person.known, person.codes);
    let place = format!("/{}", request.uri.path().split('/').nth(1).unwrap_or_default());
    let actor = actor(web, request, Actor::person(known.id, &known.login));
    if !may(known.role, &known.reach, right) {
        store.witness(&actor, &RightMissing { right }).await.map_err(failed)?;
        let person = Person {
            scope: OrgScope::All,
            chosen: None,
            known,
            actor,
            csrf,
            session: id,
            duty,
            codes,
            by_provider,
            ends_at,
            place,
        };
        return Err(Page::forbidden(person).into_response());
    }
    if right != Right::Account {
        match duty {
            Some(Duty::Password) => return Err(Redirect::to("/account/password").into_response()),
            Some(Duty::Codes) => return Err(Redirect::to("/account/codes").into_response()),
            None => {}
        }
    }
    let (chosen, scope) = scope(web, &request.uri, &known.reach).await.map_err(|problem| Page::from(problem).into_response())?;
    Ok(Person { known, scope, chosen, actor, csrf, session: id, duty, codes, by_provider, ends_at, place })
}

/// Gives visitors their cookie and checks their forms.
pub(super) async fn visitor_gate(State(web): State<Web>, request: Request, next: Next) -> Response {
    let mut response = match visit(&web, request).await {
        Ok((mut request, visitor, cookie)) => {
            request.extensions_mut().insert(visitor);
            let mut response = next.run(request).await;
            if let Some(cookie) = cookie.and_then(|cookie| Cookies::of(&web.reached).set_visitor(&cookie)) {
                response.headers_mut().append(header::SET_COOKIE, cookie);
            }
            response
        }
        Err(response) => response,
    };
    headers::add(response.headers_mut(), &web.reached);
    response
}

async fn visit(web: &Web, request: Request) -> Result<(Request, Visitor, Option<String>), Response> {
    let (parts, body) = request.into_parts();
    open(web, &parts).map_err(|closed| *closed)?;
    let failed = |error: CryptoError| Page::from(problem(error.into())).into_response();
    let known = Cookies::of(&web.reached).visitor(&parts.headers).map(str::to_owned);
    let (cookie, new) = match known {
        Some(cookie) => (cookie, false),
        None => (fresh().map_err(failed)?, true),
    };
    let visitor = Visitor { csrf: csrf(&cookie).map_err(failed)? };
    let (request, _) = ours(web, None, parts, body, &visitor.csrf).await.map_err(NotOurs::into_response)?;
    Ok((request, visitor, new.then_some(cookie)))
}

/// Whether there is a console at the address that was asked for.
fn open(web: &Web, request: &Parts) -> Result<(), Box<Response>> {
    let why = match *web.reached {
        Reached::Closed => "the console is closed here: set url in [console], and put a proxy with TLS before it",
        Reached::Loopback if !names_this_machine(request) => {
            "the console is open on this machine alone, under localhost; set url in [console] to reach it by another name"
        }
        _ => return Ok(()),
    };
    Err(Box::new(Page::from(Problem::new(StatusCode::MISDIRECTED_REQUEST, "closed", why)).into_response()))
}

/// Somebody has to sign in first, and comes back to what they wanted to see.
fn sign_in(request: &Parts) -> Response {
    let wanted = request.uri.path_and_query().map_or("/", |path| path.as_str());
    if request.method != Method::GET || wanted == "/" || wanted.len() > 500 {
        return Redirect::to("/sign-in").into_response();
    }
    let wanted: String = wanted
        .bytes()
        .map(|b| if b.is_ascii_alphanumeric() || b"/-_.~".contains(&b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect();
    Redirect::to(&format!("/sign-in?next={wanted}")).into_response()
}

/// Why a request is not let through to its page.
enum NotOurs {
    /// It did not come from a page of ours.
    Foreign,
    /// It is too large, too slow, or one too many.
    Refused(Problem),
}

impl NotOurs {
    fn into_response(self) -> Response {
        let problem = match self {
            Self::Foreign => {
                let detail = "the form did not come from this page, or the page is too old: go back, load it again and repeat";
                Problem::new(StatusCode::FORBIDDEN, "foreign_request", detail)
            }
            Self::Refused(problem) => problem,
        };
        Page::from(problem).into_response()
    }
}

/// A request that changes something must come from a page of ours, with the mark of its form: in the field `csrf`, or in the
/// header `x-csrf-token`. Its body is read here, at the pace of an upload, whoever sends it: nobody after this waits for it. A form with
/// a file in it comes from `uploader`, who is signed in, and takes a place among the uploads.
async fn ours(
    web: &Web,
    uploader: Option<PersonId>,
    parts: Parts,
    body: Body,
    mark: &str,
) -> Result<(Request, Option<Place>), NotOurs> {
    if matches!(parts.method, Method::GET | Method::HEAD) {
        return Ok((Request::from_parts(parts, body), None));
    }
    let same = |shown: &str| crate::crypto::same(&sha256(shown.as_bytes()), &sha256(mark.as_bytes()));
    if !same_origin(&web.reached, &parts) {
        return Err(NotOurs::Foreign);
    }
    let marked = parts.headers.get("x-csrf-token").map(|shown| shown.to_str().is_ok_and(same));
    if marked == Some(false) {
        return Err(NotOurs::Foreign);
    }
    let (body, place) = match (uploader, fields::in_parts(&parts.headers)) {
        (Some(person), true) => {
            let read = upload::of_person(web, person, &parts.headers, body).await;
            read.map(|(body, place)| (body, Some(place))).map_err(NotOurs::Refused)?
        }
        (None, true) => {
            // Visitors have no file to send.
            let detail = "this form is sent in one line (application/x-www-form-urlencoded), not in parts";
            let unsupported = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail);
            return Err(NotOurs::Refused(unsupported));
        }
        (uploader, false) => {
            let most = if uploader.is_some() { FORM_OCTETS } else { VISITOR_OCTETS };
            (upload::page_form(web, &parts.headers, body, most).await.map_err(NotOurs::Refused)?, None)
        }
    };
    let again = Request::from_parts(parts.clone(), Body::from(body.clone()));
    let read = Fields::from_request(again, web).await;
    if marked.is_none() && !read.as_ref().is_ok_and(|fields| same(fields.text("csrf"))) {
        return Err(NotOurs::Foreign);
    }
    if place.is_none() {
        return Ok((Request::from_parts(parts, Body::from(body)), None));
    }
    // It is held in memory once.
    let mut request = Request::from_parts(parts, Body::empty());
    request.extensions_mut().insert(read.map_err(NotOurs::Refused)?);
    Ok((request, place))
}
