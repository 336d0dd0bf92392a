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
    Unix(tokio::net::UnixListener, Socket),
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
        if let Kind::Unix(_, socket) = &self.kind
            && socket.is_ours()
        {
            // One that stays is replaced by the next start.
            let _ = std::fs::remove_file(&socket.path);
        }
    }
}

/// A socket in its place, and how it is told from another that took the place since.
#[cfg(unix)]
#[derive(Debug)]
struct Socket {
    path: PathBuf,
    inode: u64,
}

#[cfg(unix)]
impl Socket {
    fn is_ours(&self) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        std::fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode)
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
/// put in its place: it is at no moment open to others. What is in its place already is replaced only
/// when it is a socket that nobody listens at.
#[cfg(unix)]
fn bind_socket(path: &Path) -> Result<Kind> {
    use std::fs::{self, DirBuilder, Permissions};
    use std::io;
    use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
    use std::os::unix::net::UnixStream;

    let doing = |error: io::Error| {
        // The only way for a path to be bad input to bind.
        let hint = if error.kind() == io::ErrorKind::InvalidInput { " (its path may be too long)" } else { "" };
        Error::io(format_args!("listening at {}{hint}", path.display()), error)
    };
    let taken = |what: &str| Err(Error::new(ErrorKind::InvalidInput, format!("{} is {what}", path.display())));
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => return taken("there already, and no socket"),
        Ok(_) if UnixStream::connect(path).is_ok() => return taken("a socket that somebody listens at"),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(doing(error)),
    }
    let private = path.with_file_name(format!(".s{}", std::process::id()));
    DirBuilder::new().mode(0o700).create(&private).map_err(doing)?;
    let inside = private.join("s");
    let bound = tokio::net::UnixListener::bind(&inside).and_then(|listener| {
        fs::set_permissions(&inside, Permissions::from_mode(0o600))?;
        let inode = fs::symlink_metadata(&inside)?.ino();
        fs::rename(&inside, path)?;
        Ok((listener, Socket { path: path.to_owned(), inode }))
    });
    let _ = fs::remove_file(&inside);
    let _ = fs::remove_dir(&private);
    bound.map(|(listener, socket)| Kind::Unix(listener, socket)).map_err(doing)
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
        let exposure = Exposure::Socket(dir.path().join("sock"));
        let Exposure::Socket(path) = &exposure else { panic!() };
        let listener = Listener::bind(&exposure).await.unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(Listener::bind(&exposure).await.unwrap_err().to_string().contains("listens at"));
        drop(listener);
        assert!(!path.exists());
        // One that a killed server left is replaced, and goes with whoever replaced it.
        drop(std::os::unix::net::UnixListener::bind(path).unwrap());
        assert!(path.exists());
        drop(Listener::bind(&exposure).await.unwrap());
        assert!(!path.exists());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes.db");
        std::fs::write(&path, "precious").unwrap();
        let error = Listener::bind(&Exposure::Socket(path.clone())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "precious");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
