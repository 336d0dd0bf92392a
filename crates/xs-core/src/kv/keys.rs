//! The key layout. Byte order of keys is the order that scans need.
//!
//! In [`Space::Frames`](super::Space::Frames):
//!
//! | key | value |
//! | --- | --- |
//! | `id` (16) | the [frame record](super::codec) |
//!
//! In [`Space::Index`](super::Space::Index), where the first byte says what a key is, and every
//! value but the two under `00` is empty:
//!
//! | key | what |
//! | --- | --- |
//! | `00` `66` | the format version: 4 bytes |
//! | `00` `74` | the tail: number of the last commit (8), greatest id ever stored (16), CRC-32C of both (4) |
//! | `02` topic `00` id (16) | a frame, by its topic |
//! | `03` ancestor `00` id (16) | a frame, by each name that its topic lies below: `a.b.c` by `a` and `a.b` |
//! | `04` ms (8) id (16) | a frame that expires at that time |
//! | `05` digest (32) id (16) | a frame, by the content that it refers to |
//!
//! Numbers are big-endian. No topic holds a `00`, so the keys of one topic are contiguous and in
//! the order of their ids, and topics are in byte order. The entry for each ancestor is what makes
//! a page of `a.*` cost the page: a frame costs one entry for each dot in its topic.

use crate::{ContentHash, Error, Frame, FrameId, Result, Topic};

const TOPIC: u8 = 2;
const ANCESTOR: u8 = 3;
const EXPIRY: u8 = 4;
const CONTENT: u8 = 5;

/// Under which the format version is.
pub const FORMAT_KEY: &[u8] = &[0, b'f'];
/// Under which the [`Tail`] is.
pub const TAIL_KEY: &[u8] = &[0, b't'];

const ID_BYTES: usize = 16;

/// The key of a frame record.
pub fn frame(id: FrameId) -> Vec<u8> {
    id.to_bytes().to_vec()
}

/// The index entry of a frame by its topic.
pub fn topic(topic: &Topic, id: FrameId) -> Vec<u8> {
    named(TOPIC, topic.as_str(), id)
}

/// The index entry of a frame by a name that its topic lies below.
pub fn ancestor(ancestor: &str, id: FrameId) -> Vec<u8> {
    named(ANCESTOR, ancestor, id)
}

/// The index entry of a frame by when it expires.
pub fn expiry(at_ms: u64, id: FrameId) -> Vec<u8> {
    [&[EXPIRY][..], &at_ms.to_be_bytes(), &id.to_bytes()].concat()
}

/// The index entry of a frame by the content that it refers to.
pub fn content(hash: ContentHash, id: FrameId) -> Vec<u8> {
    [&[CONTENT][..], hash.as_bytes(), &id.to_bytes()].concat()
}

fn named(tag: u8, name: &str, id: FrameId) -> Vec<u8> {
    [&[tag][..], name.as_bytes(), &[0], &id.to_bytes()].concat()
}

/// Every index entry of a frame.
pub fn index_entries(frame: &Frame) -> Vec<Vec<u8>> {
    let mut keys = vec![topic(&frame.topic, frame.id)];
    keys.extend(frame.topic.ancestors().map(|name| ancestor(name, frame.id)));
    keys.extend(frame.expires_at_ms().map(|at_ms| expiry(at_ms, frame.id)));
    keys.extend(frame.hash.map(|hash| content(hash, frame.id)));
    keys
}

/// The least key of a topic whose name is at or after `name`.
pub fn topics_from(name: &str) -> Vec<u8> {
    [&[TOPIC][..], name.as_bytes()].concat()
}

/// The least key of a topic whose name is after `topic`.
pub fn topics_after(topic: &Topic) -> Vec<u8> {
    [&[TOPIC][..], topic.as_str().as_bytes(), &[1]].concat()
}

/// A key beyond every topic whose name starts with `prefix`.
pub fn topics_end(prefix: &str) -> Vec<u8> {
    [&[TOPIC][..], prefix.as_bytes(), &[0xff]].concat()
}

/// The id at the end of a frame's key or an index entry.
pub fn id_of(key: &[u8]) -> Result<FrameId> {
    match key.last_chunk::<ID_BYTES>() {
        Some(id) => Ok(FrameId::from_bytes(*id)),
        None => Err(damaged(key)),
    }
}

/// The topic in the index entry of a frame by its topic.
pub fn topic_of(key: &[u8]) -> Result<Topic> {
    let name = match key {
        [TOPIC, rest @ ..] => rest.split_last_chunk::<ID_BYTES>().and_then(|(name, _)| name.strip_suffix(&[0])),
        _ => None,
    };
    name.and_then(|name| std::str::from_utf8(name).ok())
        .and_then(|name| Topic::parse(name).ok())
        .ok_or_else(|| damaged(key))
}

/// The time in the index entry of a frame by when it expires.
pub fn expiry_of(key: &[u8]) -> Result<u64> {
    match key {
        [EXPIRY, rest @ ..] if rest.len() == 8 + ID_BYTES => {
            rest.first_chunk().map(|ms| u64::from_be_bytes(*ms)).ok_or_else(|| damaged(key))
        }
        _ => Err(damaged(key)),
    }
}

fn damaged(key: &[u8]) -> Error {
    Error::corrupt(format!("index entry {key:02x?} is not of any known form"))
}

/// What is kept of the stream as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The number of the last commit.
    pub sequence: u64,
    /// The greatest id ever stored.
    pub last_id: FrameId,
}

impl Tail {
    /// Before the first commit.
    pub const EMPTY: Self = Self { sequence: 0, last_id: FrameId::MIN };

    /// The checksum that ends its bytes, for an index that keeps it in columns.
    pub fn checksum(self) -> u32 {
        self.encode().last_chunk().copied().map_or(0, u32::from_be_bytes)
    }

    /// Its bytes.
    pub fn encode(self) -> Vec<u8> {
        let mut bytes = [&self.sequence.to_be_bytes()[..], &self.last_id.to_bytes()].concat();
        bytes.extend(crc32c::crc32c(&bytes).to_be_bytes());
        bytes
    }

    /// The tail with these bytes, or `Corrupt`.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let parts = bytes.split_last_chunk::<4>().and_then(|(body, checksum)| {
            let (sequence, id) = body.split_first_chunk::<8>()?;
            (crc32c::crc32c(body) == u32::from_be_bytes(*checksum)).then_some(Self {
                sequence: u64::from_be_bytes(*sequence),
                last_id: FrameId::from_bytes(id.try_into().ok()?),
            })
        });
        parts.ok_or_else(|| Error::corrupt("the tail record of the index is damaged"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::tests::any_frame;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn byte_order_is_scan_order(x in any_frame(), y in any_frame(), a: u64, b: u64) {
            prop_assert_eq!(frame(x.id).cmp(&frame(y.id)), x.id.cmp(&y.id));
            prop_assert_eq!(
                topic(&x.topic, x.id).cmp(&topic(&y.topic, y.id)),
                (x.topic.as_str().as_bytes(), x.id).cmp(&(y.topic.as_str().as_bytes(), y.id))
            );
            prop_assert_eq!(expiry(a, x.id).cmp(&expiry(b, y.id)), (a, x.id).cmp(&(b, y.id)));
            let hash = ContentHash::of(b"");
            prop_assert_eq!(content(hash, x.id).cmp(&content(hash, y.id)), x.id.cmp(&y.id));
        }

        #[test]
        fn keys_give_back_what_they_hold(x in any_frame(), at_ms: u64) {
            let key = topic(&x.topic, x.id);
            prop_assert_eq!((topic_of(&key).unwrap(), id_of(&key).unwrap()), (x.topic.clone(), x.id));
            prop_assert_eq!(expiry_of(&expiry(at_ms, x.id)).unwrap(), at_ms);
            prop_assert!(topics_from(x.topic.as_str()) <= key && key < topics_after(&x.topic));
            prop_assert!(key < topics_end(x.topic.as_str()));
        }

        #[test]
        fn the_tail_round_trips_and_damage_shows(sequence: u64, id: u128, at in 0usize..28, mask in 1u8..) {
            let tail = Tail { sequence, last_id: FrameId::from_u128(id) };
            let mut bytes = tail.encode();
            prop_assert_eq!(Tail::decode(&bytes).unwrap(), tail);
            bytes[at] ^= mask;
            prop_assert!(Tail::decode(&bytes).is_err());
        }

        #[test]
        fn reading_keys_never_panics(key in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = (id_of(&key), topic_of(&key), expiry_of(&key), Tail::decode(&key));
        }
    }

    #[test]
    fn one_entry_for_each_way_to_find_a_frame() {
        let id: FrameId = "03d4q1qhbiv09ovtuhokw5yxv".parse().unwrap();
        let new = Frame::topic("a.b.c").unwrap().hash(ContentHash::of(b"x")).ttl(crate::Ttl::Time { ms: 1 });
        let frame = new.with_id(id);
        let tags: Vec<u8> = index_entries(&frame).iter().map(|key| key[0]).collect();
        assert_eq!(tags, [TOPIC, ANCESTOR, ANCESTOR, EXPIRY, CONTENT]);
    }
}
