//! An HTTP server as issuers run them: pages at paths, each with what a server can do wrong.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// What is answered at a path.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) location: Option<String>,
    /// How long it takes to answer.
    pub(crate) delay: Duration,
    /// It does not answer before this is true.
    held: Option<watch::Receiver<bool>>,
}

/// Lets go what is held at it; what it holds when it is dropped is never answered.
pub(crate) struct Gate(watch::Sender<bool>);

impl Gate {
    pub(crate) fn open(&self) {
        let _ = self.0.send(true);
    }
}

impl Page {
    pub(crate) fn of(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, body: body.into(), location: None, delay: Duration::ZERO, held: None }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::of("") }
    }

    pub(crate) fn slow(body: impl Into<Vec<u8>>, delay: Duration) -> Self {
        Self { delay, ..Self::of(body) }
    }

    /// One that is answered when the gate is opened, however long that takes.
    pub(crate) fn held(body: impl Into<Vec<u8>>) -> (Self, Gate) {
        let (gate, held) = watch::channel(false);
        (Self { held: Some(held), ..Self::of(body) }, Gate(gate))
    }

    pub(crate) fn redirect(to: &str) -> Self {
        Self { status: 302, location: Some(to.to_owned()), ..Self::of("") }
    }
}

/// A running server.
#[derive(Clone)]
pub(crate) struct Issuer {
    address: SocketAddr,
    pages: Arc<Mutex<HashMap<String, Page>>>,
    asked: Arc<Mutex<Vec<String>>>,
    open: Arc<AtomicUsize>,
    most_open: Arc<AtomicUsize>,
}

impl Issuer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = Self {
            address: listener.local_addr().unwrap(),
            pages: Arc::default(),
            asked: Arc::default(),
            open: Arc::default(),
            most_open: Arc::default(),
        };
        let server = issuer.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let server = server.clone();
                tokio::spawn(async move {
                    let open = server.open.fetch_add(1, Ordering::SeqCst) + 1;
                    server.most_open.fetch_max(open, Ordering::SeqCst);
                    let _ = server.answer(tcp).await;
                    server.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        issuer
    }

    /// The URL of `path` here.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Puts a page at `path`; gives its URL.
    pub(crate) fn put(&self, path: &str, page: Page) -> String {
        self.pages.lock().unwrap().insert(path.to_owned(), page);
        self.url(path)
    }

    /// How often `path` was asked for.
    pub(crate) fn asked(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == path).count()
    }

    /// How often anything was asked for.
    pub(crate) fn asked_at_all(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// Waits until `path` was asked for so often.
    pub(crate) async fn until_asked(&self, path: &str, times: usize) {
        let asked = async {
            while self.asked(path) < times {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(2), asked).await.unwrap_or_else(|_| panic!("{path} was not asked for"));
    }

    /// Most connections there were at a time.
    pub(crate) fn most_open(&self) -> usize {
        self.most_open.load(Ordering::SeqCst)
    }

    async fn answer(&self, mut tcp: TcpStream) -> std::io::Result<()> {
        let mut request = Vec::new();
        let mut buffer = [0; 4_096];
        let head = loop {
            let read = tcp.read(&mut buffer).await?;
            request.extend_from_slice(&buffer[..read]);
            if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if read == 0 {
                return Ok(());
            }
        };
        let text = String::from_utf8_lossy(&request[..head]).to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<usize>().ok());
        while request.len() < head + length.unwrap_or(0) {
            let read = tcp.read(&mut buffer).await?;
            if read == 0 {
                break;
            }
            request.extend_from_slice(&buffer[..read]);
        }
        let line = String::from_utf8_lossy(&request[..head]).lines().next().unwrap_or_default().to_owned();
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        self.asked.lock().unwrap().push(path.clone());
        let page = self.pages.lock().unwrap().get(&path).cloned().unwrap_or_else(|| Page::status(404));
        tokio::time::sleep(page.delay).await;
        if let Some(mut held) = page.held
            && held.wait_for(|open| *open).await.is_err()
        {
            std::future::pending::<()>().await;
        }
        let location = page.location.map(|to| format!("Location: {to}\r\n")).unwrap_or_default();
        let head =
            format!("HTTP/1.1 {} X\r\n{location}Content-Length: {}\r\nConnection: close\r\n\r\n", page.status, page.body.len());
        tcp.write_all(head.as_bytes()).await?;
        tcp.write_all(&page.body).await?;
        tcp.shutdown().await
    }
}
