//! The HTTP server of xs: the routes over one [`EventStream`](xs::EventStream), as a router that an
//! application mounts, and the listeners that the command line puts in front of it, with who may come in and
//! how much of the server each may have.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! use std::time::Duration;
//! use xs_server::{Access, Binding, Exposure, Limits, Listener, Server};
//!
//! let path = dir.path().join("store");
//! # std::fs::write(dir.path().join("tokens"), "2f0c6a7e5b8d41c39a")?;
//! let stream = xs::open(&path).await?;
//! // A clone of it reloads the tokens while the server runs; Tls does so with the certificate.
//! let access = Access::from_file(dir.path().join("tokens"))?;
//! let binding = Binding { tokens: true, ..Binding::default() };
//! let listeners = vec![
//!     Listener::bind(&Exposure::Socket(path.join("sock")), &binding).await?,
//!     Listener::bind(&"127.0.0.1:0".parse()?, &binding).await?,
//! ];
//! let stop = tokio::time::sleep(Duration::from_millis(1)); // for example, a signal
//! Server::new(stream, listeners).limits(Limits::default()).access(access).run(stop).await?;
//! # Ok(())
//! # }
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

mod access;
mod answering;
mod clients;
mod connection;
mod console;
mod counts;
mod encode;
mod error;
mod exposition;
mod files;
mod gone;
mod guard;
mod head;
mod held;
mod limits;
mod listen;
mod metrics;
mod openapi;
mod origin;
mod room;
mod routes;
mod serve;
mod tls;
mod trace;
mod watched;
mod writes;

pub use access::Access;
pub use limits::{BODY_FRAMES_BYTES_MAX, CONNECTIONS_LEAST, IMPORT_FRAMES_MAX, Limits, raise_open_files};
pub use listen::{Binding, Exposure, Listener};
pub use routes::router;
pub use serve::Server;
pub use tls::Tls;
