//! Time and ids come from outside, so that a test can be the clock.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::{Error, ErrorKind, FrameId, Result};

/// What a stream asks for the time.
#[async_trait]
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// Milliseconds since 1970. It may step back.
    fn now_ms(&self) -> u64;

    /// Returns after this many milliseconds, whatever happens to `now_ms`.
    async fn sleep(&self, ms: u64);

    /// Returns when `now_ms` has reached `at_ms`, or earlier: the caller looks again.
    async fn sleep_until(&self, at_ms: u64);
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    async fn sleep(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    async fn sleep_until(&self, at_ms: u64) {
        // In naps, since the wall clock may be set while a timer runs.
        const NAP_MS: u64 = 60_000;
        self.sleep(at_ms.saturating_sub(self.now_ms()).min(NAP_MS)).await;
    }
}

/// A clock that stands until it is told to move, for tests.
///
/// ```
/// use xs_core::{Clock, ManualClock};
/// let clock = ManualClock::at(1_000);
/// clock.advance(500);
/// assert_eq!(clock.now_ms(), 1_500);
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(watch::Sender<u64>);

impl ManualClock {
    /// A clock that shows `now_ms`.
    pub fn at(now_ms: u64) -> Self {
        Self(watch::Sender::new(now_ms))
    }

    /// Moves it forward, waking those who sleep.
    pub fn advance(&self, ms: u64) {
        self.0.send_modify(|now| *now = now.saturating_add(ms));
    }

    /// Sets it, backward too.
    pub fn set(&self, now_ms: u64) {
        self.0.send_replace(now_ms);
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now_ms(&self) -> u64 {
        *self.0.borrow()
    }

    async fn sleep(&self, ms: u64) {
        self.sleep_until(self.now_ms().saturating_add(ms)).await;
    }

    async fn sleep_until(&self, at_ms: u64) {
        // An error means that the clock is gone; it will not move again.
        if self.0.subscribe().wait_for(|now| *now >= at_ms).await.is_err() {
            std::future::pending().await
        }
    }
}

/// What a stream asks for ids.
pub trait IdSource: Send + Sync + fmt::Debug + 'static {
    /// An id for a frame appended at `now_ms`, whose first 96 bits exceed those of `last`, the
    /// greatest id that the stream ever held, whatever the clock says.
    ///
    /// `Unavailable` when no greater id exists.
    fn next(&mut self, now_ms: u64, last: FrameId) -> Result<FrameId>;
}

/// SCRU128 ids with random fields: the usual source.
///
/// In a new millisecond both counters are random; within one, or while the clock lags behind the
/// last id, the counter is incremented, carrying into the timestamp when it is spent
/// (<https://github.com/scru128/spec>).
#[derive(Debug, Default)]
pub struct RandomIds(fastrand::Rng);

impl RandomIds {
    /// A source seeded from the machine.
    pub fn new() -> Self {
        Self::default()
    }

    /// A source that repeats itself, for tests.
    pub fn seeded(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }
}

impl IdSource for RandomIds {
    fn next(&mut self, now_ms: u64, last: FrameId) -> Result<FrameId> {
        const TIMESTAMP_MAX: u64 = (1 << 48) - 1;
        let entropy = u128::from(self.0.u32(..));
        let prefix = if now_ms > last.timestamp_ms() && now_ms <= TIMESTAMP_MAX {
            let counter = u128::from(self.0.u64(..1 << 48));
            u128::from(now_ms) << 48 | counter
        } else {
            (last.to_u128() >> 32) + 1
        };
        match prefix >> 96 {
            0 => Ok(FrameId::from_u128(prefix << 32 | entropy)),
            _ => Err(Error::new(ErrorKind::Unavailable, "the ids of this stream are spent")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ids_increase_in_their_first_96_bits_whatever_the_clock_says(
            seed: u64,
            clock in prop::collection::vec(0u64..1 << 44, 1..50),
        ) {
            let mut ids = RandomIds::seeded(seed);
            let mut last = FrameId::MIN;
            for now_ms in clock {
                let next = ids.next(now_ms, last).unwrap();
                prop_assert!(next.to_u128() >> 32 > last.to_u128() >> 32);
                prop_assert!(next > last.synthetic(u32::MAX));
                if now_ms > last.timestamp_ms() {
                    prop_assert_eq!(next.timestamp_ms(), now_ms);
                }
                last = next;
            }
        }
    }

    #[test]
    fn spent_ids_are_an_error() {
        assert!(RandomIds::new().next(0, FrameId::MAX).is_err());
    }
}
