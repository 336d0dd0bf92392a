//! Frames as a person reads them: a line each, with the beginning of their content.

use futures::StreamExt as _;
use jiff::Zoned;
use xs::{Frame, PULSE_TOPIC, THRESHOLD_TOPIC};
use xs_client::{Client, Response};

use super::clean::{clean, columns, fit};
use super::colour::{Palette, paint};
use super::preview::Preview;
use super::{time, width};
use crate::failure::{Failure, Result};
use crate::{lines, output};

/// Content that is fetched at a time.
const PREVIEWS_AT_ONCE: usize = 8;
/// Topics line up while they are no wider than this.
const TOPIC_COLUMNS: usize = 24;
/// The most of meta that is looked at: it may be a megabyte, of which no line shows more.
const META_CHARS: usize = 4096;

/// Prints the frames of an answer as they come.
pub(crate) async fn show(response: Response, client: &Client, palette: Palette) -> Result<()> {
    let lines = lines::of(response).map(|line| async move {
        let line = line.map_err(|error| output::broken_off(&error))?;
        let frame = std::str::from_utf8(&line).ok().and_then(|line| Frame::from_json(line).ok());
        let preview = match frame.as_ref().and_then(|frame| frame.hash) {
            Some(hash) => Some(Preview::fetch(client, hash).await),
            None => None,
        };
        Ok::<_, Failure>((line, frame, preview))
    });
    let mut lines = std::pin::pin!(lines.buffered(PREVIEWS_AT_ONCE));
    let mut printer = Printer::new(palette);
    while let Some((line, frame, preview)) = lines.next().await.transpose()? {
        let text = match frame {
            Some(frame) => printer.line(&frame, preview.as_ref(), &Zoned::now(), width()),
            // Of a later server: what it says is better than nothing.
            None => clean(&String::from_utf8_lossy(&line)),
        };
        output::print_line(&text)?;
    }
    Ok(())
}

/// Writes lines that line up with those before.
#[derive(Debug)]
struct Printer {
    palette: Palette,
    topic_columns: usize,
}

impl Printer {
    fn new(palette: Palette) -> Self {
        Self { palette, topic_columns: 0 }
    }

    /// Local time, short id, topic, meta, the beginning of content: in one line, where it is known how
    /// wide that is.
    fn line(&mut self, frame: &Frame, preview: Option<&Preview>, now: &Zoned, columns_max: Option<usize>) -> String {
        let palette = self.palette;
        let synthetic = [THRESHOLD_TOPIC, PULSE_TOPIC].contains(&frame.topic.as_str());
        let (time, id) = (time::moment(frame.id, now), time::short(frame.id));
        let mut topic = frame.topic.as_str().to_owned();
        let meta: Option<String> =
            frame.meta.as_ref().map(|meta| clean(&meta.as_str().chars().take(META_CHARS).collect::<String>()));
        let (content, is_remark) = match preview {
            Some(Preview::Text { line, more }) => (Some(format!("{line}{}", if *more { " …" } else { "" })), false),
            Some(Preview::Remark(remark)) => (Some(format!("[{remark}]")), true),
            None => (None, false),
        };
        if !synthetic {
            self.topic_columns = self.topic_columns.max(topic.len().min(TOPIC_COLUMNS));
        }
        if meta.is_some() || content.is_some() {
            topic = format!("{topic:0$}", self.topic_columns);
        }
        let taken = columns(&time) + id.len() + topic.len() + 4;
        let left = columns_max.map_or(usize::MAX, |columns| columns.saturating_sub(taken));
        let (for_meta, for_content) =
            share(left, meta.as_deref().map_or(0, columns), content.as_deref().map_or(0, columns));
        let styles = match synthetic {
            true => Palette { id: palette.remark, topic: palette.remark, ..palette },
            false => palette,
        };
        let content_style = if is_remark { styles.remark } else { styles.content };
        let mut line =
            format!("{} {} {}", paint(styles.time, &time), paint(styles.id, &id), paint(styles.topic, &topic));
        let parts = [(meta, for_meta, styles.meta), (content, for_content, content_style)];
        for (text, columns_max, style) in parts.into_iter().filter_map(|(text, max, style)| Some((text?, max, style))) {
            line.push(' ');
            line.push_str(&paint(style, &fit(&text, columns_max)));
        }
        line
    }
}

/// How many columns of those that are left meta and content get: each what it needs, or half, or what
/// the other leaves.
fn share(left: usize, meta: usize, content: usize) -> (usize, usize) {
    let for_meta = meta.min((left / 2).max(left.saturating_sub(content)));
    (for_meta, content.min(left - for_meta))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ID: &str = "03d4q1qhbiv09ovtuhokw5yxv";

    fn frame(topic: &str, meta: &str) -> Frame {
        Frame::topic(topic).unwrap().meta_text(meta).unwrap().with_id(ID.parse().unwrap())
    }

    fn text(line: &str) -> Preview {
        Preview::Text { line: line.to_owned(), more: false }
    }

    /// Without the time, which depends on where and when it is read.
    fn line(printer: &mut Printer, frame: &Frame, preview: Option<&Preview>, columns_max: Option<usize>) -> String {
        let line = printer.line(frame, preview, &Zoned::now(), columns_max);
        line.split_once(" w5yxv ").unwrap().1.to_owned()
    }

    #[test]
    fn a_line_holds_what_there_is() {
        let mut printer = Printer::new(Palette::PLAIN);
        let mut line = |frame: &Frame, preview: Option<&Preview>| line(&mut printer, frame, preview, None);
        assert_eq!(line(&frame("a", "null"), None), "a");
        assert_eq!(line(&frame("clip.add", r#"{"n":1}"#), Some(&text("hello"))), r#"clip.add {"n":1} hello"#);
        // Topics line up with the widest so far.
        assert_eq!(line(&frame("a", "null"), Some(&text("hello"))), "a        hello");
        let remark = Preview::Remark("binary, 12 KB".to_owned());
        assert_eq!(line(&frame("a", "null"), Some(&remark)), "a        [binary, 12 KB]");
        let more = Preview::Text { line: "one".to_owned(), more: true };
        assert_eq!(line(&frame("a", "null"), Some(&more)), "a        one …");
    }

    #[test]
    fn meta_cannot_act_on_the_terminal() {
        let frame = frame("a", "[\"\u{9b}31m\u{7f}\",\n1]");
        let line = line(&mut Printer::new(Palette::PLAIN), &frame, None, None);
        assert!(!line.contains(char::is_control), "{line:?}");
    }

    #[test]
    fn a_line_is_as_wide_as_the_terminal_at_most() {
        let frame = frame("a.b", &format!("\"{}\"", "m".repeat(500)));
        let preview = text(&"c".repeat(500));
        for columns_max in [60, 80, 200] {
            let mut printer = Printer::new(Palette::PLAIN);
            let line = printer.line(&frame, Some(&preview), &Zoned::now(), Some(columns_max));
            assert_eq!(columns(&line), columns_max, "{line}");
            assert!(line.contains("mmm") && line.contains("ccc"));
        }
    }

    #[test]
    fn what_one_leaves_the_other_gets() {
        assert_eq!(share(100, 20, 30), (20, 30));
        assert_eq!(share(100, 200, 300), (50, 50));
        assert_eq!(share(100, 200, 30), (70, 30));
        assert_eq!(share(100, 20, 300), (20, 80));
        assert_eq!(share(0, 20, 30), (0, 0));
        assert_eq!(share(usize::MAX, 20, 30), (20, 30));
    }
}
