//! Bad days: what is wrong with the address, the credentials, the server or the way to it is a typed
//! error that names the part and the remedy, and nothing is lost or half done.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt as _;
use http::Method;
use xs_cas_object::ObjectCasFactory;
use xs_core::{ByteRange, Cas, CasFactory, ContentHash, Create, Error, ErrorKind, Location, Result};
use xs_test_s3::{ACCESS_KEY, BUCKET, Fault, SECRET_KEY, Server};

/// Longer than a loaded machine takes for a call that succeeds, where a call is to succeed.
const PATIENT: &str = "60000";

struct Bed {
    dir: tempfile::TempDir,
    server: Server,
}

impl Bed {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { server: Server::start(&dir.path().join("s3")), dir }
    }

    fn location(&self, remote: &str) -> Location {
        Location::new("s3", self.dir.path().join("place"))
            .remote(remote)
            .setting("endpoint", self.server.endpoint())
            .setting("timeout_ms", PATIENT)
            .setting("retries", "2")
    }

    async fn open(&self) -> Arc<dyn Cas> {
        open(&self.location(&format!("{BUCKET}/prefix"))).await.unwrap()
    }

    /// Names of objects that lie in the bucket, as far as they have `part` in them.
    fn objects(&self, part: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut dirs = vec![self.dir.path().join("s3").join(BUCKET)];
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
                match entry.file_type().unwrap().is_dir() {
                    true => dirs.push(entry.path()),
                    false => found.push(entry.path().display().to_string()),
                }
            }
        }
        found.retain(|name| name.contains(part));
        found
    }
}

async fn open(location: &Location) -> Result<Arc<dyn Cas>> {
    ObjectCasFactory::s3().keys(ACCESS_KEY, SECRET_KEY).open(location, Create::IfMissing).await
}

/// Opened by settings that may leave a loaded machine too little time.
async fn opened(location: &Location) -> Arc<dyn Cas> {
    loop {
        if let Ok(cas) = open(location).await {
            return cas;
        }
    }
}

/// Stored by a store that was opened so.
async fn stored(cas: &dyn Cas, content: &Bytes) -> ContentHash {
    loop {
        if let Ok(hash) = put(cas, content).await {
            return hash;
        }
    }
}

async fn put(cas: &dyn Cas, content: &Bytes) -> Result<ContentHash> {
    let mut writer = cas.writer().await?;
    for start in (0..content.len()).step_by(700_000) {
        writer.write(content.slice(start..content.len().min(start + 700_000))).await?;
    }
    writer.finish().await
}

async fn get(cas: &dyn Cas, hash: ContentHash) -> Result<Bytes> {
    cas.reader(hash, ByteRange::FULL).await?.bytes().await
}

fn noise(seed: u64, length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes.into()
}

fn is(error: &Error, kind: ErrorKind, words: &[&str]) {
    assert_eq!(error.kind(), kind, "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "{word}: {error}");
    }
    let all = format!("{error:?} {error}");
    assert!(!all.contains(SECRET_KEY) && !all.contains("wrong-secret"), "a credential: {all}");
}

#[tokio::test]
async fn credentials_that_are_refused_say_which_to_check() {
    let bed = Bed::new();
    let location = bed.location(BUCKET);
    for (id, secret) in [(ACCESS_KEY, "wrong-secret"), ("wrong-key", SECRET_KEY)] {
        let factory = ObjectCasFactory::s3().keys(id, secret);
        let error = factory.open(&location, Create::IfMissing).await.unwrap_err();
        is(&error, ErrorKind::InvalidInput, &["opening s3://cas", "403", "AWS_ACCESS_KEY_ID"]);
        assert!(!format!("{error:?}").contains("wrong-key"), "{error:?}");
    }
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_not_found() {
    let bed = Bed::new();
    let error = open(&bed.location("other/prefix")).await.unwrap_err();
    is(&error, ErrorKind::NotFound, &["s3://other/prefix", "NoSuchBucket", "make the bucket"]);
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_unavailable_soon() {
    let bed = Bed::new();
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let location = bed.location(BUCKET).setting("endpoint", format!("http://127.0.0.1:{port}")).setting("retries", "1");
    is(&open(&location).await.unwrap_err(), ErrorKind::Unavailable, &["s3://cas", "refused", "endpoint"]);
}

#[tokio::test]
async fn an_endpoint_that_accepts_and_never_answers_is_unavailable_in_time() {
    let bed = Bed::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let location = bed.location(BUCKET).setting("endpoint", endpoint).setting("timeout_ms", "200");
    is(&open(&location).await.unwrap_err(), ErrorKind::Unavailable, &["0.2 s", "timeout_ms"]);
    // The same in the middle of use.
    let cas = opened(&bed.location(BUCKET).setting("timeout_ms", "1500")).await;
    bed.server.faults().plan(Fault::Silence, Method::PUT, "content", 9);
    is(&put(&*cas, &noise(1, 10)).await.unwrap_err(), ErrorKind::Unavailable, &["storing content", "1.5 s"]);
    bed.server.faults().clear();
    stored(&*cas, &noise(1, 10)).await;
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts_is_refused_until_it_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (server, pem) = Server::start_tls(&dir.path().join("s3"));
    let location = Location::new("s3", dir.path().join("place"))
        .remote(BUCKET)
        .setting("endpoint", server.endpoint())
        .setting("timeout_ms", PATIENT)
        .setting("retries", "0");
    is(&open(&location).await.unwrap_err(), ErrorKind::InvalidInput, &["certificate", "ca_file"]);
    let file = dir.path().join("ca.pem");
    std::fs::write(&file, pem).unwrap();
    let trusting = location.clone().setting("ca_file", file.to_str().unwrap());
    let cas = open(&trusting).await.unwrap();
    let hash = put(&*cas, &noise(1, 3_000_000)).await.unwrap();
    assert_eq!(get(&*cas, hash).await.unwrap(), noise(1, 3_000_000));
    std::fs::write(&file, "no certificate").unwrap();
    is(&open(&trusting).await.unwrap_err(), ErrorKind::InvalidInput, &["ca.pem"]);
    let missing = location.setting("ca_file", "/nowhere/ca.pem");
    is(&open(&missing).await.unwrap_err(), ErrorKind::NotFound, &["/nowhere/ca.pem"]);
}

#[tokio::test]
async fn refusals_of_the_server_are_retried_and_then_typed() {
    let bed = Bed::new();
    let cas = bed.open().await;
    let content = noise(1, 100);
    for (status, code) in [(500, "InternalError"), (503, "SlowDown"), (429, "TooManyRequests")] {
        // Twice is survived by two retries, three times is not.
        bed.server.faults().plan(Fault::Status(status, code), Method::PUT, "content", 2);
        let hash = put(&*cas, &content).await.unwrap();
        cas.remove(hash).await.unwrap();
        bed.server.faults().plan(Fault::Status(status, code), Method::PUT, "content", 3);
        is(&put(&*cas, &content).await.unwrap_err(), ErrorKind::Unavailable, &[code, &status.to_string()]);
        assert_eq!(cas.stat(hash).await.unwrap_err().kind(), ErrorKind::NotFound);
        put(&*cas, &content).await.unwrap();
        bed.server.faults().plan(Fault::Status(status, code), Method::GET, "content", 3);
        is(&get(&*cas, hash).await.unwrap_err(), ErrorKind::Unavailable, &[code]);
        assert_eq!(get(&*cas, hash).await.unwrap(), content);
        cas.remove(hash).await.unwrap();
    }
    // What no retry mends.
    for (status, code, words) in [
        (400, "ExpiredToken", "expired"),
        (403, "RequestTimeTooSkewed", "clock"),
        (403, "AccessDenied", "policy"),
        (404, "NoSuchBucket", "bucket"),
    ] {
        bed.server.faults().take_requests();
        bed.server.faults().plan(Fault::Status(status, code), Method::PUT, "content", 1);
        is(&put(&*cas, &content).await.unwrap_err(), ErrorKind::Unavailable, &[code, words]);
        assert_eq!(bed.server.faults().take_requests().len(), 1, "{code} was retried");
    }
    put(&*cas, &content).await.unwrap();
}

#[tokio::test]
async fn a_body_that_ends_early_or_is_altered_is_never_taken_for_content() {
    let bed = Bed::new();
    let cas = bed.open().await;
    for size in [1000, 3_500_000] {
        let content = noise(2, size);
        let hash = put(&*cas, &content).await.unwrap();
        bed.server.faults().plan(Fault::AlterBody, Method::GET, "content", 1);
        is(&get(&*cas, hash).await.unwrap_err(), ErrorKind::Corrupt, &[&hash.to_string()]);
        bed.server.faults().plan(Fault::CutBody, Method::GET, "content", 100);
        let error = get(&*cas, hash).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Corrupt), "{error}");
        bed.server.faults().clear();
        assert_eq!(get(&*cas, hash).await.unwrap(), content);
    }
}

#[tokio::test]
async fn a_lost_answer_to_a_put_is_no_loss() {
    let bed = Bed::new();
    let cas = bed.open().await;
    for size in [1000, 12_000_000] {
        let content = noise(3, size);
        // Each kind of request that an upload makes loses an answer once.
        for (method, part) in [(Method::PUT, "content"), (Method::POST, "uploads"), (Method::POST, "uploadId")] {
            bed.server.faults().plan(Fault::LoseAnswer, method, part, 1);
        }
        let hash = put(&*cas, &content).await;
        bed.server.faults().clear();
        let hash = match hash {
            Ok(hash) => hash,
            Err(error) => {
                is(&error, ErrorKind::Unavailable, &["storing content"]);
                put(&*cas, &content).await.unwrap()
            }
        };
        assert_eq!(get(&*cas, hash).await.unwrap(), content);
    }
}

#[tokio::test]
async fn ranges_read_what_they_touch_and_no_more() {
    let bed = Bed::new();
    let cas = bed.open().await;
    let content = noise(4, 9_000_000);
    let hash = put(&*cas, &content).await.unwrap();
    let path = bed.objects(&hash.to_hex()[2..]).into_iter().find(|name| name.contains("/content/")).unwrap();
    let read = async |start: u64, end: u64| {
        bed.server.faults().take_requests();
        let range = ByteRange { start, end: Some(end) };
        cas.reader(hash, range).await.unwrap().bytes().await
    };
    assert_eq!(read(5_000_000, 5_000_100).await.unwrap(), content[5_000_000..5_000_100]);
    // The size, the checksums, one chunk.
    let requests = bed.server.faults().take_requests();
    assert_eq!(requests.len(), 3, "{requests:?}");
    // Damage elsewhere is not its affair; damage within it is.
    let mut damaged = content.to_vec();
    damaged[5_000_050] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    assert_eq!(read(8_500_000, 9_000_000).await.unwrap(), content[8_500_000..]);
    assert_eq!(read(4_900_000, 5_000_000).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(get(&*cas, hash).await.unwrap_err().kind(), ErrorKind::Corrupt);
    std::fs::write(&path, &content).unwrap();
    // Without checksums, or with damaged ones, all is read, and the answer is the same.
    let sums = bed.objects("/sums/").pop().unwrap();
    for text in [Some("damaged"), None] {
        match text {
            Some(text) => std::fs::write(&sums, text).unwrap(),
            None => std::fs::remove_file(&sums).unwrap(),
        }
        assert_eq!(read(5_000_000, 5_000_100).await.unwrap(), content[5_000_000..5_000_100]);
    }
    // Stored again, it has them again.
    put(&*cas, &content).await.unwrap();
    assert_eq!(bed.objects("/sums/").len(), 1);
    assert_eq!(read(5_000_000, 5_000_100).await.unwrap(), content[5_000_000..5_000_100]);
    assert_eq!(bed.server.faults().take_requests().len(), 3);
}

#[tokio::test]
async fn a_large_transfer_to_a_server_that_is_silent_ends_in_the_same_time() {
    let bed = Bed::new();
    let cas = opened(&bed.location(BUCKET).setting("timeout_ms", "600")).await;
    let content = noise(10, 4_000_000);
    for method in [Method::PUT, Method::HEAD] {
        bed.server.faults().plan(Fault::Silence, method, "", 99);
    }
    // Not after the 16 s that so many bytes may take on a slow line.
    is(&put(&*cas, &content).await.unwrap_err(), ErrorKind::Unavailable, &["0.6 s"]);
    bed.server.faults().clear();
    let hash = stored(&*cas, &content).await;
    for method in [Method::GET, Method::HEAD] {
        bed.server.faults().plan(Fault::Silence, method, "", 99);
    }
    is(&get(&*cas, hash).await.unwrap_err(), ErrorKind::Unavailable, &["0.6 s"]);
}

#[tokio::test]
async fn an_upload_that_fails_or_is_dropped_is_aborted() {
    let bed = Bed::new();
    let cas = bed.open().await;
    let content = noise(5, 12_000_000);
    bed.server.faults().plan(Fault::Status(403, "AccessDenied"), Method::PUT, "partNumber=2", 1);
    put(&*cas, &content).await.unwrap_err();
    until(|| bed.objects("/uploads/").is_empty()).await;
    let aborted = |requests: Vec<String>| {
        requests.iter().any(|request| request.starts_with("DELETE") && request.contains("uploadId"))
    };
    assert!(aborted(bed.server.faults().take_requests()));
    // Its writer is dropped in the middle.
    bed.server.faults().plan(Fault::Silence, Method::PUT, "partNumber=3", 1);
    let storing = tokio::spawn({
        let (cas, content) = (Arc::clone(&cas), content.clone());
        async move { put(&*cas, &content).await }
    });
    until(|| !bed.objects("/uploads/").is_empty()).await;
    storing.abort();
    until(|| bed.objects("/uploads/").is_empty()).await;
    assert!(aborted(bed.server.faults().take_requests()));
    let listed = cas.list(None, 9).await.unwrap();
    assert!(listed.items.is_empty() && listed.complete);
    bed.server.faults().clear();
    put(&*cas, &content).await.unwrap();
}

#[tokio::test]
async fn an_upload_of_a_process_that_is_gone_is_aborted_by_the_next_one() {
    let bed = Bed::new();
    let content = noise(6, 12_000_000);
    {
        let cas = bed.open().await;
        // Neither the upload nor its abortion comes through.
        bed.server.faults().plan(Fault::Status(403, "AccessDenied"), Method::PUT, "partNumber=2", 1);
        bed.server.faults().plan(Fault::Status(403, "AccessDenied"), Method::DELETE, "uploadId", 1);
        put(&*cas, &content).await.unwrap_err();
        until(|| bed.server.faults().take_requests().iter().any(|request| request.starts_with("DELETE"))).await;
    }
    assert_eq!(bed.objects("/uploads/").len(), 1);
    bed.server.faults().clear();
    // It could be somebody's who is still at it.
    bed.open().await;
    assert_eq!(bed.objects("/uploads/").len(), 1);
    let next = open(&bed.location(&format!("{BUCKET}/prefix")).setting("abandoned_ms", "1")).await.unwrap();
    until(|| bed.objects("/uploads/").is_empty()).await;
    next.close().await.unwrap();
    let requests = bed.server.faults().take_requests();
    assert!(
        requests.iter().any(|request| request.starts_with("DELETE") && request.contains("uploadId")),
        "{requests:?}"
    );
}

#[tokio::test]
async fn content_beyond_the_bound_of_its_temporary_file_is_refused() {
    let bed = Bed::new();
    let cas = open(&bed.location(BUCKET).setting("spool_bytes_max", "6000000")).await.unwrap();
    is(&put(&*cas, &noise(7, 6_000_001)).await.unwrap_err(), ErrorKind::InvalidInput, &["6000000", "spool_bytes_max"]);
    put(&*cas, &noise(7, 6_000_000)).await.unwrap();
}

#[tokio::test]
async fn a_server_that_knows_no_create_only_puts_will_do() {
    let bed = Bed::new();
    let cas = bed.open().await;
    bed.server.faults().plan(Fault::Status(501, "NotImplemented"), Method::PUT, "content", 3);
    // A server error, which is retried, twice, before it is believed.
    let hash = put(&*cas, &noise(8, 10)).await;
    assert_eq!(get(&*cas, hash.unwrap()).await.unwrap(), noise(8, 10));
}

#[tokio::test]
async fn a_newer_layout_is_refused_and_a_damaged_one_too() {
    let bed = Bed::new();
    bed.open().await;
    let marker = bed.objects("xs.json").into_iter().find(|name| Path::new(name).ends_with("xs.json")).unwrap();
    for (text, kind) in
        [("{\"format\":7}", ErrorKind::Unsupported), ("{}", ErrorKind::Corrupt), ("", ErrorKind::Corrupt)]
    {
        std::fs::write(&marker, text).unwrap();
        let error = open(&bed.location(&format!("{BUCKET}/prefix"))).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(std::fs::read_to_string(&marker).unwrap(), text);
    }
}

#[tokio::test]
async fn without_credentials_in_the_environment_it_says_so_at_once() {
    let names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_WEB_IDENTITY_TOKEN_FILE"];
    if names.iter().any(|name| std::env::var_os(name).is_some()) {
        return;
    }
    let location = Location::new("s3", "place").remote("bucket");
    let error = ObjectCasFactory::s3().open(&location, Create::IfMissing).await.unwrap_err();
    is(&error, ErrorKind::InvalidInput, &["AWS_ACCESS_KEY_ID", "credentials=instance"]);
}

/// Waits for what happens in the background; the test's own limit ends a wait that has no end.
async fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        tokio::task::yield_now().await;
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_reader_that_is_dropped_asks_for_no_more() {
    let bed = Bed::new();
    let cas = bed.open().await;
    let hash = put(&*cas, &noise(9, 20_000_000)).await.unwrap();
    bed.server.faults().take_requests();
    let mut reader = cas.reader(hash, ByteRange::FULL).await.unwrap();
    reader.try_next().await.unwrap().unwrap();
    drop(reader);
    assert!(bed.server.faults().take_requests().len() < 12);
}
