//! Where the server listens.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use xs::{Error, ErrorKind, Result};

/// A place to listen at, as it is written on the command line: `:3021` (loopback), `host:port`, or
/// the path of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// A Unix socket, mode 0600.
    Socket(PathBuf),
    /// Host and port.
    Tcp(String),
}

impl FromStr for Exposure {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = |message: String| Err(Error::new(ErrorKind::InvalidInput, message));
        if text.starts_with("tls://") {
            return invalid(format!("{text:?}: this version does not serve TLS"));
        }
        match text.rsplit_once(':') {
            _ if text.contains('/') => Ok(Self::Socket(text.into())),
            Some((host, port)) if port.parse::<u16>().is_ok() => {
                Ok(Self::Tcp(format!("{}:{port}", if host.is_empty() { "127.0.0.1" } else { host })))
            }
            _ => invalid(format!("{text:?} is no place to listen at: expected :port, host:port, or a path with a /")),
        }
    }
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "{}", path.display()),
            Self::Tcp(address) => f.write_str(address),
        }
    }
}

/// A bound listener.
#[derive(Debug)]
pub struct Listener {
    name: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    #[cfg(unix)]
    Unix(tokio::net::UnixListener, PathBuf),
    Tcp(TcpListener),
}

pub(crate) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

impl Listener {
    /// Listens there. A socket that a killed server left is replaced: the caller owns the store
    /// that the socket belongs to. `InvalidInput` for an address beyond loopback, which needs
    /// authentication that this version does not have.
    pub async fn bind(exposure: &Exposure) -> Result<Self> {
        let kind = match exposure {
            Exposure::Socket(path) => bind_socket(path)?,
            Exposure::Tcp(address) => Kind::Tcp(bind_tcp(address).await?),
        };
        let name = match &kind {
            Kind::Tcp(listener) => listener
                .local_addr()
                .map_err(|error| Error::io(format_args!("listening at {exposure}"), error))?
                .to_string(),
            #[cfg(unix)]
            Kind::Unix(..) => exposure.to_string(),
        };
        Ok(Self { name, kind })
    }

    /// Where it listens: with the port that was given where none was asked for.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) async fn accept(&self) -> std::io::Result<Box<dyn Connection>> {
        match &self.kind {
            #[cfg(unix)]
            Kind::Unix(listener, _) => Ok(Box::new(listener.accept().await?.0)),
            Kind::Tcp(listener) => {
                let (connection, _) = listener.accept().await?;
                // Frames are small and wanted at once.
                connection.set_nodelay(true)?;
                Ok(Box::new(connection))
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Kind::Unix(_, path) = &self.kind {
            // One that stays is replaced by the next start.
            let _ = std::fs::remove_file(path);
        }
    }
}

async fn bind_tcp(address: &str) -> Result<TcpListener> {
    let doing = |error| Error::io(format_args!("listening at {address}"), error);
    let found: Vec<SocketAddr> = tokio::net::lookup_host(address).await.map_err(doing)?.collect();
    if found.iter().any(|found| !found.ip().is_loopback()) {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("{address} is not loopback, and this version cannot tell who is calling: listen at loopback"),
        ));
    }
    TcpListener::bind(&*found).await.map_err(doing)
}

/// The socket is made in a directory that only its owner can enter, closed to others, and only then
/// put in its place: it is at no moment open to others.
#[cfg(unix)]
fn bind_socket(path: &Path) -> Result<Kind> {
    use std::fs::{self, DirBuilder, Permissions};
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};

    let doing = |error: std::io::Error| {
        // The only way for a path to be bad input to bind.
        let hint = if error.kind() == std::io::ErrorKind::InvalidInput { " (its path may be too long)" } else { "" };
        Error::io(format_args!("listening at {}{hint}", path.display()), error)
    };
    let private = path.with_file_name(".sock");
    let _ = fs::remove_dir_all(&private);
    DirBuilder::new().mode(0o700).create(&private).map_err(doing)?;
    let inside = private.join("s");
    let bound = tokio::net::UnixListener::bind(&inside).and_then(|listener| {
        fs::set_permissions(&inside, Permissions::from_mode(0o600))?;
        fs::rename(&inside, path)?;
        Ok(listener)
    });
    let _ = fs::remove_dir_all(&private);
    Ok(Kind::Unix(bound.map_err(doing)?, path.to_owned()))
}

#[cfg(not(unix))]
fn bind_socket(path: &Path) -> Result<Kind> {
    Err(Error::new(ErrorKind::Unsupported, format!("{}: this system has no Unix sockets; use :port", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_are_written() {
        let parse = |text: &str| text.parse::<Exposure>();
        assert_eq!(parse(":3021").unwrap(), Exposure::Tcp("127.0.0.1:3021".to_owned()));
        assert_eq!(parse("localhost:0").unwrap(), Exposure::Tcp("localhost:0".to_owned()));
        assert_eq!(parse("[::1]:80").unwrap(), Exposure::Tcp("[::1]:80".to_owned()));
        assert_eq!(parse("./sock").unwrap(), Exposure::Socket("./sock".into()));
        for bad in ["", "3021", "host", ":99999", ":x", "tls://host:1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn beyond_loopback_is_refused() {
        for address in ["0.0.0.0:0", "[::]:0"] {
            let error = Listener::bind(&Exposure::Tcp(address.to_owned())).await.unwrap_err();
            assert!(error.to_string().contains("not loopback"), "{error}");
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_socket_is_private_and_goes_with_its_listener() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        std::fs::write(&path, "left behind").unwrap();
        let listener = Listener::bind(&Exposure::Socket(path.clone())).await.unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        drop(listener);
        assert!(!path.exists());
    }
}
