//! What a read asks for next, from what it has been given. No I/O.

use std::time::Duration;

use xs_core::{Follow, Frame, FrameId, PULSE_TOPIC, ReadOptions, THRESHOLD_TOPIC, Ttl};

use crate::limits::{PERIOD_MAX, PERIOD_MIN, SILENCES_MAX, SILENT_HEARTBEATS};
use crate::pulses::Pulses;

/// A read that may take many requests.
///
/// It goes on after the last id that it was given, synthetic ones included: those lie between what was
/// looked at and what is appended next, so a follower of a rare topic does not read the same history
/// each time. The ids of ephemeral frames say nothing: no store knows them, so after a restart a clock that
/// has stepped back may give lesser ones to what is stored.
#[derive(Clone, Debug)]
pub(crate) struct Resume {
    /// As they were given, but for where it begins once that is known.
    options: ReadOptions,
    /// Everything stored up to here has been given, or was not wanted.
    seen: Option<FrameId>,
    /// How many frames are still wanted.
    left: u64,
    /// The threshold is wanted, and has not been given.
    threshold: bool,
    place: Place,
    heartbeat: Duration,
    pulses: Pulses,
}

/// What is known of where a follower begins that is not given all of history. It is found out before the
/// follower connects: should its connections break before they give anything, `new` and `last` would select
/// anew each time, and what was appended in between would be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The last id of all is asked for: what comes after it is new.
    Tail,
    /// The oldest of the last few is asked for. Where there is none, it begins with what is new.
    Last,
    Known,
}

impl Resume {
    pub(crate) fn new(options: ReadOptions, heartbeat: Duration) -> Self {
        let heartbeat = heartbeat.clamp(PERIOD_MIN, PERIOD_MAX);
        Self {
            seen: None,
            left: options.limit.unwrap_or(u64::MAX),
            threshold: options.threshold && !options.new,
            place: match options.follow != Follow::Off && (options.new || options.last.is_some()) {
                true => Place::Tail,
                false => Place::Known,
            },
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

    /// The history whose first frame has to be asked for before anything else, if any.
    pub(crate) fn place(&self) -> Option<ReadOptions> {
        match self.place {
            Place::Tail => Some(ReadOptions::default().last(1).limit(1)),
            Place::Last => Some(ReadOptions { follow: Follow::Off, limit: Some(1), ..self.options.clone() }),
            Place::Known => None,
        }
    }

    /// Takes the id of that frame, if there is one.
    pub(crate) fn placed(&mut self, first: Option<FrameId>) {
        self.place = match (self.place, first) {
            (Place::Tail, tail) => {
                self.seen = tail;
                match self.options.new || self.options.last == Some(0) {
                    true => Place::Known,
                    false => Place::Last,
                }
            }
            (Place::Last, Some(first)) => {
                self.seen = None;
                (self.options.from, self.options.after) = (Some(first), None);
                Place::Known
            }
            (Place::Last, None) | (Place::Known, _) => Place::Known,
        };
    }

    /// What to ask for now, when its place is known.
    pub(crate) fn next(&self) -> ReadOptions {
        let options = self.options.clone();
        if !self.follows() {
            return options;
        }
        let options = ReadOptions {
            limit: options.limit.map(|_| self.left),
            last: None,
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
        let made = synthetic(&frame);
        if made.is_some() || frame.ttl != Some(Ttl::Ephemeral) {
            self.seen = self.seen.max(Some(frame.id));
        }
        let is_wanted = match made {
            Some(Synthetic::Threshold) => std::mem::take(&mut self.threshold),
            Some(Synthetic::Pulse) => self.pulses.beat(),
            // A server gives none twice; whatever one that does is up to, no stored one comes twice here.
            None if is_new && !self.is_done() => {
                self.left -= 1;
                true
            }
            None => false,
        };
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
        assert!(!history.follows() && history.place().is_none() && history.silence(0).is_none());
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
    fn ephemeral_frames_do_not_move_it() {
        let passing = |n| Frame { ttl: Some(Ttl::Ephemeral), ..frame(n) };
        let mut all = resume(ReadOptions::follow().limit(5));
        assert_eq!(all.take(passing(1)), Some(passing(1)));
        assert_eq!(asked(&all), (None, None, None, Some(4)));
        assert_eq!(all.take(frame(2)), Some(frame(2)));
        assert_eq!(all.take(passing(9)), Some(passing(9)));
        assert_eq!(asked(&all), (None, Some(id(2)), None, Some(2)));
        // Its server came back with a clock that had stepped back.
        assert_eq!(all.take(frame(5)), Some(frame(5)));
        assert_eq!(all.take(frame(5)), None);
        assert_eq!(all.take(passing(6)), Some(passing(6)));
        assert!(all.is_done());
    }

    /// What is asked of history before anything else.
    fn place(resume: &Resume) -> String {
        format!("{:?}", resume.place().unwrap())
    }

    #[test]
    fn the_last_few_are_those_that_there_were_at_first() {
        let tail = format!("{:?}", ReadOptions::default().last(1).limit(1));
        let filter: xs_core::Filter = "a".parse().unwrap();
        let options = ReadOptions { from: Some(id(2)), threshold: true, ..ReadOptions::default().filter(filter) };
        let options = options.last(10).limit(20);
        let mut last = resume(ReadOptions { follow: Follow::On, ..options.clone() });
        assert_eq!(place(&last), tail);
        last.placed(Some(id(30)));
        assert_eq!(place(&last), format!("{:?}", options.limit(1)));
        last.placed(Some(id(3)));
        assert!(last.place().is_none());
        // However often a connection gives nothing.
        assert_eq!(asked(&last), (Some(id(3)), None, None, Some(20)));
        assert_eq!(asked(&last), (Some(id(3)), None, None, Some(20)));
        last.take(frame(3)).unwrap();
        assert_eq!(asked(&last), (None, Some(id(3)), None, Some(19)));
        assert!(last.take(made(THRESHOLD_TOPIC, 30)).is_some());

        // Of none, it begins after all there was, and not before what is yet to be appended.
        for (after, begin) in [(None, id(30)), (Some(id(9)), id(30)), (Some(id(50)), id(50))] {
            let mut none = resume(ReadOptions { after, ..ReadOptions::follow().last(10) });
            none.placed(Some(id(30)));
            none.placed(None);
            assert!(none.place().is_none());
            assert_eq!(asked(&none), (None, Some(begin), None, None));
        }
        let mut empty = resume(ReadOptions::follow().last(10));
        empty.placed(None);
        assert!(empty.place().is_some());
        empty.placed(None);
        assert_eq!((empty.place().is_none(), asked(&empty)), (true, (None, None, None, None)));
    }

    #[test]
    fn the_last_none_are_the_seam_and_what_is_new() {
        let mut none = resume(ReadOptions { threshold: true, ..ReadOptions::follow().last(0) });
        assert!(none.place().is_some());
        none.placed(Some(id(4)));
        assert!(none.place().is_none());
        assert_eq!(asked(&none), (None, Some(id(4)), None, None));
        assert!(none.take(made(THRESHOLD_TOPIC, 4)).is_some());
        assert_eq!(none.take(frame(5)), Some(frame(5)));
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
        assert_eq!(place(&new), format!("{:?}", ReadOptions::default().last(1).limit(1)));
        new.placed(Some(id(4)));
        assert!(new.place().is_none());
        assert_eq!(asked(&new), (None, Some(id(4)), None, None));
        // The seam is no news.
        assert!(new.take(made(THRESHOLD_TOPIC, 4)).is_none());
        assert_eq!(new.take(frame(4)), None);
        assert_eq!(new.take(frame(5)), Some(frame(5)));

        let mut first = resume(ReadOptions::new_only());
        first.placed(None);
        assert!(first.place().is_none());
        assert_eq!(asked(&first), (None, None, None, None));
        assert_eq!(first.take(frame(1)), Some(frame(1)));

        let mut later = resume(ReadOptions::new_only().after(id(50)));
        later.placed(Some(id(4)));
        assert_eq!(asked(&later), (None, Some(id(50)), None, None));
    }

    #[test]
    fn pulses_are_asked_for_and_given_where_they_are_wanted() {
        let mut none = resume(ReadOptions::follow());
        assert_eq!(none.next().follow, Follow::Pulse(HEARTBEAT));
        assert!(none.take(made(PULSE_TOPIC, 1)).is_none());
        let follow = Follow::Pulse(HEARTBEAT / 3);
        let mut each = resume(ReadOptions { follow, ..ReadOptions::follow() });
        assert_eq!(each.next().follow, follow);
        assert!(each.take(made(PULSE_TOPIC, 1)).is_some());
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
