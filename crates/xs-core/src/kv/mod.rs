//! An ordered key-value engine becomes a [`Store`](crate::Store).
//!
//! An engine such as fjall or redb implements [`KvEngine`] and [`KvSnapshot`]: apply a batch
//! atomically, take a snapshot, get, range in both directions. [`KvStore`] does the rest. The
//! [key layout](keys), the [frame codec](codec) and the [plan of a scan](plan) are plain functions,
//! apart from the blocking driver, so that an asynchronous engine can use them too.

pub mod codec;
mod durable;
pub mod keys;
pub mod plan;
mod store;

use std::fmt;
use std::ops::ControlFlow;

pub use durable::{Note, Noted};
pub use store::{KvStore, check_format};

use crate::store::no_compaction;
use crate::{Capabilities, Committed, Direction, Durability, Result};

/// The version of keys and codec that this build writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// A key space of its own order. An engine without such puts [`tag`](Self::tag) before the key.
///
/// Frames are apart from the index because they arrive in key order: a log-structured engine never
/// has to merge them with anything, and would rewrite them again and again beside keys that arrive
/// in no order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    /// Frame records by id.
    Frames,
    /// Everything else.
    Index,
}

impl Space {
    /// A byte that tells the spaces apart, for an engine with a single one.
    pub const fn tag(self) -> u8 {
        match self {
            Self::Frames => b'F',
            Self::Index => b'I',
        }
    }
}

/// One change of a [`KvBatch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KvOp {
    /// Sets a key.
    Put {
        /// Where.
        space: Space,
        /// At most 300 bytes.
        key: Vec<u8>,
        /// At most a frame record: little over a mebibyte.
        value: Vec<u8>,
    },
    /// Removes a key; one that is not there is ignored.
    Delete {
        /// Where.
        space: Space,
        /// Which.
        key: Vec<u8>,
    },
}

/// Changes that are applied whole or not at all, in order.
#[derive(Clone, Debug)]
pub struct KvBatch {
    /// The changes.
    pub ops: Vec<KvOp>,
    /// How far they have come when `apply` returns.
    pub durability: Durability,
    /// The number of this commit, one more than that of the one before.
    pub sequence: u64,
}

/// An ordered, blocking key-value engine. All its calls are made on threads that may block.
pub trait KvEngine: Send + Sync + fmt::Debug + 'static {
    /// A consistent view that later commits do not change.
    type Snapshot: KvSnapshot;

    /// The scheme under which it is registered.
    fn name(&self) -> &str;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Applies a batch, whole or not at all. When it fails, no snapshot ever shows any of it, and
    /// the engine refuses every later batch until it is opened again: after a failed sync nobody
    /// knows what is on the disk. Calls do not overlap. The first batch ever has sequence 0. What the
    /// commit tells of its sync ([`Committed::timed`]) is for whoever watches the store.
    ///
    /// An error reaches the caller as `Unavailable`, whatever its kind, unless it is `Closed` or
    /// `Internal`: only what was refused before a write can promise that nothing changed.
    fn apply(&self, batch: KvBatch) -> Result<Committed>;

    /// A view of all that was applied so far.
    fn snapshot(&self) -> Result<Self::Snapshot>;

    /// The greatest [`KvBatch::sequence`] that is known, from outside the engine's own files, to
    /// have been made durable. An engine that repairs itself by cutting off what it cannot read
    /// keeps such a note, so that the cut does not go unnoticed; `None` where that cannot happen.
    fn durable_sequence(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    /// As [`Store::compact`](crate::Store::compact), with no snapshot alive.
    fn compact(&mut self) -> Result<()> {
        Err(no_compaction(self.name()))
    }

    /// Makes everything durable, before the engine is dropped.
    fn sync(&self) -> Result<()>;
}

/// What a range visits: a key, its value, and whether to go on.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>> + 'a;

/// A consistent view of a [`KvEngine`], held for one call only.
pub trait KvSnapshot {
    /// Bytes of the engine.
    type Value: AsRef<[u8]>;

    /// The value of a key.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Self::Value>>;

    /// Visits the keys from `first` to `last`, both included, from the end that `direction` says,
    /// until told to stop. `first` may be empty, and lies after `last` where the range is empty. An
    /// error of the visitor ends it, and is returned as it is. Its cost follows from what it visits, not from what lies in the range.
    fn range(&self, space: Space, first: &[u8], last: &[u8], direction: Direction, visit: &mut Visit<'_>)
    -> Result<()>;
}
