//! How long a client is waited for that does not take what it is sent.
//!
//! That a write waits says little of the client: a kernel calls a socket writable only once a good part of its buffer
//! is free, with Linux three quarters of a Unix socket's and a third of a TCP connection's, and who reads a steady few
//! kilobytes a second takes minutes to free that. So a wait is a row of looks at whether there is any room at all.
//!
//! No look sees less than what kernels let go of at a time: on Linux up to 64 KiB of a Unix socket, up to 128 KiB of
//! TCP on loopback. Whoever takes less than that within the time-out cannot be told from somebody who takes nothing.

use std::num::NonZeroU64;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::limits::WRITE_LOOKS;

/// Why a client is not waited for any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tired {
    /// It took nothing for so long.
    Nothing(Duration),
    /// It takes less than so many bytes a second.
    Slow(NonZeroU64),
}

/// The patience with one client.
pub(super) struct Patience {
    timeout: Duration,
    rate_min: Option<NonZeroU64>,
    /// Since when a write waits.
    since: Option<Instant>,
    /// For how long the client was waited for before, less a second for each `rate_min` bytes that it has taken since;
    /// always nothing where no rate is asked for. What it takes beyond that is not put by: a kernel takes megabytes
    /// in its place, and who fetched a lot once could go on with a byte now and then for days.
    owed: Duration,
    /// Only while a write waits: as long as the client takes what it is sent, no timer is set.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    pub(super) fn new(timeout: Duration, rate_min: Option<NonZeroU64>) -> Self {
        Self { timeout, rate_min, since: None, owed: Duration::ZERO, timer: None }
    }

    /// The client, or the kernel in its place, took so many bytes.
    pub(super) fn took(&mut self, bytes: usize) {
        let waited = self.waited();
        (self.since, self.timer) = (None, None);
        if let Some(rate_min) = self.rate_min {
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            let earned = Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / rate_min);
            self.owed = self.owed.saturating_add(waited).saturating_sub(earned);
        }
    }

    /// A write waits. Ready each time that somebody has to look for room; and the last time when patience ends.
    pub(super) fn poll_look(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.since.get_or_insert_with(Instant::now);
        let step = self.left().min(self.timeout / WRITE_LOOKS);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(step)));
        ready!(timer.as_mut().poll(cx));
        self.timer = None;
        Poll::Ready(())
    }

    /// What is thought of the client when a look was in vain.
    pub(super) fn tired(&self) -> Option<Tired> {
        self.left().is_zero().then(|| match self.rate_min {
            Some(rate_min) if !self.owed.is_zero() => Tired::Slow(rate_min),
            _ => Tired::Nothing(self.timeout),
        })
    }

    fn left(&self) -> Duration {
        self.timeout.saturating_sub(self.owed).saturating_sub(self.waited())
    }

    fn waited(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    #[cfg(test)]
    pub(super) fn is_at_rest(&self) -> bool {
        self.since.is_none() && self.timer.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(1000);

    /// Waits for a client that takes so many bytes every `each_ms`, and returns why that ended and after how many ms.
    /// One that is waited for after ten minutes may stay.
    async fn waiting(rate_min: u64, each_ms: u128, bytes: usize) -> (Option<Tired>, u128) {
        let mut patience = Patience::new(TIMEOUT, NonZeroU64::new(rate_min));
        let (start, mut taken) = (Instant::now(), 0);
        while start.elapsed() < Duration::from_secs(600) {
            poll_fn(|cx| patience.poll_look(cx)).await;
            let room = usize::try_from(start.elapsed().as_millis() / each_ms).unwrap() * bytes - taken;
            if room > 0 {
                patience.took(room);
                taken += room;
                assert!(patience.is_at_rest(), "a timer is set while nothing waits");
            } else if let Some(tired) = patience.tired() {
                return (Some(tired), start.elapsed().as_millis());
            }
        }
        (None, start.elapsed().as_millis())
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_something_in_time_is_waited_for() {
        for each_ms in [100, 900] {
            assert_eq!(waiting(0, each_ms, 1).await.0, None);
        }
        for rate_min in [0, 500] {
            let (tired, ms) = waiting(rate_min, u128::MAX, 0).await;
            assert_eq!(tired, Some(Tired::Nothing(TIMEOUT)));
            assert!((1000..1100).contains(&ms), "{ms}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_bounds_all_waits_together() {
        // Half a second each, in which eleven bytes are enough for twenty a second, and not for thirty.
        assert_eq!(waiting(20, 500, 11).await.0, None);
        for (rate_min, bytes, ended_ms) in [(30, 11, 2000..4000), (500, 1, 1000..1100)] {
            let (tired, ms) = waiting(rate_min, 500, bytes).await;
            assert_eq!(tired, NonZeroU64::new(rate_min).map(Tired::Slow));
            assert!(ended_ms.contains(&ms), "{ms}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_taken_is_not_put_by_and_what_was_waited_is_paid_back() {
        let mut patience = Patience::new(TIMEOUT, NonZeroU64::new(10));
        patience.took(1_000_000);
        let start = Instant::now();
        while patience.tired().is_none() {
            poll_fn(|cx| patience.poll_look(cx)).await;
        }
        assert!((1000..1100).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
        patience.took(2);
        assert!(patience.left() <= Duration::from_millis(200), "{:?}", patience.left());
        // As well by what is taken without a wait.
        patience.took(5);
        assert!(patience.left() > Duration::from_millis(600), "{:?}", patience.left());
    }
}
