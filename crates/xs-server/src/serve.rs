//! Serving, and stopping without dropping anything.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use xs::{EventStream, Frame, Result};

use crate::limits::{CONNECTIONS_MAX, GRACE, HEADER_TIMEOUT};
use crate::listen::{Connection, Listener};
use crate::routes::{App, app};

/// After a failed accept, such as when file descriptors are spent: how long until the next.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// One stream behind its listeners.
#[derive(Debug)]
pub struct Server {
    stream: EventStream,
    listeners: Vec<Listener>,
}

impl Server {
    /// A server of `stream` that is not running yet. The first listener is its own socket; the
    /// others are what it is exposed at.
    pub fn new(stream: EventStream, listeners: Vec<Listener>) -> Self {
        Self { stream, listeners }
    }

    /// Serves until `stop` is ready: appends `xs.start`, and at the end `xs.stopping`; then lets
    /// requests under way finish within a grace period, ends followers, and closes the stream.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<()> {
        let Self { stream, listeners } = self;
        let exposed: Vec<&str> = listeners.iter().skip(1).map(Listener::name).collect();
        let expose = match exposed.as_slice() {
            [] => json!(null),
            [one] => json!(one),
            many => json!(many),
        };
        stream.append(Frame::topic("xs.start")?.meta(json!({ "expose": expose })), ()).await?;

        let (stopping, stopped) = watch::channel(false);
        let router = app(App { stream: stream.clone(), stopping: stopped });
        let graceful = GracefulShutdown::new();
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut accepting = JoinSet::new();
        let (accepted, mut incoming) = mpsc::channel(1);
        for listener in listeners {
            accepting.spawn(accept(listener, Arc::clone(&connections), accepted.clone()));
        }
        drop(accepted);
        let mut serving = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            let (connection, permit) = tokio::select! {
                () = &mut stop => break,
                Some(accepted) = incoming.recv() => accepted,
                // Those that have ended are taken out as they end.
                Some(_) = serving.join_next() => continue,
            };
            let service = TowerToHyperService::new(router.clone());
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(connection), service);
            let served = graceful.watch(served);
            serving.spawn(async move {
                if let Err(error) = served.await {
                    // A client that goes away in the middle is the usual reason.
                    tracing::debug!(%error, "a connection ended early");
                }
                drop(permit);
            });
        }
        drop(incoming);
        accepting.shutdown().await;
        tracing::info!("stopping");
        let noted = stream.append(Frame::topic("xs.stopping")?, ()).await;
        stopping.send_replace(true);
        if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
            tracing::warn!(
                grace_seconds = GRACE.as_secs(),
                "cutting off requests that take longer than the grace period"
            );
        }
        serving.shutdown().await;
        drop(router);
        stream.close().await?;
        noted.map(drop)
    }
}

/// A connection, and its share of those that are served at a time.
type Accepted = (Box<dyn Connection>, OwnedSemaphorePermit);

/// Accepts until the server stops.
async fn accept(listener: Listener, connections: Arc<Semaphore>, accepted: mpsc::Sender<Accepted>) {
    tracing::info!(address = listener.name(), "listening");
    while let Ok(permit) = Arc::clone(&connections).acquire_owned().await {
        match listener.accept().await {
            Ok(connection) => {
                if accepted.send((connection, permit)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, address = listener.name(), "accepting a connection failed");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}
