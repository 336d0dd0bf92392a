//! What a scan reads: a pure function from [`Scan`] to a range of keys.

use super::{Space, keys};
use crate::{FrameId, Pattern, Scan};

/// The keys of one scan, in the order of the ids at their ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where they lie. In [`Space::Frames`] the values are the records; in [`Space::Index`] each
    /// key ends in the id of a record that is to be fetched.
    pub space: Space,
    /// The least key.
    pub first: Vec<u8>,
    /// The greatest key.
    pub last: Vec<u8>,
}

/// The keys that `scan` reads; `None` when no id lies in its range.
pub fn plan(scan: &Scan) -> Option<Plan> {
    let (least, greatest) = scan.range.inclusive()?;
    let bounds = |space, key: &dyn Fn(FrameId) -> Vec<u8>| Plan { space, first: key(least), last: key(greatest) };
    Some(match &scan.pattern {
        Pattern::All => bounds(Space::Frames, &keys::frame),
        Pattern::Exact(topic) => bounds(Space::Index, &|id| keys::topic(topic, id)),
        Pattern::Below(name) => bounds(Space::Index, &|id| keys::ancestor(name.as_str(), id)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::tests::any_frame;
    use crate::{IdRange, Topic};
    use proptest::prelude::*;
    use std::ops::Bound;

    proptest! {
        /// S7 as a law: a frame has a key in the plan exactly when the pattern and the range select it.
        #[test]
        fn a_plan_covers_exactly_what_the_scan_selects(
            frame in any_frame(),
            topic in "[ab](\\.[ab]){0,3}",
            pattern in "\\*|[ab](\\.[ab]){0,3}(\\.\\*)?",
            start: u128,
        ) {
            let frame = crate::Frame { topic: Topic::parse(&topic).unwrap(), ..frame };
            let pattern: Pattern = pattern.parse().unwrap();
            let range = IdRange { start: Bound::Excluded(FrameId::from_u128(start)), end: Bound::Unbounded };
            let selected = pattern.matches(&frame.topic) && range.contains(frame.id);
            let covered = plan(&Scan { range, ..Scan::new(pattern, 1) }).is_some_and(|plan| {
                let keys = match plan.space {
                    Space::Frames => vec![keys::frame(frame.id)],
                    Space::Index => keys::index_entries(&frame),
                };
                keys.iter().filter(|key| **key >= plan.first && **key <= plan.last).count() == 1
            });
            prop_assert_eq!(covered, selected);
        }
    }
}
