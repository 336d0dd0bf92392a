//! S3 over a directory, in the process that tests against it, on loopback.
//!
//! [`s3s_fs`] does the work; around it are a lock for each key, because its puts are not atomic, and
//! [`Fault`]s: what networks and servers do on bad days.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "for tests: what is wrong is a panic")]

mod fault;

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use fault::Body;
pub use fault::{Fault, Faults};

/// The bucket that there is.
pub const BUCKET: &str = "cas";
/// The key that may do everything.
pub const ACCESS_KEY: &str = "test-access-key";
/// Its secret.
pub const SECRET_KEY: &str = "test-secret-key";

/// A server, which stops when it is dropped.
#[derive(Debug)]
pub struct Server {
    scheme: &'static str,
    address: SocketAddr,
    faults: Arc<Faults>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves what is in `dir`, at a free port.
    pub fn start(dir: &Path) -> Self {
        Self::start_with(dir, 0, None)
    }

    /// Serves what is in `dir` at this port, as after a restart.
    pub fn start_at(dir: &Path, port: u16) -> Self {
        Self::start_with(dir, port, None)
    }

    /// Serves what is in `dir` over TLS. Gives the certificate too, in PEM, which nobody else trusts.
    pub fn start_tls(dir: &Path) -> (Self, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = tokio_rustls::rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        (Self::start_with(dir, 0, Some(TlsAcceptor::from(Arc::new(config)))), made.cert.pem())
    }

    fn start_with(dir: &Path, port: u16, tls: Option<TlsAcceptor>) -> Self {
        std::fs::create_dir_all(dir.join(BUCKET)).unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(dir).expect("a directory"));
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = builder.build();
        let (stop, stopped) = oneshot::channel();
        let faults = Arc::new(Faults::default());
        let (address_sender, address) = std::sync::mpsc::channel();
        let serving = Arc::clone(&faults);
        let scheme = if tls.is_some() { "https" } else { "http" };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
                address_sender.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = serve(listener, service, serving, tls) => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        });
        let address = address.recv().expect("the server listens");
        Self { scheme, address, faults, stop: Some(stop), thread: Some(thread) }
    }

    /// `http://localhost:<port>`, or `https` over TLS.
    pub fn endpoint(&self) -> String {
        format!("{}://localhost:{}", self.scheme, self.address.port())
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What goes wrong.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

type Locks = Arc<Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>>;

async fn serve(listener: TcpListener, service: S3Service, faults: Arc<Faults>, tls: Option<TlsAcceptor>) {
    let locks = Locks::default();
    // Connections end with the server.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((socket, _)) = listener.accept().await else { return };
        let _ = socket.set_nodelay(true);
        let (service, faults, locks) = (service.clone(), Arc::clone(&faults), Arc::clone(&locks));
        let tls = tls.clone();
        connections.spawn(async move {
            let answer = service_fn(move |request| {
                let (service, faults, locks) = (service.clone(), Arc::clone(&faults), Arc::clone(&locks));
                async move { Ok::<_, Infallible>(answer(request, service, &faults, &locks).await) }
            });
            let http = hyper::server::conn::http1::Builder::new();
            // A connection that breaks is the client's affair.
            match tls {
                None => drop(http.serve_connection(TokioIo::new(socket), answer).await),
                Some(tls) => {
                    if let Ok(socket) = tls.accept(socket).await {
                        drop(http.serve_connection(TokioIo::new(socket), answer).await);
                    }
                }
            }
        });
    }
}

async fn answer(request: Request<Incoming>, service: S3Service, faults: &Faults, locks: &Locks) -> Response<Body> {
    let fault = faults.next(request.method(), request.uri());
    if matches!(fault, Some(Fault::Status(..) | Fault::Silence)) {
        // Taken whole first: to a client that is still sending, an early answer can look like a broken
        // connection.
        let _ = request.into_body().collect().await;
        return fault::instead(&fault).await;
    }
    let writes = matches!(*request.method(), Method::PUT | Method::POST | Method::DELETE);
    let lock = Arc::clone(locks.lock().unwrap().entry(request.uri().path().to_owned()).or_default());
    let held = if writes && request.uri().query().is_none_or(|query| !query.contains("partNumber")) {
        Some(lock.lock().await)
    } else {
        None
    };
    let answer = hyper::service::Service::call(&service, request).await;
    drop(held);
    match answer {
        Ok(answer) => fault::change(&fault, answer.map(|body| body.map_err(Into::into).boxed_unsync())).await,
        Err(error) => fault::refusal(500, "InternalError", &format!("{error:?}")),
    }
}
