//! Servers that do not do what they should.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use support::{Fake, Talk, client, error, frame, id, place};
use tokio::io::{AsyncRead, AsyncWrite};
use xs_client::{Address, Client, ClientOptions, Endpoint};
use xs_core::{ByteRange, Content, ContentHash, Error, ErrorKind, ReadOptions, Topic};

/// How long a server that never answers is waited for.
const SHORT: Duration = Duration::from_millis(50);

fn topic() -> Topic {
    Topic::parse("t").unwrap()
}

fn hurried(endpoint: Endpoint) -> Client {
    Client::with_options(endpoint, ClientOptions::new().response_timeout(SHORT)).unwrap()
}

#[tokio::test]
async fn other_bytes_than_were_asked_for_are_corrupt() {
    let fake = Fake::start().await;
    let client = client(fake.endpoint());
    let hash = ContentHash::of(b"hello");
    let serving = tokio::spawn(async move {
        for body in ["jello", "", "hello"] {
            let mut talk = fake.accept().await;
            assert!(talk.head().await.starts_with(&format!("GET /cas/{hash} ")));
            talk.answer("200 OK", body).await;
        }
        for _ in 0..2 {
            let mut talk = fake.accept().await;
            talk.head().await;
            let part = "connection: close\r\ncontent-range: bytes 1-2/5\r\ncontent-length: 2\r\n\r\nel";
            talk.send(&format!("HTTP/1.1 206 Partial Content\r\n{part}")).await;
        }
    });
    for wrong in 0..2 {
        let content = client.content(hash, ByteRange::FULL).await.unwrap();
        let error = content.bytes().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{wrong}: {error}");
    }
    assert_eq!(client.content(hash, ByteRange::FULL).await.unwrap().bytes().await.unwrap(), "hello");
    let range = ByteRange { start: 1, end: Some(3) };
    assert_eq!(client.content(hash, range).await.unwrap().bytes().await.unwrap(), "el");
    // Another part than was asked for.
    let range = ByteRange { start: 2, end: Some(4) };
    assert_eq!(client.content(hash, range).await.unwrap_err().kind(), ErrorKind::Unsupported);
    serving.await.unwrap();
}

/// Answers each connection once, with these.
fn answering(fake: Fake, answers: Vec<(&'static str, String)>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        for (status, body) in answers {
            let mut talk = fake.accept().await;
            talk.head().await;
            talk.answer(status, &body).await;
        }
    })
}

#[tokio::test]
async fn a_page_of_somebody_else_is_no_health() {
    let fake = Fake::start().await;
    let client = client(fake.endpoint());
    let well = [r#"{"status":"ok"}"#, r#"{"status":"ok","since":1}"#].map(str::to_owned);
    let long = format!(r#"{{"status":"ok","more":"{}"}}"#, "x".repeat(4 << 20));
    let others = ["", "<html>Welcome</html>", "{}", r#"{"status":"UP"}"#, r#""ok""#, &long].map(str::to_owned);
    let latched = error("Unavailable", "writes are refused until the server is started again");
    let answers = well.iter().chain(&others).map(|body| ("200 OK", body.clone()));
    let serving = answering(fake, answers.chain([("503 Service Unavailable", latched)]).collect());
    for body in &well {
        assert!(client.health().await.is_ok(), "{body}");
    }
    for body in &others {
        let error = client.health().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{}: {error}", body.len());
        assert!(error.to_string().contains("no server of xs"), "{error}");
    }
    let error = client.health().await.unwrap_err();
    assert!(error.kind() == ErrorKind::Unavailable && error.to_string().contains("started again"), "{error}");
    serving.await.unwrap();
}

#[tokio::test]
async fn only_a_server_of_xs_knows_what_is_not_there() {
    let fake = Fake::start().await;
    let client = client(fake.endpoint());
    let answers = [error("NotFound", "there is no such frame"), "<html>a proxy</html>".to_owned(), String::new()];
    let serving = answering(fake, answers.map(|body| ("404 Not Found", body)).into());
    assert_eq!(client.get(id(1)).await.unwrap(), None);
    for _ in 0..2 {
        let error = client.get(id(1)).await.unwrap_err();
        assert!(error.kind() == ErrorKind::NotFound && xs_wire::BareStatus::of(&error).is_some(), "{error}");
    }
    serving.await.unwrap();
}

fn endless() -> Content {
    Content::stream(stream::repeat_with(|| Ok(Bytes::from_static(&[7; 65536]))))
}

#[tokio::test]
async fn a_server_that_never_answers_is_not_waited_for() {
    let fake = Fake::start().await;
    let client = hurried(fake.endpoint());
    let serving = tokio::spawn(async move {
        let mut talks = Vec::new();
        loop {
            talks.push(fake.accept().await);
        }
    });
    for error in [
        client.version().await.unwrap_err(),
        client.append(topic(), "hello").await.unwrap_err(),
        client.read(ReadOptions::default()).next().await.unwrap().unwrap_err(),
        // One that takes nothing is as bad.
        client.put(endless()).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("did not answer within"), "{error}");
    }
    serving.abort();
}

#[tokio::test]
async fn an_answer_that_stalls_is_not_waited_for() {
    let fake = Fake::start().await;
    // The heads come within it on any machine.
    let options = ClientOptions::new().response_timeout(SHORT * 20);
    let client = Client::with_options(fake.endpoint(), options).unwrap();
    let serving = tokio::spawn(async move {
        let mut talks = Vec::new();
        loop {
            let mut talk = fake.accept().await;
            talk.head().await;
            talk.send("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{\"half").await;
            talks.push(talk);
        }
    });
    let content = async { client.content(ContentHash::of(b"hello"), ByteRange::FULL).await.unwrap().bytes().await };
    let mut frames = client.read(ReadOptions::default());
    let asked = async { tokio::join!(client.get(id(1)), content, frames.next()) };
    let (got, content, read) = tokio::time::timeout(Duration::from_secs(60), asked).await.unwrap();
    for error in [got.unwrap_err(), content.unwrap_err(), read.unwrap().unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("nothing came for"), "{error}");
    }
    serving.abort();
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_not_waited_for() {
    let fake = Fake::start().await;
    let Address::Tcp(host) = fake.endpoint().address().clone() else { panic!() };
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap().cert.pem())
        .unwrap();
    let options = ClientOptions::new().connect_timeout(SHORT).ca_file(ca_file);
    let client = Client::with_options(Endpoint::new(Address::Tls(host)), options).unwrap();
    let (result, _talk) = tokio::join!(client.version(), fake.accept());
    let error = result.unwrap_err();
    assert!(error.kind() == ErrorKind::Unavailable && error.to_string().contains("did not take"), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_cut_is_told_from_one_that_ended() {
    let fake = Fake::start().await;
    let client = client(fake.endpoint());
    let serving = tokio::spawn(async move {
        let mut talk = fake.accept().await;
        talk.head().await;
        talk.begin().await;
        talk.frames(&[frame(1)]).await;
        drop(talk);
        // Cut within a line, and yet ended as if nothing were wrong.
        let mut talk = fake.accept().await;
        talk.head().await;
        talk.begin().await;
        talk.send("3\r\n{\"t\r\n").await;
        talk.end().await;
        drop(talk);
        // Content, cut.
        let mut talk = fake.accept().await;
        talk.head().await;
        talk.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel").await;
    });
    let mut frames = client.read(ReadOptions::default());
    assert_eq!(frames.next().await.unwrap().unwrap(), frame(1));
    let error = frames.next().await.unwrap().unwrap_err();
    assert!(error.kind() == ErrorKind::Unavailable && error.to_string().contains("broke off"), "{error}");
    assert!(frames.next().await.is_none());
    let error = client.read(ReadOptions::default()).next().await.unwrap().unwrap_err();
    assert!(error.kind() == ErrorKind::Unavailable && error.to_string().contains("broke off"), "{error}");
    let content = client.content(ContentHash::of(b"hello"), ByteRange::FULL).await.unwrap();
    let error = content.bytes().await.unwrap_err();
    assert!(error.kind() == ErrorKind::Unavailable && error.to_string().contains("did not come whole"), "{error}");
    serving.await.unwrap();
}

/// Answers before anything of the body was read.
async fn refuse<T: AsyncRead + AsyncWrite + Unpin>(mut talk: Talk<T>) -> Talk<T> {
    talk.head().await;
    talk.answer("413 Payload Too Large", &error("InvalidInput", "that is too much")).await;
    talk
}

fn is_refusal(error: &Error) {
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::InvalidInput, "that is too much"));
}

#[tokio::test]
async fn what_was_refused_early_is_not_sent_to_its_end() {
    let fake = Fake::start().await;
    let client = client(fake.endpoint());
    let (result, ()) = tokio::join!(client.append(topic(), endless()), async {
        // It takes whatever comes until nothing does.
        refuse(fake.accept().await).await.gone().await;
    });
    is_refusal(&result.unwrap_err());
}

// Elsewhere a connection that was reset may take what it has received with it.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_early_refusal_is_the_answer_over_tcp() {
    let fake = Fake::start().await;
    let client = client(fake.endpoint());
    for _ in 0..20 {
        let refusing = async { drop(refuse(fake.accept().await).await) };
        let (result, ()) = tokio::join!(client.append(topic(), endless()), refusing);
        is_refusal(&result.unwrap_err());
    }
}

#[cfg(unix)]
#[tokio::test]
async fn an_early_refusal_is_the_answer_over_a_socket() {
    let (_dir, path) = place();
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let client = client(Endpoint::path(&path));
    for _ in 0..20 {
        let refusing = async { drop(refuse(Talk(listener.accept().await.unwrap().0)).await) };
        let (result, ()) = tokio::join!(client.append(topic(), endless()), refusing);
        is_refusal(&result.unwrap_err());
    }
}

/// A server whose first connection answers once, and closes when it is asked again. Tells the first line
/// of every request.
fn fickle(fake: Fake, told: tokio::sync::mpsc::UnboundedSender<String>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut is_first = true;
        loop {
            let mut talk = fake.accept().await;
            let (closes, told) = (std::mem::take(&mut is_first), told.clone());
            let mut has_answered = false;
            tokio::spawn(async move {
                loop {
                    let head = talk.head().await;
                    let Some(line) = head.lines().next() else { return };
                    // The test may be over.
                    let _ = told.send(line.to_owned());
                    if closes && std::mem::replace(&mut has_answered, true) {
                        return;
                    }
                    let body = match line.starts_with("POST") {
                        true => frame(1).to_json().unwrap(),
                        false => r#"{"version":"1","index":"i","cas":"c","format":1}"#.to_owned(),
                    };
                    talk.send(&format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
                }
            });
        }
    })
}

/// Has every task that can do something do it, so that a connection comes back to its pool.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_append_is_never_sent_twice() {
    for _ in 0..100 {
        let fake = Fake::start().await;
        let client = client(fake.endpoint());
        let (told, mut tells) = tokio::sync::mpsc::unbounded_channel();
        let serving = fickle(fake, told);
        client.version().await.unwrap();
        settle().await;
        let appended = client.append(topic(), ()).await;
        client.version().await.unwrap();
        serving.abort();
        let mut lines = Vec::new();
        while let Ok(line) = tells.try_recv() {
            lines.push(line);
        }
        assert_eq!(lines.iter().filter(|line| line.starts_with("POST /append/t ")).count(), 1, "{lines:?}");
        if let Err(error) = appended {
            assert!(error.kind() == ErrorKind::Unavailable && error.to_string().contains("may have done"), "{error}");
            return;
        }
        // It went over another connection.
    }
    panic!("no connection was used again");
}

#[tokio::test]
async fn a_read_is_sent_again_over_another_connection() {
    for _ in 0..10 {
        let fake = Fake::start().await;
        let client = client(fake.endpoint());
        let (told, _tells) = tokio::sync::mpsc::unbounded_channel();
        let serving = fickle(fake, told);
        for _ in 0..3 {
            client.version().await.unwrap();
            settle().await;
        }
        serving.abort();
    }
}

#[tokio::test]
async fn what_speaks_no_http_is_told() {
    let fake = Fake::start().await;
    let client = client(fake.endpoint());
    let (result, ()) = tokio::join!(client.version(), async {
        let mut talk = fake.accept().await;
        talk.head().await;
        talk.send("+OK\r\n\r\n").await;
        talk.gone().await;
    });
    let error = result.unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains("does not speak HTTP"), "{error}");
    assert!(error.to_string().ends_with("is it https://?"), "{error}");
}

#[tokio::test]
async fn whoever_finds_no_server_is_told_what_to_do() {
    let says = async |endpoint: Endpoint, what: &str| {
        let error = client(endpoint).version().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains(what) && error.to_string().contains("xs serve"), "{error}");
    };
    // A port that was free a moment ago.
    let gone = Fake::start().await.endpoint();
    says(gone, "no server answers at 127.0.0.1:").await;
    if cfg!(unix) {
        let (dir, path) = place();
        says(Endpoint::path(&path), "nothing is at").await;
        says(Endpoint::path(dir.path()), "is not a store").await;
        xs::open(&path).await.unwrap().close().await.unwrap();
        says(Endpoint::path(&path), "no server is running on").await;
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = client(Endpoint::path(&file)).version().await.unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains("is a file"), "{error}");
        // What is served is the store, and not its socket.
        says(Endpoint::path(&path.join("sock")), &format!("xs serve {}", path.display())).await;
        assert!(!path.join("sock").exists());
        #[cfg(unix)]
        for stale in ["sock", "other"] {
            drop(std::os::unix::net::UnixListener::bind(path.join(stale)).unwrap());
        }
        says(Endpoint::path(&path.join("sock")), &format!("no server is running on {} (", path.display())).await;
        says(Endpoint::path(&path.join("other")), "xs serve <path> --expose").await;
    }
}
