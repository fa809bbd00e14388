//! One question to one name server: over UDP with EDNS, over TCP when the answer does not fit.
//!
//! A resolver library hides which server said what, takes the first refusal for the answer of all, and keeps answers that
//! must be forgotten when they prove wrong; here one server is asked, and whoever asks decides what follows.

use std::{io, net::SocketAddr, time::Duration};

use hickory_resolver::proto::{
    op::{Edns, Message, Query, ResponseCode},
    rr::{Name, RecordType},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

/// Fits into one packet on every path (DNS flag day 2020); what is larger comes over TCP.
const UDP_BYTES: u16 = 1232;
/// A lost packet is sent once more.
const TRIES: u32 = 2;

/// A question, and whether the server shall ask others for us.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) name: Name,
    pub(super) kind: RecordType,
    pub(super) recursive: bool,
}

/// What a server said, whole; or why there is no whole answer.
pub(super) async fn ask(server: SocketAddr, ask: &Ask, patience: Duration) -> Result<Message, String> {
    let answer = over_udp(server, ask, true, patience).await?;
    // Servers from before RFC 6891 refuse to understand EDNS.
    let puzzled = matches!(answer.metadata.response_code, ResponseCode::FormErr | ResponseCode::NotImp | ResponseCode::BADVERS);
    let answer = if puzzled { over_udp(server, ask, false, patience).await? } else { answer };
    if !answer.metadata.truncation {
        return Ok(answer);
    }
    // RFC 7766 5: certificates are larger than most answers.
    let over_tcp = timeout(patience, over_tcp(server, ask)).await;
    over_tcp
        .unwrap_or_else(|_| Err("no answer over TCP in time".to_owned()))
        .map_err(|why| format!("the answer needs TCP: {why}"))
}

async fn over_udp(server: SocketAddr, ask: &Ask, edns: bool, patience: Duration) -> Result<Message, String> {
    let said = |error: io::Error| error.to_string();
    let mut packet = vec![0; usize::from(UDP_BYTES).max(4096)];
    for _ in 0..TRIES {
        let (id, question) = encode(ask, edns)?;
        // A fresh port and a fresh id for each packet: whoever cannot see it has to guess both (RFC 5452).
        let local = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(local).await.map_err(said)?;
        socket.connect(server).await.map_err(said)?;
        socket.send(&question).await.map_err(said)?;
        let answered = timeout(patience / TRIES, async {
            loop {
                let n = socket.recv(&mut packet).await.map_err(said)?;
                // What does not answer our question is somebody's guess, or late: the real one may still come.
                if let Ok(message) = decode(&packet[..n], id, ask) {
                    return Ok(message);
                }
            }
        });
        if let Ok(answered) = answered.await {
            return answered;
        }
    }
    Err("no answer in time".to_owned())
}

async fn over_tcp(server: SocketAddr, ask: &Ask) -> Result<Message, String> {
    let said = |error: io::Error| error.to_string();
    let (id, question) = encode(ask, true)?;
    let mut tcp = TcpStream::connect(server).await.map_err(said)?;
    let length = u16::try_from(question.len()).map_err(|_| "the question is too long")?;
    tcp.write_all(&[&length.to_be_bytes()[..], &question].concat()).await.map_err(said)?;
    let length = tcp.read_u16().await.map_err(said)?;
    let mut answer = vec![0; length.into()];
    tcp.read_exact(&mut answer).await.map_err(said)?;
    let message = decode(&answer, id, ask)?;
    if message.metadata.truncation { Err("it is cut there too".to_owned()) } else { Ok(message) }
}

fn encode(ask: &Ask, edns: bool) -> Result<(u16, Vec<u8>), String> {
    let mut message = Message::query();
    let mut id = [0; 2];
    openssl::rand::rand_bytes(&mut id).map_err(|error| error.to_string())?;
    message.metadata.id = u16::from_be_bytes(id);
    message.metadata.recursion_desired = ask.recursive;
    message.add_query(Query::query(ask.name.clone(), ask.kind));
    if edns {
        let mut options = Edns::new();
        options.set_max_payload(UDP_BYTES);
        message.set_edns(options);
    }
    Ok((message.metadata.id, message.to_vec().map_err(|error| error.to_string())?))
}

fn decode(bytes: &[u8], id: u16, ask: &Ask) -> Result<Message, String> {
    let message = Message::from_vec(bytes).map_err(|error| format!("the answer cannot be read ({error})"))?;
    let ours = message.metadata.id == id
        && message.metadata.message_type == hickory_resolver::proto::op::MessageType::Response
        && match &message.queries[..] {
            [question] => question.name() == &ask.name && question.query_type() == ask.kind,
            // RFC 1035 4.1.1: an error may come without the question.
            [] => !matches!(message.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain),
            _ => false,
        };
    if ours { Ok(message) } else { Err("the answer is to another question".to_owned()) }
}
