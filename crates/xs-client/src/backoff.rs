//! How long to wait before something is tried again.

use std::time::Duration;

use crate::limits::{PERIOD_MAX, PERIOD_MIN};

/// Pauses that double, each of them to about a half by chance: what failed for many at the same moment
/// is not tried again by all of them at the same moment.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration) -> Self {
        let max = max.clamp(PERIOD_MIN, PERIOD_MAX);
        Self { min: min.clamp(PERIOD_MIN, max), max, failures: 0 }
    }

    /// The pause after one more failure, where chance is between 0 and 1.
    pub(crate) fn pause(&mut self, chance: f64) -> Duration {
        let doublings = self.failures.min(30);
        self.failures = self.failures.saturating_add(1);
        let pause = self.min.saturating_mul(1 << doublings).min(self.max);
        pause.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
    }

    /// It worked.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(100), ms(1000));
        let pauses: Vec<Duration> = (0..6).map(|_| backoff.pause(1.0)).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000].map(ms));
        backoff.reset();
        assert_eq!((backoff.pause(0.0), backoff.pause(0.5)), (ms(50), ms(150)));
        for _ in 0..1000 {
            assert!(backoff.pause(fastrand::f64()) <= ms(1000));
        }
    }

    #[test]
    fn no_pause_is_nothing_and_none_is_for_ever() {
        let mut backoff = Backoff::new(Duration::ZERO, Duration::ZERO);
        assert!(backoff.pause(0.0) > Duration::ZERO);
        let mut backoff = Backoff::new(Duration::MAX, Duration::MAX);
        assert!((0..100).all(|_| backoff.pause(1.0) <= PERIOD_MAX));
    }
}
