//! One connection to a mailbox, with a deadline for everything that is asked.

use std::time::Duration;

use async_imap::{Client, Session, error::Error, extensions::idle::IdleResponse, types::Fetch};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::{net::TcpStream, time::timeout};

use super::{ImapError, Server};
use crate::{
    config::relay::TlsMode,
    net::{stream::Stream, tls::TlsError},
};

/// How long one command may take.
const COMMAND: Duration = Duration::from_mins(1);
/// How long a whole message may take.
const MESSAGE: Duration = Duration::from_mins(10);

/// A mailbox, open.
pub(super) struct Open {
    session: Session<Stream>,
    /// Messages may be removed one by one (RFC 4315).
    uidplus: bool,
    /// The server tells what is new (RFC 2177).
    pub(super) idle: bool,
    /// The generation of its UIDs.
    pub(super) validity: u32,
}

/// A message that lies there.
#[derive(Debug, Clone, Copy)]
pub(super) struct There {
    pub(super) uid: u32,
    pub(super) size: u32,
}

/// Waits for `asked`, for as long as it may take.
async fn within<T>(doing: &'static str, after: Duration, asked: impl Future<Output = Result<T, Error>>) -> Result<T, ImapError> {
    match timeout(after, asked).await {
        Err(_) => Err(ImapError::Late { doing, after }),
        Ok(answer) => answer.map_err(|cause| ImapError::Command { doing, cause }),
    }
}

impl Open {
    /// Connects, logs in and opens the folder.
    pub(super) async fn new(server: &Server, user: &str, password: &str) -> Result<Self, ImapError> {
        let stream = connect(server).await?;
        let client = Client::new(stream);
        let login = timeout(COMMAND, client.login(user, password)).await;
        let mut session = match login {
            Err(_) => return Err(ImapError::Late { doing: "logging in", after: COMMAND }),
            Ok(Err((cause, _))) => return Err(ImapError::Login { user: user.to_owned(), cause }),
            Ok(Ok(session)) => session,
        };
        let can = within("asking what the server can do", COMMAND, session.capabilities()).await?;
        let (uidplus, idle) = (can.has_str("UIDPLUS"), can.has_str("IDLE"));
        let folder = within("opening the folder", COMMAND, session.select(&server.settings.folder)).await?;
        Ok(Self { session, uidplus, idle, validity: folder.uid_validity.unwrap_or(0) })
    }

    /// What matches `query`, by UID, with sizes.
    pub(super) async fn find(&mut self, query: &str) -> Result<Vec<There>, ImapError> {
        let found = within("searching the folder", COMMAND, self.session.uid_search(query)).await?;
        let mut uids: Vec<u32> = found.into_iter().collect();
        uids.sort_unstable();
        let mut there = Vec::with_capacity(uids.len());
        for some in uids.chunks(200) {
            let set = some.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
            let fetched: Vec<Fetch> = within("asking for sizes", COMMAND, async {
                self.session.uid_fetch(set, "(UID RFC822.SIZE)").await?.try_collect().await
            })
            .await?;
            there.extend(fetched.iter().filter_map(|fetch| Some(There { uid: fetch.uid?, size: fetch.size? })));
        }
        there.sort_unstable_by_key(|message| message.uid);
        Ok(there)
    }

    /// The message, untouched and unmarked; `None` when it has gone.
    pub(super) async fn fetch(&mut self, uid: u32) -> Result<Option<Vec<u8>>, ImapError> {
        let fetched: Vec<Fetch> = within("fetching a message", MESSAGE, async {
            self.session.uid_fetch(uid.to_string(), "(UID BODY.PEEK[])").await?.try_collect().await
        })
        .await?;
        let own = fetched.iter().find(|fetch| fetch.uid == Some(uid));
        Ok(own.and_then(Fetch::body).map(<[u8]>::to_vec))
    }

    /// Marks a message.
    pub(super) async fn mark(&mut self, uid: u32, flag: &str) -> Result<(), ImapError> {
        within("marking a message", COMMAND, async {
            let marked = self.session.uid_store(uid.to_string(), format!("+FLAGS.SILENT ({flag})")).await?;
            marked.try_for_each(|_| async { Ok(()) }).await
        })
        .await
    }

    /// Removes a message for good. Without UIDPLUS whatever else is marked as deleted goes with it.
    pub(super) async fn delete(&mut self, uid: u32) -> Result<(), ImapError> {
        self.mark(uid, "\\Deleted").await?;
        within("removing a message", COMMAND, async {
            if self.uidplus {
                let gone = self.session.uid_expunge(uid.to_string()).await?;
                futures_util::pin_mut!(gone);
                while gone.next().await.transpose()?.is_some() {}
            } else {
                let gone = self.session.expunge().await?;
                futures_util::pin_mut!(gone);
                while gone.next().await.transpose()?.is_some() {}
            }
            Ok(())
        })
        .await
    }

    /// Waits until the server tells something, or `woken`, at most `most`.
    pub(super) async fn wait(self, most: Duration, woken: impl Future<Output = ()>) -> Result<Self, ImapError> {
        let Self { session, uidplus, idle, validity } = self;
        let mut handle = session.idle();
        within("beginning to wait (IDLE)", COMMAND, handle.init()).await?;
        // What the server says in between starts the library's own clock again; ours runs on.
        let told = {
            let (answer, _stop) = handle.wait_with_timeout(most);
            tokio::select! {
                told = timeout(most, answer) => told,
                () = woken => Ok(Ok(IdleResponse::ManualInterrupt)),
            }
        };
        if let Ok(Err(cause)) = told {
            return Err(ImapError::Command { doing: "waiting (IDLE)", cause });
        }
        let session = within("ending the wait (IDLE)", COMMAND, handle.done()).await?;
        Ok(Self { session, uidplus, idle, validity })
    }

    /// Whether the connection still lives.
    pub(super) async fn check(&mut self) -> Result<(), ImapError> {
        within("asking whether the server is there", COMMAND, self.session.noop()).await
    }
}

async fn connect(server: &Server) -> Result<Stream, ImapError> {
    let (host, port) = (server.settings.host.as_str(), server.settings.port);
    let failed = |cause| ImapError::Connect { host: host.to_owned(), port, cause };
    let tcp = timeout(COMMAND, TcpStream::connect((host, port)))
        .await
        .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
        .map_err(failed)?;
    tcp.set_nodelay(true).map_err(failed)?;
    let handshake = async |tcp| match &server.tls {
        None => Ok(Stream::Clear(tcp)),
        Some(tls) => match timeout(COMMAND, tls.connect(host, tcp)).await {
            Ok(stream) => stream,
            Err(_) => Err(TlsError::Handshake { host: host.to_owned(), why: "it took too long".to_owned() }),
        },
    };
    if server.settings.tls == TlsMode::Implicit {
        return greeted(handshake(tcp).await?).await.map(Client::into_inner);
    }
    let mut client = greeted(Stream::Clear(tcp)).await?;
    if server.settings.tls == TlsMode::None {
        return Ok(client.into_inner());
    }
    within("asking for TLS", COMMAND, client.run_command_and_check_ok("STARTTLS", None)).await?;
    // Whatever the server sent ahead in the clear is thrown away with the client.
    let Some(tcp) = client.into_inner().into_clear() else {
        return Err(TlsError::Handshake { host: host.to_owned(), why: "already under TLS".to_owned() }.into());
    };
    Ok(handshake(tcp).await?)
}

/// A client that has heard the greeting.
async fn greeted(stream: Stream) -> Result<Client<Stream>, ImapError> {
    let mut client = Client::new(stream);
    let greeting = within("waiting for the greeting", COMMAND, async {
        client.read_response().await.map_err(Error::from)?.ok_or(Error::ConnectionLost)
    });
    greeting.await?;
    Ok(client)
}
