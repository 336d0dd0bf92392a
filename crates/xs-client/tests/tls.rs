//! Over TLS, with tokens.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod support;

use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use support::place;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use xs_client::{Client, ClientOptions, Endpoint};
use xs_core::{ByteRange, ErrorKind, Frame, ReadOptions};
use xs_server::{Access, Binding, Exposure, Listener, Server, Tls};

/// A server that speaks TLS.
struct Secure {
    stop: oneshot::Sender<()>,
    serving: JoinHandle<xs::Result<()>>,
    host: String,
    certificate: PathBuf,
}

impl Secure {
    async fn start(dir: &Path, access: Access) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let (certificate, key) = (dir.join("certificate.pem"), dir.join("key.pem"));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let binding = Binding { tls: Some(Tls::from_files(&certificate, &key).unwrap()), ..Binding::default() };
        let listener = Listener::bind(&Exposure::Tls("127.0.0.1:0".to_owned()), &binding).await.unwrap();
        let host = listener.name().trim_start_matches("tls://").to_owned();
        let stream = xs::open(dir.join("store")).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = Server::new(stream, vec![listener]).access(access);
        let serving = tokio::spawn(server.run(async move { drop(stopped.await) }));
        Self { stop, serving, host, certificate }
    }

    fn client(&self, endpoint: &str) -> Client {
        let options = ClientOptions::new().ca_file(&self.certificate);
        Client::with_options(endpoint.parse::<Endpoint>().unwrap(), options).unwrap()
    }

    async fn stop(self) {
        drop(self.stop);
        self.serving.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn everything_goes_over_tls() {
    let (dir, _) = place();
    let server = Secure::start(dir.path(), Access::open()).await;
    let client = server.client(&format!("https://{}", server.host));
    let content = "hello ".repeat(1_000_000);
    let mut live = client.read(ReadOptions::new_only().limit(1));
    live.connect().await.unwrap();
    let frame = client.append(Frame::topic("a").unwrap(), content.clone()).await.unwrap();
    assert_eq!(live.next().await.unwrap().unwrap(), frame);
    let back = client.content(frame.hash.unwrap(), ByteRange::FULL).await.unwrap().bytes().await.unwrap();
    assert!(back == content);
    // By name as well as by address.
    let port = server.host.rsplit_once(':').unwrap().1;
    let named = server.client(&format!("https://localhost:{port}"));
    assert_eq!(named.get(frame.id).await.unwrap(), Some(frame));
    server.stop().await;
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_ends_a_follower_too() {
    let (dir, _) = place();
    let server = Secure::start(dir.path(), Access::open()).await;
    let other = dir.path().join("other.pem");
    std::fs::write(&other, rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap().cert.pem())
        .unwrap();
    let endpoint: Endpoint = format!("https://{}", server.host).parse().unwrap();
    let client = Client::with_options(endpoint, ClientOptions::new().ca_file(other)).unwrap();
    for error in
        [client.version().await.unwrap_err(), client.read(ReadOptions::follow()).next().await.unwrap().unwrap_err()]
    {
        assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains("not trusted"), "{error}");
    }
    server.stop().await;
}

#[tokio::test]
async fn plain_text_and_tls_do_not_mix() {
    let (dir, _) = place();
    let server = Secure::start(dir.path(), Access::open()).await;
    assert!(server.client(&format!("http://{}", server.host)).version().await.is_err());
    let plain = Listener::bind(&Exposure::Tcp("127.0.0.1:0".to_owned()), &Binding::default()).await.unwrap();
    let host = plain.name().to_owned();
    let (stop, stopped) = oneshot::channel::<()>();
    let stream = xs::open(dir.path().join("plain")).await.unwrap();
    let serving = tokio::spawn(Server::new(stream, vec![plain]).run(async move { drop(stopped.await) }));
    let error = server.client(&format!("https://{host}")).version().await.unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains("TLS"), "{error}");
    drop(stop);
    serving.await.unwrap().unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_token_says_who_may_do_what() {
    let (dir, _) = place();
    let tokens = dir.path().join("tokens");
    let (reads, writes) = ("2f0c6a7e5b8d41c39a5566", "91d4a0be7f3c4e52d81122");
    std::fs::write(&tokens, format!("read-only {reads}\nread-write {writes}\n")).unwrap();
    let server = Secure::start(dir.path(), Access::from_file(&tokens).unwrap()).await;
    let host = &server.host;

    let writer = server.client(&format!("https://xs:{writes}@{host}"));
    let frame = writer.append(Frame::topic("a").unwrap(), "hello").await.unwrap();
    let reader = server.client(&format!("https://xs:{reads}@{host}"));
    assert_eq!(reader.get(frame.id).await.unwrap(), Some(frame.clone()));
    let nobody = server.client(&format!("https://{host}"));
    nobody.health().await.unwrap();
    for error in [
        reader.append(Frame::topic("a").unwrap(), "hello").await.unwrap_err(),
        reader.remove(frame.id).await.unwrap_err(),
        nobody.get(frame.id).await.unwrap_err(),
        nobody.read(ReadOptions::follow()).next().await.unwrap().unwrap_err(),
        server.client(&format!("https://xs:{reads}x@{host}")).get(frame.id).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(!error.to_string().contains(reads), "{error}");
    }
    // The token of the options wins over the one of the address.
    let options = ClientOptions::new().ca_file(&server.certificate).token(writes);
    let endpoint: Endpoint = format!("https://xs:{reads}@{host}").parse().unwrap();
    Client::with_options(endpoint, options).unwrap().remove(frame.id).await.unwrap();
    server.stop().await;
}
