//! What pages tell browsers about themselves: run nothing but ours, show nothing in a frame, tell nobody where one came from.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::config::console::Reached;

/// Everything comes from here, scripts and styles from files of ours; nothing inline (OWASP ASVS 3.4).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
    connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// What a screen of ours never needs.
const PERMISSIONS: &str = "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), \
    microphone=(), midi=(), payment=(), publickey-credentials-get=(), usb=(), xr-spatial-tracking=()";

/// Adds them. A page that must say otherwise has said so already.
pub(super) fn add(headers: &mut HeaderMap, reached: &Reached) {
    let mut say = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    say(header::CONTENT_SECURITY_POLICY, POLICY);
    say(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    say(header::X_FRAME_OPTIONS, "DENY");
    say(header::REFERRER_POLICY, "no-referrer");
    say(HeaderName::from_static("permissions-policy"), PERMISSIONS);
    say(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    say(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    if matches!(reached, Reached::Secure(_)) {
        say(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
}
