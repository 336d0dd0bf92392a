//! The journal index of xs: an append-only log, and all that it says in memory.
//!
//! An example of a backend outside of xs, written against its public interface alone. It is not for
//! large stores: memory holds every record, and the log only grows.

mod engine;
mod factory;

pub use engine::{JournalEngine, JournalSnapshot};
pub use factory::JournalFactory;
