//! Content on S3: on a server in this process, or on a real one.
//!
//! With `XS_TEST_S3_ENDPOINT` and `XS_TEST_S3_BUCKET`, and the keys in the usual variables, the cases
//! of S3 run against that server. With `XS_TEST_S3_SERVER`, its name, the results are those that are
//! published. Each place of a case is a prefix of its own.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use xs_cas_object::ObjectCasFactory;
use xs_conformance::{Behind, CasSubject, Suite};
use xs_core::{Cas, CasFactory, Create, Location, Result};
use xs_test_s3::Server;

const ENDPOINT: &str = "XS_TEST_S3_ENDPOINT";
const BUCKET: &str = "XS_TEST_S3_BUCKET";
/// Keeps runs against one server apart; children have that of their parent.
const PREFIX: &str = "XS_TEST_S3_PREFIX";

/// Whether the environment names a server. A child finds its parent's there, which does not count.
pub(crate) fn is_named() -> bool {
    std::env::var_os(ENDPOINT).is_some() && std::env::var_os(PREFIX).is_none()
}

/// S3 as a subject, and the server that has to live as long, where none is named.
pub(crate) fn subject(suite: &mut Suite) -> (CasSubject, Option<(Server, tempfile::TempDir)>) {
    let named = std::env::var(ENDPOINT).ok();
    let server = named.is_none().then(|| {
        let dir = tempfile::tempdir().unwrap();
        (Server::start(dir.path()), dir)
    });
    let endpoint = named.or_else(|| server.as_ref().map(|(server, _)| server.endpoint())).unwrap();
    let or = |name: &str, value: &str| std::env::var(name).unwrap_or_else(|_| value.to_owned());
    let bucket = or(BUCKET, xs_test_s3::BUCKET);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let prefix = or(PREFIX, &format!("run-{now}-{}", std::process::id()));
    for (name, value) in [(ENDPOINT, &endpoint), (BUCKET, &bucket), (PREFIX, &prefix)] {
        suite.child_env(name, value);
    }
    let keys = (or("AWS_ACCESS_KEY_ID", xs_test_s3::ACCESS_KEY), or("AWS_SECRET_ACCESS_KEY", xs_test_s3::SECRET_KEY));
    let builder = AmazonS3Builder::new()
        .with_endpoint(&endpoint)
        .with_allow_http(true)
        .with_bucket_name(&bucket)
        .with_access_key_id(&keys.0)
        .with_secret_access_key(&keys.1);
    let s3 = Arc::new(S3 { factory: ObjectCasFactory::s3().keys(keys.0, keys.1), builder, endpoint, bucket, prefix });
    (CasSubject::new("s3", s3.clone()).behind(s3), server)
}

/// One bucket, in which each place is a prefix.
#[derive(Debug)]
struct S3 {
    factory: ObjectCasFactory,
    builder: AmazonS3Builder,
    endpoint: String,
    bucket: String,
    prefix: String,
}

impl S3 {
    /// A client of its own for each call: the connections of one end with the runtime of a case.
    fn store(&self) -> AmazonS3 {
        self.builder.clone().build().unwrap()
    }

    fn prefix(&self, place: &Path) -> Key {
        Key::from(format!("{}/{}", self.prefix, place.to_str().unwrap()))
    }
}

#[async_trait]
impl CasFactory for S3 {
    fn scheme(&self) -> &str {
        "s3"
    }

    async fn open(&self, location: &Location, create: Create) -> Result<Arc<dyn Cas>> {
        let remote = format!("{}/{}", self.bucket, self.prefix(&location.place));
        // The machine may be slow, and no case waits for a time-out.
        let location =
            location.clone().remote(remote).setting("endpoint", &self.endpoint).setting("timeout_ms", "60000");
        self.factory.open(&location, create).await
    }
}

#[async_trait]
impl Behind for S3 {
    async fn objects(&self, place: &Path) -> Vec<(String, u64)> {
        let found = self.store().list(Some(&self.prefix(place)));
        found.map_ok(|meta| (meta.location.to_string(), meta.size)).try_collect().await.unwrap()
    }

    async fn read(&self, _: &Path, name: &str) -> Bytes {
        self.store().get(&Key::from(name)).await.unwrap().bytes().await.unwrap()
    }

    async fn write(&self, _: &Path, name: &str, bytes: Bytes) {
        self.store().put(&Key::from(name), bytes.into()).await.unwrap();
    }
}

/// Object storage in memory or in a folder, in the place that a case has.
#[derive(Debug)]
pub(crate) struct Local(pub(crate) ObjectCasFactory);

#[async_trait]
impl CasFactory for Local {
    fn scheme(&self) -> &str {
        self.0.scheme()
    }

    async fn open(&self, location: &Location, create: Create) -> Result<Arc<dyn Cas>> {
        let folder = location.place.to_str().unwrap();
        let remote = if self.0.scheme() == "file" { folder } else { folder.trim_start_matches('/') };
        self.0.open(&location.clone().remote(remote), create).await
    }
}
