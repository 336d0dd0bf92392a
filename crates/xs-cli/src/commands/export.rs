//! `xs export`: all frames and their content, as files (`archive` draws them).

mod contents;
mod losses;

use std::fs;
use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _};
use indicatif::{HumanCount, ProgressBar};
use xs::{ContentHash, ContentHasher, Filter, Frame, FrameId, dirs};
use xs_client::Client;

use self::contents::{Contents, Fetched};
use self::losses::Losses;
use crate::archive::{self, Found, Why};
use crate::args::{Common, Target};
use crate::failure::{Failure, Result};
use crate::terminal::{self, progress};
use crate::{connect, history, output, units};

/// Contents that are fetched at a time.
const CONTENTS_AT_ONCE: usize = 8;
/// Contents in a row that cannot be read, after which one that could be is asked for: it may be their store that is
/// away, and not they that are lost.
const UNREADABLE_MAX: usize = 20;
/// How much of a file is read at a time.
const READ_BYTES: usize = 256 * 1024;

#[derive(Debug, Args)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The directory: empty, missing, or one where an export was cut short
    dir: PathBuf,
    /// Go on without content that cannot be had: missing.jsonl lists it, and says why
    #[arg(long)]
    allow_missing: bool,
}

pub(crate) async fn run(args: Export, common: &Common) -> Result<()> {
    let client = connect::client(&args.target, common)?;
    // How far the way is: no answer that ends before it is whole. And a server that does not answer is found before
    // anything is made.
    let last = client.last(Filter::all()).await.map_err(|error| Failure::of_call(&error))?;
    let last = last.map(|frame| frame.id);
    let bar = progress::bar(1000)?;
    let dir = args.dir;
    let prepared = {
        let (dir, bar) = (dir.clone(), bar.clone());
        in_background(move || prepare(&dir, &bar)).await
    };
    let exported = match prepared {
        Ok(file) => {
            let contents = Contents::new(client.clone(), dir.clone(), args.allow_missing);
            let exporting = Exporting { contents, dir: dir.clone(), bar: bar.clone() };
            exporting.run(client, last, file).await
        }
        Err(failure) => Err(failure),
    };
    bar.finish_and_clear();
    let done = exported?;
    match terminal::person_reads(common) {
        true => output::print_line(&format!(
            "{} frames and {} contents ({} fetched) in {}{}",
            HumanCount(done.frames),
            HumanCount(done.contents),
            units::size(done.content_bytes),
            dir.display(),
            match done.left_out {
                0 => String::new(),
                left_out => format!(", {} contents left out", HumanCount(left_out)),
            }
        )),
        false => output::print_line(
            &serde_json::json!({
                "frames": done.frames,
                "contents": done.contents,
                "content_bytes": done.content_bytes,
                "left_out": done.left_out
            })
            .to_string(),
        ),
    }
}

/// Makes the directory ready. What an export that was cut short has left is kept as far as it is whole.
/// Returns the file that frames are written to, locked: whoever holds it is the only one who writes there.
fn prepare(dir: &Path, bar: &ProgressBar) -> Result<fs::File> {
    let doing = |error: io::Error| Failure::io(&format!("writing to {}", dir.display()), &error);
    let path = archive::unfinished(dir);
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true);
    let file = match options.open(&path) {
        // Made only where nothing is: it says whose directory this is.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if archive::look(dir).map_err(doing)? == Found::Other {
                return Err(something_else(dir));
            }
            dirs::create_all(dir).map_err(doing)?;
            options.create(true).truncate(false).open(&path)
        }
        opened => opened,
    };
    let file = file.map_err(doing)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            return Err(Failure::new(format!("{}: another export is writing there", dir.display())));
        }
        Err(fs::TryLockError::Error(error)) => return Err(doing(error)),
    }
    // Looked at under the lock: another export may have finished since the file was opened.
    match archive::look(dir).map_err(doing)? {
        Found::Unfinished => {
            for entry in fs::read_dir(archive::contents(dir)).into_iter().flatten() {
                let path = entry.map_err(doing)?.path();
                if !is_whole(&path).map_err(doing)? {
                    fs::remove_file(&path).map_err(doing)?;
                }
                bar.set_message("checking what is there");
            }
            // What was lost then may be there now.
            match fs::remove_file(archive::missing(dir)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(doing(error)),
                _ => {}
            }
        }
        Found::Nothing | Found::Other => return Err(something_else(dir)),
    }
    file.set_len(0).map_err(doing)?;
    dirs::create_all(&archive::contents(dir)).map_err(doing)?;
    Ok(file)
}

fn something_else(dir: &Path) -> Failure {
    Failure::new(format!(
        "{} holds something else already: export into a directory that is empty or missing",
        dir.display()
    ))
}

/// Whether a file holds the content that its name says.
fn is_whole(path: &Path) -> io::Result<bool> {
    match path.file_name().and_then(|name| archive::hash(name.to_str()?)) {
        Some(expected) => Ok(hash_of(path)? == expected),
        None => Ok(false),
    }
}

/// The hash of a file's bytes.
pub(super) fn hash_of(path: &Path) -> io::Result<ContentHash> {
    let mut file = fs::File::open(path)?;
    let mut hasher = ContentHasher::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(buffer.get(..read).unwrap_or_default()),
        }
    }
}

/// Runs what waits for a disk where it holds up nobody.
pub(super) async fn in_background<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Failure::new(format!("working with files: {error}"))))
}

/// What was exported.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    frames: u64,
    /// Those that were there already included.
    contents: u64,
    /// Of those that were fetched.
    content_bytes: u64,
    /// Contents that could not be had.
    left_out: u64,
}

/// From which time to which, to tell how far it is.
#[derive(Clone, Copy, Debug)]
struct Way {
    first_ms: Option<u64>,
    last_ms: u64,
}

impl Way {
    /// How far a frame is, in thousandths.
    fn permille(&mut self, frame: &Frame) -> u64 {
        let at = frame.id.timestamp_ms();
        let first = *self.first_ms.get_or_insert(at);
        let (passed, all) = (at.saturating_sub(first), self.last_ms.saturating_sub(first));
        passed.saturating_mul(1000).checked_div(all).unwrap_or(1000).min(1000)
    }
}

struct Exporting {
    contents: Contents,
    dir: PathBuf,
    bar: ProgressBar,
}

impl Exporting {
    async fn run(self, client: Client, last: Option<FrameId>, file: fs::File) -> Result<Done> {
        let writing = |error: io::Error| Failure::io(&format!("writing to {}", self.dir.display()), &error);
        let mut out = BufWriter::with_capacity(READ_BYTES, file);
        let mut way = Way { first_ms: None, last_ms: last.map_or(0, |id| id.timestamp_ms()) };
        let mut done = Done::default();
        let mut losses = Losses::default();
        // A frame is written when its content is there, so that no file names what is missing and not listed.
        let contents = &self.contents;
        let frames = history::read(client.clone(), last).map(|frame| async move {
            let (line, frame) = frame?;
            let fetched = contents.fetch_for(&frame).await?;
            Ok::<_, Failure>((line, frame, fetched))
        });
        let mut frames = std::pin::pin!(frames.buffered(CONTENTS_AT_ONCE));
        let (mut unreadable, mut readable) = (0, None);
        while let Some((line, frame, fetched)) = frames.try_next().await? {
            match fetched {
                Fetched::Gone => continue,
                Fetched::Nothing | Fetched::KnownLost => {}
                Fetched::There => readable = frame.hash,
                Fetched::New(bytes) => {
                    done.content_bytes += bytes;
                    (unreadable, readable) = (0, frame.hash);
                }
                Fetched::Lost(loss) => {
                    unreadable = if loss.why == Why::Unreadable { unreadable + 1 } else { 0 };
                    if unreadable == UNREADABLE_MAX {
                        if !is_readable(&client, readable).await {
                            return Err(Failure::new(format!(
                                "{unreadable} contents in a row cannot be read: the content store seems to be away; \
                                 give the same export again when it is back"
                            )));
                        }
                        unreadable = 0;
                    }
                    if let Some(told) = losses.add(&loss, &self.dir).map_err(writing)? {
                        self.bar.suspend(|| output::tell(&told));
                    }
                }
            }
            out.write_all(&line).and_then(|()| out.write_all(b"\n")).map_err(writing)?;
            done.frames += 1;
            self.bar.set_position(way.permille(&frame));
            self.bar.set_message(format!("{} frames, {}", HumanCount(done.frames), units::size(done.content_bytes)));
        }
        done.left_out = losses.count();
        let summary = losses.summary(&self.dir);
        let dir = self.dir.clone();
        done.contents = in_background(move || finish(out, losses, &dir)).await?;
        if let Some(summary) = summary {
            self.bar.suspend(|| output::tell(&summary));
        }
        Ok(done)
    }
}

/// Makes all of it durable, and the export one that is finished. Returns how many contents it has.
fn finish(out: BufWriter<fs::File>, mut losses: Losses, dir: &Path) -> Result<u64> {
    let doing = |error: io::Error| Failure::io(&format!("finishing {}", dir.display()), &error);
    // Held to the end: its lock keeps others out past the rename.
    let file = out.into_inner().map_err(|error| doing(error.into_error()))?;
    file.sync_all().map_err(doing)?;
    let contents = archive::contents(dir);
    let mut count = 0;
    for entry in fs::read_dir(&contents).map_err(doing)? {
        entry.map_err(doing)?;
        count += 1;
    }
    dirs::sync(&contents).map_err(doing)?;
    losses.finish(dir).map_err(doing)?;
    fs::rename(archive::unfinished(dir), archive::frames(dir)).map_err(doing)?;
    dirs::sync(dir).map_err(doing)?;
    drop(file);
    Ok(count)
}

/// Whether the content store still answers for a content that it had.
async fn is_readable(client: &Client, content: Option<ContentHash>) -> bool {
    match content {
        Some(hash) => client.content_info(hash).await.is_ok(),
        None => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_whole_is_kept_and_the_rest_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let bar = ProgressBar::hidden();
        prepare(dir.path(), &bar).unwrap();
        let whole = archive::content(dir.path(), ContentHash::of(b"whole"));
        let damaged = archive::content(dir.path(), ContentHash::of(b"damaged"));
        let partial = archive::partial(dir.path(), ContentHash::of(b"partial"));
        fs::write(&whole, "whole").unwrap();
        fs::write(&damaged, "damage").unwrap();
        fs::write(&partial, "partial").unwrap();
        prepare(dir.path(), &bar).unwrap();
        assert!(whole.exists() && !damaged.exists() && !partial.exists());
    }

    #[test]
    fn a_directory_of_somebody_else_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("notes"), "precious").unwrap();
        let failure = prepare(dir.path(), &ProgressBar::hidden()).unwrap_err();
        assert!(format!("{failure:?}").contains("something else"), "{failure:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn how_far_it_is_follows_from_the_time() {
        let frame = |ms: u64| Frame::topic("a").unwrap().with_id(xs::FrameId::from_u128(u128::from(ms) << 80));
        let mut way = Way { first_ms: None, last_ms: 3000 };
        let far: Vec<u64> = [1000, 2000, 3000, 9000].map(|ms| way.permille(&frame(ms))).to_vec();
        assert_eq!(far, [0, 500, 1000, 1000]);
        assert_eq!(Way { first_ms: None, last_ms: 5 }.permille(&frame(5)), 1000);
    }
}
