//! The pulses that are asked for, and those that are wanted.

use std::time::Duration;

use xs_core::Follow;

use crate::limits::{PERIOD_MAX, PERIOD_MIN};

/// A server is asked for pulses in any case; not all of them are for whoever reads.
#[derive(Clone, Debug)]
pub(crate) struct Pulses {
    /// How often the server sends one: no more rarely than is needed to notice that it is gone.
    pub(crate) asked: Duration,
    /// Of so many, the last is wanted; 0: none is.
    every: u32,
    count: u32,
}

impl Pulses {
    pub(crate) fn new(follow: Follow, heartbeat: Duration) -> Self {
        let Follow::Pulse(period) = follow else { return Self { asked: heartbeat, every: 0, count: 0 } };
        let every = period.as_nanos().div_ceil(heartbeat.as_nanos()).max(1);
        let every = u32::try_from(every).unwrap_or(u32::MAX);
        Self { asked: (period / every).clamp(PERIOD_MIN, PERIOD_MAX), every, count: 0 }
    }

    /// Takes one; whether it is wanted.
    pub(crate) fn beat(&mut self) -> bool {
        self.count += 1;
        let is_wanted = self.count == self.every;
        if self.count >= self.every {
            self.count = 0;
        }
        is_wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEARTBEAT: Duration = Duration::from_secs(15);

    #[test]
    fn pulses_that_were_not_asked_for_are_kept_back() {
        let mut none = Pulses::new(Follow::On, HEARTBEAT);
        assert_eq!(none.asked, HEARTBEAT);
        assert!((1..10).all(|_| !none.beat()));

        let pulse = |seconds| Pulses::new(Follow::Pulse(Duration::from_secs(seconds)), HEARTBEAT);
        let mut often = pulse(5);
        assert_eq!(often.asked, Duration::from_secs(5));
        assert!((1..10).all(|_| often.beat()));

        // One a minute is wanted; one in 15 seconds is needed to know that the server is there.
        let mut rarely = pulse(60);
        assert_eq!(rarely.asked, HEARTBEAT);
        let given: Vec<u32> = (1..=12).filter(|_| rarely.beat()).collect();
        assert_eq!(given, [4, 8, 12]);
        // None comes later than it is due.
        assert_eq!(pulse(40).asked, Duration::from_secs(40) / 3);
        assert_eq!(pulse(0).asked, PERIOD_MIN);
        assert!(pulse(u64::MAX).asked <= PERIOD_MAX);
    }
}
