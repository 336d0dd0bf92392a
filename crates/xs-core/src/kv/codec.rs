//! The binary form of a frame. Its id is the key that it is stored under.
//!
//! ```text
//! offset      bytes  what
//! 0           1      01: version of this form
//! 1           1      bit 0: a hash follows; bit 1: a meta follows; other bits 0
//! 2           1      ttl: 0 none, 1 forever, 2 ephemeral, 3 time, 4 last
//! 3           1      t: bytes of the topic, 1 to 255
//! 4           t      topic, ASCII
//! 4+t         8      only for ttl 3 and 4: milliseconds, or n; big-endian
//! …           32     only with bit 0: SHA-256 digest
//! …           m      only with bit 1: meta, JSON text in UTF-8, up to the checksum
//! end-4       4      CRC-32C (Castagnoli, RFC 3720) of the id's 16 bytes and all bytes before; big-endian
//! ```
//!
//! The checksum covers the id, so a record that lies under another key is found out too.

use std::num::NonZeroU64;

use crate::{ContentHash, Error, Frame, FrameId, Meta, Result, Topic, Ttl};

const VERSION: u8 = 1;
const HAS_HASH: u8 = 1;
const HAS_META: u8 = 2;
const CHECKSUM_BYTES: usize = 4;

/// The record of a frame.
pub fn encode(frame: &Frame) -> Vec<u8> {
    let topic = frame.topic.as_str().as_bytes();
    let meta = frame.meta.as_ref().map(|meta| meta.as_str().as_bytes());
    let (ttl, argument) = match frame.ttl {
        None => (0, None),
        Some(Ttl::Forever) => (1, None),
        Some(Ttl::Ephemeral) => (2, None),
        Some(Ttl::Time { ms }) => (3, Some(ms)),
        Some(Ttl::Last(n)) => (4, Some(n.get())),
    };
    let flags = if frame.hash.is_some() { HAS_HASH } else { 0 } | if meta.is_some() { HAS_META } else { 0 };
    // A topic is at most 255 bytes long.
    let topic_bytes = u8::try_from(topic.len()).unwrap_or(u8::MAX);
    let mut record = Vec::with_capacity(4 + topic.len() + 8 + 32 + meta.map_or(0, <[u8]>::len) + CHECKSUM_BYTES);
    record.extend([VERSION, flags, ttl, topic_bytes]);
    record.extend(topic);
    record.extend(argument.iter().flat_map(|argument| argument.to_be_bytes()));
    if let Some(hash) = frame.hash {
        record.extend(hash.as_bytes());
    }
    record.extend(meta.unwrap_or_default());
    record.extend(checksum(frame.id, &record).to_be_bytes());
    record
}

/// The checksum that ends the record of a frame, for an index that keeps frames in columns.
pub fn checksum_of(frame: &Frame) -> u32 {
    encode(frame).last_chunk().copied().map_or(0, u32::from_be_bytes)
}

/// The frame with this id and record, or `Corrupt`, naming the id.
pub fn decode(id: FrameId, record: &[u8]) -> Result<Frame> {
    Decoder::default().decode(id, record)
}

/// Decodes one record after the other. Frames that follow each other with the same topic share it,
/// which saves a page most of the topics that it would otherwise allocate.
#[derive(Debug, Default)]
pub struct Decoder {
    topic: Option<Topic>,
}

impl Decoder {
    /// As [`decode`].
    pub fn decode(&mut self, id: FrameId, record: &[u8]) -> Result<Frame> {
        decode_with(id, record, |name| self.topic(name))
    }

    fn topic(&mut self, name: &[u8]) -> Option<Topic> {
        if self.topic.as_ref().is_none_or(|last| last.as_str().as_bytes() != name) {
            self.topic = Some(Topic::parse(std::str::from_utf8(name).ok()?).ok()?);
        }
        self.topic.clone()
    }
}

fn decode_with(id: FrameId, record: &[u8], topic: impl FnOnce(&[u8]) -> Option<Topic>) -> Result<Frame> {
    let damaged = |what: &str| Error::corrupt(format!("frame {id} is damaged: {what}"));
    let (body, expected) = record.split_last_chunk::<CHECKSUM_BYTES>().ok_or_else(|| damaged("it is cut short"))?;
    if checksum(id, body) != u32::from_be_bytes(*expected) {
        return Err(damaged("its checksum does not match"));
    }
    // Sound bytes that do not parse were written by a defect or by a newer version.
    parse(id, body, topic).ok_or_else(|| damaged("its record has an unknown form"))
}

fn parse(id: FrameId, body: &[u8], topic: impl FnOnce(&[u8]) -> Option<Topic>) -> Option<Frame> {
    let ([VERSION, flags, ttl, topic_bytes], rest) = body.split_first_chunk::<4>()? else { return None };
    if flags & !(HAS_HASH | HAS_META) != 0 {
        return None;
    }
    let (name, mut rest) = rest.split_at_checked(usize::from(*topic_bytes))?;
    let mut argument = || {
        let (argument, after) = rest.split_first_chunk::<8>()?;
        rest = after;
        Some(u64::from_be_bytes(*argument))
    };
    let ttl = match ttl {
        0 => None,
        1 => Some(Ttl::Forever),
        2 => Some(Ttl::Ephemeral),
        3 => Some(Ttl::Time { ms: argument()? }),
        4 => Some(Ttl::Last(NonZeroU64::new(argument()?)?)),
        _ => return None,
    };
    let hash = match flags & HAS_HASH {
        0 => None,
        _ => {
            let (digest, after) = rest.split_first_chunk::<32>()?;
            rest = after;
            Some(ContentHash::from_bytes(*digest))
        }
    };
    let meta = match (flags & HAS_META, rest) {
        (0, []) => None,
        (0, _) => return None,
        (_, text) => Some(Meta::from_stored(std::str::from_utf8(text).ok()?)),
    };
    Some(Frame { id, topic: topic(name)?, hash, meta, ttl })
}

fn checksum(id: FrameId, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&id.to_bytes()), body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::frame::tests::any_frame;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn records_round_trip(frame in any_frame()) {
            prop_assert_eq!(decode(frame.id, &encode(&frame)).unwrap(), frame);
        }

        #[test]
        fn one_decoder_does_for_many(frames in prop::collection::vec(any_frame(), 1..8)) {
            let mut decoder = Decoder::default();
            for frame in frames.iter().flat_map(|frame| [frame, frame]) {
                prop_assert_eq!(&decoder.decode(frame.id, &encode(frame)).unwrap(), frame);
            }
        }

        #[test]
        fn every_flipped_bit_is_found(frame in any_frame(), at: prop::sample::Index, bit in 0u8..8) {
            let mut record = encode(&frame);
            let at = at.index(record.len());
            record[at] ^= 1 << bit;
            prop_assert_eq!(decode(frame.id, &record).unwrap_err().kind(), ErrorKind::Corrupt);
        }

        #[test]
        fn a_record_under_another_id_is_found(frame in any_frame(), other: u128) {
            prop_assume!(other != frame.id.to_u128());
            prop_assert!(decode(FrameId::from_u128(other), &encode(&frame)).is_err());
        }

        #[test]
        fn sound_bytes_of_any_form_never_panic(id: u128, mut body in prop::collection::vec(any::<u8>(), 0..80)) {
            let id = FrameId::from_u128(id);
            body.extend(checksum(id, &body).to_be_bytes());
            let _ = decode(id, &body);
        }
    }

    /// The bytes of format 1, spelled out: a change here is a change of the format.
    #[test]
    fn golden_record() {
        let id: FrameId = "03d4q1qhbiv09ovtuhokw5yxv".parse().unwrap();
        let frame = Frame::topic("ab").unwrap().meta(serde_json::json!(7)).ttl(Ttl::Time { ms: 258 }).with_id(id);
        let record = encode(&frame);
        assert_eq!(record[..15], [1, 2, 3, 2, b'a', b'b', 0, 0, 0, 0, 0, 0, 1, 2, b'7']);
        assert_eq!(record.len(), 15 + 4);
    }
}
