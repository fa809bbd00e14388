//! A name server that answers as real ones should not.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hickory_resolver::proto::op::Message;
pub(crate) use hickory_resolver::proto::{
    op::ResponseCode,
    rr::{Name, RData, Record, RecordType, rdata},
};
use tokio::{net::UdpSocket, task::JoinHandle};

/// Answers over UDP, for as long as it lives.
pub(crate) struct FakeDns {
    pub(crate) address: SocketAddr,
    most_open: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl FakeDns {
    /// `answer` gets the name asked for (lower case, final dot), the type, and the answer to fill in; `false` is silence.
    pub(crate) async fn start(answer: impl Fn(&str, RecordType, &mut Message) -> bool + Send + Sync + 'static) -> Self {
        Self::start_slow(Duration::ZERO, answer).await
    }

    /// The same, thinking about each question for so long, about all of them at the same time.
    pub(crate) async fn start_slow(
        delay: Duration,
        answer: impl Fn(&str, RecordType, &mut Message) -> bool + Send + Sync + 'static,
    ) -> Self {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = socket.local_addr().unwrap();
        let (open, most_open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let asked = Arc::new(AtomicUsize::new(0));
        let (most, count) = (Arc::clone(&most_open), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            let mut packet = [0; 4_096];
            while let Ok((n, from)) = socket.recv_from(&mut packet).await {
                count.fetch_add(1, Ordering::SeqCst);
                let mut message = Message::from_vec(&packet[..n]).unwrap().into_response();
                let query = message.queries[0].clone();
                if answer(&query.name().to_ascii().to_ascii_lowercase(), query.query_type(), &mut message) {
                    let (socket, open) = (Arc::clone(&socket), Arc::clone(&open));
                    most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::spawn(async move {
                        tokio::time::sleep(delay).await;
                        open.fetch_sub(1, Ordering::SeqCst);
                        let _ = socket.send_to(&message.to_vec().unwrap(), from).await;
                    });
                }
            }
        });
        Self { address, most_open, asked, task }
    }

    /// Waits until so many questions have come in.
    pub(crate) async fn until_asked(&self, questions: usize) {
        while self.asked.load(Ordering::SeqCst) < questions {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Most questions that were open at the same time.
    pub(crate) fn most_open(&self) -> usize {
        self.most_open.load(Ordering::SeqCst)
    }
}

impl Drop for FakeDns {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A record for an answer.
pub(crate) fn record(name: &str, data: RData) -> Record {
    Record::from_rdata(Name::from_ascii(name).unwrap(), 60, data)
}
