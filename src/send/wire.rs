//! The bytes of one SMTP connection: bounded answers in, commands and the message out, each with a deadline.

use std::{future::poll_fn, io, pin::Pin, task::Poll, time::Duration};

use lettre::transport::smtp::response::Response;
use memchr::memchr;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::{Instant, timeout, timeout_at},
};

use crate::{config::relay::TimeoutSettings, net::stream::Stream};

use super::{Reply, phase::Phase};

/// RFC 5321 4.5.3.1.5 allows 512; servers with much to say exceed it.
const LONGEST_LINE: usize = 4_096;
/// Lines of one answer; EHLO has a dozen.
const MOST_LINES: usize = 128;
/// Largest TLS record (RFC 8446 5.1).
const RECORD: usize = 16 * 1024;
/// What one write hands to TLS: seven records. What TLS makes of them fills two segments of the loopback interface, or of
/// segmentation offload, nearly whole; of four or eight a few octets are left over that go out alone.
const BLOCK: usize = 7 * RECORD;
/// The same with what TLS adds to each record: it leaves in one system call.
const GATHERED: usize = 7 * (RECORD + 256);

/// The connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("{phase}: no answer within {} s", limit.as_secs_f32())]
    TimedOut { phase: Phase, limit: Duration },
    #[error("{phase}: the server closed the connection")]
    Closed { phase: Phase },
    #[error("{phase}: the connection failed: {source}")]
    Failed { phase: Phase, source: io::Error },
    #[error("{phase}: the server's answer cannot be understood ({what})")]
    Garbage { phase: Phase, what: &'static str },
    #[error("{phase}: the server spoke without being asked")]
    Unasked { phase: Phase },
}

/// How the sending of the message itself stopped early.
pub(super) enum Interrupted {
    /// The server spoke up before the final dot; what it said is in the inbox.
    Spoke,
    /// The connection is of no more use.
    Broken(Broken),
}

pub(super) struct Wire {
    stream: Stream,
    inbox: Vec<u8>,
    pub(super) timeouts: TimeoutSettings,
    /// Bytes of the current message handed over to the connection; up to a block of them may wait there.
    pub(super) sent: usize,
}

impl Wire {
    pub(super) fn new(mut stream: Stream, timeouts: TimeoutSettings) -> Self {
        stream.gather(GATHERED);
        Self { stream, inbox: Vec::new(), timeouts, sent: 0 }
    }

    pub(super) const fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The connection beneath, for raising it to TLS. Whatever the server said after its answer to STARTTLS is not
    /// protected and must not be read as if it were (CVE-2011-0411).
    pub(super) fn into_stream(self) -> Result<Stream, Broken> {
        if self.inbox.is_empty() { Ok(self.stream) } else { Err(Broken::Unasked { phase: Phase::Tls }) }
    }

    /// Sends one command line (with its CRLF) and reads the answer.
    pub(super) async fn command(&mut self, phase: Phase, line: &str) -> Result<Reply, Broken> {
        self.exchange(phase, line).await.map(|(reply, _)| reply)
    }

    /// The same, with the answer as lettre reads it.
    pub(super) async fn exchange(&mut self, phase: Phase, line: &str) -> Result<(Reply, Response), Broken> {
        self.expect_silence(phase).await?;
        let limit = phase.limit(&self.timeouts);
        let exchange = async {
            self.stream.write_all(line.as_bytes()).await.map_err(|source| Broken::Failed { phase, source })?;
            self.stream.flush().await.map_err(|source| Broken::Failed { phase, source })?;
            self.read_reply(phase).await
        };
        timeout(limit, exchange).await.map_err(|_| Broken::TimedOut { phase, limit })?
    }

    /// Reads one complete answer. The deadline is for the whole of it, however slowly it drips.
    pub(super) async fn reply(&mut self, phase: Phase) -> Result<Reply, Broken> {
        self.reply_within(phase, phase.limit(&self.timeouts)).await
    }

    pub(super) async fn reply_within(&mut self, phase: Phase, limit: Duration) -> Result<Reply, Broken> {
        let read = timeout(limit, self.read_reply(phase)).await;
        read.map_err(|_| Broken::TimedOut { phase, limit })?.map(|(reply, _)| reply)
    }

    async fn read_reply(&mut self, phase: Phase) -> Result<(Reply, Response), Broken> {
        let mut lines = Vec::new();
        loop {
            let line = self.read_line(phase).await?;
            let more = line.get(3) == Some(&b'-');
            lines.push(line);
            if !more {
                return Reply::parse(&lines).ok_or(Broken::Garbage { phase, what: "not an SMTP reply" });
            }
            if lines.len() == MOST_LINES {
                return Err(Broken::Garbage { phase, what: "too many lines" });
            }
        }
    }

    async fn read_line(&mut self, phase: Phase) -> Result<Vec<u8>, Broken> {
        let mut scanned = 0;
        loop {
            if let Some(end) = memchr(b'\n', &self.inbox[scanned..]).map(|at| scanned + at) {
                let mut line: Vec<u8> = self.inbox.drain(..=end).collect();
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(line);
            }
            scanned = self.inbox.len();
            if scanned > LONGEST_LINE {
                return Err(Broken::Garbage { phase, what: "line too long" });
            }
            let mut chunk = [0; 1024];
            match self.stream.read(&mut chunk).await {
                Ok(0) => return Err(Broken::Closed { phase }),
                Ok(n) => self.inbox.extend_from_slice(&chunk[..n]),
                Err(source) if source.kind() == io::ErrorKind::UnexpectedEof => return Err(Broken::Closed { phase }),
                Err(source) => return Err(Broken::Failed { phase, source }),
            }
        }
    }

    /// Whether the server has neither spoken nor closed. Does not wait.
    pub(super) async fn is_quiet(&mut self) -> bool {
        if !self.inbox.is_empty() {
            return false;
        }
        let mut room = [0; 512];
        let mut buffer = ReadBuf::new(&mut room);
        let stream = &mut self.stream;
        // Unconstrained, lest an exhausted task budget look like silence.
        let look = tokio::task::coop::unconstrained(poll_fn(|cx| Poll::Ready(Pin::new(&mut *stream).poll_read(cx, &mut buffer))));
        let silent = look.await.is_pending();
        self.inbox.extend_from_slice(buffer.filled());
        silent
    }

    /// An answer nobody asked for would be taken for the answer to the next command, and all that follow would be off by
    /// one.
    pub(super) async fn expect_silence(&mut self, phase: Phase) -> Result<(), Broken> {
        match (self.is_quiet().await, self.inbox.is_empty()) {
            (true, _) => Ok(()),
            (false, true) => Err(Broken::Closed { phase }),
            (false, false) => Err(Broken::Unasked { phase }),
        }
    }

    /// Sends `content` in large blocks, listening all the while: a server that has had enough says so before the end.
    pub(super) async fn body(&mut self, content: &[u8]) -> Result<(), Interrupted> {
        let phase = Phase::Body;
        let whole = Instant::now() + phase.limit(&self.timeouts);
        let block = self.timeouts.block.0;
        self.sent = 0;
        for piece in content.chunks(BLOCK) {
            let deadline = whole.min(Instant::now() + block);
            let mut rest = piece;
            while !rest.is_empty() {
                let written = timeout_at(deadline, self.write_or_listen(rest)).await;
                let n = written.map_err(|_| Interrupted::Broken(Broken::TimedOut { phase, limit: block }))??;
                self.sent += n;
                rest = &rest[n..];
            }
        }
        let flushed = timeout_at(whole.min(Instant::now() + block), self.stream.flush()).await;
        match flushed {
            Err(_) => Err(Interrupted::Broken(Broken::TimedOut { phase, limit: block })),
            Ok(Err(source)) => Err(Interrupted::Broken(Broken::Failed { phase, source })),
            Ok(Ok(())) if self.is_quiet().await => Ok(()),
            Ok(Ok(())) if self.inbox.is_empty() => Err(Interrupted::Broken(Broken::Closed { phase })),
            Ok(Ok(())) => Err(Interrupted::Spoke),
        }
    }

    async fn write_or_listen(&mut self, data: &[u8]) -> Result<usize, Interrupted> {
        let phase = Phase::Body;
        let (stream, inbox) = (&mut self.stream, &mut self.inbox);
        poll_fn(|cx| {
            match Pin::new(&mut *stream).poll_write(cx, data) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(Interrupted::Broken(Broken::Closed { phase }))),
                Poll::Ready(Ok(n)) => return Poll::Ready(Ok(n)),
                Poll::Ready(Err(source)) => return Poll::Ready(Err(Interrupted::Broken(Broken::Failed { phase, source }))),
                Poll::Pending => {}
            }
            let mut room = [0; 512];
            let mut heard = ReadBuf::new(&mut room);
            match Pin::new(&mut *stream).poll_read(cx, &mut heard) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Err(source)) => Poll::Ready(Err(Interrupted::Broken(Broken::Failed { phase, source }))),
                Poll::Ready(Ok(())) if heard.filled().is_empty() => {
                    Poll::Ready(Err(Interrupted::Broken(Broken::Closed { phase })))
                }
                Poll::Ready(Ok(())) => {
                    inbox.extend_from_slice(heard.filled());
                    Poll::Ready(Err(Interrupted::Spoke))
                }
            }
        })
        .await
    }

    /// Says a last word without waiting for the answer.
    pub(super) async fn farewell(&mut self, line: &str) -> Result<(), Broken> {
        let (phase, limit) = (Phase::Quit, Phase::Quit.limit(&self.timeouts));
        let write = async {
            self.stream.write_all(line.as_bytes()).await?;
            self.stream.shutdown().await
        };
        match timeout(limit, write).await {
            Err(_) => Err(Broken::TimedOut { phase, limit }),
            Ok(Err(source)) => Err(Broken::Failed { phase, source }),
            Ok(Ok(())) => Ok(()),
        }
    }

    /// The final dot. From here on the message is the server's.
    pub(super) async fn dot(&mut self) -> Result<(), Broken> {
        let (phase, limit) = (Phase::Body, self.timeouts.block.0);
        let write = async {
            self.stream.write_all(b".\r\n").await?;
            self.stream.flush().await
        };
        match timeout(limit, write).await {
            Err(_) => Err(Broken::TimedOut { phase, limit }),
            Ok(Err(source)) => Err(Broken::Failed { phase, source }),
            Ok(Ok(())) => Ok(()),
        }
    }
}
