//! What the live view looks like.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Row as TableRow, Table};
use xs::FrameId;

use super::model::{Model, Order, Row};
use crate::terminal::clean::clean;

/// What is drawn around the model, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) address: &'a str,
    /// In the model's time.
    pub(crate) now_ms: u64,
    /// Milliseconds since 1970.
    pub(crate) wall_ms: u64,
    pub(crate) colour: bool,
}

/// How many columns a rate takes, and a number of frames.
const RATE_COLUMNS: usize = 9;
const SEEN_COLUMNS: usize = 12;
/// `23 h 59 min`.
const AGO_COLUMNS: u16 = 11;
const NO_TOPICS: &str = "no topics yet";
const NO_MATCH: &str = "no topic has this in its name";

/// The rows that fit into `area`, below the head and the header, above the keys.
pub(crate) fn height(area: Rect) -> usize {
    usize::from(parts(area).1.height.saturating_sub(1))
}

fn parts(area: Rect) -> (Rect, Rect, Rect) {
    let [head, table, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)]).areas(area);
    (head, table, foot)
}

pub(crate) fn draw(frame: &mut Frame<'_>, model: &Model, view: &View<'_>) {
    let (head, body, foot) = parts(frame.area());
    frame.render_widget(Paragraph::new(head_line(model, view)), head);
    frame.render_widget(Paragraph::new(foot_line(model, view)), foot);
    let rows = model.rows(view.now_ms);
    if rows.is_empty() {
        let words = if model.filter().0.is_empty() { NO_TOPICS } else { NO_MATCH };
        return frame.render_widget(Paragraph::new(words), body);
    }
    let height = height(frame.area());
    let shown = rows.iter().skip(model.first_of(rows.len(), height)).take(height);
    let rates = [RATE_COLUMNS, RATE_COLUMNS, SEEN_COLUMNS].map(|columns| u16::try_from(columns).unwrap_or(u16::MAX));
    let widths =
        [Constraint::Min(10)].into_iter().chain(rates.map(Constraint::Length)).chain([Constraint::Length(AGO_COLUMNS)]);
    let table = Table::new(shown.map(|row| table_row(row, view)), widths)
        .header(header(model).style(emphasis()))
        .column_spacing(1);
    frame.render_widget(table, body);
}

fn emphasis() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

/// Where colours are off, what they would say is said by nothing.
fn colour(view: &View<'_>, colour: Color) -> Style {
    if view.colour { Style::new().fg(colour) } else { Style::new() }
}

fn head_line<'a>(model: &Model, view: &View<'a>) -> Line<'a> {
    let (second, ten_seconds) = model.rates(view.now_ms);
    let mut spans = vec![
        Span::styled("xs top ", emphasis()),
        Span::styled(view.address, colour(view, Color::Cyan)),
        Span::raw(format!(
            "  {second}/s  {ten_seconds}/s over 10 s  {} frames  {} topics",
            model.seen(),
            model.topics()
        )),
    ];
    if model.forgotten() > 0 {
        spans.push(Span::raw(format!(" ({} older ones forgotten)", model.forgotten())));
    }
    if let Some(trouble) = model.trouble() {
        spans.push(Span::styled(format!("  {}", clean(trouble)), colour(view, Color::Red).patch(emphasis())));
    }
    Line::from(spans)
}

fn foot_line(model: &Model, view: &View<'_>) -> Line<'static> {
    let (filter, typing) = model.filter();
    let keys = "q quit  / filter  order: 1 rate  0 rate over 10 s  s seen  a activity  t topic";
    match (filter, typing) {
        (filter, true) => Line::styled(format!("/{}_  enter: keep  esc: clear", clean(filter)), emphasis()),
        ("", false) => Line::styled(keys, colour(view, Color::DarkGray)),
        (filter, false) => {
            Line::styled(format!("/{}  esc: clear  {keys}", clean(filter)), colour(view, Color::DarkGray))
        }
    }
}

fn header(model: &Model) -> TableRow<'static> {
    let (order, reversed) = model.order();
    let mark = |of: Order, name: &str| match (order == of, reversed) {
        (true, false) => format!("{name} ▼"),
        (true, true) => format!("{name} ▲"),
        (false, _) => name.to_owned(),
    };
    TableRow::new([
        mark(Order::Topic, "TOPIC"),
        format!("{:>RATE_COLUMNS$}", mark(Order::Second, "/S")),
        format!("{:>RATE_COLUMNS$}", mark(Order::TenSeconds, "/S 10 S")),
        format!("{:>SEEN_COLUMNS$}", mark(Order::Seen, "SEEN")),
        mark(Order::Activity, "ACTIVE"),
    ])
}

fn table_row(row: &Row, view: &View<'_>) -> TableRow<'static> {
    let cells = TableRow::new([
        row.topic.to_string(),
        format!("{:>RATE_COLUMNS$}", row.second),
        format!("{:>RATE_COLUMNS$}", row.ten_seconds),
        format!("{:>SEEN_COLUMNS$}", row.seen),
        ago(row.last_id, view.wall_ms),
    ]);
    match (row.second.is_zero(), row.ten_seconds.is_zero()) {
        (false, _) => cells.style(colour(view, Color::Green)),
        (true, false) => cells,
        (true, true) => cells.style(colour(view, Color::DarkGray)),
    }
}

/// How long ago an id was given, in the two largest units at most.
fn ago(id: FrameId, now_ms: u64) -> String {
    let seconds = now_ms.saturating_sub(id.timestamp_ms()) / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        (1, ..) => "1 day".to_owned(),
        _ => format!("{days} days"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::model::tests::{id, topic};
    use super::super::model::{Key, Verdict};
    use super::*;

    fn screen(model: &Model, (columns, lines): (u16, u16)) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(columns, lines)).unwrap();
        let view = View { address: "./store", now_ms: 5250, wall_ms: 65_000, colour: true };
        terminal.draw(|frame| draw(frame, model, &view)).unwrap();
        let cells = terminal.backend().buffer().content();
        let lines = cells.chunks(usize::from(columns)).map(|line| line.iter().map(|cell| cell.symbol()).collect());
        lines.map(|line: String| line.trim_end().to_owned()).collect()
    }

    fn model() -> Model {
        let mut model = Model::new(0);
        for n in 0..4 {
            model.frame(topic("clip.add"), id(5000 + n), 5000);
        }
        for n in 0..20 {
            model.known(topic(&format!("topic.{n:02}")), id(n), 0);
        }
        model
    }

    #[test]
    fn topics_are_shown_with_their_rates() {
        let lines = screen(&model(), (80, 8));
        assert_eq!(lines.len(), 8);
        assert!(lines[0].starts_with("xs top ./store  4.0/s"), "{lines:#?}");
        assert!(lines[0].contains("4 frames  21 topics"), "{lines:#?}");
        assert!(lines[1].starts_with("TOPIC") && lines[1].contains("/S ▼"), "{lines:#?}");
        let words: Vec<&str> = lines[2].split_whitespace().collect();
        assert_eq!(words, ["clip.add", "4.0", "0.7", "4", "59", "s"], "{lines:#?}");
        assert!(lines[3].starts_with("topic.00") && lines[3].ends_with("1 min"), "{lines:#?}");
        assert!(lines[7].starts_with("q quit"), "{lines:#?}");
    }

    #[test]
    fn the_end_is_reached_by_scrolling() {
        let mut model = model();
        let area = Rect::new(0, 0, 80, 8);
        assert_eq!(height(area), 5);
        model.press(Key::End, height(area));
        let lines = screen(&model, (80, 8));
        assert!(lines[6].starts_with("topic.19"), "{lines:#?}");
    }

    #[test]
    fn a_filter_and_trouble_are_said() {
        let mut model = model();
        for key in "/nothing".chars() {
            assert_eq!(model.press(Key::Char(key), 5), Verdict::Stay);
        }
        model.set_trouble(Some("no answer\x1b[2J".to_owned()));
        let lines = screen(&model, (120, 8));
        assert!(lines[0].contains("no answer\u{fffd}[2J"), "{lines:#?}");
        assert_eq!(lines[1], NO_MATCH);
        assert!(lines[7].starts_with("/nothing_"), "{lines:#?}");
    }

    #[test]
    fn a_terminal_without_room_is_drawn_all_the_same() {
        for size in [(1, 1), (3, 2), (10, 3), (0, 0)] {
            screen_of_any_size(size);
        }
    }

    fn screen_of_any_size((columns, lines): (u16, u16)) {
        let mut terminal = Terminal::new(TestBackend::new(columns, lines)).unwrap();
        let view = View { address: "./store", now_ms: 0, wall_ms: 0, colour: false };
        terminal.draw(|frame| draw(frame, &model(), &view)).unwrap();
    }

    #[test]
    fn ages_are_short() {
        for (seconds, expected) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3599, "59 min"),
            (3600, "1 h 0 min"),
            (86_399, "23 h 59 min"),
            (86_400, "1 day"),
            (864_000, "10 days"),
        ] {
            assert_eq!(ago(id(0), seconds * 1000), expected);
            assert!(expected.len() <= usize::from(AGO_COLUMNS));
        }
        assert_eq!(ago(id(5000), 0), "0 s", "a clock that is behind");
    }
}
