//! What an ID token says, and whether it says it to us, about this way in, and now.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::OidcError;
use crate::{config::oidc::OidcSection, crypto::sha256, domain::Timestamp};

/// How far clocks may differ, in seconds.
const SKEW: i64 = 60;
/// A token was made on this way in, which is a matter of minutes; in seconds.
const FRESH: i64 = 600;
/// Longest name of theirs for somebody (OpenID Connect Core 1.0, 2).
const SUBJECT_OCTETS: usize = 255;

/// Whom the provider means.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claims {
    /// Its own name for them.
    pub(super) subject: String,
    /// What they sign in as here, if it says so and vouches for it.
    pub(super) login: Option<String>,
    /// What they are called.
    pub(super) name: Option<String>,
    /// The groups they are in.
    pub(super) groups: Vec<String>,
}

/// What a token must agree with.
pub(super) struct Awaited<'a> {
    pub(super) settings: &'a OidcSection,
    pub(super) nonce: &'a str,
    /// The other token that came with it.
    pub(super) access_token: Option<&'a str>,
    pub(super) now: Timestamp,
}

impl Awaited<'_> {
    /// What a signed token says, if it was made for us, for this way in, and just now (OpenID Connect Core 1.0, 3.1.3.7).
    pub(super) fn check(&self, payload: &[u8]) -> Result<Map<String, Value>, OidcError> {
        let said: Map<String, Value> = serde_json::from_slice(payload).map_err(|_| OidcError::Token("it is no JSON object"))?;
        let text = |name: &str| said.get(name).and_then(Value::as_str);
        let must = |holds: bool, why: &'static str| if holds { Ok(()) } else { Err(OidcError::Token(why)) };
        must(text("iss").is_some() && text("iss") == self.settings.issuer.as_deref(), "another provider made it")?;
        let audience: Vec<&str> = match said.get("aud") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let us = self.settings.client_id.as_str();
        must(audience.contains(&us), "it was made for somebody else")?;
        must(audience.len() == 1 || text("azp").is_some(), "it was made for several and does not say for whom")?;
        must(text("azp").is_none_or(|party| party == us), "it was given to somebody else")?;
        let now = self.now.micros().div_euclid(1_000_000);
        // Some write fractions of a second (RFC 7519 2).
        #[expect(clippy::cast_possible_truncation, reason = "instants beyond the range of i64 are compared as its ends")]
        let instant = |name: &str| said.get(name).and_then(Value::as_f64).map(|seconds| seconds as i64);
        must(instant("exp").is_some_and(|end| now < end.saturating_add(SKEW)), "it has expired")?;
        must(instant("nbf").is_none_or(|begin| begin <= now + SKEW), "it is not good yet")?;
        let made = instant("iat").ok_or(OidcError::Token("it does not say when it was made"))?;
        must(made <= now + SKEW && now - FRESH <= made, "it was not made just now")?;
        must(text("nonce") == Some(self.nonce), "it was made for another way in")?;
        if let (Some(shown), Some(token)) = (text("at_hash"), self.access_token) {
            must(
                shown == BASE64_URL_SAFE_NO_PAD.encode(&sha256(token.as_bytes())[..16]),
                "the other token does not belong to it",
            )?;
        }
        let subject = text("sub").unwrap_or_default();
        must((1..=SUBJECT_OCTETS).contains(&subject.len()), "it does not say about whom")?;
        Ok(said)
    }

    /// Whether everything that decides is there; otherwise the provider is asked for the rest.
    pub(super) fn is_enough(&self, said: &Map<String, Value>) -> bool {
        let groups = self.settings.group.is_empty() || said.contains_key(&self.settings.groups_claim);
        groups && said.contains_key(&self.settings.login_claim)
    }
}

impl Claims {
    /// Whom these mean.
    pub(super) fn of(said: &Map<String, Value>, settings: &OidcSection) -> Self {
        let text = |name: &str| said.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
        // Some say it in words.
        let verified = said.get("email_verified").is_some_and(|is| is == &Value::Bool(true) || is == "true");
        let believed = settings.login_claim != "email" || verified;
        let groups = match said.get(&settings.groups_claim) {
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        Self {
            subject: text("sub").unwrap_or_default().to_owned(),
            login: text(&settings.login_claim).filter(|_| believed).map(str::to_owned),
            name: text("name").map(str::to_owned),
            groups,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn settings() -> OidcSection {
        OidcSection { issuer: Some("https://a.example".into()), client_id: "us".into(), ..OidcSection::default() }
    }

    fn good() -> Value {
        json!({ "iss": "https://a.example", "aud": "us", "sub": "7", "exp": NOW + 300, "iat": NOW - 5, "nonce": "n",
                "email": "jo@lab.example", "email_verified": true })
    }

    fn check(said: &Value) -> Result<Map<String, Value>, OidcError> {
        let settings = settings();
        let awaited = Awaited { settings: &settings, nonce: "n", access_token: Some("token"), now: Timestamp(NOW * 1_000_000) };
        awaited.check(said.to_string().as_bytes())
    }

    #[test]
    fn a_token_for_us_about_this_way_in_made_just_now_is_believed() {
        let right = BASE64_URL_SAFE_NO_PAD.encode(&sha256(b"token")[..16]);
        for (name, value) in [
            ("iat", json!(NOW - 5)),
            ("aud", json!(["us"])),
            ("exp", json!(NOW - 59)),
            ("exp", json!(1.8e9 + 60.5)),
            ("at_hash", json!(right)),
            ("azp", json!("us")),
            ("iat", json!(NOW + 60)),
        ] {
            let mut said = good();
            said[name] = value;
            assert!(check(&said).is_ok(), "{said}");
        }
    }

    #[test]
    fn one_word_that_is_wrong_or_missing_and_it_is_not() {
        for (name, value) in [
            ("iss", json!("https://b.example")),
            ("iss", json!("https://a.example/")),
            ("iss", json!(null)),
            ("aud", json!("them")),
            ("aud", json!(["us", "them"])),
            ("aud", json!([])),
            ("aud", json!(null)),
            ("azp", json!("them")),
            ("exp", json!(NOW - 60)),
            ("exp", json!("later")),
            ("exp", json!(null)),
            ("nbf", json!(NOW + 61)),
            ("iat", json!(NOW + 61)),
            ("iat", json!(NOW - 601)),
            ("iat", json!(null)),
            ("nonce", json!("m")),
            ("nonce", json!(null)),
            ("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
            ("sub", json!("")),
            ("sub", json!("x".repeat(256))),
            ("sub", json!(7)),
        ] {
            let mut said = good();
            said[name] = value;
            assert!(matches!(check(&said), Err(OidcError::Token(_))), "{said}");
        }
        assert!(check(&json!([])).is_err() && check(&json!({})).is_err());
    }

    #[test]
    fn an_address_counts_only_when_it_was_verified_and_groups_are_one_or_many() {
        let claims = |said: Value, settings: &OidcSection| Claims::of(said.as_object().unwrap(), settings);
        let settings = settings();
        assert_eq!(claims(good(), &settings).login.as_deref(), Some("jo@lab.example"));
        for verified in [json!(false), json!(null), json!("no"), json!(1)] {
            let mut said = good();
            said["email_verified"] = verified;
            assert_eq!(claims(said, &settings).login, None);
        }
        let named = OidcSection { login_claim: "preferred_username".into(), ..settings };
        let said = json!({ "sub": "7", "preferred_username": " jo ", "groups": ["a", 1, "b"] });
        assert_eq!(
            claims(said, &named),
            Claims { subject: "7".into(), login: Some("jo".into()), name: None, groups: vec!["a".into(), "b".into()] }
        );
        assert_eq!(claims(json!({ "sub": "7", "groups": "a" }), &named).groups, ["a"]);
    }
}
