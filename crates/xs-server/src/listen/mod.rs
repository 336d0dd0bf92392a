//! Where the server listens.

mod exposure;
#[cfg(unix)]
mod socket;
mod tcp;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use xs::{Error, ErrorKind, Result};

use crate::connection::Wire;
use crate::tls::Tls;

pub use exposure::Exposure;

/// What a place is served with.
///
/// ```
/// use xs_server::{Binding, Exposure};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// // Beyond loopback, whoever calls has to show a token, and nobody may listen in.
/// let everywhere: Exposure = "0.0.0.0:3021".parse().unwrap();
/// let refused = xs_server::Listener::bind(&everywhere, &Binding::default()).await.unwrap_err();
/// assert!(refused.to_string().contains("--token-file"));
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Binding {
    /// The certificate of `tls://` places.
    pub tls: Option<Tls>,
    /// The server that the listener is for asks for tokens ([`Access`](crate::Access)). It does not start where
    /// this is not so and has to be.
    pub tokens: bool,
    /// Listen beyond loopback also without TLS or without tokens: whoever reaches the place may read and write,
    /// or can listen in.
    pub beyond_loopback: bool,
}

/// A bound listener.
#[derive(Debug)]
pub struct Listener {
    name: String,
    kind: Kind,
    place: Arc<Place>,
    tls: Option<Tls>,
}

#[derive(Debug)]
enum Kind {
    #[cfg(unix)]
    Unix(tokio::net::UnixListener, socket::Socket),
    Tcp(tokio::net::TcpListener),
}

/// What a request can know of the listener that it came through.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) medium: Medium,
    /// The name or address that it was exposed at.
    pub(crate) host: String,
    /// Beyond loopback, and by nobody's word: tokens are needed.
    needs_tokens: bool,
}

#[cfg(test)]
impl Place {
    pub(crate) fn new(medium: Medium, host: &str) -> Self {
        Self { medium, host: host.to_owned(), needs_tokens: false }
    }
}

/// What a connection goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Medium {
    /// A Unix socket, which its mode protects.
    Socket,
    /// The network, for everybody on the way to read.
    Tcp,
    /// The network.
    Tls,
}

/// Whoever is at the other end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) place: Arc<Place>,
    /// None on a socket.
    pub(crate) address: Option<SocketAddr>,
}

impl Peer {
    /// On this machine: at a socket, or on loopback.
    pub(crate) fn is_local(&self) -> bool {
        self.address.is_none_or(|address| address.ip().to_canonical().is_loopback())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => address.fmt(f),
            None => f.write_str("socket"),
        }
    }
}

impl Listener {
    /// What [`bind`](Self::bind) would refuse of this before it binds anything: for who wants to know it before there is
    /// a store. A place that another has taken is none of it.
    pub async fn check(exposure: &Exposure, binding: &Binding) -> Result<()> {
        allowed(exposure, binding).await.map(drop)
    }

    /// Listens there. A socket that a killed server left is replaced: the caller owns the store
    /// that the socket belongs to. `InvalidInput` for an address beyond loopback, unless it is served with TLS
    /// and to whoever has a token, or `binding` says otherwise.
    pub async fn bind(exposure: &Exposure, binding: &Binding) -> Result<Self> {
        let (medium, kind, beyond_loopback) = match exposure {
            #[cfg(unix)]
            Exposure::Socket(path) => {
                let (listener, socket) = socket::bind(path)?;
                (Medium::Socket, Kind::Unix(listener, socket), false)
            }
            #[cfg(not(unix))]
            Exposure::Socket(_) => return Err(no_sockets(exposure)),
            Exposure::Tcp(address) | Exposure::Tls(address) => {
                let medium = if matches!(exposure, Exposure::Tls(_)) { Medium::Tls } else { Medium::Tcp };
                let (places, beyond) = allowed(exposure, binding).await?;
                (medium, Kind::Tcp(tcp::bind(address, &places).await?), beyond)
            }
        };
        let name = match &kind {
            #[cfg(unix)]
            Kind::Unix(..) => exposure.to_string(),
            Kind::Tcp(listener) => {
                let address = listener.local_addr();
                let address = address.map_err(|error| Error::io(format_args!("listening at {exposure}"), error))?;
                format!("{}{address}", if medium == Medium::Tls { "tls://" } else { "" })
            }
        };
        let needs_tokens = beyond_loopback && !binding.beyond_loopback;
        let place = Arc::new(Place { medium, host: exposure.host().to_owned(), needs_tokens });
        let tls = binding.tls.clone().filter(|_| medium == Medium::Tls);
        Ok(Self { name, kind, place, tls })
    }

    /// Where it listens: with the port that was given where none was asked for.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn medium(&self) -> Medium {
        self.place.medium
    }

    /// `InvalidInput` where it was bound for a server with tokens, and this one has none.
    pub(crate) fn check_tokens(&self, tokens: bool) -> Result<()> {
        match self.place.needs_tokens && !tokens {
            true => Err(Error::new(
                ErrorKind::InvalidInput,
                format!("{} is beyond loopback, and no token is asked for: give --token-file", self.name),
            )),
            false => Ok(()),
        }
    }

    /// The next connection. What is wrong with one of them is no failure of the listener.
    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        let (wire, address): (Box<dyn Wire>, _) = match &self.kind {
            #[cfg(unix)]
            Kind::Unix(listener, _) => (Box::new(listener.accept().await?.0), None),
            Kind::Tcp(listener) => {
                let (connection, address) = listener.accept().await?;
                tcp::prepare(&connection);
                (Box::new(connection), Some(address))
            }
        };
        Ok(Accepted { wire, peer: Peer { place: Arc::clone(&self.place), address }, tls: self.tls.clone() })
    }
}

/// The addresses that a place stands for, none for a socket, and whether one is beyond loopback. `InvalidInput` where
/// that takes more than `binding` has.
async fn allowed(exposure: &Exposure, binding: &Binding) -> Result<(Vec<SocketAddr>, bool)> {
    let address = match exposure {
        Exposure::Socket(_) if !cfg!(unix) => return Err(no_sockets(exposure)),
        Exposure::Socket(_) => return Ok((Vec::new(), false)),
        Exposure::Tls(_) if binding.tls.is_none() => {
            let message = format!("{exposure} needs a certificate and its key: --tls-cert and --tls-key");
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        Exposure::Tcp(address) | Exposure::Tls(address) => address,
    };
    let places = tcp::resolve(address).await?;
    let beyond = places.iter().any(|place| !place.ip().to_canonical().is_loopback());
    if beyond && !binding.beyond_loopback {
        tcp::check_beyond_loopback(exposure, binding.tokens)?;
    }
    Ok((places, beyond))
}

fn no_sockets(exposure: &Exposure) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{exposure}: this system has no Unix sockets; use :port"))
}

/// A connection that nothing was said on yet.
pub(crate) struct Accepted {
    pub(crate) wire: Box<dyn Wire>,
    pub(crate) peer: Peer,
    pub(crate) tls: Option<Tls>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Kind::Unix(_, socket) = &self.kind {
            socket.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(address: &str) -> Exposure {
        Exposure::Tcp(address.to_owned())
    }

    #[tokio::test]
    async fn beyond_loopback_is_refused() {
        let said = Binding { beyond_loopback: true, ..Binding::default() };
        for address in ["0.0.0.0:0", "[::]:0"] {
            for binding in [Binding::default(), Binding { tokens: true, ..Binding::default() }] {
                let checked = Listener::check(&tcp(address), &binding).await.unwrap_err();
                let error = Listener::bind(&tcp(address), &binding).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
                assert_eq!(checked.to_string(), error.to_string());
                let text = error.to_string();
                assert!(text.contains("beyond loopback") && text.contains("--insecure"), "{text}");
                // What is there already is not asked for.
                assert_eq!(text.contains("--token-file"), !binding.tokens, "{text}");
            }
        }
        let listener = Listener::bind(&tcp("0.0.0.0:0"), &said).await.unwrap();
        assert!(listener.check_tokens(false).is_ok());
        for address in ["127.0.0.1:0", "localhost:0"] {
            assert!(Listener::bind(&tcp(address), &Binding::default()).await.is_ok(), "{address}");
        }
    }

    #[tokio::test]
    async fn tls_needs_a_certificate() {
        let exposure = Exposure::Tls("127.0.0.1:0".to_owned());
        let error = Listener::bind(&exposure, &Binding::default()).await.unwrap_err();
        assert!(error.to_string().contains("--tls-cert"), "{error}");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_socket_is_private_and_goes_with_its_listener() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let exposure = Exposure::Socket(dir.path().join("sock"));
        let bind = async || Listener::bind(&exposure, &Binding::default()).await;
        let Exposure::Socket(path) = &exposure else { panic!() };
        let listener = bind().await.unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(bind().await.unwrap_err().to_string().contains("listens at"));
        drop(listener);
        assert!(!path.exists());
        // One that a killed server left is replaced, and goes with whoever replaced it.
        drop(std::os::unix::net::UnixListener::bind(path).unwrap());
        assert!(path.exists());
        drop(bind().await.unwrap());
        assert!(!path.exists());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_socket_that_is_in_use_in_another_way_is_left_alone() {
        use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        let bind = async || Listener::bind(&Exposure::Socket(path.clone()), &Binding::default()).await;
        let datagrams = UnixDatagram::bind(&path).unwrap();
        let error = bind().await.unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains("in use"), "{error}");
        drop(datagrams);
        std::fs::remove_file(&path).unwrap();
        // Somebody who accepts nothing, and for whom so many wait that no more can. Elsewhere that is not told from nobody.
        if !cfg!(target_os = "linux") {
            return;
        }
        let busy = UnixListener::bind(&path).unwrap();
        rustix::net::listen(&busy, 0).unwrap();
        let _waiting = UnixStream::connect(&path).unwrap();
        assert!(bind().await.unwrap_err().to_string().contains("listens at"));
        assert!(path.exists());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_path_of_a_socket_can_be_almost_as_long_as_one_can_be() {
        let dir = tempfile::tempdir().unwrap();
        let bind = async |length: usize| {
            let name = "x".repeat(length - dir.path().as_os_str().len() - "/".len() - "/sock".len());
            std::fs::create_dir_all(dir.path().join(&name)).unwrap();
            Listener::bind(&Exposure::Socket(dir.path().join(name).join("sock")), &Binding::default()).await
        };
        // 107 bytes are the most on Linux, 103 elsewhere; the number of a process counts for nothing.
        assert!(bind(101).await.is_ok());
        let error = bind(120).await.unwrap_err().to_string();
        assert!(error.contains("too long"), "{error}");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes.db");
        std::fs::write(&path, "precious").unwrap();
        let error = Listener::bind(&Exposure::Socket(path.clone()), &Binding::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "precious");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
