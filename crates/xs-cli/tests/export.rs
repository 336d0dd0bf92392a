//! Stores written into directories and read back: all of it, once, whole, and on from where it was cut
//! short.
#![cfg(all(unix, feature = "fjall", feature = "cas-fs"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use support::{Server, fails, json, lines, ok, run, wait_until, xs};

fn start(dir: &Path, name: &str) -> Server {
    Server::start(&dir.join(name))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Every file below a directory, with its bytes.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files(&entry.path())),
            false => drop(found.insert(entry.path(), fs::read(entry.path()).unwrap())),
        }
    }
    found
}

/// Frames but those of the servers, as lines.
fn frames(server: &Server) -> Vec<String> {
    let all = ok(&["cat", server.addr()], b"");
    all.lines().filter(|line| !line.contains(r#"{"topic":"xs."#)).map(str::to_owned).collect()
}

/// Contents of all sizes, one of them under many frames.
fn fill(server: &Server) {
    let addr = server.addr();
    for n in 0..30 {
        let size = [0, 1, 5, 70_000, 300_000][n % 5];
        let content = vec![u8::try_from(n).unwrap(); size];
        ok(&["append", addr, &format!("topic.{}", n % 7), "--meta", r#"{"z":1.50, "a":[]}"#], &content);
        ok(&["append", addr, "same"], b"the same content");
    }
}

#[test]
fn a_store_comes_back_from_its_export() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), "store");
    fill(&server);
    let dump = dir.path().join("deep/dump");
    let exported = json(&ok(&["export", server.addr(), text(&dump)], b""));
    assert_eq!((&exported["frames"], &exported["contents"]), (&61.into(), &25.into()));
    assert_eq!(fs::read_to_string(dump.join("frames.jsonl")).unwrap(), ok(&["cat", server.addr()], b""));
    assert_eq!(files(&dump).len(), 26, "a content is there twice, or something was left behind");

    let copy = start(dir.path(), "copy");
    let before = frames(&copy);
    assert!(before.is_empty());
    // The same again changes nothing.
    for _ in 0..2 {
        let imported = json(&ok(&["import", copy.addr(), text(&dump)], b""));
        assert_eq!((&imported["frames"], &imported["contents"]), (&61.into(), &25.into()));
        assert_eq!(frames(&copy), frames(&server));
    }
    for frame in frames(&server) {
        if let Some(hash) = json(&frame)["hash"].as_str() {
            let [here, there] = [&server, &copy].map(|server| run(&["cas", server.addr(), hash], b"").stdout);
            assert!(here == there && !here.is_empty(), "{hash}");
        }
    }
}

#[test]
fn an_export_that_was_cut_short_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), "store");
    fill(&server);
    let (addr, dump) = (server.addr(), dir.path().join("dump"));
    ok(&["export", addr, text(&dump)], b"");
    let whole = files(&dump);
    assert!(fails(&["export", addr, text(&dump)], b"").contains("something else"), "it is finished");

    // As a kill leaves it: frames that end in the middle, contents that are missing, cut off or damaged.
    fs::rename(dump.join("frames.jsonl"), dump.join("frames.jsonl.unfinished")).unwrap();
    fs::write(dump.join("frames.jsonl.unfinished"), r#"{"topic":"xs.sta"#).unwrap();
    let contents: Vec<&PathBuf> = whole.keys().filter(|path| path.parent().unwrap().ends_with("cas")).collect();
    fs::remove_file(contents[0]).unwrap();
    fs::write(contents[1], "").unwrap();
    fs::write(contents[2], [&b"damaged "[..], &whole[contents[2]]].concat()).unwrap();
    fs::write(dump.join("cas/.partial"), "half of it").unwrap();
    let kept: Vec<u64> = contents[3..].iter().map(|path| path.metadata().unwrap().ino()).collect();
    assert!(fails(&["import", addr, text(&dump)], b"").contains("cut short"));
    ok(&["export", addr, text(&dump)], b"");
    assert!(files(&dump) == whole, "it is not what it was");
    let now: Vec<u64> = contents[3..].iter().map(|path| path.metadata().unwrap().ino()).collect();
    assert_eq!(now, kept, "what was whole was fetched again");
}

#[test]
fn an_export_that_is_killed_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), "store");
    for n in 0..200 {
        let (status, _, _) = server.post("/append/a", "", &format!("{n} {}", "x".repeat(50_000)));
        assert_eq!(status, 200);
    }
    let dump = dir.path().join("dump");
    let arguments = ["export", server.addr(), text(&dump)];
    let mut child = xs().args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // However fast it is: one that was through by then is a store that came out in one go.
    wait_until("some content is there", || {
        child.try_wait().unwrap().is_some() || fs::read_dir(dump.join("cas")).is_ok_and(|cas| cas.count() > 20)
    });
    child.kill().unwrap();
    let was_through = child.wait().unwrap().success() || dump.join("frames.jsonl").exists();
    if !was_through {
        assert_eq!(json(&ok(&arguments, b""))["contents"], 200);
    }
    assert_eq!(fs::read_to_string(dump.join("frames.jsonl")).unwrap(), ok(&["cat", server.addr()], b""));
    assert_eq!(files(&dump).len(), 201);
}

#[test]
fn two_exports_do_not_write_into_one_directory() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), "store");
    fill(&server);
    let dump = dir.path().join("dump");
    fs::create_dir_all(dump.join("cas")).unwrap();
    fs::write(dump.join("cas/.partial"), "half of it").unwrap();
    let unfinished = dump.join("frames.jsonl.unfinished");
    fs::write(&unfinished, "what the other one writes").unwrap();
    let held = fs::OpenOptions::new().write(true).open(&unfinished).unwrap();
    held.lock().unwrap();
    let before = files(&dump);
    assert!(fails(&["export", server.addr(), text(&dump)], b"").contains("another export is writing there"));
    assert!(files(&dump) == before, "it was written to");
    held.unlock().unwrap();
    ok(&["export", server.addr(), text(&dump)], b"");
    assert_eq!(fs::read_to_string(dump.join("frames.jsonl")).unwrap(), ok(&["cat", server.addr()], b""));
}

#[test]
fn frames_whose_content_is_nowhere_are_not_imported() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), "store");
    ok(&["append", server.addr(), "a"], b"precious");
    let frame = json(&ok(&["append", server.addr(), "b"], b"other"));
    let hash = frame["hash"].as_str().unwrap();
    let dump = dir.path().join("dump");
    ok(&["export", server.addr(), text(&dump)], b"");
    let (lost, _) = files(&dump.join("cas")).into_iter().find(|(_, bytes)| bytes == b"other").unwrap();
    fs::remove_file(lost).unwrap();
    let copy = start(dir.path(), "copy");
    let said = fails(&["import", copy.addr(), text(&dump)], b"");
    assert!(said.contains("line 3") && said.contains(hash), "{said}");
    let there = lines(&ok(&["cat", copy.addr()], b""));
    assert!(there.len() == 1 && there[0]["topic"] == "xs.start", "{there:?}");
    // What the server has needs no file.
    ok(&["cas-post", copy.addr()], b"other");
    ok(&["import", copy.addr(), text(&dump)], b"");
    assert_eq!(frames(&copy), frames(&server));
}

#[test]
fn nothing_on_standard_input_imports_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), "store");
    assert_eq!(ok(&["import", server.addr()], b""), "");
    assert!(frames(&server).is_empty());
}

#[test]
fn what_is_in_the_way_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), "store");
    let other = dir.path().join("other");
    fs::create_dir_all(other.join("cas")).unwrap();
    fs::write(other.join("cas/precious"), "precious").unwrap();
    for there in [&other, &server.path] {
        let before = fs::read_dir(there).unwrap().count();
        assert!(fails(&["export", server.addr(), text(there)], b"").contains("something else"));
        assert_eq!(fs::read_dir(there).unwrap().count(), before);
    }
    assert_eq!(fs::read_to_string(other.join("cas/precious")).unwrap(), "precious");
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    fails(&["export", server.addr(), text(&file)], b"");
    // A server that is not there makes no directory.
    let nowhere = dir.path().join("nowhere");
    assert!(fails(&["export", text(&nowhere), text(&dir.path().join("dump"))], b"").contains("xs serve"));
    assert!(!dir.path().join("dump").exists());
}

#[test]
fn content_that_the_store_has_lost_is_no_export() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), "store");
    let frame = json(&ok(&["append", server.addr(), "a"], b"precious"));
    let hash = frame["hash"].as_str().unwrap();
    let stored = files(&server.path.join("cas")).into_iter().find(|(_, bytes)| bytes == b"precious").unwrap().0;
    let dump = dir.path().join("dump");
    for damage in [Some("pRecious"), None] {
        match damage {
            Some(bytes) => fs::write(&stored, bytes).unwrap(),
            None => fs::remove_file(&stored).unwrap(),
        }
        let said = fails(&["export", server.addr(), text(&dump)], b"");
        for named in [frame["id"].as_str().unwrap(), hash, "--allow-missing"] {
            assert!(said.contains(named), "{said}");
        }
        assert!(!dump.join("frames.jsonl").exists(), "it looks finished");
    }
    // Once it is there again, the same export is through.
    fs::write(&stored, "precious").unwrap();
    ok(&["export", server.addr(), text(&dump)], b"");
    let content = files(&dump.join("cas"));
    assert_eq!(content.len(), 1, "{hash}");
    assert!(content.values().all(|bytes| bytes == b"precious"));
}

#[test]
fn an_export_goes_on_without_lost_content_where_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), "store");
    let big = vec![b'y'; 900_000];
    let contents = [&b"missing"[..], b"damaged", &big, b"sound"];
    let hashes = contents.map(|content| {
        // Two frames, of which one tells.
        ok(&["append", server.addr(), "a"], content);
        json(&ok(&["append", server.addr(), "a"], content))["hash"].as_str().unwrap().to_owned()
    });
    let stored = files(&server.path.join("cas"));
    let place = |content: &[u8]| stored.iter().find(|(_, bytes)| *bytes == content).unwrap().0;
    fs::remove_file(place(b"missing")).unwrap();
    fs::write(place(b"damaged"), "dAmaged").unwrap();
    // Which only shows when most of it has been sent.
    fs::write(place(&big), [&big[1..], b"Y"].concat()).unwrap();

    let dump = dir.path().join("dump");
    let export = ["export", "--allow-missing", server.addr(), text(&dump)];
    // What one that was cut short has listed counts no more.
    fs::create_dir_all(&dump).unwrap();
    fs::write(dump.join("frames.jsonl.unfinished"), "").unwrap();
    fs::write(dump.join("missing.jsonl"), "nonsense").unwrap();
    let output = run(&export, b"");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let exported = json(std::str::from_utf8(&output.stdout).unwrap());
    assert_eq!([&exported["frames"], &exported["contents"], &exported["left_out"]], [9, 1, 3], "{exported}");
    assert_eq!(said.lines().count(), 4, "{said}");
    for hash in &hashes[..3] {
        assert_eq!(said.matches(hash.as_str()).count(), 1, "{said}");
    }
    assert!(said.contains("1 missing, 1 damaged, 1 broken off") && said.contains("missing.jsonl"), "{said}");
    let listed = lines(&fs::read_to_string(dump.join("missing.jsonl")).unwrap());
    let listed: BTreeMap<&str, &str> =
        listed.iter().map(|line| (line["hash"].as_str().unwrap(), line["why"].as_str().unwrap())).collect();
    let expected: BTreeMap<&str, &str> =
        hashes.iter().map(String::as_str).zip(["missing", "damaged", "broken-off"]).collect();
    assert_eq!(listed, expected);
    assert_eq!(fs::read_to_string(dump.join("frames.jsonl")).unwrap(), ok(&["cat", server.addr()], b""));
    assert_eq!(files(&dump.join("cas")).len(), 1, "something was left behind");

    let copy = start(dir.path(), "copy");
    let imported = json(&ok(&["import", copy.addr(), text(&dump)], b""));
    assert_eq!([&imported["frames"], &imported["contents"], &imported["left_out"]], [9, 1, 3], "{imported}");
    assert_eq!(frames(&copy), frames(&server));
    // What is not listed is missed.
    let other = start(dir.path(), "other");
    let list = fs::read_to_string(dump.join("missing.jsonl")).unwrap();
    let shorter: String =
        list.lines().filter(|line| !line.contains(&hashes[1])).map(|line| format!("{line}\n")).collect();
    fs::write(dump.join("missing.jsonl"), shorter).unwrap();
    assert!(fails(&["import", other.addr(), text(&dump)], b"").contains(&hashes[1]));
    fs::write(dump.join("missing.jsonl"), format!("{list}nonsense\n")).unwrap();
    let said = fails(&["import", other.addr(), text(&dump)], b"");
    assert!(said.contains("missing.jsonl") && said.contains("line 4"), "{said}");
    assert!(frames(&other).is_empty());
}

#[test]
fn what_is_no_export_is_not_imported() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), "store");
    ok(&["append", server.addr(), "a"], b"precious");
    let dump = dir.path().join("dump");
    ok(&["export", server.addr(), text(&dump)], b"");
    let copy = start(dir.path(), "copy");
    let import = || fails(&["import", copy.addr(), text(&dump)], b"");

    let (content, _) = files(&dump.join("cas")).into_iter().next().unwrap();
    fs::write(&content, "pRecious").unwrap();
    let said = import();
    assert!(said.contains("damaged") && said.contains("sha256-"), "{said}");
    fs::write(&content, "precious").unwrap();
    fs::write(dump.join("cas/notes"), "precious").unwrap();
    assert!(import().contains("notes"));
    fs::remove_file(dump.join("cas/notes")).unwrap();
    fs::write(dump.join("cas/.DS_Store"), "").unwrap();
    let text_of_frames = fs::read_to_string(dump.join("frames.jsonl")).unwrap();
    fs::write(dump.join("frames.jsonl"), format!("{text_of_frames}{{\"topic\":\"a\"}}\n")).unwrap();
    let said = import();
    assert!(said.contains("line 3") && said.contains("frames.jsonl"), "{said}");
    fs::write(dump.join("frames.jsonl"), "").unwrap();
    let imported = json(&ok(&["import", copy.addr(), text(&dump)], b""));
    assert_eq!((&imported["frames"], &imported["contents"]), (&0.into(), &1.into()));
    fs::remove_file(dump.join("frames.jsonl")).unwrap();
    assert!(import().contains("no export"));
    fs::write(dump.join("frames.jsonl"), text_of_frames).unwrap();
    ok(&["import", copy.addr(), text(&dump)], b"");
    assert_eq!(frames(&copy), frames(&server));
    assert_eq!(lines(&ok(&["last", copy.addr(), "a"], b""))[0]["topic"], "a");
}
