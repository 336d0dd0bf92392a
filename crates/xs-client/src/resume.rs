//! What a read asks for next, from what it has been given. No I/O.

use std::time::Duration;

use xs_core::{Follow, Frame, FrameId, PULSE_TOPIC, ReadOptions, THRESHOLD_TOPIC, Ttl};

use crate::limits::{PERIOD_MAX, PERIOD_MIN, SILENCES_MAX, SILENT_HEARTBEATS};

/// A read that may take many requests.
///
/// It goes on after the last id that it was given, synthetic ones included: those lie between what was
/// looked at and what is appended next, so a follower of a rare topic does not read the same history
/// each time.
#[derive(Clone, Debug)]
pub(crate) struct Resume {
    /// As they were given.
    options: ReadOptions,
    /// Everything up to here has been given, or was not wanted.
    seen: Option<FrameId>,
    /// How many frames are still wanted.
    left: u64,
    /// The threshold is wanted, and has not been given.
    threshold: bool,
    /// It is known where `new` begins.
    is_placed: bool,
    heartbeat: Duration,
    pulses: Pulses,
}

impl Resume {
    pub(crate) fn new(options: ReadOptions, heartbeat: Duration) -> Self {
        let heartbeat = heartbeat.clamp(PERIOD_MIN, PERIOD_MAX);
        Self {
            seen: None,
            left: options.limit.unwrap_or(u64::MAX),
            threshold: options.threshold && !options.new,
            is_placed: !options.new || options.follow == Follow::Off,
            heartbeat,
            pulses: Pulses::new(options.follow, heartbeat),
            options,
        }
    }

    /// Whether it goes on with what is appended later, and so for ever.
    pub(crate) fn follows(&self) -> bool {
        self.options.follow != Follow::Off
    }

    /// Whether nothing more is wanted.
    pub(crate) fn is_done(&self) -> bool {
        self.left == 0
    }

    /// Whether the last id of all has to be asked for first. Without it, what is appended before the
    /// second connection would be lost, if the first one broke before it gave anything.
    pub(crate) fn wants_place(&self) -> bool {
        !self.is_placed
    }

    /// What is new begins after this id, or with the first frame.
    pub(crate) fn place(&mut self, last: Option<FrameId>) {
        (self.seen, self.is_placed) = (last, true);
    }

    /// What to ask for now.
    pub(crate) fn next(&self) -> ReadOptions {
        let options = self.options.clone();
        if !self.follows() {
            return options;
        }
        let options = ReadOptions {
            limit: options.limit.map(|_| self.left),
            last: options.last.filter(|_| !options.new && self.seen.is_none()),
            new: false,
            // The seam is wanted in any case: its id tells how far history has been read.
            threshold: true,
            follow: Follow::Pulse(self.pulses.asked),
            ..options
        };
        let Some(seen) = self.seen else { return options };
        // What was asked to be skipped stays skipped while it is yet to be appended.
        match (options.from, options.after) {
            (Some(from), _) if from > seen => options,
            (None, Some(after)) if after > seen => options,
            _ => ReadOptions { from: None, after: Some(seen), ..options },
        }
    }

    /// Takes the next frame that came; gives it back where it is wanted.
    pub(crate) fn take(&mut self, frame: Frame) -> Option<Frame> {
        if !self.follows() {
            return Some(frame);
        }
        let is_new = self.seen.is_none_or(|seen| frame.id > seen);
        self.seen = self.seen.max(Some(frame.id));
        let is_wanted = match synthetic(&frame) {
            Some(Synthetic::Threshold) => std::mem::take(&mut self.threshold),
            Some(Synthetic::Pulse) => self.pulses.beat(),
            // A server gives none twice; whatever one that does is up to, nobody gets it twice here.
            None => is_new && !self.is_done(),
        };
        if is_wanted && synthetic(&frame).is_none() {
            self.left -= 1;
        }
        is_wanted.then_some(frame)
    }

    /// How long its server may say nothing, after it has been silent so often without having said anything
    /// in between. It may be busy with history, so it gets more time each time.
    pub(crate) fn silence(&self, silences: u32) -> Option<Duration> {
        let silence = self.heartbeat * SILENT_HEARTBEATS * (1 << silences.min(SILENCES_MAX));
        self.follows().then_some(silence)
    }
}

enum Synthetic {
    Threshold,
    Pulse,
}

/// A frame that the server made for this reader alone.
fn synthetic(frame: &Frame) -> Option<Synthetic> {
    if frame.ttl != Some(Ttl::Ephemeral) || frame.hash.is_some() || frame.meta.is_some() {
        return None;
    }
    match frame.topic.as_str() {
        THRESHOLD_TOPIC => Some(Synthetic::Threshold),
        PULSE_TOPIC => Some(Synthetic::Pulse),
        _ => None,
    }
}

/// The pulses that are asked for, and those that are wanted.
#[derive(Clone, Debug)]
struct Pulses {
    /// How often the server sends one: no more rarely than is needed to notice that it is gone.
    asked: Duration,
    /// Of so many, the last is wanted; 0: none is.
    every: u32,
    count: u32,
}

impl Pulses {
    fn new(follow: Follow, heartbeat: Duration) -> Self {
        let Follow::Pulse(period) = follow else { return Self { asked: heartbeat, every: 0, count: 0 } };
        let every = period.as_nanos().div_ceil(heartbeat.as_nanos()).max(1);
        let every = u32::try_from(every).unwrap_or(u32::MAX);
        Self { asked: (period / every).clamp(PERIOD_MIN, PERIOD_MAX), every, count: 0 }
    }

    /// Takes one; whether it is wanted.
    fn beat(&mut self) -> bool {
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

    fn id(n: u128) -> FrameId {
        FrameId::from_u128(n << 32)
    }

    fn frame(n: u128) -> Frame {
        Frame::topic("a").unwrap().with_id(id(n))
    }

    /// A synthetic frame after the `n`th.
    fn made(topic: &str, n: u128) -> Frame {
        let id = FrameId::from_u128((n << 32) + 1);
        Frame::topic(topic).unwrap().ttl(Ttl::Ephemeral).with_id(id)
    }

    fn resume(options: ReadOptions) -> Resume {
        Resume::new(options, HEARTBEAT)
    }

    /// Where a request starts, and how much of history it wants.
    fn asked(resume: &Resume) -> (Option<FrameId>, Option<FrameId>, Option<u64>, Option<u64>) {
        let ReadOptions { from, after, last, limit, new, .. } = resume.next();
        assert!(!new);
        (from, after, last, limit)
    }

    #[test]
    fn history_alone_is_asked_for_as_it_is() {
        let options = ReadOptions { new: true, threshold: true, last: Some(3), ..ReadOptions::default() };
        let mut history = resume(options.clone());
        assert!(!history.follows() && !history.wants_place() && history.silence(0).is_none());
        assert_eq!(format!("{:?}", history.next()), format!("{options:?}"));
        assert!(history.take(frame(1)).is_some() && history.take(made(PULSE_TOPIC, 1)).is_some());
        assert!(resume(ReadOptions::default().limit(0)).is_done());
    }

    #[test]
    fn it_goes_on_after_the_last_frame() {
        let mut all = resume(ReadOptions::follow());
        assert_eq!(asked(&all), (None, None, None, None));
        assert_eq!(all.take(frame(1)), Some(frame(1)));
        assert_eq!(all.take(frame(2)), Some(frame(2)));
        assert_eq!(asked(&all), (None, Some(id(2)), None, None));
        // Whatever a server does, nothing comes twice.
        assert_eq!(all.take(frame(2)), None);
        assert_eq!(all.take(frame(3)), Some(frame(3)));
    }

    #[test]
    fn it_goes_on_after_synthetic_frames_too() {
        let mut all = resume(ReadOptions::follow());
        assert_eq!(all.take(made(THRESHOLD_TOPIC, 7)), None);
        assert_eq!(asked(&all).1, Some(made(THRESHOLD_TOPIC, 7).id));
        assert_eq!(all.take(made(PULSE_TOPIC, 9)), None);
        assert_eq!(asked(&all).1, Some(made(PULSE_TOPIC, 9).id));
        assert_eq!(all.take(frame(10)), Some(frame(10)));
    }

    #[test]
    fn after_and_from_hold_until_they_are_passed() {
        let mut after = resume(ReadOptions::follow().after(id(5)));
        assert_eq!(asked(&after), (None, Some(id(5)), None, None));
        after.take(frame(6)).unwrap();
        assert_eq!(asked(&after), (None, Some(id(6)), None, None));

        // From wins over after, as long as it counts.
        let mut from = resume(ReadOptions { from: Some(id(5)), ..ReadOptions::follow().after(id(9)) });
        assert_eq!(asked(&from), (Some(id(5)), Some(id(9)), None, None));
        from.take(frame(5)).unwrap();
        assert_eq!(asked(&from), (None, Some(id(5)), None, None));

        // Of what is yet to be appended.
        let mut from = resume(ReadOptions { from: Some(id(50)), ..ReadOptions::follow() });
        from.take(made(THRESHOLD_TOPIC, 3));
        assert_eq!(asked(&from), (Some(id(50)), None, None, None));
        let mut after = resume(ReadOptions::follow().after(id(50)));
        after.take(made(THRESHOLD_TOPIC, 3));
        assert_eq!(asked(&after), (None, Some(id(50)), None, None));
    }

    #[test]
    fn the_limit_counts_over_all_connections_and_stored_frames_alone() {
        let mut three = resume(ReadOptions { threshold: true, ..ReadOptions::follow().limit(3) });
        assert_eq!(asked(&three).3, Some(3));
        three.take(frame(1)).unwrap();
        three.take(made(THRESHOLD_TOPIC, 1)).unwrap();
        three.take(made(PULSE_TOPIC, 1));
        assert_eq!(asked(&three).3, Some(2));
        three.take(frame(2)).unwrap();
        assert_eq!(asked(&three).3, Some(1));
        assert!(!three.is_done());
        three.take(frame(3)).unwrap();
        assert!(three.is_done());
        assert_eq!(three.take(frame(4)), None);
    }

    #[test]
    fn the_last_few_are_asked_for_until_something_came() {
        let mut last = resume(ReadOptions::follow().last(10));
        assert_eq!(asked(&last), (None, None, Some(10), None));
        // The first connection gave nothing.
        assert_eq!(asked(&last), (None, None, Some(10), None));
        last.take(frame(3)).unwrap();
        // The rest of the ten comes as history after the third.
        assert_eq!(asked(&last), (None, Some(id(3)), None, None));

        let mut last = resume(ReadOptions::follow().last(10));
        last.take(made(THRESHOLD_TOPIC, 0));
        assert_eq!(asked(&last).2, None);
    }

    #[test]
    fn the_threshold_comes_once_and_only_if_it_is_wanted() {
        let mut wanted = resume(ReadOptions { threshold: true, ..ReadOptions::follow() });
        assert!(wanted.take(made(THRESHOLD_TOPIC, 1)).is_some());
        wanted.take(frame(2)).unwrap();
        assert!(wanted.take(made(THRESHOLD_TOPIC, 2)).is_none());
        let mut unwanted = resume(ReadOptions::follow());
        assert!(unwanted.take(made(THRESHOLD_TOPIC, 1)).is_none());
        // What somebody has appended under that name is a frame like any other.
        assert!(unwanted.take(Frame::topic(THRESHOLD_TOPIC).unwrap().with_id(id(2))).is_some());
    }

    #[test]
    fn new_begins_after_the_last_id_and_never_asks_for_new() {
        let mut new = resume(ReadOptions { threshold: true, last: Some(3), ..ReadOptions::new_only() });
        assert!(new.wants_place());
        new.place(Some(id(4)));
        assert!(!new.wants_place());
        assert_eq!(asked(&new), (None, Some(id(4)), None, None));
        // The seam is no news.
        assert!(new.take(made(THRESHOLD_TOPIC, 4)).is_none());
        assert_eq!(new.take(frame(4)), None);
        assert_eq!(new.take(frame(5)), Some(frame(5)));

        let mut first = resume(ReadOptions::new_only());
        first.place(None);
        assert!(!first.wants_place());
        assert_eq!(asked(&first), (None, None, None, None));
        assert_eq!(first.take(frame(1)), Some(frame(1)));

        let mut later = resume(ReadOptions::new_only().after(id(50)));
        later.place(Some(id(4)));
        assert_eq!(asked(&later), (None, Some(id(50)), None, None));
    }

    #[test]
    fn pulses_that_were_not_asked_for_are_kept_back() {
        let follow = |resume: &Resume| resume.next().follow;
        let mut none = resume(ReadOptions::follow());
        assert_eq!(follow(&none), Follow::Pulse(HEARTBEAT));
        assert!((1..10).all(|n| none.take(made(PULSE_TOPIC, n)).is_none()));

        let pulse = |seconds| {
            resume(ReadOptions { follow: Follow::Pulse(Duration::from_secs(seconds)), ..ReadOptions::follow() })
        };
        let mut often = pulse(5);
        assert_eq!(follow(&often), Follow::Pulse(Duration::from_secs(5)));
        assert!((1..10).all(|n| often.take(made(PULSE_TOPIC, n)).is_some()));

        // One a minute is wanted; one in 15 seconds is needed to know that the server is there.
        let mut rarely = pulse(60);
        assert_eq!(follow(&rarely), Follow::Pulse(HEARTBEAT));
        let given: Vec<u128> = (1..=12).filter(|n| rarely.take(made(PULSE_TOPIC, *n)).is_some()).collect();
        assert_eq!(given, [4, 8, 12]);
        // None comes later than it is due.
        assert_eq!(follow(&pulse(40)), Follow::Pulse(Duration::from_secs(40) / 3));
        assert_eq!(follow(&pulse(0)), Follow::Pulse(PERIOD_MIN));
        let Follow::Pulse(asked) = follow(&pulse(u64::MAX)) else { panic!() };
        assert!(asked <= PERIOD_MAX);
    }

    #[test]
    fn a_server_that_is_silent_each_time_gets_more_time() {
        let resume = resume(ReadOptions::follow());
        assert_eq!(resume.silence(0), Some(HEARTBEAT * 3));
        assert_eq!(resume.silence(2), Some(HEARTBEAT * 12));
        assert_eq!(resume.silence(u32::MAX), resume.silence(SILENCES_MAX));
        let long = Resume::new(ReadOptions::follow(), Duration::MAX);
        assert!(long.silence(u32::MAX).is_some());
    }
}
