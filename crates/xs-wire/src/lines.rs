//! A stream of bytes as lines.

use std::io::BufRead as _;

use bytes::{Bytes, BytesMut};
use xs_core::{META_BYTES_MAX, Result};

use crate::error::invalid;

/// The longest line that a frame can be: its meta, and what is around it.
pub const FRAME_LINE_BYTES_MAX: usize = META_BYTES_MAX + 64 * 1024;

/// Takes bytes as they come, and gives the lines that are complete, without their ends. What it holds
/// is bounded by what it was last given and one line.
///
/// ```
/// use xs_wire::LineSplitter;
/// let mut lines = LineSplitter::new(1024);
/// lines.push(b"one\ntw");
/// assert_eq!(lines.next_line()?.as_deref(), Some(&b"one"[..]));
/// assert_eq!(lines.next_line()?, None);
/// lines.push(b"o\n");
/// assert_eq!(lines.next_line()?.as_deref(), Some(&b"two"[..]));
/// assert!(lines.is_empty());
/// # Ok::<(), xs_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LineSplitter {
    buffer: BytesMut,
    /// How much of the buffer is known to hold no line's end.
    searched: usize,
    line_bytes_max: usize,
}

impl LineSplitter {
    /// For lines of at most this many bytes.
    pub fn new(line_bytes_max: usize) -> Self {
        Self { buffer: BytesMut::new(), searched: 0, line_bytes_max }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next line that is complete; `None` when more bytes are needed. `InvalidInput` for a line
    /// that is too long, also while it is not complete; the same again for every later call.
    pub fn next_line(&mut self) -> Result<Option<Bytes>> {
        let found = self.buffer.get(self.searched..).and_then(line_end).map(|at| self.searched + at);
        if found.unwrap_or(self.buffer.len()) > self.line_bytes_max {
            return Err(invalid(format!("a line holds at most {} bytes", self.line_bytes_max)));
        }
        let Some(end) = found else {
            self.searched = self.buffer.len();
            return Ok(None);
        };
        self.searched = 0;
        let mut line = self.buffer.split_to(end + 1).freeze();
        line.truncate(end);
        Ok(Some(line))
    }

    /// How many bytes are left of what was taken.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether nothing is left of what was taken.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// What is left of what was taken: at the end, a last line that has no end.
    pub fn take_rest(&mut self) -> Bytes {
        self.searched = 0;
        self.buffer.split().freeze()
    }
}

/// Where the first line's end is. The standard library looks for it many bytes at a time, and reading
/// from memory cannot fail.
fn line_end(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    let read = rest.skip_until(b'\n').ok()?;
    bytes.get(..read)?.strip_suffix(b"\n").map(<[u8]>::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(lines: &mut LineSplitter) -> Vec<String> {
        std::iter::from_fn(|| lines.next_line().unwrap())
            .map(|line| String::from_utf8(line.to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn lines_come_whole_wherever_the_bytes_are_cut() {
        let text = "one\n\ntwo two\r\nthree\nfour";
        for cut in 1..=text.len() {
            let mut lines = LineSplitter::new(16);
            let mut found = Vec::new();
            for chunk in text.as_bytes().chunks(cut) {
                lines.push(chunk);
                found.extend(drain(&mut lines));
            }
            assert_eq!(found, ["one", "", "two two\r", "three"], "{cut}");
            assert!(!lines.is_empty());
            assert_eq!(lines.take_rest(), "four");
            assert!(lines.is_empty() && drain(&mut lines).is_empty());
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_refused_before_it_ends() {
        let mut lines = LineSplitter::new(4);
        lines.push(b"1234\n12345\n");
        assert_eq!(lines.next_line().unwrap().unwrap(), "1234");
        assert!(lines.next_line().unwrap_err().to_string().contains("at most 4 bytes"));
        assert!(lines.next_line().is_err());
        let mut lines = LineSplitter::new(4);
        lines.push(b"1234");
        assert!(lines.next_line().unwrap().is_none());
        lines.push(b"5");
        assert!(lines.next_line().is_err());
    }
}
