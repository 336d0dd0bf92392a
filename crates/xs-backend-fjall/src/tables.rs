//! A look at fjall's tables before fjall opens them.
//!
//! On some damaged files the tree below fjall gives up by a panic. Inside fjall that panic meets a
//! lock that it has poisoned, panics again on its way out, and ends the process. Opening each tree
//! alone first meets the same damage where a panic can be caught.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use lsm_tree::{Config, SequenceNumberCounter};
use xs_core::{Error, Result};

use crate::error::damaged;

/// `Corrupt` when a tree in `dir` cannot be opened.
pub(crate) fn check(dir: &Path) -> Result<()> {
    let trees = dir.join("keyspaces");
    let doing = |error| Error::io(format_args!("reading {}", trees.display()), error);
    for entry in fs::read_dir(&trees).map_err(doing)? {
        let tree = entry.map_err(doing)?.path();
        // A keyspace that is being made has no tree yet.
        if !tree.join("current").exists() {
            continue;
        }
        let config = Config::new(&tree, SequenceNumberCounter::default(), SequenceNumberCounter::default());
        match catch_unwind(AssertUnwindSafe(|| config.open().map(drop))) {
            Ok(Ok(())) => {}
            Ok(Err(lsm_tree::Error::Io(error))) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                return Err(doing(error));
            }
            Ok(Err(error)) => return Err(damaged(&tree).with_source(error)),
            Err(_) => return Err(damaged(&tree)),
        }
    }
    Ok(())
}
