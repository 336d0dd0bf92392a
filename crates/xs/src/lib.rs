//! An embeddable, local-first event stream store.
//!
//! One append-only stream of [frames](Frame), durable on disk, content kept apart by its hash, live
//! readers that lose nothing. The index and the content store are chosen by feature at build time
//! and by name at run time.
//!
//! ```
//! use futures::StreamExt;
//! use serde_json::json;
//! use xs::{Frame, ReadOptions};
//!
//! # #[tokio::main]
//! # async fn main() -> xs::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("clipboard-store");
//! # /*
//! let path = "./clipboard-store";
//! # */
//! let stream = xs::open(&path).await?;
//! let clip = Frame::topic("clip.add")?.meta(json!({"source": "keyboard"}));
//! let frame = stream.append(clip, "hello clipboard").await?;
//! let mut live = stream.read(ReadOptions::follow().limit(1));
//! while let Some(frame) = live.next().await.transpose()? {
//!     println!("{} {}", frame.id, frame.topic);
//! }
//! # assert_eq!(stream.last(frame.topic.clone()).await?, Some(frame));
//! stream.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Programs without a runtime use [`blocking`]. Programs with parts of their own register a factory
//! ([`OpenOptions::registry`]) or call [`EventStream::open`].
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

pub mod blocking;
mod copy;
mod manifest;
mod open;
mod parts;

pub use copy::{Progress, copy};
pub use open::{OpenOptions, open};
pub use parts::registry;
pub use xs_core::*;

#[cfg(feature = "fjall")]
pub use xs_backend_fjall as backend_fjall;
#[cfg(feature = "redb")]
pub use xs_backend_redb as backend_redb;
#[cfg(feature = "sqlite")]
pub use xs_backend_sqlite as backend_sqlite;
#[cfg(feature = "cas-fs")]
pub use xs_cas_fs as cas_fs;
#[cfg(feature = "cas-object")]
pub use xs_cas_object as cas_object;
