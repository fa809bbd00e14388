//! `[console]`: the pages for people.

use super::{section::section, web::WebSection};
use crate::domain::{Network, person::Role, time::Span};

section! {
    /// The pages for people, at the address of the HTTP door. Without `url` they are open on this machine alone.
    ["console"] ConsoleSection {
        /// Where people reach it, through a proxy with TLS: cookies are then marked Secure, and forms are taken from there alone.
        url: Option<String> = None; for example "\"https://postern.example.org\"",
        /// Open it on other addresses of this machine although nothing encrypts what people type. Only for a network nobody else is on.
        insecure: bool = false,
        /// Proxies that are believed when they say whom they speak for (X-Forwarded-For).
        proxies: Vec<Network> = vec![loopback("127.0.0.0/8"), loopback("::1")].into_iter().flatten().collect(),
        /// A session ends when nothing is done in it for so long.
        idle: Span = Span::seconds(15 * 60),
        /// However busy, a session ends after so long.
        lasts: Span = Span::seconds(8 * 60 * 60),
        /// Roles that sign in with a code besides the password (TOTP); others may.
        codes_for: Vec<Role> = vec![Role::Admin, Role::Operator],
        /// How long a first password is good.
        first_password: Span = Span::seconds(7 * 24 * 60 * 60),
        /// Requests a minute with one API token; what comes beyond is told to come again (429). 0 sets no limit.
        requests_per_minute: u32 = 6_000,
    }
}

fn loopback(network: &str) -> Option<Network> {
    network.parse().ok()
}

/// How the console is had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reached {
    /// Through TLS, at this origin.
    Secure(String),
    /// From this machine alone, without TLS.
    Loopback,
    /// Without TLS, from anywhere: somebody said so.
    Insecure,
    /// Not at all: it would be open to others without TLS.
    Closed,
}

impl ConsoleSection {
    /// How it is had, with the HTTP door as it is.
    #[must_use]
    pub fn reached(&self, door: &WebSection) -> Reached {
        match &self.url {
            Some(url) if url.starts_with("https://") => Reached::Secure(url.trim_end_matches('/').to_owned()),
            _ if door.listen.ip().is_loopback() => Reached::Loopback,
            _ if self.insecure => Reached::Insecure,
            _ => Reached::Closed,
        }
    }

    /// What no single setting can know: every problem.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut must = |holds: bool, problem: &str| {
            if !holds {
                problems.push(format!("console.{problem}"));
            }
        };
        let origin = |url: &String| {
            let host = url.strip_prefix("https://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
            host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']))
        };
        must(self.url.as_ref().is_none_or(origin), "url must be an address like https://postern.example.org, without a path");
        must(self.idle.0.as_secs() >= 60, "idle must be at least 60s");
        must(self.lasts >= self.idle, "lasts must not be shorter than console.idle");
        must(self.lasts.0.as_secs() <= 24 * 60 * 60, "lasts must not be longer than 24h");
        must(!self.first_password.0.is_zero(), "first_password must be longer than nothing");
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_tls_it_is_open_on_this_machine_alone_unless_somebody_says_otherwise() {
        let door = |listen: &str| WebSection { listen: listen.parse().unwrap(), ..WebSection::default() };
        let with =
            |url: Option<&str>, insecure| ConsoleSection { url: url.map(str::to_owned), insecure, ..ConsoleSection::default() };
        for (settings, listen, reached) in [
            (with(None, false), "127.0.0.1:1", Reached::Loopback),
            (with(None, false), "0.0.0.0:1", Reached::Closed),
            (with(None, true), "0.0.0.0:1", Reached::Insecure),
            (with(Some("https://p.example/"), false), "0.0.0.0:1", Reached::Secure("https://p.example".into())),
            (with(Some("https://p.example"), false), "127.0.0.1:1", Reached::Secure("https://p.example".into())),
        ] {
            assert_eq!(settings.reached(&door(listen)), reached, "{settings:?}");
        }
        for url in ["http://p.example", "p.example", "https://", "https://p.example/console", "https://a@b"] {
            assert_eq!(with(Some(url), false).problems().len(), 1, "{url}");
        }
    }
}
