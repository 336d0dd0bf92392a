//! The core of xs: the model, the traits that storage implements, and the engine that turns one
//! index of frames and one content store into an event stream.
//!
//! * [`Frame`], [`Topic`], [`Pattern`], [`Filter`], [`Ttl`], [`ContentHash`], [`Meta`]: the model.
//!   Each is parsed once, at the edge, and is right from then on.
//! * [`Store`] and [`Cas`]: what a backend implements. [`kv`] derives a `Store` from an ordered
//!   key-value engine. [`memory`] holds the reference implementations.
//! * [`EventStream`]: what a program holds.
//!
//! No database, network or HTTP crate is in this crate's dependency tree.
//!
//! ```
//! use std::sync::Arc;
//! use xs_core::{EventStream, Frame, ReadOptions, Settings, memory::{MemoryCas, MemoryStore}};
//! use futures::TryStreamExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> xs_core::Result<()> {
//! let store = Arc::new(MemoryStore::new());
//! let cas = Arc::new(MemoryCas::new());
//! let stream = EventStream::open(store, cas, Settings::default()).await?;
//! let frame = stream.append(Frame::topic("clip.add")?, "hello clipboard").await?;
//! let all: Vec<Frame> = stream.read(ReadOptions::default()).try_collect().await?;
//! assert_eq!(all, [frame]);
//! stream.close().await?;
//! # Ok(())
//! # }
//! ```
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation
    )
)]

pub mod blocking;
mod cas;
mod clock;
pub mod dirs;
mod error;
mod factory;
mod frame;
mod hash;
mod id;
pub mod kv;
mod lock;
pub mod memory;
mod meta;
mod store;
mod stream;
mod topic;
mod ttl;

pub use cas::{ByteRange, Cas, CasWriter, Content, ContentInfo, ContentPage, ContentReader, Verifier};
pub use clock::{Clock, IdSource, ManualClock, RandomIds, SystemClock};
pub use error::{Error, ErrorKind, ExpectFailed, Result};
pub use factory::{CasFactory, Create, Location, Registry, StoreFactory};
pub use frame::{Frame, NewFrame};
pub use hash::{ContentHash, ContentHasher};
pub use id::FrameId;
pub use lock::OwnerLock;
pub use meta::{META_BYTES_MAX, Meta};
pub use store::{
    Batch, Capabilities, Committed, Direction, Durability, IdRange, PageBuilder, Scan, ScanPage, Store, TopicPage,
    TopicTail,
};
pub use stream::{
    AppendOptions, BatchOptions, EventStream, Expect, Follow, Histogram, PULSE_TOPIC, Parts, ReadOptions, Reader,
    Settings, Stats, THRESHOLD_TOPIC, limits,
};
pub use topic::{Filter, Pattern, TOPIC_BYTES_MAX, Topic};
pub use ttl::Ttl;
