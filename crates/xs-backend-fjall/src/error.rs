//! The one edge where errors of fjall become errors of xs.

use std::path::Path;

use xs_core::{Error, ErrorKind};

/// What is done to an index that may not be one.
pub(crate) const OPENING: &str = "opening";

/// The error of `doing` something to the index in `dir`, its cause kept.
pub(crate) fn convert(doing: &str, dir: &Path, error: fjall::Error) -> Error {
    use fjall::Error as Fjall;
    let opening = doing == OPENING;
    let doing = format!("{doing} the fjall index in {}", dir.display());
    let (kind, what) = match &error {
        Fjall::Io(_) | Fjall::Storage(fjall::LsmError::Io(_)) => return io(&doing, opening, error),
        Fjall::Locked => (ErrorKind::Locked, "another owner has it open".to_owned()),
        Fjall::Poisoned => (ErrorKind::Closed, "an earlier write failed; open it again".to_owned()),
        Fjall::InvalidVersion(Some(version)) => {
            (ErrorKind::Unsupported, format!("its files have fjall's version {version}; this build reads version 3"))
        }
        Fjall::InvalidVersion(None) => (ErrorKind::Corrupt, "its version file is no such file of fjall 3".to_owned()),
        Fjall::Storage(_)
        | Fjall::JournalRecovery(_)
        | Fjall::Decompress(_)
        | Fjall::InvalidTrailer
        | Fjall::InvalidTag(_)
        | Fjall::Unrecoverable => (ErrorKind::Corrupt, format!("its bytes are damaged ({error})")),
        _ => (ErrorKind::Internal, error.to_string()),
    };
    Error::new(kind, format!("{doing}: {what}")).with_source(error)
}

/// The kind follows from the system's error; the source stays fjall's.
fn io(doing: &str, opening: bool, error: fjall::Error) -> Error {
    let cause = match &error {
        fjall::Error::Io(cause) | fjall::Error::Storage(fjall::LsmError::Io(cause)) => cause,
        _ => return Error::new(ErrorKind::Internal, doing).with_source(error),
    };
    let kind = match cause.kind() {
        // A file that ends early, or that its own index does not find, is damage, not absence.
        std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::InvalidData | std::io::ErrorKind::NotFound => {
            ErrorKind::Corrupt
        }
        // The place may be the wrong one to open; once open, no input of a caller is at fault.
        kind if opening => Error::io(doing, kind.into()).kind(),
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, format!("{doing}: {cause}")).with_source(error)
}

/// The error of tables in `dir` over which the tree below fjall gave up.
pub(crate) fn damaged(dir: &Path) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the tables of the fjall index in {} are damaged", dir.display()))
}
