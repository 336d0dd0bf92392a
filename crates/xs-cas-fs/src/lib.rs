//! Content as files in a directory.
//!
//! ```text
//! <dir>/owner.lock         held while the store is open
//! <dir>/tmp/<random>       content on its way in; cleared on open
//! <dir>/00 … ff/           256 shards, by the first byte of the digest
//! <dir>/ab/<62 digits>     content: its bytes and nothing else, named by the rest of its digest
//! ```
//!
//! Content is written to a temporary file, hashed on the way, synced, renamed to its name, and the
//! directory synced, before its hash is returned (C1). The shards are made, and synced, when the
//! store is made, so that a new file needs only its own directory synced. Storing content again
//! replaces the file: a damaged one is healed by whoever stores the same bytes.
//!
//! ```
//! use xs_cas_fs::FsCasFactory;
//! use xs_core::{ByteRange, CasFactory, Create, Location};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dir = tempfile::tempdir()?;
//! let location = Location::new("fs", dir.path().join("cas"));
//! let cas = FsCasFactory.open(&location, Create::IfMissing).await?;
//! let mut writer = cas.writer().await?;
//! writer.write("hello".into()).await?;
//! let hash = writer.finish().await?;
//! assert_eq!(cas.reader(hash, ByteRange::FULL).await?.bytes().await?, "hello");
//! cas.close().await?;
//! # Ok(())
//! # }
//! ```
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)
)]

mod cas;
mod error;
mod factory;
mod layout;
mod reader;
mod writer;

pub use cas::FsCas;
pub use factory::FsCasFactory;
