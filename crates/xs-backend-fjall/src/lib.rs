//! The fjall index of xs: a log-structured merge tree in a directory.
//!
//! ```
//! use xs_backend_fjall::FjallFactory;
//! use xs_core::{Create, Location, StoreFactory};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dir = tempfile::tempdir()?;
//! let location = Location::new("fjall", dir.path().join("index"));
//! let store = FjallFactory::default().open(&location, Create::IfMissing).await?;
//! assert_eq!(store.name(), "fjall");
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
mod journal;
mod tables;

pub use engine::{FjallEngine, FjallSnapshot};
pub use factory::{FjallFactory, FjallSettings};
