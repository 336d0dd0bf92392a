//! `xs import`: frames as they are, ids included.

mod piped;
mod requests;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use clap::Args;
use futures::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use indicatif::{HumanCount, ProgressBar};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use xs::{Content, ContentHash, Error, ErrorKind, Frame};
use xs_client::Client;
use xs_wire::{FRAME_LINE_BYTES_MAX, LineSplitter};

use super::export::{hash_of, in_background};
use crate::archive;
use crate::args::{Common, Target};
use crate::failure::{Failure, Result};
use crate::terminal::{self, progress};
use crate::{connect, output};

/// Contents that are sent at a time.
const CONTENTS_AT_ONCE: usize = 8;
/// How much of a file is read at a time.
const READ_BYTES: usize = 256 * 1024;

#[derive(Debug, Args)]
pub(crate) struct Import {
    #[command(flatten)]
    pub(crate) target: Target,
    /// A directory that export wrote, or .export of cross.stream; frames from standard input when left out
    dir: Option<PathBuf>,
}

pub(crate) async fn run(args: Import, common: &Common) -> Result<()> {
    match args.dir {
        None => piped::import(&args.target, common).await,
        Some(dir) => from_directory(&dir, &args.target, common).await,
    }
}

/// What a reader gives, in pieces.
fn chunks(reader: impl AsyncRead + Send + Unpin + 'static) -> impl Stream<Item = xs::Result<Bytes>> + Send {
    stream::try_unfold(reader, |mut reader| async move {
        let mut chunk = BytesMut::with_capacity(READ_BYTES);
        match reader.read_buf(&mut chunk).await {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some((chunk.freeze(), reader))),
            Err(error) => {
                Err(Error::new(ErrorKind::InvalidInput, format!("reading what is imported: {error}"))
                    .with_source(error))
            }
        }
    })
}

async fn from_directory(dir: &Path, target: &Target, common: &Common) -> Result<()> {
    if !archive::is_one(dir) {
        let what = match archive::unfinished(dir).exists() {
            true => "the export into it was cut short: give the same export again",
            false => "it holds no frames.jsonl",
        };
        return Err(Failure::new(format!("{} is no export: {what}", dir.display())));
    }
    let client = connect::client(target, common)?;
    // What answers anything with success, as a web server at a wrong address does, would pass for one that stores it.
    client.version().await.map_err(|error| Failure::of_call(&error))?;
    let bar = progress::bar(1000)?;
    // Content first, so that no frame refers to what is not there yet.
    let imported = async {
        let (contents, left_out) = contents(&client, dir, &bar).await?;
        Ok::<_, Failure>((frames(&client, dir, &bar).await?, contents, left_out))
    };
    let imported = imported.await;
    bar.finish_and_clear();
    let (frames, contents, left_out) = imported?;
    if !terminal::person_reads(common) {
        let imported = serde_json::json!({"frames": frames, "contents": contents, "left_out": left_out});
        return output::print_line(&imported.to_string());
    }
    let left_out = match left_out {
        0 => String::new(),
        left_out => format!(", {} contents left out of the export", HumanCount(left_out)),
    };
    output::print_line(&format!("{} frames and {} contents{left_out}", HumanCount(frames), HumanCount(contents)))
}

/// Sends each content, after all of them were found to be what their names say. Returns how many there
/// are, and how many the export was made without.
async fn contents(client: &Client, dir: &Path, bar: &ProgressBar) -> Result<(u64, u64)> {
    let (listed, mut left_out) = {
        let dir = dir.to_owned();
        in_background(move || Ok((list(&archive::contents(&dir))?, left_out(&dir)?))).await?
    };
    // Some may have been found elsewhere since, and put there.
    for hash in &listed {
        left_out.remove(hash);
    }
    all_there(client, dir, &listed, &left_out, bar).await?;
    let left_out = u64::try_from(left_out.len()).unwrap_or(u64::MAX);
    let all = u64::try_from(listed.len()).unwrap_or(u64::MAX);
    bar.set_position(0);
    bar.set_length(all.saturating_mul(2).max(1));
    let checks = listed.iter().map(|hash| check(archive::content(dir, *hash), *hash));
    let mut checked = stream::iter(checks).buffer_unordered(CONTENTS_AT_ONCE);
    while checked.try_next().await?.is_some() {
        bar.inc(1);
        bar.set_message("checking contents");
    }
    drop(checked);
    let sends = listed.iter().map(|hash| send(client, archive::content(dir, *hash), *hash));
    let mut sent = stream::iter(sends).buffer_unordered(CONTENTS_AT_ONCE);
    while sent.try_next().await?.is_some() {
        bar.inc(1);
        bar.set_message("sending contents");
    }
    Ok((all, left_out))
}

/// Fails where the content of a frame is neither among these nor known to the server, unless the export
/// itself says that it was made without: a store that names what it does not have could not be exported again.
async fn all_there(
    client: &Client,
    dir: &Path,
    listed: &[ContentHash],
    left_out: &HashSet<ContentHash>,
    bar: &ProgressBar,
) -> Result<()> {
    let path = archive::frames(dir);
    let listed: HashSet<ContentHash> = listed.iter().copied().collect();
    let mut source = Source::open(&path, bar.clone(), "checking frames").await?;
    // With the first line that names it.
    let mut missing: HashMap<ContentHash, u64> = HashMap::new();
    while let Some(frame) = source.next().await.map_err(|error| Failure::of_call(&error))? {
        if let Some(hash) = frame.hash.filter(|hash| !listed.contains(hash) && !left_out.contains(hash)) {
            missing.entry(hash).or_insert(source.line);
        }
    }
    let path = &path;
    let asked = missing.into_iter().map(|(hash, line)| async move {
        match client.content_info(hash).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Failure::new(format!(
                "{}, line {line}: its content {hash} is neither in the export nor on the server; nothing was imported",
                path.display()
            ))),
            // It names the content.
            Err(error) => Err(Failure::of_call(&error)),
        }
    });
    let mut asked = stream::iter(asked).buffer_unordered(CONTENTS_AT_ONCE);
    while asked.try_next().await?.is_some() {}
    Ok(())
}

/// The contents in a directory, if it is there: a store may have none.
fn list(dir: &Path) -> Result<Vec<ContentHash>> {
    let doing = |error: io::Error| Failure::io(&format!("reading {}", dir.display()), &error);
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(doing(error)),
    };
    let mut listed = Vec::new();
    for entry in entries {
        let entry = entry.map_err(doing)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // What a system leaves in every directory.
        if name.starts_with('.') {
            continue;
        }
        listed.push(archive::hash(&name).ok_or_else(|| {
            Failure::new(format!("{} is no content: its name is not the base64 of a hash", entry.path().display()))
        })?);
    }
    Ok(listed)
}

/// The contents that the export was made without.
fn left_out(dir: &Path) -> Result<HashSet<ContentHash>> {
    let reading = |error: io::Error| Failure::io(&format!("reading {}", archive::missing(dir).display()), &error);
    archive::left_out(dir).map_err(reading)
}

/// Fails where a content is not what its name says.
async fn check(path: PathBuf, hash: ContentHash) -> Result<()> {
    in_background(move || {
        let found = hash_of(&path).map_err(|error| Failure::io(&format!("reading {}", path.display()), &error))?;
        match found == hash {
            true => Ok(()),
            false => Err(differs(&path, hash, found)),
        }
    })
    .await
}

fn differs(path: &Path, hash: ContentHash, found: ContentHash) -> Failure {
    Failure::new(format!("{} is damaged: it is to be {hash}, and is {found}", path.display()))
}

/// Sends a content, also where the server has it: that it is there does not say that it is sound, and storing it
/// again mends what is damaged.
async fn send(client: &Client, path: PathBuf, hash: ContentHash) -> Result<()> {
    let doing = |error: io::Error| Failure::io(&format!("reading {}", path.display()), &error);
    let of_call = |error: Error| Failure::of_call(&error).context(format_args!("content {hash}"));
    let file = tokio::fs::File::open(&path).await.map_err(doing)?;
    match client.put(Content::stream(chunks(file))).await.map_err(of_call)? {
        Some(found) if found != hash => Err(differs(&path, hash, found)),
        // Content of no bytes is none, and is stored by nobody.
        _ => Ok(()),
    }
}

/// Sends the frames. Returns how many there are.
async fn frames(client: &Client, dir: &Path, bar: &ProgressBar) -> Result<u64> {
    let source = Source::open(&archive::frames(dir), bar.clone(), "sending frames").await?;
    client.import(source.frames()).await.map_err(|error| Failure::of_call(&error))
}

/// The frames of a file.
struct Source {
    path: PathBuf,
    file: tokio::fs::File,
    /// Until it is read to its end.
    is_open: bool,
    lines: LineSplitter,
    /// The number of the line that was last taken.
    line: u64,
    bar: ProgressBar,
}

impl Source {
    async fn open(path: &Path, bar: ProgressBar, doing_what: &'static str) -> Result<Self> {
        let doing = |error: io::Error| Failure::io(&format!("reading {}", path.display()), &error);
        let file = tokio::fs::File::open(path).await.map_err(doing)?;
        bar.set_position(0);
        bar.set_length(file.metadata().await.map_err(doing)?.len().max(1));
        bar.set_message(doing_what);
        let lines = LineSplitter::new(FRAME_LINE_BYTES_MAX);
        Ok(Self { path: path.to_owned(), file, is_open: true, lines, line: 0, bar })
    }

    fn frames(self) -> impl Stream<Item = xs::Result<Frame>> + Send + use<> {
        stream::try_unfold(self, |mut source| async move { Ok(source.next().await?.map(|frame| (frame, source))) })
    }

    async fn next(&mut self) -> xs::Result<Option<Frame>> {
        while let Some(line) = self.next_line().await? {
            self.line += 1;
            if !line.trim_ascii().is_empty() {
                return frame_of(&line).map(Some).map_err(|error| self.wrong(self.line, error));
            }
        }
        Ok(None)
    }

    async fn next_line(&mut self) -> xs::Result<Option<Bytes>> {
        loop {
            if let Some(line) = self.lines.next_line().map_err(|error| self.wrong(self.line + 1, error))? {
                return Ok(Some(line));
            }
            if !self.is_open {
                return Ok(None);
            }
            let mut chunk = BytesMut::with_capacity(READ_BYTES);
            let read = self.file.read_buf(&mut chunk).await;
            let read = read.map_err(|error| Error::io(format_args!("reading {}", self.path.display()), error))?;
            if read == 0 {
                self.is_open = false;
                let rest = self.lines.take_rest();
                return Ok((!rest.is_empty()).then_some(rest));
            }
            self.bar.inc(read as u64);
            self.lines.push(&chunk);
        }
    }

    fn wrong(&self, line: u64, error: Error) -> Error {
        let message = format!("{}, line {line}: {error}", self.path.display());
        Error::new(ErrorKind::InvalidInput, message).with_source(error)
    }
}

fn frame_of(line: &[u8]) -> xs::Result<Frame> {
    match std::str::from_utf8(line) {
        Ok(text) => Frame::from_json(text),
        Err(error) => Err(Error::new(ErrorKind::InvalidInput, format!("not UTF-8: {error}"))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    async fn frames_of(text: &str) -> xs::Result<Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("frames.jsonl");
        fs::write(&path, text).unwrap();
        let source = Source::open(&path, ProgressBar::hidden(), "").await.unwrap();
        source.frames().map_ok(|frame| frame.topic.to_string()).try_collect().await
    }

    fn line(topic: &str) -> String {
        format!(r#"{{"topic":"{topic}","id":"03d4q1qhbiv09ovtuhokw5yxv"}}"#)
    }

    #[tokio::test]
    async fn each_line_is_a_frame() {
        assert_eq!(frames_of("").await.unwrap(), [""; 0]);
        assert_eq!(frames_of("\n\n").await.unwrap(), [""; 0]);
        let text = format!("{}\n\n{}\r\n{}", line("a"), line("b"), line("c"));
        assert_eq!(frames_of(&text).await.unwrap(), ["a", "b", "c"]);
        let many: String = (0..20_000).map(|n| line(&format!("t{n}")) + "\n").collect();
        assert_eq!(frames_of(&many).await.unwrap().len(), 20_000);
    }

    #[tokio::test]
    async fn what_is_wrong_is_named_by_its_line() {
        for bad in ["{", r#"{"topic":"a"}"#, "\u{feff}", &"x".repeat(FRAME_LINE_BYTES_MAX + 1)] {
            let error = frames_of(&format!("{}\n{bad}\n", line("a"))).await.unwrap_err();
            assert!(error.to_string().contains("line 2"), "{error}");
        }
    }

    #[test]
    fn only_contents_are_in_the_directory_of_contents() {
        let dir = tempfile::tempdir().unwrap();
        assert!(list(&dir.path().join("cas")).unwrap().is_empty());
        fs::write(dir.path().join(".DS_Store"), "").unwrap();
        assert!(list(dir.path()).unwrap().is_empty());
        fs::write(dir.path().join("notes"), "").unwrap();
        assert!(format!("{:?}", list(dir.path()).unwrap_err()).contains("notes"));
    }
}
