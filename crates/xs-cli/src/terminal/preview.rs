//! The beginning of content, for a line of a frame.

use std::time::Duration;

use xs::{ByteRange, ContentHash, ErrorKind};
use xs_client::Client;

use super::clean::clean;
use crate::units;

/// How much of content is fetched to show its first line.
const PREVIEW_BYTES: u64 = 1024;
/// How long a line of a frame waits for its content.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is shown of content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Preview {
    /// Its first line that is not blank, fit for a terminal, and whether there is more.
    Text { line: String, more: bool },
    /// Something about it, such as its size where it is not text.
    Remark(String),
}

impl Preview {
    /// Of content of `size` bytes that begins with `head`.
    pub(crate) fn of(head: &[u8], size: u64) -> Self {
        let whole = u64::try_from(head.len()).is_ok_and(|length| length >= size);
        match text(head, whole) {
            None => Self::Remark(format!("binary, {}", units::size(size))),
            Some(text) => {
                let trimmed = text.trim_start();
                let line = trimmed.lines().next().unwrap_or_default();
                let rest = trimmed.get(line.len()..).unwrap_or_default();
                Self::Text { line: clean(line.trim_end()), more: !whole || !rest.trim_end().is_empty() }
            }
        }
    }

    /// Of the content with this hash.
    pub(crate) async fn fetch(client: &Client, hash: ContentHash) -> Self {
        let range = ByteRange { start: 0, end: Some(PREVIEW_BYTES) };
        let fetched = async {
            let content = client.content(hash, range).await?;
            let size = content.info().size;
            Ok::<_, xs::Error>(Self::of(&content.bytes().await?, size))
        };
        match tokio::time::timeout(PATIENCE, fetched).await {
            Ok(Ok(preview)) => preview,
            Ok(Err(error)) => Self::Remark(Self::refused(&error)),
            Err(_) => Self::Remark("content not read in time".to_owned()),
        }
    }

    fn refused(error: &xs::Error) -> String {
        match error.kind() {
            ErrorKind::NotFound => "content is gone".to_owned(),
            ErrorKind::Corrupt => "content is damaged".to_owned(),
            kind => format!("content not read ({kind})"),
        }
    }
}

/// The text that content begins with, if it is text: UTF-8, but for a character that the end of `head`
/// cuts, and without NUL.
fn text(head: &[u8], whole: bool) -> Option<&str> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() && !whole => {
            std::str::from_utf8(head.get(..error.valid_up_to())?).ok()?
        }
        Err(_) => return None,
    };
    (!text.contains('\0')).then_some(text)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn line(line: &str, more: bool) -> Preview {
        Preview::Text { line: line.to_owned(), more }
    }

    #[test]
    fn the_first_line_that_is_not_blank_is_shown() {
        for (content, expected) in [
            ("hello", line("hello", false)),
            ("hello\n", line("hello", false)),
            ("hello\r\nworld", line("hello", true)),
            ("\n  \n  hello \n", line("hello", false)),
            ("\n\n", line("", false)),
            ("\x1b[31mred\x1b[0m", line("\u{fffd}[31mred\u{fffd}[0m", false)),
        ] {
            assert_eq!(Preview::of(content.as_bytes(), content.len() as u64), expected, "{content:?}");
        }
        assert_eq!(Preview::of(b"hello", 6), line("hello", true));
    }

    #[test]
    fn what_is_no_text_is_told_by_its_size() {
        for content in [&b"a\0b"[..], b"\xff\xd8\xff", b"abc\xc3"] {
            assert_eq!(
                Preview::of(content, content.len() as u64),
                Preview::Remark(format!("binary, {} B", content.len()))
            );
        }
        assert_eq!(Preview::of(&[0; 1024], 12_345), Preview::Remark("binary, 12 KB".to_owned()));
        // Of text that is cut in the middle of a character, the rest is shown.
        let text = "ä".repeat(1000);
        let Preview::Text { line, more: true } = Preview::of(&text.as_bytes()[..1023], 2000) else { unreachable!() };
        assert_eq!(line, "ä".repeat(511));
    }
}
