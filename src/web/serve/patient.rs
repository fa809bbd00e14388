//! A connection that does not wait for ever: for the rest of a request's header, or for its answer to be taken in.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

/// How often a request was begun or ended to be answered: odd while one is. Meanwhile, how fast its body comes is looked
/// after by who reads it.
#[derive(Debug, Clone, Default)]
pub(super) struct Phase(Arc<AtomicU64>);

impl Phase {
    /// A request is complete as far as its header, or its answer is there.
    pub(super) fn turn(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    fn turns(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// A deadline that can be set and lifted.
#[derive(Debug)]
struct Deadline {
    sleep: Pin<Box<Sleep>>,
    is_set: bool,
}

impl Deadline {
    fn in_(patience: Duration, is_set: bool) -> Self {
        Self { sleep: Box::pin(sleep(patience)), is_set }
    }

    fn set(&mut self, patience: Duration) {
        if !self.is_set {
            self.sleep.as_mut().reset(Instant::now() + patience);
            self.is_set = true;
        }
    }

    const fn lift(&mut self) {
        self.is_set = false;
    }

    /// Whether it has passed; wakes the task when it does.
    fn has_passed(&mut self, context: &mut Context<'_>) -> bool {
        self.is_set && self.sleep.as_mut().poll(context).is_ready()
    }
}

/// The stream of one connection.
#[derive(Debug)]
pub(super) struct Patient {
    stream: TcpStream,
    phase: Phase,
    turns: u64,
    patience: Duration,
    header: Deadline,
    write: Deadline,
}

impl Patient {
    /// The clock of the first header runs at once: who connects has something to say.
    pub(super) fn new(stream: TcpStream, phase: Phase, patience: Duration) -> Self {
        let (header, write) = (Deadline::in_(patience, true), Deadline::in_(patience, false));
        Self { stream, phase, turns: 0, patience, header, write }
    }

    pub(super) fn into_inner(self) -> TcpStream {
        self.stream
    }

    /// Something was written, or has to wait for the other side to take in what was.
    fn written<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write.lift();
            return written;
        }
        self.write.set(self.patience);
        if self.write.has_passed(context) { Poll::Ready(Err(too_slow())) } else { Poll::Pending }
    }
}

fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the other side is too slow")
}

impl AsyncRead for Patient {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, into);
        let turns = self.phase.turns();
        if self.turns != turns {
            // The header that was waited for is there.
            self.turns = turns;
            self.header.lift();
        }
        if turns % 2 == 1 {
            return read;
        }
        if into.filled().len() > before {
            let patience = self.patience;
            self.header.set(patience);
        }
        // Not only when there is nothing to read: a header that comes octet by octet is late too.
        if self.header.has_passed(context) { Poll::Ready(Err(too_slow())) } else { read }
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, from);
        self.written(context, written)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, from);
        self.written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.written(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
