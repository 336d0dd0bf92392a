//! The redb index of xs: copy-on-write B-trees in one file.
//!
//! ```text
//! <dir>/owner.lock   held while the index is open
//! <dir>/index.redb   the database: a table for each key space
//! <dir>/durable      how far it is known to be durable
//! ```
//!
//! ```
//! use xs_backend_redb::RedbFactory;
//! use xs_core::{Create, Location, StoreFactory};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dir = tempfile::tempdir()?;
//! let location = Location::new("redb", dir.path().join("index"));
//! let store = RedbFactory::default().open(&location, Create::IfMissing).await?;
//! assert_eq!(store.name(), "redb");
//! assert!(store.capabilities().compact);
//! store.compact().await?;
//! store.close().await?;
//! # Ok(())
//! # }
//! ```
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)
)]

mod engine;
mod error;
mod factory;
mod rehearsal;
mod timed;

pub use engine::{RedbEngine, RedbSnapshot};
pub use factory::{RedbFactory, RedbSettings};
