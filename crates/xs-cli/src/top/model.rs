//! What the live view knows: topics, their rates, the order and the filter. Neither drawing nor clocks
//! are its business: time is what the caller says.

use std::cmp::Ordering;
use std::collections::HashMap;

use xs::{FrameId, Topic};

use super::rate::{Counts, Rate, Window};

/// Topics that are kept. Beyond it, those that were active longest ago are forgotten.
pub(crate) const TOPICS_MAX: usize = 10_000;
/// The longest filter, in characters.
const FILTER_CHARS_MAX: usize = 64;

/// What topics are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Topic,
    Second,
    TenSeconds,
    Seen,
    Activity,
}

/// A key, as far as the view knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Char(char),
    Backspace,
    Enter,
    Escape,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    /// Ctrl-C.
    Interrupt,
}

/// Whether the view goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Stay,
    Quit,
}

#[derive(Clone, Debug)]
struct Entry {
    counts: Counts,
    seen: u64,
    last_id: FrameId,
}

/// One topic, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) topic: Topic,
    pub(crate) second: Rate,
    pub(crate) ten_seconds: Rate,
    /// Since the view began.
    pub(crate) seen: u64,
    pub(crate) last_id: FrameId,
}

/// The state of the view.
#[derive(Debug)]
pub(crate) struct Model {
    topics: HashMap<Topic, Entry>,
    topics_max: usize,
    all: Counts,
    seen: u64,
    forgotten: u64,
    started_ms: u64,
    order: Order,
    reversed: bool,
    filter: String,
    /// Whether keys go into the filter.
    typing: bool,
    /// The first row that is shown.
    first: usize,
    /// What is wrong with the server, if anything.
    trouble: Option<String>,
}

impl Model {
    pub(crate) fn new(now_ms: u64) -> Self {
        Self::with_topics_max(now_ms, TOPICS_MAX)
    }

    fn with_topics_max(now_ms: u64, topics_max: usize) -> Self {
        Self {
            topics: HashMap::new(),
            topics_max,
            all: Counts::new(now_ms),
            seen: 0,
            forgotten: 0,
            started_ms: now_ms,
            order: Order::Second,
            reversed: false,
            filter: String::new(),
            typing: false,
            first: 0,
            trouble: None,
        }
    }

    /// A topic that was there before, with its last id.
    pub(crate) fn known(&mut self, topic: Topic, last_id: FrameId, now_ms: u64) {
        let entry = self.entry(topic, last_id, now_ms);
        entry.last_id = entry.last_id.max(last_id);
    }

    /// A frame that came.
    pub(crate) fn frame(&mut self, topic: Topic, id: FrameId, now_ms: u64) {
        self.all.add(now_ms);
        self.seen += 1;
        let entry = self.entry(topic, id, now_ms);
        entry.counts.add(now_ms);
        entry.seen += 1;
        entry.last_id = entry.last_id.max(id);
    }

    fn entry(&mut self, topic: Topic, id: FrameId, now_ms: u64) -> &mut Entry {
        if self.topics.len() >= self.topics_max && !self.topics.contains_key(&topic) {
            self.forget();
        }
        self.topics.entry(topic).or_insert_with(|| Entry { counts: Counts::new(now_ms), seen: 0, last_id: id })
    }

    /// Forgets the quarter that was active longest ago, so that it is rarely done.
    fn forget(&mut self) {
        let mut ids: Vec<FrameId> = self.topics.values().map(|entry| entry.last_id).collect();
        let quarter = ids.len() / 4;
        let (_, oldest, _) = ids.select_nth_unstable(quarter);
        let oldest = *oldest;
        let before = self.topics.len();
        self.topics.retain(|_, entry| entry.last_id > oldest);
        self.forgotten += u64::try_from(before - self.topics.len()).unwrap_or(u64::MAX);
    }

    /// What is wrong with the server; nothing, when it answers again.
    pub(crate) fn set_trouble(&mut self, trouble: Option<String>) {
        self.trouble = trouble;
    }

    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    pub(crate) fn order(&self) -> (Order, bool) {
        (self.order, self.reversed)
    }

    /// The filter, and whether it is being typed.
    pub(crate) fn filter(&self) -> (&str, bool) {
        (&self.filter, self.typing)
    }

    pub(crate) fn topics(&self) -> usize {
        self.topics.len()
    }

    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Frames since the view began.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// Of all topics, over a second and over ten.
    pub(crate) fn rates(&self, now_ms: u64) -> (Rate, Rate) {
        let rate = |window| self.all.rate(now_ms, window, self.started_ms);
        (rate(Window::SECOND), rate(Window::TEN_SECONDS))
    }

    /// The topics that the filter leaves.
    fn chosen(&self) -> impl Iterator<Item = (&Topic, &Entry)> {
        self.topics.iter().filter(move |(topic, _)| topic.as_str().contains(&self.filter))
    }

    /// The same, in order.
    pub(crate) fn rows(&self, now_ms: u64) -> Vec<Row> {
        let mut rows: Vec<Row> = self
            .chosen()
            .map(|(topic, entry)| {
                let rate = |window| entry.counts.rate(now_ms, window, self.started_ms);
                let (second, ten_seconds) = (rate(Window::SECOND), rate(Window::TEN_SECONDS));
                Row { topic: topic.clone(), second, ten_seconds, seen: entry.seen, last_id: entry.last_id }
            })
            .collect();
        rows.sort_unstable_by(|a, b| {
            let ordering = self.compare(a, b);
            let ordering = if self.reversed { ordering.reverse() } else { ordering };
            // Those that are alike keep one order, so that lines do not dance.
            ordering.then_with(|| a.topic.cmp(&b.topic))
        });
        rows
    }

    /// The most first, names as in the alphabet.
    fn compare(&self, a: &Row, b: &Row) -> Ordering {
        match self.order {
            Order::Topic => a.topic.cmp(&b.topic),
            Order::Second => b.second.cmp(&a.second),
            Order::TenSeconds => b.ten_seconds.cmp(&a.ten_seconds),
            Order::Seen => b.seen.cmp(&a.seen),
            Order::Activity => b.last_id.cmp(&a.last_id),
        }
    }

    /// Of so many rows, where those that are shown start when `height` of them are.
    pub(crate) fn first_of(&self, rows: usize, height: usize) -> usize {
        self.first.min(rows.saturating_sub(height))
    }

    /// Takes a key; `height` rows are shown.
    pub(crate) fn press(&mut self, key: Key, height: usize) -> Verdict {
        match key {
            Key::Interrupt => return Verdict::Quit,
            _ if self.typing => self.type_key(key),
            Key::Char('q') => return Verdict::Quit,
            Key::Char('/') => self.typing = true,
            Key::Char('t') => self.order_by(Order::Topic),
            Key::Char('1') => self.order_by(Order::Second),
            Key::Char('0') => self.order_by(Order::TenSeconds),
            Key::Char('s') => self.order_by(Order::Seen),
            Key::Char('a') => self.order_by(Order::Activity),
            Key::Escape => self.filter.clear(),
            _ => self.scroll(key, height),
        }
        Verdict::Stay
    }

    fn type_key(&mut self, key: Key) {
        match key {
            Key::Char(c) if !c.is_control() && self.filter.chars().count() < FILTER_CHARS_MAX => self.filter.push(c),
            Key::Backspace => {
                self.filter.pop();
            }
            Key::Enter => self.typing = false,
            Key::Escape => {
                self.typing = false;
                self.filter.clear();
            }
            _ => {}
        }
        self.first = 0;
    }

    fn scroll(&mut self, key: Key, height: usize) {
        // Rows may have gone since: what is beyond the end counts from there.
        let last = self.chosen().count().saturating_sub(height);
        let first = self.first.min(last);
        self.first = match key {
            Key::Up | Key::Char('k') => first.saturating_sub(1),
            Key::Down | Key::Char('j') => (first + 1).min(last),
            Key::PageUp => first.saturating_sub(height),
            Key::PageDown => (first + height).min(last),
            Key::Home => 0,
            Key::End => last,
            _ => first,
        };
    }

    /// The same again turns the order round.
    fn order_by(&mut self, order: Order) {
        self.reversed = self.order == order && !self.reversed;
        self.order = order;
        self.first = 0;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn topic(name: &str) -> Topic {
        Topic::parse(name).unwrap()
    }

    pub(crate) fn id(ms: u64) -> FrameId {
        FrameId::from_u128(u128::from(ms) << 80)
    }

    fn names(model: &Model, now_ms: u64) -> Vec<String> {
        model.rows(now_ms).iter().map(|row| row.topic.to_string()).collect()
    }

    fn press(model: &mut Model, keys: &str) {
        for key in keys.chars() {
            assert_eq!(model.press(Key::Char(key), 10), Verdict::Stay, "{key}");
        }
    }

    /// `b` came most, `a` last, `c` was there before.
    fn model() -> Model {
        let mut model = Model::new(0);
        model.known(topic("c"), id(100), 0);
        for n in 0..8 {
            model.frame(topic("b"), id(1000 + n), 1000);
        }
        for n in 0..4 {
            model.frame(topic("a"), id(5000 + n), 5000);
        }
        model
    }

    #[test]
    fn frames_are_counted_by_topic_and_together() {
        let model = model();
        let rows = model.rows(5250);
        let row = |name: &str| rows.iter().find(|row| row.topic.as_str() == name).unwrap().clone();
        assert_eq!((row("a").seen, row("b").seen, row("c").seen), (4, 8, 0));
        assert_eq!((row("a").second.to_string(), row("b").second.to_string()), ("4.0".to_owned(), "0".to_owned()));
        assert_eq!((row("a").last_id, row("c").last_id), (id(5003), id(100)));
        assert_eq!((model.seen(), model.topics(), model.forgotten()), (12, 3, 0));
        // Twelve in the five seconds and a quarter since it began.
        let (second, ten_seconds) = model.rates(5250);
        assert_eq!((second.to_string(), ten_seconds.to_string()), ("4.0".to_owned(), "2.2".to_owned()));
    }

    #[test]
    fn keys_choose_the_order_and_turn_it_round() {
        let mut model = model();
        assert_eq!(names(&model, 5250), ["a", "b", "c"], "by the last second, then by name");
        for (keys, order) in [
            ("0", ["b", "a", "c"]),
            ("0", ["c", "a", "b"]),
            ("s", ["b", "a", "c"]),
            ("a", ["a", "b", "c"]),
            ("a", ["c", "b", "a"]),
            ("t", ["a", "b", "c"]),
            ("t", ["c", "b", "a"]),
            ("1", ["a", "b", "c"]),
        ] {
            press(&mut model, keys);
            assert_eq!(names(&model, 5250), order, "{keys}");
        }
    }

    #[test]
    fn a_filter_is_typed_taken_back_and_cleared() {
        let mut model = Model::new(0);
        for name in ["clip.add", "clip.remove", "quit"] {
            model.known(topic(name), id(1), 0);
        }
        press(&mut model, "/clip.a");
        assert_eq!((names(&model, 0), model.filter()), (vec!["clip.add".to_owned()], ("clip.a", true)));
        model.press(Key::Backspace, 10);
        assert_eq!(names(&model, 0).len(), 2);
        model.press(Key::Enter, 10);
        assert_eq!(model.filter(), ("clip.", false));
        model.press(Key::Escape, 10);
        assert_eq!(names(&model, 0).len(), 3);
        // A q is a letter while a filter is typed.
        press(&mut model, "/q");
        assert_eq!(names(&model, 0), ["quit"]);
        assert_eq!(model.press(Key::Interrupt, 10), Verdict::Quit);
        model.press(Key::Escape, 10);
        assert_eq!(model.filter(), ("", false));
        assert_eq!(model.press(Key::Char('q'), 10), Verdict::Quit);
        press(&mut model, &format!("/{}", "x".repeat(1000)));
        assert_eq!(model.filter().0.len(), FILTER_CHARS_MAX);
    }

    #[test]
    fn rows_are_scrolled_within_what_there_is() {
        let mut model = Model::new(0);
        for n in 0..100 {
            model.known(topic(&format!("t{n}")), id(n), 0);
        }
        for (key, first) in [
            (Key::Up, 0),
            (Key::Down, 1),
            (Key::PageDown, 11),
            (Key::End, 90),
            (Key::Down, 90),
            (Key::PageUp, 80),
            (Key::Home, 0),
        ] {
            model.press(key, 10);
            assert_eq!(model.first_of(100, 10), first, "{key:?}");
        }
        model.press(Key::End, 10);
        assert_eq!(model.first_of(5, 10), 0, "a filter left fewer");
    }

    #[test]
    fn rows_are_scrolled_within_what_the_filter_leaves() {
        let mut model = Model::new(0);
        for n in 0..100 {
            model.known(topic(&format!("t{n}")), id(n), 0);
        }
        // t1 and t10 to t19.
        press(&mut model, "/t1");
        model.press(Key::Enter, 5);
        let rows = names(&model, 0).len();
        assert_eq!(rows, 11);
        for (key, first) in [(Key::End, 6), (Key::Up, 5), (Key::PageDown, 6), (Key::Down, 6), (Key::PageUp, 1)] {
            model.press(key, 5);
            assert_eq!(model.first_of(rows, 5), first, "{key:?}");
        }
    }

    #[test]
    fn the_topics_that_are_kept_are_bounded() {
        let mut model = Model::with_topics_max(0, 100);
        for n in 0..1000 {
            model.frame(topic(&format!("t{n}")), id(n), n);
        }
        assert!((70..=100).contains(&model.topics()), "{}", model.topics());
        assert_eq!(model.forgotten() + u64::try_from(model.topics()).unwrap(), 1000);
        assert_eq!(model.seen(), 1000);
        let rows = model.rows(1000);
        assert!(rows.iter().all(|row| row.last_id >= id(900)), "the wrong ones were forgotten");
        // One that is known already forgets nobody.
        let kept = model.topics();
        model.frame(topic("t999"), id(2000), 2000);
        assert_eq!(model.topics(), kept);
    }
}
