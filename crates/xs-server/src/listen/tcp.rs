//! Listening on the network, and who may be let in from where.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use xs::{Error, ErrorKind, Result};

use super::Exposure;

/// What a host and port stand for.
pub(super) async fn resolve(address: &str) -> Result<Vec<SocketAddr>> {
    let found = tokio::net::lookup_host(address).await;
    Ok(found.map_err(|error| Error::io(format_args!("listening at {address}"), error))?.collect())
}

pub(super) async fn bind(address: &str, places: &[SocketAddr]) -> Result<TcpListener> {
    let bound = TcpListener::bind(places).await;
    bound.map_err(|error| Error::io(format_args!("listening at {address}"), error))
}

/// What is beyond loopback is for whoever has a token, and for nobody to listen in.
pub(super) fn check_beyond_loopback(exposure: &Exposure, tokens: bool) -> Result<()> {
    let tls = format!("listen at tls://{exposure} with --tls-cert and --tls-key");
    let missing = match (exposure, tokens) {
        (Exposure::Tls(_), true) => return Ok(()),
        (Exposure::Tls(_), false) => "give --token-file".to_owned(),
        (_, true) => tls,
        (_, false) => format!("give --token-file, and {tls}"),
    };
    let message = format!("{exposure} is beyond loopback: {missing}, or say --insecure to let everybody in");
    Err(Error::new(ErrorKind::InvalidInput, message))
}

/// Frames are small and wanted at once; and whoever is gone without a word is to be noticed. A connection on
/// which that cannot be set is a connection all the same, or its end is about to be seen.
pub(super) fn prepare(connection: &TcpStream) {
    let _ = connection.set_nodelay(true);
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "macos", target_os = "freebsd"))]
    {
        use crate::limits::PROBE;
        use rustix::net::sockopt;
        let (idle, interval, count) = PROBE;
        let _ = sockopt::set_socket_keepalive(connection, true);
        let _ = sockopt::set_tcp_keepidle(connection, idle);
        let _ = sockopt::set_tcp_keepintvl(connection, interval);
        let _ = sockopt::set_tcp_keepcnt(connection, count);
    }
}
