//! Where a server is, as it is written on the command line.

use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A store directory, the path of a socket, `:port`, `host:port`, or `http://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A directory or a socket.
    Path(PathBuf),
    /// Host and port.
    Tcp(String),
}

impl FromStr for Address {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        if let Some(rest) = text.strip_prefix("http://") {
            let host = rest.trim_end_matches('/');
            return Ok(Self::Tcp(if host.contains(':') { host.to_owned() } else { format!("{host}:80") }));
        }
        let is_port = |port: &str| port.parse::<u16>().is_ok();
        Ok(match text.rsplit_once(':') {
            _ if text.contains('/') || Path::new(text).exists() => Self::Path(text.into()),
            Some(("", port)) if is_port(port) => Self::Tcp(format!("127.0.0.1:{port}")),
            Some((_, port)) if is_port(port) => Self::Tcp(text.to_owned()),
            _ => Self::Path(text.into()),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Tcp(host) => f.write_str(host),
        }
    }
}

impl Address {
    /// The socket of a store directory, or the path itself.
    pub(crate) fn socket(path: &Path) -> PathBuf {
        if path.is_dir() { path.join("sock") } else { path.to_owned() }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        let tcp = |host: &str| Address::Tcp(host.to_owned());
        for (text, address) in [
            (":3021", tcp("127.0.0.1:3021")),
            ("localhost:3021", tcp("localhost:3021")),
            ("http://localhost:3021", tcp("localhost:3021")),
            ("http://localhost/", tcp("localhost:80")),
            ("./store", Address::Path("./store".into())),
            ("store", Address::Path("store".into())),
            ("/tmp/x:1", Address::Path("/tmp/x:1".into())),
            (":x", Address::Path(":x".into())),
        ] {
            assert_eq!(text.parse::<Address>().unwrap(), address, "{text}");
        }
    }
}
