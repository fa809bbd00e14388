//! A TCP connection that writes less often: TLS hands over one record of 16 KiB at a time, and a system call and a wake-up
//! of the other side for each of them cost more than copying them together.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// A TCP connection. Until [`Self::gather`] is called every write goes straight through.
#[derive(Debug)]
pub struct Gather {
    tcp: TcpStream,
    /// What was taken and not yet handed to the system begins at `sent`.
    held: Vec<u8>,
    sent: usize,
    /// Most octets held.
    room: usize,
}

impl Gather {
    pub(super) const fn new(tcp: TcpStream) -> Self {
        Self { tcp, held: Vec::new(), sent: 0, room: 0 }
    }

    /// From now on up to `room` octets wait to be written together. What is held leaves when it is full, flushed or shut
    /// down: whoever calls this must flush before waiting for an answer.
    pub(super) const fn gather(&mut self, room: usize) {
        self.room = room;
    }

    pub(super) const fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    fn poll_empty(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.held.len() {
            let written = ready!(Pin::new(&mut self.tcp).poll_write(cx, &self.held[self.sent..]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += written;
        }
        self.held.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Gather {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Gather {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if self.held.len() + data.len() > self.room {
            ready!(self.poll_empty(cx))?;
        }
        if data.len() > self.room {
            return Pin::new(&mut self.tcp).poll_write(cx, data);
        }
        if self.held.capacity() == 0 {
            let room = self.room;
            self.held.reserve_exact(room);
        }
        self.held.extend_from_slice(data);
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_empty(cx))?;
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_empty(cx))?;
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    async fn pair() -> (Gather, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (Gather::new(near.unwrap()), far.unwrap().0)
    }

    #[tokio::test]
    async fn nothing_is_held_unless_asked_for() {
        let (mut near, mut far) = pair().await;
        near.write_all(b"at once").await.unwrap();
        let mut got = [0; 7];
        far.read_exact(&mut got).await.unwrap();
        assert_eq!((&got, near.held.capacity()), (b"at once", 0));
    }

    #[tokio::test]
    async fn small_writes_wait_for_each_other_and_leave_when_full_or_flushed() {
        let (mut near, mut far) = pair().await;
        near.gather(8);
        near.write_all(b"abc").await.unwrap();
        near.write_all(b"def").await.unwrap();
        assert_eq!(near.held, b"abcdef");
        near.write_all(b"ghi").await.unwrap();
        assert_eq!(near.held, b"ghi", "what was full has left");
        near.flush().await.unwrap();
        near.write_all(b"longer than the room").await.unwrap();
        near.write_all(b".").await.unwrap();
        near.shutdown().await.unwrap();
        let mut got = String::new();
        far.read_to_string(&mut got).await.unwrap();
        assert_eq!(got, "abcdefghilonger than the room.");
    }

    #[tokio::test]
    async fn a_slow_reader_gets_everything_in_order() {
        let (mut near, mut far) = pair().await;
        near.gather(64 * 1024);
        let sent: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[(n % 3) as usize]).collect();
        let expected = sent.clone();
        let writing = tokio::spawn(async move {
            for piece in sent.chunks(16_401) {
                near.write_all(piece).await.unwrap();
            }
            near.shutdown().await.unwrap();
        });
        let mut got = Vec::new();
        let mut buffer = [0; 5000];
        loop {
            let n = far.read(&mut buffer).await.unwrap();
            if n == 0 {
                break;
            }
            got.extend_from_slice(&buffer[..n]);
            tokio::task::yield_now().await;
        }
        writing.await.unwrap();
        assert!(got == expected);
    }
}
