//! TLS: who is told which certificate, and what happens to those who speak something else.
#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod support;

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use support::{NO_REQUEST, PATIENCE, Running, exchange, request, rest};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use xs::ErrorKind;
use xs_server::{Access, Binding, Limits, Tls};

/// Files of a certificate and its key.
struct Files {
    dir: TempDir,
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn new() -> (Self, CertificateDer<'static>) {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        let files = Self { dir, certificate, key };
        let made = files.renew();
        (files, made)
    }

    /// A new certificate in the same files.
    fn renew(&self) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&self.certificate, made.cert.pem()).unwrap();
        std::fs::write(&self.key, made.signing_key.serialize_pem()).unwrap();
        made.cert.der().clone()
    }

    fn tls(&self) -> Tls {
        Tls::from_files(&self.certificate, &self.key).unwrap()
    }
}

async fn start(tls: &Tls, limits: Limits) -> Running {
    let binding = Binding { tls: Some(tls.clone()), ..Binding::default() };
    Running::start_at("tls://127.0.0.1:0", &binding, limits, Access::open()).await
}

fn trusting(trusted: &CertificateDer<'static>, version: &'static SupportedProtocolVersion) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

async fn connect(
    server: &Running,
    trusted: &CertificateDer<'static>,
    version: &'static SupportedProtocolVersion,
    protocols: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut config = trusting(trusted, version);
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    let shaken = TlsConnector::from(Arc::new(config)).connect(name, server.tcp().await);
    timeout(PATIENCE, shaken).await.unwrap()
}

fn shown(io: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    io.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_answered_over_both_versions() {
    let (files, certificate) = Files::new();
    let server = start(&files.tls(), Limits::default()).await;
    let offers: [&[&[u8]]; 3] = [&[], &[b"http/1.1"], &[b"h2", b"http/1.1"]];
    for version in [&TLS12, &TLS13] {
        for protocols in offers {
            let io = connect(&server, &certificate, version, protocols).await.unwrap();
            assert_eq!(io.get_ref().1.alpn_protocol(), (!protocols.is_empty()).then_some(&b"http/1.1"[..]));
            let answer = exchange(io, &request("GET", "/version", "", "")).await;
            assert_eq!(answer.status, 200);
        }
    }
    // More than any buffer on the way holds, there and back.
    let content = "0123456789abcdef".repeat(256 * 1024);
    let io = connect(&server, &certificate, &TLS13, &[]).await.unwrap();
    let hash = exchange(io, &request("POST", "/cas", "", &content)).await.body;
    let io = connect(&server, &certificate, &TLS13, &[]).await.unwrap();
    let answer = exchange(io, &request("GET", &format!("/cas/{hash}"), "", "")).await;
    assert!(answer.body == content, "{} bytes came back", answer.body.len());
    assert!(connect(&server, &certificate, &TLS13, &[b"h2"]).await.is_err(), "it does not speak HTTP/2");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_replaced_while_the_server_runs() {
    let (files, old) = Files::new();
    let tls = files.tls();
    let server = start(&tls, Limits::default()).await;
    let mut kept = connect(&server, &old, &TLS13, &[]).await.unwrap();
    assert_eq!(shown(&kept), old);
    let new = files.renew();
    assert_eq!(shown(&connect(&server, &old, &TLS13, &[]).await.unwrap()), old, "nobody asked for it");
    tls.reload().unwrap();
    assert_eq!(shown(&connect(&server, &new, &TLS13, &[]).await.unwrap()), new);
    assert!(connect(&server, &old, &TLS13, &[]).await.is_err());
    // What was there before goes on.
    kept.write_all(&request("GET", "/version", "", "")).await.unwrap();
    assert!(rest(&mut kept).await.starts_with(b"HTTP/1.1 200"));
    // A bad one changes nothing.
    let good = std::fs::read(&files.key).unwrap();
    let (other, _) = Files::new();
    let (key, certificate) = (std::fs::read(&other.key).unwrap(), std::fs::read(&files.certificate).unwrap());
    for (bad_certificate, bad_key) in
        [(&certificate, &key), (&certificate, &vec![]), (&b"nonsense".to_vec(), &good), (&good, &good)]
    {
        std::fs::write(&files.certificate, bad_certificate).unwrap();
        std::fs::write(&files.key, bad_key).unwrap();
        assert_eq!(tls.reload().unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(shown(&connect(&server, &new, &TLS12, &[]).await.unwrap()), new);
    }
    server.stop().await;
}

#[test]
fn bad_files_are_named_and_not_repeated() {
    let (files, _) = Files::new();
    let (other, _) = Files::new();
    let load = |certificate: &PathBuf, key: &PathBuf| Tls::from_files(certificate, key).unwrap_err().to_string();
    let missing = files.dir.path().join("missing.pem");
    assert!(load(&missing, &files.key).contains("missing.pem"));
    assert!(load(&files.certificate, &missing).contains("missing.pem"));
    let mismatch = load(&files.certificate, &other.key);
    assert!(mismatch.contains("not the key of the certificate"), "{mismatch}");
    // The one for the other.
    assert!(load(&files.key, &files.key).contains("no certificate"));
    assert!(load(&files.certificate, &files.certificate).contains("no private key"));
    let secret = std::fs::read_to_string(&files.key).unwrap();
    let secret = secret.lines().nth(1).unwrap();
    for broken in ["", "nonsense", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", secret] {
        std::fs::write(&files.key, broken).unwrap();
        let error = load(&files.certificate, &files.key);
        assert!(error.contains("key.pem") && !error.contains(&secret[..16]), "{broken:?}: {error}");
    }
    let debug = format!("{:?}", other.tls());
    assert!(debug.contains("key.pem") && !debug.contains("PRIVATE"), "{debug}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_handshake_ends_and_holds_up_nobody() {
    let (files, certificate) = Files::new();
    let mut limits = Limits::default();
    limits.header_timeout = NO_REQUEST;
    let server = start(&files.tls(), limits).await;
    // Plain HTTP, a handshake that is cut off, one that never begins.
    let starts: [&[u8]; 4] = [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\x16", b""];
    let mut slow = tokio::task::JoinSet::new();
    for start in starts.repeat(20) {
        let mut io = server.tcp().await;
        slow.spawn(async move {
            io.write_all(start).await.unwrap();
            rest(&mut io).await
        });
    }
    let mut ended = 0;
    while ended < 80 {
        let io = connect(&server, &certificate, &TLS13, &[]).await.unwrap();
        assert_eq!(exchange(io, &request("GET", "/version", "", "")).await.status, 200);
        while let Some(said) = slow.try_join_next() {
            // At most an alert, never a word of HTTP.
            assert!(!said.unwrap().starts_with(b"HTTP"));
            ended += 1;
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_begins_with_the_handshake_and_never_comes_is_counted() {
    let (files, certificate) = Files::new();
    let mut limits = Limits::default();
    limits.header_timeout = NO_REQUEST;
    let server = start(&files.tls(), limits).await;
    let connector = TlsConnector::from(Arc::new(trusting(&certificate, &TLS13)));
    let name = ServerName::try_from("localhost").unwrap();
    // It is kept until there are keys, and goes out with the last words of the handshake.
    let shaken =
        connector.connect_with(name, server.tcp().await, |client| client.writer().write_all(b"GET /").unwrap());
    let mut io = timeout(PATIENCE, shaken).await.unwrap().unwrap();
    assert!(rest(&mut io).await.is_empty(), "what is no request is not answered");
    let start = std::time::Instant::now();
    loop {
        let metrics = exchange(server.socket().await, &request("GET", "/metrics", "", "")).await.body;
        if metrics.contains("xs_errors_total{kind=\"InvalidInput\"} 1\n") {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "it is not counted: {metrics}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_under_way_does_not_hold_up_the_stop() {
    let (files, certificate) = Files::new();
    let mut limits = Limits::default();
    limits.header_timeout = PATIENCE * 60;
    let server = start(&files.tls(), limits).await;
    let mut waiting = server.tcp().await;
    waiting.write_all(b"\x16").await.unwrap();
    // Accepted in turn: when a later one is answered, the first is in its handshake.
    let io = connect(&server, &certificate, &TLS13, &[]).await.unwrap();
    assert_eq!(exchange(io, &request("GET", "/version", "", "")).await.status, 200);
    // Which would never end.
    server.stop().await;
    assert!(rest(&mut waiting).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_has_gone_makes_room() {
    let (files, certificate) = Files::new();
    let mut limits = Limits::default();
    limits.followers_per_client = Some(1);
    let server = start(&files.tls(), limits).await;
    for version in [&TLS12, &TLS13] {
        for ends_politely in [true, false] {
            let start = Instant::now();
            let mut io = loop {
                let mut io = connect(&server, &certificate, version, &[]).await.unwrap();
                io.write_all(&request("GET", "/?follow", "", "")).await.unwrap();
                let mut head = [0; 12];
                io.read_exact(&mut head).await.unwrap();
                if &head == b"HTTP/1.1 200" {
                    break io;
                }
                assert!(start.elapsed() < PATIENCE, "the one before is still counted");
            };
            if ends_politely {
                io.shutdown().await.unwrap();
            }
        }
    }
    server.stop().await;
}
