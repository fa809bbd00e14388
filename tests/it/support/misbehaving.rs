//! An SMTP server that does exactly what its script says: for the faults no real server produces on request.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use postern::net::{stream::Stream, tls::ServerTls};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// One thing the server does.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Says a line (CRLF is added).
    Say(String),
    /// Says exactly these bytes.
    Bytes(Vec<u8>),
    /// Waits for a line that begins with this.
    Hear(&'static str),
    /// Reads up to the final dot.
    Message,
    /// Reads so many bytes of the message.
    Some(usize),
    /// Says nothing for so long.
    Wait(Duration),
    /// Shakes hands.
    Tls(ServerTls),
    /// Says this, one byte at a time, with so much time between.
    Drip(String, Duration),
    /// Keeps the connection open until the client ends it.
    Hang,
}

pub(crate) fn say(line: &str) -> Act {
    Act::Say(line.to_owned())
}

pub(crate) const fn hear(verb: &'static str) -> Act {
    Act::Hear(verb)
}

pub(crate) const fn wait(millis: u64) -> Act {
    Act::Wait(Duration::from_millis(millis))
}

/// A polite beginning: greeting and EHLO.
pub(crate) fn hello() -> Vec<Act> {
    vec![say("220 hello"), hear("EHLO"), say("250-host"), say("250-8BITMIME"), say("250 SIZE 10000000")]
}

/// A polite beginning up to the accepted recipient.
pub(crate) fn envelope() -> Vec<Act> {
    [hello(), vec![hear("MAIL"), say("250 ok"), hear("RCPT"), say("250 ok")]].concat()
}

/// A polite beginning up to the end of the message.
pub(crate) fn message() -> Vec<Act> {
    [envelope(), vec![hear("DATA"), say("354 go"), Act::Message]].concat()
}

/// One more message on the same connection.
pub(crate) fn another() -> Vec<Act> {
    vec![hear("MAIL"), say("250 ok"), hear("RCPT"), say("250 ok"), hear("DATA"), say("354 go"), Act::Message]
}

/// The running server. Each connection plays the next script; the last one is played again and again.
pub(crate) struct Misbehaving {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Misbehaving {
    pub(crate) async fn start(scripts: Vec<Vec<Act>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let log = heard.clone();
        tokio::spawn(async move {
            let mut connection = 0;
            while let Ok((tcp, _)) = listener.accept().await {
                log.lock().unwrap().push("CONNECT".to_owned());
                let script = scripts[connection.min(scripts.len() - 1)].clone();
                connection += 1;
                tokio::spawn(play(Stream::Clear(tcp), script, log.clone()));
            }
        });
        Self { address, heard }
    }

    /// The verbs heard, connections marked by `CONNECT`.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, verb: &str) -> usize {
        self.heard().iter().filter(|heard| *heard == verb).count()
    }

    /// Waits until what was heard is as it should be.
    pub(crate) async fn until(&self, so: impl Fn(&[String]) -> bool) {
        let waiting = async {
            while !so(&self.heard()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), waiting).await.unwrap_or_else(|_| panic!("{:?}", self.heard()));
    }
}

async fn play(mut stream: Stream, script: Vec<Act>, log: Arc<Mutex<Vec<String>>>) -> Option<()> {
    let mut inbox = Vec::new();
    for act in script {
        match act {
            Act::Say(line) => stream.write_all(format!("{line}\r\n").as_bytes()).await.ok()?,
            Act::Bytes(bytes) => stream.write_all(&bytes).await.ok()?,
            Act::Hear(verb) => {
                let line = read_to(&mut stream, &mut inbox, b"\r\n").await?;
                let line = String::from_utf8_lossy(&line).into_owned();
                log.lock().unwrap().push(line.split([' ', '\r']).next().unwrap_or_default().to_owned());
                if !line.starts_with(verb) {
                    stream.write_all(b"503 out of turn\r\n").await.ok()?;
                    return None;
                }
            }
            Act::Message => {
                read_to(&mut stream, &mut inbox, b"\r\n.\r\n").await?;
                log.lock().unwrap().push("DOT".to_owned());
            }
            Act::Some(n) => {
                while inbox.len() < n {
                    if stream.read_buf(&mut inbox).await.ok()? == 0 {
                        return None;
                    }
                }
            }
            Act::Wait(time) => tokio::time::sleep(time).await,
            Act::Tls(tls) => stream = tls.accept(stream.into_clear()?).await.ok()?,
            Act::Drip(line, pause) => {
                for byte in line.bytes() {
                    stream.write_all(&[byte]).await.ok()?;
                    tokio::time::sleep(pause).await;
                }
            }
            Act::Hang => while stream.read_buf(&mut inbox).await.ok()? > 0 {},
        }
        stream.flush().await.ok()?;
    }
    Some(())
}

async fn read_to(stream: &mut Stream, inbox: &mut Vec<u8>, end: &[u8]) -> Option<Vec<u8>> {
    loop {
        if let Some(at) = inbox.windows(end.len()).position(|window| window == end) {
            return Some(inbox.drain(..at + end.len()).collect());
        }
        if stream.read_buf(inbox).await.ok()? == 0 {
            return None;
        }
    }
}
