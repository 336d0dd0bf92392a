//! What cross.stream's documentation says to type, typed: `curl` against the built server, over its
//! socket and over a port. Then what cross.stream's own client sends, what its `xs.nu` calls, and
//! directories as its `.export` writes them and its `.import` reads them.
#![cfg(all(unix, feature = "fjall", feature = "cas-fs"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

#[path = "support/shell.rs"]
mod shell;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use shell::{Answer, Running, Shell, WAYS, Way};
use support::{Server, fails, json, lines, ok};

fn id(line: &str) -> String {
    json(line)["id"].as_str().unwrap().to_owned()
}

fn is_threshold(line: &str) -> bool {
    line.starts_with(r#"{"topic":"xs.threshold","id":""#)
        && line.ends_with(r#"","hash":null,"meta":null,"ttl":"ephemeral"}"#)
}

#[test]
fn frames_are_appended_and_read_as_documented() {
    for way in WAYS {
        let Some(shell) = Shell::start(way) else { return };
        let answer = shell.ask(
            r#"curl $ASK -H "xs-meta: $(printf '%s' '{"key":"value"}' | base64)" -X POST --data "content" \
                "$BASE/append/topic?ttl=forever""#,
        );
        let first = answer.body.clone();
        let hash = xs::ContentHash::of(b"content");
        let expected = format!(
            r#"{{"topic":"topic","id":"{}","hash":"{hash}","meta":{{"key":"value"}},"ttl":"forever"}}"#,
            id(&first)
        );
        assert_eq!(answer, Answer { status: 200, kind: "application/json".to_owned(), body: expected });
        let bare = shell.ask(r#"curl $ASK -X POST "$BASE/append/topic.empty""#).body;
        assert!(bare.ends_with(r#","hash":null,"meta":null,"ttl":null}"#), "{bare}");
        let accented = shell
            .ask(
                r#"curl $ASK -H "xs-meta: $(printf '%s' '{"name":"Información"}' | base64)" --data "en español" \
                    "$BASE/append/accented?ttl=time:3600000&with-timestamp""#,
            )
            .body;
        assert_eq!(json(&accented)["meta"]["name"], "Información");
        assert!(accented.contains(r#""ttl":"time:3600000","timestamp":""#), "{accented}");
        let passing = shell.ask(r#"curl $ASK -X POST "$BASE/append/topic?ttl=ephemeral""#).body;
        assert!(passing.ends_with(r#""ttl":"ephemeral"}"#), "{passing}");

        // All of it, a line each, byte for byte as it was answered.
        let answer = shell.ask(r#"curl $ASK "$BASE/""#);
        assert_eq!((answer.status, answer.kind.as_str()), (200, "application/x-ndjson"));
        let all: Vec<&str> = answer.body.lines().collect();
        assert_eq!(all.len(), 4, "{}", answer.body);
        assert!(all[0].starts_with(r#"{"topic":"xs.start","#) && answer.body.ends_with('\n'));
        assert_eq!(all[1..3], [first.as_str(), bare.as_str()]);
        assert_eq!(all[3], shell.ask(&format!(r#"curl $ASK "$BASE/{}""#, id(&accented))).body);

        // One of them; the case of an id does not matter.
        for spelled in [id(&first), id(&first).to_uppercase()] {
            let answer = shell.ask(&format!(r#"curl $ASK "$BASE/{spelled}""#));
            assert_eq!(answer, Answer { status: 200, kind: "application/json".to_owned(), body: first.clone() });
        }
        // The newest: one is JSON, several are lines, also when there are fewer.
        let newest = |path: &str| shell.ask(&format!(r#"curl $ASK "$BASE/{path}""#));
        assert_eq!(newest("last").body, all[3]);
        assert_eq!(
            newest("last/topic"),
            Answer { status: 200, kind: "application/json".to_owned(), body: first.clone() }
        );
        assert_eq!(newest("last/topic.*").body, bare);
        for (path, frames) in
            [("last?last=3", &all[1..]), ("last/topic?last=5", &all[1..2]), ("last/topic,topic.*?last=2", &all[1..3])]
        {
            let answer = newest(path);
            assert_eq!((answer.status, answer.kind.as_str()), (200, "application/x-ndjson"), "{path}");
            assert_eq!(answer.body, frames.join("\n") + "\n", "{path}");
        }
        assert_eq!(newest("last/nothing").status, 404);

        // Removed, and again.
        for _ in 0..2 {
            let answer = shell.ask(&format!(r#"curl $ASK -X DELETE "$BASE/{}""#, id(&first)));
            assert_eq!(answer, Answer { status: 204, kind: String::new(), body: String::new() });
        }
        assert_eq!(shell.ask(&format!(r#"curl $ASK "$BASE/{}""#, id(&first))).status, 404);
        // Only the newest of a topic.
        let kept = shell.ask(r#"curl $ASK -X POST "$BASE/append/topic.empty?ttl=last:1""#).body;
        assert_eq!(shell.sh(r#"curl $VIA "$BASE/?topic=topic.empty""#), kept + "\n");
    }
}

#[test]
fn content_frames_and_the_version_come_as_documented() {
    for way in WAYS {
        let Some(shell) = Shell::start(way) else { return };
        let stored = shell.ask(r#"curl $ASK -X POST --data "content" "$BASE/cas""#);
        let hash = xs::ContentHash::of(b"content").to_string();
        assert_eq!((stored.status, &stored.body), (200, &hash));
        assert!(stored.kind.starts_with("text/plain"), "{stored:?}");
        // A hash as it is spelled, with its + and /, and escaped.
        let bytes: Vec<u8> = (0..=255).collect();
        let binary = xs::ContentHash::of(&bytes).to_string();
        fs::write(shell.dir.path().join("binary"), &bytes).unwrap();
        assert_eq!(shell.sh(r#"curl $VIA --data-binary @binary "$BASE/cas""#), binary);
        for spelled in [binary.clone(), binary.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")] {
            shell.sh(&format!(r#"curl $VIA -f -o out "$BASE/cas/{spelled}""#));
            assert!(fs::read(shell.dir.path().join("out")).unwrap() == bytes, "{spelled}");
        }
        assert_eq!(shell.ask(&format!(r#"curl $ASK "$BASE/cas/{}""#, xs::ContentHash::of(b"never"))).status, 404);
        assert_eq!(shell.ask(r#"curl $ASK "$BASE/cas/sha256-nonsense""#).status, 400);
        assert_eq!(shell.ask(r#"curl $ASK -X POST "$BASE/cas""#).status, 400);

        let imported = shell.ask(
            r#"curl $ASK -H "Content-Type: application/json" -X POST \
                --data '{"topic":"test","id":"03BCPN2DNQ529QRQKBQCZ4JV4"}' "$BASE/import""#,
        );
        let body = r#"{"topic":"test","id":"03bcpn2dnq529qrqkbqcz4jv4","hash":null,"meta":null,"ttl":null}"#.to_owned();
        assert_eq!(imported, Answer { status: 200, kind: "application/json".to_owned(), body });
        let whole = format!(
            r#"{{"topic":"test","id":"03bcpn2dnq529qrqkbqcz4jv5","hash":"{hash}","meta":{{"z":1,"a":2}},"ttl":"last:9"}}"#
        );
        assert_eq!(shell.ask(&format!(r#"curl $ASK -X POST --data '{whole}' "$BASE/import""#)).body, whole);
        assert_eq!(shell.sh(r#"curl $VIA "$BASE/last/test""#), whole);
        assert_eq!(shell.ask(r#"curl $ASK -X POST --data '{"topic":"test"}' "$BASE/import""#).status, 400);

        let version = shell.ask(r#"curl $ASK "$BASE/version""#);
        assert_eq!((version.status, version.kind.as_str()), (200, "application/json"));
        assert!(json(&version.body)["version"].is_string(), "{version:?}");
    }
}

#[test]
fn refusals_have_the_statuses_that_clients_know() {
    for way in WAYS {
        let Some(shell) = Shell::start(way) else { return };
        for (request, status) in [
            (r#""$BASE/?limit=many""#, 400),
            (r#""$BASE/?after=nonsense""#, 400),
            (r#""$BASE/?follow=never""#, 400),
            (r#"-X POST "$BASE/append/topic?ttl=soon""#, 400),
            (r#"-X POST -H "xs-meta: not base64!" "$BASE/append/topic""#, 400),
            (r#"-X POST -H "xs-meta: $(printf '%s' '{' | base64)" "$BASE/append/topic""#, 400),
            // 500 in cross.stream, although it is the client that has to change something.
            (r#"-X POST "$BASE/append/a..b""#, 400),
            (r#""$BASE/nonsense""#, 400),
            (r#"-X DELETE "$BASE/nonsense""#, 400),
            (r#"-X POST "$BASE/nonsense/at/all""#, 404),
            (r#""$BASE/03BCPN2DNQ529QRQKBQCZ4JV4""#, 404),
            (r#"-X DELETE "$BASE/03BCPN2DNQ529QRQKBQCZ4JV4""#, 204),
        ] {
            let answer = shell.ask(&format!("curl $ASK {request}"));
            assert_eq!(answer.status, status, "{request}: {answer:?}");
            if status != 204 {
                let error = json(&answer.body);
                assert!(error["error"]["kind"].is_string() && error["error"]["message"].is_string(), "{answer:?}");
            }
        }
    }
}

#[test]
fn parameters_are_bare_words_too() {
    for way in WAYS {
        let Some(shell) = Shell::start(way) else { return };
        let frames = ["a", "b", "a.c"].map(|topic| shell.append(topic));
        let cat = |query: &str| shell.sh(&format!(r#"curl $VIA "$BASE/?{query}""#));
        let some =
            |range: std::ops::Range<usize>| frames[range].iter().map(|line| format!("{line}\n")).collect::<String>();
        assert_eq!(cat("new"), "");
        assert_eq!(cat("new=true"), "");
        for off in ["new=false", "follow=false", "follow=no"] {
            assert_eq!(cat(&format!("{off}&last=3")), some(0..3), "{off}");
        }
        assert_eq!(cat("last=2"), some(1..3));
        assert_eq!(cat(&format!("after={}", id(&frames[0]))), some(1..3));
        assert_eq!(cat(&format!("from={}&limit=2", id(&frames[0]))), some(0..2));
        assert_eq!(cat(&format!("from={}&after={}", id(&frames[1]), id(&frames[2]))), some(1..3));
        assert_eq!(cat("topic=a.*"), some(2..3));
        assert_eq!(cat("topic=b,a.*"), some(1..3));
        assert_eq!(cat("topic=b%2Ca.%2A"), some(1..3));
        assert_eq!(cat("topic=*&last=1"), some(2..3));
        for timed in ["with-timestamp", "with-timestamp=", "with-timestamp=true"] {
            for path in [format!("?last=1&{timed}"), format!("{}?{timed}", id(&frames[2])), format!("last?{timed}")] {
                let line = shell.sh(&format!(r#"curl $VIA "$BASE/{path}""#));
                let plain = frames[2].strip_suffix('}').unwrap();
                assert!(line.starts_with(&format!("{plain},\"timestamp\":\"20")), "{path}: {line}");
            }
        }
    }
}

#[test]
fn a_follower_sees_history_the_seam_and_what_comes() {
    for way in WAYS {
        let Some(shell) = Shell::start(way) else { return };
        let first = shell.append("a");
        let mut cat = shell.run(r#"curl $VIA -N "$BASE/?follow&limit=2&topic=a""#);
        assert_eq!(cat.line(), first);
        assert!(is_threshold(&cat.line()));
        shell.append("b");
        let second = shell.append("a");
        assert_eq!(cat.line(), second);
        cat.ends();

        // The head comes before there is a frame; curl shows it at once only in what it says beside.
        let mut new = shell.run(r#"curl $VIA -N -v "$BASE/?follow&new&limit=1" 2>&1"#);
        let until = |new: &mut Running, wanted: &dyn Fn(&str) -> bool| loop {
            match new.line() {
                line if wanted(&line) => return line,
                _ => {}
            }
        };
        until(&mut new, &|line| line.starts_with("< HTTP/1.1 200"));
        until(&mut new, &|line| line.starts_with("< content-type: application/x-ndjson"));
        until(&mut new, &|line| line.trim() == "<");
        let third = shell.append("a");
        until(&mut new, &|line| line == third);

        let mut last = shell.run(r#"curl $VIA -N "$BASE/last/a?follow=true&last=2""#);
        assert_eq!([last.line(), last.line()], [second, third]);
        assert!(is_threshold(&last.line()));
        let fourth = shell.append("a");
        assert_eq!(last.line(), fourth);

        let mut pulses = shell.run(r#"curl $VIA -N "$BASE/?follow=20&topic=none""#);
        assert!(is_threshold(&pulses.line()));
        for _ in 0..3 {
            let pulse = pulses.line();
            assert!(
                pulse.starts_with(r#"{"topic":"xs.pulse","id":""#) && pulse.ends_with(r#""ttl":"ephemeral"}"#),
                "{pulse}"
            );
        }
    }
}

#[test]
fn events_come_as_documented_and_resume() {
    for way in WAYS {
        let Some(shell) = Shell::start(way) else { return };
        let first = shell.append("a");
        let event = |events: &mut Running| {
            let (id, data) = (events.line(), events.line());
            assert_eq!(events.line(), "");
            let (id, data) =
                (id.strip_prefix("id: ").unwrap().to_owned(), data.strip_prefix("data: ").unwrap().to_owned());
            assert_eq!(json(&data)["id"], Value::from(id));
            data
        };
        let mut events = shell.run(r#"curl $VIA -N -i -H "Accept: text/event-stream" "$BASE/?follow=true&topic=a""#);
        let head = events.head();
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("content-type: text/event-stream"), "{head}");
        assert_eq!(event(&mut events), first);
        let threshold = event(&mut events);
        assert!(is_threshold(&threshold));
        let second = shell.append("a");
        assert_eq!(event(&mut events), second);
        drop(events);
        let third = shell.append("a");
        // As a browser comes back, after a frame or after the seam.
        for (seen, missed) in
            [(id(&second), vec![&third]), (id(&threshold), vec![&second, &third]), (id(&first), vec![&second, &third])]
        {
            let mut events = shell.run(&format!(
                r#"curl $VIA -N -H "Accept: text/event-stream" -H "Last-Event-ID: {seen}" "$BASE/?follow=true&topic=a&last=1""#
            ));
            for frame in missed {
                assert_eq!(event(&mut events), *frame);
            }
            assert!(is_threshold(&event(&mut events)));
        }
    }
}

const CHUNKED: &str = r#"-X POST -H "Transfer-Encoding: chunked" -H "Content-Type:" --data-binary"#;

/// An absolute request target; over a socket no `Host`; both kinds of `Accept`; bodies in chunks, empty
/// ones too.
#[test]
fn what_the_client_of_cross_stream_sends_is_understood() {
    for way in WAYS {
        let Some(mut shell) = Shell::start(way) else { return };
        // That client writes a port as an address.
        shell.base = shell.base.replace("localhost:", "127.0.0.1:");
        let host = if way == Way::Socket { "-H Host:" } else { "" };
        let send = |path: &str, more: &str| {
            shell.sh(&format!(
                r#"curl $VIA -f {host} --request-target "$BASE/{path}" -H "User-Agent: xs/0.1" -H "Accept: */*" \
                    {more} "$BASE/{path}""#
            ))
        };
        let path = shell.dir.path();
        fs::write(path.join("hello"), "hello").unwrap();
        fs::write(path.join("empty"), "").unwrap();
        let meta = r#"-H "xs-meta: $(printf '%s' '{"a":1}' | base64)""#;
        let first = send("append/note?ttl=last:3", &format!("{meta} {CHUNKED} @hello"));
        let hash = xs::ContentHash::of(b"hello");
        assert!(first.ends_with(&format!(r#""hash":"{hash}","meta":{{"a":1}},"ttl":"last:3"}}"#)), "{first}");
        let second = send("append/note?with-timestamp=true", &format!("{CHUNKED} @empty"));
        assert!(second.contains(r#""hash":null,"#) && json(&second)["timestamp"].is_string(), "{second}");
        let second = send(&id(&second), "");
        assert_eq!(send("?topic=note", ""), format!("{first}\n{second}\n"));
        assert_eq!(send("?new=true", ""), "");
        assert_eq!(send(&format!("?after={}&limit=1", id(&first)), ""), format!("{second}\n"));
        let events = send("?last=1", r#"-H "Accept: text/event-stream""#);
        assert_eq!(events, format!("id: {}\ndata: {second}\n\n", id(&second)));
        assert_eq!(send("last/note", ""), second);
        assert_eq!(send("last/note?last=2", ""), format!("{first}\n{second}\n"));
        assert_eq!(send("last?last=2", ""), format!("{first}\n{second}\n"));
        assert_eq!(send("cas", &format!("{CHUNKED} @hello")), hash.to_string());
        assert_eq!(send(&format!("cas/{hash}"), ""), "hello");
        fs::write(path.join("frame"), &first).unwrap();
        assert_eq!(send("import", &format!("{CHUNKED} @frame")), first);
        assert_eq!(send(&id(&first), "-X DELETE"), "");
        assert_eq!(send("?topic=note", ""), format!("{second}\n"));
        // What an address with a name and a password adds, where nothing asks for it.
        assert!(json(&send("version", "-u xs:secret"))["version"].is_string());
    }
}

/// The words and flags that the functions of `xs.nu` call `xs` with.
#[test]
fn what_xs_nu_calls_is_understood() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("store"));
    let addr = server.addr();
    let append = ["append", addr, "a", "--meta", r#"{"a":1}"#, "--ttl", "last:3", "--with-timestamp"];
    let first = json(&ok(&append, b"content"));
    assert!(first["timestamp"].is_string());
    let first = json(&ok(&["get", addr, first["id"].as_str().unwrap()], b""));
    let second = json(&ok(&["append", addr, "b"], b""));
    let both = [first.clone(), second.clone()];
    let call = |word, args: &[&str]| {
        let words: Vec<&str> = [word, addr].into_iter().chain(args.iter().copied()).collect();
        lines(&ok(&words, b""))
    };
    let cat = |flags: &[&str]| call("cat", flags);
    let (one, two) = (first["id"].as_str().unwrap(), second["id"].as_str().unwrap());
    assert_eq!(cat(&["--from", one]), both);
    assert_eq!(cat(&["--after", one, "--limit", "5", "--topic", "a,b"]), both[1..]);
    assert_eq!(cat(&["--last", "2"]), both);
    assert!(cat(&["--last", "1", "--with-timestamp"])[0]["timestamp"].is_string());
    // A pulse alone follows.
    assert_eq!(cat(&["--pulse", "60000", "--limit", "2", "--from", one]), both);
    assert_eq!(cat(&["--follow", "--limit", "1", "--topic", "b"]), both[1..]);
    // No topic starts with a digit: a number is how many.
    let last = |args: &[&str]| call("last", args);
    assert_eq!(last(&[]), both[1..]);
    assert_eq!(last(&["a"]), both[..1]);
    assert_eq!(last(&["2"]), both);
    assert_eq!(last(&["a", "5"]), both[..1]);
    assert!(last(&["a", "--with-timestamp"])[0]["timestamp"].is_string());
    let hash = first["hash"].as_str().unwrap();
    assert_eq!(ok(&["cas", addr, hash], b""), "content");
    assert_eq!(ok(&["cas-post", addr], b"content").trim_end(), hash);
    assert_eq!(json(&ok(&["import", addr], first.to_string().as_bytes())), first);
    assert_eq!(ok(&["remove", addr, two], b""), "");
    assert_eq!(last(&[]), both[..1]);
}

/// Frames of every kind: with and without content, the same content twice, binary content, a meta whose
/// text matters, an id that was imported.
fn fill(shell: &Shell) {
    for topic in ["a", "a", "b.c"] {
        shell.append(topic);
    }
    shell.sh(r#"curl $VIA -f -X POST "$BASE/append/bare""#);
    shell.sh(r#"curl $VIA -f -H "xs-meta: $(printf '%s' '{"z":1.50,"a":[]}' | base64)" "$BASE/append/meta?ttl=last:7" --data x"#);
    fs::write(shell.dir.path().join("binary"), (0..=255).cycle().take(300_000).collect::<Vec<u8>>()).unwrap();
    shell.sh(r#"curl $VIA -f --data-binary @binary "$BASE/append/binary""#);
    shell.sh(r#"curl $VIA -f --data '{"topic":"old","id":"03BCPN2DNQ529QRQKBQCZ4JV4"}' "$BASE/import""#);
}

/// As `.export` does it: all frames, and each content under the base64 of its hash.
const EXPORT: &str = r#"
    mkdir -p backup/cas
    curl $VIA -f "$BASE/" > backup/frames.jsonl
    sed -n 's/.*"hash":"\([^"]*\)".*/\1/p' backup/frames.jsonl | sort -u | while read -r hash; do
        curl $VIA -f "$BASE/cas/$hash" > "backup/cas/$(printf '%s' "$hash" | base64 | tr -d '\n')"
    done
"#;

/// As `.import` does it: each content, whose hash has to be the one of its name, then each frame.
const IMPORT: &str = r#"
    for file in backup/cas/*; do
        want=$(basename "$file" | base64 -d)
        got=$(curl $VIA -f --data-binary "@$file" "$BASE/cas")
        [ "$got" = "$want" ]
    done
    while IFS= read -r frame; do
        printf '%s' "$frame" | curl $VIA -f -o /dev/null --data-binary @- "$BASE/import"
    done < backup/frames.jsonl
"#;

/// Every file of a backup, with its bytes.
fn files(backup: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![("frames.jsonl".to_owned(), fs::read(backup.join("frames.jsonl")).unwrap())];
    for entry in fs::read_dir(backup.join("cas")).unwrap().map(Result::unwrap) {
        files.push((entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()));
    }
    files.sort();
    files
}

/// What a store holds is what a backup holds, but for the frames that its own server appended.
fn holds(server: &Server, backup: &Path) {
    let frames = fs::read_to_string(backup.join("frames.jsonl")).unwrap();
    let imported: BTreeSet<&str> = frames.lines().collect();
    let held = ok(&["cat", server.addr()], b"");
    let (held, own): (Vec<&str>, Vec<&str>) = held.lines().partition(|line| imported.contains(line));
    assert_eq!(held.len(), imported.len(), "frames are missing");
    assert!(held.is_sorted_by_key(|line| id(line)));
    assert!(own.iter().all(|line| line.starts_with(r#"{"topic":"xs."#)), "{own:?}");
    for (name, bytes) in files(backup).iter().filter(|(name, _)| name != "frames.jsonl") {
        let hash = xs::ContentHash::of(bytes).to_string();
        let (status, _, body) = server.call("GET", &format!("/cas/{hash}"), "");
        assert!(status == 200 && body == *bytes, "{name}");
    }
}

#[test]
fn a_directory_that_export_of_cross_stream_wrote_is_imported() {
    let Some(shell) = Shell::start(Way::Socket) else { return };
    fill(&shell);
    shell.sh(EXPORT);
    let backup = shell.dir.path().join("backup");
    assert_eq!(files(&backup).len(), 5, "the frames, and four contents");
    let copy = Server::start(&shell.dir.path().join("copy"));
    let path = backup.to_str().unwrap();
    // The same again changes nothing.
    for _ in 0..2 {
        ok(&["import", copy.addr(), path], b"");
        holds(&copy, &backup);
    }
    // Content that is not what its name says is refused, by that name, before any frame comes in.
    let (name, _) = files(&backup).into_iter().find(|(name, _)| name != "frames.jsonl").unwrap();
    fs::write(backup.join("cas").join(&name), "something else").unwrap();
    let other = Server::start(&shell.dir.path().join("other"));
    let refused = fails(&["import", other.addr(), path], b"");
    assert!(refused.contains(&name) || refused.contains("sha256-"), "{refused}");
    assert_eq!(lines(&ok(&["cat", other.addr()], b"")).len(), 1, "frames came in without their content");
}

#[test]
fn what_export_writes_is_what_import_of_cross_stream_reads() {
    let Some(shell) = Shell::start(Way::Port) else { return };
    fill(&shell);
    // By way of the port, so that nothing of it depends on files.
    let addr = shell.base.clone();
    ok(&["export", &addr, shell.dir.path().join("ours").to_str().unwrap()], b"");
    shell.sh(EXPORT);
    let (ours, theirs) = (files(&shell.dir.path().join("ours")), files(&shell.dir.path().join("backup")));
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&ours), names(&theirs));
    assert!(ours == theirs, "the same files hold other bytes");

    let Some(copy) = Shell::start(Way::Socket) else { return };
    fs::rename(shell.dir.path().join("ours"), copy.dir.path().join("backup")).unwrap();
    copy.sh(IMPORT);
    holds(&copy.server, &copy.dir.path().join("backup"));
}
