//! The suite over every part and pair of this workspace.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod s3;

use std::path::Path;
use std::sync::Arc;

use xs_backend_fjall::{FjallEngine, FjallFactory, FjallSettings};
use xs_backend_redb::{RedbEngine, RedbFactory, RedbSettings};
use xs_backend_sqlite::{SqliteFactory, schema};
use xs_cas_fs::FsCasFactory;
use xs_cas_object::ObjectCasFactory;
use xs_conformance::{CasSubject, StoreSubject, Suite, make_newer};
use xs_core::Create;

fn main() {
    let stores = [
        StoreSubject::memory(),
        StoreSubject::new("fjall", Arc::new(FjallFactory::default())).make_newer(newer_fjall),
        StoreSubject::new("redb", Arc::new(RedbFactory::default())).make_newer(newer_redb),
        StoreSubject::new("sqlite", Arc::new(SqliteFactory::default())).make_newer(newer_sqlite),
    ];
    let mut suite = Suite::new();
    let (s3, _server) = s3::subject(&mut suite);
    let contents = [CasSubject::memory(), CasSubject::new("fs", Arc::new(FsCasFactory)), s3];
    for store in &stores {
        suite.store(store.clone());
        contents.iter().for_each(|cas| suite.pair(store.clone(), cas.clone()));
    }
    contents.into_iter().for_each(|cas| suite.cas(cas));
    // The other kinds of object storage that can be had here.
    suite.cas(CasSubject::new("object-memory", Arc::new(s3::Local(ObjectCasFactory::memory()))));
    suite.cas(CasSubject::new("object-file", Arc::new(s3::Local(ObjectCasFactory::file()))));
    // So little memory that what is stored is soon in tables, and journals are sealed.
    let small = FjallFactory::new(FjallSettings::default().memtable_bytes(16 * 1024));
    suite.store(StoreSubject::new("fjall-tables", Arc::new(small)).make_newer(newer_fjall));
    suite.run()
}

fn newer_fjall(place: &Path) -> u32 {
    make_newer(&FjallEngine::open(place, Create::Never, FjallSettings::default()).unwrap())
}

fn newer_redb(place: &Path) -> u32 {
    make_newer(&RedbEngine::open(place, Create::Never, RedbSettings::default()).unwrap())
}

fn newer_sqlite(place: &Path) -> u32 {
    let newer = schema::FORMAT + 41;
    let database = rusqlite::Connection::open(place.join("store.db")).unwrap();
    database.pragma_update(None, "user_version", newer).unwrap();
    newer
}
