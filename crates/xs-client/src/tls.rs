//! TLS on top of a connection.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use xs_core::{Error, ErrorKind, Result, blocking};

use crate::endpoint::invalid;
use crate::link::Link;

/// Whom the client trusts. What that means is read when it is first needed.
#[derive(Debug)]
pub(crate) struct Trust {
    ca_file: Option<PathBuf>,
    config: OnceCell<Arc<ClientConfig>>,
}

impl Trust {
    /// The authorities in this file, or those of the system.
    pub(crate) fn new(ca_file: Option<PathBuf>) -> Self {
        Self { ca_file, config: OnceCell::new() }
    }

    /// Speaks TLS with `host` over a connection to it.
    pub(crate) async fn handshake(&self, host: &str, link: Link) -> Result<Link> {
        // An IPv6 address stands in brackets in a URI, and without them in a certificate.
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned())
            .map_err(|error| invalid(format!("{host:?} is no name that a certificate can have")).with_source(error))?;
        let config = self.config.get_or_try_init(|| {
            let ca_file = self.ca_file.clone();
            blocking::run(move || trusting(ca_file.as_deref()))
        });
        let connector = TlsConnector::from(Arc::clone(config.await?));
        match connector.connect(name, link).await {
            Ok(stream) => Ok(Link::new(stream)),
            Err(error) => Err(refused(host, error)),
        }
    }
}

/// Reads files, so it blocks.
fn trusting(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>> {
    let roots = match ca_file {
        Some(path) => roots_in(path)?,
        None => system_roots()?,
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(ErrorKind::Internal, "TLS has no version to speak").with_source(error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn roots_in(path: &Path) -> Result<RootCertStore> {
    let shown = path.display();
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path)
        .map_err(|error| invalid(format!("reading certificates from {shown}: {error}")).with_source(error))?;
    for certificate in certificates {
        let certificate = certificate
            .map_err(|error| invalid(format!("reading certificates from {shown}: {error}")).with_source(error))?;
        roots
            .add(certificate)
            .map_err(|error| invalid(format!("a certificate in {shown} is bad: {error}")).with_source(error))?;
    }
    match roots.is_empty() {
        true => Err(invalid(format!("{shown} holds no certificate"))),
        false => Ok(roots),
    }
}

fn system_roots() -> Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // What cannot be read of hundreds is usually old, and trusting fewer harms nobody.
    roots.add_parsable_certificates(found.certs);
    match roots.is_empty() {
        true => Err(invalid("this system trusts no certificate: give a file of those to trust")),
        false => Ok(roots),
    }
}

/// Why TLS did not come about. What another call would mend is `InvalidInput`, so that nobody tries it
/// again and again.
fn refused(host: &str, error: io::Error) -> Error {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            let message = format!("the certificate of {host} is not trusted ({error}): give the file of its authority");
            invalid(message).with_source(error)
        }
        Some(rustls::Error::InvalidMessage(_)) => {
            invalid(format!("what answers at {host} does not speak TLS: is it http://?")).with_source(error)
        }
        _ => Error::new(ErrorKind::Unavailable, format!("no TLS came about with {host}: {error}")).with_source(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_certificates_holds_some() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let fails = |says: &str| {
            let error = trusting(Some(&path)).unwrap_err();
            assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains(says), "{error}");
        };
        fails("ca.pem");
        std::fs::write(&path, "nothing of the kind").unwrap();
        fails("holds no certificate");
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        fails("is bad");
        let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(&path, certified.cert.pem()).unwrap();
        assert!(trusting(Some(&path)).is_ok());
    }
}
