//! The conformance suite on the journal alone, and on its pair with the reference content store.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::sync::Arc;

use xs_backend_journal::{JournalEngine, JournalFactory};
use xs_conformance::{CasSubject, StoreSubject, Suite, make_newer};
use xs_core::Create;

fn main() {
    let journal = StoreSubject::new("journal", Arc::new(JournalFactory)).make_newer(newer);
    let mut suite = Suite::new();
    suite.store(journal.clone());
    suite.pair(journal, CasSubject::memory());
    suite.run()
}

/// Leaves the store at `place` as a newer xs would, and gives the version of that format.
fn newer(place: &Path) -> u32 {
    make_newer(&JournalEngine::open(place, Create::Never).unwrap())
}
