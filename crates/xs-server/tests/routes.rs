//! What the routes do beyond what the description can say.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod inside;

use axum::Router;
use axum::body::Body;
use futures::StreamExt as _;
use inside::{Api, CONTENT, ID, TOPIC, request, until};
use serde_json::{Value, json};
use xs::{ContentHash, Frame, FrameId};

fn hash() -> String {
    ContentHash::of(CONTENT.as_bytes()).to_string()
}

/// Topics of all frames that are stored.
async fn topics(api: &Api) -> Vec<String> {
    api.get("/").await.lines().iter().map(|frame| frame["topic"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_method_that_a_route_does_not_take_is_told_which_it_does() {
    let api = Api::new().await;
    for (method, target, allow) in [
        ("PUT", "/cas", "POST"),
        ("GET", "/append/a", "POST"),
        ("HEAD", "/import", "POST"),
        ("DELETE", "/", "GET,HEAD"),
        ("POST", &format!("/{ID}"), "GET,HEAD,DELETE"),
        ("POST", &format!("/cas/{}", hash()), "GET,HEAD"),
        ("POST", "/healthz", "GET,HEAD"),
        ("OPTIONS", "/last/a", "GET,HEAD"),
        ("POST", "/ui", "GET,HEAD"),
        ("POST", "/ui/", "GET,HEAD"),
    ] {
        let answer = api.call(method, target, &[]).await;
        let mut given: Vec<&str> = answer.header("allow").split(',').map(str::trim).collect();
        let mut allowed: Vec<&str> = allow.split(',').collect();
        given.sort_unstable();
        allowed.sort_unstable();
        assert_eq!((answer.status, given), (405, allowed), "{method} {target}");
        if method != "HEAD" {
            assert_eq!(answer.json()["error"]["kind"], "InvalidInput", "{method} {target}");
        }
    }
}

#[tokio::test]
async fn requests_are_counted_at_every_route() {
    let api = Api::new().await;
    let (frame, content) = (format!("/{ID}"), format!("/cas/{}", hash()));
    // What is open in the path of a route, and a path there; all of them refuse the method.
    let routes = [
        ("/", "/"),
        ("/append", "/append"),
        ("/append/{topic}", "/append/a"),
        ("/last", "/last"),
        ("/last/{filter}", "/last/a"),
        ("/topics", "/topics"),
        ("/cas", "/cas"),
        ("/cas/{*hash}", &content),
        ("/import", "/import"),
        ("/version", "/version"),
        ("/healthz", "/healthz"),
        ("/metrics", "/metrics"),
        ("/openapi.json", "/openapi.json"),
        ("/ui", "/ui"),
        ("/ui/", "/ui/"),
        ("/ui/{file}", "/ui/style.css"),
        ("/{id}", &frame),
        ("none", "/no/such/route"),
    ];
    for (_, target) in routes {
        api.call("PUT", target, &[]).await;
    }
    api.get("/ui/").await;
    let metrics = String::from_utf8(api.get("/metrics").await.body.to_vec()).unwrap();
    let counted = |route: &str, method: &str, class: &str| {
        format!("xs_requests_total{{route=\"{route}\",method=\"{method}\",status=\"{class}\"}} 1")
    };
    let lines = routes.map(|(route, _)| counted(route, "PUT", "4xx"));
    for line in lines.into_iter().chain([counted("/ui/", "GET", "3xx")]) {
        assert!(metrics.lines().any(|found| found == line), "{line} in\n{metrics}");
    }
}

#[tokio::test]
async fn of_what_is_wrong_the_first_is_named() {
    let api = Api::new().await;
    let answer = api.call("POST", "/append/a..b?ttl=x", &[("xs-meta", "%")]).await;
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains("topic"));
    let answer = api.call("POST", "/append/a?ttl=x", &[("xs-meta", "%")]).await;
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains("ttl"));
    let answer = api.call("POST", "/append/a", &[("xs-meta", "%")]).await;
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains("xs-meta"));
}

#[tokio::test]
async fn a_head_is_that_of_the_answer_without_its_body() {
    let api = Api::new().await;
    for target in
        ["/", "/version", &format!("/{ID}"), "/last", "/topics", "/openapi.json", "/cas/none", "/nothing/here"]
    {
        let (get, head) = (api.get(target).await, api.call("HEAD", target, &[]).await);
        assert_eq!((head.status, head.body.len()), (get.status, 0), "{target}");
        for name in ["content-type", "content-length"] {
            assert_eq!(head.header(name), get.header(name), "{target}: {name}");
        }
    }
    // A follower that wants no frames ends at once.
    let answer = api.call("HEAD", "/?follow", &[("accept", "text/event-stream")]).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/event-stream"));
}

#[tokio::test]
async fn bytes_that_no_name_holds_are_refused_or_found_nowhere() {
    let api = Api::new().await;
    let long = "a".repeat(10_000);
    for target in ["/append/a%00", "/append/%2e", "/append/a%2Fb", &format!("/append/{long}")] {
        assert!(api.post(target, "x").await.refusal().contains("path parameter topic"), "{target}");
    }
    for target in ["/%F0%9F", &format!("/{ID}%00"), &format!("/{ID}0"), &format!("/{long}")] {
        let answer = api.get(target).await;
        assert!(answer.status == 400 && answer.refusal().contains("path parameter"), "{target}");
    }
    for target in
        ["/topics?prefix=%00", "/topics?prefix=%FF", &format!("/topics?prefix={long}"), "/topics?prefix=seed.%00"]
    {
        let answer = api.get(target).await;
        assert_eq!((answer.status, answer.text()), (200, ""), "{target}");
    }
    let answer = api.send(request("POST", "/append/a", &[("xs-meta", "IgAi")], Body::empty())).await;
    assert!(answer.status == 400 && answer.refusal().contains("header xs-meta"));
    let twice = [("xs-meta", "MQ=="), ("xs-meta", "Mg==")];
    let answer = api.send(request("POST", "/append/a", &twice, Body::empty())).await;
    assert!(answer.status == 400 && answer.refusal().contains("xs-meta is given twice"));
    assert_eq!(topics(&api).await, [TOPIC]);
}

#[tokio::test]
async fn frames_to_append_have_no_ids() {
    let api = Api::new().await;
    let answer = api.post("/append", format!("{{\"topic\":\"a\"}}\n{{\"topic\":\"b\",\"id\":\"{ID}\"}}\n")).await;
    let message = answer.refusal();
    assert!(answer.status == 400 && message.contains("line 2") && message.contains("`id`"), "{message}");
    assert_eq!(topics(&api).await, [TOPIC]);
}

/// A line of a request to append.
fn line(topic: &str, expect: impl Into<Value>) -> String {
    let expect: Value = expect.into();
    format!("{}\n", json!({ "topic": topic, "expect": expect }))
}

#[tokio::test]
async fn lines_to_append_look_at_what_was_there_before() {
    let api = Api::new().await;
    // Both lines of `a` find it empty.
    let body = [line("a", "none"), line("a", "none"), line(TOPIC, ID), line("b", Value::Null)].concat();
    let answer = api.post("/append", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let frames = answer.lines();
    assert_eq!(frames.iter().map(|frame| &frame["topic"]).collect::<Vec<_>>(), ["a", "a", TOPIC, "b"]);
    assert!(frames.iter().all(|frame| frame.get("expect").is_none()));
    let last = |at: usize| frames[at]["id"].as_str().unwrap();
    let body = [line("b", last(3)), line("a", last(1)), line("c", "none"), line("a", Value::Null)].concat();
    assert_eq!(api.post("/append", body).await.status, 200);
    assert_eq!(topics(&api).await, [TOPIC, "a", "a", TOPIC, "b", "b", "a", "c", "a"]);
}

#[tokio::test]
async fn a_condition_that_fails_appends_none_of_the_lines() {
    let api = Api::new().await;
    let id = json!(ID);
    for (body, topic, actual) in [
        ([line("a", "none"), line(TOPIC, "none")], TOPIC, &id),
        ([line(TOPIC, "none"), line("a", Value::Null)], TOPIC, &id),
        ([line(TOPIC, ID), line("a", ID)], "a", &Value::Null),
        // The first does not make the second true.
        ([line(TOPIC, ID), line(TOPIC, "none")], TOPIC, &id),
        ([line("a", "none"), line("a", ID)], "a", &Value::Null),
    ] {
        let body = body.concat();
        let answer = api.post("/append", body.clone()).await;
        assert!(answer.status == 409 && answer.refusal().contains(topic), "{body}: {}", answer.text());
        let error = &answer.json()["error"];
        assert_eq!((error["kind"].as_str().unwrap(), &error["topic"]), ("Conflict", &json!(topic)), "{body}");
        assert_eq!(error.get("actual"), Some(actual), "{body}");
    }
    assert_eq!(topics(&api).await, [TOPIC]);
}

#[tokio::test]
async fn a_bad_condition_is_named_with_its_line() {
    let api = Api::new().await;
    let short = "\"03d4q1qhbiv09ovtuhokw5yx\"";
    for bad in ["\"None\"", "\"\"", short, "1234567890123456789012345", "true", "[\"none\"]", "{}"] {
        let body = format!("{{\"topic\":\"a\"}}\n\n{{\"topic\":\"b\",\"expect\":{bad}}}\n");
        let answer = api.post("/append", body).await;
        let message = answer.refusal();
        assert!(answer.status == 400 && message.contains(&format!("line 3: field expect={bad}: ")), "{message}");
    }
    assert_eq!(topics(&api).await, [TOPIC]);
}

#[tokio::test]
async fn a_body_where_none_belongs_is_passed_over() {
    let api = Api::new().await;
    for target in ["/", "/version", "/last"] {
        let answer = api.send(request("GET", target, &[], Body::from("unexpected"))).await;
        assert_eq!((answer.status, answer.body), (200, api.get(target).await.body), "{target}");
    }
}

#[tokio::test]
async fn metrics_come_in_the_form_that_is_asked_for() {
    let api = Api::new().await;
    let prometheus = api.get("/metrics").await;
    assert_eq!(prometheus.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let accept = [("accept", "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2")];
    let open_metrics = api.call("GET", "/metrics", &accept).await;
    assert_eq!(open_metrics.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    for answer in [&prometheus, &open_metrics] {
        assert_eq!((answer.status, answer.header("vary"), answer.header("cache-control")), (200, "Accept", "no-store"));
    }
    assert!(open_metrics.text().contains("# TYPE xs_appends counter\n") && open_metrics.text().ends_with("# EOF\n"));
    // In 0.0.4 each type is that of the samples below it, by their very name.
    let mut current = ("", "");
    for line in prometheus.text().lines() {
        if let Some(about) = line.strip_prefix("# TYPE ") {
            current = about.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&current.1), "{line}");
        } else if !line.starts_with("# HELP ") {
            let name = line.split(['{', ' ']).next().unwrap();
            let parts: &[&str] = if current.1 == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(parts.iter().any(|part| name.strip_suffix(part) == Some(current.0)), "{line} is no {current:?}");
        }
    }
    for line in ["# TYPE xs_appends_total counter", "# TYPE xs_build_info gauge", "# TYPE xs_commit_seconds histogram"]
    {
        assert!(prometheus.text().lines().any(|found| found == line), "{line}");
    }
}

#[tokio::test]
async fn content_is_known_by_its_hash() {
    let api = Api::new().await;
    let target = format!("/cas/{}", hash());
    let tag = format!("\"{}\"", hash());
    let whole = api.get(&target).await;
    assert_eq!((whole.status, whole.text()), (200, CONTENT));
    for (name, value) in [
        ("content-type", "application/octet-stream"),
        ("x-content-type-options", "nosniff"),
        ("accept-ranges", "bytes"),
        ("etag", tag.as_str()),
    ] {
        assert_eq!(whole.header(name), value);
    }
    assert!(whole.header("last-modified").ends_with("GMT"));
    for method in ["GET", "HEAD"] {
        for known in [tag.as_str(), &format!("\"x\", W/{tag}"), "*"] {
            let answer = api.call(method, &target, &[("if-none-match", known)]).await;
            assert_eq!((answer.status, answer.body.len()), (304, 0), "{method} {known}");
            assert_eq!(answer.header("etag"), tag);
            assert!(answer.header("cache-control").contains("immutable"));
        }
        let answer = api.call(method, &target, &[("if-none-match", "\"x\"")]).await;
        assert_eq!(answer.status, 200, "{method}");
    }
    // A range is for GET, and only of what the client has a part of already.
    let range = ("range", "bytes=0-4");
    let answer = api.call("HEAD", &target, &[range]).await;
    assert_eq!((answer.status, answer.header("content-length")), (200, "15"));
    let answer = api.call("GET", &target, &[range, ("if-range", &tag)]).await;
    assert_eq!((answer.status, answer.text()), (206, "hello"));
    let answer = api.call("GET", &target, &[range, ("if-range", "\"x\"")]).await;
    assert_eq!((answer.status, answer.text()), (200, CONTENT));
    let missing = ContentHash::of(b"missing").to_string();
    for method in ["GET", "HEAD"] {
        let answer = api.call(method, &format!("/cas/{missing}"), &[range, ("if-none-match", "*")]).await;
        assert_eq!(answer.status, 404, "{method}");
    }
}

#[tokio::test]
async fn an_import_answers_what_it_stored() {
    let api = Api::new().await;
    let old = |n: u32| Frame::topic("old").unwrap().with_id(FrameId::from_u128(u128::from(n) << 32)).to_json().unwrap();
    // One that has expired since is no less imported.
    let expired = old(1).replace("\"ttl\":null", "\"ttl\":\"time:1\"");
    let answer = api.post("/import", expired.clone()).await;
    assert_eq!(
        (answer.status, answer.header("content-type"), answer.text()),
        (200, "application/json", expired.as_str())
    );
    let pretty = serde_json::to_string_pretty(&serde_json::from_str::<Value>(&old(2)).unwrap()).unwrap();
    assert_eq!(api.post("/import", format!("\n\n{pretty}\n")).await.json()["id"], json!(FrameId::from_u128(2 << 32)));
    let many = format!("{}\r\n\n{expired}\n{}", old(3), old(4));
    let answer = api.post("/import", many).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/x-ndjson"));
    assert_eq!(answer.text(), format!("{}\n{}\n", old(3), old(4)));
    // Its lines may be cut anywhere.
    let text = format!("{}\n{}\n", old(5), old(6));
    let pieces: Vec<_> = text.as_bytes().chunks(7).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
    let answer = api.post("/import", Body::from_stream(futures::stream::iter(pieces))).await;
    assert_eq!((answer.status, answer.text()), (200, text.as_str()));
    assert_eq!(topics(&api).await.iter().filter(|topic| *topic == "old").count(), 5);
}

#[tokio::test]
async fn what_comes_before_a_line_that_is_refused_is_imported() {
    let api = Api::new().await;
    let old = |n: u32| Frame::topic("old").unwrap().with_id(FrameId::from_u128(u128::from(n) << 32)).to_json().unwrap();
    let long = "x".repeat(2_000_000);
    // Fewer than are stored at a time, and more.
    for (first, count) in [(1, 3), (10, 1500)] {
        for (number, (bad, status)) in (0..).zip([("oops", 400), (long.as_str(), 413)]) {
            let first = first + number * 2000;
            let good: String = (first..first + count).map(|n| old(n) + "\n").collect();
            let before = topics(&api).await.len();
            let answer = api.post("/import", format!("{good}{bad}\n{}\n", old(9999))).await;
            assert_eq!(answer.status, status, "{}", answer.refusal());
            assert_eq!(topics(&api).await.len() - before, usize::try_from(count).unwrap(), "{status}");
        }
    }
    // A frame that cannot be stored comes first, and takes with it what was to be stored together.
    let before = topics(&api).await.len();
    let other = old(1).replace("old", "other");
    let answer = api.post("/import", format!("{}\n{other}\noops\n", old(9999))).await;
    assert!(answer.status == 409 && topics(&api).await.len() == before, "{}", answer.refusal());
}

#[tokio::test]
async fn bodies_of_frames_that_are_too_large_are_refused() {
    let api = Api::new().await;
    let line = format!("{{\"topic\":\"a\",\"id\":\"{ID}\",\"meta\":\"{}\"}}", "x".repeat(2_000_000));
    let answer = api.post("/import", line.clone()).await;
    assert!(answer.status == 413 && answer.refusal().contains("a line holds at most"));
    // In lines of their own, none of which is one frame.
    let answer = api.post("/import", "{\n".repeat(1_000_000)).await;
    assert!(answer.status == 400 && answer.refusal().contains("line 1"));
    let most = xs_server::BODY_FRAMES_BYTES_MAX;
    let pieces = (0..).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1 << 20])).take(most / (1 << 20) + 2);
    for body in [Body::from(vec![b' '; most + 1]), Body::from_stream(futures::stream::iter(pieces))] {
        let answer = api.post("/append", body).await;
        assert!(answer.status == 413 && answer.refusal().contains(&most.to_string()));
    }
    assert_eq!(topics(&api).await, [TOPIC]);
}

#[tokio::test]
async fn a_body_that_breaks_off_stores_nothing() {
    let api = Api::new().await;
    let frame = format!("{{\"topic\":\"a\",\"id\":\"{ID}\"}}");
    for (target, piece) in
        [("/append/a", "some"), ("/cas", "some"), ("/append", "{\"topic\":\"a\"}"), ("/import", &frame)]
    {
        let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let pieces = [Ok(piece.to_owned()), Err(broken)];
        let answer = api.post(target, Body::from_stream(futures::stream::iter(pieces))).await;
        assert!(answer.status == 400 && answer.refusal().contains("broke off"), "{target}");
    }
    assert_eq!(topics(&api).await, [TOPIC]);
    assert!(api.stream.content_info(ContentHash::of(b"some")).await.is_err());
}

#[tokio::test]
async fn what_fails_before_the_first_frame_is_an_answer() {
    let api = Api::new().await;
    api.stream.close().await.unwrap();
    for target in ["/", "/topics", "/last", "/last?last=2", &format!("/{ID}"), &format!("/cas/{}", hash())] {
        let answer = api.get(target).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, "1"), "{target}");
        assert_eq!(answer.json()["error"]["kind"], "Closed", "{target}");
    }
    assert_eq!(api.post("/append/a", "").await.json()["error"]["kind"], "Closed");
}

#[tokio::test]
async fn the_last_of_nothing_is_not_found() {
    let api = Api::new().await;
    for target in ["/last/none", "/last/none.*,other", "/last/none?last=2"] {
        let answer = api.get(target).await;
        assert!(answer.status == 404 && answer.refusal().contains("none"), "{target}");
    }
    let answer = api.get("/last/seed.*?last=5").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/x-ndjson"));
    assert_eq!(answer.lines().len(), 1);
}

#[tokio::test]
async fn followers_that_share_what_is_written_see_what_each_asked_for() {
    let api = Api::new().await;
    let sse = [("accept", "text/event-stream")];
    let mut lines = api.stream("/?follow&new", &[]).await;
    let mut more = api.stream("/?follow", &[]).await;
    let mut timed = api.stream("/?follow&new&with-timestamp", &[]).await;
    let mut events = api.stream("/?follow&new&topic=live.*", &sse).await;
    let mut last = api.stream("/last/live.a?follow", &[]).await;
    let mut frames = Vec::new();
    for n in 0..50 {
        let topic = format!("live.{}", if n % 2 == 0 { "a" } else { "b" });
        let meta = json!("x".repeat(if n % 10 == 0 { 50_000 } else { 10 }));
        frames.push(api.stream.append(Frame::topic(&topic).unwrap().meta(meta), ()).await.unwrap());
    }
    let written = |of: &str| {
        let chosen = frames.iter().filter(|frame| frame.topic.as_str().starts_with(of));
        chosen.map(|frame| format!("{}\n", frame.to_json().unwrap())).collect::<String>()
    };
    let end = frames.last().unwrap().to_json().unwrap();
    assert_eq!(until(&mut lines, &end).await, written("live"));
    let seen = until(&mut more, &end).await;
    assert!(seen.starts_with(&format!("{{\"topic\":\"{TOPIC}\"")) && seen.contains("xs.threshold"));
    assert!(seen.ends_with(&written("live")));
    let seen = until(&mut timed, frames.last().unwrap().id.to_string().as_str()).await;
    assert_eq!(seen.matches("\"timestamp\":").count(), 50);
    let seen = until(&mut events, &end).await;
    let event = |frame: &Frame| format!("id: {}\ndata: {}\n\n", frame.id, frame.to_json().unwrap());
    assert_eq!(seen, frames.iter().map(event).collect::<String>());
    let seen = until(&mut last, &frames[48].to_json().unwrap()).await;
    assert!(seen.contains("xs.threshold") && seen.ends_with(&written("live.a")), "{seen}");
    // They end with the stream.
    api.stream.close().await.unwrap();
    for mut follower in [lines, more, timed, events, last] {
        while let Some(chunk) = follower.next().await {
            chunk.unwrap();
        }
    }
}

#[tokio::test]
async fn an_application_mounts_them_where_it_likes() {
    let api = Api::new().await;
    let router = Router::new().nest("/of/{tenant}/events", api.router.clone());
    let api = Api { router, ..api };
    let answer = api.get(&format!("/of/x/events/{ID}")).await;
    assert_eq!((answer.status, &answer.json()["topic"]), (200, &json!(TOPIC)));
    let answer = api.post("/of/x/events/append/a..b", "").await;
    assert!(answer.status == 400 && answer.refusal().contains("path parameter topic: topic \"a..b\""));
    assert_eq!(api.get(&format!("/of/x/events/cas/{}", hash())).await.text(), CONTENT);
}
