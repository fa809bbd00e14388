//! Signed tokens (JSON Web Signature, RFC 7515) checked against a set of public keys (JSON Web Key, RFC 7517).
//!
//! Two algorithms and no others: what a token says about itself chooses among the keys that somebody vouches for, never how they
//! are used (RFC 8725 3.1). A key is of one algorithm, so that a public key is never taken for a shared secret.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use openssl::{
    bn::BigNum,
    ec::{EcGroup, EcKey},
    ecdsa::EcdsaSig,
    error::ErrorStack,
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, Public},
    rsa::Rsa,
    sign::Verifier,
};
use serde::Deserialize;

/// Longest token that is read, in octets.
const MOST_OCTETS: usize = 32 * 1024;
/// RSA keys shorter than this are no keys (RFC 7518 3.3); longer than that only cost time.
const RSA_BITS: std::ops::RangeInclusive<i32> = 2048..=8192;

/// Why a token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// It is none.
    #[error("it is not a signed token")]
    Malformed,
    /// Its algorithm is none of ours, or not that of the key.
    #[error("it is not signed with RS256 or ES256")]
    Algorithm,
    /// None of the keys is the one it names.
    #[error("it names a key that is not known")]
    UnknownKey,
    /// The signature is not of that key over those words.
    #[error("its signature is wrong")]
    Signature,
}

/// How a key is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 3.3).
    Rs256,
    /// ECDSA with P-256 and SHA-256 (RFC 7518 3.4).
    Es256,
}

impl Algorithm {
    fn named(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            _ => None,
        }
    }
}

/// The public keys of whoever signs.
#[derive(Debug, Clone, Default)]
pub struct JwkSet(Vec<Key>);

#[derive(Debug, Clone)]
struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    public: PKey<Public>,
}

/// A key as it is published. Only what is needed to check signatures is looked at.
#[derive(Deserialize)]
struct Published {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<serde_json::Value>,
}

impl JwkSet {
    /// The keys of a published set that we can use; others (for encryption, of other kinds) are passed over (RFC 7517 5).
    ///
    /// # Errors
    /// [`JwsError::Malformed`] when it is no set of keys.
    pub fn read(json: &[u8]) -> Result<Self, JwsError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<serde_json::Value>,
        }
        let set: Set = serde_json::from_slice(json).map_err(|_| JwsError::Malformed)?;
        let keys = set.keys.into_iter().filter_map(|key| Key::of(serde_json::from_value(key).ok()?));
        Ok(Self(keys.collect()))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a token says (the octets of its payload), if one of these keys has signed it.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn verify(&self, token: &str) -> Result<Vec<u8>, JwsError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(JwsError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(JwsError::Malformed)?;
        if token.len() > MOST_OCTETS || payload.contains('.') {
            return Err(JwsError::Malformed);
        }
        let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| JwsError::Malformed);
        let (octets, payload, signature) = (decode(header)?, decode(payload)?, decode(signature)?);
        let header: Header = serde_json::from_slice(&octets).map_err(|_| JwsError::Malformed)?;
        // RFC 7515 4.1.11: what must be understood and is not.
        if header.crit.is_some() {
            return Err(JwsError::Malformed);
        }
        let algorithm = Algorithm::named(&header.alg).ok_or(JwsError::Algorithm)?;
        let key = self.key(header.kid.as_deref())?;
        if key.algorithm != algorithm {
            return Err(JwsError::Algorithm);
        }
        if key.signed(signed.as_bytes(), &signature) { Ok(payload) } else { Err(JwsError::Signature) }
    }

    /// The key a token names; without a name the only one there is.
    fn key(&self, id: Option<&str>) -> Result<&Key, JwsError> {
        let mut fitting = self.0.iter().filter(|key| id.is_none() || key.id.as_deref() == id);
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key),
            _ => Err(JwsError::UnknownKey),
        }
    }
}

impl Key {
    fn of(published: Published) -> Option<Self> {
        if published.purpose.is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let number = |text: Option<String>| BigNum::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text?).ok()?).ok();
        let (algorithm, public) = match (published.kty.as_str(), published.crv.as_deref()) {
            ("RSA", _) => {
                let rsa = Rsa::from_public_components(number(published.n)?, number(published.e)?).ok()?;
                let fit = RSA_BITS.contains(&rsa.n().num_bits()) && rsa.e().is_bit_set(0) && rsa.e().num_bits() > 1;
                (Algorithm::Rs256, PKey::from_rsa(rsa).ok().filter(|_| fit)?)
            }
            ("EC", Some("P-256")) => {
                let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).ok()?;
                let (x, y) = (number(published.x)?, number(published.y)?);
                // It is looked whether the point is on the curve.
                let key = EcKey::from_public_key_affine_coordinates(&group, &x, &y).ok()?;
                (Algorithm::Es256, PKey::from_ec_key(key).ok()?)
            }
            _ => return None,
        };
        let meant = published.alg.is_none_or(|name| Algorithm::named(&name) == Some(algorithm));
        meant.then_some(Self { id: published.kid, algorithm, public })
    }

    /// What is no signature is not of this key.
    fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let verify = |signature: &[u8]| -> Result<bool, ErrorStack> {
            Verifier::new(MessageDigest::sha256(), &self.public)?.verify_oneshot(signature, message)
        };
        match self.algorithm {
            Algorithm::Rs256 => verify(signature).unwrap_or(false),
            // RFC 7518 3.4: both numbers, 32 octets each.
            Algorithm::Es256 => in_der(signature).is_some_and(|der| verify(&der).unwrap_or(false)),
        }
    }
}

fn in_der(signature: &[u8]) -> Option<Vec<u8>> {
    let (r, s) = signature.split_at_checked(32).filter(|(_, s)| s.len() == 32)?;
    let numbers = |octets| BigNum::from_slice(octets).ok();
    EcdsaSig::from_private_components(numbers(r)?, numbers(s)?).ok()?.to_der().ok()
}

#[cfg(test)]
mod tests {
    use openssl::{hash::hash, pkey::Private, sign::Signer};
    use serde_json::json;

    use super::*;

    fn encode(octets: &[u8]) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(octets)
    }

    fn rsa(bits: u32) -> (PKey<Private>, serde_json::Value) {
        let key = Rsa::generate(bits).unwrap();
        let public = json!({ "kty": "RSA", "kid": "r", "n": encode(&key.n().to_vec()), "e": encode(&key.e().to_vec()) });
        (PKey::from_rsa(key).unwrap(), public)
    }

    fn set(keys: &[serde_json::Value]) -> JwkSet {
        JwkSet::read(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
    }

    fn words(header: &serde_json::Value) -> String {
        format!("{}.{}", encode(header.to_string().as_bytes()), encode(br#"{"sub":"jo"}"#))
    }

    fn by_rsa(key: &PKey<Private>, header: &serde_json::Value) -> String {
        let words = words(header);
        let signature = Signer::new(MessageDigest::sha256(), key).unwrap().sign_oneshot_to_vec(words.as_bytes()).unwrap();
        format!("{words}.{}", encode(&signature))
    }

    #[test]
    fn what_a_known_key_has_signed_with_either_algorithm_is_believed() {
        let (key, public) = rsa(2048);
        let token = by_rsa(&key, &json!({ "alg": "RS256", "kid": "r" }));
        assert_eq!(set(&[public]).verify(&token).unwrap(), br#"{"sub":"jo"}"#);

        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let (ec, mut context) = (EcKey::generate(&group).unwrap(), openssl::bn::BigNumContext::new().unwrap());
        let (mut x, mut y) = (BigNum::new().unwrap(), BigNum::new().unwrap());
        ec.public_key().affine_coordinates(&group, &mut x, &mut y, &mut context).unwrap();
        let padded = |number: &BigNum| encode(&number.to_vec_padded(32).unwrap());
        let public = json!({ "kty": "EC", "crv": "P-256", "x": padded(&x), "y": padded(&y), "alg": "ES256", "use": "sig" });
        let words = words(&json!({ "alg": "ES256" }));
        let signature = EcdsaSig::sign(&hash(MessageDigest::sha256(), words.as_bytes()).unwrap(), &ec).unwrap();
        let octets = [signature.r().to_vec_padded(32).unwrap(), signature.s().to_vec_padded(32).unwrap()].concat();
        let token = format!("{words}.{}", encode(&octets));
        assert!(set(std::slice::from_ref(&public)).verify(&token).is_ok());
        let der = format!("{words}.{}", encode(&signature.to_der().unwrap()));
        assert_eq!(set(&[public]).verify(&der), Err(JwsError::Signature));
    }

    #[test]
    fn nothing_else_is() {
        let ((key, public), (other, _)) = (rsa(2048), rsa(2048));
        let keys = set(std::slice::from_ref(&public));
        let good = json!({ "alg": "RS256", "kid": "r" });
        let pem = key.public_key_to_pem().unwrap();
        let hmac = |secret: &[u8]| {
            let words = words(&json!({ "alg": "HS256", "kid": "r" }));
            let signature = super::super::hash::hmac_sha256(secret, &[words.as_bytes()]).unwrap();
            format!("{words}.{}", encode(&signature))
        };
        let mut changed = by_rsa(&key, &good);
        changed.replace_range(changed.len() - 6..changed.len() - 4, "AA");
        for (why, token, error) in [
            ("no algorithm", format!("{}.", words(&json!({ "alg": "none" }))), JwsError::Algorithm),
            ("no algorithm, in other letters", format!("{}.", words(&json!({ "alg": "nOnE", "kid": "r" }))), JwsError::Algorithm),
            ("the public key as a shared secret", hmac(&pem), JwsError::Algorithm),
            ("its number as a shared secret", hmac(&key.rsa().unwrap().n().to_vec()), JwsError::Algorithm),
            ("another kind of key", by_rsa(&key, &json!({ "alg": "ES256", "kid": "r" })), JwsError::Algorithm),
            ("another algorithm of the same key", by_rsa(&key, &json!({ "alg": "PS256", "kid": "r" })), JwsError::Algorithm),
            ("somebody else's key", by_rsa(&other, &good), JwsError::Signature),
            ("a name nobody has", by_rsa(&key, &json!({ "alg": "RS256", "kid": "q" })), JwsError::UnknownKey),
            ("a key of its own", by_rsa(&other, &json!({ "alg": "RS256", "kid": "z", "jwk": public })), JwsError::UnknownKey),
            (
                "what must be understood",
                by_rsa(&key, &json!({ "alg": "RS256", "kid": "r", "crit": ["b64"] })),
                JwsError::Malformed,
            ),
            ("a changed signature", changed, JwsError::Signature),
            ("no signature", format!("{}.", words(&good)), JwsError::Signature),
            ("two parts", words(&good), JwsError::Malformed),
            ("five parts", "a.b.c.d.e".to_owned(), JwsError::Malformed),
            ("nothing", String::new(), JwsError::Malformed),
        ] {
            assert_eq!(keys.verify(&token).unwrap_err(), error, "{why}");
        }
    }

    #[test]
    fn keys_that_are_short_for_encryption_or_of_other_kinds_are_passed_over() {
        let (_, short) = rsa(1024);
        let (_, mut encrypting) = rsa(2048);
        encrypting["use"] = json!("enc");
        let (_, mut other) = rsa(2048);
        other["alg"] = json!("RS512");
        let off_the_curve = json!({ "kty": "EC", "crv": "P-256", "x": encode(&[1; 32]), "y": encode(&[1; 32]) });
        let shared = json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "r" });
        assert!(set(&[short, encrypting, other, off_the_curve, shared, json!("x")]).is_empty());
        assert_eq!(JwkSet::read(b"[]").unwrap_err(), JwsError::Malformed);
        let (key, mut twice) = rsa(2048);
        twice["kid"] = json!(null);
        let unnamed = by_rsa(&key, &json!({ "alg": "RS256" }));
        assert!(set(std::slice::from_ref(&twice)).verify(&unnamed).is_ok(), "the only one there is");
        assert_eq!(set(&[twice.clone(), twice]).verify(&unnamed).unwrap_err(), JwsError::UnknownKey);
    }
}
