//! The way to the OpenID provider and back, and out.

use axum::{
    extract::{Query, Request, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Redirect, Response},
};

use super::{
    Page,
    sign_in::{Next, SignInPage, entered, inside},
};
use crate::{
    config::console::Reached,
    domain::audit::Actor,
    observe::chain,
    source::Refusal,
    store::sign_in::TryKey,
    web::{
        Problem, Web,
        auth::{
            Cookies, Visitor, fresh,
            oidc::{Back, OidcError, Passage, Provider, welcome},
            sign_in::Answer,
            whence,
        },
    },
};

/// Where the provider leads people back to.
const BACK: &str = "/sign-in/provider/back";
/// One sentence whatever is wrong, as with passwords.
const REFUSED: &str =
    "That did not work. You may have no access here, or the way took too long: try again, or ask who runs this gateway.";

/// Leads a visitor to the provider.
pub(super) async fn go(
    State(web): State<Web>,
    visitor: Visitor,
    Query(Next { next, .. }): Query<Next>,
    request: Request,
) -> Result<Response, Page> {
    let (parts, _) = request.into_parts();
    let provider = provider(&web)?;
    let begin = async || -> Result<(String, String), OidcError> {
        let secret = fresh()?;
        let place = provider.way_to(&Passage::of(&secret)?, &format!("{}{BACK}", origin(&web, &parts)), &inside(&next)).await?;
        Ok((secret, place))
    };
    let (secret, place) = match begin().await {
        Ok(begun) => begun,
        Err(error) => return Ok(failed(&web, &visitor, &inside(&next), &error)),
    };
    let mut headers = HeaderMap::new();
    if let Some(cookie) = Cookies::of(&web.reached).set_passage(&secret) {
        headers.insert(header::SET_COOKIE, cookie);
    }
    Ok((headers, Redirect::to(&place)).into_response())
}

/// Lets whoever comes back in, if the provider vouches for somebody.
pub(super) async fn back(
    State(web): State<Web>,
    visitor: Visitor,
    Query(back): Query<Back>,
    request: Request,
) -> Result<Response, Page> {
    let (parts, _) = request.into_parts();
    let provider = provider(&web)?;
    let cookies = Cookies::of(&web.reached);
    let (from, agent) = whence(&web, &parts);
    let mut from = from.with(&agent);
    let store = web.intake.store();
    if let Some(token) = cookies.session(&parts.headers) {
        let before = store.session(token, web.console.idle.0).await.map_err(Page::store)?;
        from.before = before.map(|session| session.id);
    }
    let network = from.network();
    let locked = store.locked_until(&[TryKey::Address(&network)]).await.map_err(Page::store)?;
    let come = async || -> Result<(String, Answer), OidcError> {
        if locked.is_some() {
            return Err(OidcError::Passage("too many wrong tries from there"));
        }
        let secret = cookies.passage(&parts.headers).ok_or(OidcError::Passage("the browser has begun none"))?;
        let passage = Passage::of(secret)?;
        let next = inside(&passage.next(&back)?);
        let uri = format!("{}{BACK}", origin(&web, &parts));
        let actor = Actor::gateway().from(from.address, from.request.clone());
        let person = welcome(provider, store, &passage, &back, &uri, &actor).await?;
        Ok((next, web.sign_in.vouched(&person, provider.settings().codes, &from).await?))
    };
    let mut response = match come().await {
        Ok((next, Answer::Code(token))) => entered(&web, &token, &Next::code(&next)),
        Ok((next, Answer::In(token))) => entered(&web, &token, &next),
        Ok((next, Answer::Refused | Answer::Busy)) => failed(&web, &visitor, &next, &OidcError::Unknown("they may not sign in")),
        Err(error) => {
            if !error.is_trouble() && locked.is_none() {
                web.sign_in.not_vouched(&from).await.map_err(Page::store)?;
            }
            failed(&web, &visitor, "/", &error)
        }
    };
    // Whatever came of it, this way is over.
    if let Some(cookie) = cookies.clear_passage() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// Leads somebody who has signed out here to where they sign out of the provider, too.
pub(super) async fn out(State(web): State<Web>, visitor: Visitor, request: Request) -> Result<Response, Page> {
    let (parts, _) = request.into_parts();
    let there = provider(&web)?.way_out(&format!("{}/sign-in", origin(&web, &parts))).await;
    match there {
        Ok(there) => Ok(Redirect::to(there.as_deref().unwrap_or("/sign-in")).into_response()),
        Err(error) => Ok(failed(&web, &visitor, "/", &error)),
    }
}

fn provider(web: &Web) -> Result<&Provider, Page> {
    web.provider.as_deref().ok_or_else(|| Problem::from(Refusal::not_found("provider")).into())
}

/// The address at which the browser has us. The provider leads nobody back to one that was not registered with it.
fn origin(web: &Web, request: &Parts) -> String {
    let host = || request.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    match &*web.reached {
        Reached::Secure(origin) => origin.clone(),
        _ => format!("http://{}", host()),
    }
}

fn failed(web: &Web, visitor: &Visitor, next: &str, error: &OidcError) -> Response {
    tracing::warn!(error = chain(error), "somebody did not get in through the OpenID provider");
    let (status, words) = if error.is_trouble() {
        (StatusCode::SERVICE_UNAVAILABLE, "The provider could not be asked. Try again in a while, or sign in with a password.")
    } else {
        (StatusCode::UNPROCESSABLE_ENTITY, REFUSED)
    };
    Page::with(status, &SignInPage::of(web, visitor, next).saying(words)).into_response()
}
