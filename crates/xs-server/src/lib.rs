//! The HTTP server of xs: the routes over one [`EventStream`](xs::EventStream), as a router that an
//! application mounts, and the listeners that the command line puts in front of it.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! use std::time::Duration;
//! use xs_server::{Exposure, Listener, Server};
//!
//! let path = dir.path().join("store");
//! let stream = xs::open(&path).await?;
//! let listeners = vec![Listener::bind(&Exposure::Socket(path.join("sock"))).await?];
//! let stop = tokio::time::sleep(Duration::from_millis(1)); // for example, a signal
//! Server::new(stream, listeners).run(stop).await?;
//! # Ok(())
//! # }
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

mod error;
mod limits;
mod listen;
mod routes;
mod serve;
mod wire;

pub use limits::{BODY_FRAMES_BYTES_MAX, CONNECTIONS_MAX, HEADER_TIMEOUT, IMPORT_FRAMES_MAX};
pub use listen::{Exposure, Listener};
pub use routes::router;
pub use serve::Server;
pub use wire::{frame_json, timestamp};
