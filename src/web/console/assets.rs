//! Styles and the script: files of ours with the digest of its content in its name, so that browsers keep it until it changes.

use std::sync::LazyLock;

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{
    crypto::{Hex, sha256},
    web::Problem,
};

const STYLE: &str = include_str!("../../../templates/console/console.css");

/// The name of the sheet.
static NAME: LazyLock<String> =
    LazyLock::new(|| format!("console-{}.css", Hex(&sha256(STYLE.as_bytes())).to_string().get(..16).unwrap_or_default()));

const SCRIPT: &str = include_str!("../../../templates/console/console.js");

/// The name of the script.
static SCRIPT_NAME: LazyLock<String> =
    LazyLock::new(|| format!("console-{}.js", Hex(&sha256(SCRIPT.as_bytes())).to_string().get(..16).unwrap_or_default()));

/// Where the script of pages that follow what happens is had.
pub(crate) fn script_path() -> String {
    format!("/assets/{}", *SCRIPT_NAME)
}

/// Where the sheet is had: every page names it.
pub(crate) fn style_path() -> String {
    format!("/assets/{}", *NAME)
}

pub(super) async fn show(Path(name): Path<String>) -> Response {
    let (kind, content) = match &name {
        name if *name == *NAME => ("text/css; charset=utf-8", STYLE),
        name if *name == *SCRIPT_NAME => ("text/javascript; charset=utf-8", SCRIPT),
        _ => return Problem::new(StatusCode::NOT_FOUND, "not_found", "there is no such file").into_response(),
    };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, content).into_response()
}
