//! Pauses between writes to a follower.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::future::FutureExt as _;
use futures::stream::{Stream, StreamExt as _};
use tokio::time::Sleep;
use xs::{Frame, Result, THRESHOLD_TOPIC, Ttl};

use crate::limits::{PACE_EACH, PACE_LEAST, PACE_MOST};
use crate::metrics::ServerCounters;

/// The frames of a follower. Once it is live and has been given all there is, it is given nothing more for a
/// pause, so that what comes meanwhile goes out together.
///
/// To write to a thousand followers for each frame would take more than there are processors: so the more
/// connections there are, the longer the pause. A few wait for nothing, and no one does when frames are rare.
pub(super) struct Paced<S> {
    frames: S,
    counters: Arc<ServerCounters>,
    /// Not in history, where there is always more.
    is_live: bool,
    /// Since the last pause.
    gave: bool,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<S> Paced<S> {
    /// Of a follower that is live already, or that will be behind its threshold.
    pub(super) fn new(frames: S, is_live: bool, counters: Arc<ServerCounters>) -> Self {
        Self { frames, counters, is_live, gave: false, pause: None }
    }
}

impl<S: Stream<Item = Result<Frame>> + Unpin> Stream for Paced<S> {
    type Item = Result<Frame>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        let this = self.get_mut();
        if let Some(pause) = &mut this.pause {
            ready!(pause.poll_unpin(cx));
            this.pause = None;
        }
        let next = this.frames.poll_next_unpin(cx);
        if let Poll::Ready(frame) = &next {
            this.gave = true;
            this.is_live |= matches!(frame, Some(Ok(frame)) if is_threshold(frame));
        } else if this.is_live && std::mem::take(&mut this.gave) {
            this.pause = pace(this.counters.connections()).map(|pace| Box::pin(tokio::time::sleep(pace)));
            if let Some(pause) = &mut this.pause {
                // It has just begun, and is polled so that it wakes this task.
                let _ = pause.poll_unpin(cx);
            }
        }
        next
    }
}

/// How long a follower pauses, by how many connections there are.
fn pace(connections: u64) -> Option<Duration> {
    let pace = PACE_EACH.saturating_mul(u32::try_from(connections).unwrap_or(u32::MAX)).min(PACE_MOST);
    (pace >= PACE_LEAST).then_some(pace)
}

fn is_threshold(frame: &Frame) -> bool {
    frame.ttl == Some(Ttl::Ephemeral) && frame.topic.as_str() == THRESHOLD_TOPIC
}

#[cfg(test)]
mod tests {
    use futures::stream::BoxStream;
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
    use tokio::time::Instant;
    use xs::FrameId;

    use super::*;

    const PAUSE: std::ops::RangeInclusive<u128> = 40..=45;

    fn frame(topic: &str, number: u128) -> Frame {
        Frame::topic(topic).unwrap().ttl(Ttl::Ephemeral).with_id(FrameId::from_u128(number << 32))
    }

    /// What is sent to it, as it is given to one of so many connections, each go by itself.
    struct Follower {
        sender: UnboundedSender<Result<Frame>>,
        given: BoxStream<'static, Vec<Result<Frame>>>,
    }

    impl Follower {
        fn new(connections: usize, is_live: bool) -> Self {
            let counters = Arc::<ServerCounters>::default();
            let connected: Vec<_> = (0..connections).map(|_| counters.connected()).collect();
            let (sender, mut frames): (_, UnboundedReceiver<Result<Frame>>) = unbounded_channel();
            let frames = futures::stream::poll_fn(move |cx| {
                let _connected = &connected;
                frames.poll_recv(cx)
            });
            let given = Paced::new(frames, is_live, counters).ready_chunks(10).boxed();
            Self { sender, given }
        }

        fn send(&self, frame: Frame) {
            self.sender.send(Ok(frame)).unwrap();
        }

        async fn next(&mut self) -> Vec<u128> {
            let together = self.given.next().await.unwrap();
            together.into_iter().map(|frame| frame.unwrap().id.to_u128() >> 32).collect()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn among_many_what_comes_within_a_pause_goes_out_together() {
        let mut follower = Follower::new(1000, true);
        for round in [10, 20] {
            let start = Instant::now();
            follower.send(frame("a", round));
            assert_eq!(follower.next().await, [round]);
            assert_eq!(start.elapsed(), Duration::ZERO, "the first waits for nothing");
            follower.send(frame("a", round + 1));
            let sender = follower.sender.clone();
            let late = async move {
                tokio::time::sleep(Duration::from_millis(30)).await;
                sender.send(Ok(frame("a", round + 2))).unwrap();
            };
            let (together, ()) = tokio::join!(follower.next(), late);
            assert_eq!(together, [round + 1, round + 2]);
            assert!(PAUSE.contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
            // The pause after that passes while nothing comes.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn among_few_nothing_waits() {
        let mut follower = Follower::new(10, true);
        let start = Instant::now();
        for number in 1..20 {
            follower.send(frame("a", number));
            assert_eq!(follower.next().await, [number]);
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn history_does_not_wait() {
        let mut follower = Follower::new(1000, false);
        let start = Instant::now();
        for (topic, number) in [("a", 1), ("a", 2), (THRESHOLD_TOPIC, 3)] {
            follower.send(frame(topic, number));
            assert_eq!(follower.next().await, [number]);
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        follower.send(frame("a", 4));
        assert_eq!(follower.next().await, [4]);
        assert!(PAUSE.contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    }

    #[test]
    fn the_more_there_are_the_longer_the_pause() {
        let ms = Duration::from_millis;
        for (connections, expected) in [
            (0, None),
            (49, None),
            (50, Some(ms(2))),
            (1000, Some(ms(40))),
            (1250, Some(ms(50))),
            (u64::MAX, Some(ms(50))),
        ] {
            assert_eq!(pace(connections), expected, "{connections}");
        }
    }
}
