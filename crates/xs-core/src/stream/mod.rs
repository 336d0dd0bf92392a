//! The engine: one [`Store`](crate::Store) and one [`Cas`](crate::Cas) as an event stream.

mod append;
mod follow;
pub mod limits;
mod open;
mod queue;
mod reader;
mod retention;
mod stats;
mod window;
mod writer;

pub use append::{AppendOptions, BatchOptions, Expect};
pub use follow::{PULSE_TOPIC, THRESHOLD_TOPIC};
pub use open::{EventStream, Parts, Settings};
pub use reader::{Follow, ReadOptions, Reader};
pub use stats::{Histogram, Stats};
