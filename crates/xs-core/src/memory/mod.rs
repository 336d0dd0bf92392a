//! The reference implementations of the traits, in memory: the model in tests, and the pages to
//! read first when writing a backend.

mod cas;
mod place;
mod store;

pub use cas::{MemoryCas, MemoryCasFactory};
pub use store::{MemoryStore, MemoryStoreFactory};
