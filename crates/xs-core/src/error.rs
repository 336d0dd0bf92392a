//! One error for the whole public surface: a kind that says what the caller does about it, a
//! sentence for a person, and the cause.

use std::fmt;

use crate::{FrameId, Topic};

/// `Result` with the error of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What the caller does about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The call is wrong: fix it.
    InvalidInput,
    /// What was asked for is not there.
    NotFound,
    /// Somebody else was first: read again, then retry.
    Conflict,
    /// Another owner has the store open.
    Locked,
    /// This backend or build cannot do it: choose another.
    Unsupported,
    /// It may work later: network, quota, time-out, full disk.
    Unavailable,
    /// Stored bytes are damaged: run verify, restore.
    Corrupt,
    /// The handle is closed: reopen.
    Closed,
    /// A defect in xs or in a backend: report it.
    Internal,
}

impl ErrorKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::InvalidInput,
        Self::NotFound,
        Self::Conflict,
        Self::Locked,
        Self::Unsupported,
        Self::Unavailable,
        Self::Corrupt,
        Self::Closed,
        Self::Internal,
    ];

    /// The name of the kind, as it appears on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidInput => "InvalidInput",
            Self::NotFound => "NotFound",
            Self::Conflict => "Conflict",
            Self::Locked => "Locked",
            Self::Unsupported => "Unsupported",
            Self::Unavailable => "Unavailable",
            Self::Corrupt => "Corrupt",
            Self::Closed => "Closed",
            Self::Internal => "Internal",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The error of every call of xs.
///
/// ```
/// use xs_core::{ErrorKind, Topic};
/// let error = Topic::parse("no spaces").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::InvalidInput);
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Source>,
}

impl Error {
    /// An error of `kind`, with a sentence that names what is wrong.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The same error with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error, its sentence preceded by `context`: what was being done.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    /// What the caller does about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The losing side of a conditional append: which topic, and its actual last id.
    pub fn expect_failed(&self) -> Option<&ExpectFailed> {
        self.source.as_ref()?.downcast_ref()
    }

    /// The same kind and sentence for one more receiver; the cause is kept as text, since causes
    /// cannot be cloned.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let copy = Self::new(self.kind, self.message.clone());
        match (&self.source, self.expect_failed()) {
            (_, Some(failed)) => copy.with_source(failed.clone()),
            (Some(source), None) => copy.with_source(source.to_string()),
            (None, None) => copy,
        }
    }

    /// An I/O error while `doing` something: a full disk or a time-out may pass, a refused
    /// permission needs another call, the rest is a defect of the machine.
    pub fn io(doing: impl fmt::Display, error: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            Io::NotFound => ErrorKind::NotFound,
            Io::PermissionDenied | Io::ReadOnlyFilesystem | Io::NotADirectory | Io::IsADirectory => {
                ErrorKind::InvalidInput
            }
            _ => ErrorKind::Unavailable,
        };
        Self::new(kind, format!("{doing}: {error}")).with_source(error)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    pub(crate) fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    pub(crate) fn closed() -> Self {
        Self::new(ErrorKind::Closed, "the stream is closed; open it again")
    }
}

/// Why a conditional append lost; the source of its `Conflict` error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the last id of topic {topic} is {}", actual.map_or_else(|| "none".to_owned(), |id| id.to_string()))]
pub struct ExpectFailed {
    /// The topic that the append was for.
    pub topic: Topic,
    /// Its last id when the append was refused; `None` where the topic is empty.
    pub actual: Option<FrameId>,
}

impl From<ExpectFailed> for Error {
    fn from(failed: ExpectFailed) -> Self {
        Self::new(ErrorKind::Conflict, failed.to_string()).with_source(failed)
    }
}
