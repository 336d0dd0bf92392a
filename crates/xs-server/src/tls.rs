//! TLS, with a certificate that can be replaced while the server runs.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use xs::{Error, ErrorKind, Result};

use crate::connection::Io;
use crate::files;

/// A certificate and its key, from files in PEM form. Cheap to clone; all clones serve the same certificate.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
/// # std::fs::write(&cert, made.cert.pem())?;
/// # std::fs::write(&key, made.signing_key.serialize_pem())?;
/// let tls = xs_server::Tls::from_files(&cert, &key)?;
/// // Later, when the files have been renewed:
/// tls.reload()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tls {
    files: Arc<Files>,
    current: Arc<Current>,
    acceptor: TlsAcceptor,
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// The certificate that handshakes are given.
struct Current(RwLock<Arc<CertifiedKey>>);

impl Tls {
    /// The certificate chain of one file with the key of another. `InvalidInput` where they do not belong
    /// together, or are none.
    pub fn from_files(certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self> {
        let files = Files { certificate: certificate.as_ref().to_owned(), key: key.as_ref().to_owned() };
        let current = Arc::new(Current(RwLock::new(Arc::new(files.read()?))));
        // Given by hand: no other part of the process may have chosen another.
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::new(ErrorKind::Internal, "TLS cannot be set up").with_source(error))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { files: Arc::new(files), current, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    /// Reads the files again: handshakes from now on are given what they hold, connections that are there keep
    /// theirs. On failure, everything stays as it is.
    pub fn reload(&self) -> Result<()> {
        let read = Arc::new(self.files.read()?);
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    /// The handshake, which has to be over within a time.
    pub(crate) async fn accept(&self, io: Io, within: Duration) -> io::Result<TlsStream<Io>> {
        tokio::time::timeout(within, self.acceptor.accept(io)).await?
    }
}

impl Files {
    fn read(&self) -> Result<CertifiedKey> {
        let invalid =
            |path: &Path, what: String| Err(Error::new(ErrorKind::InvalidInput, format!("{}: {what}", path.display())));
        let chain = CertificateDer::pem_slice_iter(&files::read(&self.certificate)?.0).collect::<Result<Vec<_>, _>>();
        let chain = match chain {
            Ok(chain) if chain.is_empty() => return invalid(&self.certificate, "no certificate is in it".to_owned()),
            Ok(chain) => chain,
            Err(error) => return invalid(&self.certificate, format!("not PEM: {error}")),
        };
        let (key, metadata) = files::read(&self.key)?;
        let key = match PrivateKeyDer::from_pem_slice(&key) {
            Ok(key) => key,
            // What is there may be a key, nearly: it is not repeated.
            Err(_) => return invalid(&self.key, "no private key in PEM form is in it".to_owned()),
        };
        files::warn_of_readers(&self.key, &metadata);
        match CertifiedKey::from_der(chain, key, &provider()) {
            Ok(certified) => Ok(certified),
            Err(rustls::Error::InconsistentKeys(_)) => {
                invalid(&self.key, format!("not the key of the certificate in {}", self.certificate.display()))
            }
            Err(error) => invalid(&self.certificate, format!("unusable with {}: {error}", self.key.display())),
        }
    }
}

fn provider() -> CryptoProvider {
    ring::default_provider()
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Files { certificate, key } = &*self.files;
        f.debug_struct("Tls").field("certificate", certificate).field("key", key).finish()
    }
}
