//! Styles: files of ours, told apart by the release, so that browsers may keep them.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

pub(super) async fn style() -> Response {
    let style = include_str!("../../../templates/console/console.css");
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "public, max-age=300")], style).into_response()
}
