//! Topics, and the patterns that select them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The longest topic, in bytes: its length fits one byte of a frame record.
pub const TOPIC_BYTES_MAX: usize = 255;

/// The most patterns in one [`Filter`]. Each is a cursor of its own in a merged read.
const FILTER_PATTERNS_MAX: usize = 64;

/// A dot-separated name: `[A-Za-z_][A-Za-z0-9_.-]*`, at most 255 bytes, no `..`, no trailing `.`.
///
/// Cheap to clone.
///
/// ```
/// use xs_core::Topic;
/// let topic = Topic::parse("sensor.kitchen.temp")?;
/// assert_eq!(topic.ancestors().collect::<Vec<_>>(), ["sensor", "sensor.kitchen"]);
/// assert!(Topic::parse("sensor..temp").is_err());
/// # Ok::<(), xs_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Arc<str>);

impl Topic {
    /// The topic with this name, or `InvalidInput` that says which rule it breaks.
    pub fn parse(text: &str) -> Result<Self> {
        let refuse = |rule: &str| Err(Error::invalid(format!("topic {text:?} {rule}")));
        if text.len() > TOPIC_BYTES_MAX {
            return Err(Error::invalid(format!(
                "topic is {} bytes long; at most {TOPIC_BYTES_MAX} are allowed",
                text.len()
            )));
        }
        match text.as_bytes() {
            [] => return refuse("is empty"),
            [first, ..] if !(first.is_ascii_alphabetic() || *first == b'_') => {
                return refuse("must start with a letter or _");
            }
            _ => {}
        }
        let mut previous = b' ';
        for byte in text.bytes() {
            if !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')) {
                return refuse("may hold only letters, digits, _, - and .");
            }
            if byte == b'.' && previous == b'.' {
                return refuse("holds an empty part (..)");
            }
            previous = byte;
        }
        if previous == b'.' {
            return refuse("ends with a dot");
        }
        Ok(Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names that this topic lies below, shortest first: of `a.b.c`, `a` and `a.b`.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('.').filter_map(|(at, _)| self.0.get(..at))
    }

    /// Whether it lies below `ancestor`, at any depth.
    pub fn is_below(&self, ancestor: &Topic) -> bool {
        self.0.strip_prefix(ancestor.as_str()).is_some_and(|rest| rest.starts_with('.'))
    }
}

impl FromStr for Topic {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl Serialize for Topic {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Topic {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::frame::from_text(deserializer)
    }
}

/// What one scan selects by topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern {
    /// `*`: every topic.
    All,
    /// `a.b`: this topic.
    Exact(Topic),
    /// `a.*`: every topic below `a`, at any depth, and not `a` itself.
    Below(Topic),
}

impl Pattern {
    /// Whether `topic` is selected.
    pub fn matches(&self, topic: &Topic) -> bool {
        match self {
            Self::All => true,
            Self::Exact(name) => name == topic,
            Self::Below(ancestor) => topic.is_below(ancestor),
        }
    }

    /// Whether every topic that `other` selects is selected by this one too.
    fn covers(&self, other: &Pattern) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (_, Self::All) | (Self::Exact(_), Self::Below(_)) => false,
            (Self::Below(a), Self::Below(b)) => a == b || b.is_below(a),
            (_, Self::Exact(topic)) => self.matches(topic),
        }
    }
}

impl FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "*" {
            return Ok(Self::All);
        }
        let parsed = match text.strip_suffix(".*") {
            Some(ancestor) => Topic::parse(ancestor).map(Self::Below),
            None => Topic::parse(text).map(Self::Exact),
        };
        parsed.map_err(|error| error.context(format_args!("pattern {text:?}")))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Exact(topic) => write!(f, "{topic}"),
            Self::Below(ancestor) => write!(f, "{ancestor}.*"),
        }
    }
}

/// A comma-separated list of patterns; a topic is selected when any of them selects it.
///
/// The patterns are kept reduced: none covers another, so no topic is selected by two of them.
///
/// ```
/// use xs_core::{Filter, Topic};
/// let filter: Filter = "user.*,audit".parse()?;
/// assert!(filter.matches(&Topic::parse("user.42.login")?));
/// assert!(!filter.matches(&Topic::parse("user")?));
/// assert_eq!("a.*,a.b,a.b.*".parse::<Filter>()?.to_string(), "a.*");
/// # Ok::<(), xs_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(Arc<[Pattern]>);

impl Filter {
    /// Selects every topic.
    pub fn all() -> Self {
        Self(Arc::new([Pattern::All]))
    }

    /// Its patterns: at least one, none of which covers another.
    pub fn patterns(&self) -> &[Pattern] {
        &self.0
    }

    /// Whether `topic` is selected.
    pub fn matches(&self, topic: &Topic) -> bool {
        self.0.iter().any(|pattern| pattern.matches(topic))
    }

    fn reduced(patterns: Vec<Pattern>) -> Result<Self> {
        let mut kept: Vec<Pattern> = Vec::new();
        for pattern in patterns {
            if !kept.iter().any(|other| other.covers(&pattern)) {
                kept.retain(|other| !pattern.covers(other));
                kept.push(pattern);
            }
        }
        if kept.len() > FILTER_PATTERNS_MAX {
            return Err(Error::invalid(format!(
                "a filter holds at most {FILTER_PATTERNS_MAX} patterns; this one holds {}",
                kept.len()
            )));
        }
        Ok(Self(kept.into()))
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self::all()
    }
}

impl From<Pattern> for Filter {
    fn from(pattern: Pattern) -> Self {
        Self(Arc::new([pattern]))
    }
}

impl From<Topic> for Filter {
    fn from(topic: Topic) -> Self {
        Pattern::Exact(topic).into()
    }
}

impl FromStr for Filter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::reduced(text.split(',').map(|part| part.trim().parse()).collect::<Result<_>>()?)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pattern) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{pattern}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn topic_rules() {
        for good in ["a", "_", "a.b", "A-b_c.9", "xs.start", &"a".repeat(255)] {
            assert!(Topic::parse(good).is_ok(), "{good}");
        }
        for bad in ["", ".a", "a.", "a..b", "9a", "-a", "a b", "a/b", "a\0b", "ä", "*", "a.*", &"a".repeat(256)] {
            assert!(Topic::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_prefix_pattern_selects_below_and_not_itself() {
        let pattern: Pattern = "a.b.*".parse().unwrap();
        for (topic, selected) in
            [("a.b", false), ("a.b.c", true), ("a.b.c.d", true), ("a.bc", false), ("a", false), ("a.b-c", false)]
        {
            assert_eq!(pattern.matches(&Topic::parse(topic).unwrap()), selected, "{topic}");
        }
    }

    #[test]
    fn bad_patterns_are_refused() {
        for bad in ["", "*.a", "a.*.b", "a*", ".*", "a..*", "a,,b", "a b"] {
            assert!(bad.parse::<Filter>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn reducing_a_filter_changes_nothing_that_it_selects(
            patterns in prop::collection::vec("[ab](\\.[ab]){0,3}(\\.\\*)?|\\*", 1..6),
            topic in "[ab](\\.[ab]){0,4}",
        ) {
            let topic = Topic::parse(&topic).unwrap();
            let plain: Vec<Pattern> = patterns.iter().map(|p| p.parse().unwrap()).collect();
            let filter: Filter = patterns.join(",").parse().unwrap();
            prop_assert_eq!(filter.matches(&topic), plain.iter().any(|p| p.matches(&topic)));
            prop_assert!(filter.patterns().iter().filter(|p| p.matches(&topic)).count() <= 1);
            prop_assert_eq!(filter.to_string().parse::<Filter>().unwrap(), filter);
        }

        #[test]
        fn parsing_never_panics(text in ".*") {
            let _ = Topic::parse(&text);
            let _ = text.parse::<Filter>();
        }
    }
}
