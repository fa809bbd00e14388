//! Where one lands after signing in.

use askama::Template;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::Page;
use crate::{domain::person::Duty, web::auth::Person};

#[derive(Template)]
#[template(path = "console/home.html")]
struct Home<'a> {
    person: Option<&'a Person>,
    here: &'a Person,
}

pub(super) async fn show(person: Person) -> Response {
    match person.duty {
        Some(Duty::Password) => Redirect::to("/account/password").into_response(),
        Some(Duty::Codes) => Redirect::to("/account/codes").into_response(),
        None => Page::of(&Home { person: Some(&person), here: &person }).into_response(),
    }
}
