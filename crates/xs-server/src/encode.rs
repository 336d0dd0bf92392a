//! Frames as the bytes of a response. What a thousand followers are sent at the same moment is
//! written once and shared.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use xs::{Frame, PULSE_TOPIC, Result, THRESHOLD_TOPIC};
use xs_wire::Framing;

/// How the frames of one response are written.
#[derive(Debug)]
pub(crate) struct Encoder {
    form: Form,
    /// What other followers have written, and whether this one has come to where they are.
    shared: Option<(Arc<Encoded>, bool)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Form {
    framing: Framing,
    with_timestamp: bool,
}

impl Encoder {
    pub(crate) fn new(framing: Framing, with_timestamp: bool) -> Self {
        Self { form: Form { framing, with_timestamp }, shared: None }
    }

    /// Of a follower, which shares what is live with others: from the start when it is given no
    /// history, or else behind the threshold.
    pub(crate) fn follower(self, encoded: &Arc<Encoded>, live: bool) -> Self {
        Self { shared: Some((Arc::clone(encoded), live)), ..self }
    }

    pub(crate) fn content_type(&self) -> &'static str {
        self.form.framing.content_type()
    }

    /// Writes `frame` to the end of `chunk`.
    pub(crate) fn write(&mut self, frame: &Frame, chunk: &mut Chunk) -> Result<()> {
        match &mut self.shared {
            // Of each follower, with an id of its own.
            Some((_, live)) if is_synthetic(frame) => {
                *live = true;
                self.form.write(frame, chunk.buffer())
            }
            Some((encoded, true)) => {
                chunk.push(encoded.get(frame, self.form)?);
                Ok(())
            }
            _ => self.form.write(frame, chunk.buffer()),
        }
    }
}

impl Form {
    fn write(self, frame: &Frame, out: &mut Vec<u8>) -> Result<()> {
        self.framing.write(out, frame, self.with_timestamp)
    }

    /// Forms that followers ask for at the same time stay apart.
    fn number(self) -> usize {
        usize::from(self.framing == Framing::Sse) * 2 + usize::from(self.with_timestamp)
    }
}

fn is_synthetic(frame: &Frame) -> bool {
    matches!(frame.topic.as_str(), THRESHOLD_TOPIC | PULSE_TOPIC)
}

/// What is ready to be sent. One frame that is shared is not copied, and nothing is held while there
/// is nothing.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    one: Bytes,
    many: Vec<u8>,
}

impl Chunk {
    pub(crate) fn len(&self) -> usize {
        self.one.len() + self.many.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        match self.many.is_empty() {
            true => self.one,
            false => self.many.into(),
        }
    }

    fn push(&mut self, bytes: Bytes) {
        match self.is_empty() {
            true => self.one = bytes,
            false => self.buffer().extend_from_slice(&bytes),
        }
    }

    fn buffer(&mut self) -> &mut Vec<u8> {
        let one = std::mem::take(&mut self.one);
        self.many.extend_from_slice(&one);
        &mut self.many
    }
}

/// The most bytes of meta that a frame has that is kept, and how many of such are. With the frames
/// beside their bytes, at most 16 MiB all in all, and less than 1 MiB of frames as they usually are.
const CLASSES: [(usize, usize); 3] = [(2 * 1024, 512), (32 * 1024, 64), (xs::META_BYTES_MAX, 4)];

/// The bytes of frames that were written lately. Followers run through the same frames at the same
/// time, so a few are enough; each has a place of its own that it displaces another from, and that is
/// locked for no longer than it takes to look at it.
pub(crate) struct Encoded {
    classes: [Box<[Place]>; CLASSES.len()],
}

type Place = Mutex<Option<Kept>>;

struct Kept {
    frame: Frame,
    form: Form,
    bytes: Bytes,
}

impl Encoded {
    pub(crate) fn new() -> Self {
        Self { classes: CLASSES.map(|(_, places)| (0..places).map(|_| Place::default()).collect()) }
    }

    /// The bytes of `frame`, written before or now.
    fn get(&self, frame: &Frame, form: Form) -> Result<Bytes> {
        let place = self.place(frame, form);
        if let Some(place) = place {
            let kept = place.lock().unwrap_or_else(PoisonError::into_inner);
            // All of the frame is compared, which is cheap where both share their parts: whatever
            // happens to ids, nobody is sent another frame than their own.
            if let Some(kept) = &*kept
                && kept.form == form
                && kept.frame == *frame
            {
                return Ok(kept.bytes.clone());
            }
        }
        let mut bytes = Vec::new();
        form.write(frame, &mut bytes)?;
        bytes.shrink_to_fit();
        let bytes = Bytes::from(bytes);
        if let Some(place) = place {
            let kept = Kept { frame: frame.clone(), form, bytes: bytes.clone() };
            let displaced = place.lock().unwrap_or_else(PoisonError::into_inner).replace(kept);
            // Freed when the place is open to others again.
            drop(displaced);
        }
        Ok(bytes)
    }

    fn place(&self, frame: &Frame, form: Form) -> Option<&Place> {
        let meta_bytes = frame.meta.as_ref().map_or(0, |meta| meta.as_str().len());
        let class = CLASSES.iter().position(|(bytes_max, _)| meta_bytes <= *bytes_max)?;
        let places = self.classes.get(class)?;
        // The counter in the middle of an id: what is appended in one go has places side by side.
        let [.., a, b, c, _, _, _, _] = frame.id.to_bytes();
        let counter = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        places.get((counter + form.number() * places.len() / 4) % places.len())
    }
}

impl std::fmt::Debug for Encoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoded").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xs::{FrameId, Topic};

    fn frame(id: u128, topic: &str, meta: usize) -> Frame {
        let id = FrameId::from_u128((0x19a_0000_0000 << 80) | id << 32);
        Frame::topic(topic).unwrap().meta("x".repeat(meta).into()).with_id(id)
    }

    fn follower(encoded: &Arc<Encoded>, framing: Framing) -> Encoder {
        Encoder::new(framing, false).follower(encoded, true)
    }

    fn written(encoder: &mut Encoder, frames: &[Frame]) -> Bytes {
        let mut chunk = Chunk::default();
        frames.iter().for_each(|frame| encoder.write(frame, &mut chunk).unwrap());
        chunk.into_bytes()
    }

    #[test]
    fn what_is_shared_is_what_each_would_write() {
        let encoded = Arc::new(Encoded::new());
        let frames: Vec<Frame> = (0..2000)
            .map(|id| {
                frame(id, if id % 100 == 0 { PULSE_TOPIC } else { "a.b" }, usize::try_from(id % 7).unwrap() * 900)
            })
            .collect();
        for framing in [Framing::Ndjson, Framing::Sse] {
            let alone = written(&mut Encoder::new(framing, false), &frames);
            for _ in 0..3 {
                assert_eq!(written(&mut follower(&encoded, framing), &frames), alone);
            }
        }
    }

    #[test]
    fn two_followers_share_one_buffer() {
        let encoded = Arc::new(Encoded::new());
        for bytes in [1, 3000, 100_000] {
            let frame = [frame(1, "a", bytes)];
            let first = written(&mut follower(&encoded, Framing::Sse), &frame);
            let second = written(&mut follower(&encoded, Framing::Sse), &frame);
            assert_eq!((first.as_ptr(), first.len()), (second.as_ptr(), second.len()));
            let other = written(&mut follower(&encoded, Framing::Ndjson), &frame);
            assert_ne!(first, other);
        }
    }

    #[test]
    fn history_is_not_kept() {
        let encoded = Arc::new(Encoded::new());
        let mut encoder = Encoder::new(Framing::Ndjson, false).follower(&encoded, false);
        let kept = || encoded.classes.iter().flatten().filter(|place| place.lock().unwrap().is_some()).count();
        written(&mut encoder, &[frame(1, "a", 0), frame(2, "a", 0), frame(3, THRESHOLD_TOPIC, 0)]);
        assert_eq!(kept(), 0);
        written(&mut encoder, &[frame(4, "a", 0)]);
        assert_eq!(kept(), 1);
    }

    #[test]
    fn the_same_id_is_not_the_same_frame() {
        let encoded = Arc::new(Encoded::new());
        let first = frame(1, "a", 3);
        let second = Frame { topic: Topic::parse("b").unwrap(), ..first.clone() };
        let first = written(&mut follower(&encoded, Framing::Ndjson), &[first]);
        assert_ne!(written(&mut follower(&encoded, Framing::Ndjson), &[second]), first);
    }

    #[test]
    fn it_is_bounded() {
        let encoded = Arc::new(Encoded::new());
        let mut encoder = follower(&encoded, Framing::Ndjson);
        for id in 0..3000 {
            let bytes = if id % 2 == 0 { 10 } else { 30_000 };
            written(&mut encoder, &[frame(id, "a", bytes)]);
        }
        let kept = encoded
            .classes
            .iter()
            .flatten()
            .filter_map(|place| place.lock().unwrap().as_ref().map(|kept| kept.bytes.len()));
        assert!(kept.sum::<usize>() < 4 * 1024 * 1024);
    }
}
