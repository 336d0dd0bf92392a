//! The one edge where errors of redb become errors of xs.

use std::path::Path;

use xs_core::{Error, ErrorKind};

/// The error of `doing` something to the index at `path`, its cause kept.
pub(crate) fn convert(doing: &str, path: &Path, error: impl Into<redb::Error>) -> Error {
    use redb::Error as Redb;
    let error = error.into();
    let doing = format!("{doing} the redb index {}", path.display());
    let (kind, what) = match &error {
        Redb::Io(cause) => match cause.kind() {
            // A file that ends early is damage.
            std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::InvalidData => {
                (ErrorKind::Corrupt, format!("its bytes are damaged ({cause})"))
            }
            _ => (ErrorKind::Unavailable, cause.to_string()),
        },
        Redb::PreviousIo => (ErrorKind::Unavailable, "an earlier write failed; open it again".to_owned()),
        Redb::DatabaseAlreadyOpen => (ErrorKind::Locked, "another owner has it open".to_owned()),
        Redb::DatabaseClosed => (ErrorKind::Closed, "it is closed".to_owned()),
        Redb::UpgradeRequired(version) => {
            (ErrorKind::Unsupported, format!("its file has redb's version {version}; this build reads version 3"))
        }
        Redb::Corrupted(_) | Redb::RepairAborted | Redb::TableTypeMismatch { .. } | Redb::TableDoesNotExist(_) => {
            (ErrorKind::Corrupt, format!("its bytes are damaged ({error})"))
        }
        _ => (ErrorKind::Internal, error.to_string()),
    };
    Error::new(kind, format!("{doing}: {what}")).with_source(error)
}

/// The error of bytes over which redb gave up by a panic.
pub(crate) fn damaged(path: &Path) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the redb index {} is damaged", path.display()))
}
