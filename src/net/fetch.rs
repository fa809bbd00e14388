//! Guarded HTTP: for URLs that somebody else wrote, or whose server may misbehave.
//!
//! Only the schemes allowed, no redirects, no proxies, a limit on time and size, and no address of our own network unless
//! the rules say so. The address that is checked is the address that is connected to: a second look-up could answer
//! differently (DNS rebinding).

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use futures_util::future::BoxFuture;
use reqwest::{
    Certificate, Client, Method, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{CONTENT_TYPE, LOCATION, RETRY_AFTER},
    redirect, tls,
};

use super::address::Guard;

/// What a fetch may do.
#[derive(Debug, Clone)]
pub struct FetchRules {
    /// Whether `http:` is allowed beside `https:`. CRLs and AIA are signed themselves and usually come by `http:`.
    pub allow_http: bool,
    /// Whether private, loopback and link addresses may be connected to.
    pub allow_private: bool,
    /// Which addresses may be connected to when `allow_private` is off.
    pub guard: Guard,
    /// Largest body taken, in bytes.
    pub max_bytes: usize,
    /// The status is the answer: of the body only so much is taken as comes within the limits, and whether it is whole is of
    /// no interest.
    pub status_is_enough: bool,
    /// For the connection.
    pub connect_timeout: Duration,
    /// For the whole exchange, body included.
    pub timeout: Duration,
    /// PEM file with authorities to believe beside the system's.
    pub ca_file: Option<PathBuf>,
}

impl Default for FetchRules {
    fn default() -> Self {
        Self {
            allow_http: false,
            allow_private: false,
            guard: Guard::default(),
            max_bytes: 16 << 20,
            status_is_enough: false,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_mins(1),
            ca_file: None,
        }
    }
}

/// Why nothing was fetched. Names the host only: paths and queries may carry secrets.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The rules cannot be put in force.
    #[error("could not set up fetching ({0})")]
    SetUp(String),
    /// The URL is not one we may fetch.
    #[error("the URL {0}")]
    Url(&'static str),
    /// The host's addresses are all ours.
    #[error("{0} is in a private network that may not be asked")]
    Private(String),
    /// The body is larger than allowed.
    #[error("{host} answered with more than {limit} bytes")]
    TooLarge {
        /// Who.
        host: String,
        /// The limit.
        limit: usize,
    },
    /// No answer, or not a whole one.
    #[error("{host} could not be fetched from")]
    Failed {
        /// Who.
        host: String,
        /// Why.
        source: reqwest::Error,
    },
}

impl FetchError {
    /// Whether the same fetch may succeed later.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }
}

/// A complete answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// HTTP status.
    pub status: u16,
    /// Content-Type, as sent.
    pub content_type: Option<String>,
    /// Retry-After in seconds, when given so.
    pub retry_after: Option<Duration>,
    /// Where a redirect leads, as a whole URL. It is not followed: whoever wants to asks anew, and is checked anew.
    pub location: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Fetched {
    /// Whether the status is 2xx.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        self.status / 100 == 2
    }
}

/// Fetches under its rules; cheap to clone.
#[derive(Debug, Clone)]
pub struct Fetcher {
    client: Client,
    rules: Arc<FetchRules>,
}

impl Fetcher {
    /// Puts the rules in force.
    pub fn new(rules: FetchRules) -> Result<Self, FetchError> {
        Self::asking(rules, Arc::new(of_this_machine))
    }

    fn asking(rules: FetchRules, look: Arc<LookUp>) -> Result<Self, FetchError> {
        let mut builder = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(rules.connect_timeout)
            .timeout(rules.timeout)
            .tls_version_min(tls::Version::TLS_1_2)
            .user_agent(concat!("postern/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(Checked { allow_private: rules.allow_private, guard: rules.guard.clone(), look }));
        if let Some(path) = &rules.ca_file {
            let set_up = |error: &dyn std::fmt::Display| FetchError::SetUp(format!("{}: {error}", path.display()));
            let pem = std::fs::read(path).map_err(|e| set_up(&e))?;
            builder = builder.tls_certs_merge(Certificate::from_pem_bundle(&pem).map_err(|e| set_up(&e))?);
        }
        let client = builder.build().map_err(|error| FetchError::SetUp(error.to_string()))?;
        Ok(Self { client, rules: Arc::new(rules) })
    }

    /// GET.
    pub async fn get(&self, url: &str, headers: &[(&str, &str)]) -> Result<Fetched, FetchError> {
        self.exchange(Method::GET, url, headers, None).await
    }

    /// POST with `body`; say its type in `headers`.
    pub async fn post(&self, url: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Result<Fetched, FetchError> {
        self.exchange(Method::POST, url, headers, Some(body)).await
    }

    async fn exchange(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Result<Fetched, FetchError> {
        let (url, host) = self.check(url)?;
        let failed = |error: reqwest::Error| {
            if blocked(&error) {
                return FetchError::Private(host.clone());
            }
            FetchError::Failed { host: host.clone(), source: error.without_url() }
        };
        let mut request = self.client.request(method, url.clone());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let mut answer = request.send().await.map_err(failed)?;
        let text = |name| answer.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let mut fetched = Fetched {
            status: answer.status().as_u16(),
            content_type: text(CONTENT_TYPE),
            retry_after: text(RETRY_AFTER).and_then(|v| v.parse().ok()).map(Duration::from_secs),
            location: text(LOCATION).and_then(|place| url.join(&place).ok()).map(String::from),
            body: Vec::new(),
        };
        loop {
            let chunk = match answer.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(_) if self.rules.status_is_enough => break,
                Err(error) => return Err(failed(error)),
            };
            // What a server says about its length beforehand is not believed; it is counted.
            if fetched.body.len() + chunk.len() > self.rules.max_bytes {
                if self.rules.status_is_enough {
                    break;
                }
                return Err(FetchError::TooLarge { host, limit: self.rules.max_bytes });
            }
            fetched.body.extend_from_slice(&chunk);
        }
        Ok(fetched)
    }

    fn check(&self, url: &str) -> Result<(Url, String), FetchError> {
        let url = Url::parse(url).map_err(|_| FetchError::Url("cannot be understood"))?;
        match url.scheme() {
            "https" => {}
            "http" if self.rules.allow_http => {}
            _ => return Err(FetchError::Url("has a scheme that is not allowed")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(FetchError::Url("carries a user name or password"));
        }
        let host = url.host_str().ok_or(FetchError::Url("names no host"))?.to_owned();
        // A literal address is never looked up, so the resolver does not see it.
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        if literal.is_ok_and(|ip| !self.rules.allow_private && !self.rules.guard.permits(ip)) {
            return Err(FetchError::Private(host));
        }
        Ok((url, host))
    }
}

/// Looks names up and hands out only addresses that may be connected to.
struct Checked {
    allow_private: bool,
    guard: Guard,
    look: Arc<LookUp>,
}

/// The addresses of a name.
type LookUp = dyn Fn(String) -> BoxFuture<'static, std::io::Result<Vec<SocketAddr>>> + Send + Sync;

/// As this machine knows them.
fn of_this_machine(name: String) -> BoxFuture<'static, std::io::Result<Vec<SocketAddr>>> {
    Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
}

/// The mark of an address the rules forbid.
#[derive(Debug, thiserror::Error)]
#[error("every address of the host is in a private network")]
struct Blocked;

fn blocked(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<Blocked>() {
            return true;
        }
        cause = error.source();
    }
    false
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (allow_private, guard) = (self.allow_private, self.guard.clone());
        let looking = (self.look)(name.as_str().to_owned());
        Box::pin(async move {
            let found = looking.await?;
            let allowed: Vec<SocketAddr> = found.into_iter().filter(|a| allow_private || guard.permits(a.ip())).collect();
            if allowed.is_empty() {
                return Err(Blocked.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    fn rules(allow_private: bool) -> FetchRules {
        FetchRules { allow_http: true, allow_private, max_bytes: 1_000, timeout: Duration::from_secs(1), ..FetchRules::default() }
    }

    /// Answers every request with `answer`.
    async fn server(answer: &'static [u8]) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut tcp, _)) = listener.accept().await {
                let mut request = [0; 2_000];
                let _ = tcp.read(&mut request).await;
                let _ = tcp.write_all(answer).await;
            }
        });
        port
    }

    #[tokio::test]
    async fn our_own_network_is_out_of_reach_by_address_and_by_name() {
        let port = server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
        let fetcher = Fetcher::new(rules(false)).unwrap();
        for host in ["127.0.0.1", "localhost", "[::1]", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]", "127.0.0.1."] {
            let outcome = fetcher.get(&format!("http://{host}:{port}/"), &[]).await;
            assert!(matches!(outcome, Err(FetchError::Private(_))), "{host}: {outcome:?}");
        }
        let open = Fetcher::new(rules(true)).unwrap();
        assert_eq!(open.get(&format!("http://localhost:{port}/"), &[]).await.unwrap().body, b"hi");
    }

    /// DNS rebinding: the name answers with an address that may be connected to, and with another one when it is asked again.
    #[tokio::test]
    async fn the_address_that_was_checked_is_the_one_connected_to_and_each_look_up_is_checked() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let good = server(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi").await;
        // On the same port of another address, of which the rules know nothing.
        let trap = TcpListener::bind(("127.0.0.2", good)).await.unwrap();
        let looked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&looked);
        let look = move |_| -> BoxFuture<'static, std::io::Result<Vec<SocketAddr>>> {
            let answers: &[&str] = match counted.fetch_add(1, Ordering::SeqCst) {
                0 => &["127.0.0.1:0"],
                1 => &["127.0.0.2:0"],
                // Mixed, the private one first.
                2 => &["127.0.0.2:0", "[::ffff:127.0.0.2]:0", "127.0.0.1:0"],
                _ => &[],
            };
            let answers = answers.iter().map(|text| text.parse().unwrap()).collect();
            Box::pin(async move { Ok(answers) })
        };
        let guard = Guard::allowing(vec!["127.0.0.1/32".parse().unwrap()]);
        let fetcher = Fetcher::asking(FetchRules { guard, ..rules(false) }, Arc::new(look)).unwrap();
        let url = format!("http://crl.example:{good}/");
        assert_eq!(fetcher.get(&url, &[]).await.unwrap().body, b"hi");
        assert_eq!(looked.load(Ordering::SeqCst), 1, "between the check and the connection nobody asks again");
        let again = fetcher.get(&url, &[]).await;
        assert!(matches!(again, Err(FetchError::Private(_))), "{again:?}");
        assert_eq!(fetcher.get(&url, &[]).await.unwrap().body, b"hi");
        let knocked = tokio::time::timeout(Duration::from_millis(100), trap.accept()).await;
        assert!(knocked.is_err(), "the trap was connected to");
    }

    #[tokio::test]
    async fn only_plain_urls_of_allowed_schemes_are_fetched() {
        let strict = Fetcher::new(FetchRules::default()).unwrap();
        for url in ["http://a.example/", "file:///etc/passwd", "ftp://a.example/", "https://u:p@a.example/", "nonsense"] {
            assert!(matches!(strict.get(url, &[]).await, Err(FetchError::Url(_))), "{url}");
        }
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_is_not_followed() {
        let port = server(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n").await;
        let fetched = Fetcher::new(rules(true)).unwrap().get(&format!("http://127.0.0.1:{port}/"), &[]).await.unwrap();
        assert_eq!(fetched.status, 302);
        assert_eq!(fetched.location.as_deref(), Some("http://169.254.169.254/"));
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_cut_and_one_that_never_comes_times_out() {
        let lots: &[u8] = Box::leak([b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &[b'x'; 5_000]].concat().into_boxed_slice());
        let port = server(lots).await;
        let fetcher = Fetcher::new(rules(true)).unwrap();
        let outcome = fetcher.get(&format!("http://127.0.0.1:{port}/"), &[]).await;
        assert!(matches!(outcome, Err(FetchError::TooLarge { limit: 1_000, .. })), "{outcome:?}");

        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/secret?token=abc", silent.local_addr().unwrap());
        let error = fetcher.get(&url, &[]).await.unwrap_err();
        assert!(error.is_temporary());
        assert!(!format!("{error} {error:?}").contains("abc"), "the query may be a secret");
    }
}
