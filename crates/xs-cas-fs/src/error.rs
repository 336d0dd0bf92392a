//! The one edge where errors of the filesystem become errors of xs.

use std::io;
use std::path::Path;

use xs_core::{ContentHash, Error, ErrorKind};

/// The error of `doing` something to `path` while the store is opened: the place may be the wrong one.
pub(crate) fn opening(doing: &str, path: &Path, error: io::Error) -> Error {
    Error::io(format_args!("{doing} {}", path.display()), error)
}

/// The error of `doing` something to `path` while the store is in use: whatever the system says, no
/// input of a caller is at fault.
pub(crate) fn convert(doing: &str, path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{doing} {}: {error}", path.display())).with_source(error)
}

/// The error of reading content that is not there.
pub(crate) fn missing(hash: ContentHash) -> Error {
    Error::new(ErrorKind::NotFound, format!("content {hash} is not in this store"))
}

pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the content store is closed; open it again")
}
