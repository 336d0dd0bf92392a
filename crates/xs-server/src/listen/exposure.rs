//! Places to listen at, as they are written on the command line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use xs::{Error, ErrorKind, Result};

/// A place to listen at: `:3021` (loopback), `host:port`, `tls://host:port`, or the path of a socket.
///
/// ```
/// use xs_server::Exposure;
/// assert_eq!(":3021".parse::<Exposure>()?, Exposure::Tcp("127.0.0.1:3021".to_owned()));
/// assert_eq!("tls://xs.example:443".parse::<Exposure>()?.to_string(), "tls://xs.example:443");
/// # Ok::<(), xs::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// A Unix socket, mode 0600.
    Socket(PathBuf),
    /// Host and port.
    Tcp(String),
    /// Host and port, with TLS.
    Tls(String),
}

impl Exposure {
    /// Its host, without the brackets of an IPv6 address; nothing for a socket.
    pub(crate) fn host(&self) -> &str {
        match self {
            Self::Socket(_) => "",
            Self::Tcp(address) | Self::Tls(address) => {
                let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
                host.trim_start_matches('[').trim_end_matches(']')
            }
        }
    }
}

impl FromStr for Exposure {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let exposure = match text.strip_prefix("tls://") {
            Some(place) => address(place).map(Self::Tls),
            // Of another scheme, and not the path of a socket.
            None if text.contains("://") => None,
            None if text.contains('/') => Some(Self::Socket(text.into())),
            None => address(text).map(Self::Tcp),
        };
        exposure.ok_or_else(|| {
            let message = format!(
                "{text:?} is no place to listen at: expected :port, host:port, tls://host:port, or a path with a /"
            );
            Error::new(ErrorKind::InvalidInput, message)
        })
    }
}

/// Host and port; loopback where no host is named.
fn address(text: &str) -> Option<String> {
    let (host, port) = text.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    // An IPv6 address without brackets would lose its last group.
    let is_bare_ipv6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    let is_host = !is_bare_ipv6 && !host.contains('/');
    is_host.then(|| format!("{}:{port}", if host.is_empty() { "127.0.0.1" } else { host }))
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "{}", path.display()),
            Self::Tcp(address) => f.write_str(address),
            Self::Tls(address) => write!(f, "tls://{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_are_written() {
        let parse = |text: &str| text.parse::<Exposure>();
        for (text, tcp, host) in [
            (":3021", "127.0.0.1:3021", "127.0.0.1"),
            ("localhost:0", "localhost:0", "localhost"),
            ("[::1]:80", "[::1]:80", "::1"),
        ] {
            assert_eq!(parse(text).unwrap(), Exposure::Tcp(tcp.to_owned()));
            assert_eq!(parse(text).unwrap().host(), host);
            let tls = format!("tls://{text}");
            assert_eq!(parse(&tls).unwrap(), Exposure::Tls(tcp.to_owned()));
            assert_eq!(parse(&tls).unwrap().host(), host);
        }
        assert_eq!(parse("./sock").unwrap(), Exposure::Socket("./sock".into()));
        for bad in [
            "",
            "3021",
            "host",
            ":99999",
            ":x",
            "::1",
            "tls://",
            "tls://host",
            "tls://./sock",
            "tls://a/b:1",
            "iroh://x",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_place_is_written_as_it_is_read() {
        for text in ["127.0.0.1:3021", "tls://[::1]:443", "./sock"] {
            assert_eq!(text.parse::<Exposure>().unwrap().to_string(), text);
        }
    }
}
