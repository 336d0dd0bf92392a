//! Where a server is, as it is written.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use http::uri::{Authority, Scheme};
use xs_core::{Error, ErrorKind, Result};

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// A store directory, whose socket is meant, or a Unix socket.
    Path(PathBuf),
    /// Host and port, in plain text.
    Tcp(String),
    /// Host and port, over TLS.
    Tls(String),
}

/// Where a server is, and the token that it wants, if any.
///
/// It is written as a path, `:port` (loopback), `host:port`, `http://[user:TOKEN@]host[:port]` or
/// `https://[user:TOKEN@]host[:port]`. What is there is a path, and so is what has a `/`. It is shown
/// without its token.
///
/// ```
/// use xs_client::{Address, Endpoint};
/// let endpoint: Endpoint = "https://xs:s3cret@example.com".parse()?;
/// assert_eq!(endpoint.address(), &Address::Tls("example.com:443".to_owned()));
/// assert_eq!(endpoint.to_string(), "https://example.com:443");
/// assert_eq!(":3021".parse::<Endpoint>()?, Endpoint::new(Address::Tcp("127.0.0.1:3021".to_owned())));
/// # Ok::<(), xs_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    address: Address,
    token: Option<String>,
}

impl Endpoint {
    /// A server at this address, without a token.
    pub fn new(address: Address) -> Self {
        Self { address, token: None }
    }

    /// The server of the store in a directory, or at a Unix socket.
    pub fn path(path: &Path) -> Self {
        Self::new(Address::Path(path.to_owned()))
    }

    /// With this token.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whether it is a path: a store, or a socket, on this machine.
    pub fn is_local(&self) -> bool {
        matches!(self.address, Address::Path(_))
    }

    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// What stands before the path in a URI. A socket has no host, and calls itself `localhost`.
    pub(crate) fn origin(&self) -> Result<(Scheme, Authority)> {
        match &self.address {
            Address::Path(_) => Ok((Scheme::HTTP, Authority::from_static("localhost"))),
            Address::Tcp(host) => Ok((Scheme::HTTP, authority(host)?)),
            Address::Tls(host) => Ok((Scheme::HTTPS, authority(host)?)),
        }
    }
}

impl FromStr for Endpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(rest) = text.strip_prefix("http://") {
            return url(rest, 80, Address::Tcp);
        }
        if let Some(rest) = text.strip_prefix("https://") {
            return url(rest, 443, Address::Tls);
        }
        if text.is_empty() || text.contains("://") {
            // Not repeated: it may hold a token.
            return Err(invalid("an address is a path, :port, host:port, http://… or https://…"));
        }
        let is_port = |port: &str| port.parse::<u16>().is_ok();
        let host = match text.rsplit_once(':') {
            _ if text.contains('/') || Path::new(text).exists() => None,
            Some(("", port)) if is_port(port) => Some(format!("127.0.0.1:{port}")),
            Some((_, port)) if is_port(port) => Some(text.to_owned()),
            _ => None,
        };
        match host {
            Some(host) => authority(&host).map(|_| Self::new(Address::Tcp(host))),
            None => Ok(Self::path(Path::new(text))),
        }
    }
}

/// What comes behind the scheme of a URL.
fn url(rest: &str, default_port: u16, address: fn(String) -> Address) -> Result<Endpoint> {
    let (user, host) = match rest.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, rest),
    };
    let host = host.strip_suffix('/').unwrap_or(host);
    if let Some((host, _)) = host.split_once(['/', '?', '#']) {
        return Err(invalid(format!("an address ends with its host and port, as {host:?} does: it has no path")));
    }
    let has_port = host.parse::<Authority>().is_ok_and(|authority| authority.port_u16().is_some());
    let host = if has_port { host.to_owned() } else { format!("{host}:{default_port}") };
    authority(&host)?;
    let endpoint = Endpoint::new(address(host));
    match user {
        None => Ok(endpoint),
        Some(user) => match user.split_once(':').and_then(|(_, token)| decoded(token)) {
            Some(token) if !token.is_empty() => Ok(endpoint.with_token(token)),
            _ => Err(invalid("before the @ of an address stand a name, a colon and a token")),
        },
    }
}

fn authority(host: &str) -> Result<Authority> {
    match host.parse::<Authority>() {
        Ok(authority) if !host.contains('@') && !authority.host().is_empty() && authority.port_u16().is_some() => {
            Ok(authority)
        }
        // What is before an @ may be a token.
        _ => Err(invalid(format!("{:?} is no host and port", host.rsplit('@').next().unwrap_or_default()))),
    }
}

/// Text whose percent signs stand for bytes (RFC 3986, section 2.1).
fn decoded(text: &str) -> Option<String> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => u8::try_from(digit(rest.next()?)? * 16 + digit(rest.next()?)?).ok()?,
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Path(path) => write!(f, "{}", path.display()),
            Address::Tcp(host) => f.write_str(host),
            Address::Tls(host) => write!(f, "https://{host}"),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| "…");
        f.debug_struct("Endpoint").field("address", &self.address).field("token", &token).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Endpoint {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_are_read_as_they_are_written() {
        let tcp = |host: &str| Address::Tcp(host.to_owned());
        let tls = |host: &str| Address::Tls(host.to_owned());
        for (text, address) in [
            (":3021", tcp("127.0.0.1:3021")),
            ("localhost:3021", tcp("localhost:3021")),
            ("[::1]:3021", tcp("[::1]:3021")),
            ("http://localhost:3021", tcp("localhost:3021")),
            ("http://localhost/", tcp("localhost:80")),
            ("http://[::1]", tcp("[::1]:80")),
            ("https://example.com", tls("example.com:443")),
            ("https://example.com:8443/", tls("example.com:8443")),
            ("./store", Address::Path("./store".into())),
            ("store", Address::Path("store".into())),
            ("/tmp/x:1", Address::Path("/tmp/x:1".into())),
            (":x", Address::Path(":x".into())),
            ("store:99999", Address::Path("store:99999".into())),
        ] {
            let endpoint = parse(text);
            assert_eq!((endpoint.address(), endpoint.token()), (&address, None), "{text}");
            assert_eq!(endpoint.is_local(), matches!(address, Address::Path(_)));
            assert_eq!(parse(&endpoint.to_string()), endpoint, "{text}");
            assert!(endpoint.origin().is_ok());
        }
    }

    #[test]
    fn what_is_there_is_a_path() {
        let dir = tempfile::tempdir().unwrap();
        let text = dir.path().to_str().unwrap();
        assert_eq!(parse(text), Endpoint::path(dir.path()));
    }

    #[test]
    fn a_token_comes_with_a_url_and_is_never_shown() {
        for (text, token) in [
            ("https://xs:s3cret@example.com", "s3cret"),
            ("http://:s3cret@localhost:3021/", "s3cret"),
            ("https://xs:s3cret%2F%40%25x@example.com:1", "s3cret/@%x"),
            ("https://xs:s3cret@x:y@example.com", "s3cret@x:y"),
        ] {
            let endpoint = parse(text);
            assert_eq!(endpoint.token(), Some(token));
            assert!(!format!("{endpoint} {endpoint:?}").contains("s3cret"), "{endpoint:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_token() {
        for bad in [
            "",
            "http://",
            "https://:443",
            "http://a b",
            "http://localhost/path",
            "http://localhost?query",
            "https://s3cret@example.com",
            "https://xs:@example.com",
            "https://xs:%zz@example.com",
            "https://xs:s3cret@",
            "https://xs:s3cret@a b",
            "htps://xs:s3cret@example.com",
            "tls://localhost:1",
            "xs:s3cret@localhost:3021",
            "https://xs:s3cret@example.com/path",
            "a b:3021",
            "::1:3021",
        ] {
            let error = bad.parse::<Endpoint>().unwrap_err();
            assert!(error.kind() == ErrorKind::InvalidInput && !error.to_string().contains("s3cret"), "{bad}: {error}");
        }
        let path = "http://localhost:3021/path".parse::<Endpoint>().unwrap_err();
        assert!(path.to_string().contains("\"localhost:3021\"") && path.to_string().contains("no path"), "{path}");
        let made = Endpoint::new(Address::Tcp("nowhere".to_owned()));
        assert!(made.origin().is_err());
    }
}
