//! Who may read, and who may write.

mod admission;
mod credentials;
mod tokens;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tokio::sync::watch;
use xs::{Error, ErrorKind, Result};

use crate::error::ApiError;
use crate::files;
use tokens::{Rights, Tokens};

pub(crate) use admission::{Admission, Writer};
pub(crate) use tokens::TokenId;

/// What a client is asked to come with: either form of the same token.
const CHALLENGE: &str = "Basic realm=\"xs\", Bearer";

/// Who is let in over the network: everybody, or who has a token. Unix sockets are protected by their mode
/// instead. Cheap to clone; all clones are the same.
///
/// A file of tokens has one a line, after `read-only` where it is for reading alone:
///
/// ```text
/// # for the dashboard
/// read-only  2f0c6a7e5b8d41c39a
/// read-write 91d4a0be7f3c4e52d8
/// ```
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("tokens");
/// # std::fs::write(&path, "2f0c6a7e5b8d41c39a\n")?;
/// let access = xs_server::Access::from_file(&path)?;
/// // Later, when the file has other tokens:
/// access.reload()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Access {
    file: Option<Arc<TokenFile>>,
}

struct TokenFile {
    path: PathBuf,
    /// Followers, and requests whose bodies still come, watch it for the token that they came with.
    tokens: watch::Sender<Tokens>,
}

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It shows no token.
    NoToken,
    /// It shows one that is not in the file, or in a way that is not understood.
    UnknownToken,
    /// Its token is for reading alone.
    ReadOnly,
}

impl Access {
    /// Everybody is let in.
    pub fn open() -> Self {
        Self::default()
    }

    /// Those with a token of this file. `InvalidInput`, with the line, where the file is none of tokens, and
    /// where it holds none.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let tokens = read(&path)?;
        if tokens.is_empty() {
            let error = Error::new(ErrorKind::InvalidInput, "no token is in it: nobody could come in");
            return Err(error.context(path.display()));
        }
        Ok(Self { file: Some(Arc::new(TokenFile { path, tokens: watch::Sender::new(tokens) })) })
    }

    /// Reads the file again; requests from now on need a token that it holds. Of those under way, followers
    /// whose token is gone break off, and so do bodies that still come with a token that may write no longer;
    /// all others go on. Without any token in the file, nobody is let in. On failure, the tokens stay what they
    /// are.
    pub fn reload(&self) -> Result<()> {
        if let Some(file) = &self.file {
            let tokens = read(&file.path)?;
            if tokens.is_empty() {
                tracing::warn!(path = %file.path.display(), "no token is left: nobody is let in over the network");
            }
            file.tokens.send_replace(tokens);
        }
        Ok(())
    }

    /// Whether everybody is let in.
    pub(crate) fn is_open(&self) -> bool {
        self.file.is_none()
    }

    /// Lets a request in that came over the network, and says by which token, or says why not.
    pub(crate) fn admit(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<Option<Admission>, Refused> {
        let Some(file) = &self.file else { return Ok(None) };
        if is_public(method, path) {
            return Ok(None);
        }
        if !headers.contains_key(header::AUTHORIZATION) {
            return Err(Refused::NoToken);
        }
        let shown = credentials::token(headers).ok_or(Refused::UnknownToken)?;
        let (token, rights) = file.tokens.borrow().find(&shown).ok_or(Refused::UnknownToken)?;
        match rights == Rights::ReadWrite || is_read(method) {
            true => Ok(Some(Admission { token, file: Arc::clone(file) })),
            false => Err(Refused::ReadOnly),
        }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Access");
        if let Some(file) = &self.file {
            debug.field("file", &file.path).field("tokens", &file.tokens.borrow().len());
        }
        debug.finish()
    }
}

impl Refused {
    /// What a client is told.
    pub(crate) fn told(self) -> (StatusCode, &'static str) {
        match self {
            Self::NoToken => (
                StatusCode::UNAUTHORIZED,
                "a token is needed: header Authorization with Bearer and the token, or with Basic and it as password",
            ),
            Self::UnknownToken => (StatusCode::UNAUTHORIZED, "header Authorization holds no token that is valid here"),
            Self::ReadOnly => (StatusCode::FORBIDDEN, "this token is for reading only"),
        }
    }

    pub(crate) fn into_response(self) -> Response {
        let (status, message) = self.told();
        let mut response = ApiError::invalid(message).with_status(status).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
        }
        response
    }
}

/// What only reads. Every other method is taken for one that writes, known or not.
pub(crate) fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// What is there without a token: whether the server is well, and the console, which is the same for everybody
/// and asks for a token itself.
fn is_public(method: &Method, path: &str) -> bool {
    matches!(*method, Method::GET | Method::HEAD) && (path == "/healthz" || path == "/ui" || path.starts_with("/ui/"))
}

fn read(path: &Path) -> Result<Tokens> {
    let (bytes, metadata) = files::read(path)?;
    let tokens = Tokens::parse(&bytes).map_err(|error| error.context(path.display()))?;
    files::warn_of_readers(path, &metadata);
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use futures::future::FutureExt as _;

    use super::*;

    fn admit(access: &Access, method: Method, path: &str, token: &str) -> Result<bool, Refused> {
        let mut headers = HeaderMap::new();
        if !token.is_empty() {
            headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        }
        access.admit(&method, path, &headers).map(|token| token.is_some())
    }

    #[test]
    fn everything_but_the_console_and_the_health_needs_a_token() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        std::fs::write(&path, "read-only reads\nread-write writes\n").unwrap();
        let access = Access::from_file(&path).unwrap();
        for (method, path, token, outcome) in [
            (Method::GET, "/healthz", "", Ok(false)),
            (Method::HEAD, "/healthz", "", Ok(false)),
            (Method::GET, "/ui", "", Ok(false)),
            (Method::GET, "/ui/app.js", "wrong", Ok(false)),
            (Method::GET, "/uis", "", Err(Refused::NoToken)),
            (Method::POST, "/ui", "", Err(Refused::NoToken)),
            (Method::POST, "/healthz", "", Err(Refused::NoToken)),
            (Method::GET, "/metrics", "", Err(Refused::NoToken)),
            (Method::GET, "/", "", Err(Refused::NoToken)),
            (Method::GET, "/", "wrong", Err(Refused::UnknownToken)),
            (Method::GET, "/", "reads", Ok(true)),
            (Method::HEAD, "/cas/x", "reads", Ok(true)),
            (Method::POST, "/append/a", "reads", Err(Refused::ReadOnly)),
            (Method::DELETE, "/x", "reads", Err(Refused::ReadOnly)),
            (Method::PUT, "/x", "reads", Err(Refused::ReadOnly)),
            (Method::from_bytes(b"MERGE").unwrap(), "/x", "reads", Err(Refused::ReadOnly)),
            (Method::POST, "/append/a", "writes", Ok(true)),
            (Method::DELETE, "/x", "writes", Ok(true)),
        ] {
            assert_eq!(admit(&access, method.clone(), path, token), outcome, "{method} {path} {token}");
        }
        assert_eq!(admit(&Access::open(), Method::POST, "/append/a", ""), Ok(false));
    }

    #[test]
    fn a_bad_file_changes_nothing_and_no_token_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        assert!(Access::from_file(&path).is_err());
        std::fs::write(&path, "old-token\n").unwrap();
        let access = Access::from_file(&path).unwrap();
        let clone = access.clone();
        std::fs::write(&path, "new-token\nnew token is bad\n").unwrap();
        let error = access.reload().unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("tokens") && !error.contains("new token"), "{error}");
        assert_eq!(admit(&clone, Method::GET, "/", "old-token"), Ok(true));
        std::fs::write(&path, "new-token\n").unwrap();
        access.reload().unwrap();
        assert_eq!(admit(&clone, Method::GET, "/", "old-token"), Err(Refused::UnknownToken));
        assert_eq!(admit(&clone, Method::GET, "/", "new-token"), Ok(true));
        let debug = format!("{access:?}");
        assert!(debug.contains("tokens: 1") && !debug.contains("new-token"), "{debug}");
    }

    #[test]
    fn the_last_token_can_be_withdrawn_but_nobody_starts_without_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        for empty in ["", "\n", "# none\n\n"] {
            std::fs::write(&path, empty).unwrap();
            let error = Access::from_file(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let said = error.to_string();
            assert!(said.contains("tokens: no token is in it"), "{said}");
            std::fs::write(&path, "the-last\n").unwrap();
            let access = Access::from_file(&path).unwrap();
            assert_eq!(admit(&access, Method::GET, "/", "the-last"), Ok(true));
            std::fs::write(&path, empty).unwrap();
            access.reload().unwrap();
            assert_eq!(admit(&access, Method::GET, "/", "the-last"), Err(Refused::UnknownToken));
            assert_eq!(admit(&access, Method::GET, "/", ""), Err(Refused::NoToken));
            assert!(!access.is_open());
        }
    }

    #[test]
    fn a_token_is_withdrawn_when_it_leaves_the_file_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        std::fs::write(&path, "one\ntwo\n").unwrap();
        let access = Access::from_file(&path).unwrap();
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static("Bearer one"))]);
        let admission = access.admit(&Method::GET, "/", &headers).unwrap().unwrap();
        let mut withdrawn = Box::pin(admission.withdrawn());
        for there in ["one\ntwo\n", "two\nread-only one\n", "one\n"] {
            std::fs::write(&path, there).unwrap();
            access.reload().unwrap();
            assert!(withdrawn.as_mut().now_or_never().is_none(), "{there:?}");
        }
        std::fs::write(&path, "two\n").unwrap();
        assert!(withdrawn.as_mut().now_or_never().is_none(), "nobody asked for it");
        access.reload().unwrap();
        assert!(withdrawn.now_or_never().is_some());
        // One that was let in just before.
        assert!(admission.withdrawn().now_or_never().is_some());
    }

    #[test]
    fn a_writer_is_refused_once_its_token_may_not_write() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        std::fs::write(&path, "one\n").unwrap();
        let access = Access::from_file(&path).unwrap();
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static("Bearer one"))]);
        let mut writer = Writer::new(access.admit(&Method::POST, "/cas", &headers).unwrap().unwrap());
        let mut polled = || writer.poll_refused(&mut Context::from_waker(Waker::noop()));
        for (there, refused) in [
            ("two\none\n", None),
            ("read-only one\n", Some(Refused::ReadOnly)),
            ("read-write one\n", None),
            ("two\n", Some(Refused::UnknownToken)),
        ] {
            std::fs::write(&path, there).unwrap();
            access.reload().unwrap();
            assert_eq!(polled(), refused.map_or(Poll::Pending, Poll::Ready), "{there:?}");
        }
        assert_eq!(writer.refused(), Some(Refused::UnknownToken));
    }
}
