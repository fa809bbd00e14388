//! A server that takes everything over TLS and keeps nothing: what a benchmark sends to. It runs in a process of its own,
//! so that its work is not counted.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use memchr::memmem;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::server::HispError;
use crate::net::{
    smtp::{Input, Line},
    tls::{PemPair, ServerTls},
};

/// What has been taken.
#[derive(Debug, Default)]
pub struct Taken {
    /// Messages.
    pub messages: AtomicU64,
    /// Bytes, dots included.
    pub bytes: AtomicU64,
}

/// A running sink: implicit TLS, any login, any address.
#[derive(Debug)]
pub struct Sink {
    /// Where it is.
    pub address: SocketAddr,
    /// What it has taken so far.
    pub taken: Arc<Taken>,
}

impl Sink {
    /// Opens on this machine; 0 takes any free port. Serves until the runtime ends.
    pub async fn start(port: u16, tls: &PemPair) -> Result<Self, HispError> {
        let tls = ServerTls::new(&tls.certificate, &tls.key, None)?;
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        let listen = |source| HispError::Listen { door: super::mailbox::Door::Relay, address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let taken = Arc::new(Taken::default());
        let counters = taken.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (tls, taken) = (tls.clone(), counters.clone());
                tokio::spawn(async move {
                    // A client that breaks off is the benchmark's affair.
                    let _ = swallow(tcp, &tls, &taken).await;
                });
            }
        });
        Ok(Self { address, taken })
    }
}

async fn swallow(tcp: TcpStream, tls: &ServerTls, taken: &Taken) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let mut stream = tls.accept(tcp).await.map_err(io::Error::other)?;
    stream.write_all(b"220 sink\r\n").await?;
    let mut input = Input::default();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let Line::Text(line) = input.line(&mut stream).await? else { return Ok(()) };
        let verb: Vec<u8> = line.iter().take(4).map(u8::to_ascii_uppercase).collect();
        let answer: &[u8] = match verb.as_slice() {
            b"EHLO" => b"250-sink\r\n250-8BITMIME\r\n250-AUTH PLAIN\r\n250 SIZE 100000000\r\n",
            b"AUTH" => b"235 2.7.0 fine\r\n",
            b"DATA" => {
                stream.write_all(b"354 go\r\n").await?;
                let size = skip_message(&mut stream, &mut buffer).await?;
                taken.messages.fetch_add(1, Ordering::Relaxed);
                taken.bytes.fetch_add(size, Ordering::Relaxed);
                b"250 2.0.0 gone\r\n"
            }
            b"QUIT" => return stream.write_all(b"221 bye\r\n").await,
            _ => b"250 2.0.0 fine\r\n",
        };
        stream.write_all(answer).await?;
    }
}

/// Reads to the final dot without keeping anything. The clients of a sink do not send ahead.
async fn skip_message(stream: &mut crate::net::stream::Stream, buffer: &mut [u8]) -> io::Result<u64> {
    let mut total = 0;
    // The last bytes of what was read before, in which the end may have begun.
    let mut tail = b"\r\n".to_vec();
    loop {
        let n = stream.read(buffer).await?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        total += n as u64;
        let end = n.min(5);
        tail.extend_from_slice(&buffer[n - end..n]);
        if memmem::rfind(&tail, b"\r\n.\r\n").is_some_and(|at| at + 5 == tail.len()) {
            return Ok(total);
        }
        let keep = tail.len().saturating_sub(4);
        tail.drain(..keep);
    }
}
