//! A console with people in it, on either engine, and a browser that keeps cookies and follows nothing by itself.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use postern::{
    config::{console::ConsoleSection, events::EventsSection, oidc::OidcSection, web::WebSection},
    crypto::password::{Cost, hash},
    domain::{
        OrgId, Timestamp,
        audit::{Actor, Witness},
        id::PersonId,
        person::{Reach, Role},
    },
    observe::{events::PersonAdded, facts::Named, health::Health},
    source::{Intake, PdfCheck},
    store::{
        audit::AuditFilter,
        blobs::Blobs,
        person::{NewPassword, NewPerson},
        session::{NewSession, Stage},
    },
    web::{Web, serve},
};
use reqwest::{Client, Method, redirect::Policy};
use tokio_util::sync::CancellationToken;

use crate::store::world::World as Database;

/// Everybody's password.
pub(crate) const PASSWORD: &str = "a long walk by the river";

/// A console over a real socket.
pub(crate) struct World {
    pub(crate) database: Database,
    pub(crate) url: String,
    pub(crate) web: Web,
    /// One for all browsers: each of its own would read every authority of the system again.
    client: Client,
    _blobs: tempfile::TempDir,
}

impl World {
    pub(crate) async fn sqlite() -> Self {
        Self::open(Database::sqlite().await, ConsoleSection::default()).await
    }

    pub(crate) async fn postgres() -> Self {
        Self::open(Database::postgres().await, ConsoleSection::default()).await
    }

    /// On SQLite, with the console set so.
    pub(crate) async fn with(console: ConsoleSection) -> Self {
        Self::open(Database::sqlite().await, console).await
    }

    /// Where no role must set codes up first.
    pub(crate) async fn without_codes(database: Database) -> Self {
        Self::open(database, ConsoleSection { codes_for: Vec::new(), ..ConsoleSection::default() }).await
    }

    /// Where an OpenID provider vouches for people, and no role must set codes up first.
    pub(crate) async fn vouching(database: Database, oidc: &OidcSection) -> Self {
        Self::open_with(database, ConsoleSection { codes_for: Vec::new(), ..ConsoleSection::default() }, oidc).await
    }

    async fn open(database: Database, console: ConsoleSection) -> Self {
        Self::open_with(database, console, &OidcSection::default()).await
    }

    pub(crate) async fn open_with(database: Database, console: ConsoleSection, oidc: &OidcSection) -> Self {
        let blobs = tempfile::tempdir().unwrap();
        let check: PdfCheck = Arc::new(|_: &[u8]| Ok(()));
        let intake = Intake::new(database.store.clone(), Blobs::in_folder(blobs.path()).unwrap(), check, 100_000);
        // Webhooks of the tests are on this machine.
        let events =
            EventsSection { allow_http: true, allow_networks: vec!["127.0.0.0/8".parse().unwrap()], ..EventsSection::default() };
        let web = Web::new(&WebSection::default(), intake, Health::default(), None).with_console(&console).telling(&events);
        let web = web.vouching(oidc).unwrap();
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve(web.clone(), listener, CancellationToken::new()));
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        Self { database, url, web, client, _blobs: blobs }
    }

    /// Somebody who has chosen their password already.
    pub(crate) async fn person(&self, login: &str, role: Role, reach: Reach) -> PersonId {
        let (store, id, actor) = (&self.database.store, PersonId::new(), Actor::shell(0, "root"));
        let hashed = hash(PASSWORD, Cost { memory: 64, passes: 1 }).unwrap();
        let event = PersonAdded { person: id, login: Named(login), organizations: 0, role };
        let new = NewPerson { id, login, name: login, role, reach: &reach, password: None, first_until: Timestamp(i64::MAX) };
        store.add_person(&new, Witness::new(&actor, &event)).await.unwrap();
        let password = NewPassword { person: id, hash: &hashed, first_until: None, keep: None };
        store.set_password(&password, Witness::new(&actor, &event)).await.unwrap();
        id
    }

    /// Somebody in a role that needs no codes.
    pub(crate) async fn auditor(&self) -> PersonId {
        self.person("jo@lab.example", Role::Auditor, Reach::Installation).await
    }

    /// A browser that is signed in, without the ceremony.
    pub(crate) async fn signed_in(&self, person: PersonId) -> Browser {
        let lasts = Duration::from_hours(8);
        let new = NewSession {
            person,
            stage: Stage::Open,
            by_provider: false,
            address: "127.0.0.1",
            agent: "test",
            lasts,
            instead_of: None,
        };
        let token = self.database.store.begin_session(&new, None).await.unwrap();
        let mut browser = self.browser();
        browser.cookies.insert("postern".to_owned(), token);
        browser
    }

    /// The time there.
    pub(crate) fn now(&self) -> Timestamp {
        self.database.store.clock().now()
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser { client: self.client.clone(), url: self.url.clone(), cookies: BTreeMap::new(), headers: Vec::new() }
    }

    /// What was done, the oldest first.
    pub(crate) async fn actions(&self) -> Vec<String> {
        let filter = AuditFilter { limit: 1000, ..AuditFilter::default() };
        let events = self.database.store.audit_events(postern::domain::OrgScope::All, &filter).await.unwrap();
        events.into_iter().rev().map(|event| event.action).collect()
    }

    pub(crate) async fn organization(&self, slug: &str) -> OrgId {
        self.database.organization(slug).await
    }
}

/// Keeps cookies.
pub(crate) struct Browser {
    client: Client,
    url: String,
    pub(crate) cookies: BTreeMap<String, String>,
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// What came back.
pub(crate) struct Seen {
    pub(crate) status: u16,
    pub(crate) location: String,
    pub(crate) set_cookies: Vec<String>,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: String,
}

impl Browser {
    /// The same at another door.
    pub(crate) fn at(self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self }
    }

    /// Another window of the same browser: it has its cookies, and costs next to nothing.
    pub(crate) fn window(&self) -> Self {
        let (client, cookies) = (self.client.clone(), self.cookies.clone());
        Self { client, url: self.url.clone(), cookies, headers: self.headers.clone() }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Seen {
        self.ask(Method::GET, path, None).await
    }

    /// Sends a form as it is.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Seen {
        let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        self.ask(Method::POST, path, Some(pairs.join("&"))).await
    }

    /// Loads the page `from`, and sends the form on it that goes to `path`, with these fields filled in.
    pub(crate) async fn fill(&mut self, from: &str, path: &str, fields: &[(&str, &str)]) -> Seen {
        let page = self.get(from).await;
        assert_eq!(page.status, 200, "{from}: {}", page.body);
        self.send(&page, path, fields).await
    }

    /// Sends the form on a page that was seen.
    pub(crate) async fn send(&mut self, page: &Seen, path: &str, fields: &[(&str, &str)]) -> Seen {
        let csrf = page.field("csrf");
        self.post(path, &[&[("csrf", csrf.as_str())], fields].concat()).await
    }

    /// Loads the page `from`, and sends the form on it that goes to `path` with a file, as a browser sends one.
    pub(crate) async fn upload(&mut self, from: &str, path: &str, fields: &[(&str, &str)], file: (&str, &[u8])) -> Seen {
        let csrf = self.get(from).await.field("csrf");
        let mut body = Vec::new();
        let all = [&[("csrf", csrf.as_str())], fields].concat();
        for (name, value) in all {
            body.extend(format!("--part\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").bytes());
        }
        let (name, content) = file;
        body.extend(format!("--part\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"f\"\r\ncontent-type: application/octet-stream\r\n\r\n").bytes());
        body.extend(content);
        body.extend(b"\r\n--part--\r\n");
        self.send_as("multipart/form-data; boundary=part", path, body).await
    }

    /// Sends octets of that kind.
    pub(crate) async fn send_as(&mut self, kind: &str, path: &str, body: Vec<u8>) -> Seen {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self.client.post(format!("{}{path}", self.url)).header("cookie", cookies.join("; "));
        let answer = request.header("content-type", kind).body(body).send().await.unwrap();
        let location = answer.headers().get("location").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Seen { status, location, set_cookies: Vec::new(), headers, body: answer.text().await.unwrap() }
    }

    /// A page that follows what happens, before anything of it is read.
    pub(crate) async fn following(&self, path: &str) -> reqwest::Response {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self.client.get(format!("{}{path}", self.url)).header("cookie", cookies.join("; "));
        request.header("accept", "text/event-stream").send().await.unwrap()
    }

    /// What a page that follows what happens is sent first.
    pub(crate) async fn follow(&mut self, path: &str) -> (u16, String) {
        let mut answer = self.following(path).await;
        let status = answer.status().as_u16();
        let first = answer.chunk().await.unwrap().unwrap_or_default();
        (status, String::from_utf8_lossy(&first).into_owned())
    }

    pub(crate) async fn sign_in(&mut self, login: &str, password: &str) -> Seen {
        self.fill("/sign-in", "/sign-in", &[("login", login), ("password", password)]).await
    }

    pub(crate) async fn ask(&mut self, method: Method, path: &str, form: Option<String>) -> Seen {
        self.ask_with(method, path, form.map(|form| ("application/x-www-form-urlencoded", form))).await
    }

    /// Sends JSON, as programs do.
    pub(crate) async fn json(&mut self, method: Method, path: &str, body: &str) -> Seen {
        self.ask_with(method, path, Some(("application/json", body.to_owned()))).await
    }

    /// Sends a body of that kind.
    pub(crate) async fn sent(&mut self, method: Method, path: &str, kind: &str, body: &str) -> Seen {
        self.ask_with(method, path, Some((kind, body.to_owned()))).await
    }

    async fn ask_with(&mut self, method: Method, path: &str, body: Option<(&str, String)>) -> Seen {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if let Some((kind, body)) = body {
            request = request.header("content-type", kind).body(body);
        }
        let answer = request.send().await.unwrap();
        let text = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        let location = text("location");
        let all = answer.headers().get_all("set-cookie").iter();
        let set_cookies: Vec<String> = all.map(|value| value.to_str().unwrap().to_owned()).collect();
        for cookie in &set_cookies {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        // What is followed has no end to wait for.
        let followed = headers.get("content-type").is_some_and(|kind| kind == "text/event-stream");
        let body = if followed { String::new() } else { answer.text().await.unwrap() };
        Seen { status, location, set_cookies, headers, body }
    }
}

impl Seen {
    /// The value of the first field of that name.
    pub(crate) fn field(&self, name: &str) -> String {
        let (_, rest) = self.body.split_once(&format!("name=\"{name}\" value=\"")).expect("a field");
        rest.split('"').next().unwrap().to_owned()
    }
}

fn escaped(text: &str) -> String {
    text.bytes().map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
