//! A server in the process of a case, on its one thread, and a client of it.
//!
//! The server's stream is the one that the case has made, with its clock, its ids and its gates. What is
//! measured in real time, such as how long a client may be silent, is set so long that a slow machine
//! makes no difference: what hangs is ended by the suite's own limit.

use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::StreamExt as _;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use xs_client::{Client, ClientOptions, Endpoint};
use xs_core::{
    ByteRange, Content, ContentHash, ContentInfo, ContentReader, EventStream, Expect, Filter, Frame, FrameId, NewFrame,
    ReadOptions, Result, Topic, TopicPage, TopicTail,
};
use xs_server::{Binding, Exposure, Limits, Listener, Server, Tls};

use crate::transport::{Reader, Transport, Via};

/// Longer than any case takes.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

/// A client of a server.
#[derive(Debug)]
pub(crate) struct Remote {
    client: Client,
    serving: Mutex<Option<Serving>>,
}

/// A server that is running.
#[derive(Debug)]
struct Serving {
    /// It stops when this is dropped.
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<()>>,
}

impl Remote {
    /// Serves `stream`, with what that needs in `dir`.
    pub(crate) async fn start(stream: EventStream, transport: Transport, dir: &Path) -> Self {
        // The cases of a suite run side by side, each with connections of its own.
        static FILES: LazyLock<u64> = LazyLock::new(xs_server::raise_open_files);
        LazyLock::force(&FILES);
        std::fs::create_dir_all(dir).unwrap();
        let options = ClientOptions::default().connect_timeout(LONG).response_timeout(LONG).heartbeat(LONG);
        let (listener, client) = match transport {
            Transport::InProcess => panic!("nothing is served in process"),
            #[cfg(unix)]
            Transport::Unix => {
                let socket = dir.join(unused_name());
                let exposure = Exposure::Socket(socket.clone());
                let listener = Listener::bind(&exposure, &Binding::default()).await.unwrap();
                (listener, Client::with_options(Endpoint::path(&socket), options))
            }
            Transport::Tls => {
                let (certificate, key) = certificate(dir);
                let binding = Binding { tls: Some(Tls::from_files(&certificate, &key).unwrap()), ..Binding::default() };
                let exposure = Exposure::Tls("127.0.0.1:0".to_owned());
                let listener = Listener::bind(&exposure, &binding).await.unwrap();
                let endpoint: Endpoint = listener.name().replace("tls://", "https://").parse().unwrap();
                (listener, Client::with_options(endpoint, options.ca_file(certificate)))
            }
        };
        let mut limits = Limits::default();
        (limits.header_timeout, limits.body_timeout, limits.write_timeout, limits.grace) = (LONG, LONG, LONG, LONG);
        // The stream holds what the case appends, and nothing else.
        let server = Server::new(stream, vec![listener]).limits(limits).announce(false);
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Self { client: client.unwrap(), serving: Mutex::new(Some(Serving { stop, ended })) }
    }
}

/// A name that no socket of this process has had: the one before may be on its way out.
#[cfg(unix)]
fn unused_name() -> String {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    format!("sock{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// The files of a certificate for this machine, which is its own authority, and of its key.
fn certificate(dir: &Path) -> (PathBuf, PathBuf) {
    static MADE: LazyLock<(String, String)> = LazyLock::new(|| {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    });
    let (certificate, key) = (dir.join("certificate.pem"), dir.join("key.pem"));
    std::fs::write(&certificate, &MADE.0).unwrap();
    std::fs::write(&key, &MADE.1).unwrap();
    (certificate, key)
}

#[async_trait]
impl Via for Remote {
    async fn append_if(&self, frame: NewFrame, content: Content, expect: Option<Expect>) -> Result<Frame> {
        match expect {
            None => self.client.append(frame, content).await,
            Some(_) => self.client.append_with(frame, content, expect).await,
        }
    }

    async fn append_all_if(&self, frames: Vec<NewFrame>, expect: Vec<(Topic, Expect)>) -> Result<Vec<Frame>> {
        match expect.is_empty() {
            true => self.client.append_all(frames).await,
            false => self.client.append_all_with(frames, expect).await,
        }
    }

    async fn import(&self, frames: Vec<Frame>) -> Result<()> {
        self.client.import(futures::stream::iter(frames).map(Ok)).await.map(drop)
    }

    async fn remove(&self, id: FrameId) -> Result<()> {
        self.client.remove(id).await
    }

    async fn get(&self, id: FrameId) -> Result<Option<Frame>> {
        self.client.get(id).await
    }

    async fn last_of(&self, filter: Filter) -> Result<Option<Frame>> {
        self.client.last(filter).await
    }

    /// The wire names the last frame of a topic. The cases look at it.
    async fn topics(&self, page: TopicPage) -> Result<Vec<TopicTail>> {
        let mut tails = Vec::new();
        for entry in self.client.topics(page).await? {
            let last = self.client.get(entry.last_id).await?.expect("the last frame of a topic");
            tails.push(TopicTail { topic: entry.topic, last });
        }
        Ok(tails)
    }

    async fn store(&self, content: Content) -> Result<Option<ContentHash>> {
        self.client.put(content).await
    }

    async fn content(&self, hash: ContentHash, range: ByteRange) -> Result<ContentReader> {
        self.client.content(hash, range).await
    }

    async fn content_info(&self, hash: ContentHash) -> Result<ContentInfo> {
        self.client.content_info(hash).await
    }

    fn read(&self, options: ReadOptions) -> Reader {
        self.client.read(options).boxed()
    }

    async fn begin(&self, options: ReadOptions) -> Reader {
        let mut frames = self.client.read(options);
        frames.connect().await.unwrap();
        frames.boxed()
    }

    async fn close(&self) -> Result<()> {
        let serving = self.serving.lock().unwrap().take();
        match serving {
            // It closes the stream as it stops.
            Some(Serving { stop, ended }) => {
                drop(stop);
                ended.await.unwrap()
            }
            None => Ok(()),
        }
    }
}
