//! The connections: bounded in number and in patience, so that nobody takes the door away from the others by being slow.

mod patient;

use std::{convert::Infallible, future::poll_fn, io, net::IpAddr, pin::Pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Request, response::Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service as _;

use self::patient::{Patient, Phase};
use super::{Web, app};

/// Most octets of a request's header.
const HEADER_OCTETS: usize = 64 * 1024;
/// How long, and how much, is still read and thrown away after the last answer.
const LINGER: Duration = Duration::from_secs(3);
const LINGER_OCTETS: usize = 16_000_000;

/// The other end of the connection a request came on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

/// What every connection is held to.
#[derive(Clone)]
struct Door {
    app: Router,
    header_timeout: Duration,
    idle_timeout: Duration,
    stop: CancellationToken,
    /// There are as many connections as there may be: whoever is idle has to go.
    crowded: Arc<Notify>,
}

/// Serves until `stop`; requests that run are finished.
///
/// # Errors
/// None so far: a connection that cannot be taken is tried again.
pub async fn serve(web: Web, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
    let settings = &web.settings;
    let places = Arc::new(Semaphore::new(settings.connections));
    let door = Door {
        header_timeout: settings.header_timeout.0,
        idle_timeout: settings.idle_timeout.0,
        stop: stop.clone(),
        crowded: Arc::default(),
        app: app(web),
    };
    let connections = TaskTracker::new();
    loop {
        if places.available_permits() == 0 {
            door.crowded.notify_waiters();
        }
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&places, &listener) => accepted,
        };
        match accepted {
            Ok((place, stream)) => drop(connections.spawn(door.clone().converse(stream, place))),
            // The other side was gone before we came.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be taken; tried again in a second");
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
    Ok(())
}

async fn accept(places: &Arc<Semaphore>, listener: &TcpListener) -> io::Result<(OwnedSemaphorePermit, TcpStream)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((place, stream))
}

impl Door {
    /// One connection, from its first octet to its last.
    async fn converse(self, stream: TcpStream, _place: OwnedSemaphorePermit) {
        // Answers are small and written at once; waiting for more to fill a segment only delays them.
        let _ = stream.set_nodelay(true);
        let phase = Phase::default();
        let peer = stream.peer_addr().ok().map(|peer| Peer(peer.ip()));
        let (app, begun) = (self.app, phase.clone());
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let (mut app, begun) = (app.clone(), begun.clone());
            Box::pin(async move {
                begun.turn();
                let mut request = Request::map(request, Body::new);
                if let Some(peer) = peer {
                    request.extensions_mut().insert(peer);
                }
                let answered: Result<Response, Infallible> = app.call(request).await;
                begun.turn();
                answered
            }) as Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>
        });
        let stream = Patient::new(stream, phase, self.header_timeout);
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // For hyper this is also the time between two requests; what is once begun, Patient has finished sooner.
            .header_read_timeout(self.idle_timeout)
            .max_buf_size(HEADER_OCTETS)
            .serve_connection(TokioIo::new(stream), service);
        let mut asked_to_end = false;
        let ended = loop {
            tokio::select! {
                ended = poll_fn(|context| connection.poll_without_shutdown(context)) => break ended,
                () = self.stop.cancelled(), if !asked_to_end => asked_to_end = true,
                () = self.crowded.notified(), if !asked_to_end => asked_to_end = true,
            }
            Pin::new(&mut connection).graceful_shutdown();
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection has broken off");
        }
        close(connection.into_parts().io.into_inner().into_inner()).await;
    }
}

/// Closes in two steps, so that the last answer arrives: a socket that is closed with something unread is reset, and the
/// reset may overtake the answer that says why the rest of the upload was not wanted (RFC 9112 9.6).
async fn close(mut stream: TcpStream) {
    let drained = async {
        stream.shutdown().await?;
        let (mut left, mut scrap) = (LINGER_OCTETS, vec![0; 16 * 1024]);
        loop {
            match stream.read(&mut scrap).await? {
                0 => break,
                read if read > left => break,
                read => left -= read,
            }
        }
        io::Result::Ok(())
    };
    // What comes after the end concerns nobody.
    let _ = timeout(LINGER, drained).await;
}
