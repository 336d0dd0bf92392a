//! The conformance suite of xs: what every index, every content store and every pair of them has
//! to do, as named cases over the traits.
//!
//! A case is numbered like the guarantee that it holds: `S…` for [`Store`](xs_core::Store), `C…`
//! for [`Cas`](xs_core::Cas), `E…` for [`EventStream`](xs_core::EventStream). Each case and subject
//! is a test of its own:
//!
//! ```no_run
//! use std::sync::Arc;
//! use xs_conformance::{CasSubject, StoreSubject, Suite};
//! use xs_core::memory::MemoryStoreFactory;
//!
//! let mine = StoreSubject::new("mine", Arc::new(MemoryStoreFactory::new()));
//! let mut suite = Suite::new();
//! suite.store(mine.clone());
//! suite.pair(mine, CasSubject::memory());
//! suite.run();
//! ```
//!
//! Subjects have different names: a case that needs a process of its own, to kill it or to watch its
//! syncs, starts the test binary again, and finds its subject by name. The syncs are watched on Linux
//! only, by a library that is compiled with `cc`; elsewhere these cases pass without having looked.
//!
//! The cases of a pair call its stream. With the feature `transports` they can reach it through a server
//! and a client, too, over a Unix socket or over TCP with TLS: [`Suite::pair_over`]. That is for this
//! workspace; a backend makes no difference to it.
//!
//! Time and ids are injected: no case sleeps to see time pass, none depends on how fast the machine
//! is. A case fails by a panic, which the harness reports under its name.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    non_snake_case,
    reason = "a case fails by a panic, and starts with the number of its guarantee"
)]

mod cas;
mod child;
mod crash;
mod damage;
mod fault;
mod memory;
mod model;
#[cfg(feature = "transports")]
mod remote;
mod results;
mod store;
mod stream;
mod subject;
mod suite;
mod syncs;
mod tools;
mod transport;

pub use fault::{Gate, GatedStore};
pub use subject::{Behind, CasSubject, MakeNewer, StoreSubject, make_newer};
pub use suite::Suite;
pub use transport::Transport;
