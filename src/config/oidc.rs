//! `[oidc]`: signing in through an OpenID provider.

use std::path::{Path, PathBuf};

use super::{secret::Secret, section::section};
use crate::domain::person::{Confinement, Role};

section! {
    /// Signing in to the console through an OpenID provider, beside passwords. Without `issuer` there is none. It leads people back to
    /// /sign-in/provider/back at the console's address: register that as the redirect URI there.
    ["oidc"] OidcSection {
        /// The provider, exactly as it calls itself; what it can do is read from .well-known/openid-configuration below it.
        issuer: Option<String> = None; for example "\"https://login.example.org\"",
        /// What it calls us.
        client_id: String = String::new(),
        /// The secret we show it; without one we are a public client (the exchange is bound by PKCE either way).
        client_secret: Option<Secret> = None; for example "\"...\"",
        /// What the button on the page says.
        label: String = "Sign in with your organization".to_owned(),
        /// What is asked for.
        scopes: Vec<String> = words(&["openid", "profile", "email"]),
        /// What says who somebody is here, the first time: it must be what they sign in as. From then on the provider's own name for
        /// them (issuer and subject) counts alone. An e-mail address counts only when the provider says that it was verified; name no
        /// other claim that people can choose for themselves.
        login_claim: String = "email".to_owned(),
        /// Where it says which groups somebody is in.
        groups_claim: String = "groups".to_owned(),
        /// Roles by group: the first that somebody is in decides, at every sign-in, and whoever is in none is not let in. Without
        /// any, people keep the role they were given here. As in
        /// [{ name = "on-call", role = "operator" }, { name = "plan-a", role = "viewer", organizations = ["plan-a"] }]
        group: Vec<GroupRole> = Vec::new(),
        /// Let somebody in who is in such a group and was not added here before.
        create: bool = false,
        /// Ask those who have codes (TOTP), and those whose role needs them, for a code of ours besides. Off: the provider asks for
        /// a second factor, and you have seen to it.
        codes: bool = true,
        /// PEM file with authorities to believe beside the system's.
        ca_file: Option<PathBuf> = None; for example "\"provider-ca.pem\"",
    }
}

/// What a group of the provider's means here.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct GroupRole {
    /// As the provider calls it.
    pub name: String,
    /// What whoever is in it is here for.
    pub role: Role,
    /// Whose rows they see, by slug; none: everybody's.
    #[serde(default)]
    pub organizations: Vec<String>,
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

impl OidcSection {
    pub(super) fn paths_from(&mut self, folder: &Path) {
        self.ca_file = self.ca_file.take().map(|file| folder.join(file));
    }

    /// Whether the provider may be asked without TLS: only one on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let rest = self.issuer.as_deref().and_then(|issuer| issuer.strip_prefix("http://"));
        let host = rest.and_then(|rest| rest.split(['/', ':']).next());
        host.is_some_and(|host| matches!(host, "localhost" | "127.0.0.1"))
    }

    /// What no single setting can know: every problem.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let Some(issuer) = &self.issuer else { return problems };
        let mut must = |holds: bool, problem: &str| {
            if !holds {
                problems.push(format!("oidc.{problem}"));
            }
        };
        must(cfg!(feature = "oidc"), "issuer cannot be used: this program was built without the feature oidc");
        // OpenID Connect Discovery 1.0, 3: https, no query, no fragment.
        let plain = issuer.len() > "https://".len() && !issuer.contains(['?', '#', '@', ' ']);
        must(
            plain && (issuer.starts_with("https://") || self.is_local()),
            "issuer must be an address like https://login.example.org",
        );
        must(!self.client_id.is_empty(), "client_id is missing: what the provider calls us");
        must(self.scopes.iter().any(|scope| scope == "openid"), "scopes must have openid among them");
        must(!self.create || !self.group.is_empty(), "create needs oidc.group: nobody is let in without a role");
        for GroupRole { name, role, organizations } in &self.group {
            let fits = match role.confinement() {
                Confinement::Always => !organizations.is_empty(),
                Confinement::Never => organizations.is_empty(),
                Confinement::Possible => true,
            };
            must(fits, &format!("group: {name}: a viewer has organizations, an admin has none"));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_had_by_tls_or_on_this_machine_and_nobody_gets_in_without_a_role() {
        let with = |issuer: &str| OidcSection { issuer: Some(issuer.into()), client_id: "p".into(), ..OidcSection::default() };
        for good in
            ["https://login.example.org", "https://login.example.org/realms/a", "http://localhost:8080", "http://127.0.0.1:1/x"]
        {
            assert_eq!(with(good).problems(), Vec::<String>::new(), "{good}");
        }
        for bad in
            ["http://login.example.org", "https://", "login.example.org", "https://a.example/?x", "http://localhost.evil.example"]
        {
            assert_eq!(with(bad).problems().len(), 1, "{bad}");
        }
        assert!(OidcSection::default().problems().is_empty());
        let group = |role, organizations: &[&str]| GroupRole { name: "g".into(), role, organizations: words(organizations) };
        let grouped = |group: Vec<GroupRole>, create| OidcSection { group, create, ..with("https://a.example") }.problems().len();
        assert_eq!(grouped(Vec::new(), true), 1);
        assert_eq!(grouped(vec![group(Role::Viewer, &[]), group(Role::Admin, &["north"]), group(Role::Billing, &[])], true), 2);
        assert_eq!(grouped(vec![group(Role::Viewer, &["north"]), group(Role::Operator, &["north"])], true), 0);
    }
}
