//! An OpenID provider that says what a test wants it to say: for what a real one never does.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Form, Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use openssl::{
    hash::MessageDigest,
    pkey::{PKey, Private},
    rsa::Rsa,
    sha::sha256,
    sign::Signer,
};
use postern::{config::oidc::OidcSection, domain::Timestamp};
use serde_json::{Value, json};

use super::super::world::{Browser, Seen, World};

/// What it calls us, and the secret we show it.
pub(crate) const CLIENT: (&str, &str) = ("us", "shared & kept");

pub(crate) struct Provider {
    pub(crate) url: String,
    script: Arc<Mutex<Script>>,
}

/// What it does next, and what it was asked.
pub(crate) struct Script {
    /// Its keys by name; tokens are signed with the last.
    pub(crate) keys: Vec<(String, PKey<Private>)>,
    /// The token it hands out.
    pub(crate) token: String,
    /// The challenge of the way in that the next code belongs to.
    pub(crate) challenge: String,
    /// What it says of itself besides.
    pub(crate) metadata: Value,
    /// What it says of somebody when it is asked again.
    pub(crate) more: Value,
    pub(crate) keys_asked: u32,
    pub(crate) exchanged: u32,
}

/// The fields with which a browser was led to it.
pub(crate) type Asked = BTreeMap<String, String>;

pub(crate) fn encode(octets: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(octets)
}

pub(crate) fn key() -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script = Script {
            keys: vec![("k1".into(), key())],
            token: String::new(),
            challenge: String::new(),
            metadata: json!({}),
            more: json!({}),
            keys_asked: 0,
            exchanged: 0,
        };
        let script = Arc::new(Mutex::new(script));
        let own = url.clone();
        let metadata = move |State(script): State<Arc<Mutex<Script>>>| async move {
            let mut said = json!({ "issuer": own, "authorization_endpoint": format!("{own}/authorize?tenant=a"),
                "token_endpoint": format!("{own}/token"), "jwks_uri": format!("{own}/keys"),
                "userinfo_endpoint": format!("{own}/me"), "end_session_endpoint": format!("{own}/end") });
            let script = script.lock().unwrap();
            said.as_object_mut().unwrap().extend(script.metadata.as_object().unwrap().clone());
            Json(said)
        };
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/keys", get(keys))
            .route("/token", post(exchange))
            .route("/me", get(more))
            .with_state(Arc::clone(&script));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, script }
    }

    pub(crate) fn settings(&self) -> OidcSection {
        let secret = Some(CLIENT.1.to_owned().into());
        OidcSection {
            issuer: Some(self.url.clone()),
            client_id: CLIENT.0.into(),
            client_secret: secret,
            ..OidcSection::default()
        }
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// Somebody who is led to it: the fields, and the browser with its cookie.
    pub(crate) async fn led(&self, world: &World, next: &str) -> (Browser, Asked) {
        let mut browser = world.browser();
        let asked = self.led_again(&mut browser, next).await;
        (browser, asked)
    }

    pub(crate) async fn led_again(&self, browser: &mut Browser, next: &str) -> Asked {
        let led = browser.get(&format!("/sign-in/provider?next={next}")).await;
        assert_eq!(led.status, 303, "{}", led.body);
        let query = led.location.strip_prefix(&format!("{}/authorize?tenant=a&", self.url)).expect("the provider's place");
        let asked: Asked =
            query.split('&').map(|pair| pair.split_once('=').unwrap()).map(|(n, v)| (n.into(), plain(v))).collect();
        self.script().challenge = asked["code_challenge"].clone();
        asked
    }

    /// What a good token says about somebody.
    pub(crate) fn claims(&self, asked: &Asked, now: Timestamp) -> Value {
        let now = now.micros() / 1_000_000;
        json!({ "iss": self.url, "aud": CLIENT.0, "sub": "subject-7", "iat": now, "exp": now + 300, "nonce": asked["nonce"],
                "email": "jo@lab.example", "email_verified": true, "groups": [] })
    }

    /// Signs what it says with its newest key.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let script = self.script();
        let (name, key) = script.keys.last().unwrap();
        signed(&json!({ "alg": "RS256", "kid": name }), claims, key)
    }

    /// Hands out a token that says so.
    pub(crate) fn says(&self, claims: &Value) {
        let token = self.sign(claims);
        self.script().token = token;
    }

    /// Lets somebody through who is what `claims` say besides.
    pub(crate) async fn through(&self, world: &World, browser: &mut Browser, claims: Value) -> Seen {
        let asked = self.led_again(browser, "/account").await;
        let mut said = self.claims(&asked, world.now());
        said.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        self.says(&said);
        browser.get(&back(&asked)).await
    }
}

/// The place at which a browser comes back.
pub(crate) fn back(asked: &Asked) -> String {
    format!("/sign-in/provider/back?code=a-code&state={}", asked["state"])
}

pub(crate) fn signed(header: &Value, claims: &Value, key: &PKey<Private>) -> String {
    let words = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
    let signature = Signer::new(MessageDigest::sha256(), key).unwrap().sign_oneshot_to_vec(words.as_bytes()).unwrap();
    format!("{words}.{}", encode(&signature))
}

fn plain(text: &str) -> String {
    let mut octets = Vec::new();
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        let hex = |b: Option<u8>| char::from(b.unwrap()).to_digit(16).unwrap();
        octets.push(if octet == b'%' { u8::try_from(hex(rest.next()) * 16 + hex(rest.next())).unwrap() } else { octet });
    }
    String::from_utf8(octets).unwrap()
}

async fn keys(State(script): State<Arc<Mutex<Script>>>) -> Json<Value> {
    let mut script = script.lock().unwrap();
    script.keys_asked += 1;
    let public = |(name, key): &(String, PKey<Private>)| {
        let rsa = key.rsa().unwrap();
        json!({ "kty": "RSA", "use": "sig", "kid": name, "n": encode(&rsa.n().to_vec()), "e": encode(&rsa.e().to_vec()) })
    };
    Json(json!({ "keys": script.keys.iter().map(public).collect::<Vec<_>>() }))
}

/// RFC 6749 4.1.3 and RFC 7636 4.6: who we are, and that the code is of our way.
async fn exchange(
    State(script): State<Arc<Mutex<Script>>>,
    headers: HeaderMap,
    Form(fields): Form<BTreeMap<String, String>>,
) -> (StatusCode, Json<Value>) {
    let mut script = script.lock().unwrap();
    script.exchanged += 1;
    let basic = base64::prelude::BASE64_STANDARD.encode("us:shared%20%26%20kept");
    let known = headers.get("authorization").is_some_and(|shown| shown == &format!("Basic {basic}"));
    let ours = fields.get("code_verifier").is_some_and(|verifier| encode(&sha256(verifier.as_bytes())) == script.challenge);
    let whole = fields.get("grant_type").is_some_and(|grant| grant == "authorization_code")
        && fields.get("code").is_some_and(|code| code == "a-code")
        && fields.get("redirect_uri").is_some_and(|uri| uri.ends_with("/sign-in/provider/back"));
    if known && ours && whole {
        (StatusCode::OK, Json(json!({ "access_token": "more", "token_type": "Bearer", "id_token": script.token })))
    } else {
        (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" })))
    }
}

async fn more(State(script): State<Arc<Mutex<Script>>>, headers: HeaderMap) -> Result<Json<Value>, StatusCode> {
    let shown = headers.get("authorization").is_some_and(|shown| shown == "Bearer more");
    if shown { Ok(Json(script.lock().unwrap().more.clone())) } else { Err(StatusCode::UNAUTHORIZED) }
}
