//! The one edge where errors of SQLite become errors of xs.

use rusqlite::ffi::{self, ErrorCode};
use xs_core::{Error, ErrorKind};

use crate::connection::Place;

/// The error of `doing` something to the database at `place`, its cause kept. While it is being
/// opened the place may be the wrong one; later, no input of a caller is at fault.
pub(crate) fn convert(doing: &str, opening: bool, place: &Place, error: rusqlite::Error) -> Error {
    let refused = if opening { ErrorKind::InvalidInput } else { ErrorKind::Unavailable };
    let (kind, what) = match &error {
        rusqlite::Error::SqliteFailure(failure, text) => {
            let text = text.clone().unwrap_or_else(|| failure.to_string());
            match (failure.code, failure.extended_code) {
                (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) | (_, ffi::SQLITE_IOERR_SHORT_READ) => {
                    (ErrorKind::Corrupt, format!("its bytes are damaged ({text})"))
                }
                (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => {
                    (ErrorKind::Locked, "another program is writing to it".to_owned())
                }
                (ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied, _) => {
                    (refused, format!("it cannot be written ({text})"))
                }
                (ErrorCode::DiskFull | ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory, _) => {
                    (ErrorKind::Unavailable, text)
                }
                // The schema was compared with what the statements expect.
                (ErrorCode::Unknown, _) if opening => {
                    (ErrorKind::Corrupt, format!("its tables are not those of an index ({text})"))
                }
                _ => (ErrorKind::Internal, text),
            }
        }
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::Utf8Error(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::QueryReturnedNoRows => (ErrorKind::Corrupt, format!("its bytes are damaged ({error})")),
        _ => (ErrorKind::Internal, error.to_string()),
    };
    Error::new(kind, format!("{doing} {place}: {what}")).with_source(error)
}

/// The error of bytes that cannot be what was stored.
pub(crate) fn damaged(place: &Place, what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("{place} is damaged: {what}"))
}
