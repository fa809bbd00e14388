//! Where on a token a key is: a PKCS#11 URI (RFC 7512).

use super::TokenError;

/// Names one private key: `pkcs11:token=Postern;object=results`. Which module to load and the PIN come from the
/// configuration: a URI that carries them is refused, because it is written where many people read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenUri {
    text: String,
    pub(super) token: Option<String>,
    pub(super) manufacturer: Option<String>,
    pub(super) model: Option<String>,
    pub(super) serial: Option<String>,
    pub(super) slot: Option<u64>,
    pub(super) object: Option<Vec<u8>>,
    pub(super) id: Option<Vec<u8>>,
}

impl TokenUri {
    /// Whether `text` is meant to be one.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        text.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("pkcs11:"))
    }
}

impl std::str::FromStr for TokenUri {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let bad = |problem: &str| TokenError::Uri(problem.to_owned());
        let path = text.get(7..).filter(|_| Self::is_one(text)).ok_or_else(|| bad("does not begin with pkcs11:"))?;
        if path.contains('?') {
            return Err(bad("carries a module or a PIN: both belong into [token] of the configuration"));
        }
        let mut uri = Self {
            text: text.to_owned(),
            token: None,
            manufacturer: None,
            model: None,
            serial: None,
            slot: None,
            object: None,
            id: None,
        };
        let mut seen = Vec::new();
        for attribute in path.split(';').filter(|attribute| !attribute.is_empty()) {
            let (name, value) = attribute.split_once('=').ok_or_else(|| bad("has an attribute without a value"))?;
            // RFC 7512 2.3: an attribute must not stand there twice.
            if seen.contains(&name) {
                return Err(TokenError::Uri(format!("says {name} twice")));
            }
            seen.push(name);
            let octets = decoded(value).ok_or_else(|| bad("has a broken percent escape"))?;
            let words = || String::from_utf8(octets.clone()).map_err(|_| bad("is not UTF-8"));
            match name {
                "token" => uri.token = Some(words()?),
                "manufacturer" => uri.manufacturer = Some(words()?),
                "model" => uri.model = Some(words()?),
                "serial" => uri.serial = Some(words()?),
                "slot-id" => uri.slot = Some(words()?.parse().map_err(|_| bad("has a slot-id that is no number"))?),
                "object" => uri.object = Some(octets),
                "id" => uri.id = Some(octets),
                "type" if octets == b"private" => {}
                "type" => return Err(bad("names something else than a private key")),
                other => return Err(TokenError::Uri(format!("has an attribute {other:?} that is not understood"))),
            }
        }
        if uri.object.is_none() && uri.id.is_none() {
            return Err(bad("names no key: say object=LABEL or id=%01"));
        }
        Ok(uri)
    }
}

impl std::fmt::Display for TokenUri {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet == b'%' {
            let digit = |octet: Option<u8>| char::from(octet?).to_digit(16);
            let (high, low) = (digit(rest.next())?, digit(rest.next())?);
            out.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            out.push(octet);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        text.parse::<TokenUri>().unwrap_err().to_string()
    }

    #[test]
    fn a_uri_names_token_and_key_with_escapes() {
        let uri: TokenUri = "pkcs11:token=My%20Token;serial=ab12;object=results;id=%01%fF;type=private".parse().unwrap();
        assert_eq!(uri.token.as_deref(), Some("My Token"));
        assert_eq!(uri.serial.as_deref(), Some("ab12"));
        assert_eq!((uri.object.as_deref(), uri.id.as_deref()), (Some(&b"results"[..]), Some(&[1, 255][..])));
        assert_eq!("PKCS11:object=a;slot-id=7".parse::<TokenUri>().unwrap().slot, Some(7));
    }

    #[test]
    fn a_pin_or_a_module_in_the_uri_is_refused() {
        for query in ["pin-value=1234", "module-path=/tmp/evil.so", "pin-source=file:/etc/pin"] {
            assert!(problem(&format!("pkcs11:object=a?{query}")).contains("[token]"), "{query}");
        }
        assert!(!problem("pkcs11:object=a?pin-value=1234").contains("1234"), "a PIN was shown");
    }

    #[test]
    fn what_is_broken_or_names_no_private_key_is_refused() {
        for text in [
            "",
            "pkcs11:",
            "pkcs11:token=a",
            "file:a",
            "pkcs11:object",
            "pkcs11:object=%4",
            "pkcs11:object=%zz",
            "pkcs11:object=a;object=b",
            "pkcs11:object=a;type=cert",
            "pkcs11:object=a;x-other=b",
            "pkcs11:object=a;slot-id=x",
            "pkcs11:token=%ff;object=a",
            "pkcs1é:object=a",
        ] {
            assert!(text.parse::<TokenUri>().is_err(), "{text}");
        }
    }
}
