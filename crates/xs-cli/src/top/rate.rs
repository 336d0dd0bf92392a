//! How many a second, over the last seconds.

use std::fmt;

/// What is counted together.
const STEP_MS: u64 = 250;
/// Ten seconds, and the step that is under way.
const STEPS: usize = 41;

/// A window of time over which rates are told, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window(u64);

impl Window {
    pub(crate) const SECOND: Self = Self(1000);
    pub(crate) const TEN_SECONDS: Self = Self(10_000);
}

/// Counts of the last ten seconds. Time is what the caller says, in milliseconds from any start.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    /// The newest step first.
    steps: [u32; STEPS],
    /// The number of the newest step.
    newest: u64,
}

impl Counts {
    pub(crate) fn new(now_ms: u64) -> Self {
        Self { steps: [0; STEPS], newest: now_ms / STEP_MS }
    }

    pub(crate) fn add(&mut self, now_ms: u64) {
        let passed = (now_ms / STEP_MS).saturating_sub(self.newest);
        let moved = usize::try_from(passed).unwrap_or(STEPS).min(STEPS);
        self.steps.rotate_right(moved % STEPS);
        self.steps.iter_mut().take(moved).for_each(|count| *count = 0);
        self.newest += passed;
        if let Some(newest) = self.steps.first_mut() {
            *newest = newest.saturating_add(1);
        }
    }

    /// Over the steps of `window` that are over, or as many of them as there were since `started_ms`.
    pub(crate) fn rate(&self, now_ms: u64, window: Window, started_ms: u64) -> Rate {
        let step = now_ms / STEP_MS;
        let steps = (window.0 / STEP_MS).min(step.saturating_sub(started_ms / STEP_MS));
        let behind = step.saturating_sub(self.newest);
        let counted: u64 = (behind..)
            .zip(&self.steps)
            .filter(|(age, _)| (1..=steps).contains(age))
            .map(|(_, count)| u64::from(*count))
            .sum();
        Rate { tenths: (counted * 10_000).checked_div(steps * STEP_MS).unwrap_or(0) }
    }
}

/// Frames a second, to a tenth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rate {
    tenths: u64,
}

impl Rate {
    pub(crate) fn is_zero(self) -> bool {
        self.tenths == 0
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.tenths {
            0 => "0".to_owned(),
            few @ 1..100 => format!("{}.{}", few / 10, few % 10),
            many => (many / 10).to_string(),
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(counts: &Counts, now_ms: u64) -> (String, String) {
        let rate = |window| counts.rate(now_ms, window, 0).to_string();
        (rate(Window::SECOND), rate(Window::TEN_SECONDS))
    }

    #[test]
    fn a_steady_flow_has_its_rate() {
        let mut counts = Counts::new(0);
        for ms in (0..60_000).step_by(20) {
            counts.add(ms);
        }
        assert_eq!(rates(&counts, 60_000), ("50".to_owned(), "50".to_owned()));
    }

    #[test]
    fn what_is_past_counts_no_more() {
        let mut counts = Counts::new(0);
        for _ in 0..30 {
            counts.add(20_000);
        }
        // The step under way is not counted yet.
        assert_eq!(rates(&counts, 20_100), ("0".to_owned(), "0".to_owned()));
        assert_eq!(rates(&counts, 20_250), ("30".to_owned(), "3.0".to_owned()));
        assert_eq!(rates(&counts, 21_249), ("30".to_owned(), "3.0".to_owned()));
        assert_eq!(rates(&counts, 21_250), ("0".to_owned(), "3.0".to_owned()));
        assert_eq!(rates(&counts, 30_249), ("0".to_owned(), "3.0".to_owned()));
        assert_eq!(rates(&counts, 30_250), ("0".to_owned(), "0".to_owned()));
        assert_eq!(rates(&counts, u64::MAX), ("0".to_owned(), "0".to_owned()));
        counts.add(90_000);
        assert_eq!(rates(&counts, 90_500).1, "0.1");
    }

    #[test]
    fn a_window_that_began_before_the_counting_is_shorter() {
        let mut counts = Counts::new(7000);
        for ms in (7000..9000).step_by(100) {
            counts.add(ms);
        }
        assert_eq!(counts.rate(9000, Window::TEN_SECONDS, 7000).to_string(), "10");
        assert!(counts.rate(7100, Window::SECOND, 7000).is_zero());
    }

    #[test]
    fn a_clock_that_stands_still_loses_nothing() {
        let mut counts = Counts::new(5000);
        counts.add(5000);
        counts.add(4000);
        assert_eq!(counts.rate(5250, Window::SECOND, 0).to_string(), "2.0");
    }
}
