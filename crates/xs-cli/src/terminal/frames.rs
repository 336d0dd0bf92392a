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
            None => fit(&clean(&String::from_utf8_lossy(&line)), width().unwrap_or(usize::MAX)),
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
        let all = columns_max.unwrap_or(usize::MAX);
        let topic = frame.topic.as_str();
        let synthetic = [THRESHOLD_TOPIC, PULSE_TOPIC].contains(&topic);
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
        let time = fit(&time::moment(frame.id, now), all);
        let left = all.saturating_sub(columns(&time) + 1);
        let id = fit(&time::short(frame.id), left);
        let left = left.saturating_sub(columns(&id) + 1);
        let [of_meta, of_content] = [&meta, &content].map(|text| text.as_deref().map(columns));
        // With the space before each.
        let wanted: usize = [of_meta, of_content].into_iter().flatten().map(|columns| columns + 1).sum();
        let for_topic = topic_share(all, left, wanted);
        let mut topic = fit(topic, for_topic);
        if meta.is_some() || content.is_some() {
            topic = format!("{topic:0$}", self.topic_columns.min(for_topic));
        }
        let spaces = usize::from(meta.is_some()) + usize::from(content.is_some());
        let left = left.saturating_sub(columns(&topic) + spaces);
        let (for_meta, for_content) = share(left, of_meta.unwrap_or_default(), of_content.unwrap_or_default());

        let palette = self.palette;
        let styles = match synthetic {
            true => Palette { id: palette.remark, topic: palette.remark, ..palette },
            false => palette,
        };
        let parts = [
            (time, styles.time),
            (id, styles.id),
            (topic, styles.topic),
            (fit(meta.as_deref().unwrap_or_default(), for_meta), styles.meta),
            (
                fit(content.as_deref().unwrap_or_default(), for_content),
                if is_remark { styles.remark } else { styles.content },
            ),
        ];
        let parts = parts.iter().filter(|(text, _)| !text.is_empty());
        parts.map(|(text, style)| paint(*style, text)).collect::<Vec<_>>().join(" ")
    }
}

/// How many columns a topic may take of those that are left: what meta and content do not want, and in any case
/// a third of the line.
fn topic_share(all: usize, left: usize, wanted: usize) -> usize {
    (all / 3).max(left.saturating_sub(wanted)).min(left)
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
    fn nothing_makes_a_line_wider_than_the_terminal() {
        let wide = "日本語 👩‍💻 ❤\u{fe0f} ".repeat(40);
        let preview = Preview::Text { line: wide.clone(), more: true };
        for topic in ["a".to_owned(), "some.topic".to_owned(), "long.".repeat(50) + "topic"] {
            for meta in ["null".to_owned(), "{}".to_owned(), format!("\"{wide}\"")] {
                let frame = frame(&topic, &meta);
                for columns_max in 0..=300 {
                    for preview in [None, Some(&preview)] {
                        let mut printer = Printer::new(Palette::PLAIN);
                        let line = printer.line(&frame, preview, &Zoned::now(), Some(columns_max));
                        assert!(columns(&line) <= columns_max, "{columns_max}: {line}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_long_topic_leaves_room_and_takes_what_nobody_wants() {
        let topic = "long.".repeat(50) + "topic";
        let columns_max = 90;
        let line = |meta: &str, preview: Option<&Preview>| {
            line(&mut Printer::new(Palette::PLAIN), &frame(&topic, meta), preview, Some(columns_max))
        };
        let of_topic = |line: &str| line.split_once('…').unwrap().0.len() + 1;
        let shown = line(&format!("\"{}\"", "m".repeat(500)), Some(&text(&"c".repeat(500))));
        assert_eq!(of_topic(&shown), columns_max / 3, "{shown}");
        assert!(shown.contains("mm…") && shown.contains("cc…"), "{shown}");
        // Before it: 2025-01-02 19:41:44.817 w5yxv, and a space.
        let shown = line("null", Some(&text("hello")));
        assert!(of_topic(&shown) == columns_max - 30 - 6 && shown.ends_with("… hello"), "{shown}");
        assert_eq!(of_topic(&line("null", None)), columns_max - 30);
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
