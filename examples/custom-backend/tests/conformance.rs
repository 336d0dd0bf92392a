//! The conformance suite on the journal alone, and on its pair with the reference content store.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::sync::Arc;

use xs_backend_journal::{JournalEngine, JournalFactory};
use xs_conformance::{CasSubject, StoreSubject, Suite};
use xs_core::kv::{FORMAT, KvBatch, KvEngine, KvOp, Space, keys};
use xs_core::{Create, Durability};

fn main() {
    let journal = StoreSubject::new("journal", Arc::new(JournalFactory)).make_newer(newer);
    let mut suite = Suite::new();
    suite.store(journal.clone());
    suite.pair(journal, CasSubject::memory());
    suite.run()
}

/// Leaves the store at `place` as a newer xs would, and gives the version of that format.
fn newer(place: &Path) -> u32 {
    let newer = FORMAT + 1;
    let put = KvOp::Put { space: Space::Index, key: keys::FORMAT_KEY.to_vec(), value: newer.to_be_bytes().to_vec() };
    let journal = JournalEngine::open(place, Create::Never).unwrap();
    journal.apply(KvBatch { ops: vec![put], durability: Durability::Sync, sequence: 0 }).unwrap();
    newer
}
