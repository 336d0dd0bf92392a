//! Every method against a real server, over its socket and over TCP.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod support;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::{Method, StatusCode, header};
use serde_json::{Value, json};
use support::{Running, client, id, place};
use xs_client::{Client, Endpoint, Request};
use xs_core::{
    ByteRange, Content, ContentHash, Error, ErrorKind, Expect, Filter, Frame, NewFrame, ReadOptions, Topic, TopicPage,
    Ttl,
};
use xs_wire::{META_HEADER, paths};

/// What is done over each way to the server.
async fn over_each(test: impl AsyncFn(&Client, &str)) {
    let (_dir, path) = place();
    let server = Running::start(&path).await;
    if cfg!(unix) {
        test(&client(Endpoint::path(&path)), "socket").await;
    }
    test(&client(server.tcp.clone()), "tcp").await;
    server.stop().await;
}

fn topic(name: &str) -> Topic {
    Topic::parse(name).unwrap()
}

#[tokio::test]
async fn frames_go_in_and_come_out() {
    over_each(async |client, name| {
        let topic = topic(&format!("{name}.a"));
        let new = NewFrame::new(topic.clone()).meta_text("{\"b\": 1.50,\n \"a\":[]}").unwrap().ttl(Ttl::Forever);
        let first = client.append(new.clone(), "hello").await.unwrap();
        let wanted = NewFrame { hash: Some(ContentHash::of(b"hello")), ..new };
        // The answer is a line.
        let meta = first.meta.clone().unwrap();
        assert_eq!(meta.to_value().unwrap(), json!({"b": 1.5, "a": []}));
        assert!(meta.as_str().contains("1.50"));
        assert_eq!(first, Frame { meta: Some(meta), ..wanted.with_id(first.id) });
        let second = client.append(topic.clone(), ()).await.unwrap();
        assert!(second.id > first.id && second.hash.is_none() && second.meta.is_none() && second.ttl.is_none());

        assert_eq!(client.get(first.id).await.unwrap().as_ref(), Some(&first));
        assert_eq!(client.get(id(1)).await.unwrap(), None);
        assert_eq!(client.last(topic.clone()).await.unwrap().as_ref(), Some(&second));
        let below: Filter = format!("{name}.*").parse().unwrap();
        assert_eq!(client.last(below.clone()).await.unwrap().as_ref(), Some(&second));
        assert_eq!(client.last(self::topic("nobody")).await.unwrap(), None);
        assert_eq!(client.last(Filter::all()).await.unwrap().as_ref(), Some(&second));

        let all: Vec<Frame> = client.read(ReadOptions::default().filter(below.clone())).try_collect().await.unwrap();
        assert_eq!(all, [first.clone(), second.clone()]);
        let options = ReadOptions::default().filter(below.clone()).after(first.id).limit(1);
        let after: Vec<Frame> = client.read(options).try_collect().await.unwrap();
        assert_eq!(after, std::slice::from_ref(&second));

        client.remove(first.id).await.unwrap();
        client.remove(first.id).await.unwrap();
        assert_eq!(client.get(first.id).await.unwrap(), None);
        let all: Vec<Frame> = client.read(ReadOptions::default().filter(below)).try_collect().await.unwrap();
        assert_eq!(all, [second]);
    })
    .await;
}

#[tokio::test]
async fn many_frames_go_in_at_once() {
    over_each(async |client, name| {
        let topics = [topic(&format!("{name}.many.a")), topic(&format!("{name}.many.b"))];
        let hash = client.put("content").await.unwrap().unwrap();
        let new: Vec<NewFrame> = (0..1000)
            .map(|n| NewFrame::new(topics[n % 2].clone()).meta(json!({ "n": n })).hash(hash).ttl(Ttl::Forever))
            .collect();
        let appended = client.append_all(new.clone()).await.unwrap();
        let wanted: Vec<Frame> = new.into_iter().zip(&appended).map(|(new, frame)| new.with_id(frame.id)).collect();
        assert_eq!(appended, wanted);
        assert!(appended.is_sorted_by(|a, b| a.id < b.id));
        assert!(client.append_all(Vec::new()).await.unwrap().is_empty());

        let page = TopicPage { prefix: format!("{name}.many"), after: None, limit: 10 };
        let found = client.topics(page.clone()).await.unwrap();
        assert_eq!(found.iter().map(|entry| &entry.topic).collect::<Vec<_>>(), topics.iter().collect::<Vec<_>>());
        assert_eq!(found[1].last_id, appended[999].id);
        let page = TopicPage { after: Some(topics[0].clone()), ..page };
        assert_eq!(client.topics(page.clone()).await.unwrap(), found[1..]);
        assert!(client.topics(TopicPage { limit: 0, ..page }).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_no_header_has_room_for_is_appended_all_the_same() {
    over_each(async |client, name| {
        let topic = topic(&format!("{name}.large"));
        let text = "x".repeat(500_000);
        let large = NewFrame::new(topic.clone()).meta(json!({ "text": text }));
        let frame = client.append(large.clone(), "and content").await.unwrap();
        assert_eq!(frame.meta, large.meta);
        assert_eq!(frame.hash, Some(ContentHash::of(b"and content")));

        let named = NewFrame::new(topic.clone()).hash(ContentHash::of(b"and content"));
        let frame = client.append(named.clone(), ()).await.unwrap();
        assert_eq!(frame.hash, named.hash);
        assert_eq!(client.append(named.clone(), "and content").await.unwrap().hash, named.hash);
        let error = client.append(named.clone(), "other content").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");

        let mut last = client.last(topic.clone()).await.unwrap().unwrap();
        let medium = NewFrame::new(topic.clone()).meta(json!("x".repeat(160 * 1024 - 2)));
        for (new, content) in [(named, ""), (large, "more content"), (medium, "")] {
            for wrong in [Expect::Empty, Expect::Last(id(7))] {
                let error = client.append_with(new.clone(), content, Some(wrong)).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
                let failed = error.expect_failed().unwrap();
                assert_eq!((&failed.topic, failed.actual), (&topic, Some(last.id)));
            }
            assert_eq!(client.last(topic.clone()).await.unwrap().as_ref(), Some(&last));
            last = client.append_with(new.clone(), content, Some(Expect::Last(last.id))).await.unwrap();
            assert_eq!(last.meta, new.meta);
            let given = (!content.is_empty()).then(|| ContentHash::of(content.as_bytes()));
            assert_eq!(last.hash, given.or(new.hash));
        }
    })
    .await;
}

#[tokio::test]
async fn many_frames_go_in_on_conditions() {
    over_each(async |client, name| {
        let [a, b, other] = ["a", "b", "other"].map(|part| topic(&format!("{name}.if.{part}")));
        let frames = || [&a, &b, &a].map(|topic| NewFrame::new(topic.clone())).to_vec();
        let empty = vec![(a.clone(), Expect::Empty), (b.clone(), Expect::Empty)];
        let first = client.append_all_with(frames(), empty.clone()).await.unwrap();
        let on_a = (a.clone(), Expect::Last(first[2].id));
        for (refused, topic, actual) in [
            (empty, &a, first[2].id),
            (vec![on_a.clone(), (b.clone(), Expect::Last(id(7)))], &b, first[1].id),
            (vec![on_a.clone(), (a.clone(), Expect::Empty)], &a, first[2].id),
        ] {
            let error = client.append_all_with(frames(), refused).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
            let failed = error.expect_failed().unwrap();
            assert_eq!((&failed.topic, failed.actual), (topic, Some(actual)));
        }
        let error = client.append_all_with(frames(), vec![(other, Expect::Empty)]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        let below: Filter = format!("{name}.if.*").parse().unwrap();
        let all: Vec<Frame> = client.read(ReadOptions::default().filter(below)).try_collect().await.unwrap();
        assert_eq!(all, first);

        let on_both = vec![on_a, (b.clone(), Expect::Last(first[1].id))];
        assert_eq!(client.append_all_with(frames(), on_both.clone()).await.unwrap().len(), 3);
        assert!(client.append_all_with(Vec::new(), on_both).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn errors_keep_their_kinds() {
    over_each(async |client, name| {
        let topic = topic(&format!("{name}.errors"));
        let frame = client.append_with(topic.clone(), (), Some(Expect::Empty)).await.unwrap();
        for expect in [Expect::Empty, Expect::Last(id(7))] {
            let error = client.append_with(topic.clone(), "content", Some(expect)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict);
            let failed = error.expect_failed().unwrap();
            assert_eq!((&failed.topic, failed.actual), (&topic, Some(frame.id)));
        }
        let empty = self::topic(&format!("{name}.empty"));
        let error = client.append_with(empty.clone(), (), Some(Expect::Last(frame.id))).await.unwrap_err();
        assert_eq!(error.expect_failed().unwrap().actual, None);
        let next = client.append_with(topic.clone(), (), Some(Expect::Last(frame.id))).await.unwrap();
        assert!(next.id > frame.id);

        let too_many = NewFrame::new(topic.clone()).ttl("last:18446744073709551615".parse().unwrap());
        let error = client.append(too_many, ()).await.unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains("ttl"), "{error}");

        let nothing = ContentHash::of(name.as_bytes());
        assert_eq!(client.content(nothing, ByteRange::FULL).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(client.content_info(nothing).await.unwrap_err().kind(), ErrorKind::NotFound);

        let other = Frame { topic: empty, ..frame.clone() };
        let error = client.import(stream::iter([Ok(other)])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        let request = Request::new(Method::GET, "/?limit=x");
        let error = client.request(request).await.unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains("limit"), "{error}");
        for request in [Request::new(Method::GET, "/no path"), Request::new(Method::GET, "/").header("a b", "c")] {
            assert_eq!(client.request(request).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    })
    .await;
}

#[tokio::test]
async fn frames_are_imported_as_they_are() {
    over_each(async |client, name| {
        let topic = topic(&format!("{name}.import"));
        let first = if name == "tcp" { 1 } else { 10_001 };
        let frames: Vec<Frame> = (first..first + 3000)
            .map(|n| NewFrame::new(topic.clone()).meta(json!({ "n": n.to_string() })).with_id(id(n)))
            .collect();
        let source = || stream::iter(frames.clone()).map(Ok);
        assert_eq!(client.import(source()).await.unwrap(), 3000);
        let stored: Vec<Frame> = client.read(ReadOptions::default().filter(topic.clone())).try_collect().await.unwrap();
        assert_eq!(stored, frames);
        // The same again is no error.
        assert_eq!(client.import(source()).await.unwrap(), 3000);
        assert_eq!(client.import(source().take(1)).await.unwrap(), 1);
        assert_eq!(client.import(stream::empty()).await.unwrap(), 0);
        let broken = stream::iter([Err(Error::new(ErrorKind::Corrupt, "damaged where it comes from"))]);
        let error = client.import(source().chain(broken)).await.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Corrupt, "damaged where it comes from"));
    })
    .await;
}

#[tokio::test]
async fn content_of_any_size_streams_both_ways() {
    over_each(async |client, name| {
        let chunk = |n: u32| Bytes::from(format!("{name} {n:09} ").repeat(8192));
        let chunks: Vec<Bytes> = (0..200).map(chunk).collect();
        let whole = chunks.concat();
        assert!(whole.len() > 20 << 20);
        let hash = ContentHash::of(&whole);
        let content = Content::stream(stream::iter(chunks).map(Ok));
        assert_eq!(client.put(content).await.unwrap(), Some(hash));
        let frame =
            client.append(topic("content"), Content::reader(std::io::Cursor::new(whole.clone()))).await.unwrap();
        assert_eq!(frame.hash, Some(hash));

        let size = whole.len() as u64;
        let info = client.content_info(hash).await.unwrap();
        assert_eq!((info.hash, info.size), (hash, size));
        assert!(info.modified_ms > 0);
        let reader = client.content(hash, ByteRange::FULL).await.unwrap();
        assert_eq!((reader.info(), reader.range()), (&info, 0..size));
        assert!(reader.bytes().await.unwrap() == whole);

        for (start, end) in [
            (0, Some(10)),
            (5_000_000, Some(5_000_123)),
            (size - 7, None),
            (size - 7, Some(u64::MAX)),
            (0, Some(size)),
            (3, Some(3)),
            (size, None),
            (size, Some(size + 1)),
        ] {
            let reader = client.content(hash, ByteRange { start, end }).await.unwrap();
            let range = start..end.unwrap_or(size).min(size);
            assert_eq!((reader.info().size, reader.range()), (size, range.clone()));
            let (start, end) = (usize::try_from(range.start).unwrap(), usize::try_from(range.end).unwrap());
            assert!(reader.bytes().await.unwrap() == whole[start..end], "{range:?}");
        }
        for (start, end) in [(size + 1, None), (5, Some(4)), (size + 1, Some(size + 1))] {
            let error = client.content(hash, ByteRange { start, end }).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{start}: {error}");
        }
    })
    .await;
}

#[tokio::test]
async fn empty_content_is_none() {
    over_each(async |client, name| {
        let empty = || Content::stream(stream::iter([Ok(Bytes::new())]));
        assert_eq!(client.put("").await.unwrap(), None);
        assert_eq!(client.put(empty()).await.unwrap(), None);
        let topic = topic(&format!("{name}.empty"));
        assert_eq!(client.append(topic.clone(), empty()).await.unwrap().hash, None);
        assert_eq!(client.append(topic, "").await.unwrap().hash, None);
    })
    .await;
}

#[tokio::test]
async fn the_error_of_the_content_is_the_error_of_the_call() {
    over_each(async |client, name| {
        let broken = || {
            let chunks = vec![Ok(Bytes::from(vec![7; 1 << 20])), Err(Error::new(ErrorKind::Locked, "it is locked"))];
            Content::stream(stream::iter(chunks))
        };
        let topic = topic(&format!("{name}.broken"));
        for error in [
            client.append(topic.clone(), broken()).await.unwrap_err(),
            client.put(broken()).await.unwrap_err(),
            client
                .put(Content::stream(stream::iter([Err(Error::new(ErrorKind::Locked, "it is locked"))])))
                .await
                .unwrap_err(),
        ] {
            assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Locked, "it is locked"));
        }
        assert_eq!(client.last(topic).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn bytes_are_passed_on_as_they_are() {
    over_each(async |client, name| {
        let topic = topic(&format!("{name}.raw"));
        let request = Request::new(Method::POST, format!("{}?with-timestamp", paths::append(&topic)));
        let response = client.request(request.header(META_HEADER, "WzFd").body("hello")).await.unwrap();
        assert_eq!(response.status, StatusCode::OK);
        assert_eq!(response.headers[header::CONTENT_TYPE], "application/json");
        let text = response.body.bytes(10_000).await.unwrap();
        let text = std::str::from_utf8(&text).unwrap();
        assert!(text.contains("\"meta\":[1]") && text.contains("\"timestamp\":\""), "{text}");

        let request = Request::new(Method::GET, format!("/?topic={topic}")).header(header::ACCEPT, "text/event-stream");
        let events = client.request(request).await.unwrap().body.bytes(10_000).await.unwrap();
        assert!(events.starts_with(b"id: "), "{events:?}");
        let response = client.request(Request::new(Method::GET, paths::TOPICS)).await.unwrap();
        assert_eq!(response.body.bytes(3).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    })
    .await;
}

#[tokio::test]
async fn a_server_tells_about_itself() {
    over_each(async |client, _| {
        let version = client.version().await.unwrap();
        assert_eq!((version.index.as_str(), version.cas.as_str()), ("fjall", "fs"));
        client.health().await.unwrap();
        assert!(client.metrics().await.unwrap().contains("xs_"));
        let description: Value = serde_json::from_str(&client.openapi().await.unwrap()).unwrap();
        assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
        assert!(description["paths"][paths::APPEND]["post"].is_object());
    })
    .await;
}

#[tokio::test]
async fn many_tasks_share_a_client() {
    over_each(async |client, name| {
        let topic = topic(&format!("{name}.shared"));
        let tasks: Vec<_> = (0..100)
            .map(|n| {
                let (client, topic) = (client.clone(), topic.clone());
                tokio::spawn(async move { client.append(NewFrame::new(topic).meta(json!(n)), "content").await })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        let all: Vec<Frame> = client.read(ReadOptions::default().filter(topic)).try_collect().await.unwrap();
        assert_eq!(all.len(), 100);
    })
    .await;
}
