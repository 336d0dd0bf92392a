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
use xs_conformance::{CasSubject, StoreSubject, Suite, Transport, make_newer};
use xs_core::Create;

fn main() {
    let stores = [
        StoreSubject::memory(),
        StoreSubject::new("fjall", Arc::new(FjallFactory::default())).make_newer(newer_fjall),
        StoreSubject::new("redb", Arc::new(RedbFactory::default())).make_newer(newer_redb),
        StoreSubject::new("sqlite", Arc::new(SqliteFactory::default())).make_newer(newer_sqlite),
    ];
    let mut suite = Suite::new();
    let named = s3::is_named();
    let (s3, _server) = s3::subject(&mut suite);
    if named {
        // On a server of its own, only what has to do with it.
        stores.iter().for_each(|store| suite.pair(store.clone(), s3.clone()));
        suite.cas(s3);
        match std::env::var("XS_TEST_S3_SERVER") {
            Ok(name) => {
                suite.run_with_results(Path::new(RESULTS), "server", &format!("## On {name}\n\n{}", versions(&name)))
            }
            Err(_) => suite.run(),
        }
    }
    let contents = [CasSubject::memory(), CasSubject::new("fs", Arc::new(FsCasFactory)), s3];
    for store in &stores {
        suite.store(store.clone());
        contents.iter().for_each(|cas| suite.pair(store.clone(), cas.clone()));
    }
    // Through a server and a client, what the lightest pair does, and the one that most people have.
    let ([memory, fjall, ..], [in_memory, fs, _]) = (&stores, &contents);
    for (store, cas) in [(memory, in_memory), (fjall, fs)] {
        let remote = Transport::ALL.iter().filter(|transport| **transport != Transport::InProcess);
        remote.for_each(|transport| suite.pair_over(store.clone(), cas.clone(), *transport));
    }
    contents.into_iter().for_each(|cas| suite.cas(cas));
    // The other kinds of object storage that can be had here.
    suite.cas(CasSubject::new("object-memory", Arc::new(s3::Local(ObjectCasFactory::memory()))));
    suite.cas(CasSubject::new("object-file", Arc::new(s3::Local(ObjectCasFactory::file()))));
    // So little memory that what is stored is soon in tables, and journals are sealed.
    let small = FjallFactory::new(FjallSettings::default().memtable_bytes(16 * 1024));
    suite.store(StoreSubject::new("fjall-tables", Arc::new(small)).make_newer(newer_fjall));
    let s3s = format!("s3s-fs {}", version("s3s-fs"));
    suite.run_with_results(Path::new(RESULTS), "pairs", &format!("## Every pair\n\n{}", versions(&s3s)))
}

const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/RESULTS.md");

/// What was tested.
fn versions(s3: &str) -> String {
    format!(
        "fjall {}, redb {}, SQLite {}; S3 is {s3}, through object_store {}.",
        version("fjall"),
        version("redb"),
        rusqlite::version(),
        version("object_store"),
    )
}

/// The version of a crate that this was built with.
fn version(name: &str) -> &'static str {
    let lock = include_str!("../../../Cargo.lock");
    let found = lock.split("[[package]]").find_map(|package| {
        let mut lines = package.lines().filter(|line| !line.is_empty());
        let of = lines.next()?.strip_prefix("name = \"")?.strip_suffix('"')?;
        (of == name).then(|| lines.next()?.strip_prefix("version = \"")?.strip_suffix('"')).flatten()
    });
    found.unwrap_or("unknown")
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
