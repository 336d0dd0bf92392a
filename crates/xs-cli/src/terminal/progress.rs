//! Progress of work that takes seconds: on standard error, and only where that is a terminal.

use futures::TryStreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use xs::Content;

use crate::failure::{Failure, Result};
use crate::units;

/// Bytes of content from which on its progress is shown: what has fewer is through before anybody waits for it.
const SHOWN_FROM_BYTES: u64 = 1024 * 1024;

/// A bar of this length, with words beside it.
pub(crate) fn bar(length: u64) -> Result<ProgressBar> {
    styled(ProgressBar::new(length), "{bar:32} {percent:>3}%  {msg}  {elapsed}")
}

/// Words, for work whose end is not known.
pub(crate) fn words() -> Result<ProgressBar> {
    styled(ProgressBar::no_length(), "{spinner} {msg}  {elapsed}")
}

/// Whether one of the standard streams is a file, or nothing: at the other end of a pipe is another program, which may
/// draw on the same terminal.
#[cfg(unix)]
pub(crate) fn is_file(stream: impl std::os::fd::AsFd) -> bool {
    use rustix::fs::FileType;
    let kind = rustix::fs::fstat(stream).map(|stat| FileType::from_raw_mode(stat.st_mode));
    matches!(kind, Ok(FileType::RegularFile | FileType::CharacterDevice))
}

#[cfg(not(unix))]
pub(crate) fn is_file<S: std::io::IsTerminal>(_: S) -> bool {
    true
}

/// Content from standard input, with words about how much of it is sent where it is a file.
pub(crate) fn sent(content: Content) -> Result<Content> {
    if !is_file(std::io::stdin()) {
        return Ok(content);
    }
    let mut passing = Passing::new("sent")?;
    Ok(Content::stream(content.into_chunks().inspect_ok(move |chunk| passing.add(chunk.len()))))
}

/// Content that passes by. Its words go when this is dropped.
#[derive(Debug)]
pub(crate) struct Passing {
    done_what: &'static str,
    bytes: u64,
    bar: ProgressBar,
}

impl Passing {
    /// Nothing is drawn yet.
    pub(crate) fn new(done_what: &'static str) -> Result<Self> {
        Ok(Self { done_what, bytes: 0, bar: words()? })
    }

    /// So many bytes more have passed.
    pub(crate) fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        if self.bytes >= SHOWN_FROM_BYTES {
            self.bar.set_message(format!("{} {}", units::size(self.bytes), self.done_what));
        }
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn styled(bar: ProgressBar, template: &str) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template(template);
    Ok(bar.with_style(style.map_err(|error| Failure::new(format!("drawing progress: {error}")))?))
}
