//! The async client of the HTTP API of xs: over a Unix socket, TCP, or TLS.
//!
//! * [`Client`] has a method for every route; errors have the kinds that the same call has in process.
//! * [`Endpoint`] says where the server is, and is written as on the command line. [`ClientOptions`] hold
//!   a token, certificates, and times.
//! * Content streams both ways, whatever its size, and is verified when it comes back.
//! * [`Client::read`] follows a stream: it survives broken connections and restarts of the server without
//!   a gap or a repeat.
//! * [`Client::request`] passes on what comes and goes, as it is.
//!
//! ```
//! use futures::StreamExt as _;
//! use xs_client::{Client, Endpoint};
//! use xs_core::{ByteRange, Frame, ReadOptions};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use xs_server::{Binding, Exposure, Listener, Server};
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("store");
//! # let stream = xs::open(&path).await?;
//! # let listeners = vec![Listener::bind(&Exposure::Socket(path.join("sock")), &Binding::default()).await?];
//! # let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
//! # let server = tokio::spawn(Server::new(stream, listeners).run(async move { drop(stopped.await) }));
//! // The store directory, or :3021, or https://xs:TOKEN@example.com
//! let client = Client::new(Endpoint::path(&path))?;
//! let frame = client.append(Frame::topic("clip.add")?, "hello clipboard").await?;
//! let hash = frame.hash.ok_or("it has content")?;
//! assert_eq!(client.content(hash, ByteRange::FULL).await?.bytes().await?, "hello clipboard");
//!
//! let mut live = client.read(ReadOptions::follow().filter(frame.topic.clone()).limit(1));
//! while let Some(frame) = live.next().await.transpose()? {
//!     println!("{} {}", frame.id, frame.topic);
//! }
//! # assert_eq!(client.last(frame.topic.clone()).await?, Some(frame));
//! # drop(stop);
//! # server.await??;
//! # Ok(())
//! # }
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

mod append;
mod backoff;
mod body;
mod client;
mod connect;
mod content;
mod endpoint;
mod follow;
mod import;
mod limits;
mod link;
mod options;
mod pulses;
mod request;
mod resume;
mod tls;

pub use body::Body;
pub use client::Client;
pub use endpoint::{Address, Endpoint};
pub use follow::FrameStream;
/// The crate whose methods, headers and statuses are in the signatures here.
pub use http;
pub use options::ClientOptions;
pub use request::{Request, Response};
pub use xs_wire::{TopicEntry, Version};
