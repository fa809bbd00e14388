//! An HTTP server that takes webhooks, or does not, just as it is told.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// What it does with a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mood {
    /// Answers with this status.
    Says(u16),
    /// Takes its time, then 204.
    Slow(Duration),
    /// Sends whoever asks to the cloud's metadata service.
    Redirects,
    /// 200 with a body that never seems to end.
    Huge,
    /// Closes without a word.
    Closes,
    /// Asks to be left alone for so many seconds.
    Busy(u64),
    /// Refuses whatever has this in its body.
    Cannot(&'static str),
}

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_else(|| panic!("no {name} in {}", self.head))
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The event's type.
    pub(crate) fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap_or_default().to_owned()
    }
}

/// The running server.
pub(crate) struct Receiver {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

struct Shared {
    mood: Mutex<Mood>,
    got: Mutex<Vec<Request>>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl Receiver {
    pub(crate) async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/in", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            mood: Mutex::new(mood),
            got: Mutex::default(),
            at_once: AtomicUsize::default(),
            most_at_once: AtomicUsize::default(),
        });
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(serve(tcp, Arc::clone(&serving)));
            }
        });
        Self { url, shared }
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
    }

    /// Every request so far.
    pub(crate) fn got(&self) -> Vec<Request> {
        self.shared.got.lock().unwrap().clone()
    }

    /// The types of the events so far, in the order they came.
    pub(crate) fn kinds(&self) -> Vec<String> {
        self.got().iter().map(Request::kind).collect()
    }

    /// The most requests that were ever open at the same time.
    pub(crate) fn most_at_once(&self) -> usize {
        self.shared.most_at_once.load(Ordering::SeqCst)
    }
}

async fn serve(mut tcp: TcpStream, shared: Arc<Shared>) {
    let mut octets = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let Ok(n) = tcp.read(&mut piece).await else { return };
        if n == 0 {
            return;
        }
        octets.extend_from_slice(&piece[..n]);
        while let Some((request, rest)) = take(&octets) {
            octets = rest;
            if !answer(&mut tcp, request, &shared).await {
                return;
            }
        }
    }
}

/// The first whole request, and what is behind it.
fn take(octets: &[u8]) -> Option<(Request, Vec<u8>)> {
    let text = String::from_utf8_lossy(octets).into_owned();
    let (head, rest) = text.split_once("\r\n\r\n")?;
    let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse().ok()?;
    (rest.len() >= length)
        .then(|| (Request { head: head.to_owned(), body: rest[..length].to_owned() }, rest.as_bytes()[length..].to_vec()))
}

async fn answer(tcp: &mut TcpStream, request: Request, shared: &Shared) -> bool {
    let open = shared.at_once.fetch_add(1, Ordering::SeqCst) + 1;
    shared.most_at_once.fetch_max(open, Ordering::SeqCst);
    let mood = *shared.mood.lock().unwrap();
    let refused = matches!(mood, Mood::Cannot(word) if request.body.contains(word));
    shared.got.lock().unwrap().push(request);
    if let Mood::Slow(time) = mood {
        tokio::time::sleep(time).await;
    }
    shared.at_once.fetch_sub(1, Ordering::SeqCst);
    let plain = |status: u16| format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
    let text = match mood {
        Mood::Says(status) => plain(status),
        Mood::Cannot(_) if refused => plain(422),
        Mood::Slow(_) | Mood::Cannot(_) => plain(204),
        Mood::Redirects => {
            "HTTP/1.1 307 X\r\nLocation: http://169.254.169.254/latest/meta-data/\r\nContent-Length: 0\r\n\r\n".to_owned()
        }
        Mood::Huge => format!("HTTP/1.1 200 OK\r\nContent-Length: 900000000\r\n\r\n{}", "x".repeat(200_000)),
        Mood::Closes => return false,
        Mood::Busy(seconds) => format!("HTTP/1.1 503 X\r\nRetry-After: {seconds}\r\nContent-Length: 0\r\n\r\n"),
    };
    tcp.write_all(text.as_bytes()).await.is_ok() && !matches!(mood, Mood::Huge)
}
