//! The cookie of a session, the one of somebody who is about to sign in, and forms that are ours.
//!
//! A form carries a mark made from the cookie (RFC-less, OWASP's "signed double submit"): another site can make a browser send
//! the cookie, but cannot read it, and so cannot make the mark.

use axum::http::{HeaderMap, HeaderValue, Method, header, request::Parts};

use crate::{
    config::console::Reached,
    crypto::{self, CryptoError, Hex, hash::mark},
};

/// What a visitor who is not signed in has, so that even the first form can be told from another site's.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// Stands in every form, in the field `csrf`.
    pub csrf: String,
}

/// The names of the cookies, and how they are set.
#[derive(Debug, Clone, Copy)]
pub(in crate::web) struct Cookies {
    secure: bool,
}

impl Cookies {
    pub(in crate::web) const fn of(reached: &Reached) -> Self {
        Self { secure: matches!(reached, Reached::Secure(_)) }
    }

    /// RFC 6265bis 4.1.3.2: a browser takes `__Host-` only from this very host, over TLS, for all of it. Without TLS (on this
    /// machine) no browser would keep it.
    const fn session_name(self) -> &'static str {
        if self.secure { "__Host-postern" } else { "postern" }
    }

    const fn visitor_name(self) -> &'static str {
        if self.secure { "__Host-postern-visit" } else { "postern-visit" }
    }

    /// What the session's cookie holds.
    pub(in crate::web) fn session(self, headers: &HeaderMap) -> Option<&str> {
        value(headers, self.session_name())
    }

    /// What the visitor's cookie holds.
    pub(in crate::web) fn visitor(self, headers: &HeaderMap) -> Option<&str> {
        value(headers, self.visitor_name())
    }

    /// Sets the session's cookie: until the browser closes, or the session ends.
    pub(in crate::web) fn set_session(self, token: &str) -> Option<HeaderValue> {
        self.set(self.session_name(), token, "Lax")
    }

    #[cfg(feature = "oidc")]
    const fn passage_name(self) -> &'static str {
        if self.secure { "__Host-postern-passage" } else { "postern-passage" }
    }

    /// What the cookie of somebody on the way through the OpenID provider holds.
    #[cfg(feature = "oidc")]
    pub(in crate::web) fn passage(self, headers: &HeaderMap) -> Option<&str> {
        value(headers, self.passage_name())
    }

    /// Sets it. Lax: the provider leads the browser back from another site.
    #[cfg(feature = "oidc")]
    pub(in crate::web) fn set_passage(self, secret: &str) -> Option<HeaderValue> {
        self.set(self.passage_name(), secret, "Lax; Max-Age=600")
    }

    /// Takes it away.
    #[cfg(feature = "oidc")]
    pub(in crate::web) fn clear_passage(self) -> Option<HeaderValue> {
        self.set(self.passage_name(), "", "Lax; Max-Age=0")
    }

    /// Takes it away.
    pub(in crate::web) fn clear_session(self) -> Option<HeaderValue> {
        self.set(self.session_name(), "", "Lax; Max-Age=0")
    }

    /// Sets a visitor's.
    pub(in crate::web) fn set_visitor(self, token: &str) -> Option<HeaderValue> {
        self.set(self.visitor_name(), token, "Strict")
    }

    fn set(self, name: &str, value: &str, rest: &str) -> Option<HeaderValue> {
        let secure = if self.secure { "; Secure" } else { "" };
        HeaderValue::from_str(&format!("{name}={value}; Path=/; HttpOnly{secure}; SameSite={rest}")).ok()
    }
}

/// The one cookie of that name; two of them are none, because somebody else set one.
fn value<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut found = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = found.by_ref().filter(|(key, _)| *key == name).map(|(_, value)| value);
    let (value, None) = (values.next()?, values.next()) else { return None };
    (value.len() == 64 && value.bytes().all(|b| b.is_ascii_hexdigit())).then_some(value)
}

/// The mark of forms that go with this cookie.
pub(in crate::web) fn csrf(cookie: &str) -> Result<String, CryptoError> {
    mark(cookie, "form")
}

/// A cookie for a visitor.
pub(in crate::web) fn fresh() -> Result<String, CryptoError> {
    let mut secret = [0; 32];
    crypto::random(&mut secret)?;
    Ok(Hex(&secret).to_string())
}

/// Whether the browser says that a request comes from a page of ours. One that says nothing is believed: then the mark of the
/// form alone decides.
pub(in crate::web) fn same_origin(reached: &Reached, request: &Parts) -> bool {
    let headers = &request.headers;
    if matches!(request.method, Method::GET | Method::HEAD) {
        return true;
    }
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let (Ok(origin), host) = (origin.to_str(), headers.get(header::HOST).and_then(|host| host.to_str().ok())) else {
        return false;
    };
    match reached {
        // Our pages send no referrer, and a browser then says nothing about the origin either (Fetch 3.1).
        _ if origin == "null" => true,
        Reached::Secure(ours) => origin.eq_ignore_ascii_case(ours),
        _ => host.is_some_and(|host| origin.eq_ignore_ascii_case(&format!("http://{host}"))),
    }
}

/// Whether the request names this machine: a name of somebody else's that points here is a trap (DNS rebinding).
pub(in crate::web) fn names_this_machine(request: &Parts) -> bool {
    let Some(host) = request.headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(host, |(name, _)| name);
    let address = name.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}
