//! The suite over every part and pair of this workspace.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::sync::Arc;

use xs_backend_fjall::{FjallEngine, FjallFactory, FjallSettings};
use xs_cas_fs::FsCasFactory;
use xs_conformance::{CasSubject, StoreSubject, Suite};
use xs_core::kv::{FORMAT, KvBatch, KvEngine, KvOp, Space, keys};
use xs_core::memory::{MemoryCasFactory, MemoryStoreFactory};
use xs_core::{Create, Durability};

fn main() {
    let mut suite = Suite::new();
    suite.store(StoreSubject::new("memory", Arc::new(MemoryStoreFactory::new())));
    suite.store(StoreSubject::new("fjall", Arc::new(FjallFactory::default())).make_newer(newer_fjall));
    // So little memory that what is stored is soon in tables, and journals are sealed.
    let small = FjallFactory::new(FjallSettings::default().memtable_bytes(16 * 1024));
    suite.store(StoreSubject::new("fjall-tables", Arc::new(small)).make_newer(newer_fjall));
    suite.cas(CasSubject::new("memory", Arc::new(MemoryCasFactory::new())));
    suite.cas(CasSubject::new("fs", Arc::new(FsCasFactory)));
    for store in ["memory", "fjall"] {
        for cas in ["memory", "fs"] {
            suite.pair(store, cas);
        }
    }
    suite.run()
}

fn newer_fjall(place: &Path) -> u32 {
    let engine = FjallEngine::open(place, Create::Never, FjallSettings::default()).unwrap();
    let newer = FORMAT + 41;
    let value = newer.to_be_bytes().to_vec();
    let put = KvOp::Put { space: Space::Index, key: keys::FORMAT_KEY.to_vec(), value };
    engine.apply(KvBatch { ops: vec![put], durability: Durability::Sync, sequence: 0 }).unwrap();
    newer
}
